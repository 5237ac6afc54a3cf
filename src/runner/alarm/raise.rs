//! Raises alarms: each is put into the outbox, and marked as told, in one transaction.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};
use lettre::message::Mailbox;

use super::addressee::Addressee;
use super::decide::Telling;
use super::look::{FindProject, Group, Known, in_words, load, look};
use crate::mail::{
    self, Addressing, Alarm, Deadline, EmlFolder, FinishedMessage, MailSettings, Missing, Rendered, WebSlot,
};
use crate::model::{EmailStrategy, MailDelivery, Project};
use crate::outbox::{Force, Outbox, SmtpCouriers};
use crate::runner::options::{History, Notice, RunOptions, Tell};
use crate::runner::recording::host;
use crate::sink::{HistoryWriter, When};
use crate::store::{NewEntry, OutboxKind, Store, StoreError};

/// One looks no sooner again: alarms are no matter of seconds.
const LOOKS_APART: TimeDelta = TimeDelta::minutes(1);

/// Who looks, and for what.
pub(crate) struct AlarmRequest<'a> {
    /// What becomes of the mails.
    pub(crate) mail: &'a MailDelivery,
    /// Finds projects as they are in force.
    pub(crate) find: FindProject<'a>,
    /// The project for which the environment of this process is meant; `None` if it is meant for any.
    pub(crate) own: Option<&'a Path>,
    /// Whether whoever looks keeps schedules itself. Others leave those of a daemon that lives to it.
    pub(crate) is_daemon: bool,
}

/// What a look for alarms came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Alarms {
    /// What is in the outbox now.
    pub(crate) queued: Vec<i64>,
    /// What was told, in sentences that begin with the project's name.
    pub(crate) told: Vec<String>,
    /// What could not be told, likewise.
    pub(crate) troubles: Vec<String>,
    /// When to look again, if nothing is missed until then.
    pub(crate) next: Option<DateTime<Utc>>,
}

/// Looks for what somebody has to be told of schedules, and puts the mails and calls that tell it into the outbox. Nothing is
/// told twice, whoever looks, and whenever one is killed. Delivering it is left to the caller. Blocks.
///
/// # Errors
/// With a sentence, when the database can't be used.
pub(crate) fn raise_alarms(
    history: &HistoryWriter,
    request: &AlarmRequest<'_>,
    now: DateTime<Utc>,
) -> Result<Alarms, String> {
    let mut alarms = Alarms::default();
    if *request.mail == MailDelivery::Off {
        return Ok(alarms);
    }
    let known = ask(history, When::Recorded, async move |store| Known::read(store, now).await)?;
    let found = look(&known, request.is_daemon, now);
    alarms.next = found.next.map(|at| at.max(now + LOOKS_APART));
    if !found.quiet.is_empty() {
        let quiet = found.quiet;
        ask(history, When::Now, async move |store| store.stay_quiet(&quiet).await)?;
    }
    let couriers = SmtpCouriers::new(Some(history.state_dir().to_owned()));
    for mut group in found.groups {
        let addressee = if group.has_news() { find_addressee(history, &mut group, request.find, now)? } else { None };
        let entries = match (&addressee, group.has_news()) {
            (_, false) if group.missed.is_empty() => continue,
            (_, false) => Vec::new(),
            (None, true) => {
                let folder = group.project_dir.display();
                alarms.troubles.push(format!(
                    "{}: {}, and nobody can be told: the project in {folder} can't be loaded; `runner check` says why",
                    group.name,
                    first_in_words(&group)
                ));
                continue;
            }
            (Some(addressee), true) => {
                let message = Composed::of(&group, addressee, now);
                match request.mail {
                    MailDelivery::Folder(folder) => {
                        match message.write(folder, &couriers) {
                            Ok(written) => alarms.told.extend(written),
                            Err(why) => {
                                alarms.troubles.push(why);
                                continue;
                            }
                        }
                        // Of a command's only the trial is told; a daemon's mails all go there.
                        if !request.is_daemon {
                            continue;
                        }
                        Vec::new()
                    }
                    MailDelivery::Send | MailDelivery::Off => match message.entries(request.own, &couriers) {
                        Ok(entries) => entries,
                        Err(why) => {
                            alarms.troubles.push(why);
                            continue;
                        }
                    },
                }
            }
        };
        let (marks, is_told) = (group.marks(), !entries.is_empty());
        let raise = async move |store: &mut Store| store.raise_alarm(&entries, &marks, now).await;
        // `None`: somebody else has just told it, or something was added meanwhile.
        let Some(ids) = ask(history, When::Now, raise)? else {
            let again = now + LOOKS_APART;
            alarms.next = Some(alarms.next.map_or(again, |next| next.min(again)));
            continue;
        };
        alarms.queued.extend(ids);
        if is_told {
            alarms.told.push(format!("{}: {}; the mail about that is on its way", group.name, first_in_words(&group)));
        }
    }
    Ok(alarms)
}

/// Has the thread that has the database do something, and waits for it.
fn ask<T: Send + 'static>(
    history: &HistoryWriter,
    when: When,
    work: impl AsyncFnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, String> {
    let gone = |_| "the thread that has the database ended".to_owned();
    history.ask(when, work).recv().map_err(gone)?
}

/// Whom to tell; `None` if nobody knows.
fn find_addressee(
    history: &HistoryWriter,
    group: &mut Group,
    find: FindProject<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Addressee>, String> {
    let project = group.find_project(find);
    if !group.has_news() {
        return Ok(None);
    }
    let (dir, profile) = (group.project_dir.clone(), group.profile.clone());
    Ok(match project {
        Ok(project) => {
            let kept = async move |store: &mut Store| store.kept_schedules(&dir, profile.as_deref()).await;
            Some(Addressee::of(&project, &ask(history, When::Now, kept)?, now))
        }
        Err(_) => {
            let contact = async move |store: &mut Store| store.contact(&dir, profile.as_deref()).await;
            ask(history, When::Now, contact)?.map(|contact| Addressee::kept(contact, group))
        }
    })
}

/// The same at the end of a command that runs projects, the first of which is in the folder `root`, and loaded unless it is broken:
/// delivers what it has put into the outbox, and tells the user.
pub(crate) fn send_alarms(
    root: &Path,
    own: Option<&Project>,
    options: &RunOptions,
    deadline: &Deadline,
    tell: Tell<'_>,
) {
    let History::Shared(history) = &options.history else { return };
    let request = AlarmRequest { mail: &options.mail, find: &load, own: Some(root), is_daemon: false };
    let raised = raise_alarms(history, &request, Utc::now());
    let alarms = raised.unwrap_or_else(|why| {
        tracing::warn!("cannot look for runs that were missed: {why}");
        Alarms::default()
    });
    alarms.told.into_iter().chain(alarms.troubles).for_each(|text| tell(Notice::Trouble(text)));
    if alarms.queued.is_empty() {
        return;
    }
    let dir = history.state_dir().to_owned();
    let outbox = Outbox::new(dir.clone(), Arc::new(SmtpCouriers::new(Some(dir)))).meant_for(root);
    if let Err(why) = outbox.drain(own, &alarms.queued, deadline, Force::No) {
        tracing::warn!("the outbox: {why}");
    }
}

fn first_in_words(group: &Group) -> String {
    let told = group.findings.iter().find(|finding| finding.telling == Telling::Now);
    told.map(|finding| in_words(&finding.trouble)).unwrap_or_default()
}

/// An alarm, in words.
struct Composed<'a> {
    addressee: &'a Addressee,
    alarm: Alarm,
    rendered: Rendered,
}

impl<'a> Composed<'a> {
    fn of(group: &Group, addressee: &'a Addressee, now: DateTime<Utc>) -> Self {
        let told = group.findings.iter().filter(|finding| finding.telling == Telling::Now);
        let alarm = Alarm {
            project: addressee.name.clone(),
            project_dir: group.project_dir.clone(),
            profile: group.profile.clone(),
            host: host(),
            time: now,
            troubles: told.map(|finding| finding.trouble.clone()).collect(),
        };
        let rendered = mail::render_alarm(&alarm, &addressee.context());
        Self { addressee, alarm, rendered }
    }

    /// What goes out: a mail unless the project wants none, and the call of its chat.
    fn entries(&self, own: Option<&Path>, couriers: &SmtpCouriers) -> Result<Vec<NewEntry>, String> {
        let mut entries = Vec::new();
        if self.addressee.strategy != EmailStrategy::None {
            let settings = self.addressee.settings(couriers, own);
            let message = self.message(settings.as_ref().ok())?;
            entries.push(NewEntry {
                // Without settings it waits for them, and goes out with the sender that they name.
                from: settings.is_ok().then(|| message.envelope.from().map(ToString::to_string)).flatten(),
                login: settings.ok().map(|settings| settings.login),
                recipients: message.envelope.to().iter().map(ToString::to_string).collect(),
                message: message.bytes,
                ..self.blank(OutboxKind::Alarm, None)
            });
        }
        let webhook = self.addressee.options.webhook.as_ref().filter(|webhook| webhook.when != EmailStrategy::None);
        entries.extend(webhook.map(|webhook| NewEntry {
            message: mail::alarm_body(webhook, &self.alarm, &self.rendered).to_string().into_bytes(),
            ..self.blank(OutboxKind::Webhook, Some(WebSlot::Webhook.name().to_owned()))
        }));
        Ok(entries)
    }

    fn message(&self, settings: Option<&MailSettings>) -> Result<FinishedMessage, String> {
        // A domain that is guaranteed not to exist (RFC 2606, section 2): the sender is set when it is sent.
        let nobody = || "runner@localhost.invalid".parse::<Mailbox>().map_err(|error| error.to_string());
        let from = settings.map_or_else(nobody, |settings| Ok(settings.from.clone()))?;
        let Addressee { recipients, options, .. } = self.addressee;
        let addressing = Addressing { from: &from, recipients, options, conversation: None };
        mail::finish_alarm(&self.alarm, &self.name(), &self.rendered, &addressing, SystemTime::now())
            .map_err(|error| format!("the alarm of {} could not be made: {error}", self.addressee.name))
    }

    /// What tells this alarm from others of the project: the last instant that it is about.
    fn name(&self) -> String {
        let instants = self.alarm.troubles.iter().map(|trouble| match trouble.what {
            Missing::Missed { last, .. } => last,
            Missing::Overdue { planned } => planned,
        });
        let last = instants.max().unwrap_or(self.alarm.time);
        format!("alarm-{}", last.format("%Y%m%dT%H%M%SZ"))
    }

    /// Writes it to a folder unless it is there; says so if it was not.
    fn write(&self, folder: &Path, couriers: &SmtpCouriers) -> Result<Option<String>, String> {
        if self.addressee.strategy == EmailStrategy::None {
            return Ok(None);
        }
        let message = self.message(self.addressee.settings(couriers, None).ok().as_ref())?;
        let folder = EmlFolder::new(folder.to_owned());
        let file: PathBuf = folder.file_for(&message);
        if file.exists() {
            return Ok(None);
        }
        folder.write(&message).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        Ok(Some(format!("{}: an alarm is written to {}", self.addressee.name, file.display())))
    }

    fn blank(&self, kind: OutboxKind, slot: Option<String>) -> NewEntry {
        NewEntry {
            kind,
            slot,
            run_id: None,
            project_dir: self.alarm.project_dir.clone(),
            profile: self.alarm.profile.clone(),
            run_dir: None,
            subject: self.rendered.subject.clone(),
            from: None,
            login: None,
            recipients: Vec::new(),
            message: Vec::new(),
            conversation: None,
            queued_at: self.alarm.time,
            // There is no run whose record would have to tell what becomes of it.
            settled: true,
            unless_since: None,
        }
    }
}

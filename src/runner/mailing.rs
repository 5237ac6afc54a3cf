//! What goes out about a run: its mail, and what watchdogs and chats are told. How it goes out is `posting`'s.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use lettre::message::Mailbox;

use super::locking::state_dir;
use super::options::{History, MailDelivery};
use crate::mail::{
    self, AttachedOutput, Delivery, Details, FinishedMessage, MailMode, MailSettingsError, RenderContext, Rendered,
    WebSlot,
};
use crate::model::{EmailStrategy, MailState, PAST_RUNS, Project, RunId, RunReport};
use crate::outbox::{self, Couriers, SmtpCouriers};
use crate::sink::{HistoryWriter, When};
use crate::store::{self, NewEntry, OutboxKind, PastOf, StoreError};

/// How many past runs are read from their folders, when the database is of no use.
const FOLDERS: u32 = 100;

/// How a project's mails go out.
pub(super) struct Mailing {
    pub(super) mode: MailMode,
    /// Whether anything may be sent at all, so that web addresses are called too.
    pub(super) sends: bool,
    sender: Option<Mailbox>,
    pub(super) couriers: Arc<dyn Couriers>,
}

/// What goes out about a run that is over.
pub(super) struct Prepared {
    pub(super) mail: Mail,
    /// What goes by way of the outbox, the mail among it.
    pub(super) entries: Vec<NewEntry>,
    /// What could not be done as it was asked for.
    pub(super) warnings: Vec<String>,
}

/// A run's mail.
pub(super) enum Mail {
    /// There is none, or it can't be made.
    None(MailState),
    /// It is written to a folder.
    Folder(PathBuf, Box<FinishedMessage>),
    /// It is among the entries.
    Entry,
}

impl Mailing {
    /// Checked before anything is run.
    pub(super) fn of(project: &Project, delivery: &MailDelivery, history: &History) -> Result<Self, MailSettingsError> {
        let couriers = SmtpCouriers::new(state_dir(history).ok());
        let mode = match delivery {
            MailDelivery::Off => MailMode::Off,
            MailDelivery::Folder(folder) => MailMode::Folder(folder.clone()),
            MailDelivery::Send if project.email_strategy == EmailStrategy::None => MailMode::Off,
            MailDelivery::Send => MailMode::Smtp(Box::new(couriers.settings(&project.dotenv)?)),
        };
        let sender = mail::configured_sender(&project.dotenv, &|name| std::env::var(name).ok());
        Ok(Self { mode, sends: *delivery == MailDelivery::Send, sender, couriers: Arc::new(couriers) })
    }

    /// Whether anything of this project's can go out over the network.
    pub(super) fn may_send(&self, project: &Project) -> bool {
        let options = &project.mail;
        let calls = options.webhook.is_some() || WebSlot::ALL.iter().any(|slot| slot.address(options).is_some());
        self.sends && (matches!(self.mode, MailMode::Smtp(_)) || calls)
    }

    /// Makes what is due about a run. The past is read only where it counts.
    pub(super) fn prepare(&self, project: &Project, report: &RunReport, history: Option<&HistoryWriter>) -> Prepared {
        let context = self.context(project, report, history);
        let mut prepared = Prepared { mail: Mail::None(MailState::NotDue), entries: Vec::new(), warnings: Vec::new() };
        let mut rendered = None;
        if matches!(self.mode, MailMode::Off) && !self.sends {
            // Without looking whether there would have been one: nobody heard of the run, and the next has to know that.
            prepared.mail = Mail::None(MailState::Off);
        } else if mail::is_due(project.email_strategy, report, &context) {
            (prepared.mail, rendered) = self.mail(project, report, &context, history, &mut prepared);
        }
        if self.sends {
            prepared.entries.extend(calls(project, report, &context, rendered));
        }
        prepared
    }

    fn mail(
        &self,
        project: &Project,
        report: &RunReport,
        context: &RenderContext,
        history: Option<&HistoryWriter>,
        prepared: &mut Prepared,
    ) -> (Mail, Option<Rendered>) {
        let key = mail::conversation_key(&project.root, project.profile.as_deref());
        let key = project.mail.conversation.then_some(key);
        let root = key.clone().and_then(|key| conversation_root(history, key));
        let AttachedOutput { attachments, left_out } = mail::attached_output(report, project.mail.attach_output);
        prepared.warnings.extend(left_out);
        let delivery = Delivery {
            strategy: project.email_strategy,
            from: self.sender.clone(),
            recipients: &project.recipients,
            mode: &self.mode,
            context,
        };
        let options = project.mail.clone();
        let details = Details { options, conversation: root.as_deref(), attachments: &attachments };
        let (message, rendered) = match mail::make(report, &delivery, &details) {
            Ok(made) => made,
            Err(error) => return (Mail::None(MailState::Failed { error }), None),
        };
        if let MailMode::Folder(folder) = &self.mode {
            return (Mail::Folder(folder.clone(), Box::new(message)), Some(rendered));
        }
        let digest = project.email_strategy == EmailStrategy::Digest;
        let ended = report.finished.unwrap_or(report.started);
        prepared.entries.push(NewEntry {
            subject: rendered.subject.clone(),
            // One may just be going out without a run.
            unless_since: digest.then(|| mail::digest_times(ended, context).0),
            from: message.envelope.from().map(ToString::to_string),
            login: match &self.mode {
                MailMode::Smtp(settings) => Some(settings.login.clone()),
                MailMode::Off | MailMode::Folder(_) => None,
            },
            recipients: message.envelope.to().iter().map(ToString::to_string).collect(),
            message: message.bytes,
            conversation: key,
            ..blank(OutboxKind::Mail, None, report)
        });
        (Mail::Entry, Some(rendered))
    }

    /// The digest about a run that is over, and those before it, which nobody has heard of; `None` if it isn't due.
    pub(super) fn digest(
        &self,
        project: &Project,
        report: &RunReport,
        history: &HistoryWriter,
        now: DateTime<Utc>,
    ) -> Option<Prepared> {
        let with_written = matches!(self.mode, MailMode::Folder(_));
        let context = context_with_past(project, report, Some(history), with_written);
        if !mail::is_digest_due(now, &context) {
            return None;
        }
        let mut prepared = Prepared { mail: Mail::None(MailState::NotDue), entries: Vec::new(), warnings: Vec::new() };
        (prepared.mail, _) = self.mail(project, report, &context, Some(history), &mut prepared);
        for entry in &mut prepared.entries {
            // The run has recorded that no mail was due; what becomes of this one is told by whoever delivers it.
            entry.settled = true;
            entry.unless_since = Some(mail::digest_times(now, &context).0);
        }
        Some(prepared)
    }

    fn context(&self, project: &Project, report: &RunReport, history: Option<&HistoryWriter>) -> RenderContext {
        let context = RenderContext::of(project, Vec::new());
        let counts = |strategy| match strategy {
            EmailStrategy::None => false,
            EmailStrategy::All | EmailStrategy::FailureOnly => mail::is_due(strategy, report, &context),
            EmailStrategy::Changes | EmailStrategy::Digest => true,
        };
        let of_mail = !matches!(self.mode, MailMode::Off) && counts(project.email_strategy);
        let of_chat = self.sends && project.mail.webhook.as_ref().is_some_and(|webhook| counts(webhook.when));
        if !of_mail && !of_chat {
            return context;
        }
        context_with_past(project, report, history, matches!(self.mode, MailMode::Folder(_)))
    }
}

/// The call that tells of a run's start, if the project wants one.
pub(super) fn start_ping(project: &Project, run_id: &RunId, host: &str, run_dir: &std::path::Path) -> Option<NewEntry> {
    project.mail.pings.start.as_ref()?;
    Some(NewEntry {
        kind: OutboxKind::Ping,
        slot: Some(WebSlot::Start.name().to_owned()),
        run_id: Some(run_id.clone()),
        project_dir: project.root.clone(),
        profile: project.profile.clone(),
        run_dir: Some(run_dir.to_owned()),
        subject: format!("{}: started", project.name),
        from: None,
        login: None,
        recipients: Vec::new(),
        message: mail::start_body(&project.name, run_id, host).into_bytes(),
        conversation: None,
        queued_at: Utc::now(),
        settled: true,
        unless_since: None,
    })
}

/// What web addresses are told of a run's end. `rendered` is what the mail says, if there is one.
fn calls(project: &Project, report: &RunReport, context: &RenderContext, rendered: Option<Rendered>) -> Vec<NewEntry> {
    let options = &project.mail;
    let end = WebSlot::of_end(report);
    let ping = end.address(options).is_some();
    let webhook = options.webhook.as_ref().filter(|webhook| mail::is_call_due(webhook.when, report, context));
    if !ping && webhook.is_none() {
        return Vec::new();
    }
    let rendered = rendered.unwrap_or_else(|| mail::render(report, EmailStrategy::All, context));
    let entry = |kind, slot: WebSlot, body: String| NewEntry {
        subject: format!("{}: {}", report.project, report.status.name()),
        message: body.into_bytes(),
        settled: true,
        ..blank(kind, Some(slot.name().to_owned()), report)
    };
    let ping = ping.then(|| entry(OutboxKind::Ping, end, mail::ping_body(report, &rendered)));
    let webhook = webhook.map(|webhook| {
        let body = mail::webhook_body(webhook, report, &rendered).to_string();
        entry(OutboxKind::Webhook, WebSlot::Webhook, body)
    });
    ping.into_iter().chain(webhook).collect()
}

fn blank(kind: OutboxKind, slot: Option<String>, report: &RunReport) -> NewEntry {
    NewEntry {
        kind,
        slot,
        run_id: Some(report.run_id.clone()),
        project_dir: report.project_dir.clone(),
        profile: report.profile.clone(),
        run_dir: Some(report.run_dir.clone()),
        subject: String::new(),
        from: None,
        login: None,
        recipients: Vec::new(),
        message: Vec::new(),
        conversation: None,
        queued_at: Utc::now(),
        settled: false,
        unless_since: None,
    }
}

/// With the runs before this one, and the last one that somebody was told of until now: of a run that died mails may have
/// gone out about later ones.
fn context_with_past(
    project: &Project,
    report: &RunReport,
    history: Option<&HistoryWriter>,
    with_written: bool,
) -> RenderContext {
    let (project_dir, profile) = (project.root.clone(), project.profile.clone());
    let until_now = PastOf { project_dir, profile, before: Utc::now().max(report.started), with_written };
    let before = PastOf { before: report.started, ..until_now.clone() };
    let (asked, is_scheduled) = (until_now.clone(), !project.schedules.is_empty());
    let answer = history.map(|history| {
        let read = async move |store: &mut store::Store| {
            let kept = match is_scheduled {
                true => store.kept_schedules(&asked.project_dir, asked.profile.as_deref()).await?,
                false => Vec::new(),
            };
            Ok::<_, StoreError>((store.past_runs(&before, PAST_RUNS).await?, store.last_told(&asked).await?, kept))
        };
        history.ask(When::Now, read).recv()
    });
    let (past, last_told, kept) = match answer {
        Some(Ok(Ok((past, last_told, kept)))) => (past, last_told, Some(kept)),
        _ => {
            let mut past = store::past_runs_in_folders(&until_now, FOLDERS);
            let last_told = past.iter().find(|run| run.is_told()).cloned();
            past.retain(|run| run.started < report.started);
            (past, last_told, None)
        }
    };
    let next_planned = project.next_planned(Utc::now(), |schedule| match &kept {
        Some(kept) => kept.contains(&schedule.name),
        // Nobody can say.
        None => true,
    });
    RenderContext { last_told, next_planned, ..RenderContext::of(project, past) }
}

fn conversation_root(history: Option<&HistoryWriter>, key: String) -> Option<String> {
    let answer = history?.ask(When::Now, async move |store| store.conversation_root(&key).await);
    answer.recv().ok()?.ok()?
}

/// Whether a mail about the run would be due, if mails were sent.
pub(super) fn is_due(project: &Project, report: &RunReport, history: Option<&HistoryWriter>) -> bool {
    mail::is_due(project.email_strategy, report, &context_with_past(project, report, history, false))
}

/// Marks that a run has recorded what has become of its mail so far; returns what has become of it since.
pub(super) fn settle(history: Option<&HistoryWriter>, run_id: &RunId, recorded: &MailState) -> Option<MailState> {
    let run_id = run_id.clone();
    let settled = history?.ask(When::Recorded, async move |store| {
        let row = store.settle(&run_id).await?;
        store.make_durable()?;
        Ok(row)
    });
    let row = settled.recv().ok()?.ok()??;
    Some(outbox::mail_state(&row)).filter(|mail| row.state.is_final() && mail.name() != recorded.name())
}

/// What the outbox knows of a run's mail.
pub(super) fn known(history: Option<&HistoryWriter>, run_id: &RunId) -> Option<MailState> {
    let run_id = run_id.clone();
    let answer = history?.ask(When::Now, async move |store| store.mail_about(&run_id).await);
    answer.recv().ok()?.ok()?.map(|row| outbox::mail_state(&row))
}

/// That a mail is not delivered yet, or never will be, as a warning of its run.
pub(super) fn warning(mail: &MailState, report: &RunReport) -> Option<String> {
    let folder = report.run_dir.display();
    Some(match mail {
        MailState::Failed { error } => {
            // One that could not be made is nowhere.
            let kept = Some(report.run_dir.join(mail::KEPT_MAIL)).filter(|file| file.is_file());
            let kept = kept.map(|file| format!("; it is kept in {}", file.display())).unwrap_or_default();
            format!("the mail was not sent: {error}{kept}")
        }
        MailState::Queued { error: Some(error) } => {
            format!(
                "the mail waits to be sent: {error}; it is tried again by itself, `runner mail status` says when, and `runner mail flush` tries at once"
            )
        }
        MailState::Held { error } => format!("the mail is held: {error}; `runner mail status` shows what waits"),
        MailState::Kept { error } => format!("the mail waits in {folder}: {error}"),
        _ => return None,
    })
}

//! The run's mail: how it will go out, what it needs to know, and its way into the outbox and out of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use chrono::{DateTime, Utc};
use lettre::message::Mailbox;

use super::locking::state_dir;
use super::options::{History, MailDelivery};
use crate::exec::Cancel;
use crate::mail::{
    self, Courier, Deadline, Delivery, MailMode, MailSettingsError, NextStep, Outgoing, RenderContext,
};
use crate::model::{EmailStrategy, MailState, PAST_RUNS, PastRun, Project, RunId, RunReport};
use crate::outbox::{self, Couriers, Force, Outbox, SmtpCouriers};
use crate::sink::{HistoryWriter, When};
use crate::store::{self, NewEntry, OutboxKind};

/// How long the mail may take once the run was interrupted.
const LAST_MAIL: Duration = Duration::from_secs(5);
/// How many past runs are read from their folders, when the database is of no use.
const FOLDERS: u32 = 100;
/// How long beyond the deadline one waits for whoever delivers to notice it.
const NOTICE: Duration = Duration::from_millis(500);

/// How a project's mails go out.
pub(super) struct Mailing {
    pub(super) mode: MailMode,
    sender: Option<Mailbox>,
    couriers: Arc<dyn Couriers>,
}

impl Mailing {
    /// Checked before anything is run.
    pub(super) fn of(project: &Project, delivery: &MailDelivery, history: &History) -> Result<Self, MailSettingsError> {
        let couriers = SmtpCouriers::new(state_dir(history).ok());
        let mode = match delivery {
            MailDelivery::Off => MailMode::Off,
            MailDelivery::Folder(folder) => MailMode::Folder(folder.clone()),
            MailDelivery::Send if project.email_strategy == EmailStrategy::None => MailMode::Off,
            MailDelivery::Send => MailMode::Smtp(Box::new(couriers.settings(project)?)),
        };
        let sender = mail::configured_sender(&project.dotenv, &environment);
        Ok(Self { mode, sender, couriers: Arc::new(couriers) })
    }

    /// Whether a mail about the run is to be sent or written.
    pub(super) fn is_due(&self, project: &Project, report: &RunReport, context: &RenderContext) -> bool {
        mail::is_due(project.email_strategy, report, context) && !matches!(self.mode, MailMode::Off)
    }

    /// Has what waits in the outbox delivered while the scripts run, if there is something. Nobody waits for the answer:
    /// whether there is something is looked up by the thread that has the database open.
    pub(super) fn start_postman(&self, project: &Project, history: Option<&HistoryWriter>) -> Option<Postman> {
        let history = history.filter(|_| matches!(self.mode, MailMode::Smtp(_)))?;
        let deadline = Deadline::after(Duration::MAX);
        let (end, ended) = channel::<()>();
        let outbox = Outbox::new(history.state_dir().to_owned(), Arc::clone(&self.couriers));
        let (project, until) = (project.clone(), deadline.clone());
        // What it says is of no interest: the end of the run finds the same trouble.
        let _ = history.ask(When::Now, async move |store| {
            if store.is_something_to_deliver().await? {
                let work = move || {
                    let _end = end;
                    if let Err(error) = outbox.drain(Some(&project), &until, Force::No) {
                        tracing::warn!("the outbox: {error}");
                    }
                };
                let _ = std::thread::Builder::new().name("postman".into()).spawn(work);
            }
            Ok(())
        });
        Some(Postman { deadline, ended })
    }

    /// Delivers the mail, or leaves it where it will be delivered from. To a server on a thread of its own, so that whoever
    /// interrupts doesn't have to wait for a slow one.
    pub(super) async fn deliver(
        &self,
        project: &Project,
        report: &RunReport,
        context: &RenderContext,
        history: Option<&HistoryWriter>,
        cancel: &Cancel,
    ) -> MailState {
        let delivery = Delivery {
            strategy: project.email_strategy,
            from: self.sender.clone(),
            recipients: &project.recipients,
            mode: &self.mode,
            context,
            deadline: project.mail.deadline,
        };
        let settings = match &self.mode {
            MailMode::Smtp(settings) if mail::is_due(project.email_strategy, report, context) => settings,
            _ => return mail::deliver(report, &delivery),
        };
        let entry = match entry(report, &delivery) {
            Ok(entry) => entry,
            Err(error) => return MailState::Failed { error },
        };
        if let Err(error) = std::fs::write(report.run_dir.join(mail::KEPT_MAIL), &entry.message) {
            tracing::warn!("cannot keep the mail in {}: {error}", report.run_dir.display());
        }
        let queued = queue(history, &entry);
        let deadline = Deadline::after(project.mail.deadline);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (couriers, settings, project) = (Arc::clone(&self.couriers), settings.clone(), project.clone());
        let until = deadline.clone();
        let work = move || {
            let _ = sender.send(match queued {
                Ok(state_dir) => {
                    let outbox = Outbox::new(state_dir, couriers);
                    match outbox.deliver(&entry.run_id, &project, &until) {
                        Ok(Some(row)) => outbox::mail_state(&row),
                        Ok(None) => MailState::Queued { error: None },
                        Err(error) => MailState::Queued { error: Some(error) },
                    }
                }
                Err(why) => without_outbox(&entry, couriers.courier(&settings), &until, &why),
            });
        };
        let broken = |why: &str| MailState::Queued { error: Some(why.to_owned()) };
        if let Err(error) = std::thread::Builder::new().name("mail".into()).spawn(work) {
            return broken(&format!("no thread to send it on: {error}"));
        }
        tokio::pin!(receiver);
        let mail = tokio::select! {
            biased;
            mail = &mut receiver => Some(mail),
            _ = cancel.cancelled() => None,
        };
        if mail.is_none() {
            deadline.bring_forward(LAST_MAIL);
        }
        let mail = match mail {
            Some(mail) => Some(mail),
            None => tokio::select! {
                biased;
                mail = &mut receiver => Some(mail),
                () = cancel.killed() => None,
            },
        };
        match mail {
            Some(Ok(mail)) => mail,
            Some(Err(_)) => broken("the thread that sent it broke off"),
            None => broken("interrupted while it was being sent"),
        }
    }
}

/// What a run's mail needs to know beside its report. `past` is read only where it counts.
pub(super) fn context(project: &Project, report: &RunReport, history: Option<&HistoryWriter>) -> RenderContext {
    let context = RenderContext::of(project, Vec::new());
    let counts = match project.email_strategy {
        EmailStrategy::None => false,
        EmailStrategy::All | EmailStrategy::FailureOnly => mail::is_due(project.email_strategy, report, &context),
        EmailStrategy::Changes | EmailStrategy::Digest => true,
    };
    if !counts {
        return context;
    }
    RenderContext { past: past(project, report.started, history), ..context }
}

fn past(project: &Project, before: DateTime<Utc>, history: Option<&HistoryWriter>) -> Vec<PastRun> {
    let (root, profile) = (project.root.clone(), project.profile.clone());
    let answer = history.map(|history| {
        let read = async move |store: &mut store::Store| {
            store.past_runs(&root, profile.as_deref(), before, PAST_RUNS).await
        };
        history.ask(When::Now, read).recv()
    });
    match answer {
        Some(Ok(Ok(past))) => past,
        _ => store::past_runs_in_folders(&project.root, project.profile.as_deref(), before, FOLDERS),
    }
}

fn entry(report: &RunReport, delivery: &Delivery<'_>) -> Result<NewEntry, String> {
    let (message, rendered) = mail::make(report, delivery)?;
    Ok(NewEntry {
        kind: OutboxKind::Mail,
        slot: None,
        run_id: report.run_id.clone(),
        project_dir: report.project_dir.clone(),
        profile: report.profile.clone(),
        run_dir: report.run_dir.clone(),
        subject: rendered.subject,
        from: message.envelope.from().map(ToString::to_string),
        recipients: message.envelope.to().iter().map(ToString::to_string).collect(),
        message: message.bytes,
        conversation: None,
        queued_at: Utc::now(),
        settled: false,
    })
}

/// Puts a mail into the outbox, together with the end of its run, so that the disk is waited for once. Returns the state
/// folder, or why that can't be.
fn queue(history: Option<&HistoryWriter>, entry: &NewEntry) -> Result<std::path::PathBuf, String> {
    let history = history.ok_or("no history is kept")?;
    let entry = entry.clone();
    let answer = history.ask(When::Recorded, async move |store| store.enqueue(&[entry]).await);
    let queued = answer.recv().unwrap_or_else(|_| Err("the thread that has the database ended".to_owned()));
    queued.map(|_| history.state_dir().to_owned())
}

/// Sends a mail that the outbox doesn't take. If that fails, it stays in its run's folder until the outbox takes it.
fn without_outbox(entry: &NewEntry, mut courier: Box<dyn Courier>, deadline: &Deadline, why: &str) -> MailState {
    let address = |text: &String| text.parse::<lettre::Address>().ok();
    let to = entry.recipients.iter().filter_map(address).collect();
    let from = entry.from.as_ref().and_then(address);
    let envelope = match lettre::address::Envelope::new(from, to) {
        Ok(envelope) => envelope,
        Err(error) => return MailState::Failed { error: error.to_string() },
    };
    let message = Outgoing { bytes: entry.message.clone(), envelope };
    let error = match courier.send(&message, deadline, &mut || ()) {
        Ok(accepted) => {
            let refused = accepted.refused.iter().map(|one| format!("; refused for {one}")).collect::<String>();
            return MailState::Sent { reply: accepted.reply + &refused };
        }
        Err(error) => error,
    };
    if error.next_step() == NextStep::Fail {
        return MailState::Failed { error: error.to_string() };
    }
    let folder = entry.run_dir.display();
    match outbox::keep(entry) {
        Ok(()) => MailState::Kept { error: format!("{error}; nor can it wait in the outbox: {why}") },
        Err(keeping) => {
            let error = format!("{error}; nor can it wait in the outbox: {why}; nor be kept in {folder}: {keeping}");
            MailState::Failed { error }
        }
    }
}

/// Marks that a run has recorded what has become of its mail so far; returns what has become of it since.
pub(super) fn settle(history: Option<&HistoryWriter>, run_id: &RunId, recorded: &MailState) -> Option<MailState> {
    if !matches!(recorded, MailState::Queued { .. } | MailState::Held { .. } | MailState::Sent { .. } | MailState::Failed { .. })
    {
        return None;
    }
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
pub(super) fn warning(mail: &MailState, run_dir: &Path) -> Option<String> {
    Some(match mail {
        MailState::Failed { error } => {
            format!("the mail was not sent: {error}; it is kept in {}", run_dir.join(mail::KEPT_MAIL).display())
        }
        MailState::Queued { error: Some(error) } => {
            format!("the mail waits to be sent: {error}; the next run or `runner mail flush` tries again")
        }
        MailState::Held { error } => format!("the mail is held: {error}; `runner mail status` shows what waits"),
        MailState::Kept { error } => format!("the mail is kept in {}: {error}", run_dir.display()),
        _ => return None,
    })
}

/// Whoever delivers while the scripts run.
pub(super) struct Postman {
    deadline: Deadline,
    /// Nothing is ever sent here: it closes when the postman has done.
    ended: Receiver<()>,
}

impl Postman {
    /// Gives it at most so long from now on.
    pub(super) fn hurry(&self, limit: Duration) {
        self.deadline.bring_forward(limit);
    }

    /// Waits until it has done, or its time is up, which comes sooner once the run is interrupted.
    pub(super) async fn join(self, cancel: &Cancel) {
        while self.ended.try_recv() == Err(TryRecvError::Empty) {
            if cancel.cancelled_by().is_some() {
                self.deadline.bring_forward(LAST_MAIL);
            }
            if self.deadline.instant().elapsed() > NOTICE {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

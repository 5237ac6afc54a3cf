//! The way of a run's mail and calls into the outbox and out of it. None of it delays a script, and at a run's end it takes no
//! longer than the project allows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use super::mailing::{self, Mail, Mailing, Prepared};
use crate::exec::Cancel;
use crate::mail::{self, Deadline, EmlFolder, MailMode, NextStep};
use crate::model::{MailState, Project, RunId, RunReport};
use crate::outbox::{self, Couriers, Force, Outbox};
use crate::sink::{HistoryWriter, When};
use crate::store::{NewEntry, OutboxKind, OutboxRow};

/// How long the mail may take once the run was interrupted.
const LAST_MAIL: Duration = Duration::from_secs(5);
/// How long, and what part of the deadline, whoever delivers for others has at most to finish once the scripts have.
const LAST_FOR_OTHERS: (Duration, u32) = (Duration::from_secs(5), 4);
/// How long beyond the deadline one waits for whoever delivers to notice it.
const NOTICE: Duration = Duration::from_millis(500);

/// What came of it.
pub(super) struct Posted {
    pub(super) mail: MailState,
    /// Whether the outbox has it, so that it has to be [settled](mailing::settle).
    pub(super) is_queued: bool,
    /// What calls did not succeed.
    pub(super) warnings: Vec<String>,
}

impl Posted {
    fn only(mail: MailState) -> Self {
        Self { mail, is_queued: false, warnings: Vec::new() }
    }
}

impl Mailing {
    /// Delivers what was prepared, or leaves it where it will be delivered from; on a thread of its own, so that whoever
    /// interrupts doesn't have to wait for a slow server. After `limit` nobody waits any longer; what isn't delivered by then
    /// is in the outbox.
    pub(super) async fn post(
        &self,
        prepared: Prepared,
        project: &Project,
        report: &RunReport,
        history: Option<&HistoryWriter>,
        cancel: &Cancel,
        limit: Duration,
    ) -> Posted {
        let written = match prepared.mail {
            Mail::None(state) => Some(state),
            Mail::Folder(folder, message) => Some(EmlFolder::new(folder).deliver(report, &message)),
            Mail::Entry => None,
        };
        let entries = prepared.entries;
        if entries.is_empty() {
            return Posted::only(written.unwrap_or(MailState::NotDue));
        }
        for entry in entries.iter().filter(|entry| entry.kind == OutboxKind::Mail) {
            if let Err(error) = std::fs::write(report.run_dir.join(mail::KEPT_MAIL), &entry.message) {
                tracing::warn!("cannot keep the mail in {}: {error}", report.run_dir.display());
            }
        }
        let queued = queue(history, &entries);
        let is_queued = queued.is_ok() && written.is_none();
        let deadline = Deadline::after(limit);
        let work = Work {
            couriers: Arc::clone(&self.couriers),
            project: project.clone(),
            deadline: deadline.clone(),
            settings: match &self.mode {
                MailMode::Smtp(settings) => Some(settings.clone()),
                MailMode::Off | MailMode::Folder(_) => None,
            },
        };
        let mut posted = in_time(deadline, cancel, move || work.run(&entries, queued)).await;
        if let Some(state) = written {
            posted.mail = state;
        }
        Posted { is_queued, ..posted }
    }
}

/// Does the work on a thread, and waits for it; not much longer once the run is interrupted.
async fn in_time(deadline: Deadline, cancel: &Cancel, work: impl FnOnce() -> Posted + Send + 'static) -> Posted {
    let waits = |why: &str| Posted::only(MailState::Queued { error: Some(why.to_owned()) });
    let (sender, mut receiver) = tokio::sync::oneshot::channel();
    let work = move || drop(sender.send(work()));
    if let Err(error) = std::thread::Builder::new().name("mail".into()).spawn(work) {
        return waits(&format!("no thread to send it on: {error}"));
    }
    let killed = async {
        cancel.cancelled().await;
        deadline.bring_forward(LAST_MAIL);
        cancel.killed().await;
    };
    // Who delivers keeps to the deadline, unless the disk or the database keeps it.
    let late = async {
        while deadline.instant().elapsed() < NOTICE {
            tokio::time::sleep(deadline.left() + NOTICE).await;
        }
    };
    tokio::select! {
        biased;
        posted = &mut receiver => posted.unwrap_or_else(|_| waits("the thread that sent it broke off")),
        () = killed => waits("interrupted while it was being sent"),
        () = late => waits("there was no more time to send it"),
    }
}

/// What the thread needs.
struct Work {
    couriers: Arc<dyn Couriers>,
    project: Project,
    deadline: Deadline,
    settings: Option<Box<mail::MailSettings>>,
}

impl Work {
    fn run(self, entries: &[NewEntry], queued: Result<Queued, String>) -> Posted {
        match queued {
            Ok(Queued { state_dir, ids }) => {
                let outbox = Outbox::new(state_dir, Arc::clone(&self.couriers));
                match outbox.deliver(&ids, &self.project, &self.deadline) {
                    Ok(rows) => come_of(&rows),
                    Err(error) => Posted::only(MailState::Queued { error: Some(error) }),
                }
            }
            Err(why) => self.without_outbox(entries, &why),
        }
    }

    /// Sends what the outbox doesn't take. If that fails, a mail stays in its run's folder until the outbox takes it.
    fn without_outbox(&self, entries: &[NewEntry], why: &str) -> Posted {
        let mut posted = Posted::only(MailState::NotDue);
        for entry in entries {
            let sent =
                outbox::send_now(entry, &self.project, self.settings.as_deref(), &*self.couriers, &self.deadline);
            match (entry.kind, sent) {
                (OutboxKind::Mail, Ok(reply)) => posted.mail = MailState::Sent { reply },
                (OutboxKind::Mail, Err(error)) if error.next_step() == NextStep::Fail => {
                    posted.mail = MailState::Failed { error: error.to_string() };
                }
                (OutboxKind::Mail, Err(error)) => posted.mail = keep(entry, &error.to_string(), why),
                (_, Ok(_)) => {}
                (_, Err(error)) => posted.warnings.push(format!("{error}; nor can the call wait in the outbox: {why}")),
            }
        }
        posted
    }
}

fn keep(entry: &NewEntry, error: &str, why: &str) -> MailState {
    let error = format!("{error}; nor can it wait in the outbox: {why}");
    match outbox::keep(entry) {
        Ok(()) => MailState::Kept { error },
        Err(keeping) => MailState::Failed { error: format!("{error}; nor be kept in its run's folder: {keeping}") },
    }
}

fn come_of(rows: &[OutboxRow]) -> Posted {
    let mut posted = Posted::only(MailState::NotDue);
    for row in rows {
        if row.kind == OutboxKind::Mail {
            posted.mail = match outbox::mail_state(row) {
                MailState::Queued { error: None } => {
                    let error = "another run was still at it when the `deadline` of `mail` was over".to_owned();
                    MailState::Queued { error: Some(error) }
                }
                known => known,
            };
            let refused = row.refused.iter();
            posted.warnings.extend(refused.map(|one| refusal(&one.recipient, &one.reply)));
        } else if let Some(error) = &row.last_error {
            posted.warnings.push(error.clone());
        }
    }
    posted
}

/// That somebody never gets a mail which others got.
fn refusal(recipient: &str, reply: &str) -> String {
    format!("the server refused the mail for {recipient} ({reply}); check `recipients`, and `cc` and `bcc` of `mail`")
}

/// What is in the outbox now.
struct Queued {
    state_dir: PathBuf,
    ids: Vec<i64>,
}

/// Puts entries into the outbox, together with the end of their run, so that the disk is waited for once. `Err` says why that
/// can't be.
fn queue(history: Option<&HistoryWriter>, entries: &[NewEntry]) -> Result<Queued, String> {
    let history = history.ok_or("no history is kept")?;
    let entries = entries.to_vec();
    let answer = history.ask(When::Recorded, async move |store| store.enqueue(&entries).await);
    let ids = answer.recv().unwrap_or_else(|_| Err("the thread that has the database ended".to_owned()))?;
    Ok(Queued { state_dir: history.state_dir().to_owned(), ids })
}

/// Whoever delivers while the scripts run.
pub(super) struct Postman {
    deadline: Deadline,
    /// Nothing is ever sent here: it closes when the postman has done.
    ended: Receiver<()>,
}

impl Postman {
    /// Has what waits in the outbox delivered while the scripts run, if there is something, and tells web addresses of the
    /// start. Nobody waits for the answer: whether there is something is looked up by the thread that has the database open.
    pub(super) fn start(
        mailing: &Mailing,
        project: &Project,
        history: Option<&HistoryWriter>,
        (run_id, host, run_dir): (&RunId, &str, &Path),
    ) -> Option<Self> {
        let history = history.filter(|_| mailing.may_send(project))?;
        let ping = mailing::start_ping(project, run_id, host, run_dir).filter(|_| mailing.sends);
        let deadline = Deadline::after(Duration::MAX);
        let (end, ended) = channel::<()>();
        let outbox = Outbox::new(history.state_dir().to_owned(), Arc::clone(&mailing.couriers));
        let (project, until) = (project.clone(), deadline.clone());
        // What it says is of no interest: the end of the run finds the same trouble.
        drop(history.ask(When::Now, async move |store| {
            let own = match ping {
                Some(ping) => store.enqueue(&[ping]).await?,
                None if store.is_something_to_deliver().await? => Vec::new(),
                None => return Ok(()),
            };
            let work = move || {
                let _end = end;
                if let Err(error) = outbox.drain(Some(&project), &own, &until, Force::No) {
                    tracing::warn!("the outbox: {error}");
                }
            };
            drop(std::thread::Builder::new().name("postman".into()).spawn(work));
            Ok(())
        }));
        Some(Self { deadline, ended })
    }

    /// Has it finish what it is at, so that it leaves most of the run's own deadline to what the run has to say.
    pub(super) fn hurry(&self, deadline: Duration) {
        let (longest, part) = LAST_FOR_OTHERS;
        self.deadline.bring_forward(longest.min(deadline / part));
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

//! Seeing to runs whose runner died: their end is recorded, they come into the history, and their mail goes out. Whoever
//! does it may die itself: the word of a dead run goes last.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{TimeDelta, Utc};

use super::mailing::{self, Mailing};
use super::options::{History, MailDelivery, Notice, RunOptions, Tell};
use super::planning::{self, When};
use super::recorder;
use super::recording::{RecordError, Recorded, Recording};
use crate::event::{EventKind, EventSink, ReplayError, RunEvent, read_events};
use crate::exec::{self, DeadRun, Masker, ProjectLock, RecoveryLock};
use crate::mail::Deadline;
use crate::model::{MailState, Project, RunId, RunReport, logs_dir};
use crate::plan::{self, Given, Selection};
use crate::sink::{EventsFile, HistoryWriter};
use crate::store::{self, NewEntry, OutboxKind, PastOf};

/// How long a run that is about to begin waits for somebody else who sees to the same project.
const BEFORE: Duration = Duration::from_secs(3);

/// Among how many folders of the newest runs one looks for one that has ended since.
const NEWER: u32 = 100;

/// After how many days a mail that can't be sent is given up.
const GIVE_UP_AFTER_DAYS: i64 = 7;

/// What of the dead runs of a running project is seen to.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// Before its scripts begin: what doesn't wait for others.
    Record,
    /// At its end: their mails too, for which one waits until then. Those whose turn comes later are put into the outbox.
    Mail(Deadline),
}

/// Sees to the runs that died in the slots of a project that is about to run, or has run.
pub(super) async fn recover_own(
    project: &Project,
    part: Part,
    lock: &mut ProjectLock,
    history: Option<&HistoryWriter>,
    options: &RunOptions,
    tell: Tell<'_>,
) {
    if lock.dead().is_empty() {
        return;
    }
    let logs = project.logs_dir();
    let give_up = || options.cancel.cancelled_by().is_some();
    let recording = Recording { root: &project.root, loaded: Some(project), ends_remains: true };
    let patience = match &part {
        Part::Record => BEFORE,
        Part::Mail(deadline) => deadline.left(),
    };
    let recovery = Recovery { recording, part, name: &project.name, history, options, tell };
    match RecoveryLock::acquire(&logs, patience, &give_up) {
        Ok(Some(_alone)) => {
            let mut settled = Vec::new();
            for dead in lock.dead().to_vec() {
                if recovery.see_to(&dead).await {
                    settled.push(dead.run_id);
                }
            }
            recovery.commit();
            settled.iter().for_each(|run_id| lock.settled(run_id));
        }
        Ok(None) if matches!(recovery.part, Part::Record) => {}
        Ok(None) => recovery.trouble("another process sees to the runs that died; they are looked at the next time"),
        Err(error) => recovery.trouble(&format!("cannot see to the runs that died: {error}")),
    }
}

/// Sees to the runs that died in the other projects that this machine knows. Costs a look for a file where none did. Their
/// mails are waited for until the deadline, as in [`Part::Mail`].
pub(crate) fn recover_others(own: &[PathBuf], options: &RunOptions, deadline: &Deadline, tell: Tell<'_>) {
    let History::Shared(history) = &options.history else { return };
    let known = store::remembered_projects(history.state_dir());
    let others = known.into_iter().filter(|root| !own.contains(root));
    let died: Vec<PathBuf> = others.filter(|root| !exec::dead_runs(&logs_dir(root)).is_empty()).collect();
    if died.is_empty() {
        return;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    for root in died {
        if options.cancel.cancelled_by().is_none() {
            runtime.block_on(recover_project(&root, history, options, deadline, tell));
        }
    }
}

async fn recover_project(
    root: &Path,
    history: &HistoryWriter,
    options: &RunOptions,
    deadline: &Deadline,
    tell: Tell<'_>,
) {
    let logs = logs_dir(root);
    // Whoever has it does the same.
    let Ok(Some(_alone)) = RecoveryLock::acquire(&logs, Duration::ZERO, &|| true) else { return };
    let name = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let recording = Recording { root, loaded: None, ends_remains: true };
    let part = Part::Mail(deadline.clone());
    let recovery = Recovery { recording, part, name: &name, history: Some(history), options, tell };
    let mut settled: Vec<RunId> = Vec::new();
    // Asked again: it may have been seen to meanwhile.
    for dead in exec::dead_runs(&logs) {
        if recovery.see_to(&dead).await {
            settled.push(dead.run_id);
        }
    }
    recovery.commit();
    exec::forget(&logs, &settled);
}

struct Recovery<'a> {
    recording: Recording<'a>,
    part: Part,
    name: &'a str,
    history: Option<&'a HistoryWriter>,
    options: &'a RunOptions,
    tell: Tell<'a>,
}

impl Recovery<'_> {
    fn trouble(&self, text: &str) {
        (self.tell)(Notice::Trouble(format!("{}: {text}", self.name)));
    }

    /// Has the history keep what it was told. Before the word of a dead run is taken back: by that word it is found again.
    fn commit(&self) {
        if let Some(Err(error)) = self.history.map(HistoryWriter::finish) {
            self.trouble(&error.sentence());
        }
    }

    /// Does for a run that died what is left to do; true if that is all.
    async fn see_to(&self, dead: &DeadRun) -> bool {
        let DeadRun { run_id, .. } = dead;
        let recorded = match self.recording.record(run_id) {
            Ok(Some(recorded)) => recorded,
            Ok(None) => return true,
            Err(error) => {
                self.trouble(&format!("run {run_id} died and can't be recorded: {error}"));
                // What is no event today will be none tomorrow.
                return matches!(error, RecordError::Read(ReplayError::Malformed { .. } | ReplayError::NoStart { .. }));
            }
        };
        let Recorded { report, is_new, troubles } = recorded;
        for trouble in troubles {
            self.trouble(&format!("run {run_id}: {trouble}"));
        }
        if is_new {
            (self.tell)(Notice::Recorded(format!("{}: {}", self.name, story(&report))));
        }
        let mut history = self.history.map(HistoryWriter::sink);
        let events = report.run_dir.join(EventsFile::NAME);
        let _ = read_events(&events, |event| {
            history.as_mut().map(|history| history.on_event(&event));
        });
        if matches!(self.part, Part::Record) && report.mail.is_none() {
            return false;
        }
        let mut tell = |mail: MailState| {
            if let Some(warning) = mailing::warning(&mail, &report) {
                self.trouble(&format!("run {run_id}: {warning}"));
            }
            let event = RunEvent::now(EventKind::Mail { mail });
            history.as_mut().map(|history| history.on_event(&event));
            let written = EventsFile::open(&report.run_dir).and_then(|mut file| {
                file.on_event(&event)?;
                file.sync()
            });
            if let Err(error) = written {
                self.trouble(&error.sentence());
            }
        };
        let mail = match &report.mail {
            Some(mail) => mail.clone(),
            None => {
                let Some(mail) = self.mail(dead, &report).await else { return false };
                tell(mail.clone());
                mail
            }
        };
        // It may have died before it could say that it has recorded this much.
        if let Some(later) = mailing::settle(self.history, run_id, &mail) {
            tell(later);
        }
        // Also if nobody will know of it: better than a mail each time.
        true
    }

    /// What becomes of the run's mail; `None` if that stays open until the next time.
    async fn mail(&self, dead: &DeadRun, report: &RunReport) -> Option<MailState> {
        if let Some(mail) = mailing::known(self.history, &report.run_id) {
            return Some(mail);
        }
        let project = match self.recording.project_of(report) {
            Ok(project) => project,
            Err(why) => return self.later(report, &format!("the project can't be loaded: {why}")),
        };
        let delivery = match (&self.options.mail, &dead.mail) {
            (_, MailDelivery::Off) => MailDelivery::Off,
            (_, MailDelivery::Folder(folder)) => MailDelivery::Folder(folder.clone()),
            (MailDelivery::Send, MailDelivery::Send) => MailDelivery::Send,
            // Whoever wants no mail sent now has not said that nobody is to get this one.
            (_, MailDelivery::Send) if mailing::is_due(&project, report, self.history) => return None,
            (_, MailDelivery::Send) => return Some(MailState::NotDue),
        };
        match Mailing::of(&project, &delivery, &self.options.history) {
            Ok(mailing) => {
                let mut prepared = mailing.prepare(&project, report, self.history);
                let is_ping = |entry: &NewEntry| entry.kind == OutboxKind::Ping;
                if prepared.entries.iter().any(is_ping) && has_newer_end(report) {
                    // A watchdog would take it for the state of things.
                    prepared.entries.retain(|entry| !is_ping(entry));
                }
                let limit = match &self.part {
                    Part::Record => Duration::ZERO,
                    Part::Mail(deadline) => deadline.left(),
                };
                let posted = mailing.post(prepared, &project, report, self.history, &self.options.cancel, limit).await;
                let mut mail = posted.mail;
                // For its secrets. Inputs that are wrong have none that could be known.
                let inputs = planning::inputs(&project, &Given::default(), When::now()).unwrap_or_default();
                let plan = plan::build(&project, &Selection::default(), inputs, std::env::vars_os());
                if let Some(masker) = plan.ok().and_then(|plan| Masker::new(plan.secrets.forms()).ok().flatten()) {
                    recorder::mask_mail(&masker, &mut mail);
                }
                Some(mail)
            }
            Err(error) => self.later(report, &error.to_string()),
        }
    }

    fn later(&self, report: &RunReport, why: &str) -> Option<MailState> {
        if Utc::now() - report.finished.unwrap_or(report.started) > TimeDelta::days(GIVE_UP_AFTER_DAYS) {
            let error = format!("given up after {GIVE_UP_AFTER_DAYS} days: {why}");
            return Some(MailState::Failed { error });
        }
        self.trouble(&format!("the mail about run {} waits for the next run: {why}", report.run_id));
        None
    }
}

/// Whether a later run of the same project and profile has ended.
fn has_newer_end(report: &RunReport) -> bool {
    let of = PastOf {
        project_dir: report.project_dir.clone(),
        profile: report.profile.clone(),
        before: Utc::now(),
        with_written: true,
    };
    let past = store::past_runs_in_folders(&of, NEWER);
    past.iter().any(|run| run.started > report.started)
}

/// What happened, in a sentence.
fn story(report: &RunReport) -> String {
    use crate::model::Outcome;
    let interrupted = report.scripts.iter().find_map(|script| match &script.outcome {
        Some(Outcome::Interrupted { by }) => Some((by, &script.name)),
        _ => None,
    });
    let began = report.started.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S");
    match interrupted {
        Some((by, script)) => {
            format!("run {} of {began} broke off at {script} ({by}); it is recorded now", report.run_id)
        }
        None => format!("run {} of {began} broke off; it is recorded now", report.run_id),
    }
}

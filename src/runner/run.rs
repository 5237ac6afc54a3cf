//! One run, from the lock to the last commit.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;

use super::mailing::Mailing;
use super::options::{History, RunError, RunOptions, RunOutput};
use super::recorder::Recorder;
use super::script::micros;
use crate::event::{EVENTS_VERSION, EventKind, EventSink, FanOut, ReportFold};
use crate::exec::{Buffers, Cancel, Holder, LockError, ProjectLock};
use crate::model::{Clock, MailState, Project, RunId, RunStatus, SkipReason, SystemClock};
use crate::plan::{self, RunPlan};
use crate::sink::{self, AtEnd, EventsFile, HistoryWriter, LogSink};
use crate::store;

pub(super) fn run_here<'a>(
    project: &'a Project,
    options: RunOptions,
    listener: Option<Box<dyn EventSink + 'a>>,
) -> Result<RunOutput, RunError> {
    let plan = plan::build(project, &options.selection, std::env::vars_os())?;
    let mailing = Mailing::of(project, &options.mail)?;
    let run_id = RunId::random();
    let host = hostname::get().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned());
    let _lock = lock(project, &run_id, &host)?;
    let run_dir = project.runs_dir().join(run_id.as_str());
    std::fs::create_dir_all(&run_dir).map_err(|source| cannot(project, "make the folder", run_dir.clone(), source))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::System)?;
    let run = Run { project, plan: &plan, run_id, host, run_dir, mailing };
    let output = runtime.block_on(run.execute(options, listener));
    // Not dropped, which would wait: on Windows a thread may be reading from a process that was left to go on.
    runtime.shutdown_background();
    output
}

fn cannot(project: &Project, verb: &'static str, path: PathBuf, source: std::io::Error) -> RunError {
    RunError::NothingCanBeWritten { project: project.name.clone(), verb, path, source }
}

/// Who records the run in the state database; `Err` says why nobody does.
fn history_writer(choice: &History) -> Result<Option<Arc<HistoryWriter>>, String> {
    let flag = match choice {
        History::Off => return Ok(None),
        History::Shared(writer) => return Ok(Some(Arc::clone(writer))),
        History::Dir(dir) => Some(dir.as_path()),
        History::Usual => None,
    };
    let dir = store::state_dir(flag, &store::Surroundings::of_process())
        .map_err(|error| format!("{error}; {}", error.hint()))?;
    Ok(Some(Arc::new(HistoryWriter::start(dir, store::OpenOptions::default(), AtEnd::Close))))
}

fn lock(project: &Project, run_id: &RunId, host: &str) -> Result<ProjectLock, RunError> {
    let logs = project.logs_dir();
    std::fs::create_dir_all(&logs).map_err(|source| cannot(project, "make the folder", logs.clone(), source))?;
    let holder = Holder { pid: std::process::id(), host: host.to_owned(), since: Utc::now(), run_id: run_id.clone() };
    ProjectLock::acquire(&logs, &holder).map_err(|error| match error {
        LockError::Io { path, source } => cannot(project, "lock", path, source),
        held => RunError::AlreadyRunning { project: project.name.clone(), source: held },
    })
}

/// One run under way.
pub(super) struct Run<'a> {
    pub(super) project: &'a Project,
    pub(super) plan: &'a RunPlan<'a>,
    pub(super) run_id: RunId,
    host: String,
    pub(super) run_dir: PathBuf,
    mailing: Mailing,
}

impl Run<'_> {
    async fn execute(
        self,
        mut options: RunOptions,
        listener: Option<Box<dyn EventSink + '_>>,
    ) -> Result<RunOutput, RunError> {
        let begin = Instant::now();
        let history = history_writer(&options.history);
        let (history, trouble) = history.map_or_else(|why| (None, Some(why)), |writer| (writer, None));
        let sinks = std::mem::take(&mut options.sinks).into_iter().chain(listener);
        let mut recorder = self.recorder(history.as_deref(), sinks)?;
        recorder.record(self.started());
        if let Some(why) = trouble {
            recorder.warn(why);
        }
        let mut buffers = Buffers::default();
        let mut stopped: Option<SkipReason> = None;
        for (index, step) in self.plan.steps.iter().enumerate() {
            if stopped.is_none() && options.cancel.cancelled_by().is_some() {
                stopped = Some(SkipReason::RunInterrupted);
            }
            if let Some(reason) = &stopped {
                recorder.record(EventKind::ScriptSkipped { index, reason: reason.clone() });
                continue;
            }
            let failed = self.script(index, step, &options, &mut buffers, &mut recorder).await;
            if failed && step.stops_on_failure() {
                stopped = Some(SkipReason::EarlierFailure { script: step.script.name.clone() });
            }
        }
        let status = match (&options.cancel.cancelled_by(), recorder.fold.report()) {
            (Some(_), _) => RunStatus::Interrupted,
            (None, Some(report)) if report.failures().next().is_some() => RunStatus::Failure,
            (None, _) => RunStatus::Success,
        };
        recorder.record(EventKind::RunFinished { status, duration_us: micros(begin.elapsed()), files: Vec::new() });
        self.after(&mut recorder, history.as_deref(), &options.cancel).await;
        let report = recorder.fold.into_report();
        report.map(RunOutput::of).ok_or_else(|| RunError::System(std::io::Error::other("the run never began")))
    }

    fn recorder<'s>(
        &self,
        history: Option<&HistoryWriter>,
        listeners: impl Iterator<Item = Box<dyn EventSink + 's>>,
    ) -> Result<Recorder<'s>, RunError> {
        let events = EventsFile::open(&self.run_dir).map_err(|error| {
            let source = std::io::Error::other(error.sentence());
            cannot(self.project, "write in", self.run_dir.clone(), source)
        })?;
        let log = LogSink::new(
            self.project.log_file(),
            self.project.log_rotation,
            self.project.logs_backup_count,
            self.project.include_traceback,
            self.host.clone(),
            self.run_id.clone(),
            Arc::new(SystemClock),
        );
        let mut sinks = FanOut::default();
        sinks.add(Box::new(events));
        sinks.add(Box::new(log));
        if let Some(history) = history {
            sinks.add(Box::new(history.sink()));
        }
        for sink in listeners {
            sinks.add(sink);
        }
        Ok(Recorder { sinks, fold: ReportFold::default(), warned: HashSet::new() })
    }

    fn started(&self) -> EventKind {
        EventKind::RunStarted {
            version: EVENTS_VERSION,
            run_id: self.run_id.clone(),
            project: self.project.name.clone(),
            project_dir: self.project.root.clone(),
            profile: self.project.profile.clone(),
            host: self.host.clone(),
            pid: std::process::id(),
            process: None,
            runner: env!("CARGO_PKG_VERSION").to_owned(),
            parent: None,
            planned: None,
            log_file: self.project.log_file(),
            run_dir: self.run_dir.clone(),
            scripts: self.plan.planned(),
        }
    }

    /// What comes after the scripts: the run's end is made safe, the mail goes out, old run folders are swept.
    async fn after(&self, recorder: &mut Recorder<'_>, history: Option<&HistoryWriter>, cancel: &Cancel) {
        let Some(report) = recorder.fold.report() else { return };
        if self.mailing.is_due(self.project, report) {
            // Delivery may take its time; what is known must not wait for it.
            commit(recorder, history);
        }
        let Some(report) = recorder.fold.report() else { return };
        let mail = self.mailing.deliver(self.project, report, cancel).await;
        let failed = match &mail {
            MailState::Failed { error } => Some(format!("the mail was not sent: {error}")),
            _ => None,
        };
        recorder.record(EventKind::Mail { mail });
        failed.into_iter().for_each(|message| recorder.warn(message));
        let now = SystemClock.now().into();
        for error in sink::sweep(&self.project.runs_dir(), &self.project.output, now, &self.run_id).errors {
            recorder.warn(format!("{error}: {}", error.source));
        }
        commit(recorder, history);
    }
}

fn commit(recorder: &mut Recorder<'_>, history: Option<&HistoryWriter>) {
    if let Some(Err(error)) = history.map(HistoryWriter::finish) {
        recorder.warn(error.sentence());
    }
}

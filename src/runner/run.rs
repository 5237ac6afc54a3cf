//! One run, from the lock to the last commit.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::files;
use super::locking::{self, Locks};
use super::mailing::{self, Mail, Mailing};
use super::options::{History, RunError, RunOptions, RunOutput, Tell};
use super::pace::Paces;
use super::planning::{self, When};
use super::posting::Postman;
use super::recorder::Recorder;
use super::recovery::Part;
use super::script::micros;
use super::settings_file::SettingsFile;
use super::{recording, recovery};
use crate::event::{EVENTS_VERSION, EventKind, EventSink, FanOut, ReportFold};
use crate::exec::{self, Buffers, Cancel, Masker};
use crate::mail::Deadline;
use crate::model::{Clock, Project, RunId, RunStatus, SkipReason, SystemClock};
use crate::plan::RunPlan;
use crate::sink::{self, AtEnd, EventsFile, HistoryWriter, LogSink};
use crate::store;

/// Runs the project; returns also until when what follows may wait for mails.
pub(super) fn run_here<'a>(
    project: &'a Project,
    mut options: RunOptions,
    listener: Option<Box<dyn EventSink + 'a>>,
    tell: Tell<'_>,
) -> Result<(RunOutput, Deadline), RunError> {
    let mut plan = plan_now(project, &options, Utc::now())?;
    let mailing = Mailing::of(project, &options.mail, &options.history)?;
    let masker = Masker::new(plan.secrets.forms()).map_err(|error| RunError::System(std::io::Error::other(error)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::System)?;
    let run_id = options.run_id.take().unwrap_or_else(RunId::random);
    let host = recording::host();
    let mut locks = runtime.block_on(Locks::take(project, &run_id, &host, &options, tell))?;
    let (history, mut troubles) = match history_writer(&options.history) {
        Ok(history) => (history, Vec::new()),
        Err(why) => (None, vec![why]),
    };
    if let Some(history) = &history {
        store::remember_project(history.state_dir(), &project.root);
    }
    troubles.append(&mut options.warnings);
    if locks.project.is_forced() {
        let what = "the run that has the project's lock is dead, and the system doesn't release the lock";
        troubles.push(format!("{what}; this run goes on without it"));
    }
    runtime.block_on(recovery::recover_own(
        project,
        Part::Record,
        &mut locks.project,
        history.as_deref(),
        &options,
        tell,
    ));
    let begin = Utc::now();
    if !project.params.is_empty() && options.planned.is_none() {
        // It may have waited over midnight.
        plan = plan_now(project, &options, begin)?;
    }
    let run_dir = project.runs_dir().join(run_id.as_str());
    let files_dir = run_dir.join(files::FOLDER);
    let settings = std::fs::create_dir_all(&files_dir)
        .map_err(|source| cannot(project, "make the folder", files_dir.clone(), source))
        .and_then(|()| SettingsFile::of(project, &run_dir));
    let result = match settings {
        Ok(settings) => {
            troubles.extend(settings.as_ref().and_then(SettingsFile::trouble));
            let run = Run {
                project,
                plan: &plan,
                run_id,
                begin,
                host,
                run_dir,
                files_dir,
                settings,
                masker,
                mailing,
                paces: Paces::default(),
            };
            runtime.block_on(run.execute(&mut options, listener, history.as_deref(), troubles))
        }
        Err(error) => Err(error),
    };
    if let (Ok((_, deadline)), None) = (&result, options.cancel.cancelled_by()) {
        runtime.block_on(recovery::recover_own(
            project,
            Part::Mail(deadline.clone()),
            &mut locks.project,
            history.as_deref(),
            &options,
            tell,
        ));
    }
    // Not when this thread panics: then the run has died, as far as others can see.
    locks.release();
    // Not dropped, which would wait: on Windows a thread may be reading from a process that was left to go on.
    runtime.shutdown_background();
    result
}

/// The plan of a run that begins at this time, unless it is planned for another.
fn plan_now<'a>(project: &'a Project, options: &RunOptions, begin: DateTime<Utc>) -> Result<RunPlan<'a>, RunError> {
    let schedule = options.occasion.as_ref().map(|occasion| occasion.schedule.as_str());
    let when = When { at: options.planned.unwrap_or(begin), schedule };
    planning::plan(project, &options.selection, &options.params, when)
}

pub(super) fn cannot(project: &Project, verb: &'static str, path: PathBuf, source: std::io::Error) -> RunError {
    RunError::NothingCanBeWritten { project: project.name.clone(), verb, path, source }
}

/// Who records the run in the state database; `Err` says why nobody does.
fn history_writer(choice: &History) -> Result<Option<Arc<HistoryWriter>>, String> {
    match choice {
        History::Off => return Ok(None),
        History::Shared(writer) => return Ok(Some(Arc::clone(writer))),
        History::Dir(_) | History::Usual => {}
    }
    let dir = locking::state_dir(choice)?;
    Ok(Some(Arc::new(HistoryWriter::start(dir, store::OpenOptions::default(), AtEnd::Close))))
}

/// One run under way.
pub(super) struct Run<'a> {
    pub(super) project: &'a Project,
    pub(super) plan: &'a RunPlan<'a>,
    pub(super) run_id: RunId,
    pub(super) begin: DateTime<Utc>,
    host: String,
    pub(super) run_dir: PathBuf,
    /// Where scripts leave files that belong to the run.
    pub(super) files_dir: PathBuf,
    /// The file with the project's settings, until the scripts are done with.
    pub(super) settings: Option<SettingsFile>,
    /// `None` if there are no secrets.
    pub(super) masker: Option<Masker>,
    mailing: Mailing,
    pub(super) paces: Paces,
}

impl Run<'_> {
    async fn execute(
        mut self,
        options: &mut RunOptions,
        listener: Option<Box<dyn EventSink + '_>>,
        history: Option<&HistoryWriter>,
        troubles: Vec<String>,
    ) -> Result<(RunOutput, Deadline), RunError> {
        let begin = Instant::now();
        let sinks = std::mem::take(&mut options.sinks).into_iter().chain(listener);
        let mut recorder = self.recorder(history, sinks)?;
        self.paces.ask(history, self.project, self.plan);
        let of = (&self.run_id, self.host.as_str(), self.run_dir.as_path());
        let postman = Postman::start(&self.mailing, self.project, history, of);
        recorder.record(self.started(options));
        troubles.into_iter().for_each(|why| recorder.warn(why));
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
            let failed = self.script(index, step, options, &mut buffers, &mut recorder).await;
            if failed && step.stops_on_failure() {
                stopped = Some(SkipReason::EarlierFailure { script: step.script.name.clone() });
            }
        }
        drop(self.settings.take());
        let status = match (&options.cancel.cancelled_by(), recorder.fold.report()) {
            (Some(_), _) => RunStatus::Interrupted,
            (None, Some(report)) if report.failures().next().is_some() => RunStatus::Failure,
            (None, _) => RunStatus::Success,
        };
        let (files, trouble) = files::collect(&self.files_dir);
        trouble.into_iter().for_each(|why| recorder.warn(why));
        recorder.record(EventKind::RunFinished { status, duration_us: micros(begin.elapsed()), files });
        let deadline = Deadline::after(self.project.mail.deadline);
        self.after(&mut recorder, history, postman, &deadline, &options.cancel).await;
        let report = recorder.fold.into_report();
        report
            .map(|report| (RunOutput::of(report), deadline))
            .ok_or_else(|| RunError::System(std::io::Error::other("the run never began")))
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
        Ok(Recorder { sinks, fold: ReportFold::default(), warned: HashSet::new(), masker: self.masker.clone() })
    }

    fn started(&self, options: &RunOptions) -> EventKind {
        EventKind::RunStarted {
            version: EVENTS_VERSION,
            run_id: self.run_id.clone(),
            project: self.project.name.clone(),
            project_dir: self.project.root.clone(),
            profile: self.project.profile.clone(),
            host: self.host.clone(),
            pid: std::process::id(),
            process: Some(exec::of_this_process()),
            runner: env!("CARGO_PKG_VERSION").to_owned(),
            parent: options.parent.clone(),
            planned: options.planned,
            occasion: options.occasion.clone().map(|occasion| occasion.begun(self.begin)),
            params: self.plan.inputs.report(&self.plan.secrets),
            log_file: self.project.log_file(),
            run_dir: self.run_dir.clone(),
            scripts: self.plan.planned(),
        }
    }

    /// What comes after the scripts: the run's end is made safe, the mail goes out, old run folders are swept.
    async fn after(
        &self,
        recorder: &mut Recorder<'_>,
        history: Option<&HistoryWriter>,
        postman: Option<Postman>,
        deadline: &Deadline,
        cancel: &Cancel,
    ) {
        if let Some(postman) = &postman {
            postman.hurry(deadline.left());
        }
        let Some(report) = recorder.fold.report() else { return };
        let mut prepared = self.mailing.prepare(self.project, report, history);
        if matches!(prepared.mail, Mail::Folder(..)) {
            // Writing may take its time; what is known must not wait for it.
            commit(recorder, history);
        }
        std::mem::take(&mut prepared.warnings).into_iter().for_each(|why| recorder.warn(why));
        let Some(report) = recorder.fold.report() else { return };
        let posted = self.mailing.post(prepared, self.project, report, history, cancel, deadline.left()).await;
        let warning = mailing::warning(&posted.mail, report);
        recorder.record(EventKind::Mail { mail: posted.mail.clone() });
        let later = posted.is_queued.then(|| mailing::settle(history, &self.run_id, &posted.mail)).flatten();
        match later {
            Some(mail) => recorder.record(EventKind::Mail { mail }),
            None => warning.into_iter().for_each(|why| recorder.warn(why)),
        }
        posted.warnings.into_iter().for_each(|why| recorder.warn(why));
        let now = SystemClock.now().into();
        for error in sink::sweep(&self.project.runs_dir(), &self.project.output, now, &self.run_id).errors {
            recorder.warn(format!("{error}: {}", error.source));
        }
        commit(recorder, history);
        if let Some(postman) = postman {
            postman.join(cancel).await;
        }
    }
}

fn commit(recorder: &mut Recorder<'_>, history: Option<&HistoryWriter>) {
    if let Some(Err(error)) = history.map(HistoryWriter::finish) {
        recorder.warn(error.sentence());
    }
}

//! Writing the end of a run whose runner died: into its own events, and into the project's log. Everything here may be
//! done again, also after it broke off at any point.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{files, output_name, settings_file};
use crate::config::{self, Environment, LoadRequest};
use crate::event::{EventSink, ReplayError, RunEvent, SinkError, read_events};
use crate::exec::{self, RecoveryLock};
use crate::model::{LogRotation, Outcome, Project, RunId, RunReport, ScriptReport, SystemClock, logs_dir, runs_dir};
use crate::plan;
use crate::sink::{EventsFile, LogSink};
use crate::store::{BrokenOff, Death};

/// How long the processes that a dead run left are waited for.
const REMAINS: Duration = Duration::from_secs(3);
/// How long a reader waits for somebody else who records the same.
const READER: Duration = Duration::from_secs(1);

/// Records the dead runs of one project.
pub(super) struct Recording<'a> {
    /// The project's folder.
    pub(super) root: &'a Path,
    /// The project, if it is loaded already.
    pub(super) loaded: Option<&'a Project>,
    /// Whether what is left of its scripts is ended.
    pub(super) ends_remains: bool,
}

/// A dead run that has its end.
pub(super) struct Recorded {
    pub(super) report: RunReport,
    /// Whether it has it since just now.
    pub(super) is_new: bool,
    /// What could not be done; the rest was.
    pub(super) troubles: Vec<String>,
}

impl Recording<'_> {
    /// Writes what a run lacks: its closing events and, if its last line may be missing in the log, that. `None` if the
    /// run had not begun, of which nothing then is left.
    ///
    /// # Errors
    /// When its events can't be read or written.
    pub(super) fn record(&self, run_id: &RunId) -> Result<Option<Recorded>, RecordError> {
        let run_dir = self.run_dir(run_id);
        let mut told = BrokenOff::default();
        match read_events(&run_dir.join(EventsFile::NAME), |event| told.apply(&event)) {
            Err(ReplayError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            read => read?,
        }
        let Some(report) = told.report() else {
            remove_unbegun(&run_dir);
            return Ok(None);
        };
        settings_file::remove_left(&run_dir);
        let mut troubles = Vec::new();
        let is_new = report.finished.is_none();
        // Also if somebody else has recorded it, who doesn't end anything.
        troubles.extend(self.end_remains(report));
        if is_new {
            let death = self.death(report, &told, &run_dir, &mut troubles);
            let mut events = EventsFile::open(&run_dir)?;
            for event in told.closing(&death) {
                events.on_event(&event)?;
                told.apply(&event);
            }
            events.sync()?;
        }
        if let (Some(start), Some(end)) = (told.start(), told.maybe_unlogged())
            && let Err(error) = self.log(start, end, told.report())
        {
            troubles.push(error.sentence());
        }
        let Some(report) = told.report() else { return Ok(None) };
        // The project may have been moved since.
        let report = RunReport { run_dir, project_dir: self.root.to_owned(), ..report.clone() };
        Ok(Some(Recorded { report, is_new, troubles }))
    }

    pub(super) fn run_dir(&self, run_id: &RunId) -> PathBuf {
        runs_dir(self.root).join(run_id.as_str())
    }

    /// Ends what the script left running that the run broke off at; says what could not be ended.
    fn end_remains(&self, report: &RunReport) -> Option<String> {
        let restarted = report.process.as_ref().is_some_and(exec::restarted_since);
        if !self.ends_remains || report.host != host() || restarted {
            return None;
        }
        let broke_off = |script: &&ScriptReport| match &script.outcome {
            None => script.started.is_some(),
            Some(outcome) => matches!(outcome, Outcome::Interrupted { .. }),
        };
        let script = report.scripts.iter().find(broke_off)?;
        let marker = plan::attempt_marker(&report.run_id, script.index, script.attempts);
        let left = exec::end_remains(&marker, REMAINS);
        (left > 0).then(|| format!("{left} of the processes that it left could not be ended; end them by hand"))
    }

    /// What is known of the runner's death. The output of the script that ran is put together on the way.
    fn death(&self, report: &RunReport, told: &BrokenOff, run_dir: &Path, troubles: &mut Vec<String>) -> Death {
        let mut death = Death::at(told.last_event());
        let process = report.process.as_ref().filter(|_| report.host == host());
        if process.is_some_and(exec::restarted_since) {
            "the machine was restarted".clone_into(&mut death.by);
        }
        let trouble;
        (death.files, trouble) = files::collect(&run_dir.join(files::FOLDER));
        troubles.extend(trouble);
        let Some((index, attempt)) = told.running() else { return death };
        let output = output_file(report, index, attempt);
        let signs = [output.clone(), format!("{output}.tail")];
        let signs = signs.iter().filter_map(|file| std::fs::metadata(run_dir.join(file)).ok()?.modified().ok());
        // A clock that was put back must not make it longer than it was.
        let last_output = signs.map(DateTime::<Utc>::from).filter(|time| *time <= Utc::now()).max();
        death.last_sign = death.last_sign.max(last_output.unwrap_or_default());
        match exec::settle_output(run_dir, &output) {
            Ok((output, last_lines)) => (death.output, death.last_lines) = (output, last_lines),
            Err(error) => troubles.push(format!("cannot put together {}: {error}", run_dir.join(output).display())),
        }
        death
    }

    /// Sees to the line of the script that ended last.
    fn log(&self, start: &RunEvent, end: &RunEvent, report: Option<&RunReport>) -> Result<(), SinkError> {
        let Some(report) = report else { return Ok(()) };
        let project = self.project_of(report).ok();
        let logs = logs_dir(self.root);
        let folder = report.profile.iter().fold(logs, |folder, profile| folder.join(profile));
        let name = report.log_file.file_name().unwrap_or_default();
        // Without the project's settings nothing is archived, and nothing more said than that it failed.
        let (rotation, backups, include_traceback) =
            project.as_deref().map_or((LogRotation::Size(u64::MAX), 0, false), |project| {
                (project.log_rotation, project.logs_backup_count, project.include_traceback)
            });
        let mut log = LogSink::new(
            folder.join(name),
            rotation,
            backups,
            include_traceback,
            report.host.clone(),
            report.run_id.clone(),
            Arc::new(SystemClock),
        );
        log.on_event(start)?;
        log.complete(end)
    }

    /// The project as a run of it had it: with the run's profile. `Err` says why it can't be loaded.
    pub(super) fn project_of(&self, report: &RunReport) -> Result<Cow<'_, Project>, String> {
        if let Some(project) = self.loaded.filter(|project| project.profile == report.profile) {
            return Ok(Cow::Borrowed(project));
        }
        let env = Environment::from_process();
        let request = LoadRequest { project: self.root, profile: report.profile.as_deref(), env: &env };
        let loaded = config::load(&request).map_err(|error| {
            let problems: Vec<String> = error.problems.iter().map(config::Problem::plain).collect();
            problems.join("; ")
        })?;
        Ok(Cow::Owned(loaded.project))
    }
}

/// Why a dead run could not be recorded.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    /// Its events can't be read.
    #[error(transparent)]
    Read(#[from] ReplayError),
    /// Its events can't be written.
    #[error("{}", .0.sentence())]
    Write(SinkError),
}

impl From<SinkError> for RecordError {
    fn from(error: SinkError) -> Self {
        Self::Write(error)
    }
}

pub(super) use crate::exec::host;

/// The file that the output of an attempt goes to.
fn output_file(report: &RunReport, index: usize, attempt: u32) -> String {
    let script = report.scripts.get(index).map(|script| script.script.as_str()).unwrap_or_default();
    // The file names of either system: a run may have come from the other.
    output_name(index, script.rsplit(['/', '\\']).next().unwrap_or_default(), attempt)
}

/// Whether a run's folder tells of nothing: its runner died before it could write the first event.
pub(crate) fn never_began(run_dir: &Path) -> bool {
    std::fs::read(run_dir.join(EventsFile::NAME))
        .map_or_else(|error| error.kind() == std::io::ErrorKind::NotFound, |events| !events.contains(&b'\n'))
}

/// Deletes the folder of a run that had not begun, as far as nothing else is in it.
fn remove_unbegun(run_dir: &Path) {
    if never_began(run_dir) {
        let _ = std::fs::remove_file(run_dir.join(EventsFile::NAME));
        settings_file::remove_left(run_dir);
        let _ = std::fs::remove_dir(run_dir.join(files::FOLDER));
        let _ = std::fs::remove_dir(run_dir);
    }
}

/// Whether the runner of a run without an end lives. If it doesn't, the run's end is written as far as that is possible:
/// all but its mail, which is for the next run to send.
pub(crate) fn lives_or_record(report: &RunReport) -> bool {
    let logs = logs_dir(&report.project_dir);
    if exec::lives(&logs, &report.run_id, report.process.as_ref()) {
        return true;
    }
    // A folder that can't be written is read all the same.
    if let Ok(Some(_lock)) = RecoveryLock::acquire(&logs, READER, &|| false) {
        let recording = Recording { root: &report.project_dir, loaded: None, ends_remains: false };
        match recording.record(&report.run_id) {
            Ok(recorded) => {
                for trouble in recorded.into_iter().flat_map(|recorded| recorded.troubles) {
                    tracing::warn!("run {}: {trouble}", report.run_id);
                }
            }
            Err(error) => tracing::warn!("run {}: {error}", report.run_id),
        }
    }
    false
}

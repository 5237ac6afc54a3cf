//! The sink: for each script that was tried, its line.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::file::{LogError, LogFile};
use super::line::LogLine;
use crate::event::{EventKind, EventSink, RunEvent, SinkError};
use crate::model::{Clock, LogRotation, Outcome, RunId};

/// Writes the project's log: a line a script, after its last attempt. Skipped scripts have none.
pub struct LogSink {
    file: LogFile,
    include_traceback: bool,
    host: String,
    run_id: RunId,
    clock: Arc<dyn Clock>,
    /// By place in the plan; known from the run's start.
    file_names: Vec<String>,
}

impl LogSink {
    /// The log `log_file` of a project, for one run. Nothing is opened before the first line; the folder is made if
    /// need be. `backup_count` archives are kept, 0 keeps all. With `include_traceback` the line of a failure ends with
    /// its traceback or, lacking one, with its end.
    #[must_use]
    pub fn new(
        log_file: PathBuf,
        rotation: LogRotation,
        backup_count: u32,
        include_traceback: bool,
        host: String,
        run_id: RunId,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let file = LogFile::new(log_file, rotation, backup_count);
        Self { file, include_traceback, host, run_id, clock, file_names: Vec::new() }
    }

    /// Writes the line of a script's end unless the log has it. For a run whose runner died, perhaps between the event and
    /// its line, or within the line.
    ///
    /// # Errors
    /// As [`EventSink::on_event`].
    pub fn complete(&mut self, event: &RunEvent) -> Result<(), SinkError> {
        let Some(line) = Finished::of(event).map(|finished| self.line(&finished)).transpose()? else { return Ok(()) };
        if self.file.mend(&line).map_err(with_hint)? {
            return Ok(());
        }
        self.file.append(&line, self.clock.as_ref()).map_err(with_hint)
    }

    fn line(&self, finished: &Finished<'_>) -> Result<String, SinkError> {
        let Some(file_name) = self.file_names.get(finished.index) else {
            return Err(SinkError {
                what: format!("cannot log the end of script {}: the run's start doesn't name it", finished.index),
                source: None,
            });
        };
        let success = finished.outcome.is_success();
        let detail = (self.include_traceback && !success).then(|| match finished.traceback {
            Some(traceback) if !traceback.trim().is_empty() => traceback.into(),
            _ => finished.outcome.to_string().into(),
        });
        Ok(LogLine {
            time: self.clock.local_at(finished.time).naive_local(),
            host: self.host.as_str().into(),
            run_id: self.run_id.clone(),
            minutes: finished.duration_us as f64 / 60e6,
            file_name: file_name.as_str().into(),
            success,
            detail,
        }
        .to_string())
    }
}

struct Finished<'a> {
    time: DateTime<Utc>,
    index: usize,
    outcome: &'a Outcome,
    duration_us: u64,
    traceback: Option<&'a str>,
}

impl<'a> Finished<'a> {
    /// What an event has for the log, if anything.
    fn of(event: &'a RunEvent) -> Option<Self> {
        match &event.kind {
            EventKind::ScriptFinished { outcome: Outcome::Skipped { .. }, .. } => None,
            // One line a script, after its last attempt.
            EventKind::ScriptFinished { retry_after_us: Some(_), .. } => None,
            EventKind::ScriptFinished { index, outcome, duration_us, traceback, .. } => Some(Self {
                time: event.time,
                index: *index,
                outcome,
                duration_us: *duration_us,
                traceback: traceback.as_deref(),
            }),
            _ => None,
        }
    }
}

fn with_hint(error: LogError) -> SinkError {
    let what = format!("{error} ({})", error.hint());
    match error {
        LogError::Append { source, .. }
        | LogError::Lock { source, .. }
        | LogError::Archive { source, .. }
        | LogError::Delete { source, .. } => SinkError::new(what, source),
    }
}

impl EventSink for LogSink {
    fn on_event(&mut self, event: &RunEvent) -> Result<(), SinkError> {
        if let EventKind::RunStarted { scripts, .. } = &event.kind {
            self.file_names = scripts.iter().map(|script| script.file_name.clone()).collect();
        }
        let Some(line) = Finished::of(event).map(|finished| self.line(&finished)).transpose()? else { return Ok(()) };
        self.file.append(&line, self.clock.as_ref()).map_err(with_hint)
    }
}

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

    fn write(&mut self, finished: &Finished<'_>) -> Result<(), SinkError> {
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
        let line = LogLine {
            time: self.clock.local_at(finished.time).naive_local(),
            host: self.host.as_str().into(),
            run_id: self.run_id.clone(),
            minutes: finished.duration_us as f64 / 60e6,
            file_name: file_name.as_str().into(),
            success,
            detail,
        };
        self.file.append(&line.to_string(), self.clock.as_ref()).map_err(with_hint)
    }
}

struct Finished<'a> {
    time: DateTime<Utc>,
    index: usize,
    outcome: &'a Outcome,
    duration_us: u64,
    traceback: Option<&'a str>,
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
        match &event.kind {
            EventKind::RunStarted { scripts, .. } => {
                self.file_names = scripts.iter().map(|script| script.file_name.clone()).collect();
                Ok(())
            }
            // Its line is that of its last attempt.
            EventKind::ScriptFinished { outcome: Outcome::Skipped { .. }, .. }
            | EventKind::ScriptFinished { retry_after_us: Some(_), .. } => Ok(()),
            EventKind::ScriptFinished { index, outcome, duration_us, traceback, .. } => self.write(&Finished {
                time: event.time,
                index: *index,
                outcome,
                duration_us: *duration_us,
                traceback: traceback.as_deref(),
            }),
            _ => Ok(()),
        }
    }
}

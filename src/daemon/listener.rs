//! What a daemon tells of each of its runs: that it begins, and how it went.

use std::time::Duration;

use super::word::{Tell, Weight, Word, plain, warning};
use crate::event::{EventKind, EventSink, RunEvent, SinkError};
use crate::model::{Outcome, RunStatus, format_duration};

/// How far a run has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A script is being started.
    AtScripts,
    /// All scripts have ended.
    Done,
}

/// Listens to one run.
pub(super) struct Listener<'a> {
    tell: &'a Tell,
    /// Hears how far it has got.
    heard: &'a (dyn Fn(Stage) + Sync),
    project: String,
    scripts: Vec<String>,
    failed: Vec<String>,
}

impl<'a> Listener<'a> {
    pub(super) fn new(project: &str, tell: &'a Tell, heard: &'a (dyn Fn(Stage) + Sync)) -> Self {
        Self { tell, heard, project: project.to_owned(), scripts: Vec::new(), failed: Vec::new() }
    }

    fn finished(&self, status: RunStatus, duration_us: u64) {
        let duration = format_duration(Duration::from_micros(duration_us));
        let total = self.scripts.len();
        let (weight, verdict) = match status {
            RunStatus::Success if total == 1 => (Weight::Good, "the script succeeded".to_owned()),
            RunStatus::Success => (Weight::Good, format!("all {total} scripts succeeded")),
            RunStatus::Interrupted => (Weight::Bad, "interrupted".to_owned()),
            _ => (Weight::Bad, format!("{} of {total} failed ({})", self.failed.len(), self.failed.join(", "))),
        };
        (self.tell)(Word { weight, text: format!("{}: {verdict} in {duration}", self.project) });
    }
}

impl EventSink for Listener<'_> {
    fn on_event(&mut self, event: &RunEvent) -> Result<(), SinkError> {
        match &event.kind {
            EventKind::RunStarted { run_id, scripts, planned, occasion, .. } => {
                self.scripts = scripts.iter().map(|script| script.name.clone()).collect();
                let planned =
                    planned.map(|at| at.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S").to_string());
                let planned = planned.map_or_else(String::new, |at| format!(" (planned {at})"));
                let merged = occasion.as_ref().map_or(0, |occasion| occasion.merged);
                let merged = if merged > 0 { format!(", for {merged} before it too") } else { String::new() };
                (self.tell)(plain(format!("{}: begins{planned}{merged}, run {run_id}", self.project)));
            }
            EventKind::ScriptStarted { .. } => (self.heard)(Stage::AtScripts),
            EventKind::ScriptFinished { index, outcome, retry_after_us: None, .. } if outcome.is_failure() => {
                let name = self.scripts.get(*index).map_or("?", String::as_str);
                let end = match outcome {
                    Outcome::Interrupted { .. } => return Ok(()),
                    end => end.to_string(),
                };
                self.failed.push(format!("{name}: {end}"));
            }
            EventKind::Warning { message } => (self.tell)(warning(format!("{}: {message}", self.project))),
            EventKind::RunFinished { status, duration_us, .. } => {
                (self.heard)(Stage::Done);
                self.finished(*status, *duration_us);
            }
            _ => {}
        }
        Ok(())
    }
}

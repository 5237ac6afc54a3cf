//! The events, and their form in `events.jsonl`: one JSON object a line, with `time`, `event` and the event's fields.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::{
    AttachedFile, Leaked, MailState, Occasion, Outcome, OutputSummary, Parent, ProcessIdentity, RunId, RunParam,
    RunStatus, SkipReason, Usage, Usual,
};

/// The file in a run's folder that tells what happened.
pub const EVENTS_FILE: &str = "events.jsonl";

/// Version of the form of `events.jsonl`; it stands in each `run_started`. A larger one is refused politely.
pub const EVENTS_VERSION: u32 = 1;

/// Why stored events could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is no event. A torn last line is not an error: the runner died while writing it.
    #[error("{}:{line}: not an event", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A newer version of the runner wrote it.
    #[error("{} has events of version {found}; this runner reads up to {EVENTS_VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: u32,
    },
    /// It does not begin with the start of a run.
    #[error("{} does not begin with the start of a run", path.display())]
    NoStart {
        /// The file.
        path: PathBuf,
    },
}

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// When, by the machine's clock.
    pub time: DateTime<Utc>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl RunEvent {
    /// An event that happens now.
    #[must_use]
    pub fn now(kind: EventKind) -> Self {
        Self { time: Utc::now(), kind }
    }
}

/// A script as the plan has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedScript {
    /// How reports call it.
    pub name: String,
    /// As the project file writes it.
    pub script: String,
    /// The file's name, as the log line shows it.
    pub file_name: String,
    /// Which time it stands in the project, from 1.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub occurrence: usize,
}

fn first() -> usize {
    1
}

fn is_first(occurrence: &usize) -> bool {
    *occurrence == 1
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The run begins. Always the first event.
    RunStarted {
        /// [`EVENTS_VERSION`].
        version: u32,
        /// Which run.
        run_id: RunId,
        /// The project's name.
        project: String,
        /// The project's folder.
        project_dir: PathBuf,
        /// The profile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
        /// The machine.
        host: String,
        /// The runner's process id.
        pid: u32,
        /// What tells the runner's process from others with its id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<ProcessIdentity>,
        /// The runner's version.
        runner: String,
        /// The run that it follows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
        /// For when it was planned; none if it was started by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        planned: Option<DateTime<Utc>>,
        /// What else is known of that, if a schedule planned it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        occasion: Option<Occasion>,
        /// What its declared inputs are.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        params: Vec<RunParam>,
        /// The log file.
        log_file: PathBuf,
        /// The run's folder.
        run_dir: PathBuf,
        /// What will run, in order; later events name scripts by their place here.
        scripts: Vec<PlannedScript>,
    },
    /// An attempt at a script begins.
    ScriptStarted {
        /// The script's place in the plan.
        index: usize,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// An attempt at a script ended, or could not begin.
    ScriptFinished {
        /// The script's place in the plan.
        index: usize,
        /// Which attempt, from 1.
        attempt: u32,
        /// How.
        outcome: Outcome,
        /// The process id it had; `None` if it never ran.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
        /// How long it took, by the monotonic clock, in microseconds.
        duration_us: u64,
        /// What it used.
        usage: Usage,
        /// What it printed.
        output: OutputSummary,
        /// The Python traceback of a failure, at most 16 KiB.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traceback: Option<String>,
        /// The last lines that a failure printed, at most 16 KiB; only where there is no traceback.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_lines: Option<String>,
        /// Processes that outlived it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        leaked: Vec<Leaked>,
        /// How long it took beside what is usual for it, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usual: Option<Usual>,
        /// After how many microseconds it is tried again; none if this was the last attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_us: Option<u64>,
    },
    /// A script is not tried.
    ScriptSkipped {
        /// The script's place in the plan.
        index: usize,
        /// Why.
        reason: SkipReason,
    },
    /// Something beside the scripts went wrong; the run goes on.
    Warning {
        /// What, where, and what to do.
        message: String,
    },
    /// All scripts are done with.
    RunFinished {
        /// How.
        status: RunStatus,
        /// How long it took, by the monotonic clock, in microseconds.
        duration_us: u64,
        /// Files that its scripts attached to it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<AttachedFile>,
    },
    /// What became of the mail. May come after `run_finished`.
    Mail {
        /// What.
        mail: MailState,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object() {
        let event = RunEvent {
            time: DateTime::from_timestamp(1_732_697_518, 954_000_000).unwrap(),
            kind: EventKind::ScriptSkipped { index: 2, reason: SkipReason::EarlierFailure { script: "a.py".into() } },
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"time":"2024-11-27T08:51:58.954Z","event":"script_skipped","index":2,"reason":{"why":"earlier_failure","script":"a.py"}}"#
        );
        assert_eq!(serde_json::from_str::<RunEvent>(&text).unwrap(), event);
    }
}

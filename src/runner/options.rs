//! What a run is asked for, and what it answers.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use thiserror::Error;

use crate::event::EventSink;
use crate::exec::{self, Cancel, LockError, Spawn};
use crate::mail::MailSettingsError;
pub use crate::model::MailDelivery;
use crate::model::{Occasion, Parent, RunId, RunReport};
use crate::plan::{BadInput, Given, SelectError, Selection};
use crate::sink::HistoryWriter;

/// Where the run is recorded beside its own folder.
#[derive(Debug, Clone, Default)]
pub enum History {
    /// In the state database of the folder that `RUNNER_STATE_DIR` names, else of the usual one.
    #[default]
    Usual,
    /// In the state database of this folder.
    Dir(PathBuf),
    /// By a writer that several runs of this process share.
    Shared(Arc<HistoryWriter>),
    /// Nowhere. Its folder can be imported later.
    Off,
}

/// Something that happens around runs and is no event of theirs, in a sentence that begins with the project's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The run waits for others.
    Waiting(String),
    /// A run that died was recorded.
    Recorded(String),
    /// Something about a run that died could not be done.
    Trouble(String),
}

/// Hears [`Notice`]s.
pub(crate) type Tell<'a> = &'a dyn Fn(Notice);

/// To the log of the program that calls.
pub(super) fn trace(notice: Notice) {
    match notice {
        Notice::Waiting(text) | Notice::Recorded(text) => tracing::info!("{text}"),
        Notice::Trouble(text) => tracing::warn!("{text}"),
    }
}

/// How to run a project.
pub struct RunOptions {
    /// Which of its scripts.
    pub selection: Selection,
    /// What is said of its declared inputs.
    pub params: Given,
    /// What becomes of the mail.
    pub mail: MailDelivery,
    /// Where the run is recorded.
    pub history: History,
    /// Who owns the scripts' processes. The default starts them as children of this process.
    pub spawner: Arc<dyn Spawn>,
    /// Interrupts the run.
    pub cancel: Cancel,
    /// Further listeners to the run's events.
    pub sinks: Vec<Box<dyn EventSink>>,
    /// The run that it follows.
    pub parent: Option<Parent>,
    /// For when it was planned; none if it is started by hand. One that follows another does the work of that one's time.
    pub planned: Option<DateTime<Utc>>,
    /// What else is known of that, if a schedule planned it.
    pub occasion: Option<Occasion>,
    /// How many runs may be under way at once, of all that share the state folder; this one waits for its place. `None`: any
    /// number.
    pub max_runs: Option<u32>,
    /// The run's id; `None` makes one. It must never have been used.
    pub run_id: Option<RunId>,
    /// What whoever asks has found wrong beside, in sentences: warnings of the run.
    pub warnings: Vec<String>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            params: Given::default(),
            mail: MailDelivery::default(),
            history: History::default(),
            spawner: exec::default_spawner(),
            cancel: Cancel::default(),
            sinks: Vec::new(),
            parent: None,
            planned: None,
            occasion: None,
            max_runs: None,
            run_id: None,
            warnings: Vec::new(),
        }
    }
}

/// Why a project was not run. Nothing of it was started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A script was asked for that the project doesn't have.
    #[error("{0}; {hint}", hint = .0.hint())]
    Select(#[from] SelectError),
    /// Its declared inputs can't be what they are said to be.
    #[error("{}", .problems.iter().map(|problem| format!("{project}: {problem}")).collect::<Vec<_>>().join("\n"))]
    Inputs {
        /// The project's name.
        project: String,
        /// All that is wrong; at least one.
        problems: Vec<BadInput>,
    },
    /// A mail may be due, and there is no way to send one.
    #[error("{0}")]
    Mail(#[from] MailSettingsError),
    /// Another run of the project is under way, or another project has a lock that this one needs.
    #[error("{project}: {source}{at}; nothing was run", at = at.as_ref().map(|at| format!("; it is at {at}")).unwrap_or_default())]
    AlreadyRunning {
        /// The project's name.
        project: String,
        /// Who runs it.
        source: LockError,
        /// What that run is at, as far as can be told.
        at: Option<String>,
    },
    /// It was interrupted before it began.
    #[error("{project}: not started: {by}")]
    Interrupted {
        /// The project's name.
        project: String,
        /// What interrupted it.
        by: String,
    },
    /// It needs locks that are shared with other projects, and there is no folder for them.
    #[error("{project}: the locks that it shares with other projects can't be used: {why}; nothing was run")]
    NoPlaceForLocks {
        /// The project's name.
        project: String,
        /// Why, and what to do.
        why: String,
    },
    /// Its folder was deleted since it was read, or its disk is away.
    #[error("{project}: its folder isn't there any more: {}; nothing was run", root.display())]
    Gone {
        /// The project's name.
        project: String,
        /// Its folder.
        root: PathBuf,
    },
    /// The run could leave nothing behind.
    #[error("{project}: cannot {verb} {}: {source}; make the folder writable for this account", path.display())]
    NothingCanBeWritten {
        /// The project's name.
        project: String,
        /// What was tried.
        verb: &'static str,
        /// With which folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gave no thread, or no means to wait.
    #[error("cannot start working: {0}")]
    System(std::io::Error),
}

/// What one script came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScriptResult {
    /// The script, as the project file writes it.
    pub script: String,
    /// Whether it succeeded.
    pub success: bool,
    /// How long it took, in minutes.
    pub execution_time: f64,
    /// The traceback of a failure, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOutput {
    /// A result for each script that was tried, in running order.
    pub results: Vec<ScriptResult>,
    /// All that is known of the run.
    pub report: RunReport,
}

impl RunOutput {
    pub(super) fn of(report: RunReport) -> Self {
        let tried = report.scripts.iter().filter(|script| script.attempts > 0);
        let results = tried.map(|script| ScriptResult {
            script: script.script.clone(),
            success: script.success(),
            execution_time: script.execution_time(),
            traceback: script.traceback.clone(),
        });
        Self { results: results.collect(), report }
    }
}

//! What a project's author decides: when to mail, when to stop, how much to keep.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a summary is mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmailStrategy {
    /// After every run, with successes and failures of each script.
    All,
    /// Only after a run in which a script failed, and only those scripts are mentioned.
    FailureOnly,
    /// Never.
    None,
}

impl EmailStrategy {
    /// Every strategy with the word that names it in a project file.
    pub const NAMES: [(&'static str, Self); 3] =
        [("all", Self::All), ("failure_only", Self::FailureOnly), ("none", Self::None)];

    /// The word that names it in a project file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::FailureOnly => "failure_only",
            Self::None => "none",
        }
    }
}

/// What happens to the scripts after one that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// They run all the same.
    #[default]
    Continue,
    /// They are skipped, and the report says why.
    Stop,
}

/// When the log file is archived and a new one begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogRotation {
    /// At the first write that comes this long after the file's first record.
    Interval(Duration),
    /// Before the write that would make the file larger than this many bytes.
    Size(u64),
}

impl Default for LogRotation {
    fn default() -> Self {
        Self::Interval(Duration::from_secs(3 * 24 * 3600))
    }
}

/// How much of what the scripts print is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPolicy {
    /// Bytes kept from the beginning of each script's output.
    pub first: u64,
    /// Bytes kept from its end.
    pub last: u64,
    /// Run folders younger than this many days are kept.
    pub keep_days: u32,
    /// So many of the newest run folders are kept whatever their age.
    pub keep_runs: u32,
}

impl Default for OutputPolicy {
    fn default() -> Self {
        Self { first: 1024 * 1024, last: 4 * 1024 * 1024, keep_days: 30, keep_runs: 20 }
    }
}

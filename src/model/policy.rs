//! What a project's author decides: when to stop, when to try again, how much to keep.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// What becomes of descendants that outlive their script, or hold its output open, past the leak deadline. They are named
/// in the report in each case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLeak {
    /// They are ended.
    #[default]
    End,
    /// They go on, also when the runner ends or dies.
    Leave,
    /// They are ended, and the script counts as failed.
    Fail,
}

/// How often, when and after what a failed script is tried again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RetryPolicy {
    /// Further attempts after the first; 0 is none.
    pub count: u32,
    /// How the pauses between attempts grow.
    pub backoff: Backoff,
    /// The first pause.
    pub delay: Duration,
    /// No pause is longer.
    pub max_delay: Option<Duration>,
    /// By how much a pause may be lengthened at random.
    pub jitter: Jitter,
    /// Which failures are tried again; `None` is any but an interruption.
    pub on: Option<RetryOn>,
}

/// How the pauses between attempts grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// They don't.
    #[default]
    Fixed,
    /// Each is twice the one before.
    Exponential,
}

/// By how much a pause may be lengthened at random, so that many clients of one server don't come back together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Jitter {
    /// By up to this share of it, 0 to 1.
    Share(f64),
    /// By up to this time.
    UpTo(Duration),
}

impl Default for Jitter {
    fn default() -> Self {
        Self::Share(0.0)
    }
}

/// The failures after which a script is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetryOn {
    /// These exit codes.
    pub exit_codes: Vec<u32>,
    /// Its timeout.
    pub timeout: bool,
}

/// What happens when a project is to run that is running already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// So many of its runs may be under way at once, at least 1.
    pub allow: u32,
    /// How long a run waits for its turn; `None`: not at all, it is skipped.
    pub wait: Option<Duration>,
}

impl Default for Overlap {
    fn default() -> Self {
        Self { allow: 1, wait: None }
    }
}

/// What must be true after a script although its exit code says success.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expectation {
    /// This file is there. Absolute.
    pub file: Option<PathBuf>,
    /// The file was written: by this attempt, or not longer ago than some time.
    pub fresh: Option<Freshness>,
    /// The file has at least one byte.
    pub not_empty: bool,
    /// The file has at least so many lines that aren't blank, a header among them.
    pub min_rows: Option<u64>,
    /// A line of the output matches this regular expression, which was compiled before.
    pub output: Option<String>,
}

/// How new a file must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Written since the attempt began.
    SinceStart,
    /// Written at most so long before the attempt's end.
    Within(Duration),
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

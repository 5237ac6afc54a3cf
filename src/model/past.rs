//! Runs of the past, as far as a mail about the present one tells of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{MailState, Outcome, RunId, RunStatus};

/// A run that is over, or was cut off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastRun {
    /// Which.
    pub run_id: RunId,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended; `None` if nobody knows.
    pub finished: Option<DateTime<Utc>>,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// How it went.
    pub status: RunStatus,
    /// What became of its mail; `None` if that isn't known (yet).
    pub mail: Option<MailState>,
    /// Its scripts, in running order.
    pub scripts: Vec<PastScript>,
}

/// One script of a past run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastScript {
    /// The script, as the project file writes it: what it goes by from run to run.
    pub script: String,
    /// How reports call it.
    pub name: String,
    /// How it ended; `None` if it never did.
    pub outcome: Option<Outcome>,
    /// How long its last attempt took, in microseconds.
    pub duration_us: u64,
}

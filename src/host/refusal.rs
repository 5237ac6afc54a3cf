//! Why a schedule can't be an entry of a system's scheduler.

use thiserror::Error;

/// Why a schedule can't be an entry of a system's scheduler: an entry that means almost the same is not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}; {remedy}")]
pub struct Refusal {
    /// What the scheduler can't do.
    pub reason: String,
    /// What to do instead.
    pub remedy: String,
}

impl Refusal {
    /// With the remedy that always helps.
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self::with(reason, "`runner daemon` keeps every schedule")
    }

    pub(super) fn with(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }
}

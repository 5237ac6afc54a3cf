//! What becomes of a planned instant. Each gets exactly one answer.

use serde::{Deserialize, Serialize};

/// What kept a run from beginning when it was planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hindrance {
    /// The machine was off.
    MachineOff,
    /// The machine was suspended.
    MachineAsleep,
    /// No daemon was running.
    DaemonOff,
    /// The system's own scheduler didn't start it.
    HostIdle,
    /// Other runs had to end first.
    Busy,
    /// It was tried, and the project couldn't be run at all.
    CouldNotRun,
    /// The clock was set forward over it.
    ClockSet,
}

impl Hindrance {
    /// In words, as they follow a colon.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::MachineOff => "the machine was off",
            Self::MachineAsleep => "the machine was asleep",
            Self::DaemonOff => "no daemon was running",
            Self::HostIdle => "the system's scheduler didn't start it",
            Self::Busy => "other runs had to end first",
            Self::CouldNotRun => "it couldn't be run",
            Self::ClockSet => "the clock was set forward",
        }
    }
}

/// Why a planned instant was left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipCause {
    /// The project was running, and its `overlap` has it so.
    Overlap,
    /// The schedule was paused.
    Paused,
}

/// What became of a planned instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// A run began in time.
    Ran,
    /// A run began, but not in time.
    Late(Hindrance),
    /// It was left out on purpose.
    Skipped(SkipCause),
    /// It should have run, and didn't.
    Missed(Hindrance),
    /// A run for a later instant, or one that waited, stands for it too.
    Merged,
}

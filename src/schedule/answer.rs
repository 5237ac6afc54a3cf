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

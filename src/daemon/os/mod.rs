//! What differs between systems: an alarm by the wall clock, and how the machine's own service manager is spoken to.

#[cfg(not(any(target_os = "linux", windows)))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
#[path = "systemd.rs"]
pub(super) mod manager;
#[cfg(windows)]
pub(super) mod windows;

use std::time::Duration;

#[cfg(not(any(target_os = "linux", windows)))]
pub(super) use elsewhere::{Alarm, clocks};
#[cfg(target_os = "linux")]
pub(super) use linux::{Alarm, clocks};
#[cfg(windows)]
pub(super) use windows::{Alarm, clocks, manager};

/// What clocks say that nobody sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clocks {
    /// How long the machine has been awake since it was started.
    pub(super) awake: Duration,
    /// How long ago it was started; `None` where that can't be told, nor whether it slept.
    pub(super) up: Option<Duration>,
}

/// Why an [`Alarm`] rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rang {
    /// Its instant has come.
    Time,
    /// The clock was set, or the machine woke up: what was reckoned with the clock has to be reckoned anew.
    ClockSet,
}

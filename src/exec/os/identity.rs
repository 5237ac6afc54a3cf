//! What tells a process from all others, and whether it lives.

use std::sync::OnceLock;
use std::time::Duration;

use super::identity_system as system;
use crate::model::ProcessIdentity;

/// What is known of a process's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::exec) enum Life {
    /// It lives.
    Lives,
    /// It was killed and is about to be gone.
    #[cfg_attr(not(any(target_os = "linux", windows)), allow(dead_code))]
    Ending,
    /// It is gone, although another may have its id.
    Gone,
    /// Its id counts in another part of the machine, as a container is one: nothing is known of it.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    Elsewhere,
}

/// This process.
#[must_use]
pub fn of_this_process() -> ProcessIdentity {
    static THIS: OnceLock<ProcessIdentity> = OnceLock::new();
    THIS.get_or_init(system::of_this_process).clone()
}

/// Whether a process of this machine lives. One that has ended and only waits to be reaped doesn't, nor does one whose
/// id counts in another part of the machine.
#[must_use]
pub fn is_alive(process: &ProcessIdentity) -> bool {
    matches!(life(process), Life::Lives | Life::Ending)
}

/// Whether this machine was started anew since the process began.
#[must_use]
pub fn restarted_since(process: &ProcessIdentity) -> bool {
    system::restarted_since(process)
}

/// For how long this machine has been on, suspended or not; `None` where that isn't known.
#[must_use]
pub fn since_boot() -> Option<Duration> {
    system::since_boot()
}

pub(in crate::exec) fn life(process: &ProcessIdentity) -> Life {
    system::life(process)
}

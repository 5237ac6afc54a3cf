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

/// Whether a process of this machine is known to be gone. Of one whose id counts in another part of the machine nothing is
/// known.
#[must_use]
pub fn is_gone(process: &ProcessIdentity) -> bool {
    life(process) == Life::Gone
}

/// This machine's name.
#[must_use]
pub fn host() -> String {
    hostname::get().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// For how long the machine has been on, the time included in which it was suspended; `None` where the system doesn't say.
#[must_use]
pub fn up_for() -> Option<Duration> {
    system::up_for()
}

/// Whether this machine was started anew since the process began.
#[must_use]
pub fn restarted_since(process: &ProcessIdentity) -> bool {
    system::restarted_since(process)
}

pub(in crate::exec) fn life(process: &ProcessIdentity) -> Life {
    system::life(process)
}

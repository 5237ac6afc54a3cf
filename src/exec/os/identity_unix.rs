//! Telling processes apart where the system has no common way to say when one began: by their ids alone.

use std::time::Duration;

use rustix::process::{Pid, test_kill_process};

use super::identity::Life;
use crate::model::ProcessIdentity;

pub(in crate::exec) fn of_this_process() -> ProcessIdentity {
    ProcessIdentity { pid: std::process::id(), started: 0, boot: String::new() }
}

pub(in crate::exec) fn life(process: &ProcessIdentity) -> Life {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    // A process of another user lives, too.
    match pid.map(test_kill_process) {
        Some(Ok(()) | Err(rustix::io::Errno::PERM)) => Life::Lives,
        _ => Life::Gone,
    }
}

pub(in crate::exec) fn restarted_since(_process: &ProcessIdentity) -> bool {
    false
}

pub(in crate::exec) fn up_for() -> Option<Duration> {
    None
}

//! Processes whose guardian is gone.

use std::collections::HashSet;
use std::time::Duration;

use rustix::process::Signal;

use super::{cgroup, procfs, tree};

/// The living processes that have `marker` in their environment or are in a dead guardian's cgroup, but for this one. Sends them
/// SIGKILL if `end`.
fn look(marker: &str, end: bool) -> Vec<i32> {
    let mut found: HashSet<i32> = cgroup::remains(end).into_iter().collect();
    let all = procfs::processes();
    let living = all.values().filter(|process| !process.zombie).map(|process| process.pid);
    found.extend(living.filter(|&pid| procfs::has_marker(pid, marker)));
    found.retain(|&pid| pid.unsigned_abs() != std::process::id());
    found.iter().filter(|_| end).for_each(|&pid| tree::signal(pid, Signal::KILL));
    found.into_iter().collect()
}

/// How many processes are left of the attempt with this marker. They are told to end at once if `end`.
pub(in crate::exec) fn remains(marker: &str, end: bool) -> usize {
    look(marker, end).len()
}

/// Ends what a guardian owned that was killed under the runner.
pub(super) fn end_now(marker: &str) {
    // Its sockets are closed a moment before it counts as dead.
    std::thread::sleep(Duration::from_millis(10));
    tree::kill_all(|| look(marker, true));
}

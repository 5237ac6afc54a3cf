//! Which processes belong to a script, and ending them.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::procfs::{self, Process};

/// How long killed processes are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a script's processes are recognised by.
#[derive(Debug, Clone)]
pub(super) struct Family {
    /// The script's process id, which is its process group's too.
    pub(super) leader: i32,
    /// The `NAME=value` in its environment.
    pub(super) marker: String,
    /// Whether it is the only script that lives: then every adopted orphan is its own, whatever its environment says.
    pub(super) alone: bool,
}

/// The living members of a family among `all`: the script, its process group, the orphans of its that the guardian (`me`)
/// adopted, and all their descendants.
pub(super) fn members(all: &HashMap<i32, Process>, me: i32, others: &HashSet<i32>, family: &Family) -> Vec<i32> {
    let belongs_by_itself = |process: &Process| {
        process.pid == family.leader
            || process.group == family.leader
            || (process.parent == me
                && !others.contains(&process.pid)
                && !others.contains(&process.group)
                && (family.alone || procfs::has_marker(process.pid, &family.marker)))
    };
    let mut known: HashSet<i32> = all.values().filter(|process| belongs_by_itself(process)).map(|p| p.pid).collect();
    // Children of members are members; repeated until a round finds none.
    loop {
        let found: Vec<i32> = all
            .values()
            .filter(|process| known.contains(&process.parent) && !known.contains(&process.pid))
            .map(|process| process.pid)
            .collect();
        if found.is_empty() {
            break;
        }
        known.extend(found);
    }
    known.remove(&me);
    known.into_iter().filter(|pid| all.get(pid).is_some_and(|process| !process.zombie)).collect()
}

/// Sends a signal; a process that has just ended is no error.
pub(super) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Kills whatever `find` finds until it finds nothing, `reap`ing in between: a process that forks while it dies is found
/// in the next round. Returns how many could not be ended.
pub(super) fn kill_all(find: impl Fn() -> Vec<i32>, mut reap: impl FnMut()) -> usize {
    let begin = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        let found = find();
        reap();
        if found.is_empty() || begin.elapsed() > PATIENCE {
            return found.len();
        }
        for pid in &found {
            signal(*pid, Signal::KILL);
        }
        // The kernel ends them in its own time and tells of it only for children; most are gone at the next look.
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Kills every process that was started with `marker` in its environment: what can be done without a guardian.
pub(super) fn end_marked(marker: &str) {
    kill_all(|| marked(marker), || {});
}

/// The living processes that were started with `marker` in their environment.
pub(super) fn marked(marker: &str) -> Vec<i32> {
    let all = procfs::processes();
    let living = all.values().filter(|process| !process.zombie);
    living.map(|process| process.pid).filter(|&pid| procfs::has_marker(pid, marker)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, group: i32) -> (i32, Process) {
        (pid, Process { pid, parent, group, zombie: false })
    }

    #[test]
    fn a_family_is_the_group_the_orphans_and_their_descendants() {
        let all = HashMap::from([
            process(1, 0, 1),
            process(10, 1, 10),
            process(20, 10, 20),
            process(21, 20, 21),
            process(22, 21, 21),
            process(23, 1, 20),
            process(24, 10, 24),
            process(25, 24, 24),
            process(30, 10, 30),
            process(31, 30, 31),
        ]);
        let family = Family { leader: 20, marker: "X=1".into(), alone: true };
        let mut found = members(&all, 10, &HashSet::from([30]), &family);
        found.sort_unstable();
        assert_eq!(found, [20, 21, 22, 23, 24, 25]);
    }
}

//! Which processes belong to which script, and ending them.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::procfs::Process;

/// How long killed processes are waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long after a kill is looked again: the kernel ends processes in its own time and tells of it only for children.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A time during which only one script lived, in clock ticks since the machine's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u64,
    /// `None`: it is not over.
    pub(super) until: Option<u64>,
}

impl Span {
    /// Whether what began at that moment surely began in it. Ticks are coarse, so the last one doesn't count.
    fn contains(self, moment: u64) -> bool {
        moment >= self.from && self.until.is_none_or(|until| moment < until)
    }
}

/// What a script's processes are recognised by.
#[derive(Debug, Clone, Default)]
pub(super) struct Family {
    /// The script's process id, until it was reaped: then the number may be another's.
    pub(super) leader: Option<i32>,
    /// Its process group.
    pub(super) group: Option<i32>,
    /// The `NAME=value` in its environment.
    pub(super) marker: String,
    /// Processes that were seen to be its own, and when they began.
    pub(super) known: HashMap<i32, u64>,
    /// The processes of its cgroup.
    pub(super) cgroup: HashSet<i32>,
    /// When it was the only script: an orphan without any mark that began then is its own.
    pub(super) alone: Vec<Span>,
}

impl Family {
    fn has(&self, process: &Process) -> bool {
        self.cgroup.contains(&process.pid)
            || self.leader == Some(process.pid)
            || self.group == Some(process.group)
            || self.known.get(&process.pid) == Some(&process.started)
    }
}

/// Whose a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// That of the family at this place.
    Family(usize),
    /// It was left to go on by a script that is over.
    Left,
    /// It can't be told: it ends with the guardian.
    Nobody,
}

/// The processes that scripts left to go on.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Those in cgroups.
    pub(super) cgroups: HashSet<i32>,
    /// There are others, which can't be told from orphans without a mark: all of these are left then.
    pub(super) untracked: bool,
}

/// Whose each living descendant of the guardian (`me`) is. A process that shows nothing itself is its parent's; one whose
/// parent has died was adopted by the guardian, and is known by its marker or by when it began.
pub(super) fn owners(
    all: &HashMap<i32, Process>,
    me: i32,
    families: &[Family],
    left: &Left,
    has_marker: impl Fn(i32, &str) -> bool,
) -> HashMap<i32, Owner> {
    let mut children: HashMap<i32, Vec<&Process>> = HashMap::new();
    for process in all.values() {
        children.entry(process.parent).or_default().push(process);
    }
    let evident = |process: &Process| {
        let family = families.iter().position(|family| family.has(process)).map(Owner::Family);
        if left.cgroups.contains(&process.pid) { Some(Owner::Left) } else { family }
    };
    let adopted = |process: &Process| {
        let marked = families.iter().position(|family| has_marker(process.pid, &family.marker));
        let began_in = |family: &Family| family.alone.iter().any(|span| span.contains(process.started));
        match marked {
            Some(family) => Owner::Family(family),
            None if left.untracked => Owner::Left,
            None => families.iter().position(began_in).map_or(Owner::Nobody, Owner::Family),
        }
    };
    let mut found = HashMap::new();
    let mut open: Vec<(&Process, Option<Owner>)> =
        children.get(&me).into_iter().flatten().map(|&process| (process, None)).collect();
    while let Some((process, of_parent)) = open.pop() {
        let owner = evident(process).or(of_parent).unwrap_or_else(|| adopted(process));
        if found.insert(process.pid, owner).is_none() {
            open.extend(children.get(&process.pid).into_iter().flatten().map(|&child| (child, Some(owner))));
        }
    }
    // A cgroup tells for sure, also when a parent ended during the look.
    for process in all.values().filter(|process| !found.contains_key(&process.pid)).copied().collect::<Vec<_>>() {
        let family = families.iter().position(|family| family.cgroup.contains(&process.pid));
        found.extend(family.map(|family| (process.pid, Owner::Family(family))));
    }
    found.remove(&me);
    found.retain(|pid, _| all.get(pid).is_some_and(|process| !process.zombie));
    found
}

/// Sends a signal; a process that has just ended is no error.
pub(super) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// The killing of some processes, a look at a time: whoever does it can see to other things in between.
#[derive(Debug)]
pub(super) struct Ending {
    since: Instant,
    pause: Duration,
    /// When to look again.
    pub(super) next: Instant,
    signalled: HashSet<i32>,
    found_nothing: bool,
}

impl Ending {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, pause: FIRST_PAUSE, next: now, signalled: HashSet::new(), found_nothing: false }
    }

    /// What follows from what was found alive, and killed, at a look: how many could not be ended, once that is known. Until
    /// then there is another look, soon as long as new ones are found, since these may be forking.
    pub(super) fn look(&mut self, found: &[i32], now: Instant) -> Option<usize> {
        if found.is_empty() {
            // `/proc` isn't read at one moment: what forked and ended meanwhile may have been missed.
            if self.found_nothing || self.signalled.is_empty() {
                return Some(0);
            }
            self.found_nothing = true;
            self.next = now;
            return None;
        }
        self.found_nothing = false;
        if now.saturating_duration_since(self.since) > PATIENCE {
            return Some(found.len());
        }
        let mut anyone_new = false;
        for pid in found {
            anyone_new |= self.signalled.insert(*pid);
        }
        self.pause = if anyone_new { FIRST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        self.next = now + self.pause;
        None
    }
}

/// Has `find` find and kill until it finds nothing. Returns how many could not be ended. Nobody else is served
/// meanwhile.
pub(super) fn kill_all(mut find: impl FnMut() -> Vec<i32>) -> usize {
    let mut ending = Ending::new(Instant::now());
    loop {
        let found = find();
        if let Some(left) = ending.look(&found, Instant::now()) {
            return left;
        }
        std::thread::sleep(ending.next.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: i32 = 10;

    fn process(pid: i32, parent: i32, group: i32) -> (i32, Process) {
        (pid, Process { pid, parent, group, started: 100, zombie: false })
    }

    fn family(leader: i32) -> Family {
        Family { leader: Some(leader), group: Some(leader), marker: format!("X={leader}"), ..Family::default() }
    }

    fn of(owners: &HashMap<i32, Owner>, owner: Owner) -> Vec<i32> {
        let mut pids: Vec<i32> = owners.iter().filter(|(_, whose)| **whose == owner).map(|(pid, _)| *pid).collect();
        pids.sort_unstable();
        pids
    }

    fn ever(from: u64) -> Vec<Span> {
        vec![Span { from, until: None }]
    }

    #[test]
    fn a_family_is_the_group_the_orphans_and_their_descendants() {
        let all = HashMap::from([
            process(1, 0, 1),
            process(10, 1, 10),
            process(20, 10, 20),
            process(21, 20, 21),
            process(22, 21, 21),
            // Of its group, but no descendant of the guardian: the number is used again.
            process(23, 1, 20),
            process(24, 10, 24),
            process(25, 24, 24),
            process(26, 10, 20),
            process(30, 10, 30),
            process(31, 30, 31),
            process(32, 10, 32),
        ]);
        let families = [family(20), family(30)];
        let marker = |pid: i32, marker: &str| pid == 24 && marker == "X=20";
        let owners = owners(&all, ME, &families, &Left::default(), marker);
        assert_eq!(of(&owners, Owner::Family(0)), [20, 21, 22, 24, 25, 26]);
        assert_eq!(of(&owners, Owner::Family(1)), [30, 31]);
        assert_eq!(of(&owners, Owner::Nobody), [32]);
    }

    #[test]
    fn what_was_seen_in_a_family_stays_in_it_when_it_loses_its_parent() {
        let all = HashMap::from([process(40, 10, 40), process(41, 10, 41)]);
        let seen = Family { known: HashMap::from([(40, 100), (41, 99)]), ..family(20) };
        let left = Left { cgroups: HashSet::new(), untracked: true };
        let owners = owners(&all, ME, &[seen], &left, |_, _| false);
        assert_eq!(of(&owners, Owner::Family(0)), [40]);
        assert_eq!(of(&owners, Owner::Left), [41], "the number is used again");
    }

    #[test]
    fn a_reaped_leaders_number_is_nobodys() {
        let all = HashMap::from([process(10, 1, 10), process(20, 10, 77)]);
        let reaped = Family { leader: None, ..family(20) };
        let owners = owners(&all, ME, &[reaped], &Left::default(), |_, _| false);
        assert_eq!(of(&owners, Owner::Nobody), [20]);
    }

    #[test]
    fn an_orphan_without_a_mark_belongs_to_the_script_that_was_alone_when_it_began() {
        let started = |pid, started| (pid, Process { pid, parent: ME, group: pid, started, zombie: false });
        let all = HashMap::from([started(40, 50), started(41, 60), started(42, 70), started(43, 90)]);
        let mut long = family(20);
        long.alone = vec![Span { from: 50, until: Some(60) }, Span { from: 80, until: None }];
        let families = [long, family(30)];
        let owners = owners(&all, ME, &families, &Left::default(), |_, _| false);
        assert_eq!(of(&owners, Owner::Family(0)), [40, 43]);
        assert_eq!(of(&owners, Owner::Nobody), [41, 42]);
    }

    #[test]
    fn what_was_left_is_never_another_scripts() {
        let all = HashMap::from([process(20, 10, 20), process(40, 10, 40), process(41, 40, 41), process(42, 10, 42)]);
        let families = [Family { alone: ever(0), ..family(20) }];
        let tracked = Left { cgroups: HashSet::from([40, 41]), untracked: false };
        let whose = owners(&all, ME, &families, &tracked, |_, _| false);
        assert_eq!(of(&whose, Owner::Left), [40, 41]);
        assert_eq!(of(&whose, Owner::Family(0)), [20, 42]);
        let untracked = Left { cgroups: HashSet::new(), untracked: true };
        let whose = owners(&all, ME, &families, &untracked, |pid, _| pid == 42);
        assert_eq!(of(&whose, Owner::Left), [40, 41]);
        assert_eq!(of(&whose, Owner::Family(0)), [20, 42]);
    }

    #[test]
    fn a_cgroup_tells_whatever_else_is_hidden() {
        // 40 is an orphan in a session of its own; 41's parent ended during the look.
        let all = HashMap::from([process(20, 10, 20), process(30, 10, 30), process(40, 10, 40), process(41, 99, 41)]);
        let hidden = Family { cgroup: HashSet::from([30, 40, 41]), ..family(30) };
        let whose = owners(&all, ME, &[family(20), hidden], &Left::default(), |_, _| false);
        assert_eq!(of(&whose, Owner::Family(0)), [20]);
        assert_eq!(of(&whose, Owner::Family(1)), [30, 40, 41]);
    }

    #[test]
    fn an_ending_is_over_when_nothing_was_found_twice_or_time_is_up() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        assert_eq!(Ending::new(begin).look(&[], begin), Some(0), "nothing was ever there");
        let mut ending = Ending::new(begin);
        assert_eq!(ending.look(&[7], at(0)), None);
        assert_eq!(ending.look(&[7], at(1)), None);
        assert_eq!(ending.next, at(1) + FIRST_PAUSE * 2, "it is dying");
        assert_eq!(ending.look(&[8], at(2)), None);
        assert_eq!(ending.next, at(2) + FIRST_PAUSE, "it had forked");
        assert_eq!(ending.look(&[], at(3)), None);
        assert_eq!(ending.look(&[], at(3)), Some(0));
        let mut stuck = Ending::new(begin);
        assert_eq!(stuck.look(&[7, 8], at(0)), None);
        assert_eq!(stuck.look(&[8], at(2001)), Some(1));
    }
}

//! The guardian's own side: one thread, few pages, no runtime. Nothing it does for one script makes another wait.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::birth::{self, NotBorn};
use super::calls;
use super::cgroup::{Cgroups, Leaf};
use super::pages;
use super::procfs::{self, Process};
use super::tree::{self, Family, Left, Owner};
use super::ward::{self, Ward};
use super::wire::{self, Order, Reply};
use crate::model::Leaked;

/// How often the orphans are gone through before all processes are.
const SWEEPS: u32 = 10;

/// Serves orders from the socket that is this process's standard input, until its other end is closed; then ends every
/// script that is left, with all of its descendants.
///
/// # Errors
/// When the process can't become a guardian: its standard input is no socket, or the system knows no subreapers.
pub(super) fn serve() -> io::Result<()> {
    let main = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::process::set_child_subreaper(Some(Pid::INIT))?;
    calls::catch_signals()?;
    // Not the runner's name: whoever kills all runners by their name means the runners, and then the guardians are needed.
    let _ = rustix::thread::set_name(c"guardian");
    let me = pid_of(std::process::id());
    let mut guardian = Guardian {
        me,
        own_size: pages::OwnSize::new(),
        shed: false,
        null: File::open("/dev/null")?.into(),
        wards: Vec::new(),
        cgroups: Cgroups::new(me),
        left: Vec::new(),
        left_untracked: false,
    };
    while guardian.serve_once(&main)? {
        // Once the first script runs, which needn't wait for it.
        if !guardian.shed && !guardian.wards.is_empty() {
            guardian.cgroups.iter().for_each(Cgroups::remove_stale);
            pages::shed();
            guardian.shed = true;
        }
    }
    guardian.end_everything();
    Ok(())
}

struct Guardian {
    me: i32,
    own_size: pages::OwnSize,
    shed: bool,
    /// `/dev/null`, the scripts' standard input.
    null: OwnedFd,
    wards: Vec<Ward>,
    /// `None` where scripts can't have any.
    cgroups: Option<Cgroups>,
    /// Those whose processes were left to go on.
    left: Vec<Leaf>,
    /// Processes were left to go on that are in none of these.
    left_untracked: bool,
}

fn pid_of(pid: u32) -> i32 {
    i32::try_from(pid).unwrap_or(i32::MAX)
}

impl Guardian {
    /// Waits until something happens, or is due, and sees to it; false when the runner is gone.
    fn serve_once(&mut self, main: &UnixStream) -> io::Result<bool> {
        let mut fds = Vec::with_capacity(1 + 2 * self.wards.len());
        fds.push(PollFd::new(main, PollFlags::IN));
        let listening: Vec<usize> = (0..self.wards.len()).filter(|&at| self.wards[at].socket.is_some()).collect();
        fds.extend(self.wards.iter().filter_map(|ward| Some(PollFd::new(ward.socket.as_ref()?, PollFlags::IN))));
        fds.extend(self.wards.iter().filter_map(|ward| Some(PollFd::new(ward.pidfd.as_ref()?, PollFlags::IN))));
        let due = self.wards.iter().filter_map(|ward| Some(ward.ending.as_ref()?.next)).min();
        let patience = due.map(|due| due.saturating_duration_since(Instant::now()));
        let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
        match poll(&mut fds, patience.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => {
                // A child has ended. Orphans may do so by the thousand while a script runs.
                reap_orphans(&ward::leaders(&self.wards));
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        }
        let now = Instant::now();
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let order = ready.next().unwrap_or_default();
        let heard: Vec<usize> =
            listening.into_iter().zip(ready.by_ref()).filter(|(_, ready)| *ready).map(|(at, _)| at).collect();
        let exits = ready.any(|exited| exited);
        drop(fds);
        if exits {
            // Whose, is found by asking for each: there are as many as projects side by side.
            (0..self.wards.len()).for_each(|at| self.see_exit(at, now));
        }
        for at in heard {
            // Of one that is over nothing more is heard.
            if !self.wards[at].is_done() && !self.hear(at) {
                self.wards[at].socket = None;
                self.wards[at].begin_ending(now);
            }
        }
        for at in 0..self.wards.len() {
            self.go_on_ending(at);
        }
        // From the last to the first, since one takes another's place.
        for at in (0..self.wards.len()).rev().filter(|&at| self.wards[at].is_done()).collect::<Vec<_>>() {
            self.dismiss(at);
        }
        Ok(!order || self.take_order(main))
    }

    /// Starts the script of an order; false when the runner is gone.
    fn take_order(&mut self, main: &UnixStream) -> bool {
        let (bytes, [stdout, stderr, socket]) = match receive(main) {
            Ok(Received::Order(bytes, fds)) => (bytes, fds),
            Ok(Received::Unusable) => return true,
            Ok(Received::End) | Err(_) => return false,
        };
        let mut socket = UnixStream::from(socket);
        // Before the pages are shed the size is a rough guess.
        let guardian_size = self.own_size.bytes() * if self.shed { 1 } else { 2 };
        let (began, tick) = (Instant::now(), procfs::now());
        let order = wire::decode(&bytes).ok_or_else(|| io::Error::from_raw_os_error(libc::EBADMSG));
        let started = order.and_then(|order| Ok((self.start(&order, &stdout, &stderr)?, order.marker.to_owned())));
        let (Started { leader, pidfd, cgroup }, marker) = match started {
            Ok(started) => started,
            Err(error) => {
                ward::say(&mut socket, &Reply::Failed { errno: error.raw_os_error().unwrap_or(libc::EIO) });
                return true;
            }
        };
        // The number is this script's now.
        self.wards.iter_mut().filter(|ward| ward.leader == leader).for_each(|ward| ward.has_group = false);
        self.wards.push(Ward {
            socket: Some(socket),
            pidfd: Some(pidfd),
            output: Some([stdout, stderr]),
            leader,
            has_group: true,
            marker,
            cgroup,
            known: HashMap::new(),
            left_behind: false,
            alone: Vec::new(),
            ending: None,
            began,
            guardian_size,
        });
        self.note_alone(tick);
        true
    }

    fn note_alone(&mut self, tick: u64) {
        let alone = self.wards.len() == 1;
        self.wards.iter_mut().for_each(|ward| ward.note_alone(alone, tick));
    }

    fn start(&mut self, order: &Order<'_>, stdout: &OwnedFd, stderr: &OwnedFd) -> io::Result<Started> {
        if let Some(cgroup) = self.cgroups.as_mut().and_then(|cgroups| cgroups.take().ok()) {
            let streams = [self.null.as_fd(), stdout.as_fd(), stderr.as_fd()];
            match birth::spawn(order, streams, cgroup.dir()) {
                Ok((leader, pidfd)) => return Ok(Started { leader, pidfd, cgroup: Some(cgroup) }),
                Err(NotBorn::Program(error)) => {
                    self.give_back(Some(cgroup));
                    return Err(error);
                }
                Err(NotBorn::Cgroup) => {
                    self.give_back(Some(cgroup));
                    self.cgroups = None;
                }
            }
        }
        let streams = [self.null.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let leader = calls::spawn(order.program, &order.args, &order.env, order.working_dir, streams)?;
        let pidfd = Pid::from_raw(leader).map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
        if let Some(Ok(pidfd)) = pidfd {
            return Ok(Started { leader, pidfd, cgroup: None });
        }
        tree::signal(leader, Signal::KILL);
        Err(io::Error::from_raw_os_error(libc::ENOSYS))
    }

    fn give_back(&mut self, cgroup: Option<Leaf>) {
        if let (Some(cgroups), Some(cgroup)) = (&mut self.cgroups, cgroup) {
            cgroups.give_back(cgroup);
        }
    }

    fn see_exit(&mut self, at: usize, now: Instant) {
        if self.wards[at].exited() {
            return;
        }
        let Some(ended) = self.wards[at].reap(now) else { return };
        self.wards[at].left_behind = self.leaves_behind(at);
        self.wards[at].tell_exit(&ended);
    }

    /// Whether an exited script may have descendants that live. The usual answer, no, is found with one system call.
    fn leaves_behind(&mut self, at: usize) -> bool {
        if !calls::has_children() {
            return false;
        }
        let leaders = ward::leaders(&self.wards);
        reap_orphans(&leaders);
        // Whatever descends from it, the guardian has adopted the first of.
        (group_lives(self.wards[at].leader) || children().iter().any(|pid| !leaders.contains(pid)))
            && !self.members(at).is_empty()
    }

    /// Does what the runner says of one script; false when it has closed that script's socket.
    fn hear(&mut self, at: usize) -> bool {
        let mut byte = [0];
        let Some(mut socket) = self.wards[at].socket.as_ref() else { return true };
        match socket.read(&mut byte) {
            Ok(1) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            _ => return false,
        }
        match byte[0] {
            wire::ASK => self.members(at).into_iter().for_each(|pid| tree::signal(pid, Signal::TERM)),
            wire::KILL => self.wards[at].begin_ending(Instant::now()),
            wire::LIST => {
                reap_orphans(&ward::leaders(&self.wards));
                let processes = told(&self.members(at));
                self.wards[at].say(&Reply::Survivors { processes });
            }
            wire::LEAVE => {
                let processes = self.leave(at);
                self.wards[at].say(&Reply::Survivors { processes });
            }
            _ => {}
        }
        true
    }

    /// Lets the processes that an exited script has left behind go on for ever.
    fn leave(&mut self, at: usize) -> Vec<Leaked> {
        reap_orphans(&ward::leaders(&self.wards));
        let members = self.members(at);
        let cgroup = self.wards[at].cgroup.take().filter(|cgroup| cgroup.mark_left().is_ok());
        let tracked: HashSet<i32> = cgroup.as_ref().map(Leaf::members).unwrap_or_default().into_iter().collect();
        self.left_untracked |= members.iter().any(|pid| !tracked.contains(pid));
        self.left.extend(cgroup);
        self.wards[at].left_behind = false;
        told(&members)
    }

    /// Has a look at a script that is being ended, if one is due, and kills what is found.
    fn go_on_ending(&mut self, at: usize) {
        if self.wards[at].ending.as_ref().is_none_or(|ending| ending.next > Instant::now()) {
            return;
        }
        self.wards[at].cgroup.iter_mut().for_each(Leaf::kill);
        // The script itself is left for `see_exit` to reap: its end has to be told.
        let leaders = ward::leaders(&self.wards);
        reap_orphans(&leaders);
        let found = self.members(at);
        found.iter().for_each(|&pid| tree::signal(pid, Signal::KILL));
        if self.wards[at].cgroup.is_none() {
            self.sweep(&leaders, |owner| owner == Owner::Family(at));
        }
        let ward = &mut self.wards[at];
        if let Some(left) = ward.ending.as_mut().and_then(|ending| ending.look(&found, Instant::now())) {
            ward.ending = None;
            ward.left_behind &= left > 0;
            ward.say(&Reply::Killed { left });
        }
    }

    /// The runner is done with a script.
    fn dismiss(&mut self, at: usize) {
        let mut ward = self.wards.swap_remove(at);
        if !ward.exited() {
            let _ = calls::wait4(ward.leader);
        }
        self.give_back(ward.cgroup.take());
        self.note_alone(procfs::now());
    }

    /// Ends all that is not to go on.
    fn end_everything(&mut self) {
        if calls::has_children() {
            tree::kill_all(|| {
                self.wards.iter_mut().filter_map(|ward| ward.cgroup.as_mut()).for_each(Leaf::kill);
                reap_orphans(&HashSet::new());
                let meant = self.look().into_iter().filter(|(_, owner)| *owner != Owner::Left);
                let found: Vec<i32> = meant.map(|(pid, _)| pid).collect();
                found.iter().for_each(|&pid| tree::signal(pid, Signal::KILL));
                self.sweep(&HashSet::new(), |owner| owner != Owner::Left);
                found
            });
            reap_orphans(&HashSet::new());
        }
    }

    /// Kills orphans as they are seen, and reaps them: one that hands over to a new process all the time is gone by the time
    /// that all of `/proc` is read.
    fn sweep(&self, leaders: &HashSet<i32>, is_meant: impl Fn(Owner) -> bool) {
        for _ in 0..SWEEPS {
            let mut anyone = false;
            for pid in children() {
                let Some(process) = procfs::process(pid).filter(|process| !process.zombie) else { continue };
                if self.owners(&HashMap::from([(pid, process)])).values().any(|&owner| is_meant(owner)) {
                    tree::signal(pid, Signal::KILL);
                    anyone = true;
                }
            }
            reap_orphans(leaders);
            if !anyone {
                return;
            }
        }
    }

    /// Whose each of these is that lives and descends from the guardian.
    fn owners(&self, all: &HashMap<i32, Process>) -> HashMap<i32, Owner> {
        let families: Vec<Family> = self.wards.iter().map(Ward::family).collect();
        let left = Left { cgroups: self.left.iter().flat_map(Leaf::members).collect(), untracked: self.left_untracked };
        tree::owners(all, self.me, &families, &left, procfs::has_marker)
    }

    /// Whose each living descendant is, which is remembered until the next look.
    fn look(&mut self) -> HashMap<i32, Owner> {
        let all = procfs::processes();
        let owners = self.owners(&all);
        for (at, ward) in self.wards.iter_mut().enumerate() {
            let own = owners.iter().filter(|(_, owner)| **owner == Owner::Family(at));
            ward.known = own.filter_map(|(pid, _)| Some((*pid, all.get(pid)?.started))).collect();
        }
        owners
    }

    /// The living processes of one script.
    fn members(&mut self, at: usize) -> Vec<i32> {
        let owners = self.look();
        owners.into_iter().filter(|(_, owner)| *owner == Owner::Family(at)).map(|(pid, _)| pid).collect()
    }
}

/// A script that has begun.
struct Started {
    leader: i32,
    pidfd: OwnedFd,
    cgroup: Option<Leaf>,
}

fn told(processes: &[i32]) -> Vec<Leaked> {
    let told = processes.iter().map(|&pid| Leaked {
        pid: u32::try_from(pid).unwrap_or_default(),
        command: procfs::command_line(pid),
        left: false,
    });
    told.collect()
}

/// Whether a process of this group is left.
fn group_lives(leader: i32) -> bool {
    // That it may not be signalled says that it is there.
    let test = Pid::from_raw(leader).map(rustix::process::test_kill_process_group);
    matches!(test, Some(Ok(()) | Err(rustix::io::Errno::PERM)))
}

/// The children of this process: scripts and adopted orphans.
fn children() -> Vec<i32> {
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Reaps every child that has ended, but for the running scripts themselves.
fn reap_orphans(leaders: &HashSet<i32>) {
    for pid in children() {
        if !leaders.contains(&pid) {
            let _ = calls::wait4(pid);
        }
    }
}

/// What the main socket brings.
enum Received {
    /// A command, and where its output and the word of it go.
    Order(Vec<u8>, [OwnedFd; 3]),
    /// An order whose descriptors could not be taken over: there is nobody to tell, and its own socket is closed by that.
    Unusable,
    /// The runner has closed the socket.
    End,
}

fn receive(main: &UnixStream) -> io::Result<Received> {
    let mut length = [0; 4];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(main, &mut [io::IoSliceMut::new(&mut length)], &mut ancillary, flags)?;
    if received.bytes == 0 {
        return Ok(Received::End);
    }
    let mut fds: Vec<OwnedFd> = Vec::with_capacity(3);
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    let mut stream: &UnixStream = main;
    stream.read_exact(&mut length[received.bytes..])?;
    let mut bytes = vec![0; usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX)];
    stream.read_exact(&mut bytes)?;
    Ok(match <[OwnedFd; 3]>::try_from(fds) {
        Ok(fds) => Received::Order(bytes, fds),
        Err(_) => Received::Unusable,
    })
}

//! The guardian's own side: one thread, few pages, no runtime.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::calls;
use super::pages;
use super::procfs;
use super::tree::{self, Family};
use super::wire::{self, Order, Reply};
use crate::model::Leaked;

/// Serves orders from the socket that is this process's standard input, until its other end is closed; then ends every
/// script that is left, with all of its descendants.
///
/// # Errors
/// When the process can't become a guardian: its standard input is no socket, or the system knows no subreapers.
pub(super) fn serve() -> io::Result<()> {
    let main = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::process::set_child_subreaper(Some(Pid::INIT))?;
    calls::outlive_requests_to_end()?;
    // Not the runner's name: whoever kills all runners by their name means the runners, and then the guardians are needed.
    let _ = rustix::thread::set_name(c"guardian");
    let mut guardian = Guardian {
        me: pid_of(std::process::id()),
        own_size: pages::OwnSize::new(),
        shed: false,
        null: File::open("/dev/null")?.into(),
        wards: Vec::new(),
    };
    // Made small once the first script runs, which needn't wait for it.
    if guardian.serve_once(&main)? {
        pages::shed();
        guardian.shed = true;
        while guardian.serve_once(&main)? {}
    }
    guardian.end_everything();
    Ok(())
}

/// One script.
struct Ward {
    socket: UnixStream,
    /// Becomes readable when the script exits; `None` once it has, since it would stay so for ever.
    pidfd: Option<OwnedFd>,
    /// The writing ends of its output. Kept until its exit has been told, so that the runner is woken once, by the word of
    /// the exit, and not by each stream's end.
    output: Option<[OwnedFd; 2]>,
    leader: i32,
    marker: String,
    left_behind: bool,
    /// How large the guardian was when it started the script.
    guardian_size: u64,
}

impl Ward {
    fn exited(&self) -> bool {
        self.pidfd.is_none()
    }

    /// It has exited and left nothing behind: there is nothing that the runner could still want of it.
    fn is_done(&self) -> bool {
        self.exited() && !self.left_behind
    }
}

struct Guardian {
    me: i32,
    own_size: pages::OwnSize,
    shed: bool,
    /// `/dev/null`, the scripts' standard input.
    null: OwnedFd,
    wards: Vec<Ward>,
}

fn pid_of(pid: u32) -> i32 {
    i32::try_from(pid).unwrap_or(i32::MAX)
}

impl Guardian {
    /// Waits until something happens and sees to it; false when the runner is gone.
    fn serve_once(&mut self, main: &UnixStream) -> io::Result<bool> {
        let mut fds = Vec::with_capacity(1 + 2 * self.wards.len());
        fds.push(PollFd::new(main, PollFlags::IN));
        for ward in &self.wards {
            fds.push(PollFd::new(&ward.socket, PollFlags::IN));
        }
        fds.extend(self.wards.iter().filter_map(|ward| Some(PollFd::new(ward.pidfd.as_ref()?, PollFlags::IN))));
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let order = ready.next().unwrap_or_default();
        let heard: Vec<bool> = ready.by_ref().take(self.wards.len()).collect();
        let exits = ready.any(|exited| exited);
        drop(fds);
        if exits {
            // Whose, is found by asking for each: there are as many as projects side by side.
            (0..self.wards.len()).for_each(|at| self.see_exit(at));
        }
        // From the last to the first, since a ward may be dropped.
        for at in (0..self.wards.len()).rev() {
            if self.wards[at].is_done() {
                self.wards.swap_remove(at);
            } else if heard[at] && !self.hear(at) {
                self.dismiss(at);
            }
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
        let started = match wire::decode(&bytes) {
            Some(order) => self.start(&order, &stdout, &stderr).map(|pid| (pid, order.marker.to_owned())),
            None => Err(io::Error::from_raw_os_error(libc::EBADMSG)),
        };
        match started {
            Ok((pid, marker)) => {
                match Pid::from_raw(pid).map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty())) {
                    Some(Ok(pidfd)) => {
                        let output = Some([stdout, stderr]);
                        self.wards.push(Ward {
                            socket,
                            pidfd: Some(pidfd),
                            output,
                            leader: pid,
                            marker,
                            left_behind: false,
                            guardian_size,
                        });
                    }
                    _ => {
                        tree::signal(pid, Signal::KILL);
                        say(&mut socket, &Reply::Failed { errno: libc::ENOSYS });
                    }
                }
            }
            Err(error) => say(&mut socket, &Reply::Failed { errno: error.raw_os_error().unwrap_or(libc::EIO) }),
        }
        true
    }

    fn see_exit(&mut self, at: usize) {
        let ward = &mut self.wards[at];
        if ward.exited() {
            return;
        }
        let Some(wait) = calls::wait4(ward.leader) else { return };
        ward.pidfd = None;
        let left_behind = self.leaves_behind(at);
        self.wards[at].left_behind = left_behind;
        let reply = Reply::Exited {
            pid: u32::try_from(self.wards[at].leader).unwrap_or_default(),
            code: wait.code,
            signal: wait.signal,
            core: wait.core_dumped,
            user_us: wait.user_us,
            system_us: wait.system_us,
            peak_bytes: pages::told_apart(wait.peak_bytes, self.wards[at].guardian_size),
            left_behind,
        };
        say(&mut self.wards[at].socket, &reply);
        self.wards[at].output = None;
    }

    /// Does what the runner says of one script; false when it has closed that script's socket.
    fn hear(&mut self, at: usize) -> bool {
        let mut byte = [0];
        match (&self.wards[at].socket).read(&mut byte) {
            Ok(1) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            _ => return false,
        }
        match byte[0] {
            wire::ASK => {
                for pid in self.members(at) {
                    tree::signal(pid, Signal::TERM);
                }
            }
            wire::KILL => {
                let left = self.kill(at);
                say(&mut self.wards[at].socket, &Reply::Killed { left });
            }
            wire::LIST => {
                reap_orphans(&self.leaders());
                let processes = self
                    .members(at)
                    .into_iter()
                    .map(|pid| Leaked {
                        pid: u32::try_from(pid).unwrap_or_default(),
                        command: procfs::command_line(pid),
                        left: false,
                    })
                    .collect();
                say(&mut self.wards[at].socket, &Reply::Survivors { processes });
            }
            _ => {}
        }
        true
    }

    /// The runner is done with a script; whatever of it still lives is ended.
    fn dismiss(&mut self, at: usize) {
        self.kill(at);
        let ward = self.wards.swap_remove(at);
        if !ward.exited() {
            let _ = calls::wait4(ward.leader);
        }
    }

    fn kill(&mut self, at: usize) -> usize {
        // The leader, once killed, is left for `see_exit` to reap: its end has to be told.
        let leaders = self.leaders();
        tree::kill_all(|| self.members(at), || reap_orphans(&leaders))
    }

    fn end_everything(&mut self) {
        if !calls::has_children() {
            return;
        }
        let me = self.me;
        let everyone = move || {
            let all = procfs::processes();
            let family = Family { leader: me, marker: String::new(), alone: true };
            tree::members(&all, me, &HashSet::new(), &family)
        };
        tree::kill_all(everyone, || reap_orphans(&HashSet::new()));
    }

    fn start(&self, order: &Order<'_>, stdout: &OwnedFd, stderr: &OwnedFd) -> io::Result<i32> {
        let streams = [self.null.as_fd(), stdout.as_fd(), stderr.as_fd()];
        calls::spawn(order.program, &order.args, &order.env, order.working_dir, streams)
    }

    /// Whether an exited script may have descendants that live. The usual answer, no, is found with two system calls.
    fn leaves_behind(&self, at: usize) -> bool {
        if !calls::has_children() {
            return group_lives(self.wards[at].leader);
        }
        // What has ended and was not yet reaped still counts as a member of its group.
        let leaders = self.leaders();
        reap_orphans(&leaders);
        group_lives(self.wards[at].leader) || children().iter().any(|pid| !leaders.contains(pid))
    }

    fn leaders(&self) -> HashSet<i32> {
        self.wards.iter().filter(|ward| !ward.exited()).map(|ward| ward.leader).collect()
    }

    fn members(&self, at: usize) -> Vec<i32> {
        let ward = &self.wards[at];
        let others: HashSet<i32> = self.wards.iter().map(|w| w.leader).filter(|&pid| pid != ward.leader).collect();
        let family = Family { leader: ward.leader, marker: ward.marker.clone(), alone: others.is_empty() };
        tree::members(&procfs::processes(), self.me, &others, &family)
    }
}

/// Whether a process of this group is left.
fn group_lives(leader: i32) -> bool {
    Pid::from_raw(leader).is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
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

/// A runner that has gone is noticed by its main socket, not here.
fn say(socket: &mut UnixStream, reply: &Reply) {
    if let Ok(mut line) = serde_json::to_vec(reply) {
        line.push(b'\n');
        let _ = socket.write_all(&line);
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

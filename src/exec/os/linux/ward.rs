//! One script, as its guardian knows it.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::calls::{self, Wait};
use super::cgroup::Leaf;
use super::pages;
use super::tree::{Ending, Family, Span};
use super::wire::Reply;

/// One script.
#[derive(Debug)]
pub(super) struct Ward {
    /// `None` once the runner has done with it.
    pub(super) socket: Option<UnixStream>,
    /// Becomes readable when the script exits; `None` once it has, since it would stay so for ever.
    pub(super) pidfd: Option<OwnedFd>,
    /// The writing ends of its output. Kept until its exit has been told, so that the runner is woken once, by the word of
    /// the exit, and not by each stream's end.
    pub(super) output: Option<[OwnedFd; 2]>,
    pub(super) leader: i32,
    /// Whether the number of its process group may still stand for that.
    pub(super) has_group: bool,
    pub(super) marker: String,
    pub(super) cgroup: Option<Leaf>,
    /// Its processes of the last look, and when they began: they may lose their parents, and with them all that shows it.
    pub(super) known: HashMap<i32, u64>,
    pub(super) left_behind: bool,
    /// When it was the only one.
    pub(super) alone: Vec<Span>,
    /// All of its processes are being killed; the runner is told when they are gone if it has asked for that.
    pub(super) ending: Option<Ending>,
    pub(super) began: Instant,
    /// How large the guardian was when it started the script.
    pub(super) guardian_size: u64,
}

impl Ward {
    pub(super) fn exited(&self) -> bool {
        self.pidfd.is_none()
    }

    /// There is nothing that the runner could still want of it: it has exited and left nothing behind, or what it left can't
    /// be ended and nobody asks.
    pub(super) fn is_done(&self) -> bool {
        let given_up = self.socket.is_none() && self.ending.is_none();
        self.exited() && !self.left_behind || given_up
    }

    pub(super) fn begin_ending(&mut self, now: Instant) {
        self.ending.get_or_insert_with(|| Ending::new(now));
    }

    /// Notes whether it is the only one from now on, in clock ticks since the machine's start.
    pub(super) fn note_alone(&mut self, alone: bool, now: u64) {
        match self.alone.last_mut() {
            Some(span) if !alone => _ = span.until.get_or_insert(now),
            // After another has ended: what that one started in this very tick isn't this one's.
            Some(Span { until: Some(_), .. }) if alone => self.alone.push(Span { from: now + 1, until: None }),
            None if alone => self.alone.push(Span { from: now, until: None }),
            _ => {}
        }
    }

    pub(super) fn family(&self) -> Family {
        Family {
            leader: (!self.exited()).then_some(self.leader),
            group: self.has_group.then_some(self.leader),
            marker: self.marker.clone(),
            cgroup: self.cgroup.as_ref().map(Leaf::members).unwrap_or_default().into_iter().collect(),
            known: self.known.clone(),
            alone: self.alone.clone(),
        }
    }

    /// Reaps it if it has ended, which is remembered as of `now`.
    pub(super) fn reap(&mut self, now: Instant) -> Option<Ended> {
        let wait = calls::wait4(self.leader)?;
        self.pidfd = None;
        let elapsed = now.saturating_duration_since(self.began);
        Some(Ended { wait, elapsed_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX) })
    }

    pub(super) fn tell_exit(&mut self, ended: &Ended) {
        let wait = &ended.wait;
        self.say(&Reply::Exited {
            pid: u32::try_from(self.leader).unwrap_or_default(),
            code: wait.code,
            signal: wait.signal,
            core: wait.core_dumped,
            elapsed_us: ended.elapsed_us,
            user_us: wait.user_us,
            system_us: wait.system_us,
            peak_bytes: pages::told_apart(wait.peak_bytes, self.guardian_size),
            left_behind: self.left_behind,
        });
        self.output = None;
    }

    /// A runner that has gone is noticed by its main socket, not here.
    pub(super) fn say(&mut self, reply: &Reply) {
        if let Some(socket) = &mut self.socket {
            say(socket, reply);
        }
    }
}

/// How a script ended, and after how long.
pub(super) struct Ended {
    wait: Wait,
    elapsed_us: u64,
}

pub(super) fn say(socket: &mut UnixStream, reply: &Reply) {
    if let Ok(mut line) = serde_json::to_vec(reply) {
        line.push(b'\n');
        let _ = socket.write_all(&line);
    }
}

/// Those whose end has not been seen.
pub(super) fn leaders(wards: &[Ward]) -> HashSet<i32> {
    wards.iter().filter(|ward| !ward.exited()).map(|ward| ward.leader).collect()
}

//! When the daemon has what to do, by the wall clock.

use jiff::{SignedDuration, Timestamp};

/// When what is to be done, by the wall clock.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// Looking at the projects, because something was noticed.
    pub(super) look: Option<Timestamp>,
    /// Looking at the folders that can't be watched.
    pub(super) peek: Option<Timestamp>,
    /// Settling what is due.
    pub(super) settle: Option<Timestamp>,
    /// Leaving word that one is there.
    pub(super) seen: Option<Timestamp>,
    /// Telling the service manager that one isn't stuck.
    pub(super) alive: Option<Timestamp>,
    /// Interrupting the runs, once one is asked to end.
    pub(super) interrupt: Option<Timestamp>,
}

impl Times {
    /// All of them, to be looked through or moved.
    pub(super) fn all(&mut self) -> [&mut Option<Timestamp>; 6] {
        [&mut self.look, &mut self.peek, &mut self.settle, &mut self.seen, &mut self.alive, &mut self.interrupt]
    }
}

/// The instant so long after now; `None` if no calendar has it.
pub(super) fn after(now: Timestamp, pause: SignedDuration) -> Option<Timestamp> {
    now.checked_add(pause).ok()
}

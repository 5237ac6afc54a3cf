//! The seam between the outbox and whatever takes its messages: a server, a web address, or a test.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lettre::address::Envelope;

use super::{Accepted, DeliveryError};

/// Until when something may go on; may be brought forward by others meanwhile, as at the end of a run.
#[derive(Debug, Clone)]
pub struct Deadline {
    /// Its own is the last; before it are those of what it is a part of. Clones share them all.
    limits: Vec<Arc<Mutex<Instant>>>,
}

impl Deadline {
    /// So long from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        // Too far away to be reckoned is a day: nobody waits so long.
        let now = Instant::now();
        let until = now.checked_add(time).unwrap_or(now + Duration::from_secs(24 * 3600));
        Self { limits: vec![Arc::new(Mutex::new(until))] }
    }

    /// When it is.
    #[must_use]
    pub fn instant(&self) -> Instant {
        let all = self.limits.iter().map(|limit| *limit.lock().unwrap_or_else(PoisonError::into_inner));
        all.min().unwrap_or_else(Instant::now)
    }

    /// The same for a part of it, which may take at most so long.
    #[must_use]
    pub fn for_a_part(&self, time: Duration) -> Self {
        let mut limits = self.limits.clone();
        limits.extend(Self::after(time).limits);
        Self { limits }
    }

    /// How much time is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.instant().saturating_duration_since(Instant::now())
    }

    /// Brings it forward; never puts it off.
    pub fn bring_forward(&self, time: Duration) {
        let Some(limit) = self.limits.last() else { return };
        let mut until = limit.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sooner) = Instant::now().checked_add(time).filter(|sooner| *sooner < *until) {
            *until = sooner;
        }
    }

    /// Gives a part so long from now on, within the whole that it is a part of.
    pub fn allow(&self, time: Duration) {
        if let (Some(limit), Some(until)) = (self.limits.last(), Instant::now().checked_add(time)) {
            *limit.lock().unwrap_or_else(PoisonError::into_inner) = until;
        }
    }
}

/// A finished message on its way, as it stands in the outbox.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Headers and body, lines ended by CR LF.
    pub bytes: Vec<u8>,
    /// Sender and the recipients who are to get it.
    pub envelope: Envelope,
}

/// Takes messages to one server, one after the other, over one connection as long as that is possible.
pub trait Courier {
    /// Delivers one message before the deadline. `handing_over` is called when the message itself is about to be handed
    /// over: from then on, until there is an answer, nobody knows whether the server has it.
    ///
    /// # Errors
    /// When nobody gets it, or nobody can say whether anybody does.
    fn send(
        &mut self,
        message: &Outgoing,
        deadline: &Deadline,
        handing_over: &mut dyn FnMut(),
    ) -> Result<Accepted, DeliveryError>;
}

/// What is to be done about a message that was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Try again after a while, longer each time.
    Retry,
    /// The sender has sent too much: nothing of this sender's goes out for a while, then everything is tried again.
    Pause,
    /// Nothing of this sender's can go out until somebody mends something.
    Hold,
    /// This message can't be delivered.
    Fail,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_may_be_given_more_time_but_no_more_than_the_whole_has() {
        let whole = Deadline::after(Duration::from_secs(100));
        let part = whole.for_a_part(Duration::from_secs(10));
        let of_worker = part.clone();
        assert!(of_worker.left() <= Duration::from_secs(10));
        part.allow(Duration::from_secs(50));
        assert!(of_worker.left() > Duration::from_secs(40), "a clone is told");
        part.allow(Duration::from_secs(500));
        assert!(of_worker.left() <= Duration::from_secs(100));
        whole.bring_forward(Duration::ZERO);
        assert!(of_worker.left().is_zero());
    }
}

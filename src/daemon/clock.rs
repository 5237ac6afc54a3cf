//! What the machine and its clock were up to while the daemon was there.

use jiff::{SignedDuration, Timestamp};

use super::os::{self, Clocks};
use crate::schedule::Presence;

/// Clocks drift, and are put right a little all the time.
const NOTICEABLE: SignedDuration = SignedDuration::from_secs(1);
/// So many stretches are remembered.
const REMEMBERED: usize = 100;

/// What the clocks said when they were last looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    now: Timestamp,
    clocks: Clocks,
}

/// What has happened since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    /// Nothing but that time went by.
    Nothing,
    /// The machine slept.
    Slept,
    /// The clock was set forward.
    SetForward,
    /// It was set back.
    SetBack,
}

impl Seen {
    /// Looks at the clocks.
    pub(super) fn now() -> Self {
        Self { now: Timestamp::now(), clocks: os::clocks() }
    }

    /// The wall clock.
    pub(super) fn at(&self) -> Timestamp {
        self.now
    }

    /// When the machine was started.
    pub(super) fn booted(&self) -> Option<Timestamp> {
        self.now.checked_sub(SignedDuration::try_from(self.clocks.up?).ok()?).ok()
    }

    /// Looks again, and notes what has happened meanwhile.
    pub(super) fn look(&mut self, presence: &mut Presence) -> Happened {
        let before = std::mem::replace(self, Self::now());
        let happened = self.since(&before);
        let stretches = match happened {
            Happened::Slept => &mut presence.asleep,
            Happened::SetForward => &mut presence.skipped,
            Happened::Nothing | Happened::SetBack => return happened,
        };
        stretches.push((before.now, self.now));
        if stretches.len() > REMEMBERED {
            stretches.remove(0);
        }
        happened
    }

    fn since(&self, before: &Self) -> Happened {
        let between = |now: std::time::Duration, then| {
            SignedDuration::try_from(now).unwrap_or_default() - SignedDuration::try_from(then).unwrap_or_default()
        };
        let awake = between(self.clocks.awake, before.clocks.awake);
        let passed = match (self.clocks.up, before.clocks.up) {
            (Some(now), Some(then)) => between(now, then),
            _ => awake,
        };
        let by_the_clock = self.now.duration_since(before.now);
        if passed - awake > NOTICEABLE {
            Happened::Slept
        } else if by_the_clock - passed > NOTICEABLE {
            Happened::SetForward
        } else if passed - by_the_clock > NOTICEABLE {
            Happened::SetBack
        } else {
            Happened::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sleeping_is_told_from_setting_the_clock() {
        let seen = |now, awake, up| Seen {
            now: Timestamp::from_second(now).unwrap(),
            clocks: Clocks { awake: Duration::from_secs(awake), up: Some(Duration::from_secs(up)) },
        };
        let before = seen(1000, 50, 60);
        for (now, awake, up, happened) in [
            (1300, 350, 360, Happened::Nothing),
            (1300, 60, 360, Happened::Slept),
            (9000, 60, 70, Happened::SetForward),
            (900, 60, 70, Happened::SetBack),
        ] {
            assert_eq!(seen(now, awake, up).since(&before), happened);
        }
        assert_eq!(before.booted(), Some(Timestamp::from_second(940).unwrap()));
    }

    #[test]
    fn in_truth_nothing_happens() {
        let mut presence = Presence::default();
        let mut seen = Seen::now();
        assert_eq!(seen.look(&mut presence), Happened::Nothing);
        assert_eq!(presence, Presence::default());
    }
}

//! Who was there when, and so why nobody began a run that was due. Pure; whoever looks fills it in.

use jiff::Timestamp;

use super::Hindrance;

/// What is known of the machine and of those who keep its schedules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// When the machine was started last.
    pub booted: Option<Timestamp>,
    /// Since when the daemon that looks has been there, or the call of the system's scheduler; `None` if neither looks.
    pub since: Option<Timestamp>,
    /// When daemons before it were there, in order.
    pub earlier: Vec<Stay>,
    /// From when until when the machine was suspended, as far as the daemon that looks has noticed.
    pub asleep: Vec<(Timestamp, Timestamp)>,
    /// From when to when the clock was set forward, likewise.
    pub skipped: Vec<(Timestamp, Timestamp)>,
}

/// When a daemon was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// From when on.
    pub from: Timestamp,
    /// When it ended, else when it was last known to be there.
    pub until: Timestamp,
    /// Whether it ended because it was asked to.
    pub orderly: bool,
}

impl Presence {
    /// Why a run that was due then hadn't begun: of a schedule that the daemon keeps, or the system's own scheduler. `waited`:
    /// whether a run had to end first.
    #[must_use]
    pub fn why(&self, due: Timestamp, by_host: bool, waited: bool) -> Hindrance {
        let within = |stretch: &(Timestamp, Timestamp)| stretch.0 <= due && due <= stretch.1;
        let was_off = self.booted.is_some_and(|booted| due < booted);
        if self.asleep.iter().any(within) {
            return Hindrance::MachineAsleep;
        }
        if self.skipped.iter().any(within) {
            return Hindrance::ClockSet;
        }
        if by_host {
            // Whoever was called in time had other instants to run first.
            let was_called = self.since.is_some_and(|since| since <= due);
            let why = if was_called && waited { Hindrance::Busy } else { Hindrance::HostIdle };
            return if was_off { Hindrance::MachineOff } else { why };
        }
        let was_there = |stay: &Stay| stay.from <= due && due <= stay.until;
        if self.since.is_some_and(|since| since <= due) || self.earlier.iter().any(was_there) {
            // Nobody was away: what was to run couldn't, as the project of a broken file.
            return if waited { Hindrance::Busy } else { Hindrance::CouldNotRun };
        }
        let before = self.earlier.iter().rev().find(|stay| stay.until <= due);
        match before {
            Some(stay) if stay.orderly => Hindrance::DaemonOff,
            _ if was_off => Hindrance::MachineOff,
            _ => Hindrance::DaemonOff,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_kept_everybody_away() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let stay = |from, until, orderly| Stay { from: at(from), until: at(until), orderly };
        let presence = Presence {
            booted: Some(at(500)),
            since: Some(at(520)),
            earlier: vec![stay(0, 100, true), stay(200, 300, false)],
            asleep: vec![(at(600), at(700))],
            skipped: vec![(at(800), at(900))],
        };
        let why = |second| presence.why(at(second), false, true);
        assert_eq!(why(50), Hindrance::Busy);
        assert_eq!(why(150), Hindrance::DaemonOff);
        assert_eq!(why(400), Hindrance::MachineOff);
        assert_eq!(why(510), Hindrance::DaemonOff);
        assert_eq!(why(530), Hindrance::Busy);
        assert_eq!(why(650), Hindrance::MachineAsleep);
        assert_eq!(why(850), Hindrance::ClockSet);
        assert_eq!(presence.why(at(530), false, false), Hindrance::CouldNotRun, "it was there, and no run in the way");
        assert_eq!(presence.why(at(400), true, false), Hindrance::MachineOff);
        assert_eq!(presence.why(at(510), true, true), Hindrance::HostIdle);
        assert_eq!(presence.why(at(530), true, true), Hindrance::Busy);
        assert_eq!(presence.why(at(530), true, false), Hindrance::HostIdle);
    }
}

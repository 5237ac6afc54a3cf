//! The time, as a seam: whoever needs it is handed a clock, so that tests can live through a year in a second.

use chrono::{DateTime, FixedOffset, Local, Utc};
use jiff::Timestamp;

/// Tells the time, and how the machine's place writes it.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> DateTime<Utc>;

    /// How the wall clock shows an instant; the offset is the one in force at that instant.
    fn local_at(&self, instant: DateTime<Utc>) -> DateTime<FixedOffset>;

    /// What the wall clock shows now.
    fn now_local(&self) -> DateTime<FixedOffset> {
        self.local_at(self.now())
    }
}

/// The machine's clock and time zone.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn local_at(&self, instant: DateTime<Utc>) -> DateTime<FixedOffset> {
        instant.with_timezone(&Local).fixed_offset()
    }
}

/// The same instant as schedules have it, to the microsecond. What is beyond their last is their last.
#[must_use]
pub fn to_timestamp(time: DateTime<Utc>) -> Timestamp {
    let beyond = if time.timestamp() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(time.timestamp_micros()).unwrap_or(beyond)
}

/// The instant of a schedule as runs have it, to the microsecond.
#[must_use]
pub fn to_utc(time: Timestamp) -> DateTime<Utc> {
    // Every year that schedules know is one here, too.
    DateTime::from_timestamp_micros(time.as_microsecond()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_the_same_for_runs_and_schedules() {
        for time in ["2026-11-23T03:13:00.123456Z", "1969-12-31T23:59:59.999999Z", "9999-12-30T22:00:00Z"] {
            let instant: Timestamp = time.parse().unwrap();
            assert_eq!(to_timestamp(to_utc(instant)), instant);
            assert_eq!(to_utc(instant), time.parse::<DateTime<Utc>>().unwrap());
        }
        assert_eq!(to_timestamp(DateTime::<Utc>::MAX_UTC), Timestamp::MAX);
        assert_eq!(to_timestamp(DateTime::<Utc>::MIN_UTC), Timestamp::MIN);
    }

    #[test]
    fn the_wall_clock_shows_the_same_instant() {
        let now = SystemClock.now();
        assert_eq!(SystemClock.local_at(now), now);
    }
}

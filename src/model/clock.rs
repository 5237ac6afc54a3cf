//! The time, as a seam: whoever needs it is handed a clock, so that tests can live through a year in a second.

use chrono::{DateTime, FixedOffset, Local, Utc};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_shows_the_same_instant() {
        let now = SystemClock.now();
        assert_eq!(SystemClock.local_at(now), now);
    }
}

//! What a project's file says of when it is due, read and checked.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Trigger, next_after};

/// One of a project's triggers, and how its instants are gone about.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// By what it is known among the project's: its `name`, else its place, from `1`.
    pub name: String,
    /// The JSON that it was made of, in one form for one meaning: what differs in it is another schedule.
    pub definition: String,
    /// When it is due. Its instants are whole microseconds.
    pub trigger: Trigger,
    /// The time zone in which it is told of.
    pub zone: TimeZone,
    /// By how much at most a run begins after its planned instant, so that many don't begin at once.
    pub jitter: SignedDuration,
    /// How late a run may begin; later than that its instant is missed. `None`: however late.
    pub misfire_grace: Option<SignedDuration>,
    /// Whether of several instants that passed by the latest runs for all of them.
    pub coalesce: bool,
}

impl Schedule {
    /// The first planned instant strictly after this one; `None`: never again.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        next_after(&self.trigger, after)
    }
}

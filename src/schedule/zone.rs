//! From civil time to instants: what daylight saving does to planned times. Pure; no clock is read.
//!
//! A zone's time line is looked at in stretches of one offset. Within one, civil times and instants go side by side; where
//! two meet, civil times are either left out (a gap) or come twice (a fold), and the policy says what becomes of what was
//! planned for them.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// What becomes of times that don't exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// All that fall into one gap run once, at the first instant after it.
    After,
    /// They are left out.
    Skip,
}

/// What becomes of times that come twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// They run the first time.
    First,
    /// They run each time.
    Twice,
}

/// Civil times in order.
pub(super) trait CivilTimes {
    /// The first after `from`, or at it if that counts too.
    fn next(&self, from: DateTime, inclusive: bool) -> Option<DateTime>;
}

/// The first instant strictly after `after` at which one of these civil times is due in a zone.
pub(super) fn next_instant(
    times: &dyn CivilTimes,
    zone: &TimeZone,
    gap: Gap,
    fold: Fold,
    after: Timestamp,
) -> Option<Timestamp> {
    let mut offset = zone.to_offset(after);
    let (mut from, mut inclusive) = (offset.to_datetime(after), false);
    if fold == Fold::First
        && let Some(end) = end_of_repetition(zone, after, offset)
        && from < end
    {
        (from, inclusive) = (end, true);
    }
    // Between the civil time from which was searched and the one that was found there is none: transitions well inside of
    // that change nothing, and a zone has two a year until the end of time.
    let mut found = times.next(from, inclusive)?;
    let mut searched = after;
    let mut transitions = zone.following(after);
    while let Some(transition) = transitions.next() {
        let at = transition.timestamp();
        if let Some(instant) = to_instant(offset, found).filter(|instant| *instant < at) {
            return Some(instant);
        }
        if let Some(near) = well_before(found).filter(|near| at > saturating_add(searched, WELL) && at < *near) {
            offset = zone.to_offset(near);
            transitions = zone.following(near);
            continue;
        }
        let (old, new) = (offset.to_datetime(at), transition.offset().to_datetime(at));
        if new > old && gap == Gap::After && found < new {
            return Some(at);
        }
        offset = transition.offset();
        let begin = if new < old && fold == Fold::First { old } else { new };
        if found < begin || begin <= from {
            (from, found, searched) = (begin, times.next(begin, true)?, at);
        }
    }
    to_instant(offset, found)
}

/// More than any two offsets of a zone are apart.
const WELL: SignedDuration = SignedDuration::from_hours(72);

/// An instant that lies well before this civil time in any zone.
fn well_before(time: DateTime) -> Option<Timestamp> {
    Offset::UTC.to_timestamp(time).unwrap_or(Timestamp::MAX).checked_sub(WELL).ok()
}

fn saturating_add(at: Timestamp, duration: SignedDuration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// Until which civil time the stretch that `at` is in repeats what came before it; `None` if it doesn't.
fn end_of_repetition(zone: &TimeZone, at: Timestamp, offset: Offset) -> Option<DateTime> {
    let next = at.checked_add(SignedDuration::from_nanos(1)).ok()?;
    let began = zone.preceding(next).next()?.timestamp();
    let before = zone.to_offset(began.checked_sub(SignedDuration::from_nanos(1)).ok()?);
    (before > offset).then(|| before.to_datetime(began))
}

fn to_instant(offset: Offset, time: DateTime) -> Option<Timestamp> {
    offset.to_timestamp(time).ok()
}

/// Civil times that changes of the clocks meet with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disturbed {
    /// The first that doesn't exist.
    pub gap: Option<DateTime>,
    /// The first that comes twice.
    pub fold: Option<DateTime>,
}

/// The year before which changes are looked at: what never meets with one until then is taken never to.
const LOOKED_AHEAD: i16 = 2100;

/// Which of these times don't exist in a zone, and which come twice, after an instant.
pub(super) fn disturbed(times: &dyn CivilTimes, zone: &TimeZone, after: Timestamp) -> Disturbed {
    let mut offset = zone.to_offset(after);
    let mut found = Disturbed::default();
    for transition in zone.following(after) {
        let at = transition.timestamp();
        let (old, new) = (offset.to_datetime(at), transition.offset().to_datetime(at));
        offset = transition.offset();
        if new.year() >= LOOKED_AHEAD || (found.gap.is_some() && found.fold.is_some()) {
            break;
        }
        let (kind, from, until) = if new > old { (&mut found.gap, old, new) } else { (&mut found.fold, new, old) };
        if kind.is_none() && old != new {
            *kind = times.next(from, true).filter(|time| *time < until);
        }
    }
    found
}

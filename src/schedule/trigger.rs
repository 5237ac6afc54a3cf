//! Triggers: when something is due, as a pure function of an instant.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::calendar::CalendarStep;
use super::cron::{self, ByField, CronError};
use super::fields::Fields;
use super::zone::{CivilTimes, Disturbed, Fold, Gap, disturbed, next_instant};

/// How often the parts of an `all`, and their parts, may be asked before that is taken for never: enough for more than
/// a year of nights that don't meet, and done within milliseconds.
const MEETINGS: usize = 1_000;

/// When something is due.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// At the times that a cron expression tells.
    Cron(Cron),
    /// Again and again after the same elapsed time.
    Interval {
        /// How long; at least a second.
        every: SignedDuration,
        /// The first; the others are counted from it, forwards only.
        anchor: Timestamp,
    },
    /// Again and again after the same step of the calendar.
    Calendar {
        /// The step.
        step: CalendarStep,
        /// In which zone.
        zone: TimeZone,
        /// What daylight saving does to it.
        dst: Dst,
    },
    /// Once.
    At(Timestamp),
    /// At the instants that all of these have.
    All(Vec<Trigger>),
    /// At each instant that one of these has.
    Any(Vec<Trigger>),
    /// Only from and until some instant, both included.
    Bounded {
        /// What is bounded.
        inner: Box<Trigger>,
        /// The first instant that counts.
        start: Option<Timestamp>,
        /// The last one.
        end: Option<Timestamp>,
    },
}

/// A cron expression in a time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Cron {
    fields: Fields,
    zone: TimeZone,
    dst: Dst,
}

/// What daylight saving does; `None` is the usual: a time of the day that falls into a gap runs once right after it, and one
/// that comes twice runs the first time; a rhythm (`*` or a step in hour or minute) follows elapsed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dst {
    /// To times that don't exist.
    pub gap: Option<Gap>,
    /// To times that come twice.
    pub fold: Option<Fold>,
}

impl Dst {
    /// What was chosen, else what is usual for a time of the day.
    #[must_use]
    pub fn of_times_of_the_day(self) -> (Gap, Fold) {
        (self.gap.unwrap_or(Gap::After), self.fold.unwrap_or(Fold::First))
    }
}

impl Trigger {
    /// Whether anything of it is told by the clock of a time zone.
    #[must_use]
    pub fn has_time_of_day(&self) -> bool {
        match self {
            Self::Cron(_) | Self::Calendar { .. } => true,
            Self::Interval { .. } | Self::At(_) => false,
            Self::All(inner) | Self::Any(inner) => inner.iter().any(Self::has_time_of_day),
            Self::Bounded { inner, .. } => inner.has_time_of_day(),
        }
    }
}

impl Cron {
    /// From an expression of five or six fields, or one as `@daily`.
    ///
    /// # Errors
    /// When it isn't one, with the place.
    pub fn parse(text: &str, zone: TimeZone, dst: Dst) -> Result<Self, CronError> {
        Ok(Self { fields: cron::parse(text)?, zone, dst })
    }

    /// Field by field.
    ///
    /// # Errors
    /// With the name of the field that is wrong.
    pub fn from_fields(by: &ByField, zone: TimeZone, dst: Dst) -> Result<Self, (&'static str, CronError)> {
        Ok(Self { fields: cron::parse_fields(by)?, zone, dst })
    }

    /// Which civil times match.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The time zone that they are told in.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// What daylight saving does to it: what was chosen, else what is usual for times of the day or for a rhythm.
    #[must_use]
    pub fn policy(&self) -> (Gap, Fold) {
        let (gap, fold) = if self.fields.fixed { (Gap::After, Fold::First) } else { (Gap::Skip, Fold::Twice) };
        (self.dst.gap.unwrap_or(gap), self.dst.fold.unwrap_or(fold))
    }

    /// Whether and when changes of the clocks meet with it, after an instant.
    #[must_use]
    pub fn disturbed(&self, after: Timestamp) -> Disturbed {
        disturbed(&self.fields, &self.zone, after)
    }

    #[cfg(test)]
    pub(super) fn matches(&self, time: DateTime) -> bool {
        CivilTimes::next(&self.fields, time, true) == Some(time)
    }

    #[cfg(test)]
    pub(super) fn is_fixed(&self) -> bool {
        self.fields.fixed
    }

    fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let (gap, fold) = self.policy();
        next_instant(&self.fields, &self.zone, gap, fold, after)
    }
}

impl CivilTimes for Fields {
    fn next(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        Self::next(self, from, inclusive)
    }
}

/// The first instant strictly after `after` at which the trigger is due; `None`: never again. Takes bounded time for every
/// trigger: a cron expression or step of the calendar that matches nothing in 400 years never does, and the parts of an
/// `all` that don't meet after 1,000 looks are taken never to.
#[must_use]
pub fn next_after(trigger: &Trigger, after: Timestamp) -> Option<Timestamp> {
    let mut looks = MEETINGS;
    look(trigger, after, &mut looks)
}

/// The same with so many looks left for the parts of an `all` to meet. Triggers that need none always answer.
fn look(trigger: &Trigger, after: Timestamp, looks: &mut usize) -> Option<Timestamp> {
    if !matches!(trigger, Trigger::All(_) | Trigger::Any(_) | Trigger::Bounded { .. }) {
        *looks = looks.saturating_sub(1);
    }
    match trigger {
        Trigger::Cron(cron) => {
            let found = cron.next_after(after)?;
            // It was looked for month by month.
            *looks = looks.saturating_sub(years_between(after, found) / YEARS_A_LOOK);
            Some(found)
        }
        Trigger::Interval { every, anchor } => next_interval(*every, *anchor, after),
        Trigger::Calendar { step, zone, dst } => {
            let (gap, fold) = dst.of_times_of_the_day();
            next_instant(step, zone, gap, fold, after)
        }
        Trigger::At(at) => (*at > after).then_some(*at),
        Trigger::Any(parts) => {
            // Each has its share: parts that never meet leave the others theirs.
            let share = *looks / parts.len().max(1);
            let next = |part| {
                let mut left = share;
                let found = look(part, after, &mut left);
                *looks = looks.saturating_sub(share - left);
                found
            };
            parts.iter().filter_map(next).min()
        }
        Trigger::All(parts) => next_meeting(parts, after, looks),
        Trigger::Bounded { inner, start, end } => {
            let before_start = start.and_then(|start| start.checked_sub(SignedDuration::from_nanos(1)).ok());
            let after = before_start.map_or(after, |before| before.max(after));
            look(inner, after, looks).filter(|at| end.is_none_or(|end| *at <= end))
        }
    }
}

/// How many years a cron expression may be looked for at the price of one look.
const YEARS_A_LOOK: usize = 4;

/// Whole years, as far as the calendar needs them to begin again.
fn years_between(from: Timestamp, to: Timestamp) -> usize {
    const SECONDS: i64 = 31_556_952; // of a year, on average
    usize::try_from((to.as_second() - from.as_second()) / SECONDS).unwrap_or_default().min(400)
}

fn next_interval(every: SignedDuration, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
    if after < anchor {
        return Some(anchor);
    }
    let every_ns = every.as_nanos();
    if every_ns <= 0 {
        return None;
    }
    let steps = (after.as_nanosecond() - anchor.as_nanosecond()) / every_ns + 1;
    Timestamp::from_nanosecond(anchor.as_nanosecond().checked_add(steps.checked_mul(every_ns)?)?).ok()
}

fn next_meeting(parts: &[Trigger], after: Timestamp, looks: &mut usize) -> Option<Timestamp> {
    let just_before = |at: Timestamp| at.checked_sub(SignedDuration::from_nanos(1)).ok();
    let mut candidate = look(parts.first()?, after, looks)?;
    let (mut agreed, mut turn) = (1, 1);
    while agreed < parts.len() {
        if *looks == 0 {
            return None;
        }
        let found = look(&parts[turn % parts.len()], just_before(candidate)?, looks)?;
        if found == candidate {
            agreed += 1;
        } else {
            (candidate, agreed) = (found, 1);
        }
        turn += 1;
    }
    Some(candidate)
}

/// The instants after one, in order.
pub fn instants(trigger: &Trigger, after: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
    std::iter::successors(next_after(trigger, after), |last| next_after(trigger, *last))
}

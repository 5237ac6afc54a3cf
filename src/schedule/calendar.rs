//! Steps of the calendar: every so many years, months, weeks or days, at a time of the day.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

use super::zone::{CivilTimes, Disturbed, disturbed};

/// How many steps in a row may fall on days that don't exist (31 February) before that is taken for never: more than four
/// centuries of leap days.
const MISSES: u32 = 500;

/// A step of the calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarStep {
    /// Years, counted together with the months.
    pub years: u32,
    /// Months.
    pub months: u32,
    /// Weeks, counted together with the days.
    pub weeks: u32,
    /// Days.
    pub days: u32,
    /// At which time of the day.
    pub time: Time,
    /// The first day: the others follow from it. A day that a month lacks is left out in that month.
    pub first: Date,
}

impl CalendarStep {
    /// Whether and when changes of the clocks in a zone meet with it, after an instant.
    #[must_use]
    pub fn disturbed(&self, zone: &TimeZone, after: Timestamp) -> Disturbed {
        disturbed(self, zone, after)
    }

    fn months_a_step(&self) -> i64 {
        i64::from(self.years) * 12 + i64::from(self.months)
    }

    fn days_a_step(&self) -> i64 {
        i64::from(self.weeks) * 7 + i64::from(self.days)
    }

    /// The day that is `steps` steps on, if it exists. Months go first, then days.
    fn day(&self, steps: i64) -> Option<Date> {
        let months = steps.checked_mul(self.months_a_step())?;
        let total = i64::from(self.first.year()) * 12 + i64::from(self.first.month()) - 1 + months;
        let (year, month) = (i16::try_from(total.div_euclid(12)).ok()?, i8::try_from(total.rem_euclid(12) + 1).ok()?);
        let start = Date::new(year, month, self.first.day()).ok()?;
        let days: Span = Span::new().try_days(steps.checked_mul(self.days_a_step())?).ok()?;
        start.checked_add(days).ok()
    }

    /// How many steps surely lie before this day; hardly more do.
    fn steps_before(&self, day: Date) -> i64 {
        // Over 400 years; from any month to any other, days are never this many away from what that makes on average.
        const MONTHS: i64 = 4800;
        const DAYS: i64 = 146_097;
        const AWAY: i64 = 10;
        let days = i64::from((day - self.first).get_days());
        if self.months_a_step() == 0 {
            return ((days - 1) / self.days_a_step()).max(0);
        }
        let step = self.months_a_step() * DAYS + self.days_a_step() * MONTHS;
        ((days - AWAY) * MONTHS / step).max(0)
    }
}

impl CivilTimes for CalendarStep {
    fn next(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        if self.months_a_step() == 0 && self.days_a_step() == 0 {
            return None;
        }
        let mut misses = 0;
        for steps in self.steps_before(from.date()).. {
            let Some(day) = self.day(steps) else {
                misses += 1;
                if misses == MISSES {
                    break;
                }
                continue;
            };
            misses = 0;
            let due = day.to_datetime(self.time);
            if due > from || (inclusive && due == from) {
                return Some(due);
            }
        }
        None
    }
}

/// The usual first day: one from which years, months and weeks count as people count them. The first of January 1970 was a
/// Thursday, so weeks count from the Monday before, and a step without weeks or days from the first.
#[must_use]
pub fn usual_first_day(weeks: u32) -> Date {
    let epoch = jiff::civil::date(1970, 1, 1);
    if weeks > 0 { epoch.saturating_sub(3.days()) } else { epoch }
}

//! Which civil dates and times match: sets of numbers, one a field, and the rules for days.
//!
//! A day of the month may be counted from the month's end or be the working day nearest to one, and a day of the week may be
//! one of its occurrences in the month; the rest are plain sets. Matching is on the calendar alone and knows no time zone.

use jiff::civil::{Date, DateTime, Time, Weekday, date};

/// How long the calendar takes to begin again: 400 years are a whole number of weeks (Gregorian calendar).
const CYCLE_YEARS: i16 = 400;
const CYCLE: usize = CYCLE_YEARS.unsigned_abs() as usize;

/// How the two day fields go together (Vixie cron: if either begins with `*`, both must match, else either suffices).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayRule {
    /// Both must match.
    Both,
    /// Either suffices.
    Either,
}

/// Days of a month.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MonthDays {
    /// Bit n is the day n.
    pub days: u32,
    /// Bit n is the day n days before the last.
    pub from_end: u32,
    /// Bit n is the working day nearest to the day n, in the same month.
    pub nearest: u32,
    /// The month's last working day.
    pub last_working: bool,
}

/// Days of the week.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WeekDays {
    /// Bit 0 is Sunday.
    pub days: u8,
    /// For the first to the fifth of a weekday in its month: bit 0 is Sunday.
    pub nth: [u8; 5],
    /// The last of a weekday in its month: bit 0 is Sunday.
    pub last: u8,
}

/// A cron expression, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// `None` is any year; else sorted, each once.
    pub years: Option<Vec<i16>>,
    /// Bit n is the month n.
    pub months: u16,
    /// Days of the month.
    pub month_days: MonthDays,
    /// Days of the week.
    pub week_days: WeekDays,
    /// How these two go together.
    pub day_rule: DayRule,
    /// ISO weeks; `None` is any; bit n is the week n.
    pub weeks: Option<u64>,
    /// Bit n is the hour n.
    pub hours: u32,
    /// Bit n is the minute n.
    pub minutes: u64,
    /// Bit n is the second n.
    pub seconds: u64,
    /// Whether hour and minute were written without `*` or a step: then it tells times of the day, not a rhythm.
    pub fixed: bool,
}

/// The bits `from..=to`.
pub(super) fn bits(from: u32, to: u32) -> u64 {
    debug_assert!(from <= to && to < 64);
    (u64::MAX >> (63 - to)) & (u64::MAX << from)
}

/// The lowest bit that is set, from `from` on.
fn next_bit(mask: u64, from: u32) -> Option<u32> {
    let rest = if from >= 64 { 0 } else { mask & (u64::MAX << from) };
    (rest != 0).then(|| rest.trailing_zeros())
}

pub(super) fn sunday_first(weekday: Weekday) -> u32 {
    u32::from(weekday.to_sunday_zero_offset().unsigned_abs())
}

impl Fields {
    /// The first match after `from`, or at it if that counts too. `None`: never, in a whole cycle of the calendar.
    pub(super) fn next(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        let time = if from.subsec_nanosecond() == 0 && inclusive { Some(from) } else { next_second(from) }?;
        let today = time.date();
        if self.day_matches(today)
            && let Some(time) = self.next_time(time.time())
        {
            return Some(today.to_datetime(time));
        }
        let first = self.next_time(Time::midnight())?;
        Some(self.next_day(today.tomorrow().ok()?)?.to_datetime(first))
    }

    /// The first time of a day that matches, from this one on.
    fn next_time(&self, from: Time) -> Option<Time> {
        let (hour, minute, second) = (unsigned(from.hour()), unsigned(from.minute()), unsigned(from.second()));
        let hours = u64::from(self.hours);
        let at = |hour: u32, minute: u32, second: u32| {
            Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?, 0).ok()
        };
        let (first_minute, first_second) = (next_bit(self.minutes, 0)?, next_bit(self.seconds, 0)?);
        if next_bit(hours, hour)? == hour {
            if next_bit(self.minutes, minute) == Some(minute)
                && let Some(second) = next_bit(self.seconds, second)
            {
                return at(hour, minute, second);
            }
            if let Some(minute) = next_bit(self.minutes, minute + 1) {
                return at(hour, minute, first_second);
            }
        }
        let hour =
            if next_bit(hours, hour) == Some(hour) { next_bit(hours, hour + 1)? } else { next_bit(hours, hour)? };
        at(hour, first_minute, first_second)
    }

    fn next_day(&self, from: Date) -> Option<Date> {
        // Years that are named end by themselves.
        let last_year = if self.years.is_some() { i16::MAX } else { from.year().saturating_add(CYCLE_YEARS) };
        let mut year = self.next_year(from.year())?;
        // Years that were in vain from January on, by their place in the cycle: they are in vain in each cycle.
        let mut in_vain = [false; CYCLE];
        let mut month = if year == from.year() { from.month() } else { 1 };
        let mut day = if year == from.year() { from.day() } else { 1 };
        while year <= last_year {
            let place = usize::try_from(year.rem_euclid(CYCLE_YEARS)).unwrap_or_default();
            if in_vain[place] {
                year = self.next_year(year.checked_add(1)?)?;
                continue;
            }
            in_vain[place] = (month, day) == (1, 1);
            while let Some(next) = next_bit(u64::from(self.months), unsigned(month)).filter(|next| *next <= 12) {
                let next = i8::try_from(next).ok()?;
                if next != month {
                    (month, day) = (next, 1);
                }
                if let Some(found) = next_bit(u64::from(self.days_of(year, month)), unsigned(day)) {
                    return Date::new(year, month, i8::try_from(found).ok()?).ok();
                }
                (month, day) = (month + 1, 1);
            }
            year = self.next_year(year.checked_add(1)?)?;
            (month, day) = (1, 1);
        }
        None
    }

    fn next_year(&self, from: i16) -> Option<i16> {
        match &self.years {
            None => (from <= Date::MAX.year()).then_some(from),
            Some(years) => years.get(years.partition_point(|year| *year < from)).copied(),
        }
    }

    fn day_matches(&self, day: Date) -> bool {
        let year = self.years.as_ref().is_none_or(|years| years.binary_search(&day.year()).is_ok());
        year && self.months >> day.month() & 1 == 1 && self.days_of(day.year(), day.month()) >> day.day() & 1 == 1
    }

    /// The days of a month that match: bit n is the day n.
    fn days_of(&self, year: i16, month: i8) -> u32 {
        let first = date(year, month, 1);
        let last = unsigned(first.days_in_month());
        let starts_on = sunday_first(first.weekday());
        let by_month = self.month_days.of(last, starts_on);
        let days = match self.day_rule {
            DayRule::Both if by_month == 0 => 0,
            DayRule::Both => by_month & self.week_days.of(last, starts_on),
            DayRule::Either => by_month | self.week_days.of(last, starts_on),
        };
        match self.weeks {
            Some(weeks) if weeks & weeks_of(month) == 0 => 0,
            Some(weeks) => in_weeks(days, weeks, first),
            None => days,
        }
    }
}

impl MonthDays {
    /// In a month of `last` days whose first is this weekday.
    fn of(&self, last: u32, starts_on: u32) -> u32 {
        let all = all_days(last);
        let weekday = |day: u32| (starts_on + day - 1) % 7;
        let mut days = self.days & all;
        if self.from_end == 0 && self.nearest == 0 && !self.last_working {
            return days;
        }
        let set = |mask: u32| (0..=31_u32).filter(move |bit| mask >> bit & 1 == 1);
        days |= set(self.from_end).filter(|before| *before < last).fold(0, |mask, before| mask | 1 << (last - before));
        for day in set(self.nearest).filter(|day| (1..=last).contains(day)) {
            // Saturday goes back to Friday, Sunday on to Monday, but never into another month.
            let nearest = match weekday(day) {
                6 if day > 1 => day - 1,
                6 => day + 2,
                0 if day < last => day + 1,
                0 => day - 2,
                _ => day,
            };
            days |= 1 << nearest;
        }
        if self.last_working {
            let back = match weekday(last) {
                6 => 1,
                0 => 2,
                _ => 0,
            };
            days |= 1 << (last - back);
        }
        days
    }
}

impl WeekDays {
    fn of(&self, last: u32, starts_on: u32) -> u32 {
        const EACH: u8 = 0b111_1111;
        if self.days == EACH {
            return all_days(last);
        }
        let mut days = 0;
        for day in 1..=last {
            let weekday = (starts_on + day - 1) % 7;
            let has = |mask: u8| mask >> weekday & 1 == 1;
            let nth = usize::try_from((day - 1) / 7).unwrap_or_default();
            if has(self.days) || has(self.nth[nth]) || (has(self.last) && day + 7 > last) {
                days |= 1 << day;
            }
        }
        days
    }
}

/// Of the days of a month, which begins with `first`, those in these ISO weeks.
fn in_weeks(days: u32, weeks: u64, first: Date) -> u32 {
    let (mut left, mut kept) = (days, 0);
    // The row of the calendar, which begins on Monday, and whether it counts.
    let mut known = None;
    while left != 0 {
        let day = left.trailing_zeros();
        left &= left - 1;
        let row = (sunday_first(first.weekday()) + day + 5) / 7;
        let counts = match known {
            Some((same, counts)) if same == row => counts,
            _ => {
                let date = i8::try_from(day).ok().and_then(|day| Date::new(first.year(), first.month(), day).ok());
                date.is_some_and(|date| weeks >> date.iso_week_date().week() & 1 == 1)
            }
        };
        known = Some((row, counts));
        kept |= u32::from(counts) << day;
    }
    kept
}

/// The ISO weeks that may have days in a month: those from its first day's earliest to its last day's latest.
fn weeks_of(month: i8) -> u64 {
    const BEFORE: [u32; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let (first, last) =
        (BEFORE[usize::from(month.unsigned_abs()) - 1] + 1, BEFORE[usize::from(month.unsigned_abs())] + 1);
    let of_other_years = match month {
        1 => 1 << 52 | 1 << 53,
        12 => 1 << 1,
        _ => 0,
    };
    // A week has its number from its Thursday, which is three days before or after at most.
    bits((first + 3) / 7, ((last + 9) / 7).min(53)) | of_other_years
}

fn all_days(last: u32) -> u32 {
    u32::MAX >> (31 - last) & !1
}

fn unsigned(number: i8) -> u32 {
    u32::from(number.unsigned_abs())
}

/// The whole second after this moment.
fn next_second(from: DateTime) -> Option<DateTime> {
    let whole = from.with().subsec_nanosecond(0).build().ok()?;
    whole.checked_add(jiff::SignedDuration::from_secs(1)).ok()
}

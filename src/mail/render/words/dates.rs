//! What dates are made of.

use chrono::{DateTime, Datelike, FixedOffset};

/// Names from January and Monday on, whole and short.
pub(super) struct Names {
    pub(super) months: [&'static str; 12],
    pub(super) short_months: [&'static str; 12],
    pub(super) days: [&'static str; 7],
    pub(super) short_days: [&'static str; 7],
}

/// A date's parts, named.
pub(super) struct Named {
    pub(super) year: i32,
    pub(super) month: &'static str,
    pub(super) short_month: &'static str,
    pub(super) day: u32,
    pub(super) weekday: &'static str,
    pub(super) short_weekday: &'static str,
}

impl Names {
    pub(super) fn of(&self, time: DateTime<FixedOffset>) -> Named {
        let month = time.month0() as usize % 12;
        let weekday = time.weekday().num_days_from_monday() as usize % 7;
        Named {
            year: time.year(),
            month: self.months[month],
            short_month: self.short_months[month],
            day: time.day(),
            weekday: self.days[weekday],
            short_weekday: self.short_days[weekday],
        }
    }
}

/// `07:05:09 (UTC+01:00)`.
pub(super) fn exact_time(time: DateTime<FixedOffset>) -> String {
    time.format("%H:%M:%S (UTC%:z)").to_string()
}

/// `07:05`.
pub(super) fn time_of_day(time: DateTime<FixedOffset>) -> String {
    time.format("%H:%M").to_string()
}

/// How far away a day is, as far as naming it goes.
pub(super) enum Distance {
    SameDay,
    SameYear,
    Far,
}

/// How far `time` is from `now`. Days around New Year are near all the same.
pub(super) fn distance(time: DateTime<FixedOffset>, now: DateTime<FixedOffset>) -> Distance {
    if time.date_naive() == now.date_naive() {
        Distance::SameDay
    } else if time.year() == now.year() || (now - time).num_days() < 32 {
        Distance::SameYear
    } else {
        Distance::Far
    }
}

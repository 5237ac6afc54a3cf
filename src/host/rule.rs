//! A trigger as what all schedulers understand: times of the day on days of the calendar, an instant, an elapsed time. Pure.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Refusal;
use super::sets::{members, span};
use crate::schedule::{CalendarStep, DayRule, Disturbed, Fields, Fold, Gap, MonthDays, Trigger, WeekDays, next_after};

/// All days of a month, bit n being the day n.
pub(super) const ALL_DAYS: u32 = !1;
/// All days of the week, bit 0 being Sunday.
pub(super) const ALL_WEEK: u8 = 0x7f;
/// All months, bit n being the month n.
pub(super) const ALL_MONTHS: u16 = 0x1ffe;
pub(super) const ALL_HOURS: u32 = 0x00ff_ffff;
pub(super) const ALL_SIXTY: u64 = (1 << 60) - 1;
const DAY: i64 = 86_400;
/// So many changes of a zone's clock are looked through: rules repeat every year, and no zone has more that don't.
const CHANGES: usize = 200;
const WEEKDAYS: u8 = 0b011_1110;
const MONDAY: u8 = 1 << 1;
const FRIDAY: u8 = 1 << 5;

/// One of the things that a schedule is due by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) kind: Kind,
    /// The first instant that counts, if it is still to come.
    pub(super) start: Option<Timestamp>,
    /// The last one.
    pub(super) end: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Wall(Wall),
    Every { every: i64, anchor: Timestamp },
    Once(Timestamp),
}

/// Times of the day, on days of the calendar.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wall {
    pub(super) zone: TimeZone,
    pub(super) years: Years,
    pub(super) months: u16,
    /// A day counts if it is one of these.
    pub(super) days: Vec<Days>,
    pub(super) times: Times,
    pub(super) policy: (Gap, Fold),
    pub(super) disturbed: Disturbed,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Years {
    Any,
    /// Sorted.
    Of(Vec<i16>),
    /// From the first, every so many.
    Step(i16, i64),
}

/// Days that are in both of these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Days {
    pub(super) of_month: OfMonth,
    /// Bit 0 is Sunday.
    pub(super) of_week: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum OfMonth {
    /// Bit n is the day n.
    Days(u32),
    /// Bit n is the day n days before the last.
    FromEnd(u32),
    /// Every so many days from one on.
    Step(i64, Date),
}

impl Days {
    const ALL: Self = Self { of_month: OfMonth::Days(ALL_DAYS), of_week: ALL_WEEK };

    fn month(days: u32) -> Self {
        Self { of_month: OfMonth::Days(days), of_week: ALL_WEEK }
    }

    fn week(of_week: u8) -> Self {
        Self { of_month: OfMonth::Days(ALL_DAYS), of_week }
    }

    /// The days that are in both; `None` if that has no form here.
    fn and(self, other: Self) -> Option<Self> {
        let of_month = match (self.of_month, other.of_month) {
            (OfMonth::Days(ALL_DAYS), any) | (any, OfMonth::Days(ALL_DAYS)) => any,
            (OfMonth::Days(a), OfMonth::Days(b)) => OfMonth::Days(a & b),
            (OfMonth::FromEnd(a), OfMonth::FromEnd(b)) => OfMonth::FromEnd(a & b),
            _ => return None,
        };
        Some(Self { of_month, of_week: self.of_week & other.of_week })
    }

    fn is_empty(self) -> bool {
        self.of_week == 0 || matches!(self.of_month, OfMonth::Days(0) | OfMonth::FromEnd(0))
    }
}

/// Every combination of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) hours: u32,
    pub(super) minutes: u64,
    pub(super) seconds: u64,
}

impl Times {
    /// The seconds of the day, in order.
    pub(super) fn seconds_of_day(self) -> Vec<u32> {
        let minutes = members(self.minutes);
        let seconds = members(self.seconds);
        let in_hour = |hour: u32| {
            let seconds = &seconds;
            minutes.iter().flat_map(move |minute| seconds.iter().map(move |second| hour * 3600 + minute * 60 + second))
        };
        members(u64::from(self.hours)).into_iter().flat_map(in_hour).collect()
    }

    /// These seconds of the day as combinations, as few as are found.
    fn of(seconds_of_day: impl Iterator<Item = u32>) -> Vec<Self> {
        let mut hours: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        for at in seconds_of_day {
            *hours.entry((at / 60 % 60, at % 60)).or_default() |= 1 << (at / 3600);
        }
        let mut minutes: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for ((minute, second), hours) in hours {
            *minutes.entry((hours, second)).or_default() |= 1 << minute;
        }
        let mut seconds: BTreeMap<(u32, u64), u64> = BTreeMap::new();
        for ((hours, second), minutes) in minutes {
            *seconds.entry((hours, minutes)).or_default() |= 1 << second;
        }
        seconds.into_iter().map(|((hours, minutes), seconds)| Self { hours, minutes, seconds }).collect()
    }
}

/// The rules of a trigger, as it stands at an instant.
pub(super) fn rules(trigger: &Trigger, now: Timestamp) -> Result<Vec<Rule>, Refusal> {
    if next_after(trigger, now).is_none() {
        return Err(Refusal::with("it is never due again", "take the schedule out of the project file"));
    }
    let mut found = Vec::new();
    collect(trigger, (None, None), now, &mut found)?;
    Ok(found)
}

fn collect(
    trigger: &Trigger,
    (start, end): (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
    found: &mut Vec<Rule>,
) -> Result<(), Refusal> {
    let kind = match trigger {
        Trigger::Any(parts) => return parts.iter().try_for_each(|part| collect(part, (start, end), now, found)),
        Trigger::All(_) => {
            return Err(Refusal::new("no scheduler of a system knows `all`, the instants that several share"));
        }
        Trigger::Bounded { inner, start: first, end: last } => {
            let later = |a: Option<Timestamp>, b: Option<Timestamp>| a.into_iter().chain(b).max();
            let sooner = |a: Option<Timestamp>, b: Option<Timestamp>| a.into_iter().chain(b).min();
            return collect(inner, (later(start, *first), sooner(end, *last)), now, found);
        }
        Trigger::Cron(cron) => Kind::Wall(of_fields(cron.fields(), cron.zone(), cron.policy(), cron.disturbed(now))?),
        Trigger::Interval { every, anchor } => every_so_often(*every, *anchor)?,
        Trigger::Calendar { step, zone, dst } => {
            let disturbed = step.disturbed(zone, now);
            Kind::Wall(of_step(step, zone, dst.of_times_of_the_day(), disturbed)?)
        }
        Trigger::At(at) => Kind::Once(*at),
    };
    // What begins with its anchor is bounded by it.
    let begins = match (trigger, &kind) {
        (_, Kind::Every { anchor, .. }) => Some(*anchor),
        (Trigger::Calendar { step, zone, .. }, _) => {
            step.first.to_zoned(zone.clone()).ok().map(|first| first.timestamp())
        }
        _ => None,
    };
    let start = start.into_iter().chain(begins).max().filter(|start| *start > now);
    // A part of an `any` that is over adds nothing.
    let bounded = Trigger::Bounded { inner: Box::new(trigger.clone()), start, end };
    if next_after(&bounded, now).is_some() {
        found.push(Rule { kind, start, end });
    }
    Ok(())
}

fn every_so_often(every: SignedDuration, anchor: Timestamp) -> Result<Kind, Refusal> {
    if every.subsec_nanos() != 0 || anchor.subsec_nanosecond() != 0 {
        return Err(Refusal::new("its instants are no whole seconds"));
    }
    Ok(Kind::Every { every: every.as_secs(), anchor })
}

fn of_fields(fields: &Fields, zone: &TimeZone, policy: (Gap, Fold), disturbed: Disturbed) -> Result<Wall, Refusal> {
    if fields.weeks.is_some() {
        return Err(Refusal::new("no scheduler of a system counts the weeks of the year"));
    }
    let (by_month, by_week) = (month_days(&fields.month_days)?, week_days(&fields.week_days));
    let days = match fields.day_rule {
        DayRule::Either => by_month.into_iter().chain(by_week).collect(),
        DayRule::Both => {
            let mut days = Vec::new();
            for of_month in by_month {
                for of_week in &by_week {
                    let both = of_month.and(*of_week).ok_or_else(|| {
                        Refusal::new("no scheduler of a system knows days counted from both ends of the month at once")
                    })?;
                    days.push(both);
                }
            }
            days
        }
    };
    let days: Vec<Days> = days.into_iter().filter(|days| !days.is_empty()).collect();
    Ok(Wall {
        zone: zone.clone(),
        years: fields.years.clone().map_or(Years::Any, Years::Of),
        months: fields.months,
        days: if days.contains(&Days::ALL) { vec![Days::ALL] } else { days },
        times: Times { hours: fields.hours, minutes: fields.minutes, seconds: fields.seconds },
        policy,
        disturbed,
    })
}

/// The days of the month; those nearest to a working day as what they are on each day of the week.
fn month_days(days: &MonthDays) -> Result<Vec<Days>, Refusal> {
    let mut found = Vec::new();
    if days.days != 0 {
        found.push(Days::month(days.days & ALL_DAYS));
    }
    if days.from_end != 0 {
        found.push(Days { of_month: OfMonth::FromEnd(days.from_end), of_week: ALL_WEEK });
    }
    for day in members(u64::from(days.nearest)) {
        let on = |days: u32, of_week: u8| Days { of_month: OfMonth::Days(days), of_week };
        found.push(on(1 << day, WEEKDAYS));
        match day {
            1 => found.push(on(1 << 2 | 1 << 3, MONDAY)),
            // In a month that ends with that day it would be another day before.
            28.. => {
                let reason = format!("no scheduler of a system can say {day}W: it depends on how long the month is");
                return Err(Refusal::new(reason));
            }
            _ => found.extend([on(1 << (day - 1), FRIDAY), on(1 << (day + 1), MONDAY)]),
        }
    }
    if days.last_working {
        found.push(Days { of_month: OfMonth::FromEnd(1), of_week: WEEKDAYS });
        found.push(Days { of_month: OfMonth::FromEnd(0b110), of_week: FRIDAY });
    }
    Ok(found)
}

fn week_days(days: &WeekDays) -> Vec<Days> {
    let mut found = Vec::new();
    if days.days != 0 {
        found.push(Days::week(days.days));
    }
    for (nth, of_week) in (0_u32..).zip(days.nth).filter(|(_, of_week)| *of_week != 0) {
        let seven = span(nth * 7 + 1, (nth * 7 + 7).min(31));
        found.push(Days { of_month: OfMonth::Days(u32::try_from(seven).unwrap_or_default()), of_week });
    }
    if days.last != 0 {
        found.push(Days { of_month: OfMonth::FromEnd(0x7f), of_week: days.last });
    }
    found
}

fn of_step(step: &CalendarStep, zone: &TimeZone, policy: (Gap, Fold), disturbed: Disturbed) -> Result<Wall, Refusal> {
    let (months, days) =
        (i64::from(step.years) * 12 + i64::from(step.months), i64::from(step.weeks) * 7 + i64::from(step.days));
    let first = step.first;
    let (month, day) = (1_u16 << first.month(), 1_u32 << first.day());
    if step.time.subsec_nanosecond() != 0 {
        return Err(Refusal::new("its instants are no whole seconds"));
    }
    let (years, months, days) = match (months, days) {
        (0, 1) => (Years::Any, ALL_MONTHS, Days::ALL),
        (0, 7) => {
            let weekday = first.weekday().to_sunday_zero_offset();
            (Years::Any, ALL_MONTHS, Days::week(1 << weekday))
        }
        (0, days) => (Years::Any, ALL_MONTHS, Days { of_month: OfMonth::Step(days, first), of_week: ALL_WEEK }),
        (months, 0) if 12 % months == 0 => {
            let residue = i64::from(first.month()) % months;
            let of_year = (1..=12_u16).filter(|month| i64::from(*month) % months == residue);
            (Years::Any, of_year.fold(0, |mask, month| mask | 1 << month), Days::month(day))
        }
        (months, 0) if months % 12 == 0 => (Years::Step(first.year(), months / 12), month, Days::month(day)),
        (months, 0) => {
            let reason = format!("no scheduler of a system counts {months} months over the end of a year");
            return Err(Refusal::new(reason));
        }
        _ => return Err(Refusal::new("no scheduler of a system takes months and days in one step")),
    };
    let times =
        Times { hours: 1 << step.time.hour(), minutes: 1 << step.time.minute(), seconds: 1 << step.time.second() };
    Ok(Wall { zone: zone.clone(), years, months, days: vec![days], times, policy, disturbed })
}

impl Wall {
    pub(super) fn is_daily(&self) -> bool {
        self.years == Years::Any && self.months == ALL_MONTHS && self.days == [Days::ALL]
    }

    /// The same in UTC, if it goes by the minutes of every hour and the zone differs from UTC by as many minutes at all times.
    pub(super) fn in_utc(&self, now: Timestamp) -> Option<Self> {
        let hourly = self.is_daily() && self.times.hours == ALL_HOURS && self.policy == (Gap::Skip, Fold::Twice);
        let shift = offset_modulo(&self.zone, now, 3600).filter(|shift| hourly && shift % 60 == 0)? / 60;
        let minutes = members(self.times.minutes).into_iter().map(|minute| (i64::from(minute) - shift).rem_euclid(60));
        let times = Times { minutes: minutes.fold(0, |mask, minute| mask | 1 << minute), ..self.times };
        Some(Self { zone: TimeZone::UTC, times, disturbed: Disturbed::default(), ..self.clone() })
    }
}

/// Whether clocks show the same in both zones from now on: `UTC` and `Etc/UTC`, `Asia/Calcutta` and `Asia/Kolkata`.
pub(super) fn same_clock(one: &TimeZone, other: &TimeZone, now: Timestamp) -> bool {
    let changes = |zone: &TimeZone| {
        let changes: Vec<_> = zone.following(now).take(CHANGES).map(|to| (to.timestamp(), to.offset())).collect();
        (zone.to_offset(now), changes)
    };
    one == other || changes(one) == changes(other)
}

/// Refuses a schedule by the clock of another zone than the system's.
pub(super) fn other_clock(scheduler: &str, system: &TimeZone, wall: &Wall) -> Refusal {
    let name = |zone: &TimeZone| zone.iana_name().unwrap_or("a zone without a name").to_owned();
    let (system, own) = (name(system), name(&wall.zone));
    Refusal::new(format!("{scheduler} goes by the system's time zone, {system}, and the schedule by {own}"))
}

/// By how much a zone is ahead of UTC, modulo this many seconds, if that is the same from now on.
pub(super) fn offset_modulo(zone: &TimeZone, now: Timestamp, modulo: i64) -> Option<i64> {
    let of = |seconds: i32| i64::from(seconds).rem_euclid(modulo);
    let shift = of(zone.to_offset(now).seconds());
    zone.following(now).take(CHANGES).all(|change| of(change.offset().seconds()) == shift).then_some(shift)
}

/// An elapsed time as times of the day in a zone, which has to be ahead of UTC by as much at all times, at least modulo that
/// elapsed time; `None` if it has no such form.
pub(super) fn as_walls(every: i64, anchor: Timestamp, zone: &TimeZone, now: Timestamp) -> Option<Vec<Wall>> {
    let shift = offset_modulo(zone, now, every.min(7 * DAY))?;
    let first = anchor.as_second() + shift;
    let days = match every {
        _ if every <= DAY && DAY % every == 0 => Days::ALL,
        // The first of January 1970 was a Thursday.
        _ if every == 7 * DAY => Days::week(1 << (first.div_euclid(DAY) + 4).rem_euclid(7)),
        _ => return None,
    };
    let times = (0..DAY).step_by(usize::try_from(every).ok()?).map(|after| (first + after).rem_euclid(DAY));
    let wall = |times: Times| Wall {
        zone: zone.clone(),
        years: Years::Any,
        months: ALL_MONTHS,
        days: vec![days],
        times,
        policy: (Gap::Skip, Fold::Twice),
        disturbed: Disturbed::default(),
    };
    Some(Times::of(times.filter_map(|at| u32::try_from(at).ok())).into_iter().map(wall).collect())
}

/// Says that a time meets with a change of the clocks, and what the scheduler does then.
pub(super) fn disturbance(wall: &Wall, does: &str) -> Refusal {
    let zone = wall.zone.iana_name().unwrap_or("its time zone");
    let shown = |time: jiff::civil::DateTime| time.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let what = match (wall.disturbed.gap, wall.disturbed.fold) {
        (Some(gap), _) => format!("{} doesn't exist in {zone}", shown(gap)),
        (None, Some(fold)) => format!("{} comes twice in {zone}", shown(fold)),
        (None, None) => format!("the clocks change in {zone}"),
    };
    Refusal::with(
        format!("{what}, and {does}"),
        "choose a time that no change of the clocks meets with, or let `runner daemon` keep it",
    )
}

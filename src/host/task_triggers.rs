//! Rules as triggers of Task Scheduler (the schema of MS-TSCH 2.3.8 and 2.5). Pure.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::Refusal;
use super::rule::{
    ALL_DAYS, ALL_HOURS, ALL_MONTHS, ALL_WEEK, Days, Kind, OfMonth, Rule, Times, Wall, Years, disturbance, other_clock,
    same_clock,
};
use super::sets::{members, span};

/// A task may have no more (`triggersType` in the schema).
const TRIGGERS: usize = 48;
/// The shortest interval of a repetition, in seconds, and the longest.
const INTERVALS: std::ops::RangeInclusive<i64> = 60..=31 * 86_400;
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A trigger as the XML has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TaskTrigger {
    /// When it is due first; without an offset in the machine's time zone.
    pub(super) start: String,
    pub(super) end: Option<String>,
    pub(super) repetition: Option<Repetition>,
    pub(super) on: On,
}

/// Every so many seconds, for so long; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repetition {
    pub(super) interval: i64,
    pub(super) duration: Option<i64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum On {
    Once,
    Days {
        every: i64,
    },
    Weeks {
        days: Vec<&'static str>,
    },
    /// `Last` is a day, too.
    Months {
        days: Vec<String>,
        months: Vec<&'static str>,
    },
    WeekdaysOfMonths {
        weeks: Vec<String>,
        days: Vec<&'static str>,
        months: Vec<&'static str>,
    },
}

/// The triggers of a schedule. Task Scheduler goes by the machine's time zone.
pub(super) fn triggers(
    rules: &[Rule],
    system: &TimeZone,
    now: Timestamp,
    has_jitter: bool,
) -> Result<Vec<TaskTrigger>, Refusal> {
    let mut found = Vec::new();
    for rule in rules {
        match &rule.kind {
            Kind::Once(at) => found.push(TaskTrigger { start: utc(*at), end: None, repetition: None, on: On::Once }),
            Kind::Every { every, anchor } => found.extend(every_so_often(rule, *every, *anchor, now)?),
            Kind::Wall(wall) => found.extend(on_the_wall(rule, wall, system, now)?),
        }
    }
    if found.len() > TRIGGERS {
        let reason =
            format!("a task has {TRIGGERS} triggers at the most, and this schedule would need {}", found.len());
        return Err(Refusal::new(reason));
    }
    if has_jitter && found.iter().any(|trigger| trigger.repetition.is_some()) {
        return Err(Refusal::new("Task Scheduler knows no random delay (`jitter`) of what is repeated within a day"));
    }
    Ok(found)
}

/// An instant; the `Z` has Task Scheduler go by UTC.
fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn local(at: DateTime) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// The end, which counts, while Task Scheduler's doesn't say whether it does.
fn after_end(end: Option<Timestamp>) -> Option<Timestamp> {
    end.map(|end| end.saturating_add(SignedDuration::from_secs(1)).unwrap_or(end))
}

fn every_so_often(rule: &Rule, every: i64, anchor: Timestamp, now: Timestamp) -> Result<Vec<TaskTrigger>, Refusal> {
    if !INTERVALS.contains(&every) {
        return Err(Refusal::new("Task Scheduler repeats after a minute at the least and 31 days at the most"));
    }
    // The last instant of the grid before what counts, so that the start is near, and on the grid.
    let from = rule.start.unwrap_or(now).as_second();
    let steps = (from - anchor.as_second() + if rule.start.is_some() { every - 1 } else { 0 }).div_euclid(every).max(0);
    let start = Timestamp::from_second(anchor.as_second() + steps * every).unwrap_or(anchor);
    let repetition = Some(Repetition { interval: every, duration: None });
    Ok(vec![TaskTrigger { start: utc(start), end: after_end(rule.end).map(utc), repetition, on: On::Once }])
}

fn on_the_wall(rule: &Rule, wall: &Wall, system: &TimeZone, now: Timestamp) -> Result<Vec<TaskTrigger>, Refusal> {
    if wall.years != Years::Any {
        return Err(Refusal::new("Task Scheduler's calendar has no years"));
    }
    if let Some(hourly) = hourly(rule, wall, now)? {
        return Ok(hourly);
    }
    if !same_clock(&wall.zone, system, now) {
        return Err(other_clock("Task Scheduler", system, wall));
    }
    if wall.disturbed.gap.is_some() || wall.disturbed.fold.is_some() {
        return Err(disturbance(wall, "what Task Scheduler does then isn't documented"));
    }
    let mut found = Vec::new();
    for days in &wall.days {
        let on = on(*days, wall.months)?;
        for (first, repetition) in series(wall, now)? {
            if repetition.is_some() && rule.start.is_some_and(|start| wall.zone.to_datetime(start).time() > first) {
                return Err(Refusal::with(
                    "Task Scheduler can't begin in the middle of what is repeated within a day",
                    "set `start` to the beginning of a day",
                ));
            }
            let start = first_day(rule, wall, *days, first, now)?.to_datetime(first);
            let end = after_end(rule.end).map(|end| local(wall.zone.to_datetime(end)));
            found.push(TaskTrigger { start: local(start), end, repetition, on: on.clone() });
        }
    }
    Ok(found)
}

/// What goes by the minutes of every hour follows elapsed time, as an endless repetition does.
fn hourly(rule: &Rule, wall: &Wall, now: Timestamp) -> Result<Option<Vec<TaskTrigger>>, Refusal> {
    let Some(utc) = wall.in_utc(now).filter(|_| wall.times.hours == ALL_HOURS) else { return Ok(None) };
    let in_hour = Times { hours: 1, ..utc.times }.seconds_of_day();
    let round = in_hour.iter().skip(1).copied().chain(in_hour.first().map(|first| first + 3600));
    let distances: Vec<u32> = round.zip(&in_hour).map(|(next, at)| next - at).collect();
    let even = distances.first().copied().filter(|every| distances.iter().all(|distance| distance == every));
    let every = even.unwrap_or(3600);
    let firsts = if even.is_some() { in_hour.into_iter().take(1).collect() } else { in_hour };
    let midnight = Timestamp::UNIX_EPOCH;
    let mut found = Vec::new();
    for first in firsts {
        let anchor = midnight.saturating_add(SignedDuration::from_secs(first.into())).unwrap_or(midnight);
        found.extend(every_so_often(rule, every.into(), anchor, now)?);
    }
    Ok(Some(found))
}

fn on(days: Days, months: u16) -> Result<On, Refusal> {
    let weekdays = || members(u64::from(days.of_week)).into_iter().map(|day| WEEKDAYS[day as usize % 7]).collect();
    let months_named = || members(u64::from(months)).into_iter().map(|month| MONTHS[month as usize % 13 - 1]).collect();
    let day = |day: u32| day.to_string();
    Ok(match (days.of_month, days.of_week) {
        (OfMonth::Step(every, _), ALL_WEEK) if every <= 365 => On::Days { every },
        (OfMonth::Step(every, _), _) => {
            return Err(Refusal::new(format!("Task Scheduler counts 365 days at the most, not {every}")));
        }
        (OfMonth::Days(ALL_DAYS), ALL_WEEK) if months == ALL_MONTHS => On::Days { every: 1 },
        (OfMonth::Days(ALL_DAYS), _) if months == ALL_MONTHS => On::Weeks { days: weekdays() },
        (OfMonth::Days(mask), ALL_WEEK) => {
            On::Months { days: members(u64::from(mask)).into_iter().map(day).collect(), months: months_named() }
        }
        (OfMonth::FromEnd(1), ALL_WEEK) => On::Months { days: vec!["Last".to_owned()], months: months_named() },
        (OfMonth::FromEnd(0x7f), _) => {
            On::WeekdaysOfMonths { weeks: vec!["Last".to_owned()], days: weekdays(), months: months_named() }
        }
        (OfMonth::Days(mask), _) => {
            On::WeekdaysOfMonths { weeks: weeks(mask)?, days: weekdays(), months: months_named() }
        }
        (OfMonth::FromEnd(_), _) => {
            let reason = "Task Scheduler knows the month's last day and last weekdays, and no others from its end";
            return Err(Refusal::new(reason));
        }
    })
}

/// Days of the month as whole weeks of it, the first being the days 1 to 7.
fn weeks(mask: u32) -> Result<Vec<String>, Refusal> {
    let seven = |nth: u32| u32::try_from(span(nth * 7 - 6, nth * 7)).unwrap_or_default();
    let whole: Vec<u32> = (1..=4).filter(|nth| mask & seven(*nth) == seven(*nth)).collect();
    let covered = whole.iter().fold(0, |covered, nth| covered | seven(*nth));
    if mask == ALL_DAYS {
        return Ok(["1", "2", "3", "4", "Last"].map(str::to_owned).to_vec());
    }
    if covered == mask {
        return Ok(whole.into_iter().map(|nth| nth.to_string()).collect());
    }
    let reason = "Task Scheduler runs on days of the month or on the first to fourth or last of a weekday, and has no words \
                  for other days that both decide, as for `W`";
    Err(Refusal::new(reason))
}

/// The times of a day as first times, each with its repetition, as few as are found.
fn series(wall: &Wall, now: Timestamp) -> Result<Vec<(Time, Option<Repetition>)>, Refusal> {
    let seconds = wall.times.seconds_of_day();
    let by = |key: fn(&u32) -> u32| {
        let mut groups: std::collections::BTreeMap<u32, Vec<u32>> = std::collections::BTreeMap::new();
        seconds.iter().for_each(|at| groups.entry(key(at)).or_default().push(*at));
        groups.into_values().collect::<Vec<_>>()
    };
    let ways = [vec![seconds.clone()], by(|at| at % 3600), by(|at| at / 3600)];
    let even = |group: &Vec<u32>| {
        let steps: Vec<u32> = group.windows(2).map(|pair| pair[1] - pair[0]).collect();
        steps.windows(2).all(|pair| pair[0] == pair[1]) && steps.first().is_none_or(|step| *step >= 60)
    };
    let whole = |group: &Vec<u32>| group.len() == 1 || !changes_between(wall, group, now);
    let best = ways
        .into_iter()
        .filter(|groups| groups.iter().all(|group| even(group) && whole(group)))
        .min_by_key(Vec::len)
        .unwrap_or_else(|| seconds.iter().map(|at| vec![*at]).collect());
    if best.len() > TRIGGERS {
        return Err(Refusal::new(format!(
            "a task has {TRIGGERS} triggers at the most, and this schedule has {} times a day with no even distance",
            seconds.len()
        )));
    }
    let first = |group: &[u32]| {
        let at = group.first().copied().unwrap_or_default();
        let part = |number: u32| i8::try_from(number).unwrap_or_default();
        let time = Time::new(part(at / 3600), part(at / 60 % 60), part(at % 60), 0).unwrap_or(Time::midnight());
        let repetition = group.get(1).map(|second| {
            let (interval, last) = (i64::from(second - at), i64::from(group[group.len() - 1] - at));
            // A little longer than the last, as it isn't documented whether the end itself counts.
            Repetition { interval, duration: Some(last + (interval / 2).min(60)) }
        });
        (time, repetition)
    };
    Ok(best.iter().map(|group| first(group)).collect())
}

/// Whether the clocks are ever changed between the first of these times of the day and the last.
fn changes_between(wall: &Wall, seconds_of_day: &[u32], now: Timestamp) -> bool {
    /// Two a year, for as long as anybody looks ahead.
    const CHANGES: usize = 150;
    let mut before = wall.zone.to_offset(now);
    wall.zone.following(now).take(CHANGES).any(|change| {
        let shown = [before, change.offset()].map(|offset| offset.to_datetime(change.timestamp()).time());
        before = change.offset();
        let at = shown.map(|time| time.duration_since(Time::midnight()).as_secs());
        let (first, last) = (seconds_of_day.first(), seconds_of_day.last());
        at.iter().any(|at| {
            first.is_some_and(|first| i64::from(*first) <= *at) && last.is_some_and(|last| *at <= i64::from(*last))
        })
    })
}

/// The day from which the trigger counts: of its own, if it counts from one, and not before the rule begins.
fn first_day(rule: &Rule, wall: &Wall, days: Days, time: Time, now: Timestamp) -> Result<Date, Refusal> {
    let from = wall.zone.to_datetime(rule.start.unwrap_or(now));
    let next =
        if rule.start.is_some() && from.time() > time { from.date().saturating_add(1.day()) } else { from.date() };
    let OfMonth::Step(every, first) = days.of_month else { return Ok(next) };
    let gone = i64::from((next - first).get_days()).max(0);
    let steps = gone / every + i64::from(gone % every != 0 && rule.start.is_some());
    Ok(first.saturating_add((steps * every).days()))
}

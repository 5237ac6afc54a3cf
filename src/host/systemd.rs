//! Rules as systemd's calendar events (systemd.time(7)). Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Refusal;
use super::rule::{
    ALL_DAYS, ALL_HOURS, ALL_MONTHS, ALL_SIXTY, ALL_WEEK, Days, Kind, OfMonth, Rule, Wall, Years, as_walls, disturbance,
};
use super::sets::{list, members, step_to};
use crate::schedule::Gap;

/// So many lines a person can still read.
const LINES: usize = 24;
/// What systemd takes for a year.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=2199;

/// The values of `OnCalendar=`, each of which is due by itself.
pub(super) fn on_calendar(rules: &[Rule], now: Timestamp) -> Result<Vec<String>, Refusal> {
    let mut lines = Vec::new();
    for rule in rules {
        if rule.start.is_some() {
            return Err(Refusal::with(
                "a systemd timer has no first instant, and this one's is still to come",
                "install it then, or let `runner daemon` keep it",
            ));
        }
        if rule.end.is_some() {
            return Err(Refusal::new("a systemd timer has no last instant (`end`)"));
        }
        match &rule.kind {
            Kind::Once(at) => lines.push(at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
            Kind::Every { every, anchor } => {
                let walls = as_walls(*every, *anchor, &TimeZone::UTC, now).ok_or_else(|| {
                    Refusal::new("systemd's calendar has no interval that doesn't divide a day, other than a week")
                })?;
                walls.iter().try_for_each(|wall| told(wall, &mut lines))?;
            }
            Kind::Wall(wall) => told(&settled(wall, now)?, &mut lines)?,
        }
    }
    if lines.len() > LINES {
        return Err(Refusal::new(format!("systemd's calendar would need {} lines for it", lines.len())));
    }
    Ok(lines)
}

/// The rule in a form that changes of the clocks do the same to as the schedule says. systemd leaves out what doesn't exist;
/// which of two times it takes depends on when it looks.
fn settled(wall: &Wall, now: Timestamp) -> Result<Wall, Refusal> {
    // Where a gap doesn't begin with an hour, systemd leaves out the first instant after it too (Pacific/Chatham, `*:45`).
    let by_hours = wall.zone.following(now).take(2).all(|change| change.offset().seconds() % 3600 == 0);
    let gap_agrees = wall.disturbed.gap.is_none() || (wall.policy.0 == Gap::Skip && by_hours);
    if gap_agrees && wall.disturbed.fold.is_none() {
        return Ok(wall.clone());
    }
    let does = if gap_agrees { "which of both systemd takes isn't settled" } else { "systemd leaves it out" };
    let told = if gap_agrees { Wall { disturbed: only_fold(wall), ..wall.clone() } } else { wall.clone() };
    wall.in_utc(now).ok_or_else(|| disturbance(&told, does))
}

fn only_fold(wall: &Wall) -> crate::schedule::Disturbed {
    crate::schedule::Disturbed { gap: None, ..wall.disturbed }
}

fn told(wall: &Wall, lines: &mut Vec<String>) -> Result<(), Refusal> {
    let Some(zone) = wall.zone.iana_name() else {
        return Err(Refusal::with("its time zone has no name", "set `timezone` to one as Europe/Paris"));
    };
    let years = match &wall.years {
        Years::Any => "*".to_owned(),
        Years::Step(first, step) => {
            let first = i64::from(*first);
            let before = i64::from(*YEARS.start()) - first;
            format!("{}/{step}", if before > 0 { first + (before + step - 1) / step * step } else { first })
        }
        Years::Of(years) => years_told(years)?,
    };
    let two = |number: u32| format!("{number:02}");
    let months = if wall.months == ALL_MONTHS { "*".to_owned() } else { list(u64::from(wall.months), "..", two) };
    // Where a step doesn't come out even systemd (252) goes on counting over the end of a month: after `00/7` of the 30th at 21:00
    // comes the 1st at 07:00, and midnight is left out.
    let comes_out_even = |step: &u32, max: u32| (max + 1).is_multiple_of(*step);
    let field = |mask: u64, all: u64, max: u32| match step_to(mask, max).filter(|step| comes_out_even(step, max)) {
        _ if mask == all => "*".to_owned(),
        Some(step) => format!("{:02}/{step}", mask.trailing_zeros()),
        None => list(mask, "..", two),
    };
    let times = format!(
        "{}:{}:{}",
        field(u64::from(wall.times.hours), u64::from(ALL_HOURS), 23),
        field(wall.times.minutes, ALL_SIXTY, 59),
        field(wall.times.seconds, ALL_SIXTY, 59)
    );
    for days in &wall.days {
        let on = match days.of_month {
            OfMonth::Days(ALL_DAYS) => "-*".to_owned(),
            OfMonth::Days(days) => format!("-{}", list(u64::from(days), "..", two)),
            OfMonth::FromEnd(days) if days >> 28 != 0 => {
                return Err(Refusal::new("systemd's calendar doesn't count more than 28 days from the month's end"));
            }
            OfMonth::FromEnd(days) => format!("~{}", list(u64::from(days) << 1, "..", two)),
            OfMonth::Step(step, _) => {
                return Err(Refusal::new(format!(
                    "systemd's calendar doesn't count {step} days over the end of a month"
                )));
            }
        };
        lines.push(format!("{}{years}-{months}{on} {times} {zone}", weekdays(*days)));
    }
    Ok(())
}

fn years_told(years: &[i16]) -> Result<String, Refusal> {
    if let Some(year) = years.iter().find(|year| !YEARS.contains(year)) {
        return Err(Refusal::new(format!("systemd's calendar has no year {year}")));
    }
    let mut parts: Vec<(i16, i16)> = Vec::new();
    for year in years {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *year => *last = *year,
            _ => parts.push((*year, *year)),
        }
    }
    let shown = parts.iter().map(|(from, to)| if from == to { from.to_string() } else { format!("{from}..{to}") });
    Ok(shown.collect::<Vec<_>>().join(","))
}

/// The days of the week, from Monday on, as systemd counts them.
fn weekdays(days: Days) -> String {
    const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    if days.of_week == ALL_WEEK {
        return String::new();
    }
    let monday_first =
        members(u64::from(days.of_week)).into_iter().fold(0_u64, |mask, day| mask | 1 << ((day + 6) % 7));
    let name = |day: u32| NAMES.get(day as usize).copied().unwrap_or_default().to_owned();
    format!("{} ", list(monday_first, "..", name))
}

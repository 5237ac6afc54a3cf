//! Rules as lines of a crontab, as the cron of the Vixie family reads it (Debian's cron, cronie). Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Refusal;
use super::rule::{
    ALL_DAYS, ALL_HOURS, ALL_MONTHS, ALL_SIXTY, ALL_WEEK, Kind, OfMonth, Rule, Wall, Years, as_walls, disturbance,
    other_clock, same_clock,
};
use super::sets::{list, members, step_to};
use crate::schedule::{Fold, Gap};

/// So many lines a person can still read.
const LINES: usize = 24;

/// The five fields of each line. cron goes by the system's time zone.
pub(super) fn fields(rules: &[Rule], system: &TimeZone, now: Timestamp) -> Result<Vec<String>, Refusal> {
    let mut lines = Vec::new();
    for rule in rules {
        if rule.start.is_some() {
            return Err(Refusal::with(
                "a crontab has no first instant, and this schedule's is still to come",
                "install it then, or let `runner daemon` keep it",
            ));
        }
        if rule.end.is_some() {
            return Err(Refusal::new("a crontab has no last instant (`end`)"));
        }
        match &rule.kind {
            Kind::Once(_) => return Err(Refusal::new("a crontab has no years, and this schedule is due once")),
            Kind::Every { every, anchor } => {
                let walls = as_walls(*every, *anchor, system, now).ok_or_else(|| {
                    let reason = "cron has only intervals that divide a day, and only those that no change of the clocks \
                                  in the system's time zone shifts";
                    Refusal::new(reason)
                })?;
                walls.iter().try_for_each(|wall| told(wall, &mut lines))?;
            }
            Kind::Wall(wall) => told(&in_zone(wall, system, now)?, &mut lines)?,
        }
    }
    if lines.len() > LINES {
        return Err(Refusal::new(format!("a crontab would need {} lines for it", lines.len())));
    }
    Ok(lines)
}

/// The rule, if it is told in the system's zone.
fn in_zone(wall: &Wall, system: &TimeZone, now: Timestamp) -> Result<Wall, Refusal> {
    if same_clock(&wall.zone, system, now) {
        return Ok(wall.clone());
    }
    let moved = wall.in_utc(now).filter(|_| same_clock(system, &TimeZone::UTC, now));
    moved.ok_or_else(|| other_clock("cron", system, wall))
}

fn told(wall: &Wall, lines: &mut Vec<String>) -> Result<(), Refusal> {
    if wall.times.seconds != 1 {
        return Err(Refusal::new("cron has no seconds"));
    }
    if wall.years != Years::Any {
        return Err(Refusal::new("cron has no years"));
    }
    let times = times(wall)?;
    let number = |number: u32| number.to_string();
    let months = if wall.months == ALL_MONTHS { "*".to_owned() } else { list(u64::from(wall.months), "-", number) };
    let week = |mask: u8| list(u64::from(mask), "-", number);
    let (mut of_month, mut of_week) = (0, 0);
    for days in &wall.days {
        match (days.of_month, days.of_week) {
            (OfMonth::Days(ALL_DAYS), ALL_WEEK) => lines.push(format!("{times} * {months} *")),
            (OfMonth::Days(ALL_DAYS), mask) => of_week |= mask,
            (OfMonth::Days(mask), ALL_WEEK) => of_month |= mask,
            (OfMonth::Days(days), mask) => {
                // Both must match only if one of them begins with a star.
                let starred = starred(u64::from(days >> 1), 31).map(|star| format!("{star} {months} {}", week(mask)));
                let starred = starred.or_else(|| {
                    starred_week(mask).map(|star| format!("{} {months} {star}", list(u64::from(days), "-", number)))
                });
                let reason = "cron runs on days of the month *or* of the week, and has no words for days that both decide, as \
                              for `W` and `#`";
                lines.push(format!("{times} {}", starred.ok_or_else(|| Refusal::new(reason))?));
            }
            (OfMonth::FromEnd(_), _) => return Err(Refusal::new("cron doesn't count days from the month's end")),
            (OfMonth::Step(step, _), _) => {
                return Err(Refusal::new(format!("cron doesn't count {step} days over the end of a month")));
            }
        }
    }
    let days = |mask: u32| list(u64::from(mask), "-", number);
    match (of_month, of_week) {
        (0, 0) => {}
        (0, mask) => lines.push(format!("{times} * {months} {}", week(mask))),
        (mask, 0) => lines.push(format!("{times} {} {months} *", days(mask))),
        (of_month, mask) => lines.push(format!("{times} {} {months} {}", days(of_month), week(mask))),
    }
    Ok(())
}

/// Minute and hour. With a star at the beginning of one of them cron takes the job for one that follows the clock on the
/// wall through its changes; without one, for one that must run once a day (cron(8)).
fn times(wall: &Wall) -> Result<String, Refusal> {
    let plain = |mask: u64| list(mask, "-", |number| number.to_string());
    let (minutes, hours) = (wall.times.minutes, u64::from(wall.times.hours));
    let star = |mask: u64, all: u64, count: u32| if mask == all { Some("*".to_owned()) } else { starred(mask, count) };
    let (minute_star, hour_star) = (star(minutes, ALL_SIXTY, 60), star(hours, u64::from(ALL_HOURS), 24));
    let natural = format!(
        "{} {}",
        minute_star.clone().unwrap_or_else(|| plain(minutes)),
        hour_star.clone().unwrap_or_else(|| plain(hours))
    );
    if wall.disturbed.gap.is_none() && wall.disturbed.fold.is_none() {
        return Ok(natural);
    }
    match wall.policy {
        (Gap::Skip, Fold::Twice) if minute_star.is_some() || hour_star.is_some() => Ok(natural),
        (Gap::After, Fold::First) => Ok(format!("{} {}", plain(minutes), plain(hours))),
        _ => Err(disturbance(wall, "cron does something else then than `dst` says")),
    }
}

/// `*/2` for a set that has every so manieth number from the first on.
fn starred(mask: u64, count: u32) -> Option<String> {
    step_to(mask, count - 1).filter(|_| mask & 1 == 1).map(|step| format!("*/{step}"))
}

/// For days of the week, of which cron's `*/n` has Sunday as 0 and as 7.
fn starred_week(mask: u8) -> Option<String> {
    let every = |step: u32| (0..=7_u32).filter(|day| day % step == 0).fold(0_u8, |found, day| found | 1 << (day % 7));
    (2..=6).find(|step| every(*step) == mask && members(u64::from(mask)).len() > 1).map(|step| format!("*/{step}"))
}

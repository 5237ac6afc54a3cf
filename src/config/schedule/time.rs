//! Zones, instants, days and times of the day, as a project file writes them.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::config::checker::Checker;
use crate::config::node::{Node, quoted};
use crate::config::problem::{Problem, ProblemKind};
use crate::model::did_you_mean;

const INSTANT_HINT: &str = "write a local time, as in \"2026-12-01T06:00\", or one with its offset, as in \
                            \"2026-12-01T06:00:00+01:00\"";

/// Time zones by name, and the system's, which is asked for once.
#[derive(Default)]
pub(super) struct Zones {
    system: Option<TimeZone>,
}

impl Zones {
    /// The zone of this machine; UTC, and a warning, where it has none with a name.
    pub(super) fn of_system(&mut self, checker: &mut Checker, node: &Node, path: &str) -> TimeZone {
        let system = self.system.get_or_insert_with(|| {
            let known = TimeZone::try_system().ok().filter(|zone| !zone.is_unknown() && zone.iana_name().is_some());
            known.unwrap_or_else(|| {
                let message = "the machine doesn't tell the name of its time zone; times are taken for UTC";
                let problem = Problem::at(ProblemKind::Suspicious, &node.origin, path, message);
                checker.warnings.push(problem.hint("add \"timezone\": \"Europe/Paris\", or the zone that is meant"));
                TimeZone::UTC
            })
        });
        system.clone()
    }

    /// A zone of the IANA database by its name.
    pub(super) fn named(&self, checker: &mut Checker, node: &Node, path: &str) -> Option<TimeZone> {
        let name = checker.text(node, path)?;
        // No zone at all is also in the database, under this name.
        let found = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown());
        if found.is_none() {
            let hint = match nearest(name) {
                Some(likely) => format!("did you mean `{likely}`?"),
                None => "write a name of the IANA database, as in \"Europe/Paris\" or \"UTC\"".to_owned(),
            };
            checker.invalid(node, path, format!("{} is not a time zone", quoted(name)), Some(hint));
        }
        found
    }
}

/// The name that a zone goes by in definitions.
pub(super) fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}

/// The zone that was probably meant: one of that city, else the likest.
fn nearest(name: &str) -> Option<String> {
    let known: Vec<String> = jiff::tz::db().available().map(|known| known.to_string()).collect();
    let wanted = name.trim().replace(' ', "_");
    let city = |known: &&String| known.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&wanted));
    let by_city = known.iter().filter(|known| known.contains('/')).find(city).cloned();
    by_city.or_else(|| did_you_mean(&wanted, known.iter().map(String::as_str)).map(str::to_owned))
}

/// Which instant is meant by a day without a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Day {
    /// Its beginning.
    Begins,
    /// Its end: what is planned on that day still counts.
    Ends,
}

/// An instant: with an offset as it is, else the local time of a zone. Whole microseconds.
pub(super) fn instant(checker: &mut Checker, node: &Node, path: &str, zone: &TimeZone, day: Day) -> Option<Timestamp> {
    let text = checker.text(node, path)?.trim();
    let found = text.parse().ok().or_else(|| {
        let whole_day = text.parse::<Date>().ok().filter(|_| !text.contains([':', 'T', 't', ' ']));
        match whole_day {
            Some(date) if day == Day::Ends => date.to_datetime(Time::MAX).to_zoned(zone.clone()).ok().map(Into::into),
            Some(date) => date.to_zoned(zone.clone()).ok().map(Into::into),
            None => text.parse().ok().and_then(|local| local_instant(checker, node, path, zone, local)),
        }
    });
    if found.is_none() {
        let message = format!("{} is not an instant", quoted(text));
        checker.invalid(node, path, message, Some(INSTANT_HINT.to_owned()));
    }
    found.and_then(|instant: Timestamp| Timestamp::from_microsecond(instant.as_microsecond()).ok())
}

/// A local time as an instant. One that doesn't exist is the first after the gap, one that comes twice the first; either is
/// told.
fn local_instant(
    checker: &mut Checker,
    node: &Node,
    path: &str,
    zone: &TimeZone,
    local: DateTime,
) -> Option<Timestamp> {
    let mut tell = |message: String, instant: Timestamp| {
        let shown = instant.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        let problem = Problem::at(ProblemKind::Suspicious, &node.origin, path, message);
        checker.warnings.push(problem.hint(format!("{shown} is taken; write it so to be sure")));
        instant
    };
    let name = zone_name(zone);
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
        AmbiguousOffset::Gap { after, .. } => {
            // The later offset puts the local time before the gap.
            let before = after.to_timestamp(local).ok()?;
            let at = zone.following(before).next()?.timestamp();
            Some(tell(format!("{local} doesn't exist in {name}: the clocks go forward"), at))
        }
        AmbiguousOffset::Fold { before, .. } => {
            let at = before.to_timestamp(local).ok()?;
            Some(tell(format!("{local} comes twice in {name}: the clocks go back"), at))
        }
    }
}

/// A time of the day.
pub(super) fn time_of_day(checker: &mut Checker, node: &Node, path: &str) -> Option<Time> {
    let text = checker.text(node, path)?.trim();
    let time = ["%H:%M", "%H:%M:%S"].into_iter().find_map(|form| Time::strptime(form, text).ok());
    if time.is_none() {
        let hint = "write hours and minutes of a day of 24 hours, as in \"06:00\"";
        checker.invalid(node, path, format!("{} is not a time of the day", quoted(text)), Some(hint.to_owned()));
    }
    time
}

/// A day.
pub(super) fn day(checker: &mut Checker, node: &Node, path: &str) -> Option<Date> {
    let text = checker.text(node, path)?.trim();
    let day = text.parse::<Date>().ok();
    if day.is_none() {
        let hint = "write a day, as in \"2026-12-01\"";
        checker.invalid(node, path, format!("{} is not a day", quoted(text)), Some(hint.to_owned()));
    }
    day
}

/// What of a duration is whole microseconds: instants are.
pub(super) fn whole_micros(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::from_micros(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

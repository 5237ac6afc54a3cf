//! That entries mean what schedules say: against systemd's own reading of its calendar, and against what cron does by its
//! manual.

use std::process::Command;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::rule::rules;
use super::task_triggers::{On, TaskTrigger, triggers};
use super::{Refusal, cron, systemd};
use crate::schedule::{CalendarStep, Cron, Dst, Fold, Gap, Trigger, instants, usual_first_day};

/// By the system's own rules, which its schedulers go by, too: they may be of another age than the program's.
pub(super) fn zone(name: &str) -> TimeZone {
    let systems = std::fs::read(std::path::Path::new("/usr/share/zoneinfo").join(name)).ok();
    let systems = systems.and_then(|rules| TimeZone::tzif(name, &rules).ok());
    if name == "UTC" { TimeZone::UTC } else { systems.unwrap_or_else(|| TimeZone::get(name).unwrap()) }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn now() -> Timestamp {
    at("2026-11-22T10:00:00Z")
}

pub(super) fn cron_in(text: &str, name: &str) -> Trigger {
    Trigger::Cron(Cron::parse(text, zone(name), Dst::default()).unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn for_systemd(trigger: &Trigger, now: Timestamp) -> Result<Vec<String>, Refusal> {
    systemd::on_calendar(&rules(trigger, now)?, now)
}

fn for_cron(trigger: &Trigger, system: &str) -> Result<Vec<String>, Refusal> {
    cron::fields(&rules(trigger, now())?, &zone(system), now())
}

fn every(seconds: i64, anchor: &str) -> Trigger {
    Trigger::Interval { every: SignedDuration::from_secs(seconds), anchor: at(anchor) }
}

fn step(months: u32, days: u32, first: jiff::civil::Date) -> Trigger {
    let time = jiff::civil::time(6, 30, 0, 0);
    let step = CalendarStep { years: 0, months, weeks: 0, days, time, first };
    Trigger::Calendar { step, zone: zone("Europe/Paris"), dst: Dst::default() }
}

#[test]
fn systemd_is_told_in_its_words() {
    let cases: [(Trigger, &[&str]); 19] = [
        (cron_in("0 6 * * mon-fri", "Europe/Paris"), &["Mon..Fri *-*-* 06:00:00 Europe/Paris"]),
        (cron_in("*/15 * * * *", "Europe/Paris"), &["*-*-* *:00/15:00 UTC"]),
        (cron_in("10 * * * *", "Australia/Adelaide"), &["*-*-* *:40:00 UTC"]),
        (cron_in("*/20 8-17 * * *", "Asia/Tokyo"), &["*-*-* 08..17:00/20:00 Asia/Tokyo"]),
        (cron_in("30 */6 1,15 jan,jul *", "UTC"), &["*-01,07-01,15 00/6:30:00 UTC"]),
        (cron_in("0 6 13 * fri", "UTC"), &["*-*-13 06:00:00 UTC", "Fri *-*-* 06:00:00 UTC"]),
        (cron_in("0 6 */10 * sun", "UTC"), &["Sun *-*-01,11,21,31 06:00:00 UTC"]),
        (cron_in("0 6 L * *", "UTC"), &["*-*~01 06:00:00 UTC"]),
        (cron_in("0 6 * * friL", "UTC"), &["Fri *-*~01..07 06:00:00 UTC"]),
        (cron_in("0 6 * * tue#2", "UTC"), &["Tue *-*-08..14 06:00:00 UTC"]),
        (
            cron_in("0 6 15W * *", "UTC"),
            &["Mon..Fri *-*-15 06:00:00 UTC", "Fri *-*-14 06:00:00 UTC", "Mon *-*-16 06:00:00 UTC"],
        ),
        (cron_in("0 6 LW * *", "UTC"), &["Mon..Fri *-*~01 06:00:00 UTC", "Fri *-*~02,03 06:00:00 UTC"]),
        (every(900, "1970-01-01T00:00:00Z"), &["*-*-* *:00/15:00 UTC"]),
        (every(90, "1970-01-01T00:00:00Z"), &["*-*-* *:00/3:00 UTC", "*-*-* *:01/3:30 UTC"]),
        (every(7 * 86_400, "2026-11-02T05:00:00Z"), &["Mon *-*-* 05:00:00 UTC"]),
        (step(3, 0, jiff::civil::date(2026, 2, 28)), &["*-02,05,08,11-28 06:30:00 Europe/Paris"]),
        (step(24, 0, jiff::civil::date(2025, 2, 28)), &["2025/2-02-28 06:30:00 Europe/Paris"]),
        (step(0, 7, usual_first_day(1)), &["Mon *-*-* 06:30:00 Europe/Paris"]),
        (Trigger::At(at("2026-12-01T06:00:00Z")), &["2026-12-01 06:00:00 UTC"]),
    ];
    for (trigger, lines) in cases {
        assert_eq!(for_systemd(&trigger, now()).unwrap(), lines, "{trigger:?}");
    }
}

#[test]
fn cron_is_told_in_its_words() {
    let cases: [(Trigger, &str, &[&str]); 10] = [
        (cron_in("0 6 * * mon-fri", "Europe/Paris"), "Europe/Paris", &["0 6 * * 1-5"]),
        (cron_in("*/15 * * * *", "Europe/Paris"), "Europe/Paris", &["*/15 * * * *"]),
        (cron_in("*/30 2 * * *", "Europe/Paris"), "Europe/Paris", &["*/30 2 * * *"]),
        (cron_in("30 2 * * *", "Europe/Paris"), "Europe/Paris", &["30 2 * * *"]),
        (cron_in("0 6 13 * fri", "UTC"), "UTC", &["0 6 13 * 5"]),
        (cron_in("0 6 */2 * mon", "UTC"), "UTC", &["0 6 */2 * 1"]),
        (cron_in("30 */6 1,15 jan,jul *", "UTC"), "UTC", &["30 */6 1,15 1,7 *"]),
        (every(900, "1970-01-01T00:00:00Z"), "Europe/Paris", &["*/15 * * * *"]),
        (every(7200, "1970-01-01T00:30:00Z"), "UTC", &["30 */2 * * *"]),
        (step(3, 0, jiff::civil::date(2026, 2, 28)), "Europe/Paris", &["30 6 28 2,5,8,11 *"]),
    ];
    for (trigger, system, lines) in cases {
        assert_eq!(for_cron(&trigger, system).unwrap(), lines, "{trigger:?}");
    }
}

#[test]
fn a_zone_of_another_name_whose_clock_shows_the_same_is_the_same() {
    let names =
        [("UTC", "Etc/UTC"), ("Etc/UTC", "UTC"), ("Asia/Kolkata", "Asia/Calcutta"), ("Europe/Berlin", "Europe/Paris")];
    for (own, system) in names {
        assert_eq!(for_cron(&cron_in("0 6 * * *", own), system).unwrap(), ["0 6 * * *"], "{own} on {system}");
        let tasks = triggers(&rules(&cron_in("0 6 * * *", own), now()).unwrap(), &zone(system), now(), false);
        assert_eq!(tasks.unwrap().len(), 1, "{own} on {system}");
    }
    // The same today, and not in summer; and the same in summer, but for the days on which it begins and ends.
    for (own, system) in [("Africa/Lagos", "Europe/Paris"), ("Europe/Athens", "Asia/Beirut")] {
        let refusal = for_cron(&cron_in("0 6 * * *", own), system).unwrap_err();
        assert!(refusal.reason.contains("the system's time zone"), "{refusal}");
    }
}

#[test]
fn what_would_only_almost_be_the_same_is_refused_with_the_reason() {
    let dst = |gap, fold| Dst { gap: Some(gap), fold: Some(fold) };
    let nights = |dst| Trigger::Cron(Cron::parse("30 2 * * *", zone("Europe/Paris"), dst).unwrap());
    let bounded = |start: Option<&str>, end: Option<&str>| Trigger::Bounded {
        inner: Box::new(cron_in("0 6 * * *", "UTC")),
        start: start.map(at),
        end: end.map(at),
    };
    let systemd: [(Trigger, &str); 12] = [
        (nights(Dst::default()), "2027-03-28 02:30:00 doesn't exist in Europe/Paris, and systemd leaves it out"),
        (nights(dst(Gap::Skip, Fold::Twice)), "2027-10-31 02:30:00 comes twice in Europe/Paris"),
        (cron_in("*/15 0-5 * * *", "Europe/Paris"), "2027-10-31 02:00:00 comes twice in Europe/Paris"),
        (cron_in("0 6 30W * *", "UTC"), "no scheduler of a system can say 30W"),
        (
            Trigger::All(vec![cron_in("0 6 * * *", "UTC"), cron_in("0 6 * * 1", "UTC")]),
            "no scheduler of a system knows `all`",
        ),
        (cron_in("0 0 30 2 *", "UTC"), "it is never due again"),
        (bounded(Some("2027-01-01T00:00:00Z"), None), "a systemd timer has no first instant"),
        (bounded(None, Some("2027-01-01T00:00:00Z")), "a systemd timer has no last instant"),
        (every(7 * 3600, "1970-01-01T00:00:00Z"), "systemd's calendar has no interval that doesn't divide a day"),
        (every(7, "1970-01-01T00:00:00Z"), "systemd's calendar has no interval that doesn't divide a day"),
        (step(5, 0, jiff::civil::date(2026, 2, 28)), "no scheduler of a system counts 5 months over the end of a year"),
        (step(0, 10, jiff::civil::date(2026, 2, 28)), "systemd's calendar doesn't count 10 days"),
    ];
    for (trigger, reason) in systemd {
        let refusal = for_systemd(&trigger, now()).unwrap_err();
        assert!(refusal.reason.starts_with(reason) && !refusal.remedy.is_empty(), "{trigger:?}: {refusal}");
    }
    let cron: [(Trigger, &str); 9] = [
        (
            cron_in("0 6 * * *", "Europe/Paris"),
            "cron goes by the system's time zone, America/Chicago, and the schedule by Europe/Paris",
        ),
        (cron_in("10 0 6 * * *", "America/Chicago"), "cron has no seconds"),
        (cron_in("0 6 L * *", "America/Chicago"), "cron doesn't count days from the month's end"),
        (cron_in("0 6 * * fri#2", "America/Chicago"), "cron runs on days of the month *or* of the week"),
        (Trigger::At(at("2026-12-01T06:00:00Z")), "a crontab has no years"),
        (every(7200, "1970-01-01T00:00:00Z"), "cron has only intervals that divide a day"),
        (every(2700, "1970-01-01T00:00:00Z"), "cron has only intervals that divide a day"),
        (every(30, "1970-01-01T00:00:00Z"), "cron has no seconds"),
        (bounded(None, Some("2027-01-01T00:00:00Z")), "a crontab has no last instant"),
    ];
    for (trigger, reason) in cron {
        let refusal = for_cron(&trigger, "America/Chicago").unwrap_err();
        assert!(refusal.reason.starts_with(reason), "{trigger:?}: {refusal}");
    }
    assert_eq!(for_systemd(&bounded(Some("2026-01-01T00:00:00Z"), None), now()).unwrap().len(), 1, "it has begun");
}

pub(super) const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Africa/Casablanca",
    "Pacific/Chatham",
    "America/Havana",
];

fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    let number = move || min..=max;
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => number().prop_map(|n| n.to_string()),
        1 => (number(), number()).prop_map(|(a, b)| format!("{a}-{b}")),
        2 => (1..=max).prop_map(|step| format!("*/{step}")),
        1 => (number(), number()).prop_map(|(a, b)| format!("{a},{b}")),
        1 => (number(), 1..=max).prop_map(|(a, step)| format!("{a}/{step}")),
    ]
}

fn day() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => field(1, 31),
        1 => Just("L".to_owned()),
        1 => Just("LW".to_owned()),
        1 => (1u32..=30).prop_map(|before| format!("L-{before}")),
        1 => (1u32..=31).prop_map(|day| format!("{day}W")),
        1 => (1u32..=31).prop_map(|day| format!("{day},L")),
    ]
}

fn weekday() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => field(0, 7),
        1 => (0u32..=7, 1u32..=5).prop_map(|(day, nth)| format!("{day}#{nth}")),
        1 => (0u32..=7).prop_map(|day| format!("{day}L")),
    ]
}

pub(super) fn trigger() -> impl Strategy<Value = (String, Trigger)> {
    let zones = || proptest::sample::select(&ZONES[..]);
    let policy = || {
        let gap = proptest::option::weighted(0.3, prop_oneof![Just(Gap::After), Just(Gap::Skip)]);
        let fold = proptest::option::weighted(0.3, prop_oneof![Just(Fold::First), Just(Fold::Twice)]);
        (gap, fold).prop_map(|(gap, fold)| Dst { gap, fold })
    };
    let second = proptest::option::weighted(0.3, field(0, 59));
    let expression = (second, field(0, 59), field(0, 23), day(), field(1, 12), weekday(), zones(), policy());
    let cron = expression.prop_map(|(second, minute, hour, day, month, weekday, name, dst)| {
        let second = second.map(|second| second + " ").unwrap_or_default();
        let text = format!("{second}{minute} {hour} {day} {month} {weekday}");
        (format!("{text} in {name}, {dst:?}"), Trigger::Cron(Cron::parse(&text, zone(name), dst).unwrap()))
    });
    let length = prop_oneof![
        2 => proptest::sample::select(&[1, 5, 30, 60, 90, 120, 300, 450, 900, 1800, 2700, 3600, 5400, 7200, 43_200, 86_400, 604_800][..]),
        1 => 1i64..200_000
    ];
    let interval = (length, 0i64..1_000_000).prop_map(|(every, anchor)| {
        let anchor = Timestamp::from_second(anchor).unwrap();
        (
            format!("every {every} s from {anchor}"),
            Trigger::Interval { every: SignedDuration::from_secs(every), anchor },
        )
    });
    let lengths = (0u32..3, 0u32..15, 0u32..3, 0u32..9);
    let calendar = (lengths, 0i8..24, 0i32..3000, zones()).prop_filter_map(
        "a step",
        |((years, months, weeks, days), hour, first, name)| {
            let first = jiff::civil::date(2016, 1, 1).checked_add(jiff::Span::new().days(first)).ok()?;
            let time = jiff::civil::time(hour, 30, 0, 0);
            // Mostly one unit.
            let (years, months) = if weeks + days > 2 { (0, 0) } else { (years, months) };
            let step = CalendarStep { years, months, weeks: weeks.min(1), days, time, first };
            let trigger = Trigger::Calendar { step: step.clone(), zone: zone(name), dst: Dst::default() };
            (years + months + weeks + days > 0).then(|| (format!("{step:?} in {name}"), trigger))
        },
    );
    prop_oneof![6 => cron, 1 => interval, 1 => calendar]
}

/// What systemd takes lines for: the next instants of each after one, in order.
fn systemds_reading(lines: &[String], after: Timestamp, count: usize) -> Vec<Timestamp> {
    let mut command = Command::new("systemd-analyze");
    command.env("TZ", "UTC").env("SYSTEMD_COLORS", "0").env("LC_ALL", "C").arg("calendar");
    let after_text = after.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    command.arg(format!("--base-time={after_text}")).arg(format!("--iterations={count}")).args(lines);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{lines:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let shown = |line: &str| {
        let (label, time) = line.split_once(": ")?;
        let label = label.trim();
        let time = (label == "Next elapse" || label.starts_with("Iter. #")).then(|| time.trim())?;
        (time != "never").then(|| {
            let civil = jiff::civil::DateTime::strptime("%a %Y-%m-%d %H:%M:%S UTC", time).unwrap();
            civil.to_zoned(TimeZone::UTC).unwrap().timestamp()
        })
    };
    let mut found: Vec<Timestamp> = text.lines().filter_map(shown).collect();
    found.sort();
    found.dedup();
    found.truncate(count);
    found
}

fn has_systemd() -> bool {
    let found = Command::new("systemd-analyze").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: there is no systemd-analyze here");
    }
    found
}

/// Instants that may be just before a change of the clocks in one of the zones, or anywhere from 2026 to 2060.
fn instant() -> impl Strategy<Value = Timestamp> {
    let near = (proptest::sample::select(&ZONES[..]), 0usize..40, -200_000i64..100_000).prop_map(|(name, nth, off)| {
        let change = zone(name).following(now()).nth(nth).map_or(now(), |change| change.timestamp());
        Timestamp::from_second(change.as_second() + off).unwrap()
    });
    let any = (1_767_225_600i64..2_840_140_800).prop_map(|second| Timestamp::from_second(second).unwrap());
    prop_oneof![near, any]
}

proptest! {
    #![proptest_config(crate::schedule::walk_tests::tried(150))]

    #[test]
    fn systemd_reads_the_same_instants((text, trigger) in trigger(), after in instant()) {
        if !has_systemd() {
            return Ok(());
        }
        let Ok(lines) = for_systemd(&trigger, after) else { return Ok(()) };
        const COUNT: usize = 6;
        let ours: Vec<Timestamp> = instants(&trigger, after).take(COUNT).collect();
        prop_assert_eq!(systemds_reading(&lines, after, COUNT), ours, "{} after {}: {:?}", text, after, lines);
    }
}

/// What Task Scheduler would do with triggers by their documentation: the instants after one, in the time zone of the machine.
fn task_schedulers_reading(
    triggers: &[TaskTrigger],
    system: &TimeZone,
    after: Timestamp,
    until: Timestamp,
) -> Vec<Timestamp> {
    let instant = |text: &str| match text.strip_suffix('Z') {
        Some(_) => at(text),
        None => text.parse::<jiff::civil::DateTime>().unwrap().to_zoned(system.clone()).unwrap().timestamp(),
    };
    let mut found = Vec::new();
    for trigger in triggers {
        let first = instant(&trigger.start);
        let end = trigger.end.as_deref().map_or(until, instant).min(until);
        let begins: Vec<Timestamp> = if trigger.on == On::Once {
            vec![first]
        } else {
            let first: jiff::civil::DateTime = trigger.start.parse().unwrap();
            let days = std::iter::successors(Some(first.date()), |day| day.tomorrow().ok());
            let days = days.take_while(|day| {
                day.to_zoned(TimeZone::UTC).unwrap().timestamp() <= end + SignedDuration::from_hours(48)
            });
            let days = days.filter(|day| counts(&trigger.on, *day, first.date()));
            days.map(|day| day.to_datetime(first.time()).to_zoned(system.clone()).unwrap().timestamp()).collect()
        };
        for begin in begins.into_iter().filter(|begin| *begin <= end) {
            let Some(repetition) = trigger.repetition else {
                found.push(begin);
                continue;
            };
            let last = repetition.duration.map_or(end, |for_| begin + SignedDuration::from_secs(for_)).min(end);
            let skipped = (after.as_second() - begin.as_second()).max(0) / repetition.interval;
            let from = begin + SignedDuration::from_secs(skipped * repetition.interval);
            let next = |at: &Timestamp| Some(*at + SignedDuration::from_secs(repetition.interval));
            found.extend(std::iter::successors(Some(from), next).take_while(|at| *at <= last));
        }
    }
    found.retain(|at| *at > after && *at <= until);
    found.sort();
    found.dedup();
    found
}

/// The first place where two lists differ.
fn differing(theirs: &[Timestamp], ours: &[Timestamp]) -> Option<(Option<Timestamp>, Option<Timestamp>)> {
    let at = (0..theirs.len().max(ours.len())).find(|at| theirs.get(*at) != ours.get(*at))?;
    Some((theirs.get(at).copied(), ours.get(at).copied()))
}

fn counts(on: &On, day: jiff::civil::Date, first: jiff::civil::Date) -> bool {
    let weekday = format!("{:?}", day.weekday());
    let month = day.strftime("%B").to_string();
    let is_last = day.month() != day.tomorrow().unwrap().month();
    let last_week = day.month() != day.saturating_add(jiff::Span::new().days(7)).month();
    match on {
        On::Once => false,
        On::Days { every } => i64::from((day - first).get_days()) % every == 0,
        On::Weeks { days } => days.contains(&weekday.as_str()),
        On::Months { days, months } => {
            months.contains(&month.as_str())
                && days.iter().any(|counted| *counted == day.day().to_string() || (counted == "Last" && is_last))
        }
        On::WeekdaysOfMonths { weeks, days, months } => {
            let nth = ((day.day() - 1) / 7 + 1).to_string();
            months.contains(&month.as_str())
                && days.contains(&weekday.as_str())
                && weeks.iter().any(|week| *week == nth || (week == "Last" && last_week))
        }
    }
}

proptest! {
    #![proptest_config(crate::schedule::walk_tests::tried(400))]

    #[test]
    fn task_scheduler_and_cron_read_the_same_instants(
        (text, trigger) in trigger(), after in instant(), bounds in proptest::option::weighted(0.2, (-300i64..300, 0i64..300)),
        system in proptest::sample::select(&ZONES[..]),
    ) {
        let days = |days: i64| after + SignedDuration::from_hours(24 * days);
        let trigger = match bounds {
            None => trigger,
            Some((from, length)) => {
                Trigger::Bounded { inner: Box::new(trigger), start: Some(days(from)), end: Some(days(from + length)) }
            }
        };
        // Half of the cases go by the machine's own zone.
        let own = text.split_once(" in ").and_then(|(_, rest)| ZONES.iter().find(|name| rest.starts_with(**name)));
        let system = zone(own.filter(|_| after.as_second() % 2 == 0).unwrap_or(&system));
        let Ok(found) = rules(&trigger, after) else { return Ok(()) };
        const COUNT: usize = 400;
        let until = days(500);
        let ours: Vec<Timestamp> = instants(&trigger, after).take(COUNT).take_while(|at| *at <= until).collect();
        let until = if ours.len() == COUNT { ours[COUNT - 1] } else { until };
        if let Ok(triggers) = triggers(&found, &system, after, false) {
            prop_assert!(triggers.len() <= 48);
            let theirs = task_schedulers_reading(&triggers, &system, after, until);
            prop_assert_eq!(differing(&theirs, &ours), None, "{} after {}: {:?}", text, after, triggers);
        }
        // Our own reader keeps to what cron(8) says of changes of the clocks.
        if let Ok(lines) = cron::fields(&found, &system, after) {
            let read = |line: &String| Trigger::Cron(Cron::parse(line, system.clone(), Dst::default()).unwrap());
            let any = Trigger::Any(lines.iter().map(read).collect());
            let theirs: Vec<Timestamp> = instants(&any, after).take_while(|at| *at <= until).collect();
            prop_assert_eq!(differing(&theirs, &ours), None, "{} after {}: {:?}", text, after, lines);
        }
    }
}

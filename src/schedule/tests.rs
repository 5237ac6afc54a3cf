//! The triggers against a scan of every minute, and what is promised of daylight saving.

use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use proptest::prelude::*;

use super::scan_tests::ZONES;
use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn cron(text: &str, name: &str) -> Trigger {
    Trigger::Cron(Cron::parse(text, zone(name), Dst::default()).unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|_| text.parse::<Zoned>().unwrap().timestamp())
}

/// The next instants after one, in the zone's time.
fn next(trigger: &Trigger, name: &str, after: &str, count: usize) -> Vec<String> {
    let zone = zone(name);
    let shown = |instant: Timestamp| instant.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string();
    instants(trigger, at(after)).take(count).map(shown).collect()
}

#[test]
fn days_of_the_month_and_of_the_week_go_together_as_in_cron() {
    // November 2026 begins on a Sunday.
    let cases: [(&str, &[i8]); 22] = [
        ("0 0 13 * fri", &[6, 13, 20, 27]),
        ("0 0 */10 * sun", &[1]),
        ("0 0 13 * *", &[13]),
        ("0 0 * * 7", &[1, 8, 15, 22, 29]),
        ("0 0 * * 0", &[1, 8, 15, 22, 29]),
        ("0 0 * * sat-mon", &[1, 2, 7, 8, 9, 14, 15, 16, 21, 22, 23, 28, 29, 30]),
        ("0 0 * * 5-7", &[1, 6, 7, 8, 13, 14, 15, 20, 21, 22, 27, 28, 29]),
        ("0 0 * * fri#2", &[13]),
        ("0 0 * * friL", &[27]),
        ("0 0 * * 5L", &[27]),
        ("0 0 L * *", &[30]),
        ("0 0 L-3 * *", &[27]),
        ("0 0 15W * *", &[16]),
        ("0 0 1W * *", &[2]),
        ("0 0 28W * *", &[27]),
        ("0 0 LW * *", &[30]),
        ("0 0 28-2 * *", &[1, 2, 28, 29, 30]),
        ("0 0 1,L * *", &[1, 30]),
        ("0 0 25-31/2 * *", &[25, 27, 29]),
        ("0 0 20/5 * *", &[20, 25, 30]),
        ("0 0 ? * MON", &[2, 9, 16, 23, 30]),
        ("0 0 10 1-3 *", &[]),
    ];
    for (text, days) in cases {
        let trigger = cron(text, "UTC");
        let found: Vec<i8> = instants(&trigger, at("2026-10-31T23:59:59Z"))
            .map(|instant| instant.to_zoned(TimeZone::UTC).date())
            .take_while(|day| (day.year(), day.month()) == (2026, 11))
            .map(|day| day.day())
            .collect();
        assert_eq!(found, days, "{text}");
    }
}

#[test]
fn short_forms_and_seconds() {
    assert_eq!(next(&cron("@monthly", "UTC"), "UTC", "2026-11-22T10:00:00Z", 1), ["2026-12-01 00:00:00 +00:00"]);
    assert_eq!(next(&cron("@weekly", "UTC"), "UTC", "2026-11-22T10:00:00Z", 1), ["2026-11-29 00:00:00 +00:00"]);
    assert_eq!(
        next(&cron("*/20 59 23 31 dec *", "UTC"), "UTC", "2026-12-31T23:59:00Z", 3),
        ["2026-12-31 23:59:20 +00:00", "2026-12-31 23:59:40 +00:00", "2027-12-31 23:59:00 +00:00"]
    );
    assert_eq!(
        next(&cron("0 22-2/2 * * *", "UTC"), "UTC", "2026-11-22T21:00:00Z", 4),
        [
            "2026-11-22 22:00:00 +00:00",
            "2026-11-23 00:00:00 +00:00",
            "2026-11-23 02:00:00 +00:00",
            "2026-11-23 22:00:00 +00:00"
        ]
    );
}

#[test]
fn slips_are_told_with_their_place() {
    let cases = [
        ("60 * * * *", 0..2, "`60` is not a minute; write a number from 0 to 59"),
        (
            "* * * * blue",
            8..12,
            "`blue` is not a day of the week; write a number from 0 to 7, or a name from sun to sat",
        ),
        ("* * *", 0..5, "3 fields, where five or six are wanted"),
        ("", 0..0, "the expression is empty"),
        ("*/0 * * * *", 2..3, "`0` is not a step for the minute; write a number from 1 to 60"),
        ("* * * 13 *", 6..8, "`13` is not a month"),
        ("* * 1,,2 * *", 6..6, "`nothing` is not a day of the month"),
        ("* * * * L", 8..9, "`L` alone names no day of the week; write friL"),
        ("* * * * mon#6", 12..13, "`6` of a weekday in its month; write #1 to #5"),
        ("* * L-31 * *", 6..8, "`31` days before the last"),
        ("@reboot", 0..7, "@reboot can't be planned"),
        ("@often", 0..6, "@often isn't known; there are @yearly"),
        ("+5 * * * *", 0..2, "`+5` is not a minute"),
    ];
    for (text, place, message) in cases {
        let error = Cron::parse(text, TimeZone::UTC, Dst::default()).unwrap_err();
        assert!(error.to_string().starts_with(message), "{text}: {error}");
        assert_eq!(error.at, place, "{text}");
    }
}

#[test]
fn a_time_of_the_day_survives_daylight_saving() {
    // In Paris 02:00 to 03:00 is left out on 29 March 2026, and comes twice on 25 October.
    let half_past = cron("30 2 * * *", "Europe/Paris");
    assert_eq!(
        next(&half_past, "Europe/Paris", "2026-03-28T12:00:00Z", 2),
        ["2026-03-29 03:00:00 +02:00", "2026-03-30 02:30:00 +02:00"]
    );
    assert_eq!(
        next(&half_past, "Europe/Paris", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25 02:30:00 +02:00", "2026-10-26 02:30:00 +01:00"]
    );
    // Several in one gap are one run, and one with what is due right after it.
    assert_eq!(
        next(&cron("0,30 2,3 * * *", "Europe/Paris"), "Europe/Paris", "2026-03-28T23:00:00Z", 3),
        ["2026-03-29 03:00:00 +02:00", "2026-03-29 03:30:00 +02:00", "2026-03-30 02:00:00 +02:00"]
    );
    assert_eq!(
        next(&cron("0,30 2 * * *", "Europe/Paris"), "Europe/Paris", "2026-10-24T22:00:00Z", 3),
        ["2026-10-25 02:00:00 +02:00", "2026-10-25 02:30:00 +02:00", "2026-10-26 02:00:00 +01:00"]
    );
}

#[test]
fn a_rhythm_follows_elapsed_time() {
    assert_eq!(
        next(&cron("*/30 * * * *", "Europe/Paris"), "Europe/Paris", "2026-03-29T00:15:00Z", 3),
        ["2026-03-29 01:30:00 +01:00", "2026-03-29 03:00:00 +02:00", "2026-03-29 03:30:00 +02:00"]
    );
    assert_eq!(
        next(&cron("0 * * * *", "Europe/Paris"), "Europe/Paris", "2026-10-24T23:30:00Z", 4),
        [
            "2026-10-25 02:00:00 +02:00",
            "2026-10-25 02:00:00 +01:00",
            "2026-10-25 03:00:00 +01:00",
            "2026-10-25 04:00:00 +01:00"
        ]
    );
}

#[test]
fn the_policy_may_be_chosen_otherwise() {
    let dst = Dst { gap: Some(Gap::Skip), fold: Some(Fold::Twice) };
    let trigger = Trigger::Cron(Cron::parse("30 2 * * *", zone("Europe/Paris"), dst).unwrap());
    assert_eq!(next(&trigger, "Europe/Paris", "2026-03-28T12:00:00Z", 1), ["2026-03-30 02:30:00 +02:00"]);
    assert_eq!(
        next(&trigger, "Europe/Paris", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25 02:30:00 +02:00", "2026-10-25 02:30:00 +01:00"]
    );
    // Half an hour, and a whole day that an island left out.
    assert_eq!(
        next(&cron("15 2 * * *", "Australia/Lord_Howe"), "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 1),
        ["2026-10-04 02:30:00 +11:00"]
    );
    assert_eq!(
        next(&cron("0 12 * * *", "Pacific/Apia"), "Pacific/Apia", "2011-12-29T23:00:00Z", 2),
        ["2011-12-31 00:00:00 +14:00", "2011-12-31 12:00:00 +14:00"]
    );
}

#[test]
fn what_never_comes_is_known_soon() {
    let begin = std::time::Instant::now();
    let new_york = "America/New_York";
    for text in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 L-30 2 *"] {
        assert_eq!(next_after(&cron(text, new_york), at("2026-11-22T00:00:00Z")), None, "{text}");
    }
    assert_eq!(
        next(&cron("0 0 29 2 *", new_york), new_york, "2096-11-22T00:00:00Z", 1),
        ["2104-02-29 00:00:00 -05:00"]
    );
    let never = Trigger::All(vec![cron("0 6 * * *", new_york), cron("30 6 * * *", new_york)]);
    assert_eq!(next_after(&never, at("2026-11-22T00:00:00Z")), None);
    let far = ByField { year: Some("9998".into()), ..ByField::default() };
    let far = Trigger::Cron(Cron::from_fields(&far, zone(new_york), Dst::default()).unwrap());
    assert_eq!(next(&far, new_york, "2026-11-22T00:00:00Z", 1), ["9998-01-01 00:00:00 -05:00"]);
    // Generous, for an unoptimised build on a busy machine.
    assert!(begin.elapsed() < std::time::Duration::from_secs(2), "{:?}", begin.elapsed());
}

/// A change of the offset in a zone, if it has one from some year on.
fn change(zone: &TimeZone, year: i16, which: usize) -> Timestamp {
    let from = date(year, 1, 1).to_zoned(TimeZone::UTC).unwrap().timestamp();
    zone.following(from).nth(which).map_or(from, |transition| transition.timestamp())
}

/// What is due in a stretch of time, found by looking at each minute: what the clock on the wall shows, and for times of
/// the day what it jumps over.
fn scan(fields: &Trigger, zone: &TimeZone, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let Trigger::Cron(cron) = fields else { panic!() };
    let minute = SignedDuration::from_mins(1);
    let (mut found, mut shown) = (Vec::new(), std::collections::HashSet::new());
    // Far enough before, so that what comes twice has been seen once.
    let mut at = from.checked_sub(SignedDuration::from_hours(48)).unwrap();
    let mut before = zone.to_datetime(at.checked_sub(minute).unwrap());
    while at <= until {
        let now = zone.to_datetime(at);
        let first_time = shown.insert(now);
        let mut due = cron.matches(now) && (!cron.is_fixed() || first_time);
        let mut skipped = before.checked_add(minute).unwrap();
        while cron.is_fixed() && skipped < now {
            due |= cron.matches(skipped);
            skipped = skipped.checked_add(minute).unwrap();
        }
        if due && at > from {
            found.push(at);
        }
        before = now;
        at = at.checked_add(minute).unwrap();
    }
    found
}

fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    let number = move || min..=max;
    prop_oneof![
        2 => Just("*".to_owned()),
        3 => number().prop_map(|n| n.to_string()),
        1 => (number(), number()).prop_map(|(a, b)| format!("{a}-{b}")),
        1 => (1..=max).prop_map(|step| format!("*/{step}")),
        1 => (number(), number()).prop_map(|(a, b)| format!("{a},{b}")),
        1 => (number(), 1..=max).prop_map(|(a, step)| format!("{a}/{step}")),
    ]
}

proptest! {
    #![proptest_config(super::walk_tests::tried(150))]

    /// Around changes of the offset, in all of these zones, from 2000 to 2100.
    #[test]
    fn a_scan_of_every_minute_finds_the_same(
        zone_name in proptest::sample::select(&ZONES[..]), year in 2000i16..2100, which in 0usize..3,
        minute in field(0, 59), hour in prop_oneof![field(0, 23), field(0, 4)], weekday in field(0, 7),
        offset_minutes in 0i64..2000,
    ) {
        let zone = zone(zone_name);
        let text = format!("{minute} {hour} * * {weekday}");
        let trigger = cron(&text, zone_name);
        let from = change(&zone, year, which).checked_sub(SignedDuration::from_mins(offset_minutes)).unwrap();
        let until = from.checked_add(SignedDuration::from_hours(60)).unwrap();
        let found: Vec<Timestamp> = instants(&trigger, from).take_while(|at| *at <= until).collect();
        prop_assert_eq!(found, scan(&trigger, &zone, from, until), "{} in {} after {}", text, zone_name, from);
    }
}

#[test]
fn fields_one_by_one() {
    let last_friday = ByField { day: Some("last fri".into()), hour: Some("6".into()), ..ByField::default() };
    let trigger = Trigger::Cron(Cron::from_fields(&last_friday, TimeZone::UTC, Dst::default()).unwrap());
    assert_eq!(
        next(&trigger, "UTC", "2026-11-22T00:00:00Z", 2),
        ["2026-11-27 06:00:00 +00:00", "2026-12-25 06:00:00 +00:00"]
    );
    let by_week = ByField { week: Some("1,53".into()), day_of_week: Some("mon".into()), ..ByField::default() };
    let trigger = Trigger::Cron(Cron::from_fields(&by_week, TimeZone::UTC, Dst::default()).unwrap());
    assert_eq!(
        next(&trigger, "UTC", "2026-11-22T00:00:00Z", 2),
        ["2026-12-28 00:00:00 +00:00", "2027-01-04 00:00:00 +00:00"]
    );
    let wrong = ByField { hour: Some("24".into()), ..ByField::default() };
    assert_eq!(Cron::from_fields(&wrong, TimeZone::UTC, Dst::default()).unwrap_err().0, "hour");
    assert_eq!(Cron::from_fields(&ByField::default(), TimeZone::UTC, Dst::default()).unwrap_err().0, "cron");
}

fn monthly(day: i8, months: u32) -> Trigger {
    let step = CalendarStep {
        years: 0,
        months,
        weeks: 0,
        days: 0,
        time: jiff::civil::time(6, 0, 0, 0),
        first: date(2026, 1, day),
    };
    Trigger::Calendar { step, zone: zone("Europe/Paris"), dst: Dst::default() }
}

#[test]
fn steps_of_the_calendar() {
    assert_eq!(
        next(&monthly(31, 1), "Europe/Paris", "2026-01-31T12:00:00Z", 2),
        ["2026-03-31 06:00:00 +02:00", "2026-05-31 06:00:00 +02:00"]
    );
    assert_eq!(next(&monthly(1, 240), "Europe/Paris", "2026-06-01T00:00:00Z", 1), ["2046-01-01 06:00:00 +01:00"]);
    let fortnight = CalendarStep {
        years: 0,
        months: 0,
        weeks: 2,
        days: 0,
        time: jiff::civil::time(0, 0, 0, 0),
        first: usual_first_day(2),
    };
    let trigger = Trigger::Calendar { step: fortnight, zone: TimeZone::UTC, dst: Dst::default() };
    let found = next(&trigger, "UTC", "2026-11-22T00:00:00Z", 2);
    assert!(found.iter().all(|day| day.parse::<DateTime>().is_err() || day.contains("Mon")), "{found:?}");
    assert_eq!(at("2026-11-23T00:00:00Z").to_zoned(TimeZone::UTC).weekday(), jiff::civil::Weekday::Monday);
}

#[test]
fn intervals_once_bounds_and_sums() {
    let anchor = at("2026-11-22T00:07:00Z");
    let interval = Trigger::Interval { every: SignedDuration::from_mins(15), anchor };
    assert_eq!(
        next(&interval, "UTC", "2026-11-21T00:00:00Z", 2),
        ["2026-11-22 00:07:00 +00:00", "2026-11-22 00:22:00 +00:00"]
    );
    let once = Trigger::At(at("2026-12-01T06:00:00Z"));
    assert_eq!(next(&once, "UTC", "2026-11-21T00:00:00Z", 2), ["2026-12-01 06:00:00 +00:00"]);
    let bounded = Trigger::Bounded {
        inner: Box::new(cron("0 6 * * *", "UTC")),
        start: Some(at("2026-11-24T06:00:00Z")),
        end: Some(at("2026-11-25T06:00:00Z")),
    };
    assert_eq!(
        next(&bounded, "UTC", "2026-11-21T00:00:00Z", 9),
        ["2026-11-24 06:00:00 +00:00", "2026-11-25 06:00:00 +00:00"]
    );
    let any = Trigger::Any(vec![bounded.clone(), once]);
    assert_eq!(next(&any, "UTC", "2026-11-21T00:00:00Z", 9).len(), 3);
    let first_mondays = Trigger::All(vec![cron("0 6 1-7 * *", "UTC"), cron("0 6 * * mon", "UTC")]);
    assert_eq!(
        next(&first_mondays, "UTC", "2026-11-21T00:00:00Z", 2),
        ["2026-12-07 06:00:00 +00:00", "2027-01-04 06:00:00 +00:00"]
    );
    assert_eq!(next_after(&Trigger::All(Vec::new()), anchor), None);
}

//! Every question has an answer within a moment, whatever the trigger and the instant.

use std::time::{Duration, Instant};

use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

/// What one question may take, without optimisation and beside other work. (With it, a hundredth of that is usual.)
const MOMENT: Duration = Duration::from_millis(50);

/// So often a question may be asked again that took longer: the machine may have been busy.
const TRIES: usize = 20;

/// The answer, which came within a moment.
fn next_soon(trigger: &Trigger, after: Timestamp) -> Option<Timestamp> {
    let mut shortest = Duration::MAX;
    for _ in 0..TRIES {
        let began = Instant::now();
        let found = next_after(trigger, after);
        shortest = shortest.min(began.elapsed());
        if shortest <= MOMENT {
            assert!(found.is_none_or(|found| found > after), "{trigger:?} after {after}: {found:?}");
            return found;
        }
    }
    panic!("{shortest:?} for {trigger:?} after {after}");
}

fn cron(text: &str, zone: &str) -> Trigger {
    Trigger::Cron(Cron::parse(text, TimeZone::get(zone).unwrap(), Dst::default()).unwrap())
}

fn by_field(pairs: &[(&str, &str)]) -> Trigger {
    let mut by = ByField::default();
    for (key, text) in pairs {
        let field = match *key {
            "year" => &mut by.year,
            "month" => &mut by.month,
            "day" => &mut by.day,
            "week" => &mut by.week,
            "day_of_week" => &mut by.day_of_week,
            "hour" => &mut by.hour,
            "minute" => &mut by.minute,
            _ => &mut by.second,
        };
        *field = Some((*text).to_owned());
    }
    Trigger::Cron(Cron::from_fields(&by, TimeZone::get("Europe/Paris").unwrap(), Dst::default()).unwrap())
}

fn leap_day_on(weekday: &str) -> Trigger {
    by_field(&[("month", "2"), ("day", "29"), ("day_of_week", weekday)])
}

fn calendar(years: u32, months: u32, weeks: u32, days: u32, first: jiff::civil::Date) -> Trigger {
    let step = CalendarStep { years, months, weeks, days, time: jiff::civil::time(6, 0, 0, 0), first };
    Trigger::Calendar { step, zone: TimeZone::get("America/Chicago").unwrap(), dst: Dst::default() }
}

fn every(seconds: i64, anchor: &str) -> Trigger {
    Trigger::Interval { every: SignedDuration::from_secs(seconds), anchor: anchor.parse().unwrap() }
}

/// At both ends of time, far away, and now.
fn instants_everywhere() -> Vec<Timestamp> {
    let texts = [
        "-005000-01-01T00:00:00Z",
        "0000-02-29T00:00:00Z",
        "1883-11-18T18:00:00Z",
        "1970-01-01T00:00:00Z",
        "2026-11-23T03:00:00Z",
        "2096-02-29T23:59:59.999999Z",
        "2400-01-01T00:00:00Z",
        "9999-12-29T22:00:00Z",
    ];
    texts.iter().map(|text| text.parse().unwrap()).chain([Timestamp::MIN, Timestamp::MAX]).collect()
}

#[test]
fn what_is_never_due_is_known_to_be_at_once() {
    let never = [
        cron("0 0 30 2 *", "Europe/Paris"),
        cron("0 0 31 2,4,6,9,11 *", "UTC"),
        cron("* * * * * *", "UTC").bounded(None, Some(Timestamp::MIN)),
        by_field(&[("week", "53"), ("month", "6")]),
        by_field(&[("week", "1"), ("month", "2-11")]),
        by_field(&[("year", "2001"), ("month", "2"), ("day", "29")]),
        by_field(&[("year", "1970-9999"), ("month", "2"), ("day", "30")]),
        by_field(&[("month", "2"), ("day", "5th mon"), ("week", "1")]),
        Trigger::All(vec![cron("0 6 * * *", "UTC"), cron("0 7 * * *", "UTC")]),
        Trigger::All(vec![cron("0 * * * *", "UTC"), cron("30 * * * *", "UTC")]),
        Trigger::All(vec![every(2, "2000-01-01T00:00:00Z"), every(2, "2000-01-01T00:00:01Z")]),
        Trigger::All(vec![leap_day_on("mon"), leap_day_on("tue")]),
        Trigger::All(vec![calendar(0, 1, 0, 0, date(2000, 1, 31)), calendar(0, 1, 0, 0, date(2000, 1, 30))]),
        Trigger::All(vec![by_field(&[("week", "53"), ("day", "29")]), by_field(&[("week", "53"), ("day", "30")])]),
        calendar(0, 12, 0, 0, date(2000, 2, 29)).bounded(None, Some("2000-02-01T00:00:00Z".parse().unwrap())),
        Trigger::All(Vec::new()),
        Trigger::Any(Vec::new()),
    ];
    for trigger in &never {
        for after in instants_everywhere() {
            let found = next_soon(trigger, after);
            // Times of the day meet in some zone's distant past or not at all; here all are never.
            assert_eq!(found, None, "{trigger:?} after {after}");
        }
    }
}

#[test]
fn parts_within_parts_take_no_longer() {
    let mut nested = Trigger::All(vec![cron("0 * * * *", "UTC"), cron("30 * * * *", "Asia/Kolkata")]);
    for depth in 0..30 {
        let other = cron("15 * * * *", "UTC");
        nested = if depth % 2 == 0 {
            Trigger::All(vec![Trigger::Any(vec![nested, other.clone()]), cron("45 * * * *", "UTC")])
        } else {
            Trigger::Any(vec![Trigger::All(vec![other, nested]); 3])
        };
        if depth % 2 == 1 && depth > 4 {
            break;
        }
    }
    let many = Trigger::Any(vec![Trigger::All(vec![cron("0 * * * *", "UTC"), cron("30 * * * *", "UTC")]); 100]);
    for after in instants_everywhere() {
        next_soon(&nested, after);
        assert_eq!(next_soon(&many, after), None);
    }
    // What never meets doesn't keep the others from being due.
    let beside = Trigger::Any(vec![many, cron("0 6 * * *", "UTC")]);
    assert_eq!(next_soon(&beside, at("2026-11-23T03:00:00Z")), Some(at("2026-11-23T06:00:00Z")));
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn far_away_is_found_as_fast() {
    let found = |trigger: &Trigger, after: &str| next_soon(trigger, at(after)).map(|found| found.to_string());
    let now = "2026-11-23T03:00:00Z";
    let last_day = by_field(&[("year", "9999"), ("month", "12"), ("day", "29")]);
    assert_eq!(found(&last_day, now).as_deref(), Some("9999-12-28T23:00:00Z"));
    assert_eq!(found(&by_field(&[("year", "1999")]), now), None);
    assert_eq!(found(&leap_day_on("mon"), now).as_deref(), Some("2044-02-28T23:00:00Z"));
    assert_eq!(found(&cron("0 0 29 2 *", "UTC"), "2096-03-01T00:00:00Z").as_deref(), Some("2104-02-29T00:00:00Z"));
    assert_eq!(
        found(&calendar(4, 0, 0, 0, date(2000, 2, 29)), "2096-03-01T00:00:00Z").as_deref(),
        Some("2104-02-29T12:00:00Z")
    );
    assert_eq!(found(&calendar(1000, 0, 0, 0, date(1970, 1, 1)), now).as_deref(), Some("2970-01-01T12:00:00Z"));
    assert_eq!(found(&every(1, "1970-01-01T00:00:00Z"), now).as_deref(), Some("2026-11-23T03:00:01Z"));
    assert_eq!(found(&every(86_400 * 366 * 1000, "1970-01-01T00:00:00Z"), "9990-01-01T00:00:00Z"), None);
    assert_eq!(found(&every(7, "9999-12-30T00:00:00Z"), now).as_deref(), Some("9999-12-30T00:00:00Z"));
    let daily_and_hourly = Trigger::All(vec![every(3600 * 7, "1970-01-01T00:00:00Z"), cron("0 6 * * *", "UTC")]);
    assert_eq!(found(&daily_and_hourly, now).as_deref(), Some("2026-11-24T06:00:00Z"));
    let from_now_on = Trigger::Bounded {
        inner: Box::new(every(60, "1970-01-01T00:00:00Z")),
        start: Some(Timestamp::MAX),
        end: Some(Timestamp::MAX),
    };
    assert_eq!(next_soon(&from_now_on, Timestamp::MIN), None);
}

#[test]
fn at_the_ends_of_time_there_is_an_answer() {
    let triggers = [
        cron("* * * * * *", "Pacific/Kiritimati"),
        cron("0 6 * * *", "Africa/Casablanca"),
        cron("0 0 L * *", "America/Chicago"),
        cron("0 0 LW 2 *", "Asia/Tehran"),
        cron("0 0 * * fri#5", "Australia/Lord_Howe"),
        by_field(&[("year", "*/7"), ("week", "53"), ("day_of_week", "sun")]),
        calendar(0, 0, 0, 1, date(-9999, 1, 1)),
        calendar(0, 1, 0, 0, date(9999, 1, 31)),
        calendar(100_000, 100_000, 100_000, 100_000, date(-9999, 1, 1)),
        every(1, "-009999-01-02T02:00:00Z"),
        Trigger::At(Timestamp::MAX),
        Trigger::At(Timestamp::MIN),
    ];
    for trigger in &triggers {
        for after in instants_everywhere() {
            for gap in [-1, 0, 1] {
                let near = after.checked_add(SignedDuration::from_nanos(gap)).unwrap_or(after);
                next_soon(trigger, near);
            }
        }
    }
}

impl Trigger {
    fn bounded(self, start: Option<Timestamp>, end: Option<Timestamp>) -> Self {
        Self::Bounded { inner: Box::new(self), start, end }
    }
}

fn leaf() -> impl Strategy<Value = Trigger> {
    let number = |max: u32| {
        prop_oneof![
            Just("*".to_owned()),
            (0..=max).prop_map(|n| n.to_string()),
            (1..=max).prop_map(|n| format!("*/{n}"))
        ]
    };
    let zone = || prop::sample::select(vec!["UTC", "Europe/Paris", "Asia/Kathmandu", "Australia/Lord_Howe"]);
    let expression = (
        number(59),
        number(23),
        prop_oneof![Just("*".to_owned()), (1..=31_u32).prop_map(|n| n.to_string())],
        number(6),
        zone(),
    )
        .prop_map(|(minute, hour, day, weekday, zone)| cron(&format!("{minute} {hour} {day} * {weekday}"), zone));
    let interval = (1..200_000_i64, 0..2_000_000_000_i64).prop_map(|(every, anchor)| Trigger::Interval {
        every: SignedDuration::from_secs(every),
        anchor: Timestamp::from_second(anchor).unwrap(),
    });
    let step = (0..3_u32, 0..15_u32, 0..5_u32, 1..40_u32, 1..28_i8)
        .prop_map(|(years, months, weeks, days, day)| calendar(years, months, weeks, days, date(2001, 1, day)));
    prop_oneof![expression, interval, step]
}

fn any_trigger() -> impl Strategy<Value = Trigger> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let parts = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![parts.clone().prop_map(Trigger::All), parts.prop_map(Trigger::Any)]
    })
}

proptest! {
    #![proptest_config(super::walk_tests::tried(200))]

    #[test]
    fn any_trigger_answers_within_a_moment(trigger in any_trigger(), second in -200_000_000_000_i64..250_000_000_000) {
        next_soon(&trigger, Timestamp::from_second(second).unwrap());
    }
}

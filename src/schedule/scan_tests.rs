//! The triggers against a walk over each second. `PROPTEST_CASES` says how many cases of each kind are tried.

use jiff::civil::{DateTime, date, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRng};

use super::walk_tests::*;
use super::*;

/// Zones with every kind of change: by half an hour or two, of a whole day, around Ramadan, none, near the date line.
pub(super) const ZONES: [&str; 26] = [
    "UTC",
    "Europe/Paris",
    "Europe/London",
    "Europe/Dublin",
    "Europe/Moscow",
    "America/Chicago",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/Havana",
    "America/Caracas",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Pacific/Kiritimati",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Auckland",
    "Asia/Tehran",
    "Asia/Kathmandu",
    "Asia/Gaza",
    "Asia/Pyongyang",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Antarctica/Troll",
    "Antarctica/Casey",
];

fn of<T: Copy>(random: &mut TestRng, items: &[T]) -> T {
    items[random.random_range(0..items.len())]
}

/// A second in a zone at which a stretch begins: before a change of the clocks, or a day that is the last or first of
/// something, from 2000 to 2100.
fn beginning(random: &mut TestRng, zone: &TimeZone, is_short: bool) -> i64 {
    let year = random.random_range(2000..=2100);
    let begin = date(year, 1, 1).to_zoned(TimeZone::UTC).unwrap().timestamp();
    if is_short {
        // Most changes by rules are alike; the older ones are more various.
        let begin = if random.random_bool(0.6) { instant(946_684_800) } else { begin };
        let which = random.random_range(0..40);
        if let Some(change) = zone.following(begin).nth(which).map(|change| change.timestamp().as_second()) {
            return change - random.random_range(0..4 * 3600);
        }
    }
    let day = match random.random_range(0..6) {
        0 => date(year, 2, 28),
        1 => date(year, random.random_range(1..=12), 1).last_of_month(),
        2 => date(year, 12, random.random_range(26..=31)),
        3 => date(year, 1, random.random_range(1..=5)),
        4 => date(year, random.random_range(1..=12), random.random_range(13..=17)),
        _ => date(year, random.random_range(1..=12), random.random_range(1..=28)),
    };
    day.to_zoned(zone.clone()).unwrap().timestamp().as_second() - random.random_range(0..7200)
}

/// A field that has mostly to do with a civil time.
fn items(random: &mut TestRng, field: usize, near: DateTime, by_field: bool) -> Vec<Item> {
    let (least, greatest) = if field == YEAR { (2000, 2100) } else { BOUNDS[field] };
    let greatest = if field == WEEKDAY { 7 } else { greatest };
    let some = |random: &mut TestRng| {
        if random.random_bool(0.7) { value(field, near) } else { random.random_range(least..=greatest) }
    };
    if matches!(field, DAY | WEEKDAY) && random.random_bool(0.4) {
        let (day, nth) = (value(WEEKDAY, near), usize::try_from((near.day() - 1) / 7 + 1).unwrap());
        let item = match (field, by_field, random.random_range(0..4)) {
            (DAY, true, 0) | (WEEKDAY, false, 0 | 1) => Item::LastOf(day),
            (DAY, true, 1) | (WEEKDAY, false, _) => Item::Nth(day, nth),
            (DAY, false, 0) => Item::BeforeLast(random.random_range(1..=30)),
            (DAY, false, 1) => Item::Nearest(some(random)),
            (DAY, false, 2) => Item::LastWorking,
            (DAY, ..) => Item::Last,
            _ => Item::One(some(random)),
        };
        let is_alone = by_field || random.random_bool(0.7);
        return if is_alone { vec![item] } else { vec![Item::One(some(random)), item] };
    }
    let width = (greatest - least).min(BOUNDS[field].1);
    let step = random.random_range(1..=width);
    let item = match random.random_range(0..10) {
        0..3 => Item::Any,
        3..6 => Item::One(some(random)),
        6 => Item::Range(some(random), random.random_range(least..=greatest)),
        7 if random.random_bool(0.2) && field != YEAR => Item::Anything,
        7 => Item::Each(step),
        8 => Item::RangeEach(random.random_range(least..=greatest), some(random), step.min(5)),
        _ => Item::From(some(random), step),
    };
    match item {
        // Years don't begin again.
        Item::Range(from, to) if field == YEAR => vec![Item::Range(from.min(to), from.max(to))],
        Item::RangeEach(from, to, step) if field == YEAR => vec![Item::RangeEach(from.min(to), from.max(to), step)],
        Item::One(_) if random.random_bool(0.3) => vec![item, Item::One(some(random)), Item::One(some(random))],
        _ => vec![item],
    }
}

fn dst(random: &mut TestRng) -> Dst {
    Dst {
        gap: of(random, &[None, None, Some(Gap::After), Some(Gap::Skip)]),
        fold: of(random, &[None, None, Some(Fold::First), Some(Fold::Twice)]),
    }
}

fn expression(random: &mut TestRng, zone: &TimeZone, from: i64, length: i64) -> Plain {
    let by_field = random.random_bool(0.5);
    let near = zone.to_datetime(instant(from + random.random_range(0..length)));
    let is_given = |random: &mut TestRng, field| match field {
        YEAR | WEEK => by_field && random.random_bool(0.2),
        SECOND => random.random_bool(0.5),
        _ => !by_field || random.random_bool(0.5),
    };
    let mut fields: [Option<Vec<Item>>; 8] =
        std::array::from_fn(|field| is_given(random, field).then(|| items(random, field, near, by_field)));
    if fields.iter().all(Option::is_none) {
        fields[HOUR] = Some(vec![Item::One(near.hour().into())]);
    }
    Plain::Cron { expression: Expression { by_field, fields }, zone: zone.clone(), dst: dst(random) }
}

fn leaf(random: &mut TestRng, zone: &TimeZone, from: i64, length: i64) -> Plain {
    let within = |random: &mut TestRng| from + random.random_range(0..length);
    match random.random_range(0..6) {
        0 | 1 => {
            let every = of(random, &[1, 7, 60, 90, 900, 3600, 5400, 86_400, 100_000]);
            Plain::Interval {
                every,
                anchor: within(random) - random.random_range(0..3) * random.random_range(0..9_999),
            }
        }
        2 => Plain::At(within(random)),
        3 => {
            let near = zone.to_datetime(instant(within(random)));
            let first = near.date() - random.random_range(0..4).years() - of(random, &[0, 0, 1, 6, 12]).months();
            let (years, months) = (of(random, &[0, 0, 0, 1, 4]), of(random, &[0, 0, 1, 2, 3, 12]));
            let (weeks, days) = (of(random, &[0, 0, 0, 1, 2]), of(random, &[0, 0, 0, 1, 3]));
            let days = if years + months + weeks == 0 { 1 } else { days };
            let of_day = time(near.hour(), of(random, &[0, 30, near.minute()]), of(random, &[0, near.second()]), 0);
            let step = CalendarStep { years, months, weeks, days, time: of_day, first };
            Plain::Calendar { step, zone: zone.clone(), dst: dst(random) }
        }
        _ => expression(random, zone, from, length),
    }
}

fn any_plain(random: &mut TestRng, zone: &TimeZone, from: i64, length: i64, depth: usize) -> Plain {
    if depth == 0 || random.random_bool(0.3) {
        return leaf(random, zone, from, length);
    }
    let parts = |random: &mut TestRng| {
        (0..random.random_range(1..=3)).map(|_| any_plain(random, zone, from, length, depth - 1)).collect()
    };
    match random.random_range(0..3) {
        0 => Plain::All(parts(random)),
        1 => Plain::Any(parts(random)),
        _ => {
            let end = |random: &mut TestRng| random.random_bool(0.6).then(|| from + random.random_range(0..length));
            let (start, end) = (end(random), end(random));
            Plain::Bounded { inner: Box::new(any_plain(random, zone, from, length, depth - 1)), start, end }
        }
    }
}

/// So many instants of a stretch are compared at most.
const COMPARED: usize = 1500;

fn compare(plain: &Plain, zone: &TimeZone, from: i64, length: i64) -> TestCaseResult {
    let (trigger, until) = (plain.trigger(), from + length);
    let walked: Vec<i64> = plain.due(from, until).into_iter().take(COMPARED).collect();
    // Between two seconds, so that the first counts.
    let after = instant(from).checked_sub(SignedDuration::from_millis(from.rem_euclid(1000) + 1)).unwrap();
    let after = after.max(instant(from - 1));
    let found = instants(&trigger, after).map(Timestamp::as_second).take_while(|at| *at <= until);
    let found: Vec<i64> = found.take(walked.len() + 1).collect();
    let found = &found[..found.len().min(COMPARED)];
    let differ = (0..walked.len().max(found.len())).find(|at| walked.get(*at) != found.get(*at));
    let shown = |instants: &[i64], at: usize| {
        instants.get(at).map(|second| instant(*second).to_zoned(zone.clone()).to_string())
    };
    if let Some(at) = differ {
        let message =
            format!("after {after}, {at}.: {:?}, where {:?} is walked over", shown(found, at), shown(&walked, at));
        return Err(TestCaseError::fail(message));
    }
    Ok(())
}

/// A zone, a stretch of time, and a trigger that has mostly to do with it.
fn cases(
    length: i64,
    is_short: bool,
    make: fn(&mut TestRng, &TimeZone, i64, i64) -> Plain,
) -> impl Strategy<Value = (&'static str, i64, Plain)> {
    Just(()).prop_perturb(move |(), mut random| {
        let name = of(&mut random, &ZONES);
        let zone = TimeZone::get(name).unwrap();
        let from = beginning(&mut random, &zone, is_short);
        (name, from, make(&mut random, &zone, from, length))
    })
}

const SHORT: i64 = 7 * 3600;
const LONG: i64 = 30 * 3600;

fn compounds(random: &mut TestRng, zone: &TimeZone, from: i64, length: i64) -> Plain {
    any_plain(random, zone, from, length, 2)
}

proptest! {
    #![proptest_config(tried(64))]

    #[test]
    fn around_changes_of_the_clocks_a_walk_over_each_second_finds_the_same(
        (zone, from, plain) in cases(SHORT, true, expression)
    ) {
        compare(&plain, &TimeZone::get(zone).unwrap(), from, SHORT)?;
    }

}

proptest! {
    #![proptest_config(tried(24))]

    #[test]
    fn where_days_months_weeks_and_years_end_a_walk_over_each_second_finds_the_same(
        (zone, from, plain) in cases(LONG, false, expression)
    ) {
        compare(&plain, &TimeZone::get(zone).unwrap(), from, LONG)?;
    }

}

proptest! {
    #![proptest_config(tried(64))]

    #[test]
    fn intervals_calendars_sums_and_meetings_are_what_a_walk_over_each_second_finds(
        (zone, from, plain) in cases(SHORT, true, compounds)
    ) {
        compare(&plain, &TimeZone::get(zone).unwrap(), from, SHORT)?;
    }
}

//! The rules of matching and of daylight saving once more, as a plain walk over each second has them: it knows nothing of how
//! instants are looked for.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime, Weekday, date};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use proptest::prelude::ProptestConfig;

use super::*;

/// The fields in the order of their sizes, with their least and greatest numbers.
pub(super) const BOUNDS: [(i64, i64); 8] = [(1970, 9999), (1, 12), (1, 31), (1, 53), (0, 6), (0, 23), (0, 59), (0, 59)];
pub(super) const YEAR: usize = 0;
pub(super) const MONTH: usize = 1;
pub(super) const DAY: usize = 2;
pub(super) const WEEK: usize = 3;
pub(super) const WEEKDAY: usize = 4;
pub(super) const HOUR: usize = 5;
pub(super) const MINUTE: usize = 6;
pub(super) const SECOND: usize = 7;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const ORDINALS: [&str; 5] = ["1st", "2nd", "3rd", "4th", "5th"];

/// What may stand in a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item {
    Any,
    Anything,
    One(i64),
    Range(i64, i64),
    Each(i64),
    RangeEach(i64, i64, i64),
    From(i64, i64),
    Last,
    BeforeLast(i64),
    Nearest(i64),
    LastWorking,
    LastOf(i64),
    Nth(i64, usize),
}

fn number(field: usize, number: i64) -> String {
    // Some have their names.
    match (field, usize::try_from(number).unwrap()) {
        (MONTH, month) if month % 2 == 1 => MONTHS[month - 1].to_owned(),
        (WEEKDAY, day @ (1 | 3 | 5)) => WEEKDAYS[day].to_uppercase(),
        (_, number) => number.to_string(),
    }
}

fn is_working(day: Date) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

fn of_month(day: Date) -> impl Iterator<Item = Date> {
    (1..=day.days_in_month()).map(move |number| date(day.year(), day.month(), number))
}

impl Item {
    fn text(self, field: usize, by_field: bool) -> String {
        let number = |value| number(field, value);
        match self {
            Self::Any => "*".to_owned(),
            Self::Anything => "?".to_owned(),
            Self::One(value) => number(value),
            Self::Range(from, to) => format!("{}-{}", number(from), number(to)),
            Self::Each(step) => format!("*/{step}"),
            Self::RangeEach(from, to, step) => format!("{}-{}/{step}", number(from), number(to)),
            Self::From(from, step) => format!("{}/{step}", number(from)),
            Self::Last if by_field => "last".to_owned(),
            Self::Last => "L".to_owned(),
            Self::BeforeLast(days) => format!("L-{days}"),
            Self::Nearest(day) => format!("{day}W"),
            Self::LastWorking => "LW".to_owned(),
            Self::LastOf(day) if by_field => format!("last {}", WEEKDAYS[usize::try_from(day).unwrap()]),
            Self::LastOf(day) => format!("{}L", number(day)),
            Self::Nth(day, nth) if by_field => {
                format!("{} {}", ORDINALS[nth - 1], WEEKDAYS[usize::try_from(day).unwrap()])
            }
            Self::Nth(day, nth) => format!("{}#{nth}", number(day)),
        }
    }

    fn has(self, field: usize, at: DateTime) -> bool {
        let (least, greatest) = BOUNDS[field];
        let weekday = |at: Date| i64::from(at.weekday().to_sunday_zero_offset());
        let (day, value) = (at.date(), value(field, at));
        let is_day = |wanted: i64| weekday(day) == wanted % 7;
        // A range that ends before it begins goes on from the field's beginning, which is as if the numbers went on.
        let between = |from: i64, to: i64, step: i64| {
            let round = greatest - least + 1;
            let to = if to < from { to + round } else { to };
            [value, value + round].iter().any(|value| (from..=to).contains(value) && (value - from) % step == 0)
        };
        match self {
            Self::Any | Self::Anything => true,
            Self::One(wanted) => between(wanted, wanted, 1),
            Self::Range(from, to) => between(from, to, 1),
            Self::Each(step) => (value - least) % step == 0,
            Self::RangeEach(from, to, step) => between(from, to, step),
            Self::From(from, step) => between(from, greatest.max(from), step),
            Self::Last => day.tomorrow().unwrap().day() == 1,
            Self::BeforeLast(days) => (day + days.days()).tomorrow().unwrap().day() == 1,
            Self::Nearest(wanted) => {
                wanted <= i64::from(day.days_in_month())
                    && of_month(day)
                        .filter(|day| is_working(*day))
                        .min_by_key(|day| (i64::from(day.day()) - wanted).abs())
                        == Some(day)
            }
            Self::LastWorking => of_month(day).filter(|day| is_working(*day)).last() == Some(day),
            Self::LastOf(wanted) => is_day(wanted) && (day + 7.days()).month() != day.month(),
            Self::Nth(wanted, nth) => {
                let same = |other: &Date| other.weekday() == day.weekday();
                is_day(wanted) && of_month(day).filter(same).nth(nth - 1) == Some(day)
            }
        }
    }
}

pub(super) fn value(field: usize, at: DateTime) -> i64 {
    match field {
        YEAR => at.year().into(),
        MONTH => at.month().into(),
        DAY => at.day().into(),
        WEEK => at.date().iso_week_date().week().into(),
        WEEKDAY => at.weekday().to_sunday_zero_offset().into(),
        HOUR => at.hour().into(),
        MINUTE => at.minute().into(),
        _ => at.second().into(),
    }
}

/// An expression, or one field by field; `None` is a field that is left out.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    pub(super) by_field: bool,
    pub(super) fields: [Option<Vec<Item>>; 8],
}

impl Expression {
    fn text(&self, field: usize) -> Option<String> {
        let texts = self.fields[field].as_ref()?.iter().map(|item| item.text(field, self.by_field));
        Some(texts.collect::<Vec<_>>().join(","))
    }

    fn cron(&self, zone: &TimeZone, dst: Dst) -> Cron {
        let of = |field| self.text(field);
        if self.by_field {
            let by = ByField {
                year: of(YEAR),
                month: of(MONTH),
                day: of(DAY),
                week: of(WEEK),
                day_of_week: of(WEEKDAY),
                hour: of(HOUR),
                minute: of(MINUTE),
                second: of(SECOND),
            };
            return Cron::from_fields(&by, zone.clone(), dst).unwrap();
        }
        let order = [SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY];
        let text = order.iter().filter_map(|field| of(*field)).collect::<Vec<_>>().join(" ");
        Cron::parse(&text, zone.clone(), dst).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Whether a field that is left out is any, by what is said of it in the documentation.
    fn left_out_is_any(&self, field: usize) -> bool {
        let smallest = (YEAR..=SECOND).rev().find(|field| self.fields[*field].is_some());
        field == WEEK || field == WEEKDAY || smallest.is_some_and(|smallest| field < smallest)
    }

    fn has(&self, field: usize, at: DateTime) -> bool {
        match &self.fields[field] {
            Some(items) => items.iter().any(|item| item.has(field, at)),
            None => self.left_out_is_any(field) || value(field, at) == BOUNDS[field].0,
        }
    }

    fn matches(&self, at: DateTime) -> bool {
        let has = |field| self.has(field, at);
        if self.by_field {
            return (YEAR..=SECOND).rev().all(has);
        }
        let is_open = |field| self.text(field).is_some_and(|text| text.starts_with('*') || text == "?");
        has(SECOND)
            && has(MINUTE)
            && has(HOUR)
            && has(MONTH)
            && match (has(DAY), has(WEEKDAY)) {
                (true, true) => true,
                (false, false) => false,
                _ => !is_open(DAY) && !is_open(WEEKDAY),
            }
    }

    /// Whether it tells times of the day: no wildcard and no step in hour and minute.
    fn is_fixed(&self) -> bool {
        [HOUR, MINUTE].into_iter().all(|field| match self.text(field) {
            Some(text) => !text.contains(['*', '?', '/']),
            None => !self.left_out_is_any(field),
        })
    }
}

/// A trigger, as the walk knows it.
#[derive(Debug, Clone)]
pub(super) enum Plain {
    Cron { expression: Expression, zone: TimeZone, dst: Dst },
    Interval { every: i64, anchor: i64 },
    Calendar { step: CalendarStep, zone: TimeZone, dst: Dst },
    At(i64),
    All(Vec<Plain>),
    Any(Vec<Plain>),
    Bounded { inner: Box<Plain>, start: Option<i64>, end: Option<i64> },
}

pub(super) fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

impl Plain {
    pub(super) fn trigger(&self) -> Trigger {
        let all = |parts: &[Self]| parts.iter().map(Self::trigger).collect();
        match self {
            Self::Cron { expression, zone, dst } => Trigger::Cron(expression.cron(zone, *dst)),
            Self::Interval { every, anchor } => {
                Trigger::Interval { every: SignedDuration::from_secs(*every), anchor: instant(*anchor) }
            }
            Self::Calendar { step, zone, dst } => {
                Trigger::Calendar { step: step.clone(), zone: zone.clone(), dst: *dst }
            }
            Self::At(at) => Trigger::At(instant(*at)),
            Self::All(parts) => Trigger::All(all(parts)),
            Self::Any(parts) => Trigger::Any(all(parts)),
            Self::Bounded { inner, start, end } => {
                Trigger::Bounded { inner: Box::new(inner.trigger()), start: start.map(instant), end: end.map(instant) }
            }
        }
    }

    /// The seconds of a stretch in which it is due.
    pub(super) fn due(&self, from: i64, until: i64) -> BTreeSet<i64> {
        let seconds = from..=until;
        match self {
            Self::Cron { expression, zone, dst } => {
                let (gap, fold) =
                    if expression.is_fixed() { (Gap::After, Fold::First) } else { (Gap::Skip, Fold::Twice) };
                let policy = (dst.gap.unwrap_or(gap), dst.fold.unwrap_or(fold));
                walk(|at| expression.matches(at), zone, policy, from, until)
            }
            Self::Interval { every, anchor } => {
                seconds.filter(|at| at >= anchor && (at - anchor) % every == 0).collect()
            }
            Self::Calendar { step, zone, dst } => {
                let days = days_of(step, zone.to_datetime(instant(until)).date());
                let matches = |at: DateTime| at.time() == step.time && days.contains(&at.date());
                let policy = (dst.gap.unwrap_or(Gap::After), dst.fold.unwrap_or(Fold::First));
                walk(matches, zone, policy, from, until)
            }
            Self::At(at) => seconds.filter(|second| second == at).collect(),
            Self::All(parts) => {
                let due = parts.iter().map(|part| part.due(from, until));
                due.reduce(|due, of_part| due.intersection(&of_part).copied().collect()).unwrap_or_default()
            }
            Self::Any(parts) => parts.iter().flat_map(|part| part.due(from, until)).collect(),
            Self::Bounded { inner, start, end } => {
                let within = |at: &i64| start.is_none_or(|start| start <= *at) && end.is_none_or(|end| *at <= end);
                inner.due(from, until).into_iter().filter(within).collect()
            }
        }
    }
}

/// The days to which steps of the calendar lead, until one.
fn days_of(step: &CalendarStep, until: Date) -> BTreeSet<Date> {
    let mut days = BTreeSet::new();
    let (mut months, mut further) = (0_i64, 0_i64);
    loop {
        let month = step.first.first_of_month() + months.months();
        if month > until.last_of_month() {
            return days;
        }
        if step.first.day() <= month.days_in_month() {
            let day = date(month.year(), month.month(), step.first.day()) + further.days();
            if day > until {
                return days;
            }
            days.insert(day);
        }
        months += i64::from(step.years) * 12 + i64::from(step.months);
        further += i64::from(step.weeks) * 7 + i64::from(step.days);
    }
}

/// Looks at what the clock on the wall shows in each second, and at what it jumps over or shows again.
fn walk(
    matches: impl Fn(DateTime) -> bool,
    zone: &TimeZone,
    (gap, fold): (Gap, Fold),
    from: i64,
    until: i64,
) -> BTreeSet<i64> {
    // What comes twice has been seen once by then: clocks go back by three hours at most.
    const BEFORE: i64 = 4 * 3600;
    let mut due = BTreeSet::new();
    let mut latest = zone.to_datetime(instant(from - BEFORE));
    let mut offset = zone.to_offset(instant(from - BEFORE));
    for at in from - BEFORE + 1..=until {
        let (before, now) = (offset, instant(at));
        offset = zone.to_offset(now);
        let shown = offset.to_datetime(now);
        let mut is_due = (shown > latest || fold == Fold::Twice) && matches(shown);
        if offset > before && gap == Gap::After {
            let left_out = (before.seconds()..offset.seconds()).map(|early| Offset::from_seconds(early).unwrap());
            is_due |= left_out.map(|offset| offset.to_datetime(now)).any(&matches);
        }
        latest = latest.max(shown);
        if is_due && at >= from {
            due.insert(at);
        }
    }
    due
}

/// As many cases as `PROPTEST_CASES` says, else so many. (Plain `with_cases` doesn't heed it.)
pub(crate) fn tried(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(asked.unwrap_or(cases))
}

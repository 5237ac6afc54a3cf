//! Cron expressions: from text to field sets, with every slip told by its place.
//!
//! Five fields (minute, hour, day of month, month, day of week) or six, with the second first, as in cron(5) and its
//! descendants; `L`, `W` and `#` as in Quartz.

use std::ops::Range;

use thiserror::Error;

use super::fields::{DayRule, Fields, MonthDays, WeekDays, bits};

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// What makes a rhythm of an hour or minute: wildcards and steps.
const RHYTHM: [char; 3] = ['*', '?', '/'];
const ORDINALS: [&str; 5] = ["1st", "2nd", "3rd", "4th", "5th"];

/// What is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}{}", hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}")))]
pub struct CronError {
    /// The bytes of the expression that it is about.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

/// One of the numbered fields.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const SECOND: Kind = Kind { name: "second", min: 0, max: 59, names: &[] };
const MINUTE: Kind = Kind { name: "minute", min: 0, max: 59, names: &[] };
const HOUR: Kind = Kind { name: "hour", min: 0, max: 23, names: &[] };
const DAY: Kind = Kind { name: "day of the month", min: 1, max: 31, names: &[] };
const MONTH: Kind = Kind { name: "month", min: 1, max: 12, names: &MONTHS };
/// 7 is Sunday, too.
const WEEKDAY: Kind = Kind { name: "day of the week", min: 0, max: 7, names: &WEEKDAYS };
const WEEK: Kind = Kind { name: "week", min: 1, max: 53, names: &[] };

/// A part of the expression and where it stands.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Piece<'a> {
    fn error<T>(self, message: impl Into<String>, hint: Option<&str>) -> Result<T, CronError> {
        let at = self.at..self.at + self.text.len();
        Err(CronError { at, message: message.into(), hint: hint.map(str::to_owned) })
    }

    /// The parts between these separators.
    fn split(self, separator: char) -> impl Iterator<Item = Piece<'a>> {
        let mut at = self.at;
        self.text.split(separator).map(move |text| {
            let piece = Piece { text, at };
            at += text.len() + separator.len_utf8();
            piece
        })
    }

    fn split_once(self, separator: char) -> Option<(Piece<'a>, Piece<'a>)> {
        let (left, right) = self.text.split_once(separator)?;
        let after = self.at + left.len() + separator.len_utf8();
        Some((Piece { text: left, at: self.at }, Piece { text: right, at: after }))
    }

    fn strip_suffix(self, suffix: &str) -> Option<Piece<'a>> {
        let at = self.text.len().checked_sub(suffix.len()).filter(|at| self.text.is_char_boundary(*at))?;
        let (left, right) = self.text.split_at(at);
        right.eq_ignore_ascii_case(suffix).then_some(Piece { text: left, at: self.at })
    }

    fn is(self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Fields, CronError> {
    let pieces: Vec<Piece<'_>> = words(text);
    match pieces.as_slice() {
        [] => Piece { text, at: 0 }.error("the expression is empty", Some("as in \"0 6 * * mon-fri\"")),
        [only] if only.text.starts_with('@') => macro_of(*only),
        [minute, hour, day, month, weekday] => fields(None, [*minute, *hour, *day, *month, *weekday]),
        [second, minute, hour, day, month, weekday] => fields(Some(*second), [*minute, *hour, *day, *month, *weekday]),
        more => {
            let message = format!("{} fields, where five or six are wanted", more.len());
            let hint =
                "minute, hour, day of month, month, day of week, as in \"0 6 * * mon-fri\"; a second may stand first";
            Piece { text, at: 0 }.error(message, Some(hint))
        }
    }
}

fn words(text: &str) -> Vec<Piece<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    for part in text.split(|c: char| c.is_ascii_whitespace()) {
        if !part.is_empty() {
            words.push(Piece { text: part, at });
        }
        at += part.len() + 1;
    }
    words
}

fn macro_of(piece: Piece<'_>) -> Result<Fields, CronError> {
    let expression = match piece.text.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@reboot" => {
            let hint = "it is no time; have the system start `runner run` when it starts";
            return piece.error("@reboot can't be planned", Some(hint));
        }
        _ => {
            let hint = "there are @yearly, @monthly, @weekly, @daily, @midnight and @hourly";
            return piece.error(format!("{} isn't known", piece.text), Some(hint));
        }
    };
    parse(expression)
}

fn fields(second: Option<Piece<'_>>, [minute, hour, day, month, weekday]: [Piece<'_>; 5]) -> Result<Fields, CronError> {
    let starred = |piece: Piece<'_>| piece.text.starts_with('*') || piece.text == "?";
    let rhythm = |piece: Piece<'_>| piece.text.contains(RHYTHM);
    Ok(Fields {
        years: None,
        months: u16::try_from(set(month, MONTH)?).unwrap_or_default(),
        month_days: month_days(day)?,
        week_days: week_days(weekday)?,
        day_rule: if starred(day) || starred(weekday) { DayRule::Both } else { DayRule::Either },
        weeks: None,
        hours: u32::try_from(set(hour, HOUR)?).unwrap_or_default(),
        minutes: set(minute, MINUTE)?,
        seconds: second.map_or(Ok(1), |second| set(second, SECOND))?,
        fixed: !rhythm(minute) && !rhythm(hour),
    })
}

/// A field each of whose items is `*`, a number, a range or either with a step.
fn set(field: Piece<'_>, kind: Kind) -> Result<u64, CronError> {
    field.split(',').try_fold(0, |mask, item| Ok(mask | numbers(item, kind)?))
}

fn numbers(item: Piece<'_>, kind: Kind) -> Result<u64, CronError> {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    let width = kind.max - kind.min + 1;
    let by = match step {
        None => 1,
        Some(step) => match step.text.parse::<u32>() {
            Ok(by) if (1..=width).contains(&by) => by,
            _ => {
                let hint = format!("write a number from 1 to {width}");
                return step.error(format!("`{}` is not a step for the {}", step.text, kind.name), Some(&hint));
            }
        },
    };
    // Sunday's second number is for writing only.
    let (top, wraps_at) = if kind.names.len() == 7 { (6, 7) } else { (kind.max, width) };
    let (from, to) = if range.text == "*" || range.text == "?" {
        (kind.min, top)
    } else if let Some((from, to)) = range.split_once('-') {
        (number(from, kind)?, number(to, kind)?)
    } else {
        let from = number(range, kind)?;
        (from, if step.is_some() { top.max(from) } else { from })
    };
    // 7 stands for Sunday; after Saturday in `5-7`, before Monday in `7-2`.
    let to = if to < from { to + wraps_at } else { to };
    let fold = |value: u32| if value > top { value - wraps_at } else { value };
    Ok((from..=to).step_by(usize::try_from(by).unwrap_or(1)).fold(0, |mask, value| mask | 1 << fold(value)))
}

fn number(piece: Piece<'_>, kind: Kind) -> Result<u32, CronError> {
    let lower = piece.text.to_ascii_lowercase();
    if let Some(index) = kind.names.iter().position(|name| *name == lower) {
        return Ok(u32::try_from(index).unwrap_or_default() + kind.min);
    }
    match piece.text.parse::<u32>() {
        Ok(value) if piece.text.bytes().all(|b| b.is_ascii_digit()) && (kind.min..=kind.max).contains(&value) => {
            Ok(value)
        }
        _ => {
            let names = match kind.names {
                [first, .., last] => format!(", or a name from {first} to {last}"),
                _ => String::new(),
            };
            let hint = format!("write a number from {} to {}{names}", kind.min, kind.max);
            let what = if piece.text.is_empty() { "nothing" } else { piece.text };
            let article = if kind.name == HOUR.name { "an" } else { "a" };
            piece.error(format!("`{what}` is not {article} {}", kind.name), Some(&hint))
        }
    }
}

fn month_days(field: Piece<'_>) -> Result<MonthDays, CronError> {
    let mut found = MonthDays::default();
    for item in field.split(',') {
        if item.is("L") {
            found.from_end |= 1;
        } else if item.is("LW") || item.is("WL") {
            found.last_working = true;
        } else if let Some((left, right)) = item.split_once('-').filter(|(left, _)| left.is("L")) {
            let _ = left;
            match right.text.parse::<u32>() {
                Ok(before @ 1..=30) => found.from_end |= 1 << before,
                _ => return right.error(format!("`{}` days before the last", right.text), Some("write L-1 to L-30")),
            }
        } else if let Some(day) = item.strip_suffix("W") {
            found.nearest |= 1 << number(day, DAY)?;
        } else {
            found.days |= u32::try_from(numbers(item, DAY)?).unwrap_or_default();
        }
    }
    Ok(found)
}

fn week_days(field: Piece<'_>) -> Result<WeekDays, CronError> {
    let mut found = WeekDays::default();
    let one = |piece: Piece<'_>| Ok::<u8, CronError>(1 << (number(piece, WEEKDAY)? % 7));
    for item in field.split(',') {
        if let Some((day, nth)) = item.split_once('#') {
            match nth.text.parse::<usize>() {
                Ok(nth @ 1..=5) => found.nth[nth - 1] |= one(day)?,
                _ => return nth.error(format!("`{}` of a weekday in its month", nth.text), Some("write #1 to #5")),
            }
        } else if item.is("L") {
            return item.error("`L` alone names no day of the week", Some("write friL for the last Friday of a month"));
        } else if let Some(day) = item.strip_suffix("L") {
            found.last |= one(day)?;
        } else {
            found.days |= u8::try_from(numbers(item, WEEKDAY)?).unwrap_or_default();
        }
    }
    Ok(found)
}

/// The fields of a trigger that is written field by field, as texts; `None` where a field is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByField {
    /// Years, as in `2026-2030`.
    pub year: Option<String>,
    /// Months.
    pub month: Option<String>,
    /// Days of the month; also `last`, `last fri`, `3rd mon`.
    pub day: Option<String>,
    /// Weeks of the year (ISO 8601).
    pub week: Option<String>,
    /// Days of the week, 0 and 7 being Sunday.
    pub day_of_week: Option<String>,
    /// Hours.
    pub hour: Option<String>,
    /// Minutes.
    pub minute: Option<String>,
    /// Seconds.
    pub second: Option<String>,
}

/// Reads a trigger that is written field by field. What is left out is any, if it is larger than the smallest field that
/// is given, else its least value (as in APScheduler's cron trigger). All fields must match.
pub(super) fn parse_fields(by: &ByField) -> Result<Fields, (&'static str, CronError)> {
    let given: [(&'static str, &Option<String>); 8] = [
        ("year", &by.year),
        ("month", &by.month),
        ("day", &by.day),
        ("week", &by.week),
        ("day_of_week", &by.day_of_week),
        ("hour", &by.hour),
        ("minute", &by.minute),
        ("second", &by.second),
    ];
    let smallest = given.iter().rposition(|(_, text)| text.is_some());
    let text_of = |index: usize| match (given[index].1, smallest) {
        (Some(text), _) => text.as_str(),
        (None, Some(smallest)) if index < smallest => "*",
        // Days and weeks have no least value of their own beside each other.
        (None, Some(_)) => ["*", "1", "1", "*", "*", "0", "0", "0"][index],
        (None, None) => "*",
    };
    if smallest.is_none() {
        let error =
            CronError { at: 0..0, message: "no field is given".into(), hint: Some("as in {\"hour\": 6}".into()) };
        return Err(("cron", error));
    }
    let piece = |index: usize| Piece { text: text_of(index).trim(), at: 0 };
    let named = |index: usize| move |error| (given[index].0, error);
    let (month_days, by_ordinal) = ordinal_days(piece(2)).map_err(named(2))?;
    let mut week_days = week_days(piece(4)).map_err(named(4))?;
    if let Some(ordinal) = by_ordinal {
        // Both must match: of a weekday's occurrences those that the other field has.
        let only = |mask: u8| mask & week_days.days;
        week_days = WeekDays { days: 0, nth: ordinal.nth.map(only), last: only(ordinal.last) };
    }
    let rhythm = |index: usize| text_of(index).contains(RHYTHM);
    Ok(Fields {
        years: years(piece(0)).map_err(named(0))?,
        months: u16::try_from(set(piece(1), MONTH).map_err(named(1))?).unwrap_or_default(),
        month_days,
        week_days,
        day_rule: DayRule::Both,
        weeks: match text_of(3) {
            "*" => None,
            _ => Some(set(piece(3), WEEK).map_err(named(3))?),
        },
        hours: u32::try_from(set(piece(5), HOUR).map_err(named(5))?).unwrap_or_default(),
        minutes: set(piece(6), MINUTE).map_err(named(6))?,
        seconds: set(piece(7), SECOND).map_err(named(7))?,
        fixed: !rhythm(5) && !rhythm(6),
    })
}

/// Days of the month, or occurrences of weekdays in it (`last fri`, `3rd mon`).
fn ordinal_days(field: Piece<'_>) -> Result<(MonthDays, Option<WeekDays>), CronError> {
    let mut days = MonthDays::default();
    let mut ordinal = WeekDays::default();
    let (mut has_days, mut has_ordinal) = (false, false);
    for item in field.split(',') {
        let trimmed = Piece { text: item.text.trim(), at: item.at };
        if trimmed.is("last") {
            (days.from_end, has_days) = (days.from_end | 1, true);
        } else if let Some((which, day)) = trimmed.split_once(' ') {
            let weekday = 1 << (number(Piece { text: day.text.trim(), at: day.at }, WEEKDAY)? % 7);
            has_ordinal = true;
            if which.is("last") {
                ordinal.last |= weekday;
            } else if let Some(nth) = ORDINALS.iter().position(|name| which.is(name)) {
                ordinal.nth[nth] |= weekday;
            } else {
                let hint = "write 1st to 5th, or last, as in `last fri`";
                return which.error(format!("`{}` is not an occurrence", which.text), Some(hint));
            }
        } else {
            let more = month_days(trimmed)?;
            days.days |= more.days;
            days.from_end |= more.from_end;
            days.nearest |= more.nearest;
            days.last_working |= more.last_working;
            has_days = true;
        }
    }
    if has_days && has_ordinal {
        return field.error("days and weekdays' occurrences in one list", Some("write two triggers in {\"any\": […]}"));
    }
    if has_ordinal {
        days.days = u32::try_from(bits(1, 31)).unwrap_or_default();
    }
    Ok((days, has_ordinal.then_some(ordinal)))
}

fn years(field: Piece<'_>) -> Result<Option<Vec<i16>>, CronError> {
    const FIRST: i16 = 1970;
    const LAST: i16 = 9999;
    let hint = format!("write a year from {FIRST} to {LAST}, a range or a list of them");
    let mut found = std::collections::BTreeSet::new();
    for item in field.split(',') {
        let (range, by) = match item.split_once('/') {
            None => (item, 1),
            Some((range, step)) => match step.text.parse::<usize>() {
                Ok(by) if by > 0 => (range, by),
                _ => return step.error(format!("`{}` is not a step for the year", step.text), None),
            },
        };
        if range.text == "*" && by == 1 {
            return Ok(None);
        }
        let year = |piece: Piece<'_>| match piece.text.parse::<i16>() {
            Ok(year @ FIRST..=LAST) => Ok(year),
            _ => piece.error(format!("`{}` is not a year", piece.text), Some(&hint)),
        };
        let (from, to) = match range.split_once('-') {
            _ if range.text == "*" => (FIRST, LAST),
            Some((from, to)) => (year(from)?, year(to)?),
            None => (year(range)?, if by > 1 { LAST } else { year(range)? }),
        };
        if from > to {
            return range.error("the range of years goes backwards", None);
        }
        found.extend((from..=to).step_by(by));
    }
    Ok(Some(found.into_iter().collect()))
}

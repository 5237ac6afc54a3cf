//! Days and instants as people write them for an input. What is wrong is told by its position, from 1. Pure.

use std::fmt;

use jiff::civil::{self, Date, DateTime};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan, Zoned};

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// This one.
    On(Date),
    /// That of the run.
    Today,
    /// The one before.
    Yesterday,
}

/// An instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// This one, and the offset it was written with.
    At(Timestamp, Offset),
    /// In the project's time zone.
    Local(DateTime),
    /// That of the run, in whole seconds.
    Now,
    /// When the run's day began.
    Today,
    /// When the day before began.
    Yesterday,
}

impl Day {
    /// The date, for a run at `now`.
    #[must_use]
    pub fn resolve(self, now: &Zoned) -> Date {
        match self {
            Self::On(date) => date,
            Self::Today => now.date(),
            Self::Yesterday => now.date().checked_sub(1.day()).unwrap_or(now.date()),
        }
    }
}

impl Time {
    /// RFC 3339 with the offset, for a run at `now`. What a change of the clocks leaves out comes after it; of what it
    /// repeats the first is meant.
    #[must_use]
    pub fn resolve(self, now: &Zoned) -> String {
        let begin_of = |date: Date| (date.at(0, 0, 0, 0), now.time_zone());
        let (local, zone) = match self {
            Self::At(instant, offset) => return written(instant, offset),
            Self::Now => {
                let seconds = Timestamp::from_second(now.timestamp().as_second()).unwrap_or(now.timestamp());
                return written(seconds, now.offset());
            }
            Self::Local(local) => (local, now.time_zone()),
            Self::Today => begin_of(now.date()),
            Self::Yesterday => begin_of(Day::Yesterday.resolve(now)),
        };
        match zone.to_ambiguous_zoned(local).compatible() {
            Ok(time) => written(time.timestamp(), time.offset()),
            // Beyond the end of the calendar, which none that is read comes to.
            Err(_) => format!("{local}{}", now.offset()),
        }
    }
}

/// RFC 3339 knows no seconds of an offset, which zones had once: such an instant is written in UTC.
fn written(instant: Timestamp, offset: Offset) -> String {
    let offset = if offset.seconds() % 60 == 0 { offset } else { Offset::UTC };
    instant.display_with_offset(offset).to_string()
}

/// The last day of which every time is an instant in every zone.
const LAST_LOCAL: Date = civil::date(9999, 12, 28);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On(date) => date.fmt(f),
            Self::Today => f.write_str("today"),
            Self::Yesterday => f.write_str("yesterday"),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(instant, offset) => instant.display_with_offset(*offset).fmt(f),
            Self::Local(local) => local.fmt(f),
            Self::Now => f.write_str("now"),
            Self::Today => f.write_str("today"),
            Self::Yesterday => f.write_str("yesterday"),
        }
    }
}

/// Reads `2026-11-30`, `today` or `yesterday`.
///
/// # Errors
/// With the position of what is wrong.
pub(super) fn day(text: &str) -> Result<Day, usize> {
    match text.trim().to_lowercase().as_str() {
        "today" => return Ok(Day::Today),
        "yesterday" => return Ok(Day::Yesterday),
        _ => {}
    }
    let mut reader = Reader::new(text);
    let date = reader.date()?;
    reader.end()?;
    Ok(Day::On(date))
}

/// Reads `2026-11-30T06:00`, with a blank for the `T`, seconds and their fraction, and an offset; a date alone, where its day
/// begins; `now`, `today` and `yesterday`.
///
/// # Errors
/// With the position of what is wrong.
pub(super) fn time(text: &str) -> Result<Time, usize> {
    match text.trim().to_lowercase().as_str() {
        "now" => return Ok(Time::Now),
        "today" => return Ok(Time::Today),
        "yesterday" => return Ok(Time::Yesterday),
        _ => {}
    }
    let mut reader = Reader::new(text);
    let begin = reader.at;
    let date = reader.date()?;
    let is_too_late = date > LAST_LOCAL;
    if reader.rest.is_empty() && !is_too_late {
        return Ok(Time::Local(date.at(0, 0, 0, 0)));
    }
    if !(reader.take('T') || reader.take('t') || reader.take(' ')) {
        return Err(reader.at);
    }
    let clock = reader.clock()?;
    let local = date.to_datetime(clock);
    let Some(offset) = reader.offset()? else {
        reader.end()?;
        return if is_too_late { Err(begin) } else { Ok(Time::Local(local)) };
    };
    reader.end()?;
    // Beyond the ends of the calendar there is nothing to convert.
    let instant = offset.to_timestamp(local).map_err(|_| begin)?;
    Ok(Time::At(instant, offset))
}

/// What is left of a text, and its place in characters from 1.
struct Reader<'t> {
    rest: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        let rest = text.trim_start();
        let at = text.chars().count() - rest.chars().count() + 1;
        Self { rest: rest.trim_end(), at }
    }

    fn take(&mut self, expected: char) -> bool {
        let rest = self.rest.strip_prefix(expected);
        rest.map(|rest| (self.rest, self.at) = (rest, self.at + 1)).is_some()
    }

    fn end(&self) -> Result<(), usize> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.at) }
    }

    /// So many digits, and where they began. They stand for a number of `range`.
    fn digits(&mut self, count: usize, range: std::ops::RangeInclusive<i16>) -> Result<i16, usize> {
        let begin = self.at;
        let mut value = 0;
        for _ in 0..count {
            let digit = self.rest.chars().next().and_then(|c| c.to_digit(10)).ok_or(self.at)?;
            value = value * 10 + i16::try_from(digit).unwrap_or_default();
            (self.rest, self.at) = (&self.rest[1..], self.at + 1);
        }
        if range.contains(&value) { Ok(value) } else { Err(begin) }
    }

    fn small(&mut self, most: i16) -> Result<i8, usize> {
        self.digits(2, 0..=most).map(|value| i8::try_from(value).unwrap_or_default())
    }

    fn expect(&mut self, expected: char) -> Result<(), usize> {
        if self.take(expected) { Ok(()) } else { Err(self.at) }
    }

    fn date(&mut self) -> Result<Date, usize> {
        let year = self.digits(4, 1..=9999)?;
        self.expect('-')?;
        let month = self.digits(2, 1..=12)?;
        self.expect('-')?;
        let begin = self.at;
        let day = self.digits(2, 1..=31)?;
        let [month, day] = [month, day].map(|value| i8::try_from(value).unwrap_or_default());
        Date::new(year, month, day).map_err(|_| begin)
    }

    fn clock(&mut self) -> Result<civil::Time, usize> {
        let begin = self.at;
        let hour = self.small(23)?;
        self.expect(':')?;
        let minute = self.small(59)?;
        let second = if self.take(':') { self.small(59)? } else { 0 };
        let mut nanos = 0;
        if self.rest.starts_with('.') && self.take('.') {
            let digits = self.rest.chars().take_while(char::is_ascii_digit).count();
            if !(1..=9).contains(&digits) {
                return Err(self.at);
            }
            let written = format!("{:0<9}", &self.rest[..digits]);
            nanos = written.parse().map_err(|_| self.at)?;
            (self.rest, self.at) = (&self.rest[digits..], self.at + digits);
        }
        civil::Time::new(hour, minute, second, nanos).map_err(|_| begin)
    }

    fn offset(&mut self) -> Result<Option<Offset>, usize> {
        let begin = self.at;
        if self.take('Z') || self.take('z') {
            return Ok(Some(Offset::UTC));
        }
        let sign = if self.take('+') {
            1
        } else if self.take('-') {
            -1
        } else {
            return Ok(None);
        };
        let hours = i32::from(self.small(23)?);
        self.expect(':')?;
        let minutes = i32::from(self.small(59)?);
        Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).map(Some).map_err(|_| begin)
    }
}

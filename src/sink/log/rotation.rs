//! When the log is archived, what the archive is called, and which archives are too many. Pure.
//!
//! Ages are counted by the wall clock, as people count days: a runner that starts each morning at six archives every
//! third morning, also across a change of daylight saving time, where three days have 71 or 73 hours.

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};

use crate::model::LogRotation;

/// Whether the file is archived before a write of `adding` bytes. A first record after `now` (the clock was put back) is
/// no reason to; nor is there ever one for an empty file.
pub(super) fn is_due(
    rotation: LogRotation,
    first_record: Option<NaiveDateTime>,
    now: NaiveDateTime,
    size: u64,
    adding: u64,
) -> bool {
    if size == 0 {
        return false;
    }
    match rotation {
        LogRotation::Size(limit) => size.saturating_add(adding) > limit,
        LogRotation::Interval(interval) => {
            first_record.is_some_and(|first| (now - first).to_std().is_ok_and(|age| age >= interval))
        }
    }
}

/// An archive of the log: `NAME.log.2024-11-28_09-25`, or `NAME.log.2024-11-28_09-25.1` and so on where names were
/// taken. Ordered from the oldest to the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Archive {
    /// The minute of archiving, by the wall clock.
    minute: NaiveDateTime,
    /// 0 is not written.
    number: u32,
}

impl Archive {
    /// Reads the name of an archive of the log called `log_name`; `None` unless it is exactly one.
    pub(super) fn parse(log_name: &str, file_name: &str) -> Option<Self> {
        let suffix = file_name.strip_prefix(log_name)?.strip_prefix('.')?;
        let (stamp, number) = match suffix.split_once('.') {
            Some((stamp, number)) => (stamp, number.parse().ok()?),
            None => (suffix, 0),
        };
        let (date, time) = stamp.split_once('_')?;
        let mut date = date.splitn(3, '-');
        let (year, month, day) = (date.next()?, date.next()?, date.next()?);
        let (hour, minute) = time.split_once('-')?;
        let minute = NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?.and_hms_opt(
            hour.parse().ok()?,
            minute.parse().ok()?,
            0,
        )?;
        let archive = Self { minute, number };
        // Other spellings of the same numbers (`+1`, `01`) are somebody else's files.
        (archive.file_name(log_name) == file_name).then_some(archive)
    }

    /// The name for an archive made at `now`, when `taken` are there. It sorts after all of the same minute, also when
    /// an earlier one of them is gone.
    pub(super) fn next(taken: &[Self], now: NaiveDateTime) -> Self {
        let minute = now.with_second(0).and_then(|time| time.with_nanosecond(0)).unwrap_or(now);
        let last = taken.iter().filter(|archive| archive.minute == minute).map(|archive| archive.number).max();
        Self { minute, number: last.map_or(0, |number| number.saturating_add(1)) }
    }

    /// Its file name, for the log called `log_name`.
    pub(super) fn file_name(&self, log_name: &str) -> String {
        let (date, time) = (self.minute.date(), self.minute.time());
        let mut name = format!(
            "{log_name}.{:04}-{:02}-{:02}_{:02}-{:02}",
            date.year(),
            date.month(),
            date.day(),
            time.hour(),
            time.minute()
        );
        if self.number > 0 {
            name.push_str(&format!(".{}", self.number));
        }
        name
    }
}

/// Which archives go, so that the newest `backup_count` stay beside the current file; 0 keeps all. The one just `made`
/// always stays, even if the clock was put back and its name looks old.
pub(super) fn surplus(archives: &[Archive], made: Archive, backup_count: u32) -> Vec<Archive> {
    if backup_count == 0 {
        return Vec::new();
    }
    let mut others: Vec<Archive> = archives.iter().copied().filter(|archive| *archive != made).collect();
    others.sort_unstable_by(|a, b| b.cmp(a));
    others.split_off(others.len().min(backup_count as usize - 1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta};
    use proptest::prelude::*;

    use super::*;

    fn at(hour: u32, minute: u32, second: u32) -> NaiveDateTime {
        NaiveDate::from_ymd_opt(2024, 11, 28).unwrap().and_hms_opt(hour, minute, second).unwrap()
    }

    #[test]
    fn archives_are_called_as_documented() {
        let first = Archive::next(&[], at(9, 25, 59));
        assert_eq!(first.file_name("project_3.log"), "project_3.log.2024-11-28_09-25");
        let second = Archive::next(&[first], at(9, 25, 0));
        assert_eq!(second.file_name("project_3.log"), "project_3.log.2024-11-28_09-25.1");
        let third = Archive::next(&[second], at(9, 25, 1));
        assert_eq!(third.file_name("project_3.log"), "project_3.log.2024-11-28_09-25.2");
        assert_eq!(Archive::next(&[first, second, third], at(9, 26, 0)).number, 0);
    }

    #[test]
    fn only_exact_names_are_archives() {
        assert!(Archive::parse("x.log", "x.log.2024-11-28_09-25").is_some());
        assert!(Archive::parse("x.log", "x.log.2024-11-28_09-25.12").is_some());
        for name in [
            "x.log",
            "x.log.",
            "x.log.bak",
            "xx.log.2024-11-28_09-25",
            "x.log.2024-11-28",
            "x.log.2024-11-28_09-25.",
            "x.log.2024-11-28_09-25.0",
            "x.log.2024-11-28_09-25.01",
            "x.log.2024-11-28_09-25.+1",
            "x.log.2024-11-28_09-25.gz",
            "x.log.2024-11-28_09-25.1.1",
            "x.log.2024-11-28_09-25.99999999999999999999",
            "x.log.2024-11-28_9-25",
            "x.log.2024-13-28_09-25",
            "x.log.2024-11-28_24-25",
            "x.log.2024-11-28_09-25~",
            "x.log.2024-11-28 09-25",
        ] {
            assert_eq!(Archive::parse("x.log", name), None, "{name}");
        }
        assert_eq!(Archive::parse("x.log", "y.log.2024-11-28_09-25"), None);
    }

    #[test]
    fn the_interval_ends_with_its_last_second() {
        let rotation = LogRotation::default();
        let due = |now| is_due(rotation, Some(at(9, 0, 0)), now, 100, 10);
        let end = at(9, 0, 0) + TimeDelta::days(3);
        assert!(!due(end - TimeDelta::milliseconds(1)));
        assert!(due(end));
        assert!(due(end + TimeDelta::days(300)));
    }

    #[test]
    fn a_clock_put_back_archives_nothing() {
        let due = |now| is_due(LogRotation::default(), Some(at(9, 0, 0)), now, 100, 10);
        assert!(!due(at(8, 59, 59)));
        assert!(!due(at(9, 0, 0) - TimeDelta::days(3000)));
    }

    #[test]
    fn a_size_is_not_exceeded() {
        let due = |size, adding| is_due(LogRotation::Size(100), None, at(9, 0, 0), size, adding);
        assert!(!due(90, 10));
        assert!(due(91, 10));
        assert!(!due(0, 1000), "an empty file is not worth an archive");
        assert!(due(u64::MAX, u64::MAX));
    }

    #[test]
    fn the_newest_archives_stay() {
        let archive = |minute, number| Archive { minute: at(9, minute, 0), number };
        let all = [archive(1, 10), archive(3, 0), archive(1, 9), archive(2, 0), archive(1, 0)];
        assert_eq!(surplus(&all, archive(3, 0), 2), [archive(1, 10), archive(1, 9), archive(1, 0)]);
        assert_eq!(surplus(&all, archive(3, 0), 0), []);
        assert_eq!(surplus(&all, archive(3, 0), 5), []);
        assert_eq!(surplus(&all, archive(1, 0), 1).len(), 4, "the one just made stays, whatever its name says");
    }

    fn minutes() -> impl Strategy<Value = NaiveDateTime> {
        (0i64..4_000_000_000).prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap().naive_utc())
    }

    proptest! {
        #[test]
        fn every_name_is_read_back(now in minutes(), number in 0u32..2000, log_name in "[a-z. -]{1,8}[.]log") {
            let archive = Archive { number, ..Archive::next(&[], now) };
            prop_assert_eq!(Archive::parse(&log_name, &archive.file_name(&log_name)), Some(archive));
            prop_assert_eq!(Archive::parse("other.log", &archive.file_name(&log_name)), None);
        }

        #[test]
        fn no_name_makes_it_panic(name in ".{0,40}") {
            let _ = Archive::parse("x.log", &format!("x.log.{name}"));
            let _ = Archive::parse("x.log", &name);
        }

        #[test]
        fn a_new_name_is_free_and_the_newest_of_its_minute(
            now in minutes(), numbers in proptest::collection::vec(0u32..50, 0..20), other in minutes(),
        ) {
            let here = Archive::next(&[], now);
            let mut taken: Vec<_> = numbers.iter().map(|&number| Archive { number, ..here }).collect();
            taken.extend(numbers.iter().map(|&number| Archive { number, ..Archive::next(&[], other) }));
            let next = Archive::next(&taken, now);
            prop_assert!(!taken.contains(&next));
            prop_assert!(taken.iter().filter(|archive| archive.minute == next.minute).all(|archive| *archive < next));
        }

        #[test]
        fn what_goes_is_older_than_what_stays(
            numbers in proptest::collection::hash_set((0u32..60, 0u32..5), 1..20), backup_count in 0u32..8,
        ) {
            let archives: Vec<_> =
                numbers.iter().map(|&(minute, number)| Archive { minute: at(9, minute, 0), number }).collect();
            let made = *archives.iter().max().unwrap();
            let gone = surplus(&archives, made, backup_count);
            let stays: Vec<_> = archives.iter().filter(|archive| !gone.contains(archive)).collect();
            prop_assert!(stays.contains(&&made));
            prop_assert!(gone.iter().all(|old| stays.iter().all(|new| old < new)));
            let expected = if backup_count == 0 { archives.len() } else { archives.len().min(backup_count as usize) };
            prop_assert_eq!(stays.len(), expected);
        }

        #[test]
        fn a_file_that_is_due_stays_due(
            first in minutes(), later in 0i64..10_000_000, more in 0i64..10_000_000, interval in 1u64..5_000_000,
        ) {
            let rotation = LogRotation::Interval(Duration::from_secs(interval));
            let due = |now| is_due(rotation, Some(first), now, 1, 1);
            let now = first + TimeDelta::seconds(later);
            prop_assert_eq!(due(now), later as u64 >= interval);
            prop_assert!(!due(now) || due(now + TimeDelta::seconds(more)));
            prop_assert!(!due(first - TimeDelta::seconds(1 + more)));
        }
    }
}

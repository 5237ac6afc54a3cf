//! What lies ahead of several schedules: their instants in order, the clocks' changes among them, runs that will probably
//! meet, a week at a glance.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Schedule, next_after};

/// A planned instant of one of several schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Planned {
    /// When.
    pub at: Timestamp,
    /// Which of the schedules, from 0.
    pub schedule: usize,
}

/// The planned instants of all these schedules strictly after one, in order; at the same instant in the schedules' order.
pub fn merged<'a>(schedules: &'a [&'a Schedule], after: Timestamp) -> impl Iterator<Item = Planned> + 'a {
    let next = |schedule: usize, after: Timestamp| {
        let at = schedules.get(schedule)?.next_after(after)?;
        Some(Reverse(Planned { at, schedule }))
    };
    let mut heads: BinaryHeap<_> = (0..schedules.len()).filter_map(|schedule| next(schedule, after)).collect();
    std::iter::from_fn(move || {
        let Reverse(planned) = heads.pop()?;
        heads.extend(next(planned.schedule, planned.at));
        Some(planned)
    })
}

/// A change of a zone's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockChange {
    /// The first instant of the new time.
    pub at: Timestamp,
    /// By how much the clocks go forward; back if it is negative.
    pub by: SignedDuration,
}

/// The changes of a zone's clocks after an instant, until another one, which counts too.
pub fn clock_changes(zone: &TimeZone, after: Timestamp, until: Timestamp) -> impl Iterator<Item = ClockChange> + '_ {
    let mut offset = zone.to_offset(after);
    zone.following(after).take_while(move |transition| transition.timestamp() <= until).filter_map(move |transition| {
        let seconds = transition.offset().seconds() - offset.seconds();
        offset = transition.offset();
        // What a zone's time is called may change alone.
        (seconds != 0)
            .then(|| ClockChange { at: transition.timestamp(), by: SignedDuration::from_secs(i64::from(seconds)) })
    })
}

/// How a project's runs go beside each other.
#[derive(Debug, Clone, Copy)]
pub struct Habit {
    /// How long one usually takes.
    pub usual: SignedDuration,
    /// How many may be under way at once.
    pub allow: usize,
    /// Whether a run that finds no place waits for one, rather than being left out.
    pub waits: bool,
}

/// Plays through a project's planned runs, each of which takes as long as usual.
#[derive(Debug)]
pub struct Play {
    habit: Habit,
    /// Begin and end of those under way.
    under_way: Vec<(Timestamp, Timestamp)>,
}

impl Play {
    /// Begins with nothing under way.
    #[must_use]
    pub fn new(habit: Habit) -> Self {
        Self { habit, under_way: Vec::new() }
    }

    /// A run is planned, not before those that were planned so far. If it will probably find no place: since when the
    /// longest is under way.
    pub fn plan(&mut self, at: Timestamp) -> Option<Timestamp> {
        self.under_way.retain(|(_, end)| *end > at);
        let ends = |begin: Timestamp| begin.checked_add(self.habit.usual).unwrap_or(Timestamp::MAX);
        if self.under_way.len() < self.habit.allow {
            self.under_way.push((at, ends(at)));
            return None;
        }
        // Those that wait go on one after the other, each when one that is under way ends.
        self.under_way.sort_by_key(|(_, end)| *end);
        let place = self.under_way.len() - self.habit.allow;
        let (_, end) = *self.under_way.get(place)?;
        let since = self.under_way.iter().map(|(begin, _)| *begin).min();
        if self.habit.waits {
            self.under_way.push((end, ends(end)));
        }
        since
    }
}

/// More in one slot of a week are not counted: a picture tells no more.
pub const MOST_IN_A_SLOT: usize = 60;

/// How often schedules are due in each slot of a week: days in order, each with slots of `hours` hours of a zone's time.
/// Counts up to [`MOST_IN_A_SLOT`].
#[must_use]
pub fn week(schedules: &[&Schedule], zone: &TimeZone, first: Date, hours: i8) -> Vec<usize> {
    let mut slots = Vec::new();
    let mut day = first;
    for _ in 0..7 {
        for hour in (0..24).step_by(usize::try_from(hours).unwrap_or(1).max(1)) {
            let begin = i8::try_from(hour).ok().map(|hour| day.at(hour, 0, 0, 0));
            slots.extend(begin.and_then(|begin| zone.to_zoned(begin).ok()).map(|begin| begin.timestamp()));
        }
        day = day.tomorrow().unwrap_or(day);
    }
    let end = zone.to_zoned(day.at(0, 0, 0, 0)).map_or(Timestamp::MAX, |end| end.timestamp());
    let ends = slots.iter().skip(1).chain([&end]);
    slots.iter().zip(ends).map(|(begin, end)| count(schedules, *begin, *end)).collect()
}

/// How many instants lie from one to before another.
fn count(schedules: &[&Schedule], begin: Timestamp, end: Timestamp) -> usize {
    let mut count = 0;
    for schedule in schedules {
        let mut after = begin.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(begin);
        while count < MOST_IN_A_SLOT
            && let Some(next) = next_after(&schedule.trigger, after).filter(|next| *next < end)
        {
            (after, count) = (next, count + 1);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Cron, Dst, Trigger};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(expression: &str, zone: &str) -> Schedule {
        let zone = TimeZone::get(zone).unwrap();
        let trigger = Trigger::Cron(Cron::parse(expression, zone.clone(), Dst::default()).unwrap());
        let (jitter, definition) = (SignedDuration::ZERO, String::new());
        Schedule { name: "1".to_owned(), definition, trigger, zone, jitter, misfire_grace: None, coalesce: true }
    }

    #[test]
    fn instants_of_all_come_in_order_each_once() {
        let (hourly, noon) = (schedule("0 * * * *", "UTC"), schedule("0 12 * * *", "UTC"));
        let found: Vec<(usize, String)> = merged(&[&hourly, &noon], at("2026-11-23T11:00:00Z"))
            .take(3)
            .map(|planned| (planned.schedule, planned.at.to_string()))
            .collect();
        let noon = "2026-11-23T12:00:00Z".to_owned();
        assert_eq!(found, [(0, noon.clone()), (1, noon), (0, "2026-11-23T13:00:00Z".to_owned())]);
    }

    #[test]
    fn changes_of_the_clocks_are_found() {
        let changes = |zone: &str, after: &str, until: &str| -> Vec<(String, i64)> {
            let zone = TimeZone::get(zone).unwrap();
            clock_changes(&zone, at(after), at(until))
                .map(|change| (change.at.to_string(), change.by.as_secs()))
                .collect()
        };
        let year = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        assert_eq!(
            changes("Europe/Paris", year.0, year.1),
            [("2026-03-29T01:00:00Z".to_owned(), 3600), ("2026-10-25T01:00:00Z".to_owned(), -3600)]
        );
        assert_eq!(changes("Australia/Lord_Howe", year.0, "2026-06-01T00:00:00Z")[0].1, -1800);
        assert_eq!(changes("UTC", year.0, year.1), []);
        assert_eq!(changes("Europe/Paris", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"), []);
    }

    #[test]
    fn runs_that_meet_are_pointed_at() {
        let minutes = |minutes: i64| at("2026-11-23T06:00:00Z") + SignedDuration::from_mins(minutes);
        let play = |allow: usize, waits: bool| {
            let mut play = Play::new(Habit { usual: SignedDuration::from_mins(25), allow, waits });
            [0, 15, 30, 45].map(|begin| play.plan(minutes(begin)).map(|since| (since - minutes(0)).get_seconds() / 60))
        };
        assert_eq!(play(1, false), [None, Some(0), None, Some(30)]);
        // The second begins at 25 and the third at 50, so that each waits for the one before.
        assert_eq!(play(1, true), [None, Some(0), Some(25), Some(25)]);
        assert_eq!(play(2, false), [None; 4]);
    }

    #[test]
    fn a_week_is_counted_by_local_time() {
        let (paris, often) = (schedule("0 6 * * mon-fri", "Europe/Paris"), schedule("* * * * * *", "UTC"));
        let zone = TimeZone::get("Europe/Paris").unwrap();
        // The clocks go forward on its Sunday.
        let slots = week(&[&paris], &zone, jiff::civil::date(2026, 3, 23), 2);
        let due: Vec<usize> = (0..84).filter(|slot| slots[*slot] == 1).collect();
        assert_eq!(due, [3, 15, 27, 39, 51]);
        assert_eq!(week(&[&often], &zone, jiff::civil::date(2026, 3, 23), 2), [MOST_IN_A_SLOT; 84]);
        assert_eq!(week(&[&paris], &zone, jiff::civil::date(2026, 3, 23), 4).len(), 42);
    }
}

//! What somebody has to be told of schedules, and when. Pure: the time, and what lives, are parameters.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::to_utc;
use crate::schedule::Schedule;
use crate::store::{Claimant, Keeper, MissedInstants, WatchedSchedule};

/// How long after an instant nobody is expected any more to begin its run, unless the schedule's `misfire_grace` says so.
const ALLOWANCE: TimeDelta = TimeDelta::hours(1);
/// The same at least: whoever begins runs may be at something else for a moment.
const LEAST_ALLOWANCE: TimeDelta = TimeDelta::minutes(1);
/// How long after somebody was told of a schedule that hasn't run since one tells of what it missed meanwhile. A little
/// less than a day, so that who is told each day is told at about the same time.
pub(crate) const AGAIN: TimeDelta = TimeDelta::hours(20);
/// The same if it has run since: a schedule that runs every other time isn't worth a mail each time.
const AGAIN_AFTER_RUN: TimeDelta = TimeDelta::hours(1);

/// How a schedule stands to the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Running {
    /// Nothing is planned any more, or somebody is at it.
    Fine,
    /// Its next planned instant, and from when on it would be overdue.
    Until(DateTime<Utc>),
    /// This instant should have run.
    Overdue(DateTime<Utc>),
}

/// Whether it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// Now.
    Now,
    /// It is known already.
    Known,
    /// Not before then, since somebody was told of the schedule not long ago.
    Later(DateTime<Utc>),
}

/// What is known beside the database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present {
    pub(super) now: DateTime<Utc>,
    /// When the machine was started, if that is known: what it slept through is begun soon after.
    pub(super) booted: Option<DateTime<Utc>>,
    /// Whether a daemon lives that sees to its schedules itself, so that nobody else speaks for it.
    pub(super) is_kept_by_another: bool,
    /// How long after an instant its run may begin; `None` if the schedule says that.
    pub(super) allowance: Option<TimeDelta>,
}

/// Whether the schedule should have run and hasn't. `is_gone` tells who is there no more of those who have something.
pub(super) fn running(
    watched: &WatchedSchedule,
    schedule: &Schedule,
    is_gone: &dyn Fn(&Claimant) -> bool,
    present: &Present,
) -> Running {
    // What a dead one has begun is told of as a run.
    let (dropped, kept): (Vec<_>, Vec<_>) =
        watched.held.iter().partition(|held| held.holder.as_ref().is_none_or(is_gone));
    let dropped = dropped.into_iter().find(|held| !held.has_begun).map(|held| held.planned);
    let open = match dropped {
        _ if !kept.is_empty() => return Running::Fine,
        Some(planned) => Some(planned),
        None => first_open(watched, schedule),
    };
    let Some(planned) = open else { return Running::Fine };
    if present.is_kept_by_another && watched.row.keeper == Keeper::Daemon {
        return Running::Fine;
    }
    match allowed_until(planned, schedule, present) {
        Some(at) if at <= present.now => Running::Overdue(planned),
        Some(at) => Running::Until(at),
        None => Running::Fine,
    }
}

/// Until when the schedule can't be overdue, whoever dies meanwhile, as long as its cursor doesn't go back; `None`: for ever.
pub(super) fn quiet_until(watched: &WatchedSchedule, schedule: &Schedule, present: &Present) -> Option<DateTime<Utc>> {
    let claimed = watched.held.iter().filter(|held| !held.has_begun).map(|held| held.planned);
    let next = first_open(watched, schedule);
    allowed_until(claimed.chain(next).min()?, schedule, present)
}

/// The first instant without an answer that no pause skips, once somebody answers.
fn first_open(watched: &WatchedSchedule, schedule: &Schedule) -> Option<DateTime<Utc>> {
    let timing = watched.row.timing();
    let mut next = schedule.next_after(watched.row.covered)?;
    while let Some(until) = watched.row.pauses.iter().find_map(|pause| {
        let until = pause.until?;
        pause.covers(timing.due(schedule, next)).then_some(until)
    }) {
        // With jitter, some that are planned before its end are due after it.
        let end = until.checked_sub(schedule.jitter).unwrap_or(until);
        next = schedule.next_after(next.max(end))?;
    }
    Some(to_utc(next))
}

/// Until when the run of a planned instant may begin before it is overdue; `None` if no calendar has it.
fn allowed_until(planned: DateTime<Utc>, schedule: &Schedule, present: &Present) -> Option<DateTime<Utc>> {
    let expected = present.booted.map_or(planned, |booted| booted.max(planned));
    let micros = |length: jiff::SignedDuration| {
        TimeDelta::microseconds(i64::try_from(length.as_micros()).unwrap_or(i64::MAX / 4))
    };
    let allowance = match present.allowance {
        Some(allowance) => allowance,
        None => schedule.misfire_grace.map_or(ALLOWANCE, micros).max(LEAST_ALLOWANCE),
    };
    expected.checked_add_signed(micros(schedule.jitter)).and_then(|at| at.checked_add_signed(allowance))
}

/// Whether it is told that a schedule is overdue: once until it runs again.
pub(super) fn telling_overdue(watched: &WatchedSchedule, now: DateTime<Utc>) -> Telling {
    match watched.told() {
        Some(_) if !watched.has_run => Telling::Known,
        _ => no_sooner(watched, now),
    }
}

/// Whether it is told that instants were missed.
pub(super) fn telling_missed(missed: &MissedInstants, now: DateTime<Utc>) -> Telling {
    match missed.schedule.told() {
        // It was told then that nothing of this has run.
        Some(told) if missed.last <= told => Telling::Known,
        // Something else has to be done about it than what was told.
        Some(_) if !missed.is_why_told => Telling::Now,
        _ => no_sooner(&missed.schedule, now),
    }
}

fn no_sooner(watched: &WatchedSchedule, now: DateTime<Utc>) -> Telling {
    let pause = if watched.has_run { AGAIN_AFTER_RUN } else { AGAIN };
    // A time in the future was set by a clock that was wrong.
    match watched.told().filter(|told| *told <= now).and_then(|told| told.checked_add_signed(pause)) {
        Some(at) if at > now => Telling::Later(at),
        _ => Telling::Now,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::model::{ProcessIdentity, to_timestamp};
    use crate::schedule::{Hindrance, Pause, Trigger};
    use crate::store::{HeldInstant, ScheduleRow};

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_732_690_800 + minutes * 60, 0).unwrap()
    }

    /// Due each ten minutes.
    fn schedule(grace: Option<i64>) -> Schedule {
        let trigger = Trigger::Interval { anchor: to_timestamp(at(0)), every: SignedDuration::from_mins(10) };
        Schedule {
            name: "1".into(),
            definition: "{}".into(),
            trigger,
            zone: TimeZone::UTC,
            jitter: SignedDuration::from_mins(2),
            misfire_grace: grace.map(SignedDuration::from_mins),
            coalesce: true,
        }
    }

    fn watched() -> WatchedSchedule {
        let row = ScheduleRow {
            id: 1,
            project_dir: "p".into(),
            profile: None,
            project: "p".into(),
            name: "1".into(),
            definition: "{}".into(),
            keeper: Keeper::Daemon,
            since: to_timestamp(at(0)),
            covered: to_timestamp(at(0)),
            pauses: Vec::new(),
            paused: None,
            ended: None,
            overdue_told: None,
        };
        WatchedSchedule { row, has_run: false, held: Vec::new() }
    }

    /// With its first instant claimed, or running.
    fn held(has_begun: bool) -> WatchedSchedule {
        let process = ProcessIdentity { pid: 1, started: 1, boot: String::new() };
        let holder = Some(Claimant { host: "here".into(), process, token: "1".into() });
        let held = vec![HeldInstant { planned: at(10), has_begun, holder }];
        let row = ScheduleRow { covered: to_timestamp(at(10)), ..watched().row };
        WatchedSchedule { row, held, has_run: false }
    }

    fn present(minutes: i64) -> Present {
        Present { now: at(minutes), booted: None, is_kept_by_another: false, allowance: None }
    }

    #[test]
    fn what_nobody_runs_is_overdue_after_its_grace() {
        let running = |watched: &WatchedSchedule, grace, minutes| {
            running(watched, &schedule(grace), &|_| false, &present(minutes))
        };
        assert_eq!(running(&watched(), None, 71), Running::Until(at(72)), "an hour, and the jitter");
        assert_eq!(running(&watched(), None, 72), Running::Overdue(at(10)));
        assert_eq!(running(&watched(), Some(5), 16), Running::Until(at(17)));
        assert_eq!(running(&watched(), Some(5), 17), Running::Overdue(at(10)));
        assert_eq!(running(&watched(), Some(0), 12), Running::Until(at(13)));
        for has_begun in [true, false] {
            assert_eq!(running(&held(has_begun), None, 500), Running::Fine);
        }
    }

    #[test]
    fn a_claim_of_a_dead_process_a_boot_and_a_living_daemon_count() {
        let dead = |has_begun, minutes| running(&held(has_begun), &schedule(None), &|_| true, &present(minutes));
        assert_eq!((dead(false, 71), dead(false, 72)), (Running::Until(at(72)), Running::Overdue(at(10))));
        assert_eq!((dead(true, 81), dead(true, 82)), (Running::Until(at(82)), Running::Overdue(at(20))));
        let booted = Present { booted: Some(at(300)), ..present(310) };
        let of = |present: &Present| running(&watched(), &schedule(None), &|_| false, present);
        assert_eq!(of(&booted), Running::Until(at(362)), "whoever keeps it is given time after a boot");
        assert_eq!(of(&Present { is_kept_by_another: true, ..present(500) }), Running::Fine);
        let row = ScheduleRow { keeper: Keeper::Cron, ..watched().row };
        let by_host = WatchedSchedule { row, ..watched() };
        let kept = Present { is_kept_by_another: true, ..present(500) };
        assert_eq!(running(&by_host, &schedule(None), &|_| false, &kept), Running::Overdue(at(10)));
    }

    #[test]
    fn what_a_pause_skips_is_never_overdue() {
        let pause = |from, until| Pause { from: to_timestamp(at(from)), until: Some(to_timestamp(at(until))) };
        let row = ScheduleRow { pauses: vec![pause(5, 25), pause(28, 45)], keeper: Keeper::Cron, ..watched().row };
        let paused = WatchedSchedule { row, ..watched() };
        let running = |minutes| running(&paused, &schedule(None), &|_| false, &present(minutes));
        assert_eq!(running(111), Running::Until(at(112)), "that of minute 50");
        assert_eq!(running(112), Running::Overdue(at(50)));
        assert_eq!(quiet_until(&paused, &schedule(None), &present(20)), Some(at(112)));
    }

    #[test]
    fn what_is_quiet_is_so_whoever_dies() {
        let quiet = |watched: &WatchedSchedule| quiet_until(watched, &schedule(None), &present(20));
        assert_eq!(quiet(&watched()), Some(at(72)));
        assert_eq!(quiet(&held(false)), Some(at(72)), "whoever has claimed it may die before it has begun");
        assert_eq!(quiet(&held(true)), Some(at(82)));
        let once = Schedule { trigger: Trigger::At(to_timestamp(at(0))), ..schedule(None) };
        assert_eq!(quiet_until(&watched(), &once, &present(20)), None, "it is never due again");
    }

    #[test]
    fn nobody_is_told_twice_nor_all_the_time() {
        let told = |minutes, has_run| {
            let row = ScheduleRow { overdue_told: Some(to_timestamp(at(minutes))), ..watched().row };
            WatchedSchedule { row, has_run, ..watched() }
        };
        assert_eq!(telling_overdue(&watched(), at(0)), Telling::Now);
        assert_eq!(telling_overdue(&told(0, false), at(99_999)), Telling::Known, "once until it runs again");
        assert_eq!(telling_overdue(&told(0, true), at(59)), Telling::Later(at(60)));
        assert_eq!(telling_overdue(&told(0, true), at(60)), Telling::Now);
        let missed = |schedule, last| MissedInstants {
            schedule,
            first: at(0),
            last: at(last),
            count: 2,
            why: Hindrance::DaemonOff,
            detail: None,
            is_why_told: true,
        };
        assert_eq!(telling_missed(&missed(watched(), 10), at(11)), Telling::Now);
        let other = MissedInstants { is_why_told: false, ..missed(told(20, false), 30) };
        assert_eq!(telling_missed(&other, at(31)), Telling::Now, "for another reason");
        assert_eq!(telling_missed(&missed(told(20, true), 20), at(99_999)), Telling::Known);
        assert_eq!(telling_missed(&missed(told(20, false), 30), at(31)), Telling::Later(at(20 + 1200)));
        assert_eq!(telling_missed(&missed(told(20, false), 30), at(20 + 1200)), Telling::Now);
        assert_eq!(
            telling_missed(&missed(told(50, false), 60), at(40)),
            Telling::Now,
            "told by a clock that was wrong"
        );
    }
}

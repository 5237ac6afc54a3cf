//! Whether a run is worth a mail, and which scripts the mail mentions. Pure.

use chrono::{DateTime, Days, NaiveDateTime, TimeDelta, Utc};

use super::RenderContext;
use crate::model::{EmailStrategy, Outcome, PastByScript, PastRun, RunReport, RunStatus, ScriptReport};

/// While nothing changes about a failure, its reader is reminded of it once a day, after this much of it at least: a run each
/// night ends a little sooner or later, and one at midnight would be told twice.
const REMINDER: TimeDelta = TimeDelta::hours(20);

/// Whether the strategy wants a mail about this run. A run that was interrupted is no success, so a reader of failures
/// hears of it even when no script had failed. Without any known past `changes` does as `failure_only`.
#[must_use]
pub fn is_due(strategy: EmailStrategy, report: &RunReport, context: &RenderContext) -> bool {
    match strategy {
        EmailStrategy::All => true,
        EmailStrategy::FailureOnly => is_interrupted(report) || report.failures().next().is_some(),
        EmailStrategy::Changes => {
            is_interrupted(report) || Known::of(context).any_changed(report) || is_reminder_due(report, context)
        }
        EmailStrategy::Digest => is_digest_due(end(report), context),
        EmailStrategy::None => false,
    }
}

/// Whether a chat is told of this run. It goes by how the runs ended and not by what mails told, since a chat may hear of
/// others: with `changes` it is told what differs from the runs before, and of the first failing run of each day.
#[must_use]
pub fn is_call_due(when: EmailStrategy, report: &RunReport, context: &RenderContext) -> bool {
    if when != EmailStrategy::Changes {
        return is_due(when, report, context);
    }
    let known = Known { past: PastByScript::of(&context.past), told: PastByScript::of(&context.past) };
    let day = |time| (context.local_time)(time).date_naive();
    let failed_today = |run: &PastRun| run.failures().next().is_some() && day(run.ended()) == day(end(report));
    is_interrupted(report)
        || known.any_changed(report)
        || report.failures().next().is_some() && !context.past.iter().any(failed_today)
}

/// The scripts that the mail mentions, failures first, otherwise in running order. With `changes` also those that
/// succeed again; a digest tells of all.
#[must_use]
pub fn mentioned<'a>(
    strategy: EmailStrategy,
    report: &'a RunReport,
    context: &'a RenderContext,
) -> Vec<&'a ScriptReport> {
    let (mut first, mut rest): (Vec<_>, Vec<_>) = report.scripts.iter().partition(|script| has_failed(script));
    match strategy {
        EmailStrategy::All | EmailStrategy::Digest => {}
        EmailStrategy::FailureOnly => rest.clear(),
        EmailStrategy::Changes => {
            let known = Known::of(context);
            rest.retain(|script| known.change(script) == Some(Change::Recovered));
        }
        EmailStrategy::None => return Vec::new(),
    }
    first.extend(rest);
    first
}

fn is_interrupted(report: &RunReport) -> bool {
    report.status == RunStatus::Interrupted
}

fn has_failed(script: &ScriptReport) -> bool {
    script.outcome.as_ref().is_some_and(Outcome::is_failure)
}

/// What is new about a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Failed,
    Recovered,
}

/// What is known of the past, and what a reader knows who heard of the last run that was told. That differs where a mail
/// was never made, as when a runner died or the strategy was another.
struct Known<'a> {
    past: PastByScript<'a>,
    told: PastByScript<'a>,
}

impl<'a> Known<'a> {
    fn of(context: &'a RenderContext) -> Self {
        let past = &context.past;
        let last_told = context.last_told.as_slice();
        let told = past.iter().position(PastRun::is_told).map_or(last_told, |at| &past[at..]);
        Self { past: PastByScript::of(past), told: PastByScript::of(told) }
    }

    fn any_changed(&self, report: &'a RunReport) -> bool {
        report.scripts.iter().any(|script| self.change(script).is_some())
    }

    /// What is new about a script, to either.
    fn change(&self, script: &'a ScriptReport) -> Option<Change> {
        let was_failing =
            |past: &PastByScript<'a>| past.ends(&script.script, &script.name).next().is_some_and(|(_, failed)| failed);
        match (has_failed(script), was_failing(&self.past), was_failing(&self.told)) {
            (true, before, told) if !(before && told) => Some(Change::Failed),
            (false, before, told) if (before || told) && script.success() => Some(Change::Recovered),
            _ => None,
        }
    }
}

/// Whether something goes on failing, and the last mail was on an earlier day of the wall clock.
fn is_reminder_due(report: &RunReport, context: &RenderContext) -> bool {
    let day = |time| (context.local_time)(time).date_naive();
    let now = end(report);
    let is_fresh = |told: DateTime<Utc>| day(told) >= day(now) || now - told < REMINDER;
    report.failures().next().is_some() && !told_ends(context).any(is_fresh)
}

/// Whether nobody was told of any run since the time of the day at which the digest is due. Days are the wall clock's, so
/// that it is due once a day also when clocks are changed.
#[must_use]
pub fn is_digest_due(now: DateTime<Utc>, context: &RenderContext) -> bool {
    let wall = |time| (context.local_time)(time).naive_local();
    let latest = latest_digest(wall(now), context);
    let told = told_runs(context).map(|run| run.told_at.map_or(run.ended(), |at| at.max(run.ended())));
    !told.into_iter().any(|told| wall(told) >= latest)
}

/// The latest time by the wall clock at which the digest was due.
fn latest_digest(now: NaiveDateTime, context: &RenderContext) -> NaiveDateTime {
    let today = now.date().and_time(context.digest_at);
    if today > now { today.checked_sub_days(Days::new(1)).unwrap_or(today) } else { today }
}

/// When the digest was due the last time, and when it is due next.
#[must_use]
pub fn digest_times(now: DateTime<Utc>, context: &RenderContext) -> (DateTime<Utc>, DateTime<Utc>) {
    let latest = latest_digest((context.local_time)(now).naive_local(), context);
    let instant = |wall: NaiveDateTime| {
        // By the offset that is in force then; of a time that the clocks leave out, that after it.
        let guess = wall.and_utc();
        let guess = guess - TimeDelta::seconds((context.local_time)(guess).offset().local_minus_utc().into());
        wall.and_utc() - TimeDelta::seconds((context.local_time)(guess).offset().local_minus_utc().into())
    };
    (instant(latest), instant(latest.checked_add_days(Days::new(1)).unwrap_or(latest)))
}

/// When the runs ended that somebody was told of.
fn told_ends(context: &RenderContext) -> impl Iterator<Item = DateTime<Utc>> {
    told_runs(context).map(PastRun::ended)
}

fn told_runs(context: &RenderContext) -> impl Iterator<Item = &PastRun> {
    context.past.iter().filter(|run| run.is_told()).chain(&context.last_told)
}

fn end(report: &RunReport) -> DateTime<Utc> {
    report.finished.unwrap_or(report.started)
}

#[cfg(test)]
mod tests {
    use chrono::{FixedOffset, NaiveTime};
    use proptest::prelude::*;

    use super::*;
    use crate::mail::render::samples::{exit, report, skipped, success};
    use crate::model::EmailStrategy::{All, Changes, Digest, FailureOnly, None};
    use crate::model::MailState;

    #[test]
    fn the_strategies_are_as_documented() {
        let interrupted = || Outcome::Interrupted { by: "Ctrl-C".into() };
        let cases: [(EmailStrategy, Vec<Outcome>, bool, &[usize]); 13] = [
            (All, vec![success(), success()], true, &[0, 1]),
            (All, vec![success(), exit(1), success(), exit(2)], true, &[1, 3, 0, 2]),
            (FailureOnly, vec![success(), success()], false, &[]),
            (FailureOnly, vec![success(), exit(1), success(), exit(2)], true, &[1, 3]),
            (FailureOnly, vec![exit(1), skipped()], true, &[0]),
            (FailureOnly, vec![success(), interrupted(), skipped()], true, &[1]),
            (None, vec![success()], false, &[]),
            (None, vec![exit(1)], false, &[]),
            (None, vec![interrupted()], false, &[]),
            // Where nothing is known of the past.
            (Changes, vec![success(), success()], false, &[]),
            (Changes, vec![success(), exit(1)], true, &[1]),
            (Changes, vec![success(), interrupted()], true, &[1]),
            (Digest, vec![success(), exit(1)], true, &[1, 0]),
        ];
        for (strategy, outcomes, due, names) in cases {
            let report = report("P", outcomes.clone());
            let context = RenderContext::default();
            assert_eq!(is_due(strategy, &report, &context), due, "{strategy:?} {outcomes:?}");
            let indices: Vec<usize> =
                mentioned(strategy, &report, &context).iter().map(|script| script.index).collect();
            assert_eq!(indices, names, "{strategy:?} {outcomes:?}");
        }
    }

    #[test]
    fn a_run_cut_off_between_two_scripts_is_worth_a_mail() {
        let mut report = report("P", vec![success(), success()]);
        report.status = RunStatus::Interrupted;
        for strategy in [FailureOnly, Changes] {
            assert!(is_due(strategy, &report, &RenderContext::default()));
            assert!(mentioned(strategy, &report, &RenderContext::default()).is_empty());
        }
    }

    fn in_london() -> RenderContext {
        RenderContext { local_time: |time| time.fixed_offset(), ..RenderContext::default() }
    }

    fn sent() -> Option<MailState> {
        Some(MailState::Sent { reply: "250 OK".into() })
    }

    /// A run that began so many minutes after the first; a letter a script: `s`uccess, `f`ailure, `i`nterrupted, skipped
    /// (`-`), not selected (a blank).
    fn run(minutes: i64, ends: &str) -> RunReport {
        let outcome = |letter| match letter {
            's' => success(),
            'f' => exit(1),
            'i' => Outcome::Interrupted { by: "Ctrl-C".into() },
            _ => skipped(),
        };
        let mut report = report("P", ends.chars().map(outcome).collect());
        let later = TimeDelta::minutes(minutes);
        report.started += later;
        report.finished = report.finished.map(|finished| finished + later);
        let mut letters = ends.chars();
        report.scripts.retain(|_| letters.next() != Some(' '));
        report
    }

    /// Runs one after the other with a strategy, each mail sent; says which runs had one.
    fn mails(strategy: EmailStrategy, context: &RenderContext, runs: &[(i64, &str)]) -> Vec<bool> {
        let mut context = context.clone();
        let mut due = Vec::new();
        for (minutes, ends) in runs {
            let mut report = run(*minutes, ends);
            due.push(is_due(strategy, &report, &context));
            report.mail = if due.last() == Some(&true) { sent() } else { Some(MailState::NotDue) };
            context.past.insert(0, PastRun::from(&report));
        }
        due
    }

    #[test]
    fn changes_are_told_once() {
        let (y, n) = (true, false);
        const DAY: i64 = 24 * 60;
        type Runs<'a> = &'a [(i64, &'a str)];
        let cases: [(Runs<'_>, &[bool]); 11] = [
            (&[(0, "ss"), (60, "sf"), (120, "sf"), (180, "ss"), (240, "ss")], &[n, y, n, y, n]),
            // A further script, then each of them works again.
            (&[(0, "sf"), (60, "ff"), (120, "fs"), (180, "fs"), (240, "ss")], &[y, y, y, n, y]),
            // Once a day while it goes on: at 8:52, then at 4:51 (not 20 hours after it), at 4:52, and at 4:52 again.
            (&[(0, "f"), (DAY - 241, "f"), (DAY - 240, "f"), (DAY, "f"), (2 * DAY - 240, "f")], &[y, n, y, n, y]),
            // At 8:52, then at 23:52 of the same day, and 23 minutes later.
            (&[(0, "f"), (900, "f"), (923, "f"), (1200, "f")], &[y, n, n, y]),
            // Another end of the same script is nothing new; being interrupted always is.
            (&[(0, "s"), (60, "i"), (120, "i"), (180, "s"), (240, "s")], &[n, y, y, y, n]),
            // What was skipped or not selected is as it was.
            (&[(0, "fs"), (60, "f-"), (120, " s"), (180, "-s"), (240, "fs")], &[y, n, n, n, n]),
            (&[(0, "fs"), (60, "- "), (120, "s ")], &[y, n, y]),
            (&[(0, "fs"), (2 * DAY, " s"), (2 * DAY + 1, "fs")], &[y, n, y]),
            // A script that is new.
            (&[(0, "s"), (60, "ss"), (120, "sss"), (180, "sssf")], &[n, n, n, y]),
            // One that was never tried before.
            (&[(0, "s-"), (60, "ss"), (120, "s-"), (180, "sf")], &[n, n, n, y]),
            (&[(0, "s"), (365 * DAY, "s")], &[n, n]),
        ];
        for (runs, due) in cases {
            assert_eq!(mails(Changes, &in_london(), runs), due, "{runs:?}");
        }
    }

    #[test]
    fn who_was_told_nothing_is_told_at_the_next_occasion() {
        let past = |runs: &[(i64, &str, Option<MailState>)]| {
            let mut past: Vec<PastRun> = Vec::new();
            for (minutes, ends, mail) in runs {
                past.insert(0, PastRun { mail: mail.clone(), ..PastRun::from(&run(*minutes, ends)) });
            }
            RenderContext { past, ..RenderContext::default() }
        };
        // A run that died before it had a mail.
        let context = past(&[(0, "s", sent()), (60, "f", Option::None)]);
        assert!(is_due(Changes, &run(120, "f"), &context));
        // Failures were told, successes not, since another strategy was set.
        let context = past(&[(0, "f", sent()), (60, "s", Some(MailState::NotDue))]);
        assert!(is_due(Changes, &run(120, "s"), &context));
        for told in [
            MailState::Written { file: "x".into() },
            MailState::Queued { error: Option::None },
            MailState::Held { error: String::new() },
            MailState::Kept { error: String::new() },
        ] {
            let context = past(&[(0, "f", Some(told.clone()))]);
            assert!(!is_due(Changes, &run(120, "f"), &context), "{told:?} waits or is shown; a second mail is no help");
        }
        // Nobody got that one, and nobody will.
        let context = past(&[(0, "f", Some(MailState::Failed { error: String::new() }))]);
        assert!(is_due(Changes, &run(120, "f"), &context) && is_due(Digest, &run(120, "f"), &context));
    }

    #[test]
    fn a_failure_each_night_is_told_each_night() {
        let mut context = in_london();
        for night in 0..60 {
            let mut report = run(night * 24 * 60, "f");
            report.finished = report.finished.map(|finished| finished - TimeDelta::seconds(5 * night));
            assert!(is_due(Changes, &report, &context), "night {night}");
            report.mail = sent();
            context.past.insert(0, PastRun::from(&report));
        }
    }

    #[test]
    fn who_was_told_before_all_known_runs_or_of_a_later_one_is_not_told_again() {
        let told = |minutes, ends| Some(PastRun { mail: sent(), ..PastRun::from(&run(minutes, ends)) });
        let past = |ends| (1..9).rev().map(|minute| PastRun::from(&run(minute, ends))).collect();
        let context = RenderContext { last_told: told(0, "f"), past: past("f"), ..in_london() };
        assert!(!is_due(Changes, &run(9, "f"), &context) && !is_due(Digest, &run(9, "f"), &context));
        assert!(is_due(Changes, &run(9, "s"), &context));
        // The digest of a run that died before another one sent it.
        let context = RenderContext { last_told: told(60, "s"), past: past("s"), ..in_london() };
        assert!(!is_due(Digest, &run(9, "s"), &context));
    }

    #[test]
    fn chats_go_by_how_runs_ended() {
        let (y, n) = (true, false);
        const DAY: i64 = 24 * 60;
        let runs = [
            (0, "ss"),
            (60, "sf"),
            (120, "sf"),
            (180, "ff"),
            (240, "ss"),
            (300, "ss"),
            (360, "si"),
            (420, "fs"),
            (DAY, "fs"),
            (DAY + 1, "fs"),
            (2 * DAY - 60, "fs"),
            (2 * DAY, "ss"),
        ];
        for mail in [MailState::NotDue, sent().unwrap(), MailState::Failed { error: String::new() }] {
            let mut context = in_london();
            let mut due = Vec::new();
            for (minutes, ends) in runs {
                let report = run(minutes, ends);
                due.push(is_call_due(Changes, &report, &context));
                context.past.insert(0, PastRun { mail: Some(mail.clone()), ..PastRun::from(&report) });
            }
            assert_eq!(due, [n, y, n, y, y, n, y, y, y, n, y, y], "{mail:?}");
        }
    }

    #[test]
    fn a_reader_of_changes_hears_of_what_works_again() {
        let mut past = run(0, "ffs");
        past.mail = sent();
        let context = RenderContext { past: vec![PastRun::from(&past)], ..RenderContext::default() };
        let report = run(60, "sfs");
        let indices: Vec<usize> = mentioned(Changes, &report, &context).iter().map(|script| script.index).collect();
        assert_eq!(indices, [1, 0]);
    }

    #[test]
    fn a_digest_goes_out_once_a_day() {
        // The first run ends at 08:52 in London, 09:52 in Paris.
        let paris = |time: DateTime<Utc>| time.with_timezone(&FixedOffset::east_opt(3600).unwrap());
        let at = |hour, minute| RenderContext {
            digest_at: NaiveTime::from_hms_opt(hour, minute, 0).unwrap(),
            local_time: paris,
            ..RenderContext::default()
        };
        let (y, n) = (true, false);
        const HOUR: i64 = 60;
        let every_six_hours =
            [(0, "s"), (6 * HOUR, "f"), (12 * HOUR, "s"), (18 * HOUR, "s"), (24 * HOUR, "s"), (30 * HOUR, "s")];
        assert_eq!(mails(Digest, &at(7, 0), &every_six_hours), [y, n, n, n, y, n]);
        assert_eq!(mails(Digest, &at(9, 53), &every_six_hours), [y, y, n, n, n, y]);
        assert_eq!(mails(Digest, &at(0, 0), &every_six_hours), [y, n, n, y, n, n]);
        assert_eq!(mails(Digest, &at(7, 0), &[(0, "s"), (90 * 24 * HOUR, "s")]), [y, y]);
    }

    #[test]
    fn a_digest_that_went_out_without_a_run_is_that_days() {
        let night = run(-10 * 60, "s");
        let told_at = Some(run(-60, "s").started);
        let past = vec![PastRun { mail: sent(), told_at, ..PastRun::from(&night) }];
        let context = RenderContext { past, ..in_london() };
        assert!(!is_due(Digest, &run(0, "s"), &context), "it was told at 7:51");
        let before = vec![PastRun { mail: sent(), ..PastRun::from(&night) }];
        assert!(is_due(Digest, &run(0, "s"), &RenderContext { past: before, ..in_london() }));
    }

    #[test]
    fn the_times_of_digests_follow_the_wall_clock() {
        // Clocks go forward by an hour on 31 March 2024 at 1:00 in UTC.
        let local = |time: DateTime<Utc>| {
            let hours = if time >= DateTime::from_timestamp(1_711_846_800, 0).unwrap() { 2 } else { 1 };
            time.with_timezone(&FixedOffset::east_opt(hours * 3600).unwrap())
        };
        let at = |hour, minute| RenderContext {
            digest_at: NaiveTime::from_hms_opt(hour, minute, 0).unwrap(),
            local_time: local,
            ..RenderContext::default()
        };
        let utc = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (context, now, latest, next) in [
            (at(7, 0), "2024-03-30T12:00:00Z", "2024-03-30T06:00:00Z", "2024-03-31T05:00:00Z"),
            (at(7, 0), "2024-03-31T05:00:00Z", "2024-03-31T05:00:00Z", "2024-04-01T05:00:00Z"),
            (at(0, 30), "2024-03-30T23:29:59Z", "2024-03-29T23:30:00Z", "2024-03-30T23:30:00Z"),
            // Left out that night: half an hour after the clocks were changed.
            (at(2, 30), "2024-03-30T12:00:00Z", "2024-03-30T01:30:00Z", "2024-03-31T01:30:00Z"),
        ] {
            assert_eq!(digest_times(utc(now), &context), (utc(latest), utc(next)), "{now}");
        }
    }

    #[test]
    fn a_digest_counts_from_the_end_of_the_runs() {
        // From before seven until after it: its mail is that day's.
        let mut night = run(-3 * 60, "s");
        night.finished = Some(night.started + TimeDelta::hours(2));
        night.mail = sent();
        let context = RenderContext {
            past: vec![PastRun::from(&night)],
            local_time: |time| time.fixed_offset(),
            ..RenderContext::default()
        };
        assert!(!is_due(Digest, &run(0, "s"), &context));
    }

    proptest! {
        /// Successes alone are never told, whatever came before them, but for the one after a failure.
        #[test]
        fn changes_are_quiet_while_all_is_well(ends in prop::collection::vec("[sfi -]{3}", 1..12), step in 1i64..2000) {
            let mut runs: Vec<(i64, &str)> = (0i64..).zip(&ends).map(|(n, ends)| (n * step, ends.as_str())).collect();
            let last = runs.last().unwrap().0;
            runs.extend([(last + step, "sss"), (last + 2 * step, "sss"), (last + 900 * step, "sss")]);
            let due = mails(Changes, &in_london(), &runs);
            prop_assert_eq!(&due[due.len() - 2..], [false, false]);
        }

        /// Whatever fails, its reader hears of it within a day and the time between two runs.
        #[test]
        fn a_failure_is_not_forgotten(ends in prop::collection::vec("[sf]{2}", 1..30), step in 1i64..2000) {
            let runs: Vec<(i64, &str)> = (0i64..).zip(&ends).map(|(n, ends)| (n * step, ends.as_str())).collect();
            let due = mails(Changes, &in_london(), &runs);
            let mut told = -1_000_000;
            for ((minutes, ends), due) in runs.iter().zip(due) {
                if due {
                    told = *minutes;
                }
                prop_assert!(!ends.contains('f') || minutes - told < 24 * 60);
            }
        }
    }
}

//! Backlogs of more instants than one look answers, and answers that grow too old, on the real state database by a clock that the
//! test sets.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use project_runner::ledger::{Claim, Engine, Ledger, ScheduledProject};
use project_runner::schedule::{AT_ONCE, Answer, Hindrance, Presence, Schedule, Trigger};
use project_runner::store::{
    Keeper, OccurrenceRow, OccurrenceState, Registration, RunEnded, RunNews, ScheduleFilter, ScheduleRow,
};

use crate::harness::Test;

const DAY: i64 = 86_400;

fn each(seconds: i64, coalesce: bool, grace: Option<i64>) -> Schedule {
    Schedule {
        name: "1".to_owned(),
        definition: String::new(),
        trigger: Trigger::Interval { every: SignedDuration::from_secs(seconds), anchor: Timestamp::UNIX_EPOCH },
        zone: TimeZone::UTC,
        jitter: SignedDuration::ZERO,
        misfire_grace: grace.map(SignedDuration::from_secs),
        coalesce,
    }
}

fn project(schedule: Schedule) -> ScheduledProject {
    ScheduledProject {
        dir: "/srv/p".into(),
        name: "p".to_owned(),
        schedules: vec![schedule],
        ..ScheduledProject::default()
    }
}

/// So many seconds after the schedule's beginning.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A schedule that a daemon kept, which then went away.
struct Kept {
    ledger: Ledger,
    schedule: Schedule,
    id: i64,
    /// In seconds.
    step: i64,
    looks: u32,
}

impl Kept {
    async fn new(test: &Test, schedule: Schedule) -> Self {
        let mut ledger = Ledger::open(&test.path("state")).await.unwrap();
        let of = Registration {
            project_dir: std::path::Path::new("/srv/p"),
            project: "p",
            profile: None,
            keeper: Keeper::Daemon,
            schedules: std::slice::from_ref(&schedule),
        };
        let id = ledger.register(&of, at(0)).await.unwrap().rows[0].as_ref().unwrap().id;
        let Trigger::Interval { every, .. } = schedule.trigger else { panic!("{schedule:?}") };
        Self { ledger, schedule, id, step: every.as_secs(), looks: 0 }
    }

    async fn row(&mut self) -> ScheduleRow {
        self.ledger.store().schedules(&ScheduleFilter::default()).await.unwrap().remove(0)
    }

    /// Looks once, at a backlog that a daemon finds; it answers no more than one look may. Says whether it has to go on.
    async fn look(&mut self, now: Timestamp) -> (bool, Option<Claim>) {
        let before = self.row().await.covered;
        let presence = Presence { since: Some(now), ..Presence::default() };
        let looks = [(self.id, &self.schedule)];
        let (settled, claim) = self.ledger.settle(&looks, None, now, &presence).await.unwrap().remove(0);
        let moved = (self.row().await.covered.duration_since(before).as_secs() / self.step).unsigned_abs();
        assert!(moved <= AT_ONCE, "{moved} instants in one look");
        self.looks += 1;
        (settled.next.is_some_and(|next| next <= now), claim)
    }

    async fn tell(&mut self, claim: &Claim, now: Timestamp) {
        let id = &claim.run_id;
        let news = [(id.clone(), RunNews::Began(now)), (id.clone(), RunNews::Ended(RunEnded::Ran, now))];
        self.ledger.hear(news).await.unwrap();
    }

    /// All answers, oldest first: that each instant after `since` up to the cursor has exactly one is checked.
    async fn answers(&mut self) -> Vec<OccurrenceRow> {
        let (row, step) = (self.row().await, self.step);
        let mut rows = self.ledger.store().occurrences(self.id, u32::MAX).await.unwrap();
        rows.reverse();
        let mut next = row.since.as_second().div_euclid(step) * step + step;
        for row in &rows {
            assert!(row.count <= AT_ONCE && row.state != OccurrenceState::Claimed, "{row:?}");
            assert_eq!(row.first.as_second(), next, "a gap, or two answers: {row:?}");
            next += row.count.cast_signed() * step;
            assert_eq!(row.last.as_second(), next - step, "{row:?}");
        }
        assert_eq!(next, row.covered.as_second().div_euclid(step) * step + step, "up to the cursor");
        rows
    }
}

fn count(rows: &[OccurrenceRow], answer: Answer) -> u64 {
    rows.iter().filter(|row| row.state == OccurrenceState::Answered(answer)).map(|row| row.count).sum()
}

#[test]
fn a_long_backlog_is_one_run_and_each_of_its_instants_has_an_answer() {
    for begins_at_once in [true, false] {
        let test = Test::new();
        run(async {
            let mut kept = Kept::new(&test, each(1, true, None)).await;
            let now = at(3 * DAY);
            let (mut goes_on, claim) = kept.look(now).await;
            let claim = claim.expect("the latest runs, however many come before");
            assert_eq!(claim.planned, now);
            if begins_at_once {
                kept.tell(&claim, now).await;
            }
            while goes_on {
                let claims;
                (goes_on, claims) = kept.look(now).await;
                assert_eq!(claims, None);
            }
            if !begins_at_once {
                kept.tell(&claim, now).await;
            }
            assert_eq!(kept.looks, 3, "100,000 a look");
            let rows = kept.answers().await;
            assert_eq!(count(&rows, Answer::Merged), 3 * DAY.unsigned_abs() - 1);
            assert!(rows.iter().all(|row| row.into.is_none_or(|into| into == now)) && rows.len() <= 5, "{rows:?}");
            assert_eq!(kept.row().await.covered, now);
        });
    }
}

/// What is skipped before and after an instant that runs has the same answer, but that instant lies between.
#[test]
fn an_instant_that_runs_between_two_pauses_parts_their_rows() {
    let test = Test::new();
    run(async {
        let mut kept = Kept::new(&test, each(3600, true, None)).await;
        for (from, until) in [(0, Some(2)), (3, None)] {
            kept.ledger.store().pause(kept.id, at(from * 3600)).await.unwrap();
            if let Some(until) = until {
                kept.ledger.store().resume(kept.id, at(until * 3600)).await.unwrap();
            }
        }
        let now = at(5 * 3600);
        let (_, claim) = kept.look(now).await;
        let claim = claim.expect("what was due between the pauses runs");
        assert_eq!(claim.planned, at(3 * 3600));
        kept.tell(&claim, now).await;
        let skipped = kept.answers().await.iter().map(|row| row.count).collect::<Vec<_>>();
        assert_eq!(skipped, [2, 1, 2]);
    });
}

#[test]
fn a_long_backlog_in_order_is_worked_off_one_by_one() {
    let test = Test::new();
    run(async {
        let mut kept = Kept::new(&test, each(1, false, Some(20))).await;
        let mut now = at(3 * DAY);
        let mut ran = Vec::new();
        loop {
            match kept.look(now).await {
                (_, Some(claim)) => {
                    // Each takes half a second, so that those that are due meanwhile have their turn, too.
                    kept.tell(&claim, now).await;
                    now += SignedDuration::from_millis(500);
                    ran.push(claim.planned);
                }
                (true, None) => {}
                (false, None) => break,
            }
        }
        let last = kept.row().await.covered;
        let expected: Vec<Timestamp> =
            (-20..=last.duration_since(at(3 * DAY)).as_secs()).map(|second| at(3 * DAY + second)).collect();
        assert_eq!(ran, expected, "those that aren't too late, in order");
        let rows = kept.answers().await;
        let missed = count(&rows, Answer::Missed(Hindrance::DaemonOff));
        assert_eq!(missed, 3 * DAY.unsigned_abs() - 21);
        assert!(kept.looks < 3 + 2 * u32::try_from(ran.len()).unwrap(), "{} looks", kept.looks);
    });
    // However late they are, nothing but the first is taken up, and the next only after it.
    let test = Test::new();
    run(async {
        let mut kept = Kept::new(&test, each(1, false, None)).await;
        let now = at(3 * DAY);
        for second in 1..=30 {
            let (_, claim) = kept.look(now).await;
            let claim = claim.unwrap();
            assert_eq!(claim.planned, at(second));
            assert_eq!(kept.look(now).await, (false, None), "one after the other");
            kept.tell(&claim, now).await;
        }
        kept.answers().await;
    });
}

#[test]
fn what_grows_too_old_is_forgotten_and_nothing_that_is_open() {
    let test = Test::new();
    run(async {
        const HOUR: i64 = 3600;
        let mut kept = Kept::new(&test, each(HOUR, true, None)).await;
        // Three days of runs, 100 days of a daemon that was away, and three days of runs.
        let hours = (1..=72).chain([2472]).chain(2473..=2544);
        for hour in hours {
            let (_, claim) = kept.look(at(hour * HOUR)).await;
            kept.tell(&claim.unwrap(), at(hour * HOUR)).await;
        }
        assert_eq!(kept.answers().await.len(), 72 + 1 + 1 + 72);
        // In the middle of those merged into one.
        kept.ledger.prune(at(440 * DAY)).await.unwrap();
        let rows = kept.answers().await;
        assert_eq!(rows.len(), 1 + 1 + 72, "a row that is partly younger stays: {rows:?}");
        let row = kept.row().await;
        assert_eq!((row.since, row.covered), (at(73 * HOUR) - SignedDuration::from_micros(1), at(2544 * HOUR)));
        // Nothing was looked at for longer than answers are kept.
        kept.ledger.prune(at(900 * DAY)).await.unwrap();
        assert_eq!(kept.answers().await, []);
        let row = kept.row().await;
        assert_eq!((row.since, row.covered), (at(2544 * HOUR), at(2544 * HOUR)), "what comes after is open");
        let (_, claim) = kept.look(at(900 * DAY)).await;
        let claim = claim.unwrap();
        assert_eq!(claim.occasion.merged, 900 * 24 - 2544 - 1);
        // What is claimed stays, however old it is.
        kept.ledger.prune(at(1500 * DAY)).await.unwrap();
        let rows = kept.ledger.store().occurrences(kept.id, 10).await.unwrap();
        let [claimed] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((claimed.first, claimed.state), (at(900 * DAY), OccurrenceState::Claimed));
        assert!(kept.row().await.since < at(900 * DAY), "it isn't answered yet");
        kept.tell(&claim, at(1500 * DAY)).await;
        kept.ledger.prune(at(1500 * DAY)).await.unwrap();
        assert_eq!(kept.row().await.since, at(900 * DAY));
        let (_, claim) = kept.look(at(1500 * DAY)).await;
        kept.tell(&claim.unwrap(), at(1500 * DAY)).await;
    });
    let rows = test.runner(["schedule", "history", "--json"]).expect(0).json();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!((&rows[0]["answer"], &rows[1]["answer"]), (&"ran".into(), &"merged".into()), "{rows:?}");
    assert!(test.runner(["schedule", "history"]).expect(0).stdout.contains("merged"));
}

/// The daemon's own loop: it goes on by itself with what one look didn't get through, and forgets what is old.
#[test]
fn an_engine_comes_through_a_backlog_and_forgets_what_is_old() {
    let test = Test::new();
    run(async {
        let mut engine = Engine::new(Ledger::open(&test.path("state")).await.unwrap());
        let project = project(each(1, true, None));
        engine.put(&project, at(0)).await.unwrap();
        let now = at(3 * DAY);
        let mut claims = Vec::new();
        while engine.next_wake().is_some_and(|wake| wake <= now) {
            claims.extend(engine.tick(now, &Presence::default()).await.unwrap());
        }
        let [claim] = &claims[..] else { panic!("{claims:?}") };
        engine.began(&claim.run_id, now).await.unwrap();
        engine.ended(&claim.run_id, RunEnded::Ran, now).await.unwrap();
        assert_eq!(engine.next_wake(), Some(at(3 * DAY + 1)));
        let later = at(404 * DAY);
        engine.tick(later, &Presence::default()).await.unwrap();
        let rows = engine.ledger().store().schedules(&ScheduleFilter::default()).await.unwrap();
        let old = engine.ledger().store().occurrences(rows[0].id, u32::MAX).await.unwrap();
        assert!(old.iter().all(|row| row.last > at(4 * DAY)) && rows[0].since == at(3 * DAY), "{rows:?} {old:?}");
    });
}

/// A definition that changes after the clock was set back, by that many minutes: what ran at an instant that comes again.
fn changed_after_the_clock_went_back(minutes: i64) -> Vec<(i64, usize)> {
    const HOUR: i64 = 3600;
    let test = Test::new();
    let defined = |definition: &str| project(Schedule { definition: definition.to_owned(), ..each(HOUR, true, None) });
    run(async {
        let mut engine = Engine::new(Ledger::open(&test.path("state")).await.unwrap());
        let presence = Presence { since: Some(at(0)), ..Presence::default() };
        engine.put(&defined("before"), at(0)).await.unwrap();
        let mut runs = Vec::new();
        let after_three = 3 * HOUR + 300;
        let back = after_three - minutes * 60;
        let hours =
            |from: i64, until: i64| (from.div_euclid(HOUR) + 1..=until.div_euclid(HOUR)).map(|hour| hour * HOUR);
        let times = hours(0, after_three).chain([back]).chain(hours(back, 5 * HOUR));
        let mut last = 0;
        for time in times {
            if time < last {
                engine.put(&defined("after"), at(time)).await.unwrap();
            }
            last = time;
            let claims = engine.tick(at(time), &presence).await.unwrap();
            runs.push((time, claims.len()));
            for claim in claims {
                engine.began(&claim.run_id, at(time)).await.unwrap();
                engine.ended(&claim.run_id, RunEnded::Ran, at(time)).await.unwrap();
            }
        }
        runs.into_iter().map(|(time, count)| (time / HOUR, count)).collect()
    })
}

#[test]
fn a_definition_that_changes_after_the_clock_was_set_back_doubles_nothing() {
    let before = [(1, 1), (2, 1), (3, 1)];
    // A little: what has its answer keeps it.
    assert_eq!(changed_after_the_clock_went_back(20), [&before[..], &[(2, 0), (3, 0), (4, 1), (5, 1)]].concat());
    // By hours: the new definition has its own instants, and the old one none any more.
    assert_eq!(
        changed_after_the_clock_went_back(120),
        [&before[..], &[(1, 0), (2, 1), (3, 1), (4, 1), (5, 1)]].concat()
    );
}

#[test]
fn what_is_merged_into_a_run_that_never_was_is_missed_with_it() {
    let test = Test::new();
    run(async {
        let mut kept = Kept::new(&test, each(10, true, None)).await;
        let detail = || "the file is broken".to_owned();
        // Nothing comes of the first claim, which the next look merges into the instant that came after it.
        let (_, claim) = kept.look(at(35)).await;
        let given_back = |claim: &Claim| (claim.run_id.clone(), RunNews::Ended(RunEnded::GaveBack, at(36)));
        kept.ledger.hear([given_back(&claim.unwrap())]).await.unwrap();
        let (_, claim) = kept.look(at(51)).await;
        // What comes while it waits is merged into it, too.
        assert!(kept.look(at(61)).await.1.is_none());
        let ended = RunEnded::CouldNotRun { detail: detail() };
        kept.ledger.hear([(claim.unwrap().run_id, RunNews::Ended(ended, at(62)))]).await.unwrap();
        let rows = kept.answers().await;
        assert_eq!(count(&rows, Answer::Missed(Hindrance::CouldNotRun)), 6, "{rows:?}");
        assert!(rows.iter().all(|row| row.into.is_none() && row.detail == Some(detail())), "{rows:?}");
        let told = kept.ledger.store().untold_misses().await.unwrap();
        assert_eq!(told.iter().map(|missed| missed.count).sum::<u64>(), 6, "{told:?}");

        // What ran before stands for what was merged into it.
        let (_, claim) = kept.look(at(95)).await;
        kept.tell(&claim.unwrap(), at(95)).await;
        let (_, claim) = kept.look(at(125)).await;
        let ended = RunEnded::CouldNotRun { detail: detail() };
        kept.ledger.hear([(claim.unwrap().run_id, RunNews::Ended(ended, at(126)))]).await.unwrap();
        let rows = kept.answers().await;
        assert_eq!((count(&rows, Answer::Merged), count(&rows, Answer::Ran)), (2, 1), "{rows:?}");
        assert_eq!(count(&rows, Answer::Missed(Hindrance::CouldNotRun)), 9, "{rows:?}");
    });
}

#[test]
fn what_somebody_else_ended_is_answered_for_since_its_end() {
    let test = Test::new();
    run(async {
        let mut engine = Engine::new(Ledger::open(&test.path("state")).await.unwrap());
        let project = project(each(600, true, None));
        engine.put(&project, at(0)).await.unwrap();
        let mut other = Ledger::open(&test.path("state")).await.unwrap();
        other.store().forget(&project.dir, None, Keeper::Daemon, None, at(60)).await.unwrap();
        // It is noticed when the next is due, which runs.
        assert!(engine.tick(at(601), &Presence::default()).await.unwrap().is_empty());
        let claims = engine.tick(at(602), &Presence::default()).await.unwrap();
        assert_eq!(claims.iter().map(|claim| claim.planned).collect::<Vec<_>>(), [at(600)]);
    });
}

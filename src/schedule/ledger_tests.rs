//! The ledger's rules against a model of them: each look is held to what the model says of every single instant.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

/// Why what is late is late: the daemon was there all the time, or the host called.
fn why(look: &Look<'_>, standing: &Standing) -> Hindrance {
    let waited = standing.waiting.is_some() || standing.running_since.is_some() || !look.schedule.coalesce;
    match look.timing {
        _ if waited => Hindrance::Busy,
        Timing::Host => Hindrance::HostIdle,
        Timing::Shares(_) => Hindrance::CouldNotRun,
    }
}

/// The same of one instant: of one whose claim came to nothing, what was known when it was claimed, else just that.
fn why_of(look: &Look<'_>, standing: &Standing, at: Timestamp) -> Hindrance {
    let claim = standing.reopened.iter().find(|claim| claim.planned == at);
    claim.map_or_else(|| why(look, standing), |claim| claim.late.unwrap_or(Hindrance::RunnerEnded))
}

/// What a look has to come to: the answer of each instant, and which of them is to run.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    answers: BTreeMap<Timestamp, (Answer, Option<Timestamp>)>,
    claim: Option<Timestamp>,
    blocked: bool,
}

/// The rules, told instant by instant.
fn expected(look: &Look<'_>, standing: &Standing) -> Expected {
    let Look { schedule, timing, now, .. } = *look;
    let due: Vec<Timestamp> =
        std::iter::successors(schedule.next_after(standing.covered), |at| schedule.next_after(*at))
            .take_while(|at| timing.due(schedule, *at) <= now)
            .collect();
    let reopened: Vec<Timestamp> = standing.reopened.iter().map(|claim| claim.planned).collect();
    let has_run = |at: &Timestamp| standing.ahead.contains(at) && !reopened.contains(at);
    // Of a long backlog, those that this look gets to.
    let reached = due.iter().take(usize::try_from(look.at_once).unwrap()).filter(|at| !standing.ahead.contains(at));
    let open: Vec<Timestamp> = reopened.iter().chain(reached).copied().collect();
    let too_late = |at: Timestamp| {
        let after = now.duration_since(timing.limit(schedule, at));
        schedule.misfire_grace.is_some_and(|grace| after > grace)
    };
    let mut expected = Expected::default();
    let falls_into = |at: Timestamp, pause: &Pause| pause.covers(timing.due(schedule, at));
    let paused = |at: &Timestamp| standing.pauses.iter().any(|pause| falls_into(*at, pause));
    let skipped = (Answer::Skipped(SkipCause::Paused), None);
    if schedule.coalesce {
        let newest = due.iter().chain(&reopened).filter(|at| !paused(at)).max().copied();
        let may_run = |at: &Timestamp| standing.waiting.is_none() && !has_run(at) && !too_late(*at);
        expected.claim = newest.filter(may_run);
        for at in open.into_iter().filter(|at| expected.claim != Some(*at)) {
            let runs = standing.ahead.iter().filter(|ahead| has_run(ahead)).chain(&expected.claim);
            let stands_for_it = runs.filter(|run| **run > at).min().copied();
            let answer = match (standing.waiting, stands_for_it) {
                _ if paused(&at) => skipped,
                (Some(waiting), _) => (Answer::Merged, Some(waiting)),
                (None, Some(run)) if !too_late(at) => (Answer::Merged, Some(run)),
                (None, _) => (Answer::Missed(why_of(look, standing, at)), None),
            };
            expected.answers.insert(at, answer);
        }
    } else if standing.waiting.is_some() {
        expected.blocked = true;
    } else {
        for at in open {
            if paused(&at) {
                expected.answers.insert(at, skipped);
                continue;
            }
            if too_late(at) {
                expected.answers.insert(at, (Answer::Missed(why_of(look, standing, at)), None));
                continue;
            }
            // It waits for a run that began after it was due; with one that began before it has to get along.
            expected.blocked = standing.running_since.is_some_and(|since| timing.due(schedule, at) <= since);
            expected.claim = Some(at).filter(|_| !expected.blocked);
            break;
        }
    }
    expected
}

/// The answers of a settlement, instant by instant.
fn answers(schedule: &Schedule, settlement: &Settlement) -> BTreeMap<Timestamp, (Answer, Option<Timestamp>)> {
    let mut answers = BTreeMap::new();
    for span in settlement.spans.iter().chain(&settlement.again) {
        let mut at = span.first;
        for nth in 0..span.count {
            at = if nth == 0 { at } else { schedule.next_after(at).unwrap() };
            assert!(answers.insert(at, (span.answer, span.into)).is_none(), "{at} is answered twice");
        }
        assert_eq!(at, span.last, "a span ends where its last instant is");
    }
    answers
}

/// What happens between two looks.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes, in seconds.
    Wait(i64),
    /// The claim that waits comes to something.
    Begin,
    /// The claim finds the project running, and is left out.
    Overlap,
    /// The claim is given back.
    GiveBack,
    /// The run ends.
    End,
    Pause,
    Resume,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..20_000_i64).prop_map(Step::Wait),
        2 => (0..400_i64).prop_map(Step::Wait),
        4 => Just(Step::Begin),
        1 => Just(Step::Overlap),
        1 => Just(Step::GiveBack),
        3 => Just(Step::End),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
    ];
    prop::collection::vec(step, 1..60)
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let zone = TimeZone::get("Europe/Paris").unwrap();
    let cron = |text: &str| Trigger::Cron(Cron::parse(text, zone.clone(), Dst::default()).unwrap());
    let triggers = vec![cron("0,5,50 * * * *"), cron("*/7 1-3,9 * * *"), cron("0 */5 * * *")];
    let every = (60..9000_i64).prop_map(|seconds| Trigger::Interval {
        every: SignedDuration::from_secs(seconds),
        anchor: Timestamp::UNIX_EPOCH,
    });
    let trigger = prop_oneof![every, prop::sample::select(triggers)];
    let jitter = prop_oneof![Just(0), 1..2000_i64];
    (trigger, jitter, prop::option::of(1..15_000_i64), any::<bool>()).prop_map(|(trigger, jitter, grace, coalesce)| {
        Schedule {
            name: "1".to_owned(),
            definition: String::new(),
            trigger,
            zone: TimeZone::UTC,
            jitter: SignedDuration::from_secs(jitter),
            misfire_grace: grace.map(SignedDuration::from_secs),
            coalesce,
        }
    })
}

/// A ledger in memory: what stands of each instant that has a row.
struct Book {
    standing: Standing,
    rows: BTreeMap<Timestamp, Option<Answer>>,
    claim: Option<Claimed>,
}

impl Book {
    /// Ends the pause, if there is one.
    fn resume(&mut self, now: Timestamp) {
        if let Some(pause) = self.standing.pauses.last_mut() {
            pause.until.get_or_insert(now);
        }
    }

    /// A look, which has to come to what is expected of it.
    fn look(&mut self, look: &Look<'_>) -> Settlement {
        let standing = &mut self.standing;
        standing.waiting = self.claim.map(|claim| claim.planned);
        let after = (std::ops::Bound::Excluded(standing.covered), std::ops::Bound::Included(look.now));
        standing.ahead = self.rows.range(after).map(|(at, _)| *at).collect();
        let before = standing.clone();
        let settlement = look.settle(standing);
        let answers = answers(look.schedule, &settlement);
        let is_partial = settlement.next == Some(look.now);
        let got = Expected {
            answers: answers.clone(),
            claim: settlement.claim.map(|claim| claim.planned),
            blocked: settlement.blocked && (standing.waiting.is_some() || standing.running_since.is_some()),
        };
        let mut expected = expected(look, standing);
        if settlement.claim.is_some() || look.schedule.coalesce {
            // Whether more is due is said for the engine then, which looks again in any case.
            expected.blocked = got.blocked;
        }
        assert_eq!(got, expected, "{look:?} {standing:?}");
        if let Some(claim) = settlement.claim {
            let of = |what: fn(&Claimed) -> u64| standing.reopened.iter().map(what).sum::<u64>();
            let now = answers.values().filter(|(given, _)| matches!(given, Answer::Missed(_))).count() as u64;
            // What an earlier claim stood for is missed with it.
            let is_missed = |claim: &&Claimed| matches!(answers.get(&claim.planned), Some((Answer::Missed(_), _)));
            let with_them = standing.reopened.iter().filter(is_missed).map(|claim| claim.merged.0).sum::<u64>();
            assert_eq!(claim.missed.0, now + with_them + of(|claim| claim.missed.0), "{claim:?}");
            let into = answers.values().filter(|(_, into)| *into == Some(claim.planned)).count() as u64;
            assert!(claim.merged.0 >= into && claim.merged.0 <= into + of(|claim| claim.merged.0), "{claim:?}");
            let delay = look.now.duration_since(look.timing.limit(look.schedule, claim.planned));
            assert_eq!(claim.late, (delay > PUNCTUAL).then_some(why_of(look, &before, claim.planned)), "{claim:?}");
        }
        for (at, (answer, _)) in answers {
            let before = self.rows.insert(at, Some(answer));
            assert!(before.is_none_or(|before| before.is_none()), "{at} has two answers");
        }
        standing.covered = settlement.covered;
        standing.reopened.retain(|claim| self.rows.get(&claim.planned).is_none_or(|row| row.is_none()));
        if let Some(claim) = settlement.claim {
            standing.reopened.retain(|reopened| reopened.planned != claim.planned);
            self.rows.insert(claim.planned, None);
            self.claim = Some(claim);
        }
        assert!(settlement.next.is_none_or(|next| next > look.now || is_partial), "the next look is later");
        settlement
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Grace, merging, order, pauses and projects that are running: each look comes to what the model says, and in the
    /// end every instant has its answer.
    #[test]
    fn each_look_comes_to_what_the_rules_say(
        schedule in schedules(),
        steps in steps(),
        by_host in any::<bool>(),
        at_once in prop::sample::select(vec![1_u64, 3, 50, AT_ONCE]),
    ) {
        let timing = if by_host { Timing::Host } else { Timing::shares("/p", None, "1") };
        let presence = Presence { since: Some(Timestamp::MIN), booted: None, ..Presence::default() };
        let begin: Timestamp = "2026-10-24T20:00:00Z".parse().unwrap();
        let mut now = begin;
        let standing = Standing {
            covered: begin,
            until: None,
            pauses: Vec::new(),
            ahead: Vec::new(),
            reopened: Vec::new(),
            waiting: None,
            running_since: None,
        };
        let mut book = Book { standing, rows: BTreeMap::new(), claim: None };
        for step in steps {
            match step {
                Step::Wait(seconds) => now += SignedDuration::from_secs(seconds),
                Step::Begin => {
                    if let Some(claim) = book.claim.take() {
                        book.rows.insert(claim.planned, Some(Answer::Ran));
                        book.standing.running_since = Some(now);
                    }
                }
                Step::Overlap => {
                    if let Some(claim) = book.claim.take() {
                        book.rows.insert(claim.planned, Some(Answer::Skipped(SkipCause::Overlap)));
                    }
                }
                Step::GiveBack => book.standing.reopened.extend(book.claim.take()),
                Step::End => book.standing.running_since = None,
                Step::Pause if book.standing.pauses.last().is_none_or(|pause| pause.until.is_some()) => {
                    book.standing.pauses.push(Pause { from: now, until: None });
                }
                Step::Pause => {}
                Step::Resume => book.resume(now),
            }
            let look = Look { schedule: &schedule, timing, now, presence: &presence, at_once };
            book.look(&look);
        }
        book.resume(now);
        let mut looks = 0;
        loop {
            if let Some(claim) = book.claim.take() {
                book.rows.insert(claim.planned, Some(Answer::Ran));
            }
            book.standing.running_since = None;
            let look = Look { schedule: &schedule, timing, now, presence: &presence, at_once };
            let settlement = book.look(&look);
            looks += 1;
            prop_assert!(looks < 100_000, "it comes to an end");
            if book.claim.is_none() && settlement.next.is_none_or(|next| next > now) {
                break;
            }
        }
        let due: Vec<Timestamp> = std::iter::successors(schedule.next_after(begin), |at| schedule.next_after(*at))
            .take_while(|at| timing.due(&schedule, *at) <= now)
            .collect();
        prop_assert!(book.rows.values().all(Option::is_some));
        prop_assert_eq!(book.rows.keys().copied().collect::<Vec<_>>(), due);
    }
}

//! The ledger's rules: which answer each planned instant gets when somebody looks. Pure; what is known of a schedule goes in,
//! the answers to write come out. Each planned instant gets exactly one answer.
//!
//! The *cursor* `covered` is the heart: every instant after the schedule's beginning up to and with it has its answer, and
//! after it none has but those *ahead*, which ran before the clock was set back, or while a long backlog is still worked
//! off. A look walks from the cursor towards the present, bounded, and moves it.

use jiff::{SignedDuration, Timestamp};

use super::{Answer, Hindrance, Presence, Schedule, SkipCause};

/// A run that begins later than that after it was due is late.
pub const PUNCTUAL: SignedDuration = SignedDuration::from_secs(60);
/// How far back the clock has to be set for what was answered meanwhile to be open again.
pub const SET_BACK: SignedDuration = SignedDuration::from_hours(1);
/// How many instants of a schedule one look answers, and one row covers.
pub const AT_ONCE: u64 = 100_000;

/// When a planned instant is due, by who keeps the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// The daemon begins it after its share of the jitter, by this [seed](Timing::shares).
    Shares(u64),
    /// The system's own scheduler begins it, which draws the jitter itself.
    Host,
}

impl Timing {
    /// The daemon's, for the schedule that is known by these. The same ones give the same shares, now and ever.
    #[must_use]
    pub fn shares(project_dir: &str, profile: Option<&str>, name: &str) -> Self {
        let parts = [project_dir, profile.unwrap_or_default(), name];
        let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
        // FNV-1a, which is written down nowhere but here: it must not change with a library.
        Self::Shares(
            bytes
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)),
        )
    }

    /// When an instant is due: with its share of the jitter, which is below the jitter and ends before the next instant, so that
    /// the order stays.
    #[must_use]
    pub fn due(self, schedule: &Schedule, planned: Timestamp) -> Timestamp {
        let Self::Shares(seed) = self else { return planned };
        if schedule.jitter <= SignedDuration::ZERO {
            return planned;
        }
        let gap = schedule.next_after(planned).map(|next| next.duration_since(planned));
        let range = gap.map_or(schedule.jitter, |gap| gap.min(schedule.jitter));
        let range = u128::try_from(range.as_micros()).unwrap_or_default();
        let share = (range * u128::from(mixed(seed ^ planned.as_microsecond().cast_unsigned()))) >> 64;
        let share = SignedDuration::from_micros(i64::try_from(share).unwrap_or_default());
        planned.checked_add(share).unwrap_or(planned)
    }

    /// Until when it should have begun at the latest, before it is late.
    #[must_use]
    pub fn limit(self, schedule: &Schedule, planned: Timestamp) -> Timestamp {
        match self {
            Self::Shares(_) => self.due(schedule, planned),
            Self::Host => planned.checked_add(schedule.jitter).unwrap_or(planned),
        }
    }
}

/// The last step of SplitMix64: each bit of the result hangs on each bit of the number.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The last planned instant after `after` up to and with `until`. Takes a few dozen steps however many lie between.
#[must_use]
pub fn latest(schedule: &Schedule, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
    let within = |from| schedule.next_after(from).filter(|at| *at <= until);
    let mut found = within(after)?;
    // Usually there are only a few.
    for _ in 0..8 {
        let Some(later) = within(found) else { return Some(found) };
        found = later;
    }
    // After `end` there is none until `until`.
    let mut end = until;
    while found < end {
        let half = found.as_microsecond() + (end.as_microsecond() - found.as_microsecond()) / 2;
        let middle = Timestamp::from_microsecond(half).unwrap_or(found);
        match within(middle) {
            Some(later) => found = later,
            None if middle == found => break,
            None => end = middle,
        }
    }
    Some(found)
}

/// When a schedule was paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// What was due by then isn't concerned.
    pub from: Timestamp,
    /// What is due by then is; `None`: the pause goes on.
    pub until: Option<Timestamp>,
}

impl Pause {
    /// Whether an instant that is due then is skipped.
    #[must_use]
    pub fn covers(&self, due: Timestamp) -> bool {
        self.from < due && self.until.is_none_or(|until| due <= until)
    }
}

/// What is known of a schedule whose instants are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Up to where each instant has its answer.
    pub covered: Timestamp,
    /// The last instant it answers for, if it has ended.
    pub until: Option<Timestamp>,
    /// Its pauses, in order; those whose instants all have their answers may be missing.
    pub pauses: Vec<Pause>,
    /// The instants after the cursor, up to the present, that have an answer already, in order.
    pub ahead: Vec<Timestamp>,
    /// The claims of which nothing came, in order: they are open again.
    pub reopened: Vec<Claimed>,
    /// The claim whose run hasn't begun yet.
    pub waiting: Option<Timestamp>,
    /// When the latest of its runs that are under way began.
    pub running_since: Option<Timestamp>,
}

/// A planned instant that is to run, with what its run stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// The instant.
    pub planned: Timestamp,
    /// When it was due at the latest.
    pub due: Timestamp,
    /// What kept it from beginning then, if it was late already when it was claimed.
    pub late: Option<Hindrance>,
    /// How many instants before it are merged into it, and the first of them. Of a backlog that one look doesn't get
    /// through, those that the look got to.
    pub merged: (u64, Option<Timestamp>),
    /// How many were missed since the last run, and the first of them.
    pub missed: (u64, Option<Timestamp>),
}

/// Neighbouring instants with the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first of them.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
    /// How many they are.
    pub count: u64,
    /// What became of them.
    pub answer: Answer,
    /// The instant that they are merged into.
    pub into: Option<Timestamp>,
}

/// What a look comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settlement {
    /// The answers, in order.
    pub spans: Vec<Span>,
    /// Whether the first of them directly follows the last instant that had a row, which it may continue then. No other one
    /// continues anything: what comes before it has another answer, or is to run.
    pub continues: bool,
    /// The answers to instants whose claim came to nothing; they have a row already.
    pub again: Vec<Span>,
    /// The instant that is to run now.
    pub claim: Option<Claimed>,
    /// The cursor.
    pub covered: Timestamp,
    /// When to look again by the clock; `None`: never.
    pub next: Option<Timestamp>,
    /// Whether something open waits for a run to begin or to end.
    pub blocked: bool,
}

/// What is given of a look at a schedule.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The schedule.
    pub schedule: &'a Schedule,
    /// When its instants are due.
    pub timing: Timing,
    /// The present.
    pub now: Timestamp,
    /// Who was there.
    pub presence: &'a Presence,
    /// How many instants to answer at most.
    pub at_once: u64,
}

impl Look<'_> {
    /// Decides what becomes of all instants that are due.
    #[must_use]
    pub fn settle(&self, standing: &Standing) -> Settlement {
        let mut settling = Settling {
            look: self,
            standing,
            horizon: self.now.min(standing.until.unwrap_or(self.now)),
            joined: true,
            left: self.at_once,
            out: Settlement { covered: standing.covered, ..Settlement::default() },
        };
        match self.schedule.coalesce {
            true => settling.coalesce(),
            false => settling.in_order(),
        }
        settling.finish()
    }

    fn due(&self, planned: Timestamp) -> Timestamp {
        self.timing.due(self.schedule, planned)
    }

    fn is_past_grace(&self, planned: Timestamp) -> bool {
        let limit = self.timing.limit(self.schedule, planned);
        self.schedule.misfire_grace.is_some_and(|grace| self.now.duration_since(limit) > grace)
    }

    fn why(&self, planned: Timestamp, standing: &Standing) -> Hindrance {
        // In a row of instants in order each waits for the run of the one before.
        let waited = standing.waiting.is_some() || standing.running_since.is_some() || !self.schedule.coalesce;
        self.presence.why(self.timing.limit(self.schedule, planned), self.timing == Timing::Host, waited)
    }
}

struct Settling<'a> {
    look: &'a Look<'a>,
    standing: &'a Standing,
    /// The last instant that is looked at.
    horizon: Timestamp,
    /// Whether the next answer directly follows the last span.
    joined: bool,
    left: u64,
    out: Settlement,
}

impl Settling<'_> {
    /// The first instant after the cursor, if it is due and this look may go on.
    fn next(&mut self) -> Option<Timestamp> {
        let next = self.look.schedule.next_after(self.out.covered)?;
        if next > self.horizon || self.look.due(next) > self.look.now {
            return None;
        }
        if self.left == 0 {
            self.out.next = Some(self.look.now);
            return None;
        }
        self.left -= 1;
        Some(next)
    }

    /// The last instant that is due and that no pause skips, whether it has an answer or not.
    fn latest(&self) -> Option<Timestamp> {
        let mut found = self.latest_due(self.look.now)?;
        // Each pause is stepped over once.
        while let Some(pause) = self.pause(found) {
            found = self.latest_due(pause.from)?;
        }
        Some(found)
    }

    /// The last instant that is due by then.
    fn latest_due(&self, by: Timestamp) -> Option<Timestamp> {
        let covered = self.standing.covered;
        let last = latest(self.look.schedule, covered, self.horizon.min(by))?;
        if self.look.due(last) <= by {
            return Some(last);
        }
        // What comes before it is due before it is planned.
        latest(self.look.schedule, covered, last.checked_sub(SignedDuration::from_micros(1)).ok()?)
    }

    /// The pause in which the instant is due.
    fn pause(&self, planned: Timestamp) -> Option<&Pause> {
        let pauses = &self.standing.pauses;
        // Usually there is none.
        if pauses.is_empty() {
            return None;
        }
        let due = self.look.due(planned);
        pauses.iter().find(|pause| pause.covers(due))
    }

    fn is_ahead(&self, planned: Timestamp) -> bool {
        self.standing.ahead.binary_search(&planned).is_ok()
    }

    fn is_reopened(&self, planned: Timestamp) -> bool {
        self.standing.reopened.iter().any(|claim| claim.planned == planned)
    }

    /// Moves the cursor over an instant that has its row.
    fn pass(&mut self, planned: Timestamp) {
        self.out.covered = planned;
        self.joined = false;
    }

    fn answer(&mut self, planned: Timestamp, answer: Answer, into: Option<Timestamp>) {
        self.out.covered = planned;
        self.note(planned, answer, into, 1);
        match self.out.spans.last_mut() {
            Some(span) if self.joined && (span.answer, span.into) == (answer, into) => {
                (span.last, span.count) = (planned, span.count + 1);
            }
            _ => {
                self.out.continues |= self.joined && self.out.spans.is_empty();
                self.out.spans.push(Span { first: planned, last: planned, count: 1, answer, into });
            }
        }
        self.joined = true;
    }

    fn answer_again(&mut self, claim: &Claimed, answer: Answer, into: Option<Timestamp>) {
        let planned = claim.planned;
        if let (Some(new), Answer::Merged) = (&mut self.out.claim, answer)
            && into == Some(new.planned)
        {
            add(&mut new.merged, claim.merged);
        }
        if let Some(new) = &mut self.out.claim {
            add(&mut new.missed, claim.missed);
            // What it stood for is missed with it.
            add(&mut new.missed, if matches!(answer, Answer::Missed(_)) { claim.merged } else { (0, None) });
        }
        self.note(planned, answer, into, 1);
        self.out.again.push(Span { first: planned, last: planned, count: 1, answer, into });
    }

    /// Has the run know what it stands for.
    fn note(&mut self, planned: Timestamp, answer: Answer, into: Option<Timestamp>, count: u64) {
        let Some(claim) = &mut self.out.claim else { return };
        match answer {
            Answer::Merged if into == Some(claim.planned) => add(&mut claim.merged, (count, Some(planned))),
            Answer::Missed(_) => add(&mut claim.missed, (count, Some(planned))),
            _ => {}
        }
    }

    /// What has kept an instant from being run: of one that was claimed, what did so before it was, else that nothing came of it.
    fn why(&self, planned: Timestamp) -> Hindrance {
        match self.standing.reopened.iter().find(|claim| claim.planned == planned) {
            Some(claim) => claim.late.unwrap_or(Hindrance::RunnerEnded),
            None => self.look.why(planned, self.standing),
        }
    }

    /// The claim of an instant; what an earlier claim of it stood for, it stands for too.
    fn claim(&mut self, planned: Timestamp) {
        let due = self.look.timing.limit(self.look.schedule, planned);
        let late = (self.look.now.duration_since(due) > PUNCTUAL).then(|| self.why(planned));
        let earlier = self.standing.reopened.iter().find(|claim| claim.planned == planned);
        let (merged, missed) = earlier.map(|claim| (claim.merged, claim.missed)).unwrap_or_default();
        self.out.claim = Some(Claimed { planned, due, late, merged, missed });
    }

    /// The latest runs, and stands for those before it.
    fn coalesce(&mut self) {
        let reopened = self.standing.reopened.iter().rev().map(|claim| claim.planned);
        let reopened = reopened.into_iter().find(|planned| self.pause(*planned).is_none());
        let newest = self.latest().max(reopened);
        // One before an instant that ran already is merged into that.
        let is_open = |planned: &Timestamp| !self.is_ahead(*planned) || self.is_reopened(*planned);
        let newest = newest.filter(|planned| self.standing.waiting.is_none() && is_open(planned));
        if let Some(planned) = newest.filter(|planned| !self.look.is_past_grace(*planned)) {
            self.claim(planned);
        }
        let chosen = self.out.claim.map(|claim| claim.planned);
        for claim in self.standing.reopened.iter().filter(|claim| Some(claim.planned) != chosen) {
            let (answer, into) = self.fate(claim.planned);
            self.answer_again(claim, answer, into);
        }
        while let Some(planned) = self.next() {
            if Some(planned) == chosen || self.is_ahead(planned) {
                self.pass(planned);
            } else {
                let (answer, into) = self.fate(planned);
                self.answer(planned, answer, into);
            }
        }
    }

    /// What becomes of an instant that doesn't run itself.
    fn fate(&self, planned: Timestamp) -> (Answer, Option<Timestamp>) {
        if self.pause(planned).is_some() {
            return (Answer::Skipped(SkipCause::Paused), None);
        }
        if let Some(waiting) = self.standing.waiting {
            return (Answer::Merged, Some(waiting));
        }
        let missed = (Answer::Missed(self.why(planned)), None);
        if self.look.is_past_grace(planned) {
            return missed;
        }
        let ahead = self.standing.ahead.iter().copied().find(|ahead| *ahead > planned && !self.is_reopened(*ahead));
        let claim = self.out.claim.map(|claim| claim.planned).filter(|claim| *claim > planned);
        match ahead.into_iter().chain(claim).min() {
            Some(into) => (Answer::Merged, Some(into)),
            None => missed,
        }
    }

    /// Each runs, one after the other.
    fn in_order(&mut self) {
        if self.standing.waiting.is_some() {
            self.out.blocked = true;
            return;
        }
        let mut passed = Vec::new();
        for claim in &self.standing.reopened {
            let Some(answer) = self.passed_over(claim.planned) else {
                self.take_turn(claim.planned);
                break;
            };
            passed.push((claim, answer));
        }
        let mut before = Vec::new();
        while self.out.claim.is_none() && !self.out.blocked {
            let Some(planned) = self.next() else { break };
            if self.is_ahead(planned) {
                self.pass(planned);
            } else if let Some(answer) = self.passed_over(planned) {
                before.extend(matches!(answer, Answer::Missed(_)).then_some(planned));
                self.answer(planned, answer, None);
            } else if self.take_turn(planned) {
                self.pass(planned);
            }
        }
        // Once it is known which run comes after them, and tells of them.
        for (claim, answer) in passed {
            self.answer_again(claim, answer, None);
        }
        if let (Some(claim), Some(first)) = (&mut self.out.claim, before.first()) {
            add(&mut claim.missed, (before.len() as u64, Some(*first)));
        }
    }

    /// The answer of an instant whose turn doesn't come.
    fn passed_over(&self, planned: Timestamp) -> Option<Answer> {
        if self.pause(planned).is_some() {
            return Some(Answer::Skipped(SkipCause::Paused));
        }
        self.look.is_past_grace(planned).then(|| Answer::Missed(self.why(planned)))
    }

    /// Claims the instant, unless it was due before the run that is under way began: then it waits for its end.
    fn take_turn(&mut self, planned: Timestamp) -> bool {
        let its_turn = self.standing.running_since.is_none_or(|since| self.look.due(planned) > since);
        if its_turn {
            self.claim(planned);
        }
        self.out.blocked = !its_turn;
        its_turn
    }

    fn finish(mut self) -> Settlement {
        if self.out.next.is_some() || self.out.blocked {
            return self.out;
        }
        let mut next = self.look.schedule.next_after(self.out.covered);
        while let Some(planned) = next.filter(|planned| self.is_ahead(*planned)) {
            next = self.look.schedule.next_after(planned);
        }
        match (next, self.standing.until) {
            (Some(next), Some(until)) if next <= until => {}
            (_, Some(until)) => {
                // As long as something is claimed, it may be open again.
                self.out.blocked = self.standing.waiting.is_some() || self.out.claim.is_some();
                if !self.out.blocked {
                    self.out.covered = self.out.covered.max(until);
                }
                return self.out;
            }
            (_, None) => {}
        }
        // Of a row of instants in order the next may be due already: it waits for the claim to begin.
        let due = next.map(|next| self.look.due(next));
        self.out.blocked = due.is_some_and(|due| due <= self.look.now);
        self.out.next = due.filter(|due| *due > self.look.now);
        self.out
    }
}

/// Adds some instants to others.
fn add(to: &mut (u64, Option<Timestamp>), more: (u64, Option<Timestamp>)) {
    to.0 += more.0;
    to.1 = to.1.into_iter().chain(more.1).min();
}

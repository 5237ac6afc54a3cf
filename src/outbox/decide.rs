//! What is to be done with an entry, and with its sender, now and after a try. Pure: the time and chance are parameters.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::mail::{Accepted, DeliveryError, DeliveryFailure, NextStep, Refused, Stage};
use crate::store::{Hold, HoldKind, OutboxKind, OutboxRow, OutboxState, RefusedRecipient, Tried};

/// The first pause before a message, or a server that has trouble, is tried again. It doubles each time.
const FIRST_PAUSE: TimeDelta = TimeDelta::minutes(1);
/// The longest.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(6);
/// By how much of itself a pause is longer at random, so that many machines don't come back all at once.
const JITTER: f64 = 0.2;
/// The first pause of a sender who has sent too much: limits are reckoned over minutes or, of recipients, over a day, so
/// that what helps sooner is known after this, and a whole day is covered with few tries.
const FIRST_QUOTA_PAUSE: TimeDelta = TimeDelta::minutes(15);
/// The longest.
const LONGEST_QUOTA_PAUSE: TimeDelta = TimeDelta::hours(4);
/// How often a sender that somebody has to mend is tried.
const PROBE: TimeDelta = TimeDelta::hours(1);
/// When one looks again at what waits without a time.
const UNTIMED: TimeDelta = TimeDelta::minutes(5);
/// How long an undelivered entry is tried.
const LIFETIME: TimeDelta = TimeDelta::days(7);
/// Messages that fail one after the other before it is taken to be the server's trouble.
const IN_A_ROW: u32 = 3;

/// What a sender may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Send.
    Go,
    /// Nothing, until the hold is over.
    Wait,
}

/// How long an entry is kept from others by somebody who delivers without the lock.
pub(super) const CLAIM: TimeDelta = TimeDelta::minutes(10);

/// Whether somebody without the lock may be delivering an entry.
pub(super) fn is_claimed(row: &OutboxRow, now: DateTime<Utc>) -> bool {
    row.state == OutboxState::Sending && row.next_at.is_some_and(|until| until > now && until <= now + CLAIM)
}

/// Whether an entry never had its turn, nor another one for it.
pub(super) fn is_new(row: &OutboxRow) -> bool {
    row.attempts == 0 && row.sender.is_none()
}

/// What comes first has the smallest: what the run itself has to say, a mail before calls, a sender that nobody has tried
/// for a new entry before those who are known to have trouble.
pub(super) fn rank(kind: OutboxKind, is_own: bool, has_new: bool) -> (bool, bool, bool) {
    (!is_own, !kind.is_mail(), !has_new)
}

/// Whether a sender is tried. `has_new`: an entry of its waits that never had a try, as at the end of each run: then a
/// server that had trouble is asked again, but nobody who sent too much, or has to mend something first.
pub(super) fn turn(hold: Option<&Hold>, has_new: bool, now: DateTime<Utc>) -> Turn {
    match hold {
        None => Turn::Go,
        Some(hold) if has_come(hold.until, now) || has_new && hold.kind == HoldKind::Retry => Turn::Go,
        Some(_) => Turn::Wait,
    }
}

/// Whether an entry may be tried by now, as far as it depends on itself.
pub(super) fn is_due(row: &OutboxRow, now: DateTime<Utc>) -> bool {
    row.next_at.is_none_or(|at| has_come(at, now))
}

/// When something of these is to be tried next; `None` if nothing is. What waits for no time, but for somebody to mend its project or
/// for the account's rate, is looked at again soon.
pub(super) fn next_turn(
    rows: &[OutboxRow],
    holds: &HashMap<String, Hold>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let turn = |row: &OutboxRow| {
        let hold = row.sender.as_ref().and_then(|sender| holds.get(sender)).map(|hold| hold.until);
        let times = row.next_at.into_iter().chain(hold).filter(|at| !has_come(*at, now));
        let soon = || if is_new(row) && row.last_error.is_none() { now } else { now + UNTIMED };
        times.max().unwrap_or_else(soon)
    };
    rows.iter().filter(|row| !row.state.is_final()).map(turn).min()
}

/// A time that is further away than any pause was set by a clock that was wrong.
fn has_come(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    at <= now || at > now + LONGEST_PAUSE * 2
}

/// Whether an entry has been tried for long enough.
pub(super) fn is_expired(row: &OutboxRow, now: DateTime<Utc>) -> bool {
    now - row.queued_at >= LIFETIME
}

/// The end of an entry that has been tried, or has waited, for long enough.
pub(super) fn expired(row: &OutboxRow, error: &str, now: DateTime<Utc>) -> Tried {
    unusable(row, &format!("given up after {} days: {error}", LIFETIME.num_days()), now)
}

/// The end of an entry that nothing can be done with.
pub(super) fn unusable(row: &OutboxRow, error: &str, now: DateTime<Utc>) -> Tried {
    Tried { state: OutboxState::Failed, error: Some(error.to_owned()), ..blank(row, now) }
}

/// What comes of a message that was taken, for one recipient at least.
pub(super) fn accepted(row: &OutboxRow, accepted: &Accepted, now: DateTime<Utc>, random: f64) -> Tried {
    let (later, never): (Vec<&Refused>, Vec<&Refused>) =
        accepted.refused.iter().partition(|refused| refused.is_temporary() && !is_expired(row, now));
    let refused = merged(&row.refused, never);
    let mut notes: Vec<String> = Vec::new();
    if row.in_doubt {
        notes.push("sent again, since nobody could know whether the server had it the time before".to_owned());
    }
    if !refused.is_empty() {
        let told = refused.iter().map(|one| format!("{} ({})", one.recipient, one.reply));
        notes.push(format!("refused for {}", told.collect::<Vec<_>>().join(", ")));
    }
    let reply = std::iter::once(accepted.reply.clone()).chain(notes).collect::<Vec<_>>().join("; ");
    let base = blank(row, now);
    if later.is_empty() {
        let begins = row.conversation.clone().zip(accepted.message_id.clone());
        return Tried { state: OutboxState::Sent, refused, reply: Some(reply), begins, ..base };
    }
    let told = later.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Tried {
        recipients: later.iter().map(|one| one.recipient.clone()).collect(),
        refused,
        next_at: Some(now + backoff(row.failures + 1, random)),
        error: Some(format!("sent, but not yet to {told}")),
        reply: Some(reply),
        // Those who have it don't get it again: nothing is in doubt for the others.
        ..base
    }
}

/// What comes of a message that was not delivered: for the message and, if it is not the message's fault, for its sender.
/// `in_a_row`: how many messages had failed just before.
pub(super) fn failed(
    row: &OutboxRow,
    error: &DeliveryError,
    hold: Option<&Hold>,
    in_a_row: u32,
    now: DateTime<Utc>,
    random: f64,
) -> (Tried, Option<Hold>) {
    let is_senders = is_before_message(error.stage);
    let sentence = error.to_string();
    let mut tried = Tried {
        in_doubt: row.in_doubt || error.is_in_doubt(),
        error: Some(sentence.clone()),
        reply: error.reply.clone(),
        ..blank(row, now)
    };
    let hold_for = |kind, first, longest| {
        let since = hold.filter(|hold| hold.kind == kind).map_or(now, |hold| hold.since.min(now));
        // As long again as it has lasted: twice as long each time.
        let pause = with_jitter((now - since).clamp(first, longest), random);
        let (error, reply) = (sentence.clone(), error.reply.clone());
        Hold { sender: String::new(), kind, since, until: now + pause, error, reply }
    };
    let hold = match error.next_step() {
        NextStep::Fail => {
            tried.state = OutboxState::Failed;
            None
        }
        NextStep::Hold => {
            tried.state = OutboxState::Held;
            Some(hold_for(HoldKind::Hold, PROBE, PROBE))
        }
        NextStep::Pause => Some(hold_for(HoldKind::Pause, FIRST_QUOTA_PAUSE, LONGEST_QUOTA_PAUSE)),
        NextStep::Retry => {
            if !is_senders {
                tried.next_at = Some(now + backoff(row.failures + 1, random));
            }
            (is_senders || is_stall(error) || in_a_row + 1 >= IN_A_ROW)
                .then(|| hold_for(HoldKind::Retry, FIRST_PAUSE, LONGEST_PAUSE))
        }
    };
    if !tried.state.is_final() && is_expired(row, now) {
        tried = Tried { in_doubt: tried.in_doubt, reply: tried.reply, ..expired(row, &sentence, now) };
    }
    (tried, hold)
}

/// Whether all other messages of the sender would have failed likewise.
pub(super) fn concerns_all(error: &DeliveryError) -> bool {
    is_before_message(error.stage) || is_stall(error) || matches!(error.next_step(), NextStep::Hold | NextStep::Pause)
}

/// Whoever takes so long with one would take as long with each of the others.
fn is_stall(error: &DeliveryError) -> bool {
    error.failure == DeliveryFailure::Deadline
}

fn is_before_message(stage: Stage) -> bool {
    use Stage::{Connect, Lookup, SignIn, StartTls, Token};
    matches!(stage, Lookup | Connect | StartTls | Token | SignIn)
}

/// When, from now on, an account that may send so many messages a minute may send the next, by when it has sent.
pub(super) fn pause_for_rate(rate: u32, sent: &[DateTime<Utc>], now: DateTime<Utc>) -> TimeDelta {
    let minute = TimeDelta::minutes(1);
    let within: Vec<_> = sent.iter().filter(|at| **at > now - minute && **at <= now + minute).collect();
    let rate = usize::try_from(rate).unwrap_or(usize::MAX).max(1);
    match within.len().checked_sub(rate).and_then(|first| within.get(first)) {
        Some(oldest) => (**oldest + minute - now).clamp(TimeDelta::zero(), minute),
        None => TimeDelta::zero(),
    }
}

fn blank(row: &OutboxRow, now: DateTime<Utc>) -> Tried {
    Tried {
        id: row.id,
        state: OutboxState::Queued,
        in_doubt: row.in_doubt,
        recipients: row.recipients.clone(),
        refused: row.refused.clone(),
        next_at: None,
        error: None,
        reply: None,
        time: now,
        mail: None,
        begins: None,
    }
}

/// A minute, then twice as long each time.
fn backoff(failures: u32, random: f64) -> TimeDelta {
    let doublings = failures.saturating_sub(1).min(20);
    with_jitter((FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE), random)
}

fn with_jitter(pause: TimeDelta, random: f64) -> TimeDelta {
    let more = pause.as_seconds_f64() * JITTER * random.clamp(0.0, 1.0);
    pause + TimeDelta::milliseconds((more * 1000.0) as i64)
}

fn merged(earlier: &[RefusedRecipient], now: Vec<&Refused>) -> Vec<RefusedRecipient> {
    let new =
        now.into_iter().map(|one| RefusedRecipient { recipient: one.recipient.clone(), reply: one.reply.clone() });
    earlier.iter().cloned().chain(new).collect()
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;

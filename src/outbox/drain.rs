//! One going through the outbox, by whoever has its lock: sender by sender, each one's messages oldest first.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::runtime::Runtime;

use super::decide::{self, Turn};
use super::kept;
use super::post::Couriers;
use super::sender::{Sender, Senders};
use super::settle;
use crate::mail::Deadline;
use crate::model::MailState;
use crate::store::{Hold, HoldKind, OutboxKind, OutboxRow, OutboxState, PutOff, Store, StoreError, Tried};

/// At most so much time passes between what a server took and when that would survive a loss of power.
const DURABLE_WITHIN: Duration = Duration::from_secs(1);

/// Whether what keeps messages from being sent is respected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It is: pauses, holds and times.
    No,
    /// Everything is tried now.
    Yes,
}

/// One going through.
pub(super) struct Drain<'a> {
    pub(super) store: &'a mut Store,
    pub(super) runtime: &'a Runtime,
    pub(super) senders: Senders<'a>,
    pub(super) couriers: &'a dyn Couriers,
    pub(super) deadline: &'a Deadline,
    pub(super) force: Force,
    /// Entries that were tried, or for which another one was.
    pub(super) handled: HashSet<i64>,
    /// When what is recorded was last made to survive a loss of power.
    pub(super) durable_at: Instant,
}

impl Drain<'_> {
    /// Delivers what can be delivered before the deadline, also what others put in meanwhile.
    pub(super) fn run(&mut self) -> Result<(), StoreError> {
        self.runtime.block_on(kept::take_in(self.store))?;
        // Whoever delivered them died before it could say so.
        for row in self.runtime.block_on(self.store.untold())? {
            self.tell(&row, settle::mail_state(&row))?;
        }
        let result = self.rounds();
        if self.handled.is_empty() {
            return result;
        }
        self.runtime.block_on(self.store.forget_delivered(Utc::now()))?;
        self.store.make_durable()?;
        result
    }

    fn rounds(&mut self) -> Result<(), StoreError> {
        let mut before = None;
        // Until nothing more was tried.
        while !self.is_over() && before.replace(self.handled.len()) != Some(self.handled.len()) {
            let now = Utc::now();
            let mut rows = self.runtime.block_on(self.store.undelivered())?;
            rows.retain(|row| {
                let due = self.force == Force::Yes || decide::is_due(row, now);
                due && !self.handled.contains(&row.id)
            });
            for (sender, rows) in self.by_sender(rows)? {
                self.turn_of(&sender, &rows)?;
                if self.is_over() {
                    break;
                }
            }
        }
        Ok(())
    }

    pub(super) fn is_over(&self) -> bool {
        self.deadline.left().is_zero()
    }

    /// The entries of each sender, senders by their oldest entry. Those without one wait for somebody to mend that.
    fn by_sender(&mut self, rows: Vec<OutboxRow>) -> Result<Vec<(Sender, Vec<OutboxRow>)>, StoreError> {
        let mut groups: Vec<(Sender, Vec<OutboxRow>)> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for row in rows {
            match self.senders.of(&row) {
                Ok(sender) => {
                    let place = *places.entry(sender.fingerprint.clone()).or_insert_with(|| {
                        groups.push((sender, Vec::new()));
                        groups.len() - 1
                    });
                    if let Some((_, rows)) = groups.get_mut(place) {
                        rows.push(row);
                    }
                }
                Err(why) => {
                    let why =
                        PutOff { state: OutboxState::Held, sender: None, as_tried: false, error: &why, reply: None };
                    self.put_off(&[row], &why)?;
                }
            }
        }
        Ok(groups)
    }

    /// What a sender's entries come to.
    fn turn_of(&mut self, sender: &Sender, rows: &[OutboxRow]) -> Result<(), StoreError> {
        let mut hold = self.runtime.block_on(self.store.holds())?.remove(&sender.fingerprint);
        let has_new = rows.iter().any(|row| row.attempts == 0);
        if let (Turn::Wait, Force::No, Some(hold)) =
            (decide::turn(hold.as_ref(), has_new, Utc::now()), self.force, hold.as_ref())
        {
            return self.put_off(rows, &waiting(hold));
        }
        let mut carrier = sender.carrier(self.couriers);
        let mut in_a_row = 0;
        for (place, row) in rows.iter().enumerate() {
            if !self.wait_for_rate(sender)? {
                let rest = rows.get(place..).unwrap_or_default();
                let error = "MAIL_RATE lets no more messages of this account out for now; it is sent later";
                let why = PutOff { state: OutboxState::Queued, sender: None, as_tried: false, error, reply: None };
                return if self.is_over() { Ok(()) } else { self.put_off(rest, &why) };
            }
            self.handled.insert(row.id);
            let attempt = self.attempt(row, sender, &mut carrier, hold.as_ref(), in_a_row)?;
            in_a_row = if attempt.delivered { 0 } else { in_a_row + 1 };
            match attempt.hold {
                Some(new) => {
                    self.runtime.block_on(self.store.set_hold(&new))?;
                    if attempt.concerns_all {
                        let rest = rows.get(place + 1..).unwrap_or_default();
                        self.handled.extend(rest.iter().map(|row| row.id));
                        let as_tried = new.kind == HoldKind::Retry;
                        self.put_off(rest, &PutOff { as_tried, ..waiting(&new) })?;
                    }
                    break;
                }
                None if hold.take().is_some() => self.runtime.block_on(self.store.end_hold(&sender.fingerprint))?,
                None => {}
            }
        }
        Ok(())
    }

    /// Notes for entries what they wait for; those that have waited for too long have failed.
    fn put_off(&mut self, rows: &[OutboxRow], why: &PutOff<'_>) -> Result<(), StoreError> {
        let now = Utc::now();
        let (expired, waiting): (Vec<_>, Vec<_>) = rows.iter().partition(|row| decide::is_expired(row, now));
        let ids: Vec<i64> = waiting.iter().map(|row| row.id).collect();
        if !ids.is_empty() {
            self.runtime.block_on(self.store.put_off(&ids, why))?;
        }
        for row in expired {
            self.end(row, decide::expired(row, why.error, now))?;
        }
        Ok(())
    }

    /// Has the events of a run that is over tell what has become of its mail.
    fn tell(&mut self, row: &OutboxRow, mail: MailState) -> Result<(), StoreError> {
        if let Some(run_dir) = &row.run_dir {
            settle::tell_events(run_dir, mail);
        }
        self.runtime.block_on(self.store.mark_told(row.id))
    }

    /// Records what has become of an entry, and tells its run if that is over.
    pub(super) fn end(&mut self, row: &OutboxRow, mut tried: Tried) -> Result<(), StoreError> {
        if tried.state.is_final() && row.kind == OutboxKind::Mail {
            tried.mail = Some(settle::told(tried.state, tried.error.as_deref(), tried.reply.as_deref()));
        }
        let has_to_be_told = self.runtime.block_on(self.store.end_try(&tried))?;
        if let (true, Some(mail)) = (has_to_be_told, tried.mail) {
            self.tell(row, mail)?;
        }
        if self.durable_at.elapsed() > DURABLE_WITHIN {
            self.store.make_durable()?;
            self.durable_at = Instant::now();
        }
        Ok(())
    }
}

/// How entries wait for a hold to end.
fn waiting(hold: &Hold) -> PutOff<'_> {
    let state = if hold.kind == HoldKind::Hold { OutboxState::Held } else { OutboxState::Queued };
    let Hold { sender, error, reply, .. } = hold;
    PutOff { state, sender: Some(sender), as_tried: false, error, reply: reply.as_deref() }
}

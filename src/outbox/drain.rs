//! One going through the outbox, by whoever has its lock: sender by sender, what is waited for first, then the oldest.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::runtime::Runtime;

use super::carry::Carrier;
use super::decide::{self, Turn};
use super::kept;
use super::post::Couriers;
use super::sender::{NoSender, Sender, Senders};
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
    /// Whether one has the lock; if not, one delivers one's own entries and no others.
    pub(super) alone: bool,
    /// Entries of a run that is waiting for them: they come first.
    pub(super) own: HashSet<i64>,
    /// Entries that were tried, or for which another one was, or that have no sender.
    pub(super) handled: HashSet<i64>,
    /// Entries that wait for their sender, by its fingerprint.
    pub(super) waiting: BTreeMap<String, HashSet<i64>>,
    /// Connections that may be of use once more, by their sender.
    pub(super) carriers: BTreeMap<String, Carrier>,
    /// The newest entry there was when one looked last.
    pub(super) newest: i64,
    /// When what is recorded was last made to survive a loss of power.
    pub(super) durable_at: Instant,
}

impl Drain<'_> {
    /// Delivers what can be delivered before the deadline, also what others put in meanwhile.
    pub(super) fn run(&mut self) -> Result<(), StoreError> {
        if self.alone {
            self.runtime.block_on(kept::take_in(self.store))?;
            // Whoever delivered them died before it could say so.
            for row in self.runtime.block_on(self.store.untold())? {
                self.tell(&row, settle::mail_state(&row))?;
            }
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
        while !self.is_over() {
            let now = Utc::now();
            let mut rows = self.runtime.block_on(self.store.undelivered())?;
            self.newest = self.runtime.block_on(self.store.newest_entry())?;
            rows.retain(|row| {
                let due = match self.alone {
                    true => (self.force == Force::Yes || decide::is_due(row, now)) && !decide::is_claimed(row, now),
                    false => self.own.contains(&row.id),
                };
                due && !self.handled.contains(&row.id) && !self.waiting.values().any(|ids| ids.contains(&row.id))
            });
            let Some((sender, rows)) = self.next(rows)? else { break };
            self.turn_of(&sender, &rows)?;
        }
        Ok(())
    }

    /// Whether something was put in since one looked: what is new may have to go first.
    pub(super) fn has_news(&mut self) -> Result<bool, StoreError> {
        Ok(self.runtime.block_on(self.store.newest_entry())? > self.newest)
    }

    pub(super) fn is_over(&self) -> bool {
        self.deadline.left().is_zero()
    }

    /// Who has the next turn, with which entries: new ones first, then by age. Entries without a sender wait for somebody to
    /// mend that.
    fn next(&mut self, rows: Vec<OutboxRow>) -> Result<Option<(Sender, Vec<OutboxRow>)>, StoreError> {
        let mut groups: Vec<(Sender, Vec<OutboxRow>)> = Vec::new();
        let mut places: BTreeMap<(bool, String), usize> = BTreeMap::new();
        for row in rows {
            let mut sender = self.senders.of(&row);
            // An alarm goes out although the project file is broken: that is what it tells.
            if sender.is_err() && row.kind == OutboxKind::Webhook && row.run_id.is_none() {
                let contact = self.store.contact(&row.project_dir, row.profile.as_deref());
                sender = self.senders.of_kept(&row, self.runtime.block_on(contact)?.as_ref());
            }
            match sender {
                Ok(sender) => {
                    let key = (self.own.contains(&row.id), sender.fingerprint.clone());
                    let place = *places.entry(key).or_insert_with(|| {
                        groups.push((sender, Vec::new()));
                        groups.len() - 1
                    });
                    if let Some((_, rows)) = groups.get_mut(place) {
                        rows.push(row);
                    }
                }
                Err(NoSender { state, why }) => {
                    self.handled.insert(row.id);
                    let why = PutOff { state, sender: None, error: &why, reply: None };
                    self.put_off(&[row], &why)?;
                }
            }
        }
        // The first of those who come first: the one with the oldest entry.
        let next = groups.into_iter().min_by_key(|(_, rows)| {
            let is_own = rows.iter().any(|row| self.own.contains(&row.id));
            let kind = rows.first().map_or(OutboxKind::Mail, |row| row.kind);
            decide::rank(kind, is_own, rows.iter().any(decide::is_new))
        });
        Ok(next.map(|(sender, mut rows)| {
            rows.sort_by_key(|row| !decide::is_new(row));
            (sender, rows)
        }))
    }

    /// What a sender's entries come to; what came in meanwhile may interrupt it.
    fn turn_of(&mut self, sender: &Sender, rows: &[OutboxRow]) -> Result<(), StoreError> {
        let mut hold = self.runtime.block_on(self.store.holds())?.remove(&sender.fingerprint);
        let has_new = rows.iter().any(decide::is_new);
        if let (Turn::Wait, Force::No, Some(hold)) =
            (decide::turn(hold.as_ref(), has_new, Utc::now()), self.force, hold.as_ref())
        {
            return self.wait(sender, rows, &waiting(hold));
        }
        // The connection that was there for a run's own mail, or with which a hold came to its end, serves the sender's others.
        let known = self.carriers.remove(&sender.fingerprint);
        let mut carrier = known.unwrap_or_else(|| sender.carrier(self.couriers));
        let mut in_a_row = 0;
        let (mut is_broken_off, mut is_hold_over) = (false, false);
        for (place, row) in rows.iter().enumerate() {
            is_broken_off = place > 0 && self.has_news()?;
            if is_broken_off {
                break;
            }
            if !self.wait_for_rate(sender)? {
                if self.is_over() || self.has_news()? {
                    return Ok(());
                }
                let error = "MAIL_RATE lets no more messages of this account out for now; it is sent later";
                let why = PutOff { state: OutboxState::Queued, sender: None, error, reply: None };
                return self.wait(sender, rows.get(place..).unwrap_or_default(), &why);
            }
            self.handled.insert(row.id);
            let Some(attempt) = self.attempt(row, sender, &mut carrier, hold.as_ref(), in_a_row)? else { continue };
            in_a_row = if attempt.delivered { 0 } else { in_a_row + 1 };
            match attempt.hold {
                Some(new) => {
                    self.runtime.block_on(self.store.set_hold(&new))?;
                    if attempt.concerns_all {
                        let rest = rows.get(place + 1..).unwrap_or_default();
                        self.handled.extend(rest.iter().map(|row| row.id));
                        self.put_off(rest, &waiting(&new))?;
                    }
                    return Ok(());
                }
                None if hold.take().is_some() => {
                    self.runtime.block_on(self.store.end_hold(&sender.fingerprint))?;
                    self.waiting.remove(&sender.fingerprint);
                    is_hold_over = true;
                }
                None => {}
            }
        }
        if is_broken_off || is_hold_over || rows.iter().any(|row| self.own.contains(&row.id)) {
            self.carriers.insert(sender.fingerprint.clone(), carrier);
        }
        Ok(())
    }

    /// Has a sender's entries wait, until the sender has delivered something.
    fn wait(&mut self, sender: &Sender, rows: &[OutboxRow], why: &PutOff<'_>) -> Result<(), StoreError> {
        self.waiting.entry(sender.fingerprint.clone()).or_default().extend(rows.iter().map(|row| row.id));
        self.put_off(rows, why)
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
    PutOff { state, sender: Some(sender), error, reply: reply.as_deref() }
}

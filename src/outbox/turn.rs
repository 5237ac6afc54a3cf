//! One message on its way.

use std::time::Duration;

use super::carry::Carrier;
use super::decide;
use super::drain::Drain;
use super::sender::Sender;
use crate::store::{Hold, OutboxRow, StoreError, Tried};
use chrono::{TimeDelta, Utc};

/// How long it may take until a message is begun to be handed over: the connection, signing in, naming who it is for.
const UNTIL_BEGUN: Duration = Duration::from_secs(20);
/// How long handing it over may take: a large one over a slow line takes minutes.
const HANDING_OVER: Duration = Duration::from_secs(300);
/// How long one sleeps before looking whether there is still time.
const NAP: Duration = Duration::from_millis(50);

/// What an attempt at a message means for the others of its sender.
pub(super) struct Attempt {
    pub(super) delivered: bool,
    /// What keeps the sender from sending from now on.
    pub(super) hold: Option<Hold>,
    /// Whether the others would have fared the same.
    pub(super) concerns_all: bool,
}

impl Drain<'_> {
    /// Tries to deliver a message, and records what it has come to; `None` if there was nothing to try.
    pub(super) fn attempt(
        &mut self,
        row: &OutboxRow,
        sender: &Sender,
        carrier: &mut Carrier,
        hold: Option<&Hold>,
        in_a_row: u32,
    ) -> Result<Option<Attempt>, StoreError> {
        let Sender { fingerprint, account, .. } = sender;
        if !self.runtime.block_on(self.store.begin_try(row, fingerprint, account))? {
            return Ok(None);
        }
        let bytes = match self.runtime.block_on(self.store.message(row.id)) {
            Ok(bytes) => bytes,
            // The others may be whole.
            Err(error @ StoreError::Corrupt { .. }) => {
                self.end(row, decide::unusable(row, &error.sentence(), Utc::now()))?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let (store, runtime) = (&mut *self.store, self.runtime);
        let deadline = self.deadline.for_a_part(UNTIL_BEGUN);
        // A call is short, and begun at once.
        let longest = if row.kind.is_mail() { HANDING_OVER } else { UNTIL_BEGUN };
        let mut handing_over = || {
            deadline.allow(longest);
            // The message is sent all the same: should this process die now too, it is sent twice without a word.
            if let Err(error) = runtime.block_on(store.mark_in_doubt(row.id)) {
                tracing::warn!("{}", error.sentence());
            }
        };
        let sent = carrier.send(row.from.as_deref(), &row.recipients, bytes, &deadline, &mut handing_over);
        let (now, random) = (Utc::now(), random());
        let (tried, hold, delivered, concerns_all): (Tried, _, _, _) = match &sent {
            Ok(accepted) => (decide::accepted(row, accepted, now, random), None, true, false),
            Err(error) => {
                let (tried, hold) = decide::failed(row, error, hold, in_a_row, now, random);
                (tried, hold, false, decide::concerns_all(error))
            }
        };
        self.end(row, tried)?;
        let hold = hold.map(|hold| Hold { sender: fingerprint.clone(), ..hold });
        Ok(Some(Attempt { delivered, hold, concerns_all }))
    }

    /// Waits until the account may send the next message; false if that is after the deadline.
    pub(super) fn wait_for_rate(&mut self, sender: &Sender) -> Result<bool, StoreError> {
        while !self.is_over() {
            let Some(rate) = sender.rate() else { return Ok(true) };
            let now = Utc::now();
            let since = now - TimeDelta::minutes(1);
            let sent = self.runtime.block_on(self.store.sent_since(&sender.account, since))?;
            let pause = decide::pause_for_rate(rate, &sent, now).to_std().unwrap_or_default();
            if pause.is_zero() {
                return Ok(true);
            }
            if pause > self.deadline.left() {
                return Ok(false);
            }
            let end = std::time::Instant::now() + pause;
            while !self.is_over() && !self.has_news()? && std::time::Instant::now() < end {
                std::thread::sleep(NAP.min(pause));
            }
            if self.has_news()? {
                return Ok(false);
            }
        }
        Ok(false)
    }
}

/// Between 0 and 1.
fn random() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

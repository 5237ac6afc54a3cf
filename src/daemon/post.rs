//! What is to be sent although no run happens: what waits in the outbox, word of runs that died or were missed, and digests. On a thread of its own, one
//! at a time, so that no slow server keeps a run from beginning.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::control::Message;
use super::news::{InForce, News};
use super::word::{Tell, warning};
use super::work::DaemonOptions;
use crate::exec::Cancel;
use crate::mail::Deadline;
use crate::model::to_timestamp;
use crate::outbox::{Force, Outbox, SmtpCouriers};
use crate::runner::{self, History, Notice, RunOptions};

/// How long one look may send.
const AT_ONCE: Duration = Duration::from_secs(300);
/// How long after a look the next is at the earliest: runs send their own mails themselves.
const PAUSE: SignedDuration = SignedDuration::from_secs(15);
/// When one looks again if the outbox or the database couldn't be used.
const AFTER_TROUBLE: SignedDuration = SignedDuration::from_mins(5);

pub(super) fn after_trouble() -> Option<Timestamp> {
    Timestamp::now().checked_add(AFTER_TROUBLE).ok()
}

/// Who sees to it, and when.
pub(super) struct Post {
    /// When to look next.
    at: Option<Timestamp>,
    earliest: Timestamp,
    is_under_way: bool,
    is_first: bool,
    /// What was known of missed instants when one asked last.
    untold: f64,
}

impl Post {
    /// Looks as soon as it may: the last one who was there may have died.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { at: Some(now), earliest: now, is_under_way: false, is_first: true, untold: 0.0 }
    }

    /// When it has something to do.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.at.filter(|_| !self.is_under_way)
    }

    /// Something may have been put into the outbox, or the clock was set.
    pub(super) fn ask(&mut self, now: Timestamp) {
        // A clock that was set back must not keep it waiting.
        self.earliest = self.earliest.min(now.saturating_add(PAUSE).unwrap_or(now));
        let at = self.earliest.max(now);
        self.at = Some(self.at.map_or(at, |before| before.min(at)));
    }

    /// Asks for a look if instants were missed of which nobody was told.
    pub(super) fn heed(&mut self, untold: f64, now: Timestamp) {
        if untold != self.untold {
            self.untold = untold;
            self.ask(now);
        }
    }

    /// The look is over, and the next is to be then.
    pub(super) fn done(&mut self, next: Option<Timestamp>, now: Timestamp) {
        self.is_under_way = false;
        self.earliest = now.saturating_add(PAUSE).unwrap_or(now);
        let next = self.at.into_iter().chain(next).min();
        self.at = next.map(|at| at.max(self.earliest));
    }

    /// Begins the look if it is time.
    pub(super) fn start(&mut self, now: Timestamp, errand: &Arc<Errand>, in_force: impl FnOnce() -> InForce) {
        if self.at().is_none_or(|at| at > now) {
            return;
        }
        let (errand, is_first) = (Arc::clone(errand), std::mem::take(&mut self.is_first));
        let in_force = in_force();
        let look = move || {
            let next = errand.look(is_first, &in_force);
            // Whoever asked may have ended.
            let _ = errand.sender.send(Message::Posted(next));
        };
        self.at = None;
        self.is_under_way = std::thread::Builder::new().name("post".into()).spawn(look).is_ok();
        if !self.is_under_way {
            self.at = now.checked_add(AFTER_TROUBLE).ok();
        }
    }
}

/// What a look needs.
pub(super) struct Errand {
    pub(super) sender: Sender<Message>,
    pub(super) options: Arc<DaemonOptions>,
    pub(super) cancel: Cancel,
    pub(super) tell: Arc<Tell>,
    pub(super) news: News,
}

impl Errand {
    fn look(&self, is_first: bool, in_force: &InForce) -> Option<Timestamp> {
        let deadline = Deadline::after(AT_ONCE);
        if is_first {
            runner::recover_others(&[], &self.run_options(), &deadline, &|notice| match notice {
                Notice::Waiting(_) => {}
                Notice::Recorded(text) | Notice::Trouble(text) => (self.tell)(warning(text)),
            });
        }
        let news = self.news.look(&self.options, in_force, &*self.tell);
        if self.options.mail != crate::model::MailDelivery::Send {
            return news;
        }
        let state_dir = self.options.history.state_dir().to_owned();
        let outbox = Outbox::new(state_dir.clone(), Arc::new(SmtpCouriers::new(Some(state_dir))));
        let sent = outbox.drain(None, &[], &deadline, Force::No).and_then(|_| outbox.next_turn());
        let sent = match sent {
            Ok(next) => next.map(to_timestamp),
            Err(why) => {
                (self.tell)(warning(format!("what waits to be sent can't be seen to: {why}")));
                after_trouble()
            }
        };
        sent.into_iter().chain(news).min()
    }

    fn run_options(&self) -> RunOptions {
        RunOptions {
            mail: self.options.mail.clone(),
            history: History::Shared(self.options.history.current()),
            spawner: Arc::clone(&self.options.spawner),
            cancel: self.cancel.clone(),
            ..RunOptions::default()
        }
    }
}

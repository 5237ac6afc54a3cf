//! The alarms of one attempt.

use std::time::Instant;

/// When the things are due that nobody else brings about.
#[derive(Default)]
pub(super) struct Alarms {
    pub(super) timeout: Option<Instant>,
    pub(super) kill: Option<Instant>,
    pub(super) leak_check: Option<Instant>,
    pub(super) give_up: Option<Instant>,
    pub(super) checkpoint: Option<Instant>,
}

impl Alarms {
    /// The next that is due.
    pub(super) fn next(&self) -> Option<Instant> {
        [self.timeout, self.kill, self.leak_check, self.give_up, self.checkpoint].into_iter().flatten().min()
    }
}

/// Takes an alarm that is due.
pub(super) fn ring(alarm: &mut Option<Instant>, now: Instant) -> bool {
    alarm.take_if(|at| *at <= now).is_some()
}

/// Sleeps until then, for ever if there is nothing to wake for.
pub(super) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

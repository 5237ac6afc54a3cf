//! Interrupting a run from outside.

use tokio::sync::watch;

/// Interrupts the runs that hold a clone of it: the running script's tree is ended, the rest is skipped.
#[derive(Debug, Clone)]
pub struct Cancel {
    by: watch::Sender<Option<String>>,
    now: watch::Sender<bool>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self { by: watch::Sender::new(None), now: watch::Sender::new(false) }
    }
}

impl Cancel {
    /// Interrupts. `by` is what reports show: `Ctrl-C`, `SIGTERM`, … The first call counts.
    pub fn cancel(&self, by: &str) {
        self.by.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(by.to_owned());
            }
            first
        });
    }

    /// What interrupted, if anything did.
    #[must_use]
    pub fn cancelled_by(&self) -> Option<String> {
        self.by.borrow().clone()
    }

    /// Waits until it is interrupted, for ever if it isn't.
    pub async fn cancelled(&self) -> String {
        let mut receiver = self.by.subscribe();
        match receiver.wait_for(Option::is_some).await {
            Ok(by) => by.clone().unwrap_or_default(),
            // Not reached: `self` holds the sender.
            Err(_) => std::future::pending().await,
        }
    }

    /// Has what is still ending after [`Cancel::cancel`] killed at once, without its grace.
    pub fn kill_now(&self) {
        self.now.send_replace(true);
    }

    /// Waits until [`Cancel::kill_now`] is called.
    pub async fn killed(&self) {
        if self.now.subscribe().wait_for(|now| *now).await.is_err() {
            // Not reached: `self` holds the sender.
            std::future::pending::<()>().await;
        }
    }
}

//! How a daemon is steered from outside, and what wakes its loop.

use std::sync::mpsc::{Receiver, Sender, channel};

use jiff::Timestamp;

use super::os::Rang;
use super::runs::Told;
use super::watch::Noticed;

/// What wakes the loop.
pub(super) enum Message {
    Rang(Rang),
    Noticed(Noticed),
    Run(Told),
    Posted(Option<Timestamp>),
    Stop(String),
    Reload,
}

/// Steers a daemon.
#[derive(Debug, Clone)]
pub struct Control(pub(super) Sender<Message>);

/// What a daemon hears.
#[derive(Debug)]
pub struct Orders(pub(super) Receiver<Message>);

/// A daemon's two ends.
#[must_use]
pub fn control() -> (Control, Orders) {
    let (sender, receiver) = channel();
    (Control(sender), Orders(receiver))
}

impl Control {
    /// Has it start no more runs, and end when those under way have. The second time it interrupts those, the third time it kills
    /// them. `by` is what asks for it: `SIGTERM`, …
    pub fn stop(&self, by: &str) {
        let _ = self.0.send(Message::Stop(by.to_owned()));
    }

    /// Has it read everything anew.
    pub fn reload(&self) {
        let _ = self.0.send(Message::Reload);
    }

    /// Tells it that the clock was set, or the machine woke up, where it can't know that by itself.
    pub fn clock_set(&self) {
        let _ = self.0.send(Message::Rang(Rang::ClockSet));
    }
}

//! Telling systemd how the daemon fares (`man 3 sd_notify`), where systemd started it and asked for that; else nobody hears it.

use std::time::Duration;

use sd_notify::NotifyState;

fn tell(states: &[NotifyState<'_>]) {
    // Nothing depends on being heard; systemd acts on what it doesn't hear.
    let _ = sd_notify::notify(states);
}

/// The daemon has looked at everything, and does its work from now on.
pub(in crate::daemon) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It looks at everything anew; [`ready`] follows.
pub(in crate::daemon) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        // Newer ones would take it for a failure without the time.
        Err(_) => tell(&[NotifyState::Status("reloading")]),
    }
}

/// It starts no more runs, and ends when those under way have.
pub(in crate::daemon) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// What it does, in a line for `systemctl status`.
pub(in crate::daemon) fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// It isn't stuck.
pub(in crate::daemon) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] has to be told at least, if anybody waits for it.
pub(in crate::daemon) fn patience() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

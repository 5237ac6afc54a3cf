//! Where there is no systemd, nobody hears how the daemon fares.

use std::time::Duration;

pub(in crate::daemon) fn ready() {}

pub(in crate::daemon) fn reloading() {}

pub(in crate::daemon) fn stopping() {}

pub(in crate::daemon) fn status(_text: &str) {}

pub(in crate::daemon) fn alive() {}

pub(in crate::daemon) fn patience() -> Option<Duration> {
    None
}

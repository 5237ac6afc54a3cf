//! What each system tells of itself: whether entries for the whole machine are meant, by who asks, and its time zone.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::is_root;
#[cfg(unix)]
pub(super) use unix::zone_of_machine;
#[cfg(windows)]
pub(crate) use windows::is_root;
#[cfg(windows)]
pub(super) use windows::zone_of_machine;

//! What each system tells in its own way.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::is_network_share;
#[cfg(unix)]
pub(super) use unix::{open_files, room, zone_name};
#[cfg(windows)]
pub(crate) use windows::is_network_share;
#[cfg(windows)]
pub(super) use windows::{open_files, room, zone_name};

/// Room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes that this account may still use.
    pub(super) free: u64,
    /// How many files may still be made, where that is limited.
    pub(super) files_left: Option<u64>,
}

//! Whom files belong to and who may use them, and how a folder's name stands on the disk, in each system's way.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::everyone_may_read;
#[cfg(unix)]
pub(super) use unix::{as_on_disk, is_executable, others_may_write, owner};
#[cfg(windows)]
pub use windows::everyone_may_read;
#[cfg(windows)]
pub(super) use windows::{as_on_disk, is_executable, others_may_write, owner};

//! Folders, in each system's way.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{create_dir, is_writable_dir, sync_dir};
#[cfg(windows)]
pub(super) use windows::{create_dir, is_writable_dir, sync_dir};

//! Folders and files, in each system's way.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{FileId, create_dir, file_id, is_writable_dir, sync_dir};
#[cfg(windows)]
pub(super) use windows::{FileId, create_dir, file_id, is_writable_dir, sync_dir};

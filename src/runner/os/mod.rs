//! What keeps a file from other accounts, in each system's way.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{is_private, make_private_dir, new_private_file};
#[cfg(windows)]
pub(super) use windows::{is_private, make_private_dir, new_private_file};

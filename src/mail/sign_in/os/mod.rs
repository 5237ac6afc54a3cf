//! What keeps a token from others, in each system's way.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{account, make_private_dir, may_be_read_by_others, new_private_file};
#[cfg(windows)]
pub(super) use windows::{account, make_private_dir, may_be_read_by_others, new_private_file};

//! Whether entries for the whole machine are meant, as far as each system tells by who asks.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::is_root;
#[cfg(windows)]
pub(crate) use windows::is_root;

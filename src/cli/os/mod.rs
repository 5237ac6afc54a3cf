//! What asks a program to end, in each system's way.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{RELOAD, Signals, is_final};
#[cfg(windows)]
pub(super) use windows::{RELOAD, Signals, is_final};

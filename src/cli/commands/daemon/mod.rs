//! `runner daemon`.

mod install;
#[cfg(windows)]
mod service;
mod start;
#[cfg(unix)]
mod unit;

pub(in crate::cli) use start::daemon;

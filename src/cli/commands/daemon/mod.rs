//! `runner daemon`.

#[cfg(unix)]
mod install;
mod start;

pub(in crate::cli) use start::daemon;

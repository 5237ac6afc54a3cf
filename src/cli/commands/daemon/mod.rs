//! `runner daemon`.

mod start;

pub(in crate::cli) use start::daemon;

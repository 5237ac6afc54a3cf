//! One verb, one file.

pub(super) mod check;
pub(super) mod generate;
pub(super) mod reading;
pub(super) mod run;
mod state_dir;

pub(super) use state_dir::StateDir;

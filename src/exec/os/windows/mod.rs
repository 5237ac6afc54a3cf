//! Windows: job objects own the scripts, and cmd gets only what it can't misunderstand.

mod cmd_line;
pub(super) mod identity;
mod job;

pub(super) use job::JobSpawner;
pub(in crate::exec) use job::remains;

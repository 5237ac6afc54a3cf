//! Windows: job objects own the scripts, and cmd gets only what it can't misunderstand.

mod cmd_line;
pub(super) mod identity;
mod job;

pub(super) use job::JobSpawner;
pub use job::keep_streams_to_itself;
pub(in crate::exec) use job::remains;

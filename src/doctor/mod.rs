//! Looks whether the machine and a project are fit to run unattended, by trying what a run would do: writing, locking,
//! starting the interpreter. It says what it found and what to do about it, prints nothing, and leaves nothing behind but
//! folders that a run would make.

mod finding;
mod folder;
#[cfg(target_os = "linux")]
mod linux;
mod machine;
mod mail;
mod os;
mod program;
mod project;
mod schedule;
mod state;
mod zone;

pub use finding::{Cause, Finding, State};
pub use machine::{Machine, examine_machine};
pub(crate) use os::is_network_share;
pub use project::examine_project;

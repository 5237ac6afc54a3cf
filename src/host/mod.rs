//! Entries for the system's own schedulers: Task Scheduler, systemd, cron. From a schedule to the text of an entry that means
//! the same, or to the reason why there is none; `place` writes, finds and removes them.

mod cron;
pub mod crontab;
mod entry;
#[cfg(test)]
mod entry_tests;
pub mod found;
mod os;
pub mod place;
mod refusal;
mod rule;
mod sets;
mod systemd;
pub mod task;
mod task_triggers;
#[cfg(test)]
mod tests;
pub mod traps;
pub mod units;

pub use crontab::shell_word;
pub use entry::{Host, Setting, Subject, entry_name};
pub(crate) use os::is_root;
pub use refusal::Refusal;
pub use units::{Label, Units};

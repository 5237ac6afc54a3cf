//! Entries for the system's own schedulers: Task Scheduler, systemd, cron. From a schedule to the text of an entry that means
//! the same, or to the reason why there is none.

mod cron;
mod refusal;
mod rule;
mod sets;
mod systemd;
mod task_triggers;
#[cfg(test)]
mod tests;

pub use refusal::Refusal;

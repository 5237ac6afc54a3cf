//! The project's log: one line for each script that was tried, appended under a lock between processes, and archived
//! by age or size.
//!
//! `line` and `rotation` decide and touch nothing; `lock` and `file` have the effects; `sink` listens to events.

mod file;
mod line;
mod lock;
mod mend;
mod rotation;
mod sink;

#[cfg(test)]
mod tests;

pub use line::{LogLine, parse_line};
pub use sink::LogSink;

//! Who consumes a run's events and leaves something behind: the project's log, the run's `events.jsonl`, the state
//! database, the JSON lines of `--json`; and the sweeping of run folders that have grown old.
//!
//! A sink is never allowed to fail a run: what it can't do it returns, and the others go on.

mod events_file;
mod history;
mod json;
mod log;
mod retention;

pub use events_file::EventsFile;
pub use history::{AtEnd, HistorySink, HistoryWriter, When};
pub use json::JsonSink;
pub use log::{LogLine, LogSink, parse_line};
pub use retention::{SweepError, Swept, sweep, which_to_delete};

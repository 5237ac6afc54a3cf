//! Everything that happens in a run, as owned, serialisable events; who listens to them; and the fold that makes a
//! [`RunReport`](crate::model::RunReport) of them.

mod fold;
#[cfg(test)]
mod fuzz_tests;
mod run_event;
mod sink;

pub use fold::{ReportFold, read_events, replay};
pub use run_event::{EVENTS_FILE, EVENTS_VERSION, EventKind, PlannedScript, ReplayError, RunEvent};
pub use sink::{EventSink, FanOut, SinkError, Stream};

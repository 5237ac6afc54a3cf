//! Carrying a claim out: the run of its planned instant, and word of how it went.

use std::cell::Cell;

use jiff::Timestamp;

use super::Claim;
use crate::event::{EventKind, EventSink, RunEvent, SinkError, Stream};
use crate::mail::Deadline;
use crate::model::{to_timestamp, to_utc};
use crate::runner::{RunError, RunOptions, RunOutput, Runner, Tell};
use crate::store::RunEnded;

/// What is told while a claim is carried out; the ledger has to hear it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The run has begun.
    Began(Timestamp),
    /// It has ended, or there will be none.
    Ended(RunEnded),
}

/// Runs a claim's project, on this thread, which no runtime may have. Whatever happens, `told` hears at last of an end.
pub(crate) fn carry_out<'a>(
    claim: &Claim,
    runner: &'a Runner,
    options: RunOptions,
    listener: Box<dyn EventSink + 'a>,
    tell: Tell<'_>,
    told: &'a (dyn Fn(Told) + Sync),
) -> Result<(RunOutput, Deadline), RunError> {
    let options = RunOptions {
        planned: Some(to_utc(claim.planned)),
        occasion: Some(claim.occasion.clone()),
        run_id: Some(claim.run_id.clone()),
        ..options
    };
    // Should the run panic, that is an end too. What had begun then, its events tell.
    let end = AtLast {
        told,
        ended: Cell::new(Some(RunEnded::CouldNotRun { detail: "the runner failed before the run began".to_owned() })),
    };
    let result = runner.run_with(options, Box::new(Beginning { listener, told }), tell);
    end.ended.set(Some(match &result {
        Ok(_) => RunEnded::Ran,
        Err(error) => ended_by(error),
    }));
    result
}

/// What an instant comes to whose run didn't begin.
pub(crate) fn ended_by(error: &RunError) -> RunEnded {
    match error {
        RunError::AlreadyRunning { .. } => RunEnded::Overlap { detail: error.to_string() },
        RunError::Interrupted { .. } => RunEnded::GaveBack,
        error => RunEnded::CouldNotRun { detail: error.to_string() },
    }
}

struct AtLast<'a> {
    told: &'a (dyn Fn(Told) + Sync),
    ended: Cell<Option<RunEnded>>,
}

impl Drop for AtLast<'_> {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            (self.told)(Told::Ended(ended));
        }
    }
}

/// Tells of the run's beginning.
struct Beginning<'a> {
    listener: Box<dyn EventSink + 'a>,
    told: &'a (dyn Fn(Told) + Sync),
}

impl EventSink for Beginning<'_> {
    fn on_event(&mut self, event: &RunEvent) -> Result<(), SinkError> {
        if matches!(event.kind, EventKind::RunStarted { .. }) {
            (self.told)(Told::Began(to_timestamp(event.time)));
        }
        self.listener.on_event(event)
    }

    fn on_output(&mut self, stream: Stream, bytes: &[u8]) {
        self.listener.on_output(stream, bytes);
    }
}

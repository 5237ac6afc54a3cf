//! What happens in a run, handed on.

use std::collections::HashSet;

use crate::event::{EventKind, FanOut, ReportFold, RunEvent, Stream};
use crate::exec::AttemptObserver;

/// Hands events to the sinks and folds them into the report.
pub(super) struct Recorder<'a> {
    pub(super) sinks: FanOut<'a>,
    pub(super) fold: ReportFold,
    /// Warnings that were given: the same trouble at every script is told once.
    pub(super) warned: HashSet<String>,
}

impl Recorder<'_> {
    pub(super) fn record(&mut self, kind: EventKind) {
        let event = RunEvent::now(kind);
        self.fold.apply(&event);
        for error in self.sinks.event(&event) {
            self.warn(error.sentence());
        }
    }

    pub(super) fn warn(&mut self, message: String) {
        if !self.warned.insert(message.clone()) {
            return;
        }
        tracing::warn!("{message}");
        let event = RunEvent::now(EventKind::Warning { message });
        self.fold.apply(&event);
        // What a sink says of the warning is the same trouble again.
        let _ = self.sinks.event(&event);
    }
}

/// Tells the recorder of one attempt.
pub(super) struct Observer<'r, 'a> {
    pub(super) recorder: &'r mut Recorder<'a>,
    pub(super) index: usize,
    pub(super) attempt: u32,
}

impl AttemptObserver for Observer<'_, '_> {
    fn started(&mut self) {
        self.recorder.record(EventKind::ScriptStarted { index: self.index, attempt: self.attempt });
    }

    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        self.recorder.sinks.output(stream, bytes);
    }
}

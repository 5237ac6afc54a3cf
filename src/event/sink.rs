//! Who listens to events.

use thiserror::Error;

use super::RunEvent;

/// Which of a script's output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A sink could not do its work: where, and what the system said.
#[derive(Debug, Error)]
#[error("{what}")]
pub struct SinkError {
    /// What it could not do, with the path and the remedy: it becomes a warning of the run.
    pub what: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl SinkError {
    /// An error of `what` caused by `source`.
    pub fn new(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { what: what.into(), source: Some(source.into()) }
    }

    /// The whole chain of causes in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = self.what.clone();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

/// Consumes the events of one run, in order.
pub trait EventSink: Send {
    /// Something happened.
    ///
    /// # Errors
    /// When the sink cannot do its work; the run goes on and the other sinks get the event all the same.
    fn on_event(&mut self, event: &RunEvent) -> Result<(), SinkError>;

    /// The running script printed something. Only the end of a long piece may be given.
    fn on_output(&mut self, _stream: Stream, _bytes: &[u8]) {}
}

/// Hands each event to every sink, whatever the others say of it.
#[derive(Default)]
pub struct FanOut<'a> {
    sinks: Vec<Box<dyn EventSink + 'a>>,
}

impl<'a> FanOut<'a> {
    /// Adds a sink; sinks get events in the order in which they were added.
    pub fn add(&mut self, sink: Box<dyn EventSink + 'a>) {
        self.sinks.push(sink);
    }

    /// Hands on what the running script printed.
    pub fn output(&mut self, stream: Stream, bytes: &[u8]) {
        for sink in &mut self.sinks {
            sink.on_output(stream, bytes);
        }
    }

    /// Hands an event to every sink and returns what failed.
    pub fn event(&mut self, event: &RunEvent) -> Vec<SinkError> {
        self.sinks.iter_mut().filter_map(|sink| sink.on_event(event).err()).collect()
    }
}

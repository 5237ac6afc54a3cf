//! Events as JSON lines, for `--json`.

use std::io::{ErrorKind, Write};

use crate::event::{EventSink, RunEvent, SinkError};

/// Writes each event as one line of JSON, in one piece, and flushes it: the reader may act on it while the run goes on,
/// and several runs may share the writer. Once the reader has closed its end, the rest is dropped silently.
pub struct JsonSink<W> {
    writer: W,
    line: Vec<u8>,
    closed: bool,
}

impl<W: Write> JsonSink<W> {
    /// A sink that writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self { writer, line: Vec::new(), closed: false }
    }
}

impl<W: Write + Send> EventSink for JsonSink<W> {
    fn on_event(&mut self, event: &RunEvent) -> Result<(), SinkError> {
        if self.closed {
            return Ok(());
        }
        let failed = |error| SinkError::new("cannot write the events as JSON", error);
        self.line.clear();
        serde_json::to_writer(&mut self.line, event).map_err(|error| failed(error.into()))?;
        self.line.push(b'\n');
        match self.writer.write_all(&self.line).and_then(|()| self.writer.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result.map_err(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::event::EventKind;

    fn event() -> RunEvent {
        RunEvent::now(EventKind::Warning { message: "two\nlines".to_owned() })
    }

    #[test]
    fn an_event_is_one_line() {
        let mut out = Vec::new();
        let events = [event(), event()];
        let mut sink = JsonSink::new(&mut out);
        for event in &events {
            sink.on_event(event).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        let read: Vec<RunEvent> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, events);
        assert!(text.ends_with('\n'));
    }

    struct Failing {
        kind: ErrorKind,
        tries: usize,
    }

    impl Write for &mut Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.tries += 1;
            Err(self.kind.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let mut pipe = Failing { kind: ErrorKind::BrokenPipe, tries: 0 };
        let mut sink = JsonSink::new(&mut pipe);
        sink.on_event(&event()).unwrap();
        sink.on_event(&event()).unwrap();
        assert_eq!(pipe.tries, 1);
    }

    #[test]
    fn any_other_error_is_told() {
        let mut disk = Failing { kind: ErrorKind::StorageFull, tries: 0 };
        assert!(JsonSink::new(&mut disk).on_event(&event()).is_err());
    }
}

//! Events as JSON lines, for `--json`: as in `events.jsonl`, and in each the run and the project, since several runs may
//! share the output; at the end of a script also what the library's results have.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use serde::Serialize;

use crate::event::{EventKind, EventSink, RunEvent, SinkError};
use crate::model::RunId;

/// Writes each event as one line of JSON, in one piece, and flushes it: the reader may act on it while the run goes on,
/// and several runs may share the writer. Once the reader has closed its end, the rest is dropped silently.
pub struct JsonSink<W> {
    writer: W,
    line: Vec<u8>,
    closed: bool,
    run: Option<Run>,
}

struct Run {
    run_id: RunId,
    project: String,
    scripts: Vec<String>,
}

/// An event with what a reader of several runs needs to know.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a RunEvent,
    #[serde(flatten)]
    place: Option<Place<'a>>,
    #[serde(flatten)]
    result: Option<ScriptEnd<'a>>,
}

/// Which run; the first event says so itself.
#[derive(Serialize)]
struct Place<'a> {
    run_id: &'a RunId,
    project: &'a str,
}

#[derive(Serialize)]
struct ScriptEnd<'a> {
    script: &'a str,
    success: bool,
    /// In minutes.
    execution_time: f64,
}

impl Run {
    fn started(event: &RunEvent) -> Option<Self> {
        let EventKind::RunStarted { run_id, project, scripts, .. } = &event.kind else { return None };
        let scripts = scripts.iter().map(|script| script.script.clone()).collect();
        Some(Self { run_id: run_id.clone(), project: project.clone(), scripts })
    }
}

impl<'a> Line<'a> {
    fn new(event: &'a RunEvent, run: Option<&'a Run>) -> Self {
        let place = match event.kind {
            EventKind::RunStarted { .. } => None,
            _ => run.map(|run| Place { run_id: &run.run_id, project: &run.project }),
        };
        let result = match &event.kind {
            EventKind::ScriptFinished { index, outcome, duration_us, .. } => run.map(|run| ScriptEnd {
                script: run.scripts.get(*index).map_or("", String::as_str),
                success: outcome.is_success(),
                execution_time: Duration::from_micros(*duration_us).as_secs_f64() / 60.0,
            }),
            _ => None,
        };
        Self { event, place, result }
    }
}

impl<W: Write> JsonSink<W> {
    /// A sink that writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self { writer, line: Vec::new(), closed: false, run: None }
    }
}

impl<W: Write + Send> EventSink for JsonSink<W> {
    fn on_event(&mut self, event: &RunEvent) -> Result<(), SinkError> {
        if self.closed {
            return Ok(());
        }
        let failed = |error| SinkError::new("cannot write the events as JSON", error);
        self.line.clear();
        if let Some(run) = Run::started(event) {
            self.run = Some(run);
        }
        let line = Line::new(event, self.run.as_ref());
        serde_json::to_writer(&mut self.line, &line).map_err(|error| failed(error.into()))?;
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

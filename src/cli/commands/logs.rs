//! `runner logs RUN [SCRIPT]`: what a run's scripts printed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::CommandError;
use super::kept_output::KeptOutput;
use super::show::load_report;
use super::view::{BOLD, DIM, View, one_line, outcome_style};
use crate::event::{EVENTS_FILE, ReportFold, RunEvent};
use crate::model::{Outcome, RunReport, ScriptReport};
use crate::store::Store;

/// How long one waits for a running script to print more. Files have no portable way to tell that they grew.
const WAIT: Duration = Duration::from_millis(200);

/// Bytes of a line that become one JSON object; a longer line comes in pieces.
const LONGEST_LINE: usize = 1024 * 1024;

/// What is asked for.
pub(super) struct LogsRequest<'a> {
    /// The beginning of the run's id.
    pub run: String,
    /// Only this script: its name, its file or its place.
    pub script: Option<String>,
    /// Go on until the run ends.
    pub follow: bool,
    /// The file in the run's folder that the output of an attempt goes to; of the last one, once it has ended, the report
    /// says.
    pub output_file: &'a dyn Fn(&ScriptReport, u32) -> PathBuf,
    /// Whether the runner of a run without an end still lives.
    pub is_alive: &'a dyn Fn(&RunReport) -> bool,
}

/// Writes what the scripts of a run printed, with a heading a script if there are several; as JSON one object a line.
///
/// # Errors
/// When there is no such run or script, a file can't be read or the answer not written.
pub(super) async fn logs(
    store: &mut Store,
    request: &LogsRequest<'_>,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let report = load_report(store, &request.run).await?;
    let chosen = chosen(&report, request.script.as_deref())?;
    let mut printer = Printer::new(out, view, request, chosen);
    let path = report.run_dir.join(EVENTS_FILE);
    let mut told = match File::open(&path) {
        Ok(file) => Told { path, lines: BufReader::new(file), line: Vec::new(), fold: ReportFold::default() },
        // Only the database knows the run: its folder was cleared away.
        Err(_) => return printer.print(&report).map(drop),
    };
    loop {
        // Asked before the events are read: what was written before the runner's end is then still read.
        let alive = request.follow && (request.is_alive)(&report);
        told.read_on()?;
        let Some(now) = told.fold.report() else { return printer.print(&report).map(drop) };
        let now = if now.finished.is_none() && report.finished.is_some() {
            // The runner died; only the database knows how that is reckoned.
            report.clone()
        } else {
            // The folder may have been moved since.
            RunReport { run_dir: report.run_dir.clone(), ..now.clone() }
        };
        let done = printer.print(&now)?;
        if done || now.finished.is_some() || !alive {
            return Ok(());
        }
        printer.out.flush()?;
        std::thread::sleep(WAIT);
    }
}

/// The places of the scripts that are asked for.
fn chosen(report: &RunReport, script: Option<&str>) -> Result<Vec<usize>, CommandError> {
    let asked = |candidate: &&ScriptReport| script.is_none_or(|text| is_called(candidate, text));
    let chosen: Vec<usize> = report.scripts.iter().filter(asked).map(|script| script.index).collect();
    match script {
        Some(text) if chosen.is_empty() => Err(CommandError::UnknownScript {
            run_id: report.run_id.to_string(),
            script: text.to_owned(),
            scripts: report.scripts.iter().map(|script| script.name.clone()).collect(),
        }),
        _ => Ok(chosen),
    }
}

/// By its name, by its path as written, by its file's name, or by its place, from 1: as `run --only` has it.
fn is_called(script: &ScriptReport, text: &str) -> bool {
    // The file names of either system: a run may have come from the other.
    let file_name = script.script.rsplit(['/', '\\']).next();
    script.name == text || script.script == text || file_name == Some(text) || text.parse() == Ok(script.index + 1)
}

/// A run's events, read as they are written.
struct Told {
    path: PathBuf,
    lines: BufReader<File>,
    line: Vec<u8>,
    fold: ReportFold,
}

impl Told {
    fn read_on(&mut self) -> Result<(), CommandError> {
        loop {
            let read = self.lines.read_until(b'\n', &mut self.line);
            read.map_err(|source| CommandError::Read { path: self.path.clone(), source })?;
            if self.line.last() != Some(&b'\n') {
                // The rest of the line is yet to be written.
                return Ok(());
            }
            // A line that this version can't read says nothing about output.
            if let Ok(event) = serde_json::from_slice::<RunEvent>(&self.line) {
                self.fold.apply(&event);
            }
            self.line.clear();
        }
    }
}

/// Where in the scripts' outputs one is.
struct Printer<'a> {
    out: &'a mut dyn Write,
    view: &'a View,
    request: &'a LogsRequest<'a>,
    headings: bool,
    chosen: Vec<usize>,
    next: usize,
    /// Which of its attempts, from 1.
    attempt: u32,
    heading_written: bool,
    kept: KeptOutput,
    /// What was printed since the last end of a line; only kept where lines are wanted.
    line: Vec<u8>,
    /// Whether the last byte ended no line.
    within_line: bool,
}

impl<'a> Printer<'a> {
    fn new(out: &'a mut dyn Write, view: &'a View, request: &'a LogsRequest<'a>, chosen: Vec<usize>) -> Self {
        Self {
            out,
            view,
            request,
            headings: chosen.len() > 1 && !view.json,
            chosen,
            next: 0,
            attempt: 1,
            heading_written: false,
            kept: KeptOutput::default(),
            line: Vec::new(),
            within_line: false,
        }
    }

    /// Writes what the scripts printed since the last time. `true` when all of them are through.
    fn print(&mut self, report: &RunReport) -> Result<bool, CommandError> {
        while let Some(script) = self.chosen.get(self.next).and_then(|index| report.scripts.get(*index)) {
            if script.outcome.is_none() && script.started.is_none() && report.finished.is_none() {
                return Ok(false);
            }
            let another_followed = self.attempt < script.attempts;
            let ended = script.outcome.is_some() && !script.retry_pending || report.finished.is_some();
            self.heading(script)?;
            self.output(report, script)?;
            if !another_followed && !ended {
                return Ok(false);
            }
            self.end_of_attempt(script)?;
            (self.next, self.attempt) =
                if another_followed { (self.next, self.attempt + 1) } else { (self.next + 1, 1) };
        }
        Ok(true)
    }

    fn heading(&mut self, script: &ScriptReport) -> Result<(), CommandError> {
        if self.has_headings(script) && !self.heading_written {
            let gap = if self.next == 0 && self.attempt == 1 { "" } else { "\n" };
            let attempt = if script.attempts > 1 { format!(", attempt {}", self.attempt) } else { String::new() };
            let name = self.view.paint(BOLD, &one_line(&format!("{}{attempt}", script.name)));
            let earlier = script.earlier.iter().find(|earlier| earlier.attempt == self.attempt);
            let end = match earlier.map(|earlier| &earlier.outcome).or(script.outcome.as_ref()) {
                Some(outcome) => self.view.paint(outcome_style(Some(outcome)), &one_line(&outcome.to_string())),
                None => self.view.paint(DIM, "running"),
            };
            writeln!(self.out, "{gap}==> {name}: {end}")?;
        }
        self.heading_written = true;
        Ok(())
    }

    /// Whether it is said whose output comes: several scripts', or several attempts'.
    fn has_headings(&self, script: &ScriptReport) -> bool {
        self.headings || script.attempts > 1 && !self.view.json
    }

    /// Copies what is new of an attempt's output, byte by byte as it was printed.
    fn output(&mut self, report: &RunReport, script: &ScriptReport) -> Result<(), CommandError> {
        // The report has this of the last attempt that ended.
        let known = script.outcome.as_ref().filter(|_| self.attempt >= script.attempts);
        let summary = known.and(script.output.file.as_ref()).map(|_| &script.output);
        let file = match (summary.and_then(|output| output.file.as_ref()), known) {
            (Some(file), _) => PathBuf::from(file),
            // Of a script that nobody saw end, nobody noted the file.
            (None, None | Some(Outcome::Interrupted { .. })) => (self.request.output_file)(script, self.attempt),
            (None, Some(_)) => return Ok(()),
        };
        let path = report.run_dir.join(file);
        let mut kept = std::mem::take(&mut self.kept);
        let mut broken = None;
        let read = kept.read_on(&path, summary, &mut |bytes| {
            self.bytes(script, bytes).map_err(|error| {
                let kind = error.kind();
                broken = Some(error);
                kind.into()
            })
        });
        self.kept = kept;
        match (broken, read) {
            (Some(error), _) => Err(error.into()),
            (None, Err(source)) => Err(CommandError::Read { path, source }),
            (None, Ok(false)) if summary.is_some() && !self.view.json => {
                let gone = format!("[{} is gone]", path.display());
                Ok(writeln!(self.out, "{}", self.view.paint(DIM, &gone))?)
            }
            (None, Ok(_)) => Ok(()),
        }
    }

    fn bytes(&mut self, script: &ScriptReport, bytes: &[u8]) -> io::Result<()> {
        self.within_line = bytes.last().is_some_and(|byte| *byte != b'\n');
        if !self.view.json {
            return self.out.write_all(bytes);
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() > LONGEST_LINE {
                self.object(script)?;
            }
        }
        Ok(())
    }

    /// One line as an object.
    fn object(&mut self, script: &ScriptReport) -> io::Result<()> {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.strip_suffix('\n').map_or(&*line, |line| line.strip_suffix('\r').unwrap_or(line));
        let object = serde_json::json!({"index": script.index, "script": script.name, "line": line});
        self.line.clear();
        writeln!(self.out, "{object}")
    }

    fn end_of_attempt(&mut self, script: &ScriptReport) -> Result<(), CommandError> {
        if !self.line.is_empty() {
            self.object(script)?;
        }
        if self.has_headings(script) && self.within_line {
            writeln!(self.out)?;
        }
        self.heading_written = false;
        self.kept = KeptOutput::default();
        self.within_line = false;
        Ok(())
    }
}

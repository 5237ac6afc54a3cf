//! `runner logs RUN [SCRIPT]`: what a run's scripts printed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::CommandError;
use super::show::load_report;
use super::view::{BOLD, DIM, View, one_line, outcome_style};
use crate::event::{ReportFold, RunEvent};
use crate::model::{RunReport, ScriptReport};
use crate::store::Store;

/// How long one waits for a running script to print more. Files have no portable way to tell that they grew.
const WAIT: Duration = Duration::from_millis(200);

/// What is asked for.
pub(super) struct LogsRequest<'a> {
    /// The beginning of the run's id.
    pub run: String,
    /// Only this script: its name, or as the project file writes it.
    pub script: Option<String>,
    /// Go on until the run ends.
    pub follow: bool,
    /// The file in the run's folder that a running script's output goes to; once it has ended, its report says.
    pub output_file: &'a dyn Fn(&ScriptReport) -> PathBuf,
    /// Whether the runner of a run without an end still lives.
    pub is_alive: &'a dyn Fn(&RunReport) -> bool,
}

/// Writes what the scripts of a run printed, with a heading a script if there are several.
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
    let mut printer =
        Printer { out, view, request, headings: chosen.len() > 1, chosen, next: 0, heading_written: false, offset: 0 };
    let path = report.run_dir.join("events.jsonl");
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
    let asked =
        |candidate: &&ScriptReport| script.is_none_or(|text| candidate.name == text || candidate.script == text);
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
    heading_written: bool,
    offset: u64,
}

impl Printer<'_> {
    /// Writes what the scripts printed since the last time. `true` when all of them are through.
    fn print(&mut self, report: &RunReport) -> Result<bool, CommandError> {
        while let Some(script) = self.chosen.get(self.next).and_then(|index| report.scripts.get(*index)) {
            let ended = script.outcome.is_some();
            if !ended && script.started.is_none() && report.finished.is_none() {
                return Ok(false);
            }
            self.heading(script)?;
            let file = match &script.output.file {
                Some(file) => Some(PathBuf::from(file)),
                None if ended => None,
                None => Some((self.request.output_file)(script)),
            };
            if let Some(file) = file {
                self.copy(&report.run_dir.join(file), ended)?;
            }
            if !ended && report.finished.is_none() {
                return Ok(false);
            }
            self.next += 1;
            self.heading_written = false;
            self.offset = 0;
        }
        Ok(true)
    }

    fn heading(&mut self, script: &ScriptReport) -> Result<(), CommandError> {
        if self.headings && !self.heading_written {
            let gap = if self.next == 0 { "" } else { "\n" };
            let name = self.view.paint(BOLD, &one_line(&script.name));
            let end = match &script.outcome {
                Some(outcome) => self.view.paint(outcome_style(Some(outcome)), &one_line(&outcome.to_string())),
                None => self.view.paint(DIM, "running"),
            };
            writeln!(self.out, "{gap}==> {name}: {end}")?;
        }
        self.heading_written = true;
        Ok(())
    }

    /// Copies what a file has beyond what was copied of it, byte by byte as the script printed it.
    fn copy(&mut self, path: &Path, ended: bool) -> Result<(), CommandError> {
        let read = |source: io::Error| CommandError::Read { path: path.to_owned(), source };
        let mut file = match File::open(path) {
            Ok(file) => file,
            // Nothing was printed yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !ended => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let gone = format!("[{} is gone]", path.display());
                writeln!(self.out, "{}", self.view.paint(DIM, &gone))?;
                return Ok(());
            }
            Err(error) => return Err(read(error)),
        };
        file.seek(SeekFrom::Start(self.offset)).map_err(read)?;
        let mut piece = vec![0; 64 * 1024];
        let mut last = None;
        loop {
            let length = file.read(&mut piece).map_err(read)?;
            let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
            self.out.write_all(bytes)?;
            self.offset += length as u64;
            last = bytes.last().copied();
        }
        if ended && self.headings && last.is_some_and(|byte| byte != b'\n') {
            writeln!(self.out)?;
        }
        Ok(())
    }
}

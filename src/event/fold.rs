//! The fold: events in, report out. Replaying a run's `events.jsonl` gives the report that the run itself had.

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::{EVENTS_VERSION, EventKind, PlannedScript, ReplayError, RunEvent};
use crate::model::{EarlierAttempt, Outcome, OutputSummary, RunReport, RunStatus, ScriptReport, Usage};

/// Bytes of tracebacks that a report keeps in full; past that each is cut to [`SHORT_TRACEBACK`], so that a run of
/// thousands of failing scripts stays small. The events have them all.
const TRACEBACK_BUDGET: usize = 4 * 1024 * 1024;
/// Bytes that are kept of a traceback once the budget is used up: its last lines.
const SHORT_TRACEBACK: usize = 256;

/// Builds a report event by event.
#[derive(Debug, Default)]
pub struct ReportFold {
    report: Option<RunReport>,
    traceback_bytes: usize,
}

impl ReportFold {
    /// Takes one event into account. Events before `run_started`, and of scripts that aren't planned, are ignored.
    pub fn apply(&mut self, event: &RunEvent) {
        if let EventKind::RunStarted { .. } = event.kind {
            self.report = start(event);
            return;
        }
        let Some(report) = &mut self.report else { return };
        match &event.kind {
            EventKind::RunStarted { .. } => {}
            EventKind::ScriptStarted { index, attempt, .. } => {
                if let Some(script) = report.scripts.get_mut(*index) {
                    if let Some(outcome) = script.outcome.take() {
                        let duration_us = script.duration_us;
                        script.earlier.push(EarlierAttempt { attempt: script.attempts, outcome, duration_us });
                    }
                    script.started = Some(event.time);
                    script.attempts = *attempt;
                    script.retry_pending = false;
                }
            }
            EventKind::ScriptFinished {
                index,
                attempt,
                outcome,
                duration_us,
                usage,
                output,
                traceback,
                last_lines,
                leaked,
                usual,
                retry_after_us,
                ..
            } => {
                if let Some(script) = report.scripts.get_mut(*index) {
                    script.attempts = *attempt;
                    script.outcome = Some(outcome.clone());
                    script.duration_us = *duration_us;
                    script.usage = *usage;
                    script.output = output.clone();
                    script.leaked.clone_from(leaked);
                    script.usual = *usual;
                    script.retry_pending = retry_after_us.is_some();
                    let mut kept = |text: &Option<String>| {
                        text.as_deref().map(|text| within_budget(text, &mut self.traceback_bytes))
                    };
                    script.traceback = kept(traceback);
                    script.last_lines = kept(last_lines);
                }
            }
            EventKind::ScriptSkipped { index, reason } => {
                if let Some(script) = report.scripts.get_mut(*index) {
                    script.outcome = Some(Outcome::Skipped { reason: reason.clone() });
                }
            }
            EventKind::Warning { message } => report.warnings.push(message.clone()),
            EventKind::RunFinished { status, duration_us, files } => {
                report.status = *status;
                report.files.clone_from(files);
                report.duration_us = *duration_us;
                report.finished = Some(event.time);
            }
            EventKind::Mail { mail } => report.mail = Some(mail.clone()),
        }
    }

    /// The report so far; `None` before `run_started`.
    #[must_use]
    pub fn report(&self) -> Option<&RunReport> {
        self.report.as_ref()
    }

    /// The report; `None` if the run never started.
    #[must_use]
    pub fn into_report(self) -> Option<RunReport> {
        self.report
    }
}

impl From<RunReport> for ReportFold {
    fn from(report: RunReport) -> Self {
        Self { report: Some(report), traceback_bytes: 0 }
    }
}

fn start(event: &RunEvent) -> Option<RunReport> {
    let EventKind::RunStarted {
        run_id,
        project,
        project_dir,
        profile,
        host,
        pid,
        process,
        runner,
        parent,
        planned,
        occasion,
        params,
        log_file,
        run_dir,
        scripts,
        ..
    } = &event.kind
    else {
        return None;
    };
    Some(RunReport {
        run_id: run_id.clone(),
        project: project.clone(),
        project_dir: project_dir.clone(),
        profile: profile.clone(),
        host: host.clone(),
        pid: *pid,
        process: process.clone(),
        version: runner.clone(),
        parent: parent.clone(),
        planned: *planned,
        occasion: occasion.clone(),
        params: params.clone(),
        started: event.time,
        finished: None,
        duration_us: 0,
        status: RunStatus::Running,
        scripts: scripts.iter().enumerate().map(|(index, script)| waiting(index, script)).collect(),
        files: Vec::new(),
        mail: None,
        warnings: Vec::new(),
        log_file: log_file.clone(),
        run_dir: run_dir.clone(),
    })
}

fn waiting(index: usize, script: &PlannedScript) -> ScriptReport {
    ScriptReport {
        index,
        name: script.name.clone(),
        script: script.script.clone(),
        started: None,
        duration_us: 0,
        attempts: 0,
        outcome: None,
        usage: Usage::default(),
        output: OutputSummary::default(),
        traceback: None,
        last_lines: None,
        leaked: Vec::new(),
        earlier: Vec::new(),
        retry_pending: false,
        usual: None,
    }
}

fn within_budget(text: &str, used: &mut usize) -> String {
    let kept = if *used + text.len() <= TRACEBACK_BUDGET {
        text
    } else {
        let mut from = text.len().saturating_sub(SHORT_TRACEBACK);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        &text[from..]
    };
    *used += kept.len();
    kept.to_owned()
}

/// Rebuilds the report of a run from its `events.jsonl`. A torn last line is left out: the runner died while writing it.
///
/// # Errors
/// When the file can't be read, has a line that is no event, or was written by a newer version.
pub fn replay(path: &Path) -> Result<RunReport, ReplayError> {
    let mut fold = ReportFold::default();
    read_events(path, |event| fold.apply(&event))?;
    fold.into_report().ok_or_else(|| ReplayError::NoStart { path: path.to_owned() })
}

/// Hands each event of an `events.jsonl` to `visit`, in order, one in memory at a time. A torn last line is left out.
///
/// # Errors
/// When the file can't be read, has a line that is no event, or was written by a newer version; `visit` has had the
/// events before that.
pub fn read_events(path: &Path, mut visit: impl FnMut(RunEvent)) -> Result<(), ReplayError> {
    let read = |source| ReplayError::Read { path: path.to_owned(), source };
    let mut lines = BufReader::new(std::fs::File::open(path).map_err(read)?);
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        number += 1;
        if lines.read_until(b'\n', &mut line).map_err(read)? == 0 || line.last() != Some(&b'\n') {
            return Ok(());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let event: RunEvent = match serde_json::from_slice(&line) {
            Ok(event) => event,
            Err(source) => return Err(unreadable(path, number, &line, source)),
        };
        if let EventKind::RunStarted { version, .. } = event.kind
            && version > EVENTS_VERSION
        {
            return Err(ReplayError::Newer { path: path.to_owned(), found: version });
        }
        visit(event);
    }
}

/// A line that is no event of ours may be one of a newer version; that is worth a better word.
fn unreadable(path: &Path, line: usize, bytes: &[u8], source: serde_json::Error) -> ReplayError {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    match serde_json::from_slice::<Versioned>(bytes) {
        Ok(Versioned { version }) if version > EVENTS_VERSION => {
            ReplayError::Newer { path: path.to_owned(), found: version }
        }
        _ => ReplayError::Malformed { path: path.to_owned(), line, source },
    }
}

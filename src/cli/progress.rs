//! Shows a run while it happens: bars on a terminal, plain lines everywhere.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Local, Utc};
use indicatif::{ProgressBar, ProgressStyle};

use super::output::{self, Output, styled};
use crate::event::{EventKind, EventSink, PlannedScript, RunEvent, SinkError, Stream};
use crate::model::{Leaked, MailState, Occasion, Outcome, Project, RunStatus, format_duration};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Only what went wrong.
    Problems,
    /// A line a script.
    Scripts,
    /// Also what the scripts print.
    Everything,
}

/// Lines of a failure's last words that are shown.
const LAST_WORDS: usize = 8;

/// Shows one run.
pub(super) struct Progress<'a> {
    output: &'a Output,
    project: String,
    log_file: String,
    detail: Detail,
    usual: HashMap<String, Duration>,
    /// The project's scripts, by name and path, and how often each is tried at most.
    tries: Vec<(String, String, u32)>,
    scripts: Vec<PlannedScript>,
    bar: Option<ProgressBar>,
    failed: usize,
    /// What a script printed since its last line's end.
    unfinished: Vec<u8>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(output: &'a Output, project: &Project, detail: Detail, usual: HashMap<String, Duration>) -> Self {
        let tries = project.scripts.iter().map(|script| {
            let most = script.settings.retries.count.saturating_add(1);
            (script.name.clone(), script.path.display().to_string(), most)
        });
        Self {
            output,
            tries: tries.collect(),
            project: project.name.clone(),
            log_file: project.log_file().display().to_string(),
            detail,
            usual,
            scripts: Vec::new(),
            bar: None,
            failed: 0,
            unfinished: Vec::new(),
        }
    }

    fn name(&self, index: usize) -> &str {
        self.scripts.get(index).map_or("?", |script| script.name.as_str())
    }

    /// `attempt 2 of 3`.
    fn attempt(&self, index: usize, attempt: u32) -> String {
        let planned = self.scripts.get(index);
        let is_it = |(name, path, _): &&(String, String, u32)| {
            planned.is_some_and(|planned| planned.name == *name && planned.script == *path)
        };
        match self.tries.iter().find(is_it) {
            Some((.., most)) => format!("attempt {attempt} of {most}"),
            None => format!("attempt {attempt}"),
        }
    }

    fn shows(&self, detail: Detail) -> bool {
        match detail {
            Detail::Problems => true,
            Detail::Scripts => self.detail != Detail::Problems,
            Detail::Everything => self.detail == Detail::Everything,
        }
    }

    /// For when it was planned, if something about that is out of the ordinary.
    fn planned(&self, planned: DateTime<Utc>, occasion: &Occasion, began: DateTime<Utc>) {
        let remarks = occasion.remarks(began);
        if !remarks.is_empty() && self.shows(Detail::Scripts) {
            let planned = planned.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S");
            let what = styled(output::WARNING, "planned");
            self.output.line(format!("{}: {what} for {planned}; {}", self.project, remarks.join("; ")));
        }
    }

    fn run_started(&mut self, scripts: &[PlannedScript]) {
        self.scripts = scripts.to_vec();
        if self.output.terminal && self.shows(Detail::Scripts) {
            let bar = self.output.bars().add(ProgressBar::new(scripts.len() as u64));
            let style =
                ProgressStyle::with_template("{prefix:.bold} {bar:20.cyan/dim} {pos}/{len} {wide_msg} {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─"));
            bar.set_prefix(self.project.clone());
            bar.enable_steady_tick(Duration::from_millis(500));
            self.bar = Some(bar);
        }
    }

    fn script_started(&self, index: usize) {
        let Some(bar) = &self.bar else { return };
        let script = self.scripts.get(index).map(|script| script.script.as_str()).unwrap_or_default();
        let usual = self.usual.get(script).map(|usual| format!(" (usually {})", format_duration(*usual)));
        bar.reset_elapsed();
        bar.set_message(format!("{}{}", self.name(index), usual.unwrap_or_default()));
    }

    /// An attempt failed, and another follows.
    fn attempt_failed(&mut self, end: &End<'_>, pause_us: u64) {
        self.finish_line();
        let name = self.name(end.index).to_owned();
        let pause = format_duration(Duration::from_micros(pause_us));
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{name}, {} in {pause}", self.attempt(end.index, end.attempt + 1)));
        }
        if self.shows(Detail::Scripts) {
            let duration = format_duration(Duration::from_micros(end.duration_us));
            let (what, attempt) = (styled(output::WARNING, "retry "), self.attempt(end.index, end.attempt));
            let text = format!("{what}  {name}  {duration}  {attempt} failed: {}; again in {pause}", end.outcome);
            self.output.line(format!("{}: {text}", self.project));
        }
        self.left_behind(&name, end.leaked);
    }

    fn script_finished(&mut self, end: &End<'_>) {
        self.finish_line();
        if let Some(bar) = &self.bar {
            bar.inc(1);
            bar.set_message("");
        }
        let duration = format_duration(Duration::from_micros(end.duration_us));
        let name = self.name(end.index).to_owned();
        let project = &self.project;
        let attempt =
            if end.attempt > 1 { format!("  at {}", self.attempt(end.index, end.attempt)) } else { String::new() };
        if end.outcome.is_success() {
            if self.shows(Detail::Scripts) {
                self.output.line(format!("{project}: {}  {name}  {duration}{attempt}", styled(output::GOOD, "ok    ")));
            }
        } else {
            self.failed += 1;
            let (what, outcome) = (styled(output::BAD, "FAILED"), end.outcome);
            self.output.line(format!("{project}: {what}  {name}  {duration}  {outcome}{attempt}"));
            if let Some(words) = end.last_words {
                let lines: Vec<&str> = words.lines().collect();
                for line in &lines[lines.len().saturating_sub(LAST_WORDS)..] {
                    self.output.line(styled(output::DIM, format!("        {}", harmless(line))));
                }
            }
        }
        self.left_behind(&name, end.leaked);
    }

    fn left_behind(&self, name: &str, leaked: &[Leaked]) {
        for process in leaked {
            let Leaked { pid, command, .. } = process;
            self.output.line(format!(
                "{}: {name} left process {pid} behind, which {}: {}",
                self.project,
                process.fate(),
                harmless(command)
            ));
        }
    }

    fn run_finished(&mut self, status: RunStatus, duration_us: u64) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            self.output.bars().remove(&bar);
        }
        if status == RunStatus::Success && !self.shows(Detail::Scripts) {
            return;
        }
        let total = self.scripts.len();
        let scripts = if total == 1 { "script" } else { "scripts" };
        let verdict = match status {
            RunStatus::Success if total == 1 => styled(output::GOOD, "the script succeeded"),
            RunStatus::Success => styled(output::GOOD, format!("all {total} scripts succeeded")),
            RunStatus::Interrupted => styled(output::BAD, "interrupted"),
            _ => styled(output::BAD, format!("{} of {total} {scripts} failed", self.failed)),
        };
        let duration = format_duration(Duration::from_micros(duration_us));
        let log = styled(output::DIM, format!("log: {}", self.log_file));
        self.output.line(format!("{}: {verdict} in {duration}; {log}", self.project));
    }

    fn mail(&self, mail: &MailState) {
        let project = &self.project;
        match mail {
            MailState::Written { file } if self.shows(Detail::Scripts) => {
                self.output.line(format!("{project}: mail written to {}", file.display()));
            }
            MailState::Sent { .. } if self.shows(Detail::Scripts) => self.output.line(format!("{project}: mail sent")),
            // A mail that failed comes as a warning, too.
            _ => {}
        }
    }

    /// Prints what is left of a script's last line.
    fn finish_line(&mut self) {
        if !self.unfinished.is_empty() {
            let line = std::mem::take(&mut self.unfinished);
            self.print_line(&line);
        }
    }

    fn print_line(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        self.output.line(format!("{} {text}", styled(output::DIM, format!("{} |", self.project))));
    }
}

/// How an attempt ended.
struct End<'e> {
    index: usize,
    attempt: u32,
    outcome: &'e Outcome,
    duration_us: u64,
    last_words: Option<&'e str>,
    leaked: &'e [Leaked],
}

/// A failure's words without anything that would move the cursor or change colours.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

impl EventSink for Progress<'_> {
    fn on_event(&mut self, event: &RunEvent) -> Result<(), SinkError> {
        match &event.kind {
            EventKind::RunStarted { scripts, planned, occasion, .. } => {
                if let (Some(planned), Some(occasion)) = (planned, occasion) {
                    self.planned(*planned, occasion, event.time);
                }
                self.run_started(scripts);
            }
            EventKind::ScriptStarted { index, .. } => self.script_started(*index),
            EventKind::ScriptFinished {
                index,
                attempt,
                outcome,
                duration_us,
                traceback,
                last_lines,
                leaked,
                usual,
                retry_after_us,
                ..
            } => {
                let last_words = traceback.as_deref().or(last_lines.as_deref());
                let (index, attempt, duration_us) = (*index, *attempt, *duration_us);
                let end = End { index, attempt, outcome, duration_us, last_words, leaked };
                match retry_after_us {
                    Some(pause_us) => self.attempt_failed(&end, *pause_us),
                    None => self.script_finished(&end),
                }
                let remark = usual.and_then(|usual| usual.remark(duration_us));
                if let Some(remark) = remark.filter(|_| self.shows(Detail::Scripts)) {
                    let what = styled(output::WARNING, "unusual:");
                    self.output.line(format!("{}: {what} {} {remark}", self.project, self.name(index)));
                }
            }
            EventKind::ScriptSkipped { index, reason } => {
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                }
                let what = styled(output::WARNING, "skipped");
                self.output.line(format!("{}: {what} {}  {reason}", self.project, self.name(*index)));
            }
            EventKind::Warning { message } => {
                let what = styled(output::WARNING, "warning:");
                self.output.error(format!("{}: {what} {message}", self.project));
            }
            EventKind::RunFinished { status, duration_us, .. } => self.run_finished(*status, *duration_us),
            EventKind::Mail { mail } => self.mail(mail),
        }
        Ok(())
    }

    fn on_output(&mut self, _stream: Stream, bytes: &[u8]) {
        if !self.shows(Detail::Everything) {
            return;
        }
        let mut pieces = bytes.split(|&byte| byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.unfinished.extend_from_slice(piece);
            if pieces.peek().is_some() {
                let line = std::mem::take(&mut self.unfinished);
                self.print_line(&line);
            }
        }
        // A "line" without an end is shown in pieces rather than kept.
        if self.unfinished.len() > 64 * 1024 {
            self.finish_line();
        }
    }
}

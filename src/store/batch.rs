//! Events folded into the rows they change: what one transaction writes. Pure.
//!
//! A batch holds one change a script however many events there were, so that it stays small while a database is busy,
//! and a part of a run can be written without knowing the rest of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::event::{EventKind, RunEvent};
use crate::model::{
    AttachedFile, Leaked, MailState, Occasion, Outcome, OutputSummary, Parent, ProcessIdentity, RunId, RunParam,
    RunStatus, Usage, Usual,
};

/// Bytes kept of a traceback, or of last lines: the end. The run's events have all of it.
const TRACEBACK_EXCERPT: usize = 4 * 1024;

/// Changes to the database, waiting to be written.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) starts: BTreeMap<RunId, RunStart>,
    pub(super) planned: Vec<Planned>,
    pub(super) scripts: BTreeMap<(RunId, usize), ScriptChange>,
    pub(super) attempts: BTreeMap<(RunId, usize, u32), Attempt>,
    pub(super) warnings: Vec<Warning>,
    pub(super) ends: BTreeMap<RunId, RunEnd>,
    pub(super) mails: BTreeMap<RunId, Mail>,
}

/// A row of `runs` as it begins.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RunStart {
    run_id: RunId,
    project: String,
    pub(super) project_dir: String,
    profile: Option<String>,
    host: String,
    pid: u32,
    process: Option<ProcessIdentity>,
    version: String,
    parent: Option<Parent>,
    planned: Option<i64>,
    occasion: Option<Occasion>,
    params: Vec<RunParam>,
    started: i64,
    log_file: String,
    run_dir: String,
    scripts: usize,
}

/// A row of `scripts` as it begins.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Planned {
    run_id: RunId,
    idx: usize,
    name: String,
    script: String,
}

/// What becomes of a row of `scripts`. The outcome is always set, the others only where there is one.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct ScriptChange {
    run_id: Option<RunId>,
    idx: usize,
    started: Option<i64>,
    attempts: Option<u32>,
    retry_pending: Option<bool>,
    kind: Option<&'static str>,
    outcome: Option<Outcome>,
    finished: Option<Finished>,
}

#[derive(Debug, Clone, Serialize)]
struct Finished {
    duration_us: u64,
    usage: Usage,
    output: OutputSummary,
    traceback: Option<String>,
    last_lines: Option<String>,
    leaked: Option<Vec<Leaked>>,
    usual: Option<Usual>,
}

/// A row of `attempts`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Attempt {
    run_id: RunId,
    idx: usize,
    attempt: u32,
    kind: &'static str,
    outcome: Outcome,
    duration_us: u64,
    usage: Usage,
}

/// A row of `warnings`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Warning {
    run_id: RunId,
    time: i64,
    message: String,
}

/// What the end of a run sets in its row.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RunEnd {
    run_id: RunId,
    finished: i64,
    duration_us: u64,
    status: RunStatus,
    files: Option<Vec<AttachedFile>>,
}

/// What is known of a run's mail.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Mail {
    run_id: RunId,
    state: &'static str,
    detail: MailState,
}

impl Batch {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
            && self.scripts.is_empty()
            && self.attempts.is_empty()
            && self.warnings.is_empty()
            && self.ends.is_empty()
            && self.mails.is_empty()
    }

    /// How many rows it will write, roughly.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len() + self.planned.len() + self.scripts.len() + self.attempts.len() + self.warnings.len()
    }

    /// Whether it has what must survive a loss of power: the end of a run, or what became of its mail.
    #[must_use]
    pub fn has_ends(&self) -> bool {
        !self.ends.is_empty() || !self.mails.is_empty()
    }

    /// Adds what another batch, of later events, has.
    pub(crate) fn append(&mut self, later: Self) {
        // Not `append`, which walks the whole map each time.
        self.starts.extend(later.starts);
        self.planned.extend(later.planned);
        for (key, change) in later.scripts {
            self.scripts.entry(key).or_default().merge(change);
        }
        self.attempts.extend(later.attempts);
        self.warnings.extend(later.warnings);
        self.ends.extend(later.ends);
        self.mails.extend(later.mails);
    }

    /// Takes an event of the run `run_id` into account.
    pub fn apply(&mut self, run_id: &RunId, event: &RunEvent) {
        match &event.kind {
            EventKind::RunStarted { scripts, .. } => {
                if let Some(start) = RunStart::of(event) {
                    self.starts.insert(run_id.clone(), start);
                }
                self.planned.extend(scripts.iter().enumerate().map(|(idx, script)| Planned {
                    run_id: run_id.clone(),
                    idx,
                    name: script.name.clone(),
                    script: script.script.clone(),
                }));
            }
            EventKind::ScriptStarted { index, attempt, .. } => self.change(
                run_id,
                *index,
                ScriptChange {
                    started: Some(micros(event.time)),
                    attempts: Some(*attempt),
                    retry_pending: Some(false),
                    ..ScriptChange::default()
                },
            ),
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
                let finished = Finished {
                    duration_us: *duration_us,
                    usage: *usage,
                    output: output.clone(),
                    traceback: traceback.as_deref().map(excerpt),
                    last_lines: last_lines.as_deref().map(excerpt),
                    leaked: (!leaked.is_empty()).then(|| leaked.clone()),
                    usual: *usual,
                };
                self.change(
                    run_id,
                    *index,
                    ScriptChange {
                        attempts: Some(*attempt),
                        retry_pending: Some(retry_after_us.is_some()),
                        kind: Some(outcome.kind()),
                        outcome: Some(outcome.clone()),
                        finished: Some(finished),
                        ..ScriptChange::default()
                    },
                );
                let row = Attempt {
                    run_id: run_id.clone(),
                    idx: *index,
                    attempt: *attempt,
                    kind: outcome.kind(),
                    outcome: outcome.clone(),
                    duration_us: *duration_us,
                    usage: *usage,
                };
                self.attempts.insert((run_id.clone(), *index, *attempt), row);
            }
            EventKind::ScriptSkipped { index, reason } => {
                let outcome = Outcome::Skipped { reason: reason.clone() };
                self.change(
                    run_id,
                    *index,
                    ScriptChange { kind: Some(outcome.kind()), outcome: Some(outcome), ..ScriptChange::default() },
                );
            }
            EventKind::Warning { message } => self.warnings.push(Warning {
                run_id: run_id.clone(),
                time: micros(event.time),
                message: message.clone(),
            }),
            EventKind::RunFinished { status, duration_us, files } => {
                let end = RunEnd {
                    run_id: run_id.clone(),
                    finished: micros(event.time),
                    duration_us: *duration_us,
                    status: *status,
                    files: (!files.is_empty()).then(|| files.clone()),
                };
                self.ends.insert(run_id.clone(), end);
            }
            EventKind::Mail { mail } => {
                let row = Mail { run_id: run_id.clone(), state: mail.name(), detail: mail.clone() };
                self.mails.insert(run_id.clone(), row);
            }
        }
    }

    fn change(&mut self, run_id: &RunId, idx: usize, change: ScriptChange) {
        let change = ScriptChange { run_id: Some(run_id.clone()), idx, ..change };
        self.scripts.entry((run_id.clone(), idx)).or_default().merge(change);
    }
}

impl RunStart {
    fn of(event: &RunEvent) -> Option<Self> {
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
        Some(Self {
            run_id: run_id.clone(),
            project: project.clone(),
            project_dir: project_dir.to_string_lossy().into_owned(),
            profile: profile.clone(),
            host: host.clone(),
            pid: *pid,
            process: process.clone(),
            version: runner.clone(),
            parent: parent.clone(),
            planned: planned.map(micros),
            occasion: occasion.clone(),
            params: params.clone(),
            started: micros(event.time),
            log_file: log_file.to_string_lossy().into_owned(),
            run_dir: run_dir.to_string_lossy().into_owned(),
            scripts: scripts.len(),
        })
    }
}

impl ScriptChange {
    fn merge(&mut self, later: Self) {
        self.run_id = later.run_id;
        self.idx = later.idx;
        self.kind = later.kind;
        self.outcome = later.outcome;
        self.started = later.started.or(self.started);
        self.attempts = later.attempts.or(self.attempts);
        self.retry_pending = later.retry_pending.or(self.retry_pending);
        self.finished = later.finished.or_else(|| self.finished.take());
    }
}

/// Microseconds since 1970.
pub(super) fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

/// The end of a text, where the error stands. A NUL would end the text for SQLite.
fn excerpt(text: &str) -> String {
    let mut from = text.len().saturating_sub(TRACEBACK_EXCERPT);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].replace('\0', "\u{FFFD}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind) -> RunEvent {
        RunEvent { time: DateTime::from_timestamp(1_732_697_518, 0).unwrap(), kind }
    }

    fn finished(attempt: u32, outcome: Outcome, traceback: Option<String>) -> RunEvent {
        event(EventKind::ScriptFinished {
            index: 0,
            attempt,
            outcome,
            pid: None,
            duration_us: 5,
            usage: Usage::default(),
            output: OutputSummary::default(),
            traceback,
            last_lines: None,
            leaked: Vec::new(),
            usual: None,
            retry_after_us: None,
        })
    }

    #[test]
    fn a_script_is_one_change_however_much_happened() {
        let run = RunId::random();
        let mut batch = Batch::default();
        batch.apply(&run, &event(EventKind::ScriptStarted { index: 0, attempt: 1 }));
        batch.apply(&run, &finished(1, Outcome::ExitCode { code: 1 }, Some("x".repeat(10_000))));
        batch.apply(&run, &event(EventKind::ScriptStarted { index: 0, attempt: 2 }));
        let change = &batch.scripts[&(run.clone(), 0)];
        assert_eq!((change.attempts, change.outcome.as_ref()), (Some(2), None), "an attempt under way has no end");
        assert_eq!(change.finished.as_ref().unwrap().traceback.as_ref().unwrap().len(), TRACEBACK_EXCERPT);
        batch.apply(&run, &finished(2, Outcome::Success { code: 0 }, None));
        assert_eq!((batch.scripts.len(), batch.attempts.len()), (1, 2));
        assert_eq!(batch.scripts[&(run, 0)].kind, Some("success"));
    }

    #[test]
    fn excerpts_are_cut_between_characters() {
        let text = "é".repeat(4000);
        assert!(excerpt(&format!("x{text}")).chars().all(|c| c == 'é'));
        assert_eq!(excerpt("a\0b"), "a\u{FFFD}b");
    }
}

//! The end of a run whose runner died, as it is reckoned from the run's own events. Pure.

use chrono::{DateTime, Utc};

use crate::event::{EventKind, ReportFold, RunEvent};
use crate::model::{AttachedFile, Outcome, OutputSummary, RunReport, RunStatus, SkipReason, Usage};

/// A run's events up to where they break off.
#[derive(Debug, Default)]
pub struct BrokenOff {
    fold: ReportFold,
    start: Option<RunEvent>,
    last: DateTime<Utc>,
    last_end: Option<RunEvent>,
    maybe_unlogged: Option<RunEvent>,
}

/// What is known of a runner's death beside the run's events.
#[derive(Debug, Clone)]
pub struct Death {
    /// What it was, as reports show it.
    pub by: String,
    /// The last sign of life.
    pub last_sign: DateTime<Utc>,
    /// What is kept of the output of the script that ran.
    pub output: OutputSummary,
    /// The last lines that it printed.
    pub last_lines: Option<String>,
    /// Files that the scripts attached to the run.
    pub files: Vec<AttachedFile>,
}

impl Death {
    /// A runner's death of which nothing is known but when it gave its last sign.
    #[must_use]
    pub fn at(last_sign: DateTime<Utc>) -> Self {
        Self {
            by: "the runner died".to_owned(),
            last_sign,
            output: OutputSummary::default(),
            last_lines: None,
            files: Vec::new(),
        }
    }
}

impl BrokenOff {
    /// Takes the next event.
    pub fn apply(&mut self, event: &RunEvent) {
        self.last = self.last.max(event.time);
        match &event.kind {
            EventKind::RunStarted { .. } => self.start = Some(event.clone()),
            // Whoever goes on has written the lines before.
            EventKind::ScriptStarted { .. } | EventKind::Mail { .. } => self.maybe_unlogged = None,
            EventKind::ScriptFinished { retry_after_us, .. } => {
                self.last_end = Some(event.clone());
                self.maybe_unlogged = retry_after_us.is_none().then(|| event.clone());
            }
            _ => {}
        }
        self.fold.apply(event);
    }

    /// The report so far; `None` if the run never began.
    #[must_use]
    pub fn report(&self) -> Option<&RunReport> {
        self.fold.report()
    }

    /// The run's first event.
    #[must_use]
    pub fn start(&self) -> Option<&RunEvent> {
        self.start.as_ref()
    }

    /// When the last event happened.
    #[must_use]
    pub fn last_event(&self) -> DateTime<Utc> {
        self.last
    }

    /// The end of a script whose line may be missing in the log: nothing came after it that comes after the line.
    #[must_use]
    pub fn maybe_unlogged(&self) -> Option<&RunEvent> {
        self.maybe_unlogged.as_ref()
    }

    /// The script that was running: its place and the attempt.
    #[must_use]
    pub fn running(&self) -> Option<(usize, u32)> {
        let mut scripts = self.report()?.scripts.iter();
        scripts
            .find(|script| script.started.is_some() && script.outcome.is_none())
            .map(|script| (script.index, script.attempts))
    }

    /// The events that end the run: the script it was at and the run itself are interrupted, a failed attempt after which
    /// another was to follow becomes the script's last, and the scripts after it are skipped. None if it has an end.
    #[must_use]
    pub fn closing(&self, death: &Death) -> Vec<RunEvent> {
        let Some(report) = self.report().filter(|report| report.finished.is_none()) else { return Vec::new() };
        let mut kinds: Vec<EventKind> = Vec::new();
        for script in &report.scripts {
            match (&script.outcome, script.started) {
                (None, None) => {
                    let reason = SkipReason::RunInterrupted;
                    kinds.push(EventKind::ScriptSkipped { index: script.index, reason });
                }
                (None, Some(begin)) => kinds.push(interrupted(script.index, script.attempts, begin, death)),
                (Some(_), _) if script.retry_pending => kinds.extend(self.final_end()),
                (Some(_), _) => {}
            }
        }
        let duration_us = since(report.started, death);
        kinds.push(EventKind::RunFinished { status: RunStatus::Interrupted, duration_us, files: death.files.clone() });
        kinds.into_iter().map(|kind| RunEvent { time: death.last_sign, kind }).collect()
    }

    /// The last end of a script, with nothing to follow.
    fn final_end(&self) -> Option<EventKind> {
        let mut kind = self.last_end.as_ref()?.kind.clone();
        if let EventKind::ScriptFinished { retry_after_us, .. } = &mut kind {
            *retry_after_us = None;
        }
        Some(kind)
    }
}

/// A run of which nothing but the report is left.
impl From<RunReport> for BrokenOff {
    fn from(report: RunReport) -> Self {
        Self { last: report.started, fold: report.into(), ..Self::default() }
    }
}

fn interrupted(index: usize, attempt: u32, begin: DateTime<Utc>, death: &Death) -> EventKind {
    EventKind::ScriptFinished {
        index,
        attempt,
        outcome: Outcome::Interrupted { by: death.by.clone() },
        pid: None,
        duration_us: since(begin, death),
        usage: Usage::default(),
        output: death.output.clone(),
        traceback: None,
        last_lines: death.last_lines.clone(),
        leaked: Vec::new(),
        usual: None,
        retry_after_us: None,
    }
}

fn since(begin: DateTime<Utc>, death: &Death) -> u64 {
    (death.last_sign - begin).num_microseconds().and_then(|us| us.try_into().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples::{eventful, id};

    fn read(events: &[RunEvent]) -> BrokenOff {
        let mut told = BrokenOff::default();
        events.iter().for_each(|event| told.apply(event));
        told
    }

    /// Wherever it breaks off, what closes it makes it a whole run, and closing it piece by piece comes to the same.
    #[test]
    fn closing_may_break_off_anywhere() {
        let all = eventful(&id('a'), std::path::Path::new("daily"), 0);
        for length in 1..all.len() {
            let told = read(&all[..length]);
            let closing = told.closing(&Death::at(told.last_event()));
            let whole = [&all[..length], &closing].concat();
            let expected = read(&whole).report().cloned();
            assert!(expected.as_ref().is_some_and(|report| report.finished.is_some()));
            for done in 0..closing.len() {
                let begun = [&all[..length], &closing[..done]].concat();
                let told = read(&begun);
                let rest = told.closing(&Death::at(told.last_event()));
                assert_eq!(read(&[&begun[..], &rest].concat()).report().cloned(), expected, "{length} {done}");
            }
        }
    }

    #[test]
    fn a_pause_between_attempts_ends_with_the_attempt_before_it() {
        let mut events = eventful(&id('a'), std::path::Path::new("daily"), 0);
        let at = events.iter().position(|event| matches!(event.kind, EventKind::ScriptFinished { .. })).unwrap();
        events.truncate(at + 1);
        if let EventKind::ScriptFinished { outcome, retry_after_us, .. } = &mut events[at].kind {
            (*outcome, *retry_after_us) = (Outcome::ExitCode { code: 3 }, Some(5));
        }
        let told = read(&events);
        assert!(told.maybe_unlogged().is_none(), "an attempt that is not the last has no line");
        let closing = told.closing(&Death::at(told.last_event()));
        assert!(matches!(
            &closing[0].kind,
            EventKind::ScriptFinished { outcome: Outcome::ExitCode { code: 3 }, retry_after_us: None, .. }
        ));
        let whole = read(&[&events[..], &closing].concat());
        assert!(whole.maybe_unlogged().is_some() && !whole.report().unwrap().scripts[0].retry_pending);
    }
}

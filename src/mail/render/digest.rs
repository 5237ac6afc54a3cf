//! What a digest tells of: all runs since the last one that somebody was told of, and the scripts that failed in them.

use std::collections::HashSet;

use super::clean::one_line;
use super::view::RenderContext;
use super::words::{Digested, Phrases};
use crate::model::{Outcome, PastByScript, PastRun, PastScript, RunReport, RunStatus};

pub(super) struct Digest<'a> {
    /// Newest first; the first is the run that sends it.
    pub(super) runs: Vec<&'a PastRun>,
    /// When somebody was last told, as a language says it; `None` if nobody ever was.
    pub(super) since: Option<String>,
    /// Scripts that failed in at least one of them, those that still fail first.
    pub(super) troubled: Vec<Troubled<'a>>,
}

/// A script that failed in at least one of the runs.
pub(super) struct Troubled<'a> {
    pub(super) name: String,
    failed: usize,
    runs: usize,
    /// Whether it failed the last time it was tried.
    pub(super) fails: bool,
    /// Its latest failure, and the run in which that was.
    pub(super) last: (&'a PastRun, &'a PastScript),
    pub(super) end: &'a Outcome,
}

impl Troubled<'_> {
    pub(super) fn told(&self, width: usize) -> Digested {
        let Self { failed, runs, fails, .. } = *self;
        Digested { name: one_line(&self.name, width), failed, runs, fails }
    }
}

impl<'a> Digest<'a> {
    /// Of `latest`, which is `report` as the past will know it, and what came before.
    pub(super) fn of(latest: &'a PastRun, report: &RunReport, context: &'a RenderContext, words: &dyn Phrases) -> Self {
        let local = context.local_time;
        let older = context.last_told.as_ref().filter(|told| told.started < report.started);
        let told = context.past.iter().find(|run| run.is_told()).or(older);
        let since = told.map(|told| words.since(local(told.ended()), local(report.finished.unwrap_or(report.started))));
        let untold = context.past.iter().take_while(|run| !run.is_told());
        let runs: Vec<&PastRun> = std::iter::once(latest).chain(untold).collect();
        let mut troubled = troubled(&runs);
        troubled.sort_by_key(|script| !script.fails);
        Self { runs, since, troubled }
    }

    /// Scripts that failed in earlier runs, but not in the latest.
    pub(super) fn past_failures(&self) -> Vec<&Troubled<'a>> {
        let latest = self.runs.first().map(|run| &run.run_id);
        self.troubled.iter().filter(|script| Some(&script.last.0.run_id) != latest).collect()
    }

    pub(super) fn failed_runs(&self) -> usize {
        self.runs.iter().filter(|run| run.status != RunStatus::Success).count()
    }
}

fn troubled<'a>(runs: &[&'a PastRun]) -> Vec<Troubled<'a>> {
    let past = PastByScript::of(runs.iter().copied());
    let mut seen: HashSet<(&str, &str)> = HashSet::new();
    let mut found: Vec<Troubled<'a>> = Vec::new();
    for run in runs {
        for script in run.failures() {
            let Some(end) = script.outcome.as_ref().filter(|_| seen.insert((&script.script, &script.name))) else {
                continue;
            };
            let known: Vec<bool> = past.ends(&script.script, &script.name).map(|(_, failed)| failed).collect();
            found.push(Troubled {
                name: script.name.clone(),
                failed: known.iter().filter(|failed| **failed).count(),
                runs: known.len(),
                fails: known.first() == Some(&true),
                last: (run, script),
                end,
            });
        }
    }
    found
}

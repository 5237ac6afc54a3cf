//! What went before, as rows of small cells: an outcome each, and how long it took.

use std::time::Duration;

use super::page::{Look, look_of_run, look_of_script};
use super::view::RenderContext;
use super::words::{Kind, Phrases, Word};
use crate::model::{
    Baseline, LEARNED_FROM, Outcome, PastByScript, PastRun, PastScript, RunReport, RunStatus, ScriptReport,
};

/// Runs that are shown, this one included.
const SHOWN: usize = 14;
/// Height of the bar of the longest run, in pixels.
const HEIGHT: u64 = 26;

/// The latest runs, this one last.
pub(super) struct Strip {
    /// `Last 14 runs`.
    pub(super) heading: String,
    /// `11 succeeded, 3 failed`.
    pub(super) counts: String,
    pub(super) cells: Vec<Cell>,
    /// From when on they are, and how long they took.
    pub(super) caption: String,
    /// For readers of plain text.
    pub(super) order: &'static str,
}

pub(super) struct Cell {
    pub(super) symbol: &'static str,
    pub(super) color: &'static str,
    /// Said in words.
    pub(super) title: String,
    /// Of its bar, in pixels.
    pub(super) height: u64,
}

impl Strip {
    pub(super) fn symbols(&self) -> String {
        symbols(&self.cells)
    }
}

/// `✓✓✗✓`.
pub(super) fn symbols(cells: &[Cell]) -> String {
    cells.iter().map(|cell| cell.symbol).collect()
}

/// The latest runs; `None` if this is the first that is known.
pub(super) fn strip(latest: &PastRun, context: &RenderContext, words: &dyn Phrases) -> Option<Strip> {
    let mut runs: Vec<&PastRun> = std::iter::once(latest).chain(&context.past).take(SHOWN).collect();
    if runs.len() < 2 {
        return None;
    }
    runs.reverse();
    let longest = runs.iter().map(|run| run.duration_us).max().unwrap_or(0).max(1);
    let shortest = runs.iter().map(|run| run.duration_us).min().unwrap_or(0);
    let moment = |run: &PastRun| words.moment((context.local_time)(run.started));
    let cell = |run: &&PastRun| {
        let Look { symbol, status, color } = look_of_run(run.status);
        let duration = words.duration(Duration::from_micros(run.duration_us));
        let title = format!("{}{}{}{}{duration}", moment(run), words.colon(), words.word(status), words.comma());
        let height = u128::from(run.duration_us) * u128::from(HEIGHT) / u128::from(longest);
        Cell { symbol, color, title, height: u64::try_from(height).unwrap_or(HEIGHT).max(1) }
    };
    let [shortest, longest] = [shortest, longest].map(|us| words.duration(Duration::from_micros(us)));
    let duration = if shortest == longest { longest } else { format!("{shortest} – {longest}") };
    let from = runs.first().map(|run| moment(run)).unwrap_or_default();
    let caption =
        format!("{from} – {} · {}{}{duration}", words.word(Word::ThisRun), words.word(Word::Duration), words.colon());
    Some(Strip {
        heading: words.last_runs(runs.len()),
        counts: run_counts(&runs, words),
        cells: runs.iter().map(cell).collect(),
        caption,
        order: words.word(Word::OldestFirst),
    })
}

fn run_counts(runs: &[&PastRun], words: &dyn Phrases) -> String {
    let of = |status| runs.iter().filter(|run| run.status == status).count();
    [
        (Kind::Succeeded, RunStatus::Success),
        (Kind::Failed, RunStatus::Failure),
        (Kind::Interrupted, RunStatus::Interrupted),
    ]
    .into_iter()
    .map(|(kind, status)| (kind, of(status)))
    .filter(|(_, count)| *count > 0)
    .map(|(kind, count)| words.count(kind, count))
    .collect::<Vec<_>>()
    .join(words.comma())
}

/// How one script ended in the runs in which it was planned, this one last; empty if this is the first.
pub(super) fn script_cells<'a>(
    script: &'a ScriptReport,
    report: &RunReport,
    past: &PastByScript<'a>,
    context: &RenderContext,
    words: &dyn Phrases,
) -> Vec<Cell> {
    let of = |own: &[(usize, &PastScript)]| {
        // Of several the one that failed, if one did.
        let failed = |past: &&PastScript| past.outcome.as_ref().is_some_and(Outcome::is_failure);
        let told = own.iter().map(|(_, past)| *past).max_by_key(failed)?;
        Some((past.run(own.first()?.0)?.started, told.outcome.clone()))
    };
    let runs = past.of_script(&script.script, &script.name).chunk_by(|(one, _), (other, _)| one == other);
    let mut ends: Vec<_> = runs.filter_map(of).take(SHOWN - 1).collect();
    if ends.is_empty() {
        return Vec::new();
    }
    ends.reverse();
    ends.push((report.started, script.outcome.clone()));
    let cell = |(started, outcome): (_, Option<_>)| {
        let Look { symbol, status, color } = look_of_script(outcome.as_ref());
        let moment = words.moment((context.local_time)(started));
        Cell { symbol, color, title: format!("{moment}{}{}", words.colon(), words.word(status)), height: 0 }
    };
    ends.into_iter().map(cell).collect()
}

/// How long a script usually takes, in microseconds, by what the run knew or its last successes say.
pub(super) fn usual_us<'a>(script: &'a ScriptReport, past: &PastByScript<'a>) -> Option<u64> {
    // Where nothing else is known, that is the limit that was set.
    let known = script.usual.filter(|usual| usual.slow_after_us != Some(usual.usual_us)).map(|usual| usual.usual_us);
    known.or_else(|| {
        let own = past.of_script(&script.script, &script.name).iter().map(|(_, past)| past);
        let successes = own.filter(|past| past.outcome.as_ref().is_some_and(Outcome::is_success));
        let durations = successes.take(LEARNED_FROM as usize).map(|past| past.duration_us).collect();
        Baseline::of(durations).map(|baseline| baseline.median_us)
    })
}

//! The first line: how the run went, and what is wanted of the reader.

use super::clean::one_line;
use crate::model::{Outcome, RunReport, RunStatus, ScriptReport};

/// Characters of a script's name that the first line shows.
const NAME: usize = 40;
/// Scripts that the first line names.
const NAMED: usize = 2;

/// How a run as a whole, or a script, is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Broken,
    Quiet,
}

/// How the run went.
pub(super) struct Verdict {
    pub(super) tone: Tone,
    /// `1 of 3 scripts failed`.
    pub(super) headline: String,
    /// A sentence or two.
    pub(super) wanted: String,
}

/// The verdict, for a reader who is shown the scripts `mentioned`.
pub(super) fn verdict(report: &RunReport, mentioned: &[&ScriptReport]) -> Verdict {
    let failures: Vec<_> = report.failures().collect();
    let interrupted = report.status == RunStatus::Interrupted;
    let tone = match (interrupted, failures.is_empty()) {
        (true, _) => Tone::Broken,
        (false, true) => Tone::Good,
        (false, false) => Tone::Bad,
    };
    let headline = if interrupted { interrupted_headline(report) } else { finished_headline(report, &failures) };
    let wanted = match tone {
        Tone::Broken => wanted_after_interruption(report),
        Tone::Bad => wanted_after_failure(report, &failures),
        _ => wanted_after_success(report, mentioned),
    };
    Verdict { tone, headline, wanted }
}

fn finished_headline(report: &RunReport, failures: &[&ScriptReport]) -> String {
    let total = report.scripts.len();
    let (succeeded, failed, not_run) = report.counts();
    match (report.scripts.as_slice(), failed) {
        ([], _) => "there was no script to run".to_owned(),
        ([only], 0) if only.success() => format!("{} succeeded", one_line(&only.name, NAME)),
        ([only], 1) => format!("{} failed", one_line(&only.name, NAME)),
        (_, 0) if succeeded == total => format!("all {total} scripts succeeded"),
        (_, 0) => format!("{succeeded} of {total} scripts succeeded, the others were not run"),
        (_, _) if failures.len() == total => format!("all {total} scripts failed"),
        (_, _) if not_run > 0 => format!("{failed} of {total} scripts failed, {not_run} not run"),
        (_, _) => format!("{failed} of {total} scripts failed"),
    }
}

fn interrupted_headline(report: &RunReport) -> String {
    let ended = |script: &&ScriptReport| {
        !matches!(script.outcome, None | Some(Outcome::Interrupted { .. } | Outcome::Skipped { .. }))
    };
    let total = report.scripts.len();
    let done = report.scripts.iter().filter(ended).count();
    let failed = report.failures().filter(ended).count();
    let scripts = if total == 1 { "script" } else { "scripts" };
    let mut headline = format!("interrupted after {done} of {total} {scripts}");
    if failed > 0 {
        headline.push_str(&format!(", {failed} failed"));
    }
    headline
}

fn wanted_after_success(report: &RunReport, mentioned: &[&ScriptReport]) -> String {
    let unusual: Vec<String> = mentioned.iter().filter_map(|script| name_and_pace(script)).collect();
    let others = unusual.len().saturating_sub(NAMED);
    let mut wanted = match unusual.len() {
        0 if report.warnings.is_empty() => return "Nothing to do.".to_owned(),
        0 => return "The scripts are fine, but please read the warnings below.".to_owned(),
        _ => format!("Worth a look: {}", unusual[..unusual.len() - others].join("; ")),
    };
    if others > 0 {
        wanted.push_str(&format!("; and {others} more"));
    }
    wanted.push('.');
    if !report.warnings.is_empty() {
        wanted.push_str(" Please read the warnings below, too.");
    }
    wanted
}

/// `report.py took 12 min, usually 3 min`.
fn name_and_pace(script: &ScriptReport) -> Option<String> {
    Some(format!("{} {}", one_line(&script.name, NAME), script.pace_remark()?))
}

fn wanted_after_failure(report: &RunReport, failures: &[&ScriptReport]) -> String {
    let ends: Vec<String> = failures.iter().take(NAMED).map(|script| name_and_end(script)).collect();
    let others = failures.len().saturating_sub(NAMED);
    let mut wanted = format!("Please look at {}", ends.join(if others > 0 { ", " } else { " and " }));
    if others > 0 {
        wanted.push_str(&format!(" and {others} more"));
    }
    wanted.push('.');
    match report.counts().2 {
        0 => {}
        1 => wanted.push_str(" One script was not run because of it."),
        skipped => wanted.push_str(&format!(" {skipped} scripts were not run because of it.")),
    }
    wanted
}

fn name_and_end(script: &ScriptReport) -> String {
    let name = one_line(&script.name, NAME);
    match &script.outcome {
        Some(outcome) => format!("{name} ({})", one_line(&outcome.to_string(), 100)),
        None => name,
    }
}

fn wanted_after_interruption(report: &RunReport) -> String {
    let cut_off = |script: &&ScriptReport| matches!(script.outcome, Some(Outcome::Interrupted { .. }));
    match report.scripts.iter().find(cut_off) {
        Some(script) => format!(
            "Please check how far {} got ({}), then run the project again.",
            one_line(&script.name, NAME),
            script.outcome.as_ref().map_or_else(String::new, |outcome| one_line(&outcome.to_string(), 60)),
        ),
        None => "Please run the project again: not all of it was run.".to_owned(),
    }
}

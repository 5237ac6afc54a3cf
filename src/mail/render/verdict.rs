//! The first line: how the run went, what is new about that, and what is wanted of the reader.

use chrono::{DateTime, Utc};

use super::clean::one_line;
use super::digest::Digest;
use super::view::RenderContext;
use super::words::{Change, Headline, Phrases, Planned, Wanted};
use crate::model::{Occasion, Outcome, PastByScript, RunReport, RunStatus, ScriptReport, Streak};

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
    /// `1 of 3 scripts failed`, as it follows the project's name.
    pub(super) headline: String,
    /// The same as the beginning of a sentence.
    pub(super) beginning: String,
    /// What is new, in sentences.
    pub(super) news: String,
    /// A sentence or two.
    pub(super) wanted: String,
}

impl Verdict {
    pub(super) fn new(tone: Tone, headline: &Headline, news: &[String], wanted: &Wanted, words: &dyn Phrases) -> Self {
        let text = words.headline(headline);
        let beginning = match headline {
            Headline::OneSucceeded { .. } | Headline::OneFailed { .. } => text.clone(),
            _ => capitalised(&text),
        };
        Self { tone, headline: text, beginning, news: news.join(words.space()), wanted: words.wanted(wanted) }
    }

    /// All of it, after a beginning that says how it went.
    pub(super) fn line(&self, beginning: &str, words: &dyn Phrases) -> String {
        let sentences = [&format!("{beginning}{}", words.stop()), &self.news, &self.wanted];
        sentences.into_iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(words.space())
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The verdict about one run, for a reader who is shown the scripts `mentioned`.
pub(super) fn of_run(
    report: &RunReport,
    mentioned: &[&ScriptReport],
    context: &RenderContext,
    words: &dyn Phrases,
) -> Verdict {
    let failures: Vec<_> = report.failures().collect();
    let interrupted = report.status == RunStatus::Interrupted;
    let headline = if interrupted { interrupted_headline(report) } else { finished_headline(report, &failures) };
    let (tone, wanted) = match (interrupted, failures.is_empty()) {
        (true, _) => (Tone::Broken, wanted_after_interruption(report, words)),
        (false, true) => (Tone::Good, wanted_after_success(report, mentioned, words)),
        (false, false) => {
            let ends = failures.iter().map(|script| name_and_end(&script.name, script.outcome.as_ref(), words));
            (Tone::Bad, Wanted::LookAt { list: list(ends.collect(), words), not_run: report.counts().2 })
        }
    };
    let news: Vec<String> = planned(report, context, words).into_iter().chain(news(report, context, words)).collect();
    Verdict::new(tone, &headline, &news, &wanted, words)
}

/// The verdict about all runs of a digest, of which `report` is the latest.
pub(super) fn of_digest(
    digest: &Digest<'_>,
    report: &RunReport,
    mentioned: &[&ScriptReport],
    context: &RenderContext,
    words: &dyn Phrases,
) -> Verdict {
    let failing: Vec<String> = digest
        .troubled
        .iter()
        .filter(|script| script.fails)
        .map(|script| name_and_end(&script.name, Some(script.end), words))
        .collect();
    let failed = digest.failed_runs();
    let (tone, wanted) = match (report.status, failing.is_empty()) {
        (RunStatus::Interrupted, _) => (Tone::Broken, wanted_after_interruption(report, words)),
        (_, false) => (Tone::Bad, Wanted::LookAt { list: list(failing, words), not_run: report.counts().2 }),
        (_, true) => {
            let tone = if failed == 0 { Tone::Good } else { Tone::Broken };
            (tone, wanted_after_success(report, mentioned, words))
        }
    };
    let headline = Headline::Runs { failed, total: digest.runs.len(), since: digest.since.clone() };
    // One run alone says with what is wanted what is to be said of its scripts.
    let told = if digest.runs.len() > 1 { NAMED + 1 } else { 0 };
    let troubled = digest.troubled.iter().take(told).map(|script| words.digested(&script.told(NAME)));
    // Of several each says so itself.
    let planned = if digest.runs.len() > 1 { Vec::new() } else { planned(report, context, words) };
    let news: Vec<String> = planned.into_iter().chain(troubled).collect();
    Verdict::new(tone, &headline, &news, &wanted, words)
}

/// A list of the first few.
fn list(mut members: Vec<String>, words: &dyn Phrases) -> String {
    let more = members.len().saturating_sub(NAMED);
    members.truncate(NAMED);
    words.list(&members, more)
}

fn finished_headline(report: &RunReport, failures: &[&ScriptReport]) -> Headline {
    let total = report.scripts.len();
    let (succeeded, failed, not_run) = report.counts();
    let name = |script: &ScriptReport| one_line(&script.name, NAME);
    match (report.scripts.as_slice(), failed) {
        ([], _) => Headline::NoScripts,
        ([only], 0) if only.success() => Headline::OneSucceeded { name: name(only) },
        ([only], 1) => Headline::OneFailed { name: name(only) },
        (_, 0) if succeeded == total => Headline::AllSucceeded { total },
        (_, 0) => Headline::SomeSucceeded { succeeded, total },
        _ if failures.len() == total => Headline::AllFailed { total },
        _ => Headline::SomeFailed { failed, total, not_run },
    }
}

fn interrupted_headline(report: &RunReport) -> Headline {
    let ended = |script: &&ScriptReport| {
        !matches!(script.outcome, None | Some(Outcome::Interrupted { .. } | Outcome::Skipped { .. }))
    };
    Headline::Interrupted {
        done: report.scripts.iter().filter(ended).count(),
        total: report.scripts.len(),
        failed: report.failures().filter(ended).count(),
    }
}

/// What became of the time that the run was planned for, and of those before it, in sentences; nothing if all was well.
fn planned(report: &RunReport, context: &RenderContext, words: &dyn Phrases) -> Vec<String> {
    told_of_plan((report.planned, report.occasion.as_ref()), report.started, context, words)
}

/// The same by the planned instant and its occasion.
pub(super) fn told_of_plan(
    of: (Option<DateTime<Utc>>, Option<&Occasion>),
    started: DateTime<Utc>,
    context: &RenderContext,
    words: &dyn Phrases,
) -> Vec<String> {
    let (Some(planned), Some(occasion)) = of else { return Vec::new() };
    let moment = |first: Option<_>| words.moment((context.local_time)(first.unwrap_or(planned)));
    let late = occasion.late.map(|why| {
        let by = words.duration((started - occasion.due).to_std().unwrap_or_default());
        Planned::Late { by, why }
    });
    let merged =
        (occasion.merged > 0).then(|| Planned::Merged { count: occasion.merged, first: moment(occasion.merged_from) });
    let missed =
        (occasion.missed > 0).then(|| Planned::Missed { count: occasion.missed, first: moment(occasion.missed_from) });
    [late, merged, missed].into_iter().flatten().map(|told| words.planned(&told)).collect()
}

/// What is new since the runs before, of which something must be known for that.
fn news(report: &RunReport, context: &RenderContext, words: &dyn Phrases) -> Vec<String> {
    if context.past.is_empty() {
        return Vec::new();
    }
    let (mut failed, mut still, mut recovered) = (Vec::new(), Vec::new(), Vec::new());
    let past = PastByScript::of(&context.past);
    for script in &report.scripts {
        let before = past.streak(&script.script, &script.name);
        match (&script.outcome, before) {
            (None | Some(Outcome::Skipped { .. } | Outcome::Interrupted { .. }), _) => {}
            (Some(outcome), Some(before)) if outcome.is_failure() && before.failing => {
                still.push((script, Some(before)))
            }
            (Some(outcome), before) if outcome.is_failure() => failed.push((script, before)),
            (_, Some(before)) if before.failing => recovered.push((script, Some(before))),
            _ => {}
        }
    }
    let local = context.local_time;
    let since = |streak: Streak| words.since(local(streak.since), local(report.started));
    let mut news = Vec::new();
    let mut tell = |scripts: Vec<(&ScriptReport, Option<Streak>)>,
                    change: &dyn Fn(String, usize, Option<Streak>) -> Change| {
        let names: Vec<String> = scripts.iter().map(|(script, _)| one_line(&script.name, NAME)).collect();
        let count = names.len();
        if count > 0 {
            let only = scripts[0].1.filter(|_| count == 1);
            news.push(words.change(&change(list(names, words), count, only)));
        }
    };
    tell(failed, &|names, count, before| {
        let after = before.filter(|before| before.is_whole).map(|before| before.runs);
        Change::Failed { names, count, after }
    });
    tell(still, &|names, count, before| {
        let since = before.map(|before| (before.is_whole.then_some(before.runs + 1), since(before)));
        Change::StillFails { names, count, since }
    });
    tell(recovered, &|names, count, before| {
        let after = before.filter(|before| before.is_whole).map(|before| before.runs);
        Change::Recovered { names, count, after }
    });
    news
}

fn wanted_after_success(report: &RunReport, mentioned: &[&ScriptReport], words: &dyn Phrases) -> Wanted {
    let unusual: Vec<String> = mentioned
        .iter()
        .filter_map(|script| Some(words.name_and_pace(&one_line(&script.name, NAME), &pace_remark(script, words)?)))
        .collect();
    let warnings = !report.warnings.is_empty();
    match (unusual.is_empty(), warnings) {
        (true, false) => Wanted::Nothing,
        (true, true) => Wanted::ReadWarnings,
        (false, warnings) => {
            // Each has a comma of its own, in some languages.
            let more = unusual.len().saturating_sub(NAMED);
            let told = unusual[..unusual.len() - more].join(&words.comma().replace(',', ";"));
            Wanted::WorthALook { list: words.list(&[told], more), warnings }
        }
    }
}

/// That it was unusually slow or quick, if it was: `took 12 min, usually 3 min`.
pub(super) fn pace_remark(script: &ScriptReport, words: &dyn Phrases) -> Option<String> {
    use crate::model::Pace;
    let usual = script.usual?;
    let text = |us| words.duration(std::time::Duration::from_micros(us));
    let took = text(script.duration_us);
    match (usual.pace, usual.slow_after_us) {
        (Pace::Usual, _) => None,
        (Pace::Slow, Some(limit)) => Some(words.over_limit(&took, &text(limit))),
        (Pace::Slow | Pace::Quick, _) => Some(words.pace(&took, &text(usual.usual_us))),
    }
}

/// `load.py (exit code 3)`.
pub(super) fn name_and_end(name: &str, outcome: Option<&Outcome>, words: &dyn Phrases) -> String {
    let name = one_line(name, NAME);
    match outcome {
        Some(outcome) => name + &words.aside(&one_line(&words.outcome(outcome), 100)),
        None => name,
    }
}

fn wanted_after_interruption(report: &RunReport, words: &dyn Phrases) -> Wanted {
    let run = report.run_id.to_string();
    let cut_off = report.scripts.iter().find_map(|script| match &script.outcome {
        Some(outcome @ Outcome::Interrupted { .. }) => Some((script, outcome)),
        _ => None,
    });
    match cut_off {
        Some((script, outcome)) => Wanted::CheckAndResume {
            name: one_line(&script.name, NAME),
            end: one_line(&words.outcome(outcome), 60),
            run,
        },
        None => Wanted::Resume { run },
    }
}

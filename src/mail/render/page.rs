//! What the mail shows, put into words and cut to size; the templates only lay it out.

use std::time::Duration;

use super::clean::{hard_spaces, lines, one_line, tail};
use super::verdict::{Tone, Verdict, verdict};
use super::view::RenderContext;
use crate::mail::strategy::mentioned;
use crate::model::{AttachedFile, EmailStrategy, Outcome, RunReport, ScriptReport, format_duration, format_size};

/// Characters of a script's name that its row shows.
const NAME: usize = 80;
/// Characters of a message that is shown.
const MESSAGE: usize = 300;
/// Columns up to which marks under a line are kept.
const UNDERLINE: usize = 64;
/// Width of a whole bar of a duration, in pixels.
const BAR: u64 = 64;

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Scripts that get a row.
    pub(super) rows: usize,
    /// Failures whose output is shown.
    pub(super) failures: usize,
    /// Lines of each one's output.
    pub(super) lines: usize,
    /// Bytes of it.
    pub(super) bytes: usize,
    /// Warnings, leaked processes, files.
    pub(super) notes: usize,
}

pub(super) struct Page {
    pub(super) project: String,
    pub(super) headline: String,
    pub(super) wanted: String,
    pub(super) symbol: &'static str,
    pub(super) color: &'static str,
    pub(super) rows: Vec<Row>,
    pub(super) more_rows: Option<String>,
    pub(super) failures: Vec<Failure>,
    pub(super) more_failures: Option<String>,
    pub(super) warnings: Vec<String>,
    pub(super) leaked: Vec<String>,
    /// Files that scripts attached to the run.
    pub(super) files: Vec<String>,
    pub(super) facts: Vec<Fact>,
}

pub(super) struct Row {
    pub(super) symbol: &'static str,
    pub(super) status: &'static str,
    pub(super) color: &'static str,
    pub(super) name: String,
    /// Empty for a script that was never tried.
    pub(super) duration: String,
    /// Pixels of the bar, filled and empty; none for a script that was never tried.
    pub(super) bar: Option<(u64, u64)>,
    /// How it ended, if that isn't said by the status; attempts.
    pub(super) note: String,
    /// An unusual duration, which is to be noticed.
    pub(super) remark: String,
}

impl Row {
    /// The status, which no line break may tear apart.
    pub(super) fn hard_status(&self) -> String {
        self.status.replace(' ', "\u{a0}")
    }

    /// The duration, likewise.
    pub(super) fn hard_duration(&self) -> String {
        self.duration.replace(' ', "\u{a0}")
    }

    /// The row in plain text, in columns of these widths.
    pub(super) fn line(&self, status_width: usize, name_width: usize, duration_width: usize) -> String {
        let Self { symbol, status, name, duration, note, remark, .. } = self;
        let dot = if note.is_empty() || remark.is_empty() { "" } else { " · " };
        format!("{symbol} {status:status_width$}  {name:name_width$}  {duration:>duration_width$}  {note}{dot}{remark}")
            .trim_end()
            .to_owned()
    }
}

pub(super) struct Failure {
    pub(super) name: String,
    pub(super) end: String,
    pub(super) before: Option<String>,
    pub(super) lines: Vec<String>,
    /// What stands in their place when there are none.
    pub(super) silence: &'static str,
    /// Where the whole output is.
    pub(super) output: Option<String>,
}

impl Failure {
    /// The lines with their columns kept by no-break spaces.
    pub(super) fn hard_lines(&self) -> Vec<String> {
        self.lines.iter().map(|line| hard_spaces(line)).collect()
    }

    /// The line under the heading, as long as it.
    pub(super) fn rule(&self) -> String {
        "-".repeat((self.name.chars().count() + self.end.chars().count() + 2).min(72))
    }
}

pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) value: String,
}

impl Fact {
    /// The fact in plain text, its label in a column of this width.
    pub(super) fn line(&self, label_width: usize) -> String {
        format!("{:label_width$}  {}", self.label, self.value)
    }
}

pub(super) fn page(report: &RunReport, strategy: EmailStrategy, context: &RenderContext, limits: Limits) -> Page {
    let scripts = mentioned(strategy, report, context);
    let Verdict { tone, headline, wanted } = verdict(report, &scripts);
    let (symbol, color) = look(tone);
    let longest = scripts.iter().map(|script| script.duration_us).max().unwrap_or(0);
    let rows = scripts.iter().take(limits.rows).map(|script| row(script, longest)).collect();
    let failed: Vec<&ScriptReport> = report.failures().collect();
    let failures = failed.iter().take(limits.failures).map(|script| failure(script, report, limits)).collect();
    Page {
        project: project_name(report),
        headline,
        wanted,
        symbol,
        color,
        rows,
        more_rows: more_rows(&scripts[limits.rows.min(scripts.len())..]),
        failures,
        more_failures: match failed.len().saturating_sub(limits.failures) {
            0 => None,
            1 => Some("The output of one more failed script is in the run's folder.".to_owned()),
            more => Some(format!("The output of {more} more failed scripts is in the run's folder.")),
        },
        warnings: notes(report.warnings.iter().map(|text| one_line(text, MESSAGE)).collect(), limits.notes, "warnings"),
        leaked: notes(leaked(&scripts), limits.notes, "processes"),
        files: notes(files(report), limits.notes, "files"),
        facts: facts(report, context),
    }
}

/// The project's name as subject and title show it, with the profile if there is one.
pub(super) fn project_name(report: &RunReport) -> String {
    let name = one_line(&report.project, 60);
    match &report.profile {
        Some(profile) => format!("{name} [{}]", one_line(profile, 20)),
        None => name,
    }
}

/// Colours that stand out on white by 4.5 to 1 at least (WCAG 2.2, 1.4.3).
fn look(tone: Tone) -> (&'static str, &'static str) {
    match tone {
        Tone::Good => ("✓", "#1a7f37"),
        Tone::Bad => ("✗", "#b3261e"),
        Tone::Broken => ("!", "#8a5300"),
        Tone::Quiet => ("–", "#5f6368"),
    }
}

fn status(outcome: Option<&Outcome>) -> (Tone, &'static str) {
    match outcome {
        Some(Outcome::Success { .. }) => (Tone::Good, "succeeded"),
        Some(Outcome::Timeout { .. }) => (Tone::Bad, "timed out"),
        Some(Outcome::CouldNotStart { .. }) => (Tone::Bad, "not started"),
        Some(Outcome::Skipped { .. }) => (Tone::Quiet, "not run"),
        Some(Outcome::Interrupted { .. }) => (Tone::Broken, "interrupted"),
        Some(_) => (Tone::Bad, "failed"),
        None => (Tone::Broken, "unfinished"),
    }
}

fn row(script: &ScriptReport, longest: u64) -> Row {
    let (tone, status) = status(script.outcome.as_ref());
    let (symbol, color) = look(tone);
    let tried = script.attempts > 0;
    let mut notes = Vec::new();
    match &script.outcome {
        None | Some(Outcome::Success { code: 0 }) => {}
        Some(Outcome::Skipped { reason }) => notes.push(one_line(&reason.to_string(), MESSAGE)),
        Some(outcome) => notes.push(one_line(&outcome.to_string(), MESSAGE)),
    }
    notes.extend(attempts(script));
    Row {
        symbol,
        status,
        color,
        name: one_line(&script.name, NAME),
        duration: if tried { format_duration(script.duration()) } else { String::new() },
        bar: tried.then(|| bar(script.duration_us, longest)),
        note: notes.join(" · "),
        remark: script.pace_remark().unwrap_or_default(),
    }
}

/// `at attempt 3; before: exit code 1, timeout after 60 s`; nothing of a script that was tried once.
fn attempts(script: &ScriptReport) -> Option<String> {
    let last = match script.attempts {
        0 | 1 => return None,
        last if script.success() => format!("at attempt {last}"),
        last => format!("{last} attempts"),
    };
    let before = script.earlier_ends().map(|ends| format!("; before: {}", one_line(&ends, MESSAGE)));
    Some(last + &before.unwrap_or_default())
}

/// Pixels that are filled and empty. The smallest duration still shows.
fn bar(duration_us: u64, longest_us: u64) -> (u64, u64) {
    let share = u128::from(duration_us) * u128::from(BAR) / u128::from(longest_us.max(1));
    let filled = u64::try_from(share).unwrap_or(BAR).clamp(1, BAR);
    (filled, BAR - filled)
}

fn more_rows(left_out: &[&ScriptReport]) -> Option<String> {
    if left_out.is_empty() {
        return None;
    }
    Some(format!("… and {} more: {}", left_out.len(), counts(left_out.iter().copied())))
}

/// `3 succeeded, 1 failed`: a script that was cut off is counted as that, not as a failure.
fn counts<'a>(scripts: impl Iterator<Item = &'a ScriptReport>) -> String {
    const WORDS: [(Tone, &str); 4] =
        [(Tone::Good, "succeeded"), (Tone::Bad, "failed"), (Tone::Broken, "interrupted"), (Tone::Quiet, "not run")];
    let tones: Vec<Tone> = scripts.map(|script| status(script.outcome.as_ref()).0).collect();
    let of = |tone| tones.iter().filter(|other| **other == tone).count();
    let counted = WORDS.into_iter().map(|(tone, word)| (of(tone), word)).filter(|(count, _)| *count > 0);
    counted.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

fn failure(script: &ScriptReport, report: &RunReport, limits: Limits) -> Failure {
    let mut all = lines(script.last_words().unwrap_or_default());
    all.retain(|line| !is_long_underline(line));
    let (before, shown) = tail(&all, limits.lines, limits.bytes);
    let output = script.output.file.as_ref().map(|file| {
        let path = report.run_dir.join(file).display().to_string();
        format!("{} ({})", one_line(&path, MESSAGE), format_size(script.output.bytes))
    });
    Failure {
        name: one_line(&script.name, NAME),
        end: script.outcome.as_ref().map_or_else(String::new, |outcome| one_line(&outcome.to_string(), MESSAGE)),
        before: match before {
            0 => None,
            1 => Some("(one line before this is left out)".to_owned()),
            before => Some(format!("({before} lines before this are left out)")),
        },
        lines: shown,
        silence: match &script.outcome {
            Some(Outcome::CouldNotStart { .. }) => "It never ran.",
            _ if script.output.bytes == 0 => "It printed nothing.",
            _ => "It printed no error.",
        },
        output,
    }
}

/// Python's marks under a line of code (PEP 657), where they are so long that a mail would wrap them into nonsense.
fn is_long_underline(line: &str) -> bool {
    line.len() > UNDERLINE && line.bytes().all(|byte| matches!(byte, b' ' | b'~' | b'^'))
}

fn leaked(scripts: &[&ScriptReport]) -> Vec<String> {
    let of = |script: &ScriptReport| {
        let name = one_line(&script.name, NAME);
        let told = |process: &crate::model::Leaked| {
            let command = one_line(&process.command, 160);
            format!("{name} left process {} behind, which {}: {command}", process.pid, process.fate())
        };
        script.leaked.iter().map(told).collect::<Vec<_>>()
    };
    // In running order, whatever the order of the rows.
    let mut leaving: Vec<&ScriptReport> = scripts.iter().copied().filter(|script| !script.leaked.is_empty()).collect();
    leaving.sort_by_key(|script| script.index);
    leaving.into_iter().flat_map(of).collect()
}

fn files(report: &RunReport) -> Vec<String> {
    let told = |file: &AttachedFile| format!("{} ({})", one_line(&file.name, 160), format_size(file.bytes));
    report.files.iter().map(told).collect()
}

fn notes(mut all: Vec<String>, max: usize, what: &str) -> Vec<String> {
    let more = all.len().saturating_sub(max);
    if more > 0 {
        all.truncate(max);
        all.push(format!("… and {more} more {what}"));
    }
    all
}

fn facts(report: &RunReport, context: &RenderContext) -> Vec<Fact> {
    let when = |time| (context.local_time)(time).format("%Y-%m-%d %H:%M:%S %:z").to_string();
    let mut facts = vec![
        ("Scripts", if report.scripts.is_empty() { "none".to_owned() } else { counts(report.scripts.iter()) }),
        ("Planned for", report.planned.map(when).unwrap_or_default()),
        ("Started", when(report.started)),
        ("Ended", report.finished.map_or_else(|| "not yet".to_owned(), when)),
        ("Duration", format_duration(Duration::from_micros(report.duration_us))),
        ("Host", report.host.clone()),
        ("Project", report.project_dir.display().to_string()),
    ];
    facts.extend([
        ("Profile", report.profile.clone().unwrap_or_default()),
        ("Log", report.log_file.display().to_string()),
        ("Run folder", report.run_dir.display().to_string()),
        (
            "Run",
            match &report.parent {
                Some(parent) => format!("{}, {parent}", report.run_id),
                None => report.run_id.to_string(),
            },
        ),
        ("Runner", report.version.clone()),
    ]);
    let known = facts.into_iter().filter(|(_, value)| !value.is_empty());
    known.map(|(label, value)| Fact { label, value: one_line(&value, MESSAGE) }).collect()
}

//! What the mail shows, put into words and cut to size; the templates only lay it out.

use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::clean::{hard_spaces, lines, one_line, tail};
use super::digest::{Digest, Troubled};
use super::facts::facts;
use super::history::{Cell, Strip, script_cells, strip, symbols, usual_us};
use super::verdict::{Tone, Verdict, name_and_end, of_digest, of_run, pace_remark, told_of_plan};
use super::view::RenderContext;
use super::words::{Item, Kind, Phrases, Word, phrases};
use crate::mail::strategy::mentioned;
use crate::model::{
    AttachedFile, EmailStrategy, Outcome, PastByScript, PastRun, RunReport, RunStatus, ScriptReport, format_size,
};

/// Characters of a script's name that its row shows.
const NAME: usize = 80;
/// Characters of a message that is shown.
pub(super) const MESSAGE: usize = 300;
/// Characters of a traceback's last line that its script's row shows.
const ERROR: usize = 160;
/// Columns up to which marks under a line are kept.
const UNDERLINE: usize = 64;
/// Width of a whole bar of a duration, in pixels.
const BAR: u64 = 64;

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Scripts that get a row.
    pub(super) rows: usize,
    /// Rows that show how the script did before.
    pub(super) strips: usize,
    /// Runs of a digest.
    pub(super) runs: usize,
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
    pub(super) words: &'static dyn Phrases,
    pub(super) project: String,
    pub(super) verdict: Verdict,
    pub(super) symbol: &'static str,
    pub(super) color: &'static str,
    pub(super) strip: Option<Strip>,
    /// The runs of a digest.
    pub(super) runs: Option<Runs>,
    pub(super) rows: Vec<Row>,
    pub(super) more_rows: Option<String>,
    pub(super) failures: Vec<Failure>,
    pub(super) more_failures: Option<String>,
    /// Warnings, processes, files.
    pub(super) notes: Vec<Notes>,
    pub(super) facts: Vec<Fact>,
}

pub(super) struct Runs {
    pub(super) heading: String,
    pub(super) rows: Vec<Row>,
    pub(super) more: Option<String>,
    /// What stands over the scripts of the latest.
    pub(super) latest: &'static str,
}

pub(super) struct Notes {
    pub(super) heading: &'static str,
    pub(super) lines: Vec<String>,
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
    /// How it ended, if that isn't said by the status; attempts; how long it usually takes.
    pub(super) note: String,
    /// What its traceback ends with.
    pub(super) error: String,
    /// An unusual duration, which is to be noticed.
    pub(super) remark: String,
    /// How it ended before.
    pub(super) before: Vec<Cell>,
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
        let Self { symbol, status, name, duration, note, remark, before, .. } = self;
        let before = symbols(before);
        let told = [note, remark, &before].into_iter().filter(|text| !text.is_empty()).map(String::as_str);
        let told = told.collect::<Vec<_>>().join(" · ");
        let (status, name) = (padded(status, status_width), padded(name, name_width));
        let free = " ".repeat(duration_width.saturating_sub(duration.width()));
        format!("{symbol} {status}  {name}  {free}{duration}  {told}").trim_end().to_owned()
    }
}

/// `text`, and spaces up to a width; East Asian characters are two columns wide.
fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
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
    pub(super) fn rule(&self, colon: &str) -> String {
        "-".repeat((self.name.width() + self.end.width() + colon.width()).min(72))
    }
}

pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) value: String,
}

impl Fact {
    /// The fact in plain text, its label in a column of this width.
    pub(super) fn line(&self, label_width: usize) -> String {
        format!("{}  {}", padded(self.label, label_width), self.value)
    }
}

pub(super) fn page(report: &RunReport, strategy: EmailStrategy, context: &RenderContext, limits: Limits) -> Page {
    let words = phrases(context.language);
    let scripts = mentioned(strategy, report, context);
    let latest = PastRun::from(report);
    let digest = (strategy == EmailStrategy::Digest).then(|| Digest::of(&latest, report, context, words));
    let verdict = match &digest {
        Some(digest) => of_digest(digest, report, &scripts, context, words),
        None => of_run(report, &scripts, context, words),
    };
    let Look { symbol, color, .. } = look(verdict.tone);
    let longest = scripts.iter().map(|script| script.duration_us).max().unwrap_or(0);
    let past = PastByScript::of(&context.past);
    let mut strips = limits.strips;
    let rows = scripts
        .iter()
        .take(limits.rows)
        .map(|script| row(script, longest, (report, &past, context), words, &mut strips));
    let failed: Vec<&ScriptReport> = report.failures().collect();
    // Each is looked through only when it is shown: outputs may be long.
    let mut failures: Vec<Failure> =
        failed.iter().take(limits.failures).map(|script| failure(script, report, limits, words)).collect();
    let earlier = digest.as_ref().map(Digest::past_failures).unwrap_or_default();
    let room = limits.failures - failures.len();
    failures.extend(earlier.iter().take(room).map(|script| past_failure(script, context, limits, words)));
    let more_failures = failed.len() + earlier.len() - failures.len();
    Page {
        words,
        project: project_name(report),
        symbol,
        color,
        strip: strip(&latest, context, words),
        runs: digest.as_ref().and_then(|digest| runs(digest, context, limits, words)),
        rows: rows.collect(),
        more_rows: more_rows(&scripts[limits.rows.min(scripts.len())..], words),
        failures,
        more_failures: (more_failures > 0).then(|| words.more_failures(more_failures)),
        notes: notes(report, &scripts, limits, words),
        facts: facts(report, context, words),
        verdict,
    }
}

/// The project's name as subject and title show it, with the profile if there is one.
pub(super) fn project_name(report: &RunReport) -> String {
    name_with_profile(&report.project, report.profile.as_deref())
}

pub(super) fn name_with_profile(project: &str, profile: Option<&str>) -> String {
    let name = one_line(project, 60);
    match profile {
        Some(profile) => format!("{name} [{}]", one_line(profile, 20)),
        None => name,
    }
}

/// How something is shown: by a symbol, a word and a colour.
pub(super) struct Look {
    pub(super) symbol: &'static str,
    pub(super) status: Word,
    pub(super) color: &'static str,
}

/// Colours that stand out on white, and white on them, by 4.5 to 1 at least (WCAG 2.2, 1.4.3).
pub(super) fn look(tone: Tone) -> Look {
    let (symbol, color, status) = match tone {
        Tone::Good => ("✓", "#1a7f37", Word::Succeeded),
        Tone::Bad => ("✗", "#b3261e", Word::Failed),
        Tone::Broken => ("!", "#8a5300", Word::Interrupted),
        Tone::Quiet => ("–", "#5f6368", Word::NotRun),
    };
    Look { symbol, status, color }
}

pub(super) fn look_of_run(status: RunStatus) -> Look {
    look(match status {
        RunStatus::Success => Tone::Good,
        RunStatus::Failure => Tone::Bad,
        RunStatus::Interrupted | RunStatus::Running => Tone::Broken,
    })
}

fn tone_of(outcome: Option<&Outcome>) -> Tone {
    match outcome {
        Some(Outcome::Success { .. }) => Tone::Good,
        Some(Outcome::Skipped { .. }) => Tone::Quiet,
        None | Some(Outcome::Interrupted { .. }) => Tone::Broken,
        Some(_) => Tone::Bad,
    }
}

pub(super) fn look_of_script(outcome: Option<&Outcome>) -> Look {
    let look = look(tone_of(outcome));
    match outcome {
        Some(Outcome::Timeout { .. }) => Look { status: Word::TimedOut, ..look },
        Some(Outcome::CouldNotStart { .. }) => Look { status: Word::NotStarted, ..look },
        None => Look { status: Word::Unfinished, ..look },
        Some(_) => look,
    }
}

fn row<'a>(
    script: &'a ScriptReport,
    longest: u64,
    (report, past, context): (&RunReport, &PastByScript<'a>, &RenderContext),
    words: &dyn Phrases,
    strips: &mut usize,
) -> Row {
    let Look { symbol, status, color } = look_of_script(script.outcome.as_ref());
    let tried = script.attempts > 0;
    let mut notes = Vec::new();
    match &script.outcome {
        None | Some(Outcome::Success { code: 0 }) => {}
        Some(Outcome::Skipped { reason }) => notes.push(one_line(&words.skip_reason(reason), MESSAGE)),
        Some(outcome) => notes.push(one_line(&words.outcome(outcome), MESSAGE)),
    }
    notes.extend(attempts(script, words));
    let remark = pace_remark(script, words);
    if let (None, true, Some(usual)) = (&remark, tried, usual_us(script, past)) {
        notes.push(words.usually(&words.duration(Duration::from_micros(usual))));
    }
    // What always went well needs no strip to say so.
    let mut before = if *strips == 0 { Vec::new() } else { script_cells(script, report, past, context, words) };
    if before.iter().all(|cell| cell.symbol == symbol) && script.success() {
        before.clear();
    }
    *strips -= usize::from(!before.is_empty());
    Row {
        symbol,
        status: words.word(status),
        color,
        name: one_line(&script.name, NAME),
        duration: if tried { words.duration(script.duration()) } else { String::new() },
        bar: tried.then(|| bar(script.duration_us, longest)),
        note: notes.join(" · "),
        error: script.traceback.as_deref().map(last_line).unwrap_or_default(),
        remark: remark.unwrap_or_default(),
        before,
    }
}

/// What a traceback ends with.
fn last_line(traceback: &str) -> String {
    one_line(traceback.trim_end().rsplit(['\n', '\r']).next().unwrap_or_default(), ERROR)
}

/// `at attempt 3; before: exit code 1, timeout after 60 s`; nothing of a script that was tried once.
fn attempts(script: &ScriptReport, words: &dyn Phrases) -> Option<String> {
    if script.attempts < 2 {
        return None;
    }
    let mut ends: Vec<(String, usize)> = Vec::new();
    for attempt in &script.earlier {
        let end = words.outcome(&attempt.outcome);
        match ends.last_mut() {
            Some((last, count)) if *last == end => *count += 1,
            _ => ends.push((end, 1)),
        }
    }
    let told = |(end, count): (String, usize)| if count == 1 { end } else { words.times(&end, count) };
    let before = ends.into_iter().map(told).collect::<Vec<_>>().join(words.comma());
    let before = one_line(&before, MESSAGE);
    Some(words.attempts(script.attempts, script.success(), Some(before.as_str()).filter(|before| !before.is_empty())))
}

/// Pixels that are filled and empty. The smallest duration still shows.
fn bar(duration_us: u64, longest_us: u64) -> (u64, u64) {
    let share = u128::from(duration_us) * u128::from(BAR) / u128::from(longest_us.max(1));
    let filled = u64::try_from(share).unwrap_or(BAR).clamp(1, BAR);
    (filled, BAR - filled)
}

fn more_rows(left_out: &[&ScriptReport], words: &dyn Phrases) -> Option<String> {
    let counts = || script_counts(left_out.iter().copied(), words);
    (!left_out.is_empty()).then(|| words.more_rows(left_out.len(), &counts()))
}

/// `3 succeeded, 1 failed`: a script that was cut off is counted as that, not as a failure.
pub(super) fn script_counts<'a>(scripts: impl Iterator<Item = &'a ScriptReport>, words: &dyn Phrases) -> String {
    const KINDS: [(Tone, Kind); 4] = [
        (Tone::Good, Kind::Succeeded),
        (Tone::Bad, Kind::Failed),
        (Tone::Broken, Kind::Interrupted),
        (Tone::Quiet, Kind::NotRun),
    ];
    let tones: Vec<Tone> = scripts.map(|script| tone_of(script.outcome.as_ref())).collect();
    let of = |tone| tones.iter().filter(|other| **other == tone).count();
    let counted = KINDS.into_iter().map(|(tone, kind)| (of(tone), kind)).filter(|(count, _)| *count > 0);
    counted.map(|(count, kind)| words.count(kind, count)).collect::<Vec<_>>().join(words.comma())
}

/// The runs of a digest, if there are several, each with what failed in it.
fn runs(digest: &Digest<'_>, context: &RenderContext, limits: Limits, words: &dyn Phrases) -> Option<Runs> {
    if digest.runs.len() < 2 {
        return None;
    }
    let longest = digest.runs.iter().map(|run| run.duration_us).max().unwrap_or(0);
    let row = |run: &&PastRun| {
        let Look { symbol, status, color } = look_of_run(run.status);
        let mut ends: Vec<String> =
            run.failures().map(|script| name_and_end(&script.name, script.outcome.as_ref(), words)).collect();
        let more = ends.len().saturating_sub(3);
        ends.truncate(3);
        Row {
            symbol,
            status: words.word(status),
            color,
            name: words.moment((context.local_time)(run.started)),
            duration: words.duration(Duration::from_micros(run.duration_us)),
            bar: Some(bar(run.duration_us, longest)),
            note: words.list(&ends, more),
            error: String::new(),
            remark: told_of_plan((run.planned, run.occasion.as_ref()), run.started, context, words).join(words.space()),
            before: Vec::new(),
        }
    };
    let shown = shown_runs(&digest.runs, limits.runs);
    let more = digest.runs.len() - shown.len();
    Some(Runs {
        heading: words.runs_since(digest.since.as_deref()),
        rows: shown.iter().map(row).collect(),
        more: (more > 0).then(|| words.more(Item::Runs, more)),
        latest: words.word(Word::LatestRun),
    })
}

/// At most so many runs: the newest, and of those before them, in half of the room, those that were late or stand for others.
fn shown_runs<'a>(runs: &[&'a PastRun], most: usize) -> Vec<&'a PastRun> {
    let has_news = |run: &&&PastRun| {
        run.occasion.as_ref().is_some_and(|occasion| occasion.late.is_some() || occasion.merged + occasion.missed > 0)
    };
    let odd = runs.iter().skip(most).filter(has_news).count().min(most / 2);
    let (newest, older) = runs.split_at(runs.len().min(most - odd));
    newest.iter().chain(older.iter().filter(has_news).take(odd)).copied().collect()
}

fn failure(script: &ScriptReport, report: &RunReport, limits: Limits, words: &dyn Phrases) -> Failure {
    let mut all = lines(script.last_words().unwrap_or_default());
    all.retain(|line| !is_long_underline(line));
    let (before, shown) = tail(&all, limits.lines, limits.bytes);
    let output = script.output.file.as_ref().map(|file| {
        let path = report.run_dir.join(file).display().to_string();
        format!("{}{}", one_line(&path, MESSAGE), words.aside(&format_size(script.output.bytes)))
    });
    Failure {
        name: one_line(&script.name, NAME),
        end: script.outcome.as_ref().map_or_else(String::new, |outcome| one_line(&words.outcome(outcome), MESSAGE)),
        before: (before > 0).then(|| words.lines_before(before)),
        lines: shown,
        silence: words.word(match &script.outcome {
            Some(Outcome::CouldNotStart { .. }) => Word::NeverRan,
            _ if script.output.bytes == 0 => Word::PrintedNothing,
            _ => Word::PrintedNoError,
        }),
        output,
    }
}

/// What a script left to read that failed in an earlier run of a digest.
fn past_failure(script: &Troubled<'_>, context: &RenderContext, limits: Limits, words: &dyn Phrases) -> Failure {
    let (run, last) = script.last;
    let mut all = lines(last.last_words.as_deref().unwrap_or_default());
    all.retain(|line| !is_long_underline(line));
    let moment = words.moment((context.local_time)(run.started));
    Failure {
        name: one_line(&script.name, NAME),
        end: format!("{}{}{moment}", one_line(&words.outcome(script.end), MESSAGE), words.comma()),
        before: None,
        lines: tail(&all, limits.lines, limits.bytes).1,
        silence: words.word(Word::PrintedNoError),
        output: None,
    }
}

/// Python's marks under a line of code (PEP 657), where they are so long that a mail would wrap them into nonsense.
fn is_long_underline(line: &str) -> bool {
    line.len() > UNDERLINE && line.bytes().all(|byte| matches!(byte, b' ' | b'~' | b'^'))
}

fn notes(report: &RunReport, scripts: &[&ScriptReport], limits: Limits, words: &dyn Phrases) -> Vec<Notes> {
    let warnings = report.warnings.iter().map(|text| one_line(text, MESSAGE)).collect();
    let file = |file: &AttachedFile| one_line(&file.name, 160) + &words.aside(&format_size(file.bytes));
    let all = [
        (Word::Warnings, Item::Warnings, warnings),
        (Word::LeftProcesses, Item::Processes, leaked(scripts, words)),
        (Word::Files, Item::Files, report.files.iter().map(file).collect::<Vec<_>>()),
    ];
    let cut = |(heading, item, mut lines): (_, _, Vec<String>)| {
        let more = lines.len().saturating_sub(limits.notes);
        lines.truncate(limits.notes);
        lines.extend((more > 0).then(|| words.more(item, more)));
        Notes { heading: words.word(heading), lines }
    };
    all.into_iter().filter(|(.., lines)| !lines.is_empty()).map(cut).collect()
}

fn leaked(scripts: &[&ScriptReport], words: &dyn Phrases) -> Vec<String> {
    let of = |script: &ScriptReport| {
        let name = one_line(&script.name, NAME);
        let told = |process: &crate::model::Leaked| {
            words.left_process(&name, process.pid, process.left, &one_line(&process.command, 160))
        };
        script.leaked.iter().map(told).collect::<Vec<_>>()
    };
    // In running order, whatever the order of the rows.
    let mut leaving: Vec<&ScriptReport> = scripts.iter().copied().filter(|script| !script.leaked.is_empty()).collect();
    leaving.sort_by_key(|script| script.index);
    leaving.into_iter().flat_map(of).collect()
}

//! Runs of the past, as far as a mail about the present one tells of them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{MailState, Occasion, Outcome, RunId, RunReport, RunStatus, ScriptReport};

/// So many past runs are looked at, at most: a day of a run each minute, which is as long as a digest or a reminder waits.
pub const PAST_RUNS: u32 = 1500;

/// Of the runs of more than a day ago so many are enough. What goes on for longer is said to do so at least since then.
pub const PAST_RUNS_ENOUGH: u32 = 100;

/// Bytes of a failure's last words that are kept of a past run: its end says what went wrong.
pub const PAST_WORDS: usize = 600;

/// A run that is over, or was cut off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastRun {
    /// Which.
    pub run_id: RunId,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended; `None` if nobody knows.
    pub finished: Option<DateTime<Utc>>,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// How it went.
    pub status: RunStatus,
    /// What became of its mail; `None` if that isn't known (yet).
    pub mail: Option<MailState>,
    /// When that mail was made, if that was not at the run's end: a digest goes out without a run, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<DateTime<Utc>>,
    /// The instant for which it was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<DateTime<Utc>>,
    /// What became of that, and of those before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occasion: Option<Occasion>,
    /// Its scripts, in running order.
    pub scripts: Vec<PastScript>,
}

/// One script of a past run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastScript {
    /// The script, as the project file writes it. It goes by this and its name from run to run.
    pub script: String,
    /// How reports call it.
    pub name: String,
    /// How it ended; `None` if it never did.
    pub outcome: Option<Outcome>,
    /// How long its last attempt took, in microseconds.
    pub duration_us: u64,
    /// The end of what a failure left to read, at most [`PAST_WORDS`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_words: Option<String>,
}

impl PastRun {
    /// Whether somebody was told of it, or will be as soon as a server takes the mail. A mail that failed for good told nobody.
    #[must_use]
    pub fn is_told(&self) -> bool {
        match &self.mail {
            Some(
                MailState::Sent { .. }
                | MailState::Written { .. }
                | MailState::Queued { .. }
                | MailState::Held { .. }
                | MailState::Kept { .. },
            ) => true,
            None | Some(MailState::NotDue | MailState::Off | MailState::Failed { .. }) => false,
        }
    }

    /// When it ended or, if nobody knows, began.
    #[must_use]
    pub fn ended(&self) -> DateTime<Utc> {
        self.finished.unwrap_or(self.started)
    }

    /// The scripts that failed.
    pub fn failures(&self) -> impl Iterator<Item = &PastScript> {
        self.scripts.iter().filter(|script| script.outcome.as_ref().is_some_and(Outcome::is_failure))
    }
}

/// Whether an end is a failure; `None` of what says nothing about the script.
fn failed(outcome: Option<&Outcome>) -> Option<bool> {
    outcome.filter(|outcome| !matches!(outcome, Outcome::Skipped { .. })).map(Outcome::is_failure)
}

impl From<&RunReport> for PastRun {
    fn from(report: &RunReport) -> Self {
        Self {
            run_id: report.run_id.clone(),
            started: report.started,
            finished: report.finished,
            duration_us: report.duration_us,
            status: report.status,
            mail: report.mail.clone(),
            told_at: None,
            planned: report.planned,
            occasion: report.occasion.clone(),
            scripts: report.scripts.iter().map(PastScript::from).collect(),
        }
    }
}

impl From<&ScriptReport> for PastScript {
    fn from(script: &ScriptReport) -> Self {
        let failed = script.outcome.as_ref().is_some_and(Outcome::is_failure);
        Self {
            script: script.script.clone(),
            name: script.name.clone(),
            outcome: script.outcome.clone(),
            duration_us: script.duration_us,
            last_words: script.last_words().filter(|_| failed).map(|text| end_of(text).to_owned()),
        }
    }
}

/// What is kept of last words: at most [`PAST_WORDS`] bytes of their end, from a character's beginning on.
pub(crate) fn end_of(text: &str) -> &str {
    let text = text.trim_end();
    let from = (text.len().saturating_sub(PAST_WORDS)..).find(|at| text.is_char_boundary(*at));
    &text[from.unwrap_or(0)..]
}

/// How a script ended in the last runs in a row in which it was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streak {
    /// Whether it failed in them; otherwise it succeeded.
    pub failing: bool,
    /// How many they are.
    pub runs: usize,
    /// When the first of them began.
    pub since: DateTime<Utc>,
    /// Whether there is no earlier one; otherwise there may be more than are known.
    pub is_whole: bool,
}

/// Runs by the scripts in them, so that each script's own are found without looking at all others.
#[derive(Debug)]
pub struct PastByScript<'a> {
    runs: Vec<&'a PastRun>,
    scripts: HashMap<(&'a str, &'a str), Vec<(usize, &'a PastScript)>>,
}

impl<'a> PastByScript<'a> {
    /// Of runs that go back from the newest.
    pub fn of(runs: impl IntoIterator<Item = &'a PastRun>) -> Self {
        let mut past = Self { runs: runs.into_iter().collect(), scripts: HashMap::new() };
        for (at, run) in past.runs.iter().enumerate() {
            for script in &run.scripts {
                past.scripts.entry((&script.script, &script.name)).or_default().push((at, script));
            }
        }
        past
    }

    /// A script in each of the runs in which it was planned, newest first; several times where it stands in the project
    /// several times by the same name.
    #[must_use]
    pub fn of_script(&self, script: &'a str, name: &'a str) -> &[(usize, &'a PastScript)] {
        self.scripts.get(&(script, name)).map_or(&[], Vec::as_slice)
    }

    /// The run of a number in [`Self::of_script`].
    #[must_use]
    pub fn run(&self, at: usize) -> Option<&'a PastRun> {
        self.runs.get(at).copied()
    }

    /// The runs of which is known whether the script failed: it was selected, and not skipped. One that stands in the
    /// project several times by the same name failed if it did so once.
    pub fn ends(&self, script: &'a str, name: &'a str) -> impl Iterator<Item = (&'a PastRun, bool)> {
        self.of_script(script, name).chunk_by(|(one, _), (other, _)| one == other).filter_map(|own| {
            let ends = own.iter().filter_map(|(_, script)| failed(script.outcome.as_ref()));
            let run = own.first().and_then(|(at, _)| self.run(*at))?;
            Some((run, ends.reduce(|one, other| one || other)?))
        })
    }

    /// How a script fared until now; `None` if nothing is known.
    #[must_use]
    pub fn streak(&self, script: &'a str, name: &'a str) -> Option<Streak> {
        let mut ends = self.ends(script, name);
        let (latest, failing) = ends.next()?;
        let is_whole = self.runs.len() < PAST_RUNS_ENOUGH as usize;
        let mut streak = Streak { failing, runs: 1, since: latest.started, is_whole };
        for (run, failed) in ends {
            if failed != failing {
                return Some(Streak { is_whole: true, ..streak });
            }
            streak.runs += 1;
            streak.since = run.started;
        }
        Some(streak)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SkipReason;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_732_700_000 + hour * 3600, 0).unwrap()
    }

    /// A run an hour, newest first; a letter a script: `s`uccess, `f`ailure, skipped (`-`), not selected (a blank).
    fn runs(ends: &[&str]) -> Vec<PastRun> {
        let outcome = |letter| match letter {
            's' => Outcome::Success { code: 0 },
            'f' => Outcome::ExitCode { code: 1 },
            _ => Outcome::Skipped { reason: SkipReason::RunInterrupted },
        };
        let script = |(n, letter)| PastScript {
            script: format!("{n}.py"),
            name: format!("{n}.py"),
            outcome: Some(outcome(letter)),
            duration_us: 1,
            last_words: None,
        };
        let run = |(n, ends): (usize, &&str)| PastRun {
            run_id: RunId::random(),
            started: at(-(n as i64)),
            finished: None,
            duration_us: 1,
            status: RunStatus::Failure,
            mail: None,
            told_at: None,
            planned: None,
            occasion: None,
            scripts: ends.chars().enumerate().filter(|(_, letter)| *letter != ' ').map(script).collect(),
        };
        ends.iter().enumerate().map(run).collect()
    }

    #[test]
    fn a_streak_goes_over_runs_that_say_nothing_of_the_script() {
        let past = runs(&["sf", "s-", "ff", "s ", "sf", "ss", "sf"]);
        let of = |script: &str| {
            PastByScript::of(&past).streak(script, script).map(|streak| (streak.failing, streak.runs, streak.since))
        };
        assert_eq!(of("0.py"), Some((false, 2, at(-1))));
        assert_eq!(of("1.py"), Some((true, 3, at(-4))));
        assert_eq!(of("2.py"), None);
        assert!(PastByScript::of(&past).streak("0.py", "another name").is_none(), "another name is another script");
        let long = runs(&["f"; PAST_RUNS_ENOUGH as usize]);
        assert!(!PastByScript::of(&long).streak("0.py", "0.py").unwrap().is_whole);
        assert!(PastByScript::of(&long[1..]).streak("0.py", "0.py").unwrap().is_whole);
    }

    #[test]
    fn the_end_of_last_words_is_kept() {
        assert_eq!(end_of("a\nb\n"), "a\nb");
        let long = format!("{}é", "é".repeat(PAST_WORDS));
        assert_eq!(end_of(&long).len(), PAST_WORDS);
        assert_eq!(end_of(&format!("{long}x")).len(), PAST_WORDS - 1);
    }
}

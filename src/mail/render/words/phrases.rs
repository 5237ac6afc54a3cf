//! What every language has to have a way of saying.

use std::time::Duration;

use chrono::{DateTime, FixedOffset};

use super::{en, fr, ja, ko};
use crate::model::{Following, Language, Outcome, SkipReason, format_duration, signal_name, windows_status_name};
use crate::schedule::Hindrance;

/// Words that stay the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mail::render) enum Word {
    Succeeded,
    Failed,
    TimedOut,
    NotStarted,
    NotRun,
    Interrupted,
    Unfinished,
    Missed,
    Overdue,
    // What the facts are of.
    Scripts,
    PlannedFor,
    Inputs,
    Started,
    Ended,
    Duration,
    Host,
    Project,
    Log,
    RunFolder,
    Run,
    Runner,
    NextRun,
    /// When an alarm was raised.
    Noticed,
    NoScripts,
    NotYet,
    // Headings.
    Warnings,
    LeftProcesses,
    Files,
    LatestRun,
    ThisRun,
    OldestFirst,
    WholeOutput,
    NeverRan,
    PrintedNothing,
    PrintedNoError,
    /// What a mail about a run is called, in a subject that stays the same.
    RunReport,
    /// What a digest is called.
    Digest,
}

/// Things that are counted by how they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mail::render) enum Kind {
    Succeeded,
    Failed,
    Interrupted,
    NotRun,
}

/// Things of which some are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mail::render) enum Item {
    Warnings,
    Processes,
    Files,
    Runs,
    Schedules,
}

/// How a run went, or several did; begins with a small letter where the language has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mail::render) enum Headline {
    NoScripts,
    OneSucceeded {
        name: String,
    },
    OneFailed {
        name: String,
    },
    AllSucceeded {
        total: usize,
    },
    /// The others were not run.
    SomeSucceeded {
        succeeded: usize,
        total: usize,
    },
    AllFailed {
        total: usize,
    },
    SomeFailed {
        failed: usize,
        total: usize,
        not_run: usize,
    },
    Interrupted {
        done: usize,
        total: usize,
        failed: usize,
    },
    /// Runs that were planned: so many were missed, so many schedules are overdue.
    Missing {
        missed: u64,
        overdue: u64,
    },
    /// Of so many runs. `since` as [`Phrases::since`] has it.
    Runs {
        failed: usize,
        total: usize,
        since: Option<String>,
    },
}

/// What is new about scripts. `names` is a list as [`Phrases::list`] makes it, of `count` scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mail::render) enum Change {
    /// After so many successes in a row, if it is one script and that is known.
    Failed { names: String, count: usize, after: Option<usize> },
    /// For how many times and since when, if it is one script. Without the times it may be longer.
    StillFails { names: String, count: usize, since: Option<(Option<usize>, String)> },
    /// After so many failures in a row, if it is one script and that is known.
    Recovered { names: String, count: usize, after: Option<usize> },
}

/// What several runs say of one script that failed in some of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mail::render) struct Digested {
    pub(in crate::mail::render) name: String,
    pub(in crate::mail::render) failed: usize,
    pub(in crate::mail::render) runs: usize,
    /// Whether it failed the last time, too.
    pub(in crate::mail::render) fails: bool,
}

/// What became of planned times, told with a run. `first` is as [`Phrases::moment`] has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mail::render) enum Planned {
    /// The run began so much later than it should have.
    Late { by: String, why: Hindrance },
    /// It stands for so many earlier ones too.
    Merged { count: u64, first: String },
    /// So many were missed before it.
    Missed { count: u64, first: String },
}

/// What is wanted of the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mail::render) enum Wanted {
    Nothing,
    ReadWarnings,
    /// A list of scripts with their paces; `warnings` whether those are to be read, too.
    WorthALook {
        list: String,
        warnings: bool,
    },
    /// A list of scripts with their ends; so many were not run because of them.
    LookAt {
        list: String,
        not_run: usize,
    },
    /// A script was cut off.
    CheckAndResume {
        name: String,
        end: String,
        run: String,
    },
    Resume {
        run: String,
    },
    /// Something kept planned runs from beginning.
    Mend {
        why: Hindrance,
    },
}

/// One language. Names and numbers come in clean and cut to size; what comes out is a phrase or, where that is said, a
/// sentence with its full stop.
pub(in crate::mail::render) trait Phrases: Sync {
    /// Its code (BCP 47).
    fn code(&self) -> &'static str;
    /// Typefaces that have its characters, on Windows first.
    fn fonts(&self) -> &'static str;
    /// The same, all characters of the same width.
    fn mono_fonts(&self) -> &'static str;
    /// Where lines are broken, as a style: Korean is, like Latin letters, at spaces.
    fn wrap(&self) -> &'static str {
        "word-break:break-word"
    }
    /// What ends a sentence.
    fn stop(&self) -> &'static str;
    /// What stands between sentences.
    fn space(&self) -> &'static str;
    /// What stands between the members of a list.
    fn comma(&self) -> &'static str;
    /// What stands between a thing and what is said of it, with its spaces.
    fn colon(&self) -> &'static str;
    /// `text` as an aside.
    fn aside(&self, text: &str) -> String {
        format!(" ({text})")
    }

    fn word(&self, word: Word) -> &'static str;
    fn count(&self, kind: Kind, count: usize) -> String;
    /// `a.py, b.py and 2 more`.
    fn list(&self, members: &[String], more: usize) -> String;

    fn headline(&self, headline: &Headline) -> String;
    /// A sentence.
    fn change(&self, change: &Change) -> String;
    /// A sentence.
    fn planned(&self, planned: &Planned) -> String;
    /// A schedule that has a number for a name.
    fn numbered_schedule(&self, number: &str) -> String;
    /// What kept a run from beginning, as a reason.
    fn hindrance(&self, why: Hindrance) -> &'static str;
    /// A sentence.
    fn digested(&self, digested: &Digested) -> String;
    /// A sentence or two.
    fn wanted(&self, wanted: &Wanted) -> String;

    /// The short form of `ms`, `s`, `min`, `h` and `d`, with the space before it.
    fn unit(&self, unit: &str) -> &'static str;
    /// What stands between hours and minutes.
    fn unit_gap(&self) -> &'static str {
        " "
    }
    fn decimal(&self) -> &'static str {
        "."
    }
    fn duration(&self, duration: Duration) -> String {
        let text = format_duration(duration);
        let words: Vec<&str> = text.split(' ').collect();
        let pair = |pair: &[&str]| match pair {
            [number, unit] => format!("{}{}", number.replace('.', self.decimal()), self.unit(unit)),
            rest => rest.concat(),
        };
        words.chunks(2).map(pair).collect::<Vec<_>>().join(self.unit_gap())
    }

    /// To the second, with the offset from UTC.
    fn date_time(&self, time: DateTime<FixedOffset>) -> String;
    /// To the minute, short.
    fn moment(&self, time: DateTime<FixedOffset>) -> String;
    /// The day or, if that is `now`'s, the time, as it follows a word for "since".
    fn since(&self, time: DateTime<FixedOffset>, now: DateTime<FixedOffset>) -> String;

    fn exit_code(&self, code: &str) -> String;
    fn signal(&self, signal: &str, core_dumped: bool) -> String;
    fn timeout(&self, after: &str, killed: bool) -> String;
    fn unmet(&self, what: &str) -> String;
    fn left_behind(&self, processes: usize) -> String;
    fn could_not_start(&self, error: &str) -> String;
    fn skipped_after(&self, script: &str) -> String;
    fn skipped_interrupted(&self) -> String;
    /// What interrupted it, where the runner has a sentence for that.
    fn interrupter(&self, by: &str) -> Option<&'static str>;

    fn skip_reason(&self, reason: &SkipReason) -> String {
        match reason {
            SkipReason::EarlierFailure { script } => self.skipped_after(script),
            SkipReason::RunInterrupted => self.skipped_interrupted(),
        }
    }
    fn told(&self, word: Word, what: &str) -> String {
        format!("{}{}{what}", self.word(word), self.colon())
    }
    fn outcome(&self, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Success { code: 0 } => self.word(Word::Succeeded).to_owned(),
            Outcome::Success { code } => {
                format!("{}{}", self.word(Word::Succeeded), self.aside(&self.exit_code(&code.to_string())))
            }
            Outcome::ExitCode { code } => self.exit_code(&match windows_status_name(*code) {
                Some(name) => format!("0x{code:08X} ({name})"),
                None => code.to_string(),
            }),
            Outcome::Signal { signal, core_dumped } => {
                let name = signal_name(*signal).map(|name| format!(" ({name})")).unwrap_or_default();
                self.signal(&format!("{signal}{name}"), *core_dumped)
            }
            Outcome::Timeout { seconds, killed } => {
                let limit = Duration::try_from_secs_f64(*seconds).unwrap_or_default();
                self.timeout(&self.duration(limit), *killed)
            }
            Outcome::ExpectationNotMet { what, .. } => self.unmet(what),
            Outcome::LeftBehind { processes, .. } => self.left_behind(*processes),
            Outcome::CouldNotStart { error } => self.could_not_start(error),
            Outcome::Skipped { reason } => self.told(Word::NotRun, &self.skip_reason(reason)),
            Outcome::Interrupted { by } => self.told(Word::Interrupted, self.interrupter(by).unwrap_or(by)),
        }
    }

    /// `took 12 min, usually 3 min`.
    fn pace(&self, took: &str, usual: &str) -> String;
    /// `took 12 min, more than the 10 min of slow_after`.
    fn over_limit(&self, took: &str, limit: &str) -> String;
    /// A script and its pace.
    fn name_and_pace(&self, name: &str, pace: &str) -> String {
        format!("{name} {pace}")
    }
    fn usually(&self, duration: &str) -> String;
    /// `at attempt 3; before: …`, or `3 attempts; before: …`.
    fn attempts(&self, last: u32, success: bool, before: Option<&str>) -> String;
    /// An end that came so many times in a row, twice at least.
    fn times(&self, end: &str, count: usize) -> String;
    fn lines_before(&self, count: usize) -> String;
    fn more_rows(&self, count: usize, counts: &str) -> String;
    fn more_failures(&self, count: usize) -> String;
    fn more(&self, item: Item, count: usize) -> String;
    fn left_process(&self, name: &str, pid: u32, goes_on: bool, command: &str) -> String;
    fn follows(&self, how: Following, run: &str) -> String;
    fn last_runs(&self, count: usize) -> String;
    /// A heading; `since` as [`Phrases::since`] has it.
    fn runs_since(&self, since: Option<&str>) -> String;
}

/// How a language says it.
pub(in crate::mail::render) fn phrases(language: Language) -> &'static dyn Phrases {
    match language {
        Language::En => &en::English,
        Language::Fr => &fr::French,
        Language::Ja => &ja::Japanese,
        Language::Ko => &ko::Korean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_in_english_are_as_everywhere_else() {
        let ends = [
            Outcome::ExitCode { code: 3 },
            Outcome::ExitCode { code: 0xC000_0005 },
            Outcome::Signal { signal: 9, core_dumped: true },
            Outcome::Signal { signal: 60, core_dumped: false },
            Outcome::Timeout { seconds: 60.0, killed: true },
            Outcome::ExpectationNotMet { what: "out.csv is empty".into(), code: 0 },
            Outcome::LeftBehind { processes: 0, code: 0 },
            Outcome::LeftBehind { processes: 1, code: 0 },
            Outcome::LeftBehind { processes: 2, code: 0 },
            Outcome::CouldNotStart { error: "permission denied".into() },
            Outcome::Interrupted { by: "the runner died".into() },
            Outcome::Interrupted { by: "SIGTERM".into() },
        ];
        for end in ends {
            assert_eq!(phrases(Language::En).outcome(&end), end.to_string());
        }
    }

    #[test]
    fn durations_are_written_as_the_language_has_them() {
        let cases = [
            (80, ["80 ms", "80 ms", "80ミリ秒", "80밀리초"]),
            (2_449, ["2.4 s", "2,4 s", "2.4秒", "2.4초"]),
            (200_000, ["3 min 20 s", "3 min 20 s", "3分20秒", "3분 20초"]),
            (7_500_000, ["2 h 5 min", "2 h 5 min", "2時間5分", "2시간 5분"]),
            (273_600_000, ["3 d 4 h", "3 j 4 h", "3日4時間", "3일 4시간"]),
        ];
        for (millis, texts) in cases {
            for ((_, language), text) in Language::NAMES.into_iter().zip(texts) {
                let written = phrases(language).duration(Duration::from_millis(millis));
                assert_eq!(written.replace('\u{a0}', " "), text);
            }
        }
    }

    #[test]
    fn dates_are_written_as_the_language_has_them() {
        let at = |text| DateTime::parse_from_rfc3339(text).unwrap();
        let (morning, noon) = (at("2026-11-03T07:05:09+01:00"), at("2026-11-03T12:00:00+01:00"));
        let (later, next_year) = (at("2026-11-10T12:00:00+01:00"), at("2027-01-01T12:00:00+01:00"));
        let cases = [
            (
                Language::En,
                "Tue 3 Nov 2026, 07:05:09 (UTC+01:00)",
                "Tue 3 Nov, 07:05",
                "Tuesday 3 November",
                "3 November 2026",
            ),
            (
                Language::Fr,
                "mar. 3 nov. 2026, 07:05:09 (UTC+01:00)",
                "mar. 3 nov., 07:05",
                "le mardi 3 novembre",
                "le 3 novembre 2026",
            ),
            (
                Language::Ja,
                "2026年11月3日(火) 07:05:09 (UTC+01:00)",
                "11月3日(火) 07:05",
                "11月3日(火)",
                "2026年11月3日",
            ),
            (
                Language::Ko,
                "2026년 11월 3일(화) 07:05:09 (UTC+01:00)",
                "11월 3일(화) 07:05",
                "11월 3일(화)",
                "2026년 11월 3일",
            ),
        ];
        for (language, exact, moment, day, year) in cases {
            let words = phrases(language);
            let written = [
                words.date_time(morning),
                words.moment(morning),
                words.since(morning, later),
                words.since(morning, next_year),
                words.since(morning, noon),
            ];
            assert_eq!(written, [exact, moment, day, year, "07:05"]);
        }
    }
}

//! What is known of a run once (or while) it happens.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Outcome, RunId, RunParam, RunStatus, format_duration};
use crate::schedule::{Hindrance, PUNCTUAL};

/// What a script used of the machine, its descendants that it waited for included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time in user mode, in microseconds; `None` where it can't be told.
    pub cpu_user_us: Option<u64>,
    /// Processor time in the kernel, in microseconds; `None` where it can't be told.
    pub cpu_system_us: Option<u64>,
    /// The largest memory one of its processes held, in bytes; `None` where the runner's own size would show in it.
    pub peak_memory_bytes: Option<u64>,
}

/// A process that outlived its script, or held its output open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaked {
    /// Its process id.
    pub pid: u32,
    /// Its command line, as far as it could be read.
    pub command: String,
    /// Whether it was left to go on; otherwise it was ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
}

impl Leaked {
    /// What became of it, after its name: `was ended`, `goes on`.
    #[must_use]
    pub fn fate(&self) -> &'static str {
        if self.left { "goes on" } else { "was ended" }
    }
}

/// What tells a process from all others, before and after it: pids are used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its process id.
    pub pid: u32,
    /// When it began, in the system's own count: clock ticks since the machine's start on Linux, 100 ns since 1601 on
    /// Windows.
    pub started: u64,
    /// Which start of the machine it belongs to; empty where the system has no name for that.
    pub boot: String,
}

/// The planned instant that a run was started for by a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occasion {
    /// The schedule, as it is known among the project's.
    pub schedule: String,
    /// When the run was to begin: the planned instant, and its share of `jitter`.
    pub due: DateTime<Utc>,
    /// What kept it from beginning then; `None` if it began in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Hindrance>,
    /// How many planned instants before it stands for too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub merged: u64,
    /// The first of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_from: Option<DateTime<Utc>>,
    /// How many were missed for good since the last run, so that nobody else tells of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u64,
    /// The first of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_from: Option<DateTime<Utc>>,
}

impl Occasion {
    /// Of a run that stands for one instant alone, and begins in time.
    #[must_use]
    pub fn in_time(schedule: &str, due: DateTime<Utc>) -> Self {
        Self {
            schedule: schedule.to_owned(),
            due,
            late: None,
            merged: 0,
            merged_from: None,
            missed: 0,
            missed_from: None,
        }
    }

    /// What was out of the ordinary about a run that began then, each in words.
    #[must_use]
    pub fn remarks(&self, began: DateTime<Utc>) -> Vec<String> {
        let times = |count: u64| if count == 1 { "time" } else { "times" };
        let late = self.late.map(|why| {
            let by = (began - self.due).to_std().unwrap_or_default();
            format!("began {} late: {}", format_duration(by), why.reason())
        });
        let merged =
            (self.merged > 0).then(|| format!("stands for {} more planned {}", self.merged, times(self.merged)));
        let missed =
            (self.missed > 0).then(|| format!("{} planned {} before it missed", self.missed, times(self.missed)));
        [late, merged, missed].into_iter().flatten().collect()
    }

    /// The same once the run has begun: if it waited for too long for others, it is late.
    #[must_use]
    pub fn begun(mut self, at: DateTime<Utc>) -> Self {
        let is_late = at.signed_duration_since(self.due).to_std().is_ok_and(|by| by > PUNCTUAL.unsigned_abs());
        self.late = self.late.or(is_late.then_some(Hindrance::Busy));
        self
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Why a run follows another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Following {
    /// It runs again what failed.
    Retry,
    /// It goes on where the other broke off.
    Resume,
}

/// The run that a run follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Which.
    pub run_id: RunId,
    /// Why.
    pub how: Following,
    /// The run with which the chain began: by it scripts recognise that they do the same work again.
    pub first: RunId,
}

/// `retry of 39be3d37aed64`, `continuation of 39be3d37aed64`.
impl std::fmt::Display for Parent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let noun = match self.how {
            Following::Retry => "retry",
            Following::Resume => "continuation",
        };
        write!(f, "{noun} of {}", self.run_id)
    }
}

/// A file that a script left in the run's folder for files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedFile {
    /// Its path below that folder, with `/` between folders.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// How long a script took beside what is usual for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    /// What is usual, in microseconds: the median of its last successes or, where only `slow_after` is known, that.
    pub usual_us: u64,
    /// What this attempt was.
    pub pace: Pace,
    /// The `slow_after` that it took longer than, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_after_us: Option<u64>,
}

impl Usual {
    /// What is to be said of an attempt that took so many microseconds: `took 12 min, usually 3 min`; nothing if that
    /// was usual.
    #[must_use]
    pub fn remark(&self, took_us: u64) -> Option<String> {
        let text = |us| format_duration(Duration::from_micros(us));
        let took = text(took_us);
        match (self.pace, self.slow_after_us) {
            (Pace::Usual, _) => None,
            (Pace::Slow, Some(limit)) => Some(format!("took {took}, more than the {} of slow_after", text(limit))),
            (Pace::Slow | Pace::Quick, _) => Some(format!("took {took}, usually {}", text(self.usual_us))),
        }
    }
}

/// Whether a script took as long as usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// It did.
    Usual,
    /// Unusually long.
    Slow,
    /// Unusually short.
    Quick,
}

/// An attempt at a script after which it was tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlierAttempt {
    /// Which, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, by the monotonic clock, in microseconds.
    pub duration_us: u64,
}

/// What is kept of a script's output.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutputSummary {
    /// The file in the run's folder, `None` when nothing was printed.
    pub file: Option<String>,
    /// Bytes the script printed, both streams together.
    pub bytes: u64,
    /// Bytes that were left out between the kept beginning and the kept end.
    pub cut: u64,
}

/// What became of the run's mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum MailState {
    /// The strategy asked for none.
    NotDue,
    /// `--no-mail` was given.
    Off,
    /// Written to a folder, by `--mail-dir`.
    Written {
        /// The file.
        file: PathBuf,
    },
    /// The server took it.
    Sent {
        /// Its reply.
        reply: String,
    },
    /// It waits in the outbox to be tried again.
    Queued {
        /// Why it is not sent yet, if it was tried.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// It waits in the outbox for somebody to mend what keeps its sender from sending.
    Held {
        /// What that is, and what to do.
        error: String,
    },
    /// It could not be put into the outbox; the finished message stays in the run's folder until that is possible.
    Kept {
        /// Why.
        error: String,
    },
    /// It can't be sent; the finished message stays in the run's folder.
    Failed {
        /// Why, and what to do.
        error: String,
    },
}

impl MailState {
    /// The word that stands in listings and the state database.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotDue => "not_due",
            Self::Off => "off",
            Self::Written { .. } => "written",
            Self::Sent { .. } => "sent",
            Self::Queued { .. } => "queued",
            Self::Held { .. } => "held",
            Self::Kept { .. } => "kept",
            Self::Failed { .. } => "failed",
        }
    }
}

/// What is known of one script of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptReport {
    /// Its place in the run, from 0.
    pub index: usize,
    /// How reports call it.
    pub name: String,
    /// The script, as the project file writes it.
    pub script: String,
    /// When its last attempt began; `None` if it never did.
    pub started: Option<DateTime<Utc>>,
    /// How long its last attempt took, by the monotonic clock, in microseconds.
    pub duration_us: u64,
    /// How many times it was tried.
    pub attempts: u32,
    /// How it ended; `None` while it hasn't.
    pub outcome: Option<Outcome>,
    /// What it used.
    pub usage: Usage,
    /// What it printed.
    pub output: OutputSummary,
    /// The Python traceback of a failure, at most 16 KiB.
    pub traceback: Option<String>,
    /// Of a failure without a traceback: the last lines it printed to standard error, else to standard output, at most
    /// 16 KiB.
    pub last_lines: Option<String>,
    /// Processes that outlived it.
    pub leaked: Vec<Leaked>,
    /// The attempts before the last.
    pub earlier: Vec<EarlierAttempt>,
    /// Whether it failed and another attempt is to follow.
    pub retry_pending: bool,
    /// How long it took beside what is usual; `None` where that isn't known.
    pub usual: Option<Usual>,
}

impl ScriptReport {
    /// How long its last attempt took.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.duration_us)
    }

    /// What a failure left to read: the traceback or, lacking one, the last lines.
    #[must_use]
    pub fn last_words(&self) -> Option<&str> {
        self.traceback.as_deref().or(self.last_lines.as_deref())
    }

    /// Whether it succeeded.
    #[must_use]
    pub fn success(&self) -> bool {
        self.outcome.as_ref().is_some_and(Outcome::is_success)
    }

    /// That it was unusually slow or quick, if it was: `took 12 min, usually 3 min`.
    #[must_use]
    pub fn pace_remark(&self) -> Option<String> {
        self.usual.and_then(|usual| usual.remark(self.duration_us))
    }

    /// How the attempts before the last ended, in a row: `exit code 1 (twice), timeout after 60 s`. `None` if there was none.
    #[must_use]
    pub fn earlier_ends(&self) -> Option<String> {
        let mut ends: Vec<(String, usize)> = Vec::new();
        for attempt in &self.earlier {
            let end = attempt.outcome.to_string();
            match ends.last_mut() {
                Some((last, count)) if *last == end => *count += 1,
                _ => ends.push((end, 1)),
            }
        }
        let told = ends.into_iter().map(|(end, count)| match count {
            1 => end,
            2 => format!("{end} (twice)"),
            count => format!("{end} ({count} times)"),
        });
        Some(told.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    }

    /// How long it took, in minutes.
    #[must_use]
    pub fn execution_time(&self) -> f64 {
        self.duration().as_secs_f64() / 60.0
    }
}

/// What is known of one run: a fold over its events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Which run.
    pub run_id: RunId,
    /// The project's name.
    pub project: String,
    /// The project's folder.
    pub project_dir: PathBuf,
    /// The profile it ran with.
    pub profile: Option<String>,
    /// The machine.
    pub host: String,
    /// The runner's process id.
    pub pid: u32,
    /// What tells the runner's process from others with its id; `None` where that isn't known.
    pub process: Option<ProcessIdentity>,
    /// The runner's version.
    pub version: String,
    /// The run that it follows.
    pub parent: Option<Parent>,
    /// For when it was planned; `None` if it was started by hand.
    pub planned: Option<DateTime<Utc>>,
    /// What else is known of that; `None` too if something else than a schedule planned it.
    pub occasion: Option<Occasion>,
    /// What its declared inputs were.
    pub params: Vec<RunParam>,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended; `None` while it hasn't.
    pub finished: Option<DateTime<Utc>>,
    /// How long it took, by the monotonic clock, in microseconds.
    pub duration_us: u64,
    /// How it ended.
    pub status: RunStatus,
    /// In running order.
    pub scripts: Vec<ScriptReport>,
    /// Files that its scripts attached to it.
    pub files: Vec<AttachedFile>,
    /// What became of its mail; `None` until that is known.
    pub mail: Option<MailState>,
    /// What went wrong beside the scripts: a log that could not be written, a database that could not be opened.
    pub warnings: Vec<String>,
    /// The log file.
    pub log_file: PathBuf,
    /// The run's folder.
    pub run_dir: PathBuf,
}

impl RunReport {
    /// How long the run took.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.duration_us)
    }

    /// Scripts that failed.
    pub fn failures(&self) -> impl Iterator<Item = &ScriptReport> {
        self.scripts.iter().filter(|script| script.outcome.as_ref().is_some_and(Outcome::is_failure))
    }

    /// How many scripts succeeded, failed, and were skipped.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let succeeded = self.scripts.iter().filter(|script| script.success()).count();
        let failed = self.failures().count();
        let skipped =
            self.scripts.iter().filter(|script| matches!(script.outcome, Some(Outcome::Skipped { .. }))).count();
        (succeeded, failed, skipped)
    }
}

//! A project as it stands after its configuration was read and checked: nothing here needs checking again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use jiff::tz::TimeZone;
use secrecy::SecretString;

use crate::schedule::Schedule;

use super::{
    EmailStrategy, Expectation, Language, LogRotation, MailOptions, OnFailure, OnLeak, OutputPolicy, Overlap, Param,
    RetryPolicy, to_timestamp, to_utc,
};

/// What runs a script: a program and the arguments that stand before the script's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// As written: a bare name is looked up on PATH, one with a separator is relative to the project.
    pub program: String,
    /// Arguments before the script's path, as in `["python", "-u"]`.
    pub args: Vec<String>,
    /// The program that was found: absolute, never canonicalised (a virtual environment's python is a link, and has to
    /// be started by the link's name).
    pub path: PathBuf,
}

/// Settings that may stand on the project and on a script; on a [`Script`] they are already resolved.
#[derive(Debug, Clone)]
pub struct CommonSettings {
    /// What runs it.
    pub interpreter: Interpreter,
    /// Arguments after the script's path.
    pub args: Vec<String>,
    /// Variables set for it, over those of `env_file`, the inherited ones and those of the `.env` files.
    pub env: BTreeMap<String, String>,
    /// Variables of the configured `env_file`, over the inherited ones and those of the `.env` files.
    pub env_file: BTreeMap<String, SecretString>,
    /// Where it runs; the project's folder unless configured. Absolute.
    pub working_dir: PathBuf,
    /// How long it may run; `None` is for ever.
    pub timeout: Option<Duration>,
    /// How long it is given to end by itself once asked, before it is killed.
    pub kill_grace: Duration,
    /// What becomes of the later scripts when it fails.
    pub on_failure: OnFailure,
    /// Exit codes that count as success.
    pub success_codes: Vec<u32>,
    /// What becomes of descendants that outlive it.
    pub on_leak: OnLeak,
    /// How long they may, or may hold its output open.
    pub leak_timeout: Duration,
    /// From when on it counts as slow; `None` is learned from its history.
    pub slow_after: Option<Duration>,
    /// When it is tried again.
    pub retries: RetryPolicy,
    /// What must be true after it.
    pub expect: Vec<Expectation>,
}

/// One script of a project.
#[derive(Debug, Clone)]
pub struct Script {
    /// As written in the project file.
    pub path: PathBuf,
    /// Absolute: the project's folder joined with [`Script::path`]. Never canonicalised.
    pub file: PathBuf,
    /// How reports call it: the configured `name`, else the file's name.
    pub name: String,
    /// The file's name, as the log line shows it.
    pub file_name: String,
    /// Its settings, resolved against the project's.
    pub settings: CommonSettings,
}

/// A checked project.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder, absolute, never canonicalised.
    pub root: PathBuf,
    /// The folder's name: how reports call the project.
    pub name: String,
    /// In the order in which they run; at least one.
    pub scripts: Vec<Script>,
    /// Addresses that get the mails, checked. Empty only with [`EmailStrategy::None`].
    pub recipients: Vec<String>,
    /// When a mail goes out.
    pub email_strategy: EmailStrategy,
    /// The language of its mails.
    pub language: Language,
    /// How its mails are made up.
    pub mail: MailOptions,
    /// Whether a failure's line in the log ends with the traceback.
    pub include_traceback: bool,
    /// Archives of the log that are kept; 0 keeps all.
    pub logs_backup_count: u32,
    /// The log's name, without `.log`: the folder's name unless configured.
    pub log_filename: String,
    /// When the log is archived.
    pub log_rotation: LogRotation,
    /// What is kept of the scripts' output.
    pub output: OutputPolicy,
    /// What happens when it is running already.
    pub overlap: Overlap,
    /// Locks that it holds while it runs, shared with other projects: sorted, each once.
    pub locks: Vec<String>,
    /// The inputs it declares, in the file's order.
    pub params: Vec<Param>,
    /// What its scripts get as a file; `None` if it says nothing.
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
    /// Values of the `.env` files, of which the project's own wins over its parents'. The process environment, which
    /// wins over all of them, is not in here.
    pub dotenv: BTreeMap<String, SecretString>,
    /// When it is due, in the file's order; empty unless it has a `schedule`.
    pub schedules: Vec<Schedule>,
    /// The profile it was loaded with, if any.
    pub profile: Option<String>,
}

impl Project {
    /// The folder of the log and of the run folders.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        logs_dir(&self.root)
    }

    /// The time zone of its days: that of this schedule, else of its first; `None` is the machine's.
    #[must_use]
    pub fn zone(&self, schedule: Option<&str>) -> Option<&TimeZone> {
        let named = self.schedules.iter().find(|one| schedule == Some(one.name.as_str()));
        named.or(self.schedules.first()).map(|schedule| &schedule.zone)
    }

    /// The log file. A profile's is in a folder of its own, so that its lines don't mix with others.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        let folder = self.profile.iter().fold(self.logs_dir(), |folder, profile| folder.join(profile));
        folder.join(format!("{}.log", self.log_filename))
    }

    /// When it is due next, strictly after an instant, by those of its schedules that this takes; `None` if never.
    #[must_use]
    pub fn next_planned(
        &self,
        after: DateTime<Utc>,
        mut counts: impl FnMut(&Schedule) -> bool,
    ) -> Option<DateTime<Utc>> {
        let after = to_timestamp(after);
        let kept = self.schedules.iter().filter(|schedule| counts(schedule));
        kept.filter_map(|schedule| schedule.next_after(after)).min().map(to_utc)
    }

    /// The folder that holds one folder a run.
    #[must_use]
    pub fn runs_dir(&self) -> PathBuf {
        runs_dir(&self.root)
    }
}

/// The folder of the log and of the run folders of the project in a folder, which needn't be loaded.
#[must_use]
pub fn logs_dir(root: &Path) -> PathBuf {
    root.join("logs")
}

/// The folder of it that holds one folder a run.
#[must_use]
pub fn runs_dir(root: &Path) -> PathBuf {
    logs_dir(root).join("runs")
}

//! What the plan hands to execution.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::OnLeak;

/// A command, complete: nothing is inherited and nothing is looked up. Not printable: its environment may hold secrets.
#[derive(Clone)]
pub struct SpawnCommand {
    /// The program, absolute.
    pub program: PathBuf,
    /// Its arguments, without the program's name.
    pub args: Vec<OsString>,
    /// What the environment of every script of the run begins with.
    pub base_env: Arc<[(OsString, OsString)]>,
    /// What this one has over that. [`SpawnCommand::environment`] is both together.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory.
    pub working_dir: PathBuf,
    /// A `NAME=value` of the environment that no other running script has: by it a descendant that left its
    /// process group and lost its parent is recognised.
    pub marker: String,
}

impl SpawnCommand {
    /// The whole environment, each name once.
    pub fn environment(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let overridden = |name: &OsStr| self.env.iter().any(|(own, _)| is_same_variable(own, name));
        let base = self.base_env.iter().filter(move |(name, _)| !overridden(name));
        base.chain(&self.env).map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

/// Names are compared as the system does it: on Windows `Path` and `PATH` are one.
pub(super) fn is_same_variable(a: &OsStr, b: &OsStr) -> bool {
    if cfg!(windows) { a.eq_ignore_ascii_case(b) } else { a == b }
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The script's `timeout`.
    pub timeout: Option<Duration>,
    /// Its `kill_grace`.
    pub kill_grace: Duration,
    /// Its `leak_timeout`: how long its descendants may outlive it, or hold its output open.
    pub leak_timeout: Duration,
    /// Its `on_leak`: what becomes of them then.
    pub on_leak: OnLeak,
}

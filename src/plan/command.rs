//! What the plan hands to execution.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// A command, complete: nothing is inherited and nothing is looked up.
#[derive(Debug, Clone)]
pub struct SpawnCommand {
    /// The program, absolute.
    pub program: PathBuf,
    /// Its arguments, without the program's name.
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory.
    pub working_dir: PathBuf,
    /// A `NAME=value` of [`SpawnCommand::env`] that no other running script has: by it a descendant that left its
    /// process group and lost its parent is recognised.
    pub marker: String,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The script's `timeout`.
    pub timeout: Option<Duration>,
    /// Its `kill_grace`.
    pub kill_grace: Duration,
    /// How long its descendants may outlive it.
    pub leak_timeout: Duration,
}

//! What environment a script gets.

use std::ffi::{OsStr, OsString};

use secrecy::ExposeSecret;

use super::command::is_same_variable;
use crate::model::{Project, RunId, Script};

/// Variables by which the runner tells a script where it is. Those that the runner itself was started with, because it
/// runs inside another run, are not handed on.
pub const CONTEXT_VARIABLES: [&str; 5] =
    ["RUNNER_RUN_ID", "RUNNER_PROJECT", "RUNNER_ATTEMPT", "RUNNER_ATTEMPT_ID", "RUNNER_SETTINGS"];
/// Beginning of the names of further context variables.
const CONTEXT_PREFIX: &str = "RUNNER_PARAM_";
/// Settings of the runner that a script has no business with.
const SECRETS: [&str; 2] = ["PASSWORD_MAIL", "MAIL_CLIENT_SECRET"];
/// Set unless they are set already: without them Python writes in the system's code page on Windows, and keeps back what
/// it prints until it has 8 KiB.
const DEFAULTS: [(&str, &str); 2] = [("PYTHONIOENCODING", "utf-8"), ("PYTHONUNBUFFERED", "1")];

/// Where in which run a script is.
#[derive(Debug, Clone)]
pub struct RunContext<'a> {
    /// The run.
    pub run_id: &'a RunId,
    /// The project's name.
    pub project: &'a str,
    /// The script's place in the run, from 0.
    pub index: usize,
    /// Which attempt, from 1.
    pub attempt: u32,
}

/// What tells an attempt from all others, as scripts get it: the run, the script's place from 1, the attempt.
fn attempt_id(run_id: &RunId, index: usize, attempt: u32) -> String {
    format!("{run_id}.{}.{attempt}", index + 1)
}

/// The `NAME=value` by which the processes of an attempt are recognised in their environment.
#[must_use]
pub fn attempt_marker(run_id: &RunId, index: usize, attempt: u32) -> String {
    format!("{}={}", CONTEXT_VARIABLES[3], attempt_id(run_id, index, attempt))
}

/// Whether a variable is a secret of the runner's own.
#[must_use]
pub fn is_secret_setting(name: &OsStr) -> bool {
    SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Sets a variable over whatever has its name.
fn set(variables: &mut Vec<(OsString, OsString)>, name: &OsStr, value: &OsStr) {
    match variables.iter_mut().find(|(known, _)| is_same_variable(known, name)) {
        Some(known) => *known = (name.to_owned(), value.to_owned()),
        None => variables.push((name.to_owned(), value.to_owned())),
    }
}

/// What all scripts of a project get: the runner's environment and, where that has none, the values of the `.env` files,
/// without the runner's secrets and without the context of another run.
pub fn base_environment(
    project: &Project,
    process: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let mut variables = Vec::new();
    for (name, value) in DEFAULTS {
        set(&mut variables, OsStr::new(name), OsStr::new(value));
    }
    for (name, value) in &project.dotenv {
        set(&mut variables, OsStr::new(name), OsStr::new(value.expose_secret()));
    }
    for (name, value) in process {
        set(&mut variables, &name, &value);
    }
    variables.retain(|(name, _)| !is_secret_setting(name) && !is_context(name));
    variables
}

fn is_context(name: &OsStr) -> bool {
    CONTEXT_VARIABLES.iter().any(|context| name.eq_ignore_ascii_case(context))
        || name.to_str().is_some_and(|name| name.to_ascii_uppercase().starts_with(CONTEXT_PREFIX))
}

/// What one attempt at one script gets over the project's base: its `env_file`, over that its `env`, over that the
/// context.
pub(super) fn script_environment(script: &Script, context: &RunContext<'_>) -> Vec<(OsString, OsString)> {
    let own = script.settings.env_file.iter().map(|(name, value)| (name.as_str(), value.expose_secret()));
    let own = own.chain(script.settings.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let attempt = context.attempt.to_string();
    let attempt_id = attempt_id(context.run_id, context.index, context.attempt);
    let context = [
        (CONTEXT_VARIABLES[0], context.run_id.as_str()),
        (CONTEXT_VARIABLES[1], context.project),
        (CONTEXT_VARIABLES[2], attempt.as_str()),
        (CONTEXT_VARIABLES[3], attempt_id.as_str()),
    ];
    let mut variables = Vec::new();
    for (name, value) in own.chain(context) {
        set(&mut variables, OsStr::new(name), OsStr::new(value));
    }
    variables
}

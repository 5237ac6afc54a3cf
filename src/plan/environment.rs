//! What environment a script gets.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use secrecy::ExposeSecret;

use super::Step;
use super::command::is_same_variable;
use super::inputs::Inputs;
use super::secrets::Secrets;
use crate::model::{Project, RunId, Script};

/// Variables by which the runner tells a script where it is. Those that the runner itself was started with, because it
/// runs inside another run, are not handed on.
pub const CONTEXT_VARIABLES: [&str; 8] = [
    "RUNNER_RUN_ID",
    "RUNNER_PROJECT",
    "RUNNER_ATTEMPT",
    ATTEMPT_ID,
    "RUNNER_PLANNED_TIME",
    "RUNNER_IDEMPOTENCY_KEY",
    "RUNNER_FILES",
    SETTINGS,
];
/// Only where a project has settings.
const SETTINGS: &str = "RUNNER_SETTINGS";
/// Its value is another for each attempt there ever is.
const ATTEMPT_ID: &str = "RUNNER_ATTEMPT_ID";
/// Beginning of the names of further context variables.
const CONTEXT_PREFIX: &str = "RUNNER_PARAM_";
/// Settings of the runner that a script has no business with.
const SECRETS: [&str; 2] = ["PASSWORD_MAIL", "MAIL_CLIENT_SECRET"];
/// Set unless they are set already: without them Python writes in the system's code page on Windows, and keeps back what
/// it prints until it has 8 KiB.
const DEFAULTS: [(&str, &str); 2] = [("PYTHONIOENCODING", "utf-8"), ("PYTHONUNBUFFERED", "1")];

/// Which attempt at which script of which run this is.
#[derive(Debug, Clone)]
pub struct RunContext<'a> {
    /// The run.
    pub run_id: &'a RunId,
    /// The project's name.
    pub project: &'a str,
    /// For when the run was planned or, if it wasn't, when it began. Of a run that follows another: the first one's.
    pub planned: DateTime<Utc>,
    /// The run with which the chain of runs began that do the same work: this one, unless it follows another.
    pub first_run: &'a RunId,
    /// The folder for files that scripts attach to the run.
    pub files: &'a Path,
    /// The file with the project's settings.
    pub settings: Option<&'a Path>,
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
    format!("{ATTEMPT_ID}={}", attempt_id(run_id, index, attempt))
}

/// What a script can tell its work by to others, so that it is done once however often it is tried: the same for all
/// attempts, and in all runs of a chain. `occurrence`, from 1, tells those apart that stand in a project twice.
fn idempotency_key(first_run: &RunId, script: &Script, occurrence: usize) -> String {
    let path = script.path.display();
    if occurrence > 1 { format!("{first_run}:{path}#{occurrence}") } else { format!("{first_run}:{path}") }
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

/// The secrets that a project's scripts, or the runner's reports, could show. Whether a script gets a variable doesn't
/// matter: it may read the file itself.
pub(super) fn secrets(project: &Project, inputs: &Inputs, process: &[(OsString, OsString)]) -> Secrets {
    let files = project.scripts.iter().map(|script| &script.settings.env_file).chain([&project.dotenv]);
    let files = files.flatten().map(|(name, value)| (OsStr::new(name), OsStr::new(value.expose_secret())));
    let own = project.scripts.iter().flat_map(|script| &script.settings.env);
    // As scripts get them: what an input brings is as secret as what is written there.
    let own: Vec<(&str, String)> = own.map(|(name, value)| (name.as_str(), inputs.fill(value))).collect();
    let own = own.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value)));
    let process = process.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
    // Each once: what stands on the project stands on each of its scripts.
    let variables: HashSet<(&OsStr, &OsStr)> = process.chain(files).chain(own).collect();
    let mut secrets = Secrets::default();
    variables.into_iter().for_each(|(name, value)| secrets.take(name, value));
    inputs.secrets(&mut secrets);
    project.settings.iter().flatten().for_each(|(name, value)| secrets.take_json(name, value));
    secrets
}

fn is_context(name: &OsStr) -> bool {
    CONTEXT_VARIABLES.iter().any(|context| name.eq_ignore_ascii_case(context))
        || name.to_str().is_some_and(|name| name.to_ascii_uppercase().starts_with(CONTEXT_PREFIX))
}

/// What one attempt at one script gets over the project's base: its `env_file`, over that its `env`, over that the
/// context and the inputs.
pub(super) fn script_environment(
    step: &Step<'_>,
    context: &RunContext<'_>,
    inputs: &Inputs,
) -> Vec<(OsString, OsString)> {
    let settings = &step.script.settings;
    let own = settings.env_file.iter().map(|(name, value)| (name.as_str(), value.expose_secret()));
    let mut variables = Vec::new();
    for (name, value) in own {
        set(&mut variables, OsStr::new(name), OsStr::new(value));
    }
    for (name, value) in &settings.env {
        set(&mut variables, OsStr::new(name), OsStr::new(&inputs.fill(value)));
    }
    let planned = context.planned.to_rfc3339_opts(SecondsFormat::Secs, true);
    let values: [OsString; 7] = [
        context.run_id.as_str().into(),
        context.project.into(),
        context.attempt.to_string().into(),
        attempt_id(context.run_id, context.index, context.attempt).into(),
        planned.into(),
        idempotency_key(context.first_run, step.script, step.occurrence).into(),
        context.files.into(),
    ];
    for (name, value) in CONTEXT_VARIABLES.iter().zip(values) {
        set(&mut variables, OsStr::new(name), &value);
    }
    let settings = context.settings.map(|file| (SETTINGS, file.as_os_str()));
    let inputs = inputs.variables().map(|(name, value)| (name, OsStr::new(value)));
    for (name, value) in settings.into_iter().chain(inputs) {
        set(&mut variables, OsStr::new(name), value);
    }
    variables
}

//! The plan of a run.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;

use super::environment::{self, RunContext};
use super::{Inputs, Limits, Secrets, SelectError, Selection, SpawnCommand};
use crate::event::PlannedScript;
use crate::model::{OnFailure, Project, Script};

/// What will be run, in order. Not printable: the environment may hold secrets.
#[derive(Clone)]
pub struct RunPlan<'a> {
    /// The steps.
    pub steps: Vec<Step<'a>>,
    /// What every script's environment begins with.
    base_environment: Arc<[(OsString, OsString)]>,
    /// What must not be shown anywhere.
    pub secrets: Secrets,
    /// What the project's declared inputs are.
    pub inputs: Inputs,
}

/// One script of a plan.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The script.
    pub script: &'a Script,
    /// Which of the project's scripts with the same path it is, from 1.
    pub occurrence: usize,
}

/// Plans a run of `project`. `process` is the runner's environment.
///
/// # Errors
/// When the selection names a script that the project doesn't have.
pub fn build<'a>(
    project: &'a Project,
    selection: &Selection,
    inputs: Inputs,
    process: impl Iterator<Item = (OsString, OsString)>,
) -> Result<RunPlan<'a>, SelectError> {
    let taken = selection.apply(&project.name, &project.scripts)?;
    let mut occurrences = HashMap::new();
    let steps = project.scripts.iter().map(|script| {
        let occurrence = occurrences.entry(script.path.as_path()).and_modify(|count| *count += 1).or_insert(1);
        Step { script, occurrence: *occurrence }
    });
    let steps = steps.zip(taken).filter(|(_, taken)| *taken).map(|(step, _)| step).collect();
    let process: Vec<_> = process.collect();
    let secrets = environment::secrets(project, &inputs, &process);
    let base_environment = environment::base_environment(project, process.into_iter()).into();
    Ok(RunPlan { steps, base_environment, secrets, inputs })
}

impl RunPlan<'_> {
    /// The complete command of one attempt at a step.
    #[must_use]
    pub fn command(&self, step: &Step<'_>, context: &RunContext<'_>) -> SpawnCommand {
        SpawnCommand {
            program: step.script.settings.interpreter.path.clone(),
            args: step.arguments(&self.inputs),
            base_env: Arc::clone(&self.base_environment),
            env: environment::script_environment(step, context, &self.inputs),
            working_dir: step.script.settings.working_dir.clone(),
            marker: environment::attempt_marker(context.run_id, context.index, context.attempt),
        }
    }

    /// The steps as the run's first event lists them.
    #[must_use]
    pub fn planned(&self) -> Vec<PlannedScript> {
        self.steps
            .iter()
            .map(|step| PlannedScript {
                name: step.script.name.clone(),
                script: step.script.path.display().to_string(),
                file_name: step.script.file_name.clone(),
                occurrence: step.occurrence,
            })
            .collect()
    }
}

impl Step<'_> {
    /// The arguments: those of the interpreter, the script, those of the script.
    #[must_use]
    pub fn arguments(&self, inputs: &Inputs) -> Vec<OsString> {
        let settings = &self.script.settings;
        let mut args: Vec<OsString> = settings.interpreter.args.iter().map(OsString::from).collect();
        args.push(self.script.file.clone().into_os_string());
        args.extend(settings.args.iter().map(|arg| OsString::from(inputs.fill(arg))));
        args
    }

    /// How long it may take.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let settings = &self.script.settings;
        Limits {
            timeout: settings.timeout,
            kill_grace: settings.kill_grace,
            leak_timeout: settings.leak_timeout,
            on_leak: settings.on_leak,
        }
    }

    /// Whether the rest is skipped when it fails.
    #[must_use]
    pub fn stops_on_failure(&self) -> bool {
        self.script.settings.on_failure == OnFailure::Stop
    }
}

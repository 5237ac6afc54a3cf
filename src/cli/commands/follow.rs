//! `runner retry RUN` and `runner resume RUN`: a run that follows another.

use std::path::PathBuf;

use super::reading::{self, is_alive};
use super::run::{Request, run_projects};
use super::{CommandError, StateDir};
use crate::cli::ExitCode;
use crate::cli::args::{FollowArgs, RunFlags};
use crate::cli::output::{self, Output, styled};
use crate::config::{self, Environment, LoadRequest};
use crate::event::{EVENTS_FILE, EventKind, PlannedScript, read_events, replay};
use crate::model::{Following, Outcome, ParamSource, Parent, RunParam, RunReport};
use crate::plan::{Given, Place, Selection};
use crate::runner::{self, When};
use crate::store::Store;

pub(in crate::cli) fn follow(args: FollowArgs, how: Following, state: &StateDir, output: &Output) -> ExitCode {
    let mut found = None;
    let code = reading::with_store(state, output, async |store, _| {
        reading::bring_up_to_date(store, None, output).await?;
        found = Some(find(store, &args.run).await?);
        Ok(())
    });
    let Some((report, scripts)) = found else { return code };
    let RunReport { run_id, project, .. } = &report;
    if report.finished.is_none() && is_alive(&report) {
        let what = styled(output::BAD, "error:");
        output.error(format!("{what} {project}: run {run_id} is still under way; nothing was run"));
        return ExitCode::AlreadyRunning;
    }
    let chosen = chosen(&report, how);
    let (verb, nothing) = match how {
        Following::Retry => ("retry", "no script failed in it"),
        Following::Resume => ("going on with", "every script succeeded in it"),
    };
    if chosen.is_empty() {
        let text = format!("{project}: nothing to do for run {run_id}: {nothing}");
        if args.flags.json {
            output.error(text)
        } else {
            output.line(text)
        }
        return ExitCode::Success;
    }
    let mut flags = args.flags;
    if !flags.quiet && !flags.json && !flags.dry_run {
        let (count, total) = (chosen.len(), report.scripts.len());
        let inputs = inputs(&report, &flags);
        output.line(format!("{project}: {verb} run {run_id}, {count} of its {total} scripts{inputs}"));
    }
    let place = |index: &usize| scripts.get(*index).cloned();
    let request = Request {
        selection: Selection { exactly: Some(chosen.iter().filter_map(place).collect()), ..Selection::default() },
        taken_over: report.params.clone(),
        planned: Some(report.planned.unwrap_or(report.started)),
        parent: Some(Parent {
            run_id: run_id.clone(),
            how,
            first: report.parent.as_ref().map_or_else(|| run_id.clone(), |parent| parent.first.clone()),
        }),
        wanted: None,
    };
    flags.profile = flags.profile.or_else(|| report.profile.clone());
    run_projects(std::slice::from_ref(&report.project_dir), 1, flags, request, state, output)
}

/// The run, and where in its project each of its scripts stands.
async fn find(store: &mut Store, prefix: &str) -> Result<(RunReport, Vec<Place>), CommandError> {
    let row = store.run(prefix).await?;
    let events: PathBuf = row.run_dir.join(EVENTS_FILE);
    let known = store.report(row).await?;
    let mut places = Vec::new();
    let _ = read_events(&events, |event| {
        if let EventKind::RunStarted { scripts, .. } = event.kind {
            places = scripts.into_iter().map(place).collect();
        }
    });
    // The database knows enough when the folder is gone, but for scripts that stand in the project several times.
    let Ok(told) = replay(&events) else {
        let mut places: Vec<Place> = Vec::new();
        for script in &known.scripts {
            let before = places.iter().filter(|place| place.script == script.script).count();
            places.push(Place { script: script.script.clone(), occurrence: before + 1 });
        }
        return Ok((known, places));
    };
    Ok((
        RunReport { parent: told.parent, planned: told.planned, params: told.params, started: told.started, ..known },
        places,
    ))
}

/// Which inputs of that run are taken over: those with a value that are still declared, and aren't given anew.
fn inputs(report: &RunReport, flags: &RunFlags) -> String {
    if report.params.is_empty() {
        return String::new();
    }
    let env = Environment::from_process();
    let profile = flags.profile.as_deref().or(report.profile.as_deref());
    // What is wrong with the project is told when it is run.
    let Ok(loaded) = config::load(&LoadRequest { project: &report.project_dir, profile, env: &env }) else {
        return String::new();
    };
    let is_declared = |name: &str| loaded.project.params.iter().any(|param| param.name == name && !param.secret);
    let taken = report.params.iter().filter(|param| flags.params.iter().all(|(name, _)| *name != param.name));
    let taken = taken.filter(|param| param.value.is_some() && !param.masked && is_declared(&param.name));
    let taken: Vec<String> = taken.map(RunParam::told).collect();
    let taken = if taken.is_empty() { String::new() } else { format!(", with its inputs {}", taken.join(" ")) };
    // A secret can't be told to be what it was, nor be given for one run: it is what is found now.
    let given = Given { values: flags.params.clone(), taken_over: report.params.clone() };
    let now = runner::inputs(&loaded.project, &given, When::now()).unwrap_or_default();
    let had_none = report.params.iter().filter(|param| param.secret && param.source == ParamSource::Unset);
    let anew = had_none.filter(|param| now.is_set(&param.name));
    let anew: String = anew.map(|param| format!("; the secret {} is set now, and wasn't in it", param.name)).collect();
    format!("{taken}{anew}")
}

fn place(script: PlannedScript) -> Place {
    Place { script: script.script, occurrence: script.occurrence }
}

/// The places, in the run, of the scripts that are run again. Pure.
fn chosen(report: &RunReport, how: Following) -> Vec<usize> {
    match how {
        Following::Retry => report.failures().map(|script| script.index).collect(),
        Following::Resume => {
            let begin =
                report.scripts.iter().position(|script| !script.outcome.as_ref().is_some_and(Outcome::is_success));
            (begin.unwrap_or(report.scripts.len())..report.scripts.len()).collect()
        }
    }
}

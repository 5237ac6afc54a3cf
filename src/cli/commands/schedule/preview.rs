//! `runner schedule preview`: when projects are due next.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::cli::ExitCode;
use crate::cli::args::SchedulePreviewArgs;
use crate::cli::commands::{StateDir, check};
use crate::cli::output::Output;
use crate::config::Environment;
use crate::schedule::{Schedule, merged};
use crate::store::remembered_projects;

pub(super) fn preview(args: &SchedulePreviewArgs, state: &StateDir, output: &Output) -> ExitCode {
    let env = Environment::from_process();
    let mut code = ExitCode::Success;
    let mut projects = Vec::new();
    for folder in projects_or_known(&args.projects, state) {
        match check::load(&folder, args.profile.as_deref(), &env, output) {
            Some(loaded) => projects.push(loaded.project),
            None => code = ExitCode::Usage,
        }
    }
    let whose: Vec<(&str, &Schedule)> = projects
        .iter()
        .flat_map(|project| project.schedules.iter().map(|schedule| (project.name.as_str(), schedule)))
        .collect();
    let schedules: Vec<&Schedule> = whose.iter().map(|(_, schedule)| *schedule).collect();
    let from = args.from.unwrap_or_else(Timestamp::now);
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    for planned in merged(&schedules, from).take(limit) {
        let Some((project, schedule)) = whose.get(planned.schedule) else { continue };
        let local = planned.at.to_zoned(schedule.zone.clone());
        if args.json {
            output.line(serde_json::json!({
                "project": project,
                "schedule": schedule.name,
                "planned_utc": planned.at.to_string(),
                "planned_local": local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            }));
        } else {
            output.line(format!("{}  {}  {project}", local.strftime("%Y-%m-%d %H:%M:%S"), planned.at));
        }
    }
    code
}

/// The folders named, else the one that one stands in if it is a project, else all that have been run here and are there.
fn projects_or_known(named: &[PathBuf], state: &StateDir) -> Vec<PathBuf> {
    let is_project = |folder: &PathBuf| folder.join("exec_config.json").exists();
    let here = PathBuf::from(".");
    if !named.is_empty() {
        named.to_vec()
    } else if is_project(&here) {
        vec![here]
    } else {
        state.path().map(remembered_projects).unwrap_or_default().into_iter().filter(is_project).collect()
    }
}

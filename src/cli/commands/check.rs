//! `runner check`: what is wrong with project files, and where each value comes from.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cli::ExitCode;
use crate::cli::args::CheckArgs;
use crate::cli::output::{self, Output, styled};
use crate::config::{self, ConfigError, Environment, LoadRequest, Loaded, Problem};
use crate::mail::MailSettings;
use crate::model::EmailStrategy;

pub(in crate::cli) fn check(args: &CheckArgs, output: &Output) -> ExitCode {
    let env = Environment::from_process();
    let mut code = ExitCode::Success;
    for project in projects_or_here(&args.projects) {
        let request = LoadRequest { project: &project, profile: args.profile.as_deref(), env: &env };
        match config::load(&request) {
            Ok(mut loaded) => {
                loaded.warnings.extend(loaded.over(Timestamp::now()));
                show(&loaded, args, output);
            }
            Err(error) => {
                show_problems(&error, args, output);
                code = ExitCode::Usage;
            }
        }
    }
    code
}

/// The folders named, else the one that one stands in.
pub(super) fn projects_or_here(projects: &[PathBuf]) -> Vec<PathBuf> {
    if projects.is_empty() { vec![PathBuf::from(".")] } else { projects.to_vec() }
}

fn show(loaded: &Loaded, args: &CheckArgs, output: &Output) {
    let project = &loaded.project;
    if args.json {
        if args.explain {
            for value in &loaded.explain {
                output.line(serde_json::json!({
                    "project": project.name, "path": value.path, "value": value.value, "origin": value.origin,
                }));
            }
        }
        for warning in &loaded.warnings {
            output.line(problem_json(warning, "warning"));
        }
        return;
    }
    warnings(&loaded.warnings, output);
    let count = project.scripts.len();
    let scripts = if count == 1 { "script" } else { "scripts" };
    output.line(format!("{}  {} ({count} {scripts})", styled(output::GOOD, "ok"), project.root.display()));
    if project.email_strategy != EmailStrategy::None
        && let Err(error) = MailSettings::resolve(&project.dotenv, &|name: &str| std::env::var(name).ok(), &|_| false)
    {
        output.error(format!("{} {}: {error}", styled(output::WARNING, "warning:"), project.name));
    }
    if args.explain {
        output.line(config::render_explain(&loaded.explain).trim_end());
    }
}

fn show_problems(error: &ConfigError, args: &CheckArgs, output: &Output) {
    if args.json {
        for problem in &error.problems {
            output.line(problem_json(problem, "error"));
        }
    } else {
        problems(error, output);
    }
}

fn problem_json(problem: &Problem, severity: &str) -> serde_json::Value {
    serde_json::json!({
        "severity": severity,
        "kind": problem.kind.name(),
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "path": problem.json_path,
        "message": problem.message,
        "hint": problem.hint,
    })
}

/// Shows all problems of a project on standard error: on a terminal with the place underlined, elsewhere a line each.
pub(super) fn problems(error: &ConfigError, output: &Output) {
    for problem in &error.problems {
        output.error(if output.terminal { problem.fancy(output.color, output.width()) } else { problem.plain() });
    }
}

/// Shows warnings on standard error: elsewhere than on a terminal in the same form as problems, for programs to read.
pub(super) fn warnings(warnings: &[Problem], output: &Output) {
    for warning in warnings {
        let plain = warning.plain();
        output.error_once(if output.terminal {
            format!("{} {plain}", styled(output::WARNING, "warning:"))
        } else {
            plain
        });
    }
}

/// Loads a project or shows what is wrong with it.
pub(super) fn load(project: &Path, profile: Option<&str>, env: &Environment, output: &Output) -> Option<Loaded> {
    try_load(project, profile, env, output).ok()
}

/// Likewise; hands on what it has shown.
pub(super) fn try_load(
    project: &Path,
    profile: Option<&str>,
    env: &Environment,
    output: &Output,
) -> Result<Loaded, ConfigError> {
    let loaded = config::load(&LoadRequest { project, profile, env });
    match &loaded {
        Ok(loaded) => warnings(&loaded.warnings, output),
        Err(error) => problems(error, output),
    }
    loaded
}

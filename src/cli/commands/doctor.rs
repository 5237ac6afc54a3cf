//! `runner doctor`: whether the machine and projects are fit to run unattended.

use std::path::{Path, PathBuf};

use super::StateDir;
use super::view::one_line;
use crate::cli::ExitCode;
use crate::cli::args::DoctorArgs;
use crate::cli::output::{self, Output, styled};
use crate::config::{Environment, is_project, project_root};
use crate::doctor::{self, Cause, Finding, Machine, State};

pub(in crate::cli) fn doctor(args: &DoctorArgs, state: &StateDir, output: &Output) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.error(format!("{} {error}", styled(output::BAD, "error:")));
            return ExitCode::CannotWork;
        }
    };
    let env = Environment::from_process();
    let tz = std::env::var("TZ").ok();
    let missing = state.required().err().unwrap_or_default();
    let machine = Machine { state_dir: state.required().map_err(|_| missing.as_str()), tz: tz.as_deref() };
    let mut worst = ExitCode::Success;
    runtime.block_on(async {
        let findings = doctor::examine_machine(&machine).await;
        worst = worst.max(show(&findings, None, args.json, output));
        for project in projects(&args.projects) {
            let findings = doctor::examine_project(&project, args.profile.as_deref(), &env, state.path()).await;
            worst = worst.max(show(&findings, Some(&name_of(&project)), args.json, output));
        }
    });
    worst
}

/// The projects named, else the one that one stands in, if it is one.
fn projects(named: &[PathBuf]) -> Vec<PathBuf> {
    let here = PathBuf::from(".");
    match named {
        [] if is_project(&here) => vec![here],
        named => named.to_vec(),
    }
}

/// A project's name, or what was given for one that has none.
fn name_of(project: &Path) -> String {
    let root = project_root(project).ok();
    let name = root.as_deref().and_then(Path::file_name);
    name.map_or_else(|| project.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// Shows what was found, and tells what it comes to.
fn show(findings: &[Finding], project: Option<&str>, json: bool, output: &Output) -> ExitCode {
    let mut worst = ExitCode::Success;
    for finding in findings {
        if json {
            output.line(serde_json::json!({
                "project": project,
                "check": finding.check,
                "state": finding.state.name(),
                "found": finding.found,
                "remedy": finding.remedy,
            }));
        } else {
            output.line(line(finding, project));
        }
        worst = worst.max(match finding.state {
            State::Ok | State::Info | State::Warning => ExitCode::Success,
            State::Problem(Cause::Configuration) => ExitCode::Usage,
            State::Problem(Cause::Environment) => ExitCode::CannotWork,
        });
    }
    worst
}

fn line(finding: &Finding, project: Option<&str>) -> String {
    let style = match finding.state {
        State::Ok => output::GOOD,
        State::Info => output::DIM,
        State::Warning => output::WARNING,
        State::Problem(_) => output::BAD,
    };
    let whose = project.map(|project| format!("{project}: ")).unwrap_or_default();
    let remedy = finding.remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
    let text = one_line(&format!("{whose}{}: {}{remedy}", finding.check, finding.found));
    format!("{} {text}", styled(style, format!("{:<7}", finding.state.name())))
}

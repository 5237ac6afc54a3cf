//! One project.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::{Finding, folder, mail, program, schedule};
use crate::config::{self, ConfigError, Environment, LoadRequest, Problem, ProblemKind};
use crate::event::{EVENTS_FILE, EventKind, RunEvent};
use crate::exec::{self, Holder, ProjectLock, default_spawner};
use crate::model::{Project, RunId};

/// Looks at a project. `env` is the environment that it would run in, `state_dir` is the state folder, if there can be one.
pub async fn examine_project(
    folder: &Path,
    profile: Option<&str>,
    env: &Environment,
    state_dir: Option<&Path>,
) -> Vec<Finding> {
    match config::load(&LoadRequest { project: folder, profile, env }) {
        Err(error) => wrong_configuration(&error),
        Ok(loaded) => {
            let project = &loaded.project;
            let count = project.scripts.len();
            let scripts = if count == 1 { "script" } else { "scripts" };
            let found = format!("{} is read ({count} {scripts})", project.root.join(config::PROJECT_FILE).display());
            let mut findings = vec![Finding::ok("configuration", found)];
            // Of `.env` there is a finding of its own.
            let warnings = loaded.warnings.iter().filter(|warning| warning.kind != ProblemKind::Exposed);
            findings.extend(warnings.map(|warning| {
                let (found, remedy) = told(warning);
                Finding::warning("configuration", found, remedy.unwrap_or_else(|| "see the place".to_owned()))
            }));
            findings.extend(interpreters(project).await);
            findings.push(scripts_readable(project));
            findings.extend(working_folders(project));
            findings.extend(logs(project));
            findings.extend(mail::examine(project, env, state_dir));
            findings.extend(schedule::examine(project, state_dir).await);
            findings
        }
    }
}

fn wrong_configuration(error: &ConfigError) -> Vec<Finding> {
    let wrong = |problem| {
        let (found, remedy) = told(problem);
        Finding::wrong("configuration", found, remedy)
    };
    error.problems.iter().map(wrong).collect()
}

/// A problem with its place, and what to do apart from it.
fn told(problem: &Problem) -> (String, Option<String>) {
    let plain = problem.plain();
    let hint = problem.hint.clone();
    let found = hint.as_ref().and_then(|hint| plain.strip_suffix(&format!("; {hint}")));
    match found {
        Some(found) => (found.to_owned(), hint),
        None => (plain, None),
    }
}

async fn interpreters(project: &Project) -> Vec<Finding> {
    const CHECK: &str = "interpreter";
    let mut findings: BTreeMap<&Path, Finding> = BTreeMap::new();
    for interpreter in project.scripts.iter().map(|script| &script.settings.interpreter) {
        let path = interpreter.path.as_path();
        if findings.contains_key(path) {
            continue;
        }
        let finding = match program::version(&*default_spawner(), path, &project.root).await {
            Ok(version) if version.is_empty() => Finding::ok(CHECK, format!("{} starts", path.display())),
            Ok(version) => Finding::ok(CHECK, format!("{} starts: {version}", path.display())),
            Err(why) => {
                let remedy = "install it anew, or name another with `python_command`";
                Finding::broken(CHECK, format!("{} can't be used: {why}", path.display()), remedy)
            }
        };
        findings.insert(path, finding);
    }
    findings.into_values().collect()
}

fn scripts_readable(project: &Project) -> Finding {
    const CHECK: &str = "scripts";
    let unreadable = project.scripts.iter().find_map(|script| {
        let read = File::open(&script.file).and_then(|mut file| file.read(&mut [0; 1]));
        read.err().map(|error| format!("{} can't be read: {error}", script.file.display()))
    });
    match unreadable {
        Some(found) => Finding::broken(CHECK, found, "let this account read it"),
        None => Finding::ok(CHECK, "all can be read"),
    }
}

/// Folders that scripts run in, told only if something is wrong with them.
fn working_folders(project: &Project) -> Vec<Finding> {
    let mut folders: Vec<&Path> = project.scripts.iter().map(|script| script.settings.working_dir.as_path()).collect();
    folders.sort();
    folders.dedup();
    let closed = |folder: &Path| {
        let error = std::fs::read_dir(folder).err()?;
        let found = format!("{} can't be entered: {error}", folder.display());
        Some(Finding::broken("working folder", found, "let this account read and enter it"))
    };
    folders.into_iter().filter_map(closed).collect()
}

/// The logs folder: it is written to and locked in; then who runs, and which runs have no end.
fn logs(project: &Project) -> Vec<Finding> {
    let folder = project.logs_dir();
    let mut findings = folder::writable("logs folder", &folder);
    if findings.iter().any(|finding| finding.remedy.is_some() && !folder.is_dir()) {
        return findings;
    }
    findings.extend(log(project));
    findings.push(folder::room("disk space", &folder));
    findings.push(folder::lockable("locks", &folder));
    let holder = ProjectLock::holder(&folder);
    findings.push(match &holder {
        None => Finding::ok("running", "the project isn't running"),
        Some(None) => Finding::info("running", "the project is running"),
        Some(Some(Holder { run_id, since, pid, host, .. })) => {
            let since = since.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S");
            Finding::info("running", format!("run {run_id} since {since}, in process {pid} on {host}"))
        }
    });
    // Of a holder that has left no word yet, any run without an end may be its own.
    if !matches!(holder, Some(None)) {
        findings.push(unfinished(project, &folder));
    }
    findings
}

/// The log, opened as a run would, told only if it is there.
fn log(project: &Project) -> Option<Finding> {
    const CHECK: &str = "log";
    let file = project.log_file();
    match File::options().append(true).open(&file) {
        Ok(_) => Some(Finding::ok(CHECK, format!("{} can be written", file.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            let remedy = if file.is_dir() {
                "it is a folder: move it away, or set `log_filename`"
            } else {
                "let this account write it, and close the program that holds it"
            };
            Some(Finding::broken(CHECK, format!("{} can't be written: {error}", file.display()), remedy))
        }
    }
}

/// Runs whose runner died, and that nobody has recorded as ended since.
fn unfinished(project: &Project, logs: &Path) -> Finding {
    const CHECK: &str = "unfinished runs";
    let entries = std::fs::read_dir(project.runs_dir()).into_iter().flatten().flatten();
    let runs = entries.filter_map(|entry| Some((RunId::parse(entry.file_name().to_str()?)?, entry.path())));
    let mut dead: Vec<String> = runs
        .filter(|(id, folder)| !has_ended(&folder.join(EVENTS_FILE)) && !exec::lives(logs, id, None))
        .map(|(id, _)| id.to_string())
        .collect();
    dead.sort();
    match dead.as_slice() {
        [] => Finding::ok(CHECK, "none"),
        [run] => Finding::warning(CHECK, format!("the runner of run {run} died"), REMEDY),
        [first, ..] => {
            Finding::warning(CHECK, format!("the runners of {} runs died, of {first} for one", dead.len()), REMEDY)
        }
    }
}

const REMEDY: &str = "the next `runner run` of the project sees to it; `runner show RUN` says how far it came";

/// Whether a run's events have an end. What can't be read isn't called dead.
fn has_ended(events: &Path) -> bool {
    /// The end of a run with very many attached files is as long as this.
    const TAIL: u64 = 1024 * 1024;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(events)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        Ok(tail)
    };
    let is_end = |line: &[u8]| {
        let event = serde_json::from_slice::<RunEvent>(line);
        event.is_ok_and(|event| matches!(event.kind, EventKind::RunFinished { .. }))
    };
    read().map_or(true, |tail| tail.rsplit(|byte| *byte == b'\n').any(is_end))
}

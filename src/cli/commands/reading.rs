//! The verbs that read the state database: opens it, brings it up to date with the run folders, hands over to the verb.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::history::{HistoryRequest, history as write_history};
use super::list::list as write_list;
use super::logs::{LogsRequest, logs as write_logs};
use super::show::{ShowRequest, show as write_show};
use super::stats::{StatsRequest, Timeouts, stats as write_stats};
use super::view::one_line;
use super::{CommandError, StateDir, View};
use crate::cli::ExitCode;
use crate::cli::args::{HistoryArgs, ListArgs, LogsArgs, ShowArgs, StatsArgs};
use crate::cli::output::{self, Output, styled};
use crate::config::{self, Environment, LoadRequest, project_root};
use crate::exec;
use crate::model::{RunReport, Script, ScriptReport, logs_dir};
use crate::runner::{Known, lives_or_record, never_began, output_name, standing_alarm};
use crate::store::{FindRunError, ProjectRow, Store, StoreError, import_project};

pub(in crate::cli) fn list(args: &ListArgs, state: &StateDir, output: &Output) -> ExitCode {
    with_store(state, output, async |store, out| {
        bring_up_to_date(store, None, output).await?;
        warn_of_alarms(store, output).await?;
        write_list(store, &View::now(args.json, output.color), out).await
    })
}

pub(in crate::cli) fn history(args: &HistoryArgs, state: &StateDir, output: &Output) -> ExitCode {
    with_store(state, output, async |store, out| {
        let folder = args.project.as_deref().filter(|folder| folder.is_dir());
        bring_up_to_date(store, folder, output).await?;
        warn_of_alarms(store, output).await?;
        let request = HistoryRequest {
            project: args.project.as_ref().map(|project| project.to_string_lossy().into_owned()),
            current_dir: std::env::current_dir()?,
            limit: Some(args.limit),
        };
        write_history(store, &request, &View::now(args.json, output.color), out).await
    })
}

pub(in crate::cli) fn stats(args: &StatsArgs, state: &StateDir, output: &Output) -> ExitCode {
    with_store(state, output, async |store, out| {
        let folder = args.project.as_deref().filter(|folder| folder.is_dir());
        bring_up_to_date(store, folder, output).await?;
        warn_of_alarms(store, output).await?;
        let env = Environment::from_process();
        let request = StatsRequest {
            project: args.project.as_ref().map(|project| project.to_string_lossy().into_owned()),
            current_dir: std::env::current_dir()?,
            times: args.times,
            timeouts: &|project| configured_timeouts(project, &env),
        };
        write_stats(store, &request, &View::now(args.json, output.color), out).await
    })
}

/// The timeouts of a project as it ran last. What is wrong with its file is for `check` to say.
fn configured_timeouts(project: &ProjectRow, env: &Environment) -> Option<Timeouts> {
    let profile = project.last_run.as_ref().and_then(|run| run.profile.as_deref());
    let loaded = config::load(&LoadRequest { project: &project.path, profile, env }).ok()?;
    let timeout = |script: &Script| (script.path.display().to_string(), script.settings.timeout);
    Some(loaded.project.scripts.iter().map(timeout).collect())
}

pub(in crate::cli) fn show(args: &ShowArgs, state: &StateDir, output: &Output) -> ExitCode {
    with_store(state, output, async |store, out| {
        bring_up_to_date(store, None, output).await?;
        warn_of_alarms(store, output).await?;
        let request = ShowRequest { run: args.run.clone() };
        write_show(store, &request, &View::now(args.json, output.color), out).await
    })
}

pub(in crate::cli) fn logs(args: &LogsArgs, state: &StateDir, output: &Output) -> ExitCode {
    with_store(state, output, async |store, out| {
        bring_up_to_date(store, None, output).await?;
        let request = LogsRequest {
            run: args.run.clone(),
            script: args.script.clone(),
            follow: args.follow,
            output_file: &output_file,
            is_alive: &is_alive,
        };
        write_logs(store, &request, &View::now(args.json, output.color), out).await
    })
}

/// The file that the output of an attempt goes to.
fn output_file(script: &ScriptReport, attempt: u32) -> PathBuf {
    let file_name = Path::new(&script.script).file_name().unwrap_or_default();
    PathBuf::from(output_name(script.index, &file_name.to_string_lossy(), attempt))
}

/// Whether the runner of a run without an end still lives.
pub(super) fn is_alive(report: &RunReport) -> bool {
    exec::lives(&logs_dir(&report.project_dir), &report.run_id, report.process.as_ref())
}

/// Opens the database, answers, and turns what went wrong into words and an exit code.
pub(super) fn with_store(
    state: &StateDir,
    output: &Output,
    answer: impl AsyncFnOnce(&mut Store, &mut dyn Write) -> Result<(), CommandError>,
) -> ExitCode {
    let dir = match state.required() {
        Ok(dir) => dir,
        Err(message) => return cannot_work(output, &message),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_work(output, &error.to_string()),
    };
    let answered = runtime.block_on(async {
        let mut store = Store::open(dir).await?;
        let mut stdout = anstream::stdout();
        let answered = answer(&mut store, &mut stdout).await;
        store.leave_open();
        answered?;
        Ok(stdout.flush()?)
    });
    match answered {
        Ok(()) => ExitCode::Success,
        // Whoever pipes into `head` has seen enough.
        Err(CommandError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::Success,
        Err(error) => {
            let text = sentence(&error);
            match error {
                CommandError::Store(_)
                | CommandError::FindRun(FindRunError::Store(_))
                | CommandError::Write(_)
                | CommandError::WriteFile { .. } => cannot_work(output, &text),
                _ => {
                    output.error(format!("{} {text}", styled(output::BAD, "error:")));
                    ExitCode::Usage
                }
            }
        }
    }
}

fn cannot_work(output: &Output, text: &str) -> ExitCode {
    output.error(format!("{} {text}", styled(output::BAD, "error:")));
    ExitCode::CannotWork
}

fn sentence(error: &CommandError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    if let Some(hint) = error.hint() {
        text = format!("{text}; {hint}");
    }
    text
}

/// Says so if a project should have run and didn't. Whoever only reads sends nothing.
pub(super) async fn warn_of_alarms(store: &mut Store, output: &Output) -> Result<(), StoreError> {
    let known = Known::read(store, chrono::Utc::now()).await?;
    tell_alarm(&known, "; `runner schedule status` shows all", output);
    Ok(())
}

pub(super) fn tell_alarm(known: &Known, hint: &str, output: &Output) {
    if let Some(alarm) = standing_alarm(known, chrono::Utc::now()) {
        output.error(format!("{} {}{hint}", styled(output::WARNING, "warning:"), one_line(&alarm)));
    }
}

/// Records what run folders know and the database doesn't: those of `folder`, else of all projects that are known, or
/// were before the database was lost, and of the folder one stands in.
pub(super) async fn bring_up_to_date(
    store: &mut Store,
    folder: Option<&Path>,
    output: &Output,
) -> Result<(), StoreError> {
    let mut folders: Vec<PathBuf> = match folder {
        Some(folder) => vec![folder.to_owned()],
        None => {
            let known = store.projects().await?.into_iter().map(|project| project.path);
            known.chain(store.remembered_projects()).chain(std::env::current_dir()).collect()
        }
    };
    folders = folders.into_iter().filter_map(|folder| project_root(&folder).ok()).collect();
    folders.sort();
    folders.dedup();
    for folder in folders {
        for warning in import_project(store, &folder, &lives_or_record).await?.warnings {
            tracing::warn!("{}: {}", warning.path.display(), warning.reason);
            // A run that is about to begin, or whose runner died then, has nothing to tell.
            if !never_began(&warning.path) {
                let place = warning.path.display();
                let what = styled(output::WARNING, "warning:");
                output.error(format!("{what} {place} can't be read into the history: {}", warning.reason));
            }
        }
    }
    Ok(())
}

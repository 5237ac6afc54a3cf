//! `runner daemon`: starts runs for as long as it lives.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Local;

use super::super::StateDir;
use super::super::run::{mail_delivery, spawner};
use crate::cli::ExitCode;
use crate::cli::args::{DaemonArgs, DaemonCommand, DaemonWork};
use crate::cli::output::{self, Output, styled};
use crate::cli::signals;
use crate::config::{self, Environment};
use crate::daemon::{self, DaemonOptions, Histories, Source, Weight, Word};

/// So many runs at once, unless somebody says otherwise.
const MAX_RUNS: usize = 32;

pub(in crate::cli) fn daemon(args: DaemonArgs, state_dir: &StateDir, output: &Output) -> ExitCode {
    let dir = match state_dir.required() {
        Ok(dir) => dir,
        Err(message) => {
            output.error(format!("{} {message}", styled(output::BAD, "error:")));
            return ExitCode::CannotWork;
        }
    };
    match &args.command {
        Some(DaemonCommand::Install(args)) => return super::install::install(args, dir, output),
        Some(DaemonCommand::Uninstall(place)) => return super::install::uninstall(place, output),
        None => {}
    }
    #[cfg(windows)]
    if args.service {
        return super::service::serve(&args.work, dir, output);
    }
    foreground(&args.work, dir, output)
}

fn foreground(work: &DaemonWork, state_dir: &Path, output: &Output) -> ExitCode {
    // Started first: it is small, and has to stay so.
    let spawner = spawner(output);
    let options = match options(work, state_dir, spawner) {
        Ok(options) => options,
        Err(message) => {
            output.error(format!("{} {message}", styled(output::BAD, "error:")));
            return ExitCode::Usage;
        }
    };
    let (control, orders) = daemon::control();
    signals::steer_on_signals(control.clone());
    let printer = Arc::new(Printer { output: Output::of_process(), quiet: work.quiet });
    let tell = Arc::new(move |word: Word| printer.print(&word));
    match daemon::work(options, &control, &orders, tell) {
        Ok(()) => ExitCode::Success,
        Err(error) => {
            output.error(format!("{} {error}", styled(output::BAD, "error:")));
            ExitCode::CannotWork
        }
    }
}

/// What was asked for, checked.
pub(super) fn options(
    work: &DaemonWork,
    state_dir: &Path,
    spawner: Arc<dyn crate::exec::Spawn>,
) -> Result<DaemonOptions, String> {
    // The service manager's folder isn't the user's.
    let absolute = |dir: &PathBuf| std::path::absolute(dir).map_err(|error| format!("{}: {error}", dir.display()));
    let source = match work.folders.as_slice() {
        [] => Source::Known(absolute(&state_dir.to_owned())?),
        folders => Source::Folders(folders.iter().map(absolute).collect::<Result<_, _>>()?),
    };
    if let Source::Folders(folders) = &source
        && let Some(folder) = folders.iter().find(|folder| !folder.is_dir())
    {
        return Err(format!("{}: there is no such folder; name a project or a folder of projects", folder.display()));
    }
    let max_runs_here = config::most_runs(&Environment::from_process())?;
    Ok(DaemonOptions {
        source,
        profile: work.profile.clone(),
        // More than the machine's would only wait for one another.
        max_runs: work.max_runs.map(usize::from).or(max_runs_here.map(|most| most as usize)).unwrap_or(MAX_RUNS),
        max_runs_here,
        mail: mail_delivery(work.mail_dir.clone(), work.no_mail)?,
        drain_timeout: work.drain_timeout,
        history: Histories::new(state_dir.to_owned()),
        spawner,
    })
}

/// Prints a line for each thing that happens, with the time.
struct Printer {
    output: Output,
    quiet: bool,
}

impl Printer {
    fn print(&self, word: &Word) {
        let time = styled(output::DIM, Local::now().format("%H:%M:%S"));
        let text = &word.text;
        match word.weight {
            Weight::Plain | Weight::Good if self.quiet => {}
            Weight::Plain => self.output.line(format!("{time} {text}")),
            Weight::Good => self.output.line(format!("{time} {}", styled(output::GOOD, text))),
            Weight::Warning => self.output.error(format!("{time} {}", styled(output::WARNING, text))),
            Weight::Bad => self.output.error(format!("{time} {}", styled(output::BAD, text))),
        }
    }
}

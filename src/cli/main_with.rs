//! From arguments to an exit code.

use std::ffi::OsString;

use clap::Parser;

use super::args::{Cli, Command};
use super::commands;
use super::output::Output;
use super::{ExitCode, complete, diagnostics};
use crate::model::Following;

/// Does what the arguments (the program's name first) ask for, and returns the exit code for `main` to end with.
pub fn main_with(args: impl IntoIterator<Item = OsString>) -> i32 {
    let args: Vec<OsString> = args.into_iter().collect();
    #[cfg(target_os = "linux")]
    if args.get(1).is_some_and(|arg| arg == crate::exec::guardian::ARGUMENT) {
        return i32::from(crate::exec::guardian::serve().is_err());
    }
    if let Some(code) = complete::answer(&args) {
        return code;
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, with the code 0.
            let _ = error.print();
            return error.exit_code();
        }
    };
    let output = Output::of_process();
    let state_dir = commands::StateDir::find(cli.state_dir.as_deref());
    diagnostics::start(state_dir.path());
    let code = match cli.command {
        Command::Run(args) => commands::run::run(args, &state_dir, &output),
        Command::Retry(args) => commands::follow::follow(args, Following::Retry, &state_dir, &output),
        Command::Resume(args) => commands::follow::follow(args, Following::Resume, &state_dir, &output),
        Command::Check(args) => commands::check::check(&args, &output),
        Command::Init(args) => commands::init::init(&args, &output),
        Command::List(args) => commands::reading::list(&args, &state_dir, &output),
        Command::History(args) => commands::reading::history(&args, &state_dir, &output),
        Command::Stats(args) => commands::reading::stats(&args, &state_dir, &output),
        Command::Show(args) => commands::reading::show(&args, &state_dir, &output),
        Command::Logs(args) => commands::reading::logs(&args, &state_dir, &output),
        Command::Schedule { command } => commands::schedule::schedule(&command, &state_dir, &output),
        Command::Daemon(args) => commands::daemon::daemon(*args, &state_dir, &output),
        Command::Mail { command } => commands::mail::mail(&command, &state_dir, &output),
        Command::Doctor(args) => commands::doctor::doctor(&args, &state_dir, &output),
        Command::Schema { layer } => commands::generate::schema(layer, &output),
        Command::Completions { shell } => commands::generate::completions(shell, &output),
        Command::Man { dir } => commands::generate::man(dir.as_deref(), &output),
    };
    ExitCode::code(code)
}

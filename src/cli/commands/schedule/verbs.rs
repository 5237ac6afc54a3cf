//! Which verb of `runner schedule` it is.

use super::preview::preview;
use crate::cli::ExitCode;
use crate::cli::args::ScheduleCommand;
use crate::cli::commands::StateDir;
use crate::cli::output::Output;

pub(in crate::cli) fn schedule(command: &ScheduleCommand, state: &StateDir, output: &Output) -> ExitCode {
    match command {
        ScheduleCommand::Preview(args) => preview(args, state, output),
    }
}

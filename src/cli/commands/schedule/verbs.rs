//! Which verb of `runner schedule` it is.

use super::history::history;
use super::install::install;
use super::preview::preview;
use super::status::status;
use super::uninstall::uninstall;
use super::{pausing, scheduled};
use crate::cli::ExitCode;
use crate::cli::args::ScheduleCommand;
use crate::cli::commands::StateDir;
use crate::cli::output::Output;

pub(in crate::cli) fn schedule(command: &ScheduleCommand, state: &StateDir, output: &Output) -> ExitCode {
    match command {
        ScheduleCommand::Preview(args) => preview(args, state, output),
        ScheduleCommand::Install(args) => install(args, state, output),
        ScheduleCommand::Uninstall(args) => uninstall(args, state, output),
        ScheduleCommand::Status(args) => status(args, state, output),
        ScheduleCommand::History(args) => history(args, state, output),
        ScheduleCommand::Pause(args) => pausing::pause(args, state, output),
        ScheduleCommand::Resume(args) => pausing::resume(args, state, output),
        ScheduleCommand::RunNow(args) => scheduled::run_now(args, state, output),
    }
}

//! Which verb is meant.

use super::super::StateDir;
use super::login;
use crate::cli::ExitCode;
use crate::cli::args::MailCommand;
use crate::cli::output::Output;

pub(in crate::cli) fn mail(command: &MailCommand, state: &StateDir, output: &Output) -> ExitCode {
    match command {
        MailCommand::Login(args) => login::login(args, state, output),
    }
}

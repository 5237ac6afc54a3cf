//! Which verb is meant.

use super::super::StateDir;
use super::{flush, login, preview, status, test};
use crate::cli::ExitCode;
use crate::cli::args::MailCommand;
use crate::cli::output::Output;

pub(in crate::cli) fn mail(command: &MailCommand, state: &StateDir, output: &Output) -> ExitCode {
    match command {
        MailCommand::Status(args) => status::status(args, state, output),
        MailCommand::Flush(args) => flush::flush(args, state, output),
        MailCommand::Test(args) => test::test(args, state, output),
        MailCommand::Login(args) => login::login(args, state, output),
        MailCommand::Preview(args) => preview::preview(args, state, output),
    }
}

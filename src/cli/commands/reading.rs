//! The verbs that only read: they open the state database, bring it up to date, and hand over to the verb.

use super::StateDir;
use crate::cli::ExitCode;
use crate::cli::args::{HistoryArgs, ListArgs, LogsArgs, ShowArgs};
use crate::cli::output::Output;

pub(in crate::cli) fn list(_args: &ListArgs, _state: &StateDir, _output: &Output) -> ExitCode {
    ExitCode::Success
}
pub(in crate::cli) fn history(_args: &HistoryArgs, _state: &StateDir, _output: &Output) -> ExitCode {
    ExitCode::Success
}
pub(in crate::cli) fn show(_args: &ShowArgs, _state: &StateDir, _output: &Output) -> ExitCode {
    ExitCode::Success
}
pub(in crate::cli) fn logs(_args: &LogsArgs, _state: &StateDir, _output: &Output) -> ExitCode {
    ExitCode::Success
}

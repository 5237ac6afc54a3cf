//! The `runner` command: arguments in, an exit code out. Nothing below here ends the process, and `main` is the only
//! caller that does.

mod args;
mod commands;
mod complete;
mod diagnostics;
mod exit_code;
mod main_with;
mod os;
mod output;
mod progress;
mod signals;

pub use args::command;
pub use exit_code::ExitCode;
pub use main_with::main_with;

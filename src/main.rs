//! The `runner` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = project_runner::cli::main_with(std::env::args_os());
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

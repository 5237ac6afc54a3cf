//! Runs the example projects: `cargo run --example tour`.
//!
//! The mails that they would send are written to `out/mails` as `.eml` files. Python is called `python3` on some
//! machines and `python` or `py` on others, and some have none: this program looks for one, tells the runner which, and
//! skips the Python examples, with a reason, where there is none. It prints each command before running it.
//!
//! Called with arguments it is the `runner` command itself, which is how it runs the projects.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The name that the Python examples' project files use.
const PYTHON: &str = "python3";
const PYTHON_PROJECTS: [&str; 2] = ["hello_python", "reports"];
const SHELL_PROJECT: &str = if cfg!(windows) { "cmd" } else { "shell" };
/// Asked on each candidate: an old Python, or a stub that only opens a shop's page, says no.
const IS_USABLE: &str = "import sys; sys.exit(sys.version_info < (3, 8))";

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        let code = project_runner::cli::main_with(std::env::args_os());
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    match tour() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tour: {error}");
            ExitCode::FAILURE
        }
    }
}

fn tour() -> std::io::Result<ExitCode> {
    let mails = Path::new("out").join("mails");
    let example = |name: &&str| Path::new("example_projects").join(name);

    let mut failed = false;
    match python() {
        Some(name) => {
            let projects: Vec<PathBuf> = PYTHON_PROJECTS.iter().map(example).collect();
            failed |= !run(&mails, &projects, (name != PYTHON).then_some(name))?;
        }
        None => println!(
            "{} skipped: no Python 3.8 or newer is on PATH (looked for {})\n",
            PYTHON_PROJECTS.join(" and "),
            candidates().join(", ")
        ),
    }
    failed |= !run(&mails, &[example(&SHELL_PROJECT)], None)?;

    println!("mails: {}", mails.display());
    println!("logs and what the scripts printed: {}", example(&"PROJECT").join("logs").display());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs the projects, and tells whether the runner's exit code was 0. `python` stands in for the one in their files.
fn run(mails: &Path, projects: &[PathBuf], python: Option<&str>) -> std::io::Result<bool> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["run", "--mail-dir"]).arg(mails).args(projects).stdin(Stdio::null());
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut shown = String::from("$ ");
    if let Some(python) = python {
        command.env("RUNNER_SET_PYTHON_COMMAND", python);
        shown = format!("$ RUNNER_SET_PYTHON_COMMAND={python} ");
    }
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
    println!("{shown}runner {}", args.join(" "));
    let status = command.status()?;
    println!("exit code: {}\n", status.code().map_or_else(|| status.to_string(), |code| code.to_string()));
    Ok(status.success())
}

/// The first name under which a usable Python is found.
fn python() -> Option<&'static str> {
    candidates().iter().copied().find(|name| {
        let mut command = Command::new(name);
        command.args(["-c", IS_USABLE]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

fn candidates() -> &'static [&'static str] {
    if cfg!(windows) { &["python", "py", "python3"] } else { &["python3", "python"] }
}

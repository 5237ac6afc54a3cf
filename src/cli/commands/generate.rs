//! What is generated from the types: the schema, completions, manual pages.

use std::io::Write;
use std::path::Path;

use clap::Command;

use crate::cli::ExitCode;
use crate::cli::args::command;
use crate::cli::complete;
use crate::cli::output::Output;
use crate::config;

pub(in crate::cli) fn schema(of_layers: bool, output: &Output) -> ExitCode {
    let schema = if of_layers { config::layer_schema() } else { config::schema() };
    match serde_json::to_string_pretty(&schema) {
        Ok(text) => written(output, "the schema", output.bytes(format!("{text}\n").as_bytes())),
        Err(error) => cannot(output, "the schema", &error),
    }
}

pub(in crate::cli) fn completions(shell: clap_complete::Shell, output: &Output) -> ExitCode {
    let script = complete::registration(&shell.to_string());
    written(output, "the completions", script.and_then(|script| output.bytes(&script)))
}

pub(in crate::cli) fn man(dir: Option<&Path>, output: &Output) -> ExitCode {
    let mut command = command();
    command.build();
    let Some(dir) = dir else {
        let mut page = Vec::new();
        return match clap_mangen::Man::new(command).render(&mut page) {
            Ok(()) => written(output, "the manual page", output.bytes(&page)),
            Err(error) => cannot(output, "the manual page", &error),
        };
    };
    match std::fs::create_dir_all(dir).and_then(|()| write_pages(dir, &command, "runner")) {
        Ok(()) => ExitCode::Success,
        Err(error) => cannot(output, &format!("manual pages in {}", dir.display()), &error),
    }
}

/// The page of a command, and those of its verbs.
fn write_pages(dir: &Path, command: &Command, name: &str) -> std::io::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name.to_owned()).render(&mut page)?;
    std::fs::File::create(dir.join(format!("{name}.1")))?.write_all(&page)?;
    let mut verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help");
    verbs.try_for_each(|verb| write_pages(dir, verb, &format!("{name}-{}", verb.get_name())))
}

/// A reader that has gone away has seen enough.
fn written(output: &Output, what: &str, result: std::io::Result<()>) -> ExitCode {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => cannot(output, what, &error),
        _ => ExitCode::Success,
    }
}

fn cannot(output: &Output, what: &str, error: &dyn std::fmt::Display) -> ExitCode {
    output.error(format!("cannot write {what}: {error}"));
    ExitCode::CannotWork
}

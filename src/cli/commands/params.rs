//! `--help-params`: what inputs a project declares, as a command's help shows its options.

use std::path::Path;

use super::init::for_shell;
use crate::model::{Param, ParamType, Project, without_passwords};

/// A page of the inputs of the project that was named so, at most `width` wide where words allow it.
pub(super) fn help(project: &Project, path: &Path, width: usize) -> String {
    let name = &project.name;
    if project.params.is_empty() {
        return format!("{name} declares no inputs; the key `params` of its file does that.");
    }
    let rows: Vec<(String, String)> = project.params.iter().map(|param| (usage(param), meaning(param))).collect();
    let lengths = rows.iter().map(|(usage, _)| usage.chars().count());
    // Those that are longer have their meaning below.
    let column = lengths.filter(|length| *length <= width / 2).max().unwrap_or(8);
    let path = for_shell(path);
    let mut lines = vec![format!("Inputs of {name}, as in `runner run {path} -p {}`:", example(project))];
    for (usage, meaning) in rows {
        let mut meanings = wrapped(&meaning, width.saturating_sub(column + 4)).into_iter();
        if usage.chars().count() <= column {
            let first = meanings.next().unwrap_or_default();
            lines.push(format!("  {usage:column$}  {first}").trim_end().to_owned());
        } else {
            lines.push(format!("  {usage}"));
        }
        lines.extend(meanings.map(|line| format!("  {:column$}  {line}", "")));
    }
    lines.join("\n")
}

/// Lines of words; a word that is longer than a line has one of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn example(project: &Project) -> String {
    let open = |param: &&Param| !param.secret;
    let param = project.params.iter().filter(open).find(|param| param.required);
    let param = param.or_else(|| project.params.iter().find(open));
    let Some(param) = param else { return "NAME=VALUE".to_owned() };
    let value = match (&param.default, &param.kind) {
        (Some(default), _) => without_passwords(&default.written()),
        (None, ParamType::Choice(words)) => words.first().cloned().unwrap_or_default(),
        (None, kind) => placeholder(kind),
    };
    let text = format!("{}={value}", param.name);
    for_shell(Path::new(&text))
}

fn usage(param: &Param) -> String {
    if param.secret { param.variable() } else { format!("-p {}={}", param.name, placeholder(&param.kind)) }
}

/// What stands for a value of a type.
fn placeholder(kind: &ParamType) -> String {
    match kind {
        ParamType::Str => "TEXT".to_owned(),
        ParamType::Int => "WHOLE_NUMBER".to_owned(),
        ParamType::Float => "NUMBER".to_owned(),
        ParamType::Bool => "true|false".to_owned(),
        ParamType::Date => "YYYY-MM-DD".to_owned(),
        ParamType::DateTime => "YYYY-MM-DDTHH:MM".to_owned(),
        ParamType::Duration => "DURATION".to_owned(),
        ParamType::Path => "PATH".to_owned(),
        ParamType::Choice(words) => words.join("|"),
        ParamType::List(kind) => format!("{},…", placeholder(kind)),
    }
}

fn meaning(param: &Param) -> String {
    let mut parts: Vec<String> = param.help.iter().cloned().collect();
    if param.secret {
        parts.push("[secret: from the environment, .env or its file]".to_owned());
    }
    if let Some(default) = &param.default {
        parts.push(format!("[default: {}]", without_passwords(&default.written())));
    }
    if param.required {
        parts.push("[required]".to_owned());
    }
    parts.join(" ")
}

//! `--help-params`: what inputs a project declares, as a command's help shows its options.

use crate::model::{Param, ParamType, Project};

/// A page of a project's inputs.
pub(super) fn help(project: &Project) -> String {
    let name = &project.name;
    if project.params.is_empty() {
        return format!("{name} declares no inputs; the key `params` of its file does that.");
    }
    let rows: Vec<(String, String)> = project.params.iter().map(|param| (usage(param), meaning(param))).collect();
    let width = rows.iter().map(|(usage, _)| usage.chars().count()).max().unwrap_or_default();
    let lines = rows.iter().map(|(usage, meaning)| format!("  {usage:width$}  {meaning}").trim_end().to_owned());
    let lines: Vec<String> = lines.collect();
    format!("Inputs of {name}, as in `runner run {name} -p {}`:\n{}", example(project), lines.join("\n"))
}

fn example(project: &Project) -> String {
    let open = |param: &&Param| !param.secret;
    let param = project.params.iter().filter(open).find(|param| param.required);
    let param = param.or_else(|| project.params.iter().find(open));
    let Some(param) = param else { return "NAME=VALUE".to_owned() };
    let value = match (&param.default, &param.kind) {
        (Some(default), _) => default.written(),
        (None, ParamType::Choice(words)) => words.first().cloned().unwrap_or_default(),
        (None, kind) => placeholder(kind),
    };
    let text = format!("{}={value}", param.name);
    let is_plain = |c: char| c.is_alphanumeric() || "=_-.,:/".contains(c);
    if text.chars().all(is_plain) { text } else { format!("\"{text}\"") }
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
        parts.push(format!("[default: {}]", default.written()));
    }
    if param.required {
        parts.push("[required]".to_owned());
    }
    parts.join(" ")
}

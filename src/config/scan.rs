//! What a folder of scripts holds, for a first project file: its scripts in the order of their names, and what runs each.
//! It reads the scripts as far as that takes, and starts nothing.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use regex::Regex;

use super::environment::Environment;
use super::interpreter::{Lookup, Platform};
use super::search::trusted_parents;

/// A script, and what runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundScript {
    /// Relative to the folder, with `/`.
    pub path: String,
    /// A program and its arguments.
    pub interpreter: Vec<String>,
}

/// What a folder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// In the order of their names, numbers by their value.
    pub scripts: Vec<FoundScript>,
    /// What is passed over, and why.
    pub passed_over: Vec<(String, String)>,
}

/// Of a script no more is read: what it imports stands at its beginning.
const READ: u64 = 1024 * 1024;
/// Files of a folder that are read, of those that may be scripts by their names.
const MOST: usize = 5000;
/// Endings of scripts.
const ENDINGS: [&str; 13] = ["py", "sh", "bash", "cmd", "bat", "ps1", "js", "mjs", "cjs", "rb", "pl", "r", "php"];
/// How people call their virtual environments, the usual first.
const ENVIRONMENTS: [&str; 3] = [".venv", "venv", "env"];
/// Where scripts are if the folder itself has none, in this order.
const BELOW: [&str; 4] = ["scripts", "jobs", "bin", "src"];

/// A file that may be a script.
struct Candidate {
    path: String,
    is_unicode: bool,
    stem: String,
    language: Language,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Language {
    Python,
    /// By the name of its shell.
    Shell(String),
    Batch,
    PowerShell,
    Node,
    /// A program that takes the script's path.
    Other(&'static str),
}

/// Looks at a folder; where only helpers lie in it, also at those below in which people keep scripts.
///
/// # Errors
/// When it can't be read.
pub fn scan(root: &Path, environment: &Environment) -> std::io::Result<Found> {
    let lookup = Lookup { root, environment, platform: Platform::current() };
    let (python, without_python) = python(&lookup);
    let mut passed_over = Vec::new();
    let (mut candidates, helpers) = parted(candidates(root, "", &mut passed_over)?);
    passed_over.extend(helpers);
    for folder in BELOW {
        if candidates.is_empty() && root.join(folder).is_dir() {
            let more = self::candidates(&root.join(folder), &format!("{folder}/"), &mut passed_over)?;
            let (scripts, helpers) = parted(more);
            candidates = scripts;
            passed_over.extend(helpers);
        }
    }
    if candidates.iter().any(|candidate| candidate.language == Language::Python) {
        passed_over.extend(without_python);
    }
    let mut found = Found { scripts: Vec::new(), passed_over };
    for Candidate { path, language, .. } in candidates {
        let choices = if language == Language::Python { python.clone() } else { commands(&language) };
        match first_there(root, environment, &choices) {
            Some(interpreter) => found.scripts.push(FoundScript { path, interpreter: interpreter.clone() }),
            None => {
                let names: Vec<&str> =
                    choices.iter().filter_map(|command| command.first()).map(String::as_str).collect();
                found.passed_over.push((path, format!("nothing is there that runs it: {}", names.join(", "))));
            }
        }
    }
    Ok(found)
}

/// What runs a file of the folder, by its name and its beginning; `None` if that can't be told, or isn't there.
#[must_use]
pub fn what_runs(root: &Path, environment: &Environment, path: &str) -> Option<Vec<String>> {
    let ending = Path::new(path).extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let choices = match language(&ending, &beginning(&root.join(path)))? {
        Language::Python => python(&Lookup { root, environment, platform: Platform::current() }).0,
        language => commands(&language),
    };
    first_there(root, environment, &choices).cloned()
}

fn first_there<'a>(root: &Path, environment: &Environment, choices: &'a [Vec<String>]) -> Option<&'a Vec<String>> {
    choices.iter().find(|command| no_program(root, environment, command).is_none())
}

/// Why a command can't run the scripts of a folder, if that can be seen without starting it.
#[must_use]
pub fn no_program(root: &Path, environment: &Environment, command: &[String]) -> Option<String> {
    let lookup = Lookup { root, environment, platform: Platform::current() };
    let (program, args) = command.split_first()?;
    let missing = lookup.find(program, args).err()?;
    Some(missing.hint.map_or_else(|| missing.message.clone(), |hint| format!("{}; {hint}", missing.message)))
}

/// Scripts, in the order of their names, and what only looks like one, with the reason.
fn parted(mut candidates: Vec<Candidate>) -> (Vec<Candidate>, Vec<(String, String)>) {
    candidates.sort_by(|a, b| natural(&a.path, &b.path));
    let modules = modules(&candidates);
    let mut passed_over = Vec::new();
    candidates.retain(|Candidate { path, is_unicode, stem, language, text }| {
        let why = match language {
            _ if !is_unicode => Some("its name is not Unicode; rename it"),
            Language::Python if modules.contains(stem) && !has_main(text) => Some("another script imports it"),
            Language::Python | Language::Node if is_tool(path) => {
                Some("it looks like a part of a test or of the build")
            }
            _ => None,
        };
        passed_over.extend(why.map(|why| (path.clone(), why.to_owned())));
        why.is_none()
    });
    (candidates, passed_over)
}

/// The files of one folder that may be scripts.
fn candidates(folder: &Path, prefix: &str, passed_over: &mut Vec<(String, String)>) -> std::io::Result<Vec<Candidate>> {
    let ending = |name: &str| name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase()).unwrap_or_default();
    let may_be = |name: &str| {
        let ending = ending(name);
        !name.starts_with('.') && (ending.is_empty() || ENDINGS.contains(&ending.as_str()))
    };
    let names = std::fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.file_name());
    let mut names: Vec<OsString> = names.filter(|name| may_be(&name.to_string_lossy())).collect();
    // What says by its ending that it is a script goes before what has none, which may be anything.
    names.sort_by(|a, b| {
        let (a, b) = (a.to_string_lossy(), b.to_string_lossy());
        ending(&a).is_empty().cmp(&ending(&b).is_empty()).then_with(|| natural(&a, &b))
    });
    if let Some(more) = names.len().checked_sub(MOST).filter(|more| *more > 0) {
        names.truncate(MOST);
        let what = format!("{more} more files of {}", folder.display());
        passed_over.push((what, format!("only {MOST} are looked at; name scripts with --script")));
    }
    let mut candidates = Vec::new();
    for name in names {
        let file = folder.join(&name);
        let is_unicode = name.to_str().is_some();
        let name = name.to_string_lossy();
        // What a link leads to counts.
        if !std::fs::metadata(&file).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, ""));
        let text = beginning(&file);
        if let Some(language) = language(&ending.to_lowercase(), &text) {
            let path = format!("{prefix}{name}");
            candidates.push(Candidate { path, is_unicode, stem: stem.to_owned(), language, text });
        }
    }
    Ok(candidates)
}

fn beginning(file: &Path) -> String {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(READ).read_to_end(&mut bytes));
    read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// By the file's ending; of a shell script, and of a file without an ending, by what its first line asks for.
fn language(ending: &str, text: &str) -> Option<Language> {
    let first = text.lines().next().unwrap_or_default();
    let asked = first.strip_prefix("#!").unwrap_or_default();
    let words: Vec<&str> = asked.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or_default()).collect();
    let asked = words.iter().find(|word| **word != "env" && !word.starts_with('-')).copied().unwrap_or_default();
    Some(match ending {
        "py" => Language::Python,
        "sh" => Language::Shell(if asked.is_empty() { "sh" } else { asked }.to_owned()),
        "bash" => Language::Shell("bash".to_owned()),
        "cmd" | "bat" => Language::Batch,
        "ps1" => Language::PowerShell,
        "js" | "mjs" | "cjs" => Language::Node,
        "rb" => Language::Other("ruby"),
        "pl" => Language::Other("perl"),
        "r" => Language::Other("Rscript"),
        "php" => Language::Other("php"),
        _ if asked.starts_with("python") => Language::Python,
        _ if ["sh", "bash", "dash", "ksh", "zsh", "fish", "csh", "tcsh"].contains(&asked) => {
            Language::Shell(asked.to_owned())
        }
        _ if asked == "node" => Language::Node,
        _ if asked == "ruby" => Language::Other("ruby"),
        _ if asked == "perl" => Language::Other("perl"),
        _ => return None,
    })
}

/// What may run a script of a language, the best first.
fn commands(language: &Language) -> Vec<Vec<String>> {
    let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match language {
        Language::Python => Vec::new(),
        // Others have a language of their own, which these don't speak.
        Language::Shell(shell) if ["sh", "dash", "ksh", "bash"].contains(&shell.as_str()) => {
            vec![command(&[shell]), command(&["bash"]), command(&["sh"])]
        }
        Language::Shell(program) => vec![command(&[program])],
        Language::Batch => vec![command(&["cmd", "/d", "/c"])],
        Language::PowerShell => ["pwsh", "powershell"]
            .map(|shell| command(&[shell, "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"]))
            .to_vec(),
        Language::Node => vec![command(&["node"])],
        Language::Other(program) => vec![command(&[program])],
    }
}

/// The folder's virtual environment, or that of the nearest folder above it, before whatever PATH has. And those environments
/// that have no Python, with what to do.
fn python(lookup: &Lookup<'_>) -> (Vec<Vec<String>>, Vec<(String, String)>) {
    let mut environments: Vec<String> = std::fs::read_dir(lookup.root)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("pyvenv.cfg").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let rank = |name: &String| ENVIRONMENTS.iter().position(|usual| usual == name).unwrap_or(usize::MAX);
    environments.sort_by_key(|name| (rank(name), name.clone()));
    let inner = if lookup.platform == Platform::Windows { "Scripts/python" } else { "bin/python" };
    let names: [&str; 3] =
        if lookup.platform == Platform::Windows { ["python", "py", "python3"] } else { ["python3", "python", "py"] };
    let above = trusted_parents(lookup.root).into_iter().enumerate().flat_map(|(at, folder)| {
        let there = ENVIRONMENTS.into_iter().filter(move |name| folder.join(name).join("pyvenv.cfg").is_file());
        there.map(move |name| format!("{}{name}", "../".repeat(at + 1)))
    });
    environments.extend(above);
    let (environments, broken): (Vec<String>, Vec<String>) =
        environments.into_iter().partition(|name| lookup.find(&format!("{name}/{inner}"), &[]).is_ok());
    let why = |name: String| {
        let why =
            format!("this virtual environment has no {inner} that can be run; make it anew: python -m venv {name}");
        (name, why)
    };
    let environments = environments.into_iter().map(|name| format!("{name}/{inner}"));
    let commands = environments.chain(names.map(str::to_owned)).map(|program| vec![program]).collect();
    (commands, broken.into_iter().map(why).collect())
}

/// What the Python files import that might be one of them.
fn modules(candidates: &[Candidate]) -> BTreeSet<String> {
    let Ok(imports) = Regex::new(r"(?m)^[ \t]*(?:from[ \t]+\.?(\w+)|import[ \t]+([\w. \t,]+))") else {
        return BTreeSet::new();
    };
    let mut modules = BTreeSet::new();
    for candidate in candidates.iter().filter(|candidate| candidate.language == Language::Python) {
        for found in imports.captures_iter(&candidate.text) {
            let names = found.get(1).or(found.get(2)).map_or("", |names| names.as_str());
            let names = names.split(',').filter_map(|name| name.trim().split(['.', ' ', '\t']).next());
            modules.extend(names.filter(|name| *name != candidate.stem).map(str::to_owned));
        }
    }
    modules
}

/// Whether it does something when it is run, whoever imports it.
fn has_main(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("if __name__"))
}

/// Whether a file has the name of what tests and builds are made of.
fn is_tool(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    ["__init__", "__main__", "conftest", "setup", "noxfile", "tasks", "fabfile", "manage"].contains(&stem)
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || [".test.", ".spec.", ".config."].iter().any(|part| name.contains(part))
}

/// By name without regard to case, numbers by their value: `2_load` before `10_send`.
fn natural(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| {
        let mut parts: Vec<(bool, String)> = Vec::new();
        for c in text.to_lowercase().chars() {
            let is_digit = c.is_ascii_digit();
            match parts.last_mut() {
                Some((digits, part)) if *digits == is_digit => part.push(c),
                _ => parts.push((is_digit, c.to_string())),
            }
        }
        parts
    };
    let mut pairs = parts(a).into_iter().zip(parts(b));
    let differs = pairs.find_map(|((a_digits, a), (b_digits, b))| {
        let order = if a_digits && b_digits {
            let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then(a.cmp(b))
        } else {
            a.cmp(&b)
        };
        Some(order).filter(|order| order.is_ne())
    });
    differs.unwrap_or_else(|| a.len().cmp(&b.len()).then(a.cmp(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_by_their_value() {
        let mut names = ["10_send.py", "2_load.py", "A.py", "02_load_b.py", "1.py", "a2.py", "a10.py"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["1.py", "2_load.py", "02_load_b.py", "10_send.py", "a2.py", "a10.py", "A.py"]);
    }

    #[test]
    fn what_a_first_line_asks_for_is_understood() {
        for (ending, text, expected) in [
            ("sh", "#!/bin/bash -e\n", Some(Language::Shell("bash".into()))),
            ("sh", "echo", Some(Language::Shell("sh".into()))),
            ("", "#!/usr/bin/env -S python3 -u\n", Some(Language::Python)),
            ("", "#!/usr/bin/env zsh", Some(Language::Shell("zsh".into()))),
            ("", "All rights reserved", None),
            ("", "", None),
        ] {
            assert_eq!(language(ending, text), expected, "{text}");
        }
    }
}

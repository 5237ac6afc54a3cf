//! Which files and variables make up a project's configuration, and their merging.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::environment::Environment;
use crate::model::did_you_mean;

use super::keys::{self, COMMON_FILE, PROJECT_FILE};
use super::load::LoadRequest;
use super::names;
use super::node::{Entry, Node, Table, Value};
use super::parse::{self, Parsed, canonical};
use super::problem::{Problem, ProblemKind};
use super::source::{Origin, Source};

/// All layers, merged.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) table: Table,
    /// Where the project's file has its object.
    pub(super) object: Option<Origin>,
    /// Files in the order in which they were laid over each other.
    pub(super) files: Vec<PathBuf>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl Layers {
    /// Reads and merges everything, the nearest last. The project's file has this text, if one is given.
    pub(super) fn read(root: &Path, parents: &[PathBuf], request: &LoadRequest<'_>, text: Option<&str>) -> Self {
        let mut layers = Self::default();
        for folder in parents.iter().rev() {
            let file = folder.join(COMMON_FILE);
            if is_there(&file) {
                layers.add(file, None);
            }
        }
        let file = root.join(PROJECT_FILE);
        if text.is_some() || is_there(&file) {
            layers.object = layers.add(file, text);
        } else {
            layers.problems.push(no_project_file(root));
        }
        match request.profile.map(|profile| profile_file(root, profile)) {
            Some(Ok(file)) => {
                layers.add(file, None);
            }
            Some(Err(problem)) => layers.problems.push(*problem),
            None => {}
        }
        layers.add_variables(request.env);
        layers
    }

    /// Lays a layer over those before. A schedule is taken whole: merged from two, it would be one that nobody wrote.
    fn lay(&mut self, above: Table) {
        if above.get("schedule").is_some() {
            self.table.forget("schedule");
        }
        if let Some((below, above)) = self.table.get_mut("params").zip(above.get("params")) {
            spell_out(&mut below.node, &above.node);
        }
        self.table.overlay(above);
    }

    fn add(&mut self, file: PathBuf, text: Option<&str>) -> Option<Origin> {
        let read = text.map_or_else(|| parse::read(&file), |text| parse::parse(&file, text));
        self.files.push(file);
        match read {
            Ok(Parsed { table, origin, warnings }) => {
                self.lay(table);
                self.warnings.extend(warnings);
                Some(origin)
            }
            Err(problem) => {
                self.problems.push(*problem);
                None
            }
        }
    }

    /// `RUNNER_SET_TIMEOUT=90s` and the like: JSON where it parses as JSON, else text. `true`, or a year, is text too
    /// where the key wants text: it is a program's or a file's name.
    fn add_variables(&mut self, environment: &Environment) {
        let mut table = Table::default();
        for (name, value) in environment.iter() {
            let Some(name) = name.to_str() else { continue };
            let upper = name.to_ascii_uppercase();
            let spelled = if cfg!(windows) { upper.as_str() } else { name };
            let Some(key) = spelled.strip_prefix(super::env_vars::SET_PREFIX) else { continue };
            let key = key.to_lowercase();
            let origin = Origin { source: Source::variable(spelled), span: 0..0 };
            self.files.push(spelled.into());
            let Some(text) = value.to_str() else {
                self.problems.push(Problem::at(ProblemKind::Unreadable, &origin, &key, "the value is not Unicode"));
                continue;
            };
            let node = match serde_json::from_str(text) {
                Ok(Json::Bool(_) | Json::Number(_)) if keys::TEXT_KEYS.contains(&canonical(&key)) => {
                    Node { value: Value::Text(text.to_owned()), origin: origin.clone() }
                }
                Ok(_) => match parse::of_variable(&origin.source, &key, text) {
                    Ok((node, warnings)) => {
                        self.warnings.extend(warnings);
                        node
                    }
                    Err(problem) => {
                        self.problems.push(*problem);
                        continue;
                    }
                },
                // What is in it isn't shown: it may be a secret.
                Err(error)
                    if text.trim_start().starts_with(['{', '[']) && !keys::TEXT_KEYS.contains(&canonical(&key)) =>
                {
                    let message = format!("the value is not valid JSON, at column {}", error.column());
                    self.problems.push(Problem::at(ProblemKind::Syntax, &origin, &key, message));
                    continue;
                }
                Err(_) => Node { value: Value::Text(text.to_owned()), origin: origin.clone() },
            };
            let entry =
                Entry { key: canonical(&key).to_owned(), written: key.clone(), key_origin: origin.clone(), node };
            if table.insert(entry).is_some() {
                let message = format!("{name} and another variable set the same key");
                let problem = Problem::at(ProblemKind::DuplicateKey, &origin, &key, message);
                self.warnings.push(problem.hint("this one counts"));
            }
        }
        self.lay(table);
    }
}

/// An input of which only the type was written, where a layer has more to say of it: as if that had been `{"type": …}`.
fn spell_out(below: &mut Node, above: &Node) {
    let (Value::Table(below), Value::Table(above)) = (&mut below.value, &above.value) else { return };
    for entry in above.iter().filter(|entry| matches!(entry.node.value, Value::Table(_))) {
        let Some(Entry { node, .. }) = below.get_mut(&entry.key) else { continue };
        if matches!(node.value, Value::Text(_)) {
            let (origin, key) = (node.origin.clone(), "type".to_owned());
            let mut table = Table::default();
            let word = Entry { key: key.clone(), written: key, key_origin: origin.clone(), node: node.clone() };
            table.insert(word);
            *node = Node { value: Value::Table(table), origin };
        }
    }
}

fn is_there(file: &Path) -> bool {
    // A file that can't be looked at is there, and reading it will say what is wrong.
    !matches!(std::fs::symlink_metadata(file), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}

/// Names of the folder's files.
fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn no_project_file(root: &Path) -> Problem {
    let similar = listing(root).into_iter().find(|name| {
        let lower = name.to_lowercase();
        // Windows hides the ending that its editor adds.
        lower == PROJECT_FILE || lower == "exec_config.json.txt" || lower == "exec_config" || lower == "exec_config.txt"
    });
    let hint = match similar {
        Some(name) => format!("rename {name} to {PROJECT_FILE}"),
        None => format!(
            "to make this folder a project, write {PROJECT_FILE}: {{{}}}",
            keys::KEYS.iter().filter_map(|key| key.example).collect::<Vec<_>>().join(", ")
        ),
    };
    let message = format!("the folder has no {PROJECT_FILE}");
    Problem::of_file(ProblemKind::FileNotFound, &root.join(PROJECT_FILE), message).hint(hint)
}

/// The profiles that a project has.
#[must_use]
pub fn profiles(root: &Path) -> Vec<String> {
    listing(root)
        .iter()
        .filter_map(|name| name.strip_prefix("exec_config.")?.strip_suffix(".json").map(str::to_owned))
        .filter(|name| is_profile_name(name))
        .collect()
}

/// Whether the name has a meaning of its own.
fn is_taken(profile: &str) -> bool {
    matches!(profile.to_lowercase().as_str(), "runs" | "common")
}

fn is_bare_word(profile: &str) -> bool {
    let is_word = !profile.is_empty() && profile.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    is_word && names::illegal_in_windows(profile).is_none()
}

fn is_profile_name(profile: &str) -> bool {
    is_bare_word(profile) && !is_taken(profile)
}

fn profile_file(root: &Path, profile: &str) -> Result<PathBuf, Box<Problem>> {
    if is_taken(profile) {
        let message = format!("no profile can be named `{profile}`");
        let hint = "the name has a meaning of its own, in exec_config.common.json and logs/runs; take another";
        return Err(Problem::of_file(ProblemKind::UnknownProfile, root, message).hint(hint).into());
    }
    if !is_bare_word(profile) {
        let message = format!("the profile `{profile}` is not a bare word");
        return Err(Problem::of_file(ProblemKind::UnknownProfile, root, message)
            .hint("--profile dev reads exec_config.dev.json")
            .into());
    }
    let file = root.join(format!("exec_config.{profile}.json"));
    if is_there(&file) {
        return Ok(file);
    }
    let there = profiles(root);
    let hint = match did_you_mean(profile, there.iter().map(String::as_str)) {
        Some(likely) => format!("did you mean `{likely}`? there are: {}", there.join(", ")),
        None if there.is_empty() => "the project has no profiles".to_owned(),
        None => format!("there are: {}", there.join(", ")),
    };
    let message = format!("the profile `{profile}` doesn't exist");
    Err(Problem::of_file(ProblemKind::UnknownProfile, &file, message).hint(hint).into())
}

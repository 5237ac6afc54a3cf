//! The list of scripts. Each has to be there before anything runs.

use std::path::{Path, PathBuf};

use crate::model::{CommonSettings, Script, did_you_mean};

use super::check::unknown_keys;
use super::keys;
use super::node::{Node, Value, index_path, key_path, quoted};
use super::paths;
use super::problem::{Problem, ProblemKind};
use super::settings::{Settings, SettingsReader};

/// A script whose interpreter may be unknown yet.
pub(super) struct CheckedScript {
    path: PathBuf,
    file: PathBuf,
    name: String,
    file_name: String,
    settings: Settings,
}

impl CheckedScript {
    pub(super) fn finish(self) -> Option<Script> {
        let Self { path, file, name, file_name, settings } = self;
        let settings: CommonSettings = settings.finish()?;
        Some(Script { path, file, name, file_name, settings })
    }
}

/// Reads the list; scripts that are wrong are left out of it, and noted.
pub(super) fn read(reader: &mut SettingsReader<'_>, node: &Node, path: &str, base: &Settings) -> Vec<CheckedScript> {
    let Value::List(items) = &node.value else {
        let hint = match &node.value {
            Value::Text(text) => format!("write {}", serde_json::json!([text])),
            _ => "as in [\"main.py\"]".to_owned(),
        };
        reader.checker.mistyped(node, path, "a list of scripts", Some(hint));
        return Vec::new();
    };
    if items.is_empty() {
        reader.checker.invalid(node, path, "the list is empty", Some("name a script, as in [\"main.py\"]".to_owned()));
    }
    items.iter().enumerate().filter_map(|(index, item)| script(reader, item, &index_path(path, index), base)).collect()
}

fn script(reader: &mut SettingsReader<'_>, node: &Node, path: &str, base: &Settings) -> Option<CheckedScript> {
    match &node.value {
        Value::Text(written) => {
            let (file, file_name) = find(reader, node, path, written)?;
            Some(CheckedScript {
                path: written.into(),
                file,
                name: file_name.clone(),
                file_name,
                settings: base.clone(),
            })
        }
        Value::Table(table) => {
            unknown_keys(&mut reader.checker, table, path, keys::script_names);
            let settings = reader.read(table, path, base);
            let name = table.get("name").filter(|entry| !matches!(entry.node.value, Value::Null)).and_then(|entry| {
                let own_path = key_path(path, "name");
                let text = reader.checker.text(&entry.node, &own_path)?;
                if text.trim().is_empty() || text.contains(char::is_control) {
                    let message = "a name can't be empty or hold control characters";
                    reader.checker.invalid(&entry.node, &own_path, message, None);
                    return None;
                }
                Some(text.to_owned())
            });
            let Some(entry) = table.get("path") else {
                let message = "path is missing";
                let kind = ProblemKind::MissingConfigurationVariable;
                let problem = Problem::at(kind, &node.origin, &key_path(path, "path"), message);
                reader.checker.problem(problem.hint("add \"path\": \"main.py\""));
                return None;
            };
            let own_path = key_path(path, "path");
            let written = reader.checker.text(&entry.node, &own_path)?.to_owned();
            let (file, file_name) = find(reader, &entry.node, &own_path, &written)?;
            let name = name.unwrap_or_else(|| file_name.clone());
            Some(CheckedScript { path: written.into(), file, name, file_name, settings })
        }
        _ => {
            let hint = "as in \"main.py\" or {\"path\": \"main.py\"}".to_owned();
            reader.checker.mistyped(node, path, "a script's path, or an object with a `path`", Some(hint));
            None
        }
    }
}

/// The script's file and that file's name.
fn find(reader: &mut SettingsReader<'_>, node: &Node, path: &str, written: &str) -> Option<(PathBuf, String)> {
    if written.trim().is_empty() {
        reader.checker.invalid(node, path, "the path is empty", None);
        return None;
    }
    let root = reader.lookup.root;
    let mut file = paths::join(root, written);
    // Files written for Windows separate with backslashes.
    if cfg!(unix) && written.contains('\\') && !file.exists() {
        file = paths::join(root, &written.replace('\\', "/"));
    }
    let (message, hint) = match std::fs::metadata(&file) {
        Ok(metadata) if metadata.is_file() => {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            return Some((file, name));
        }
        Ok(metadata) if metadata.is_dir() => (format!("{} is a folder", quoted(written)), None),
        Ok(_) => (format!("{} is not a regular file", quoted(written)), None),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            (format!("{} can't be looked at: {error}", quoted(written)), None)
        }
        Err(_) if written.contains(char::is_control) => (
            format!("{} isn't there", quoted(written)),
            Some("it holds a control character; write each backslash twice (`\\\\`), or use `/`".to_owned()),
        ),
        Err(_) => (format!("{} isn't there", quoted(written)), Some(near(&file, written))),
    };
    let hint = hint.unwrap_or_else(|| "name a file of scripts".to_owned());
    let problem = Problem::at(ProblemKind::FileNotFound, &node.origin, path, message);
    reader.checker.problem(problem.hint(hint));
    None
}

/// What a missing script's folder holds that has nearly its name.
fn near(file: &Path, written: &str) -> String {
    const LOOKED_AT: usize = 2000;
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
        return format!("the file would be {}", file.display());
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return format!("the folder {} isn't there either", folder.display());
    };
    let mut there: Vec<String> = entries
        .take(LOOKED_AT)
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    there.sort();
    match did_you_mean(&name.to_string_lossy(), there.iter().map(String::as_str)) {
        Some(likely) => {
            let start = written.rfind(['/', '\\']).map_or("", |index| written.get(..=index).unwrap_or_default());
            format!("did you mean `{start}{likely}`?")
        }
        None => format!("the file would be {}", file.display()),
    }
}

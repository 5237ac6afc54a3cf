//! The keys `params` and `settings`: which inputs a project declares, and what it hands to its scripts as a file. Where
//! arguments and variables name inputs, the names are checked here too.

use std::path::Path;

use secrecy::SecretString;

use crate::model::{
    Param, ParamType, ParamValue, Piece, did_you_mean, is_param_name, is_secret_name, param_variable, pieces,
    value_text, without_passwords,
};

use super::check::{optional, unknown_keys};
use super::checker::Checker;
use super::keys::PARAM_KEYS;
use super::node::{Entry, Node, Table, Value, key_path, quoted};
use super::os::everyone_may_read;
use super::paths;
use super::problem::{Problem, ProblemKind};

/// The declared inputs, as far as texts that name them need to know.
#[derive(Default)]
pub(super) struct Declared {
    /// Also those of which something is wrong, and whether each is a secret.
    names: Vec<(String, bool)>,
    /// Those that a layer takes away.
    gone: Vec<String>,
}

/// Where secrets come from.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The project's folder, in which their files are.
    pub(super) root: &'a Path,
    /// Whether the environment or `.env` has a variable.
    pub(super) is_set: &'a dyn Fn(&str) -> bool,
}

/// Reads the declarations; those that are wrong are left out, and noted.
pub(super) fn read(checker: &mut Checker, node: &Node, place: Place<'_>) -> (Vec<Param>, Declared) {
    let mut declared = Declared::default();
    let Value::Table(table) = &node.value else {
        let hint = "as in {\"since\": {\"type\": \"date\", \"default\": \"yesterday\"}}";
        checker.mistyped(node, "params", "an object of names and inputs", Some(hint.to_owned()));
        return (Vec::new(), declared);
    };
    let mut params = Vec::new();
    for entry in table.iter() {
        let path = key_path("params", &entry.written);
        if let Some(why) = bad_name(&entry.written, &declared) {
            let problem = Problem::at(ProblemKind::InvalidValue, &entry.key_origin, &path, why);
            checker.problem(problem.hint("write letters, digits and `_`, as in since or max_rows"));
        }
        // A layer takes an input away by making it null.
        if matches!(entry.node.value, Value::Null) {
            declared.gone.push(entry.written.clone());
            continue;
        }
        let secret = is_secret(&entry.node);
        declared.names.push((entry.written.clone(), secret));
        let param = param(checker, entry, &path, place);
        if let Some(Param { secret: false, kind, .. }) = &param
            && !matches!(kind.item(), ParamType::Bool)
            && is_secret_name(&entry.written)
        {
            let message = format!("{} sounds like a secret, and isn't declared as one", quoted(&entry.written));
            let problem = Problem::at(ProblemKind::Exposed, &entry.key_origin, &path, message);
            checker.warnings.push(problem.hint("add \"secret\": true, so that it can't stand in arguments"));
        }
        params.extend(param);
    }
    (params, declared)
}

fn bad_name(name: &str, declared: &Declared) -> Option<String> {
    if !is_param_name(name) {
        return Some(format!("{} can't be the name of an input", quoted(name)));
    }
    let twin = declared.names.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    twin.map(|(other, _)| format!("`{name}` and `{other}` would be the same variable"))
}

fn is_secret(node: &Node) -> bool {
    let Value::Table(table) = &node.value else { return false };
    table.get("secret").is_some_and(|entry| matches!(entry.node.value, Value::Bool(true)))
}

fn param(checker: &mut Checker, entry: &Entry, path: &str, place: Place<'_>) -> Option<Param> {
    let name = entry.written.clone();
    let node = &entry.node;
    let plain = |kind| Param { name, kind, default: None, required: false, help: None, secret: false, from_file: None };
    let table = match &node.value {
        Value::Table(table) => table,
        Value::Text(_) => {
            let word = type_word(checker, node, path)?;
            return Some(plain(kind_of(checker, word, &Table::default(), node, path)?));
        }
        _ => {
            let hint = "as in \"date\", or {\"type\": \"date\", \"required\": true}".to_owned();
            checker.mistyped(node, path, "a type, or an object with a `type`", Some(hint));
            return None;
        }
    };
    unknown_keys(checker, table, path, || PARAM_KEYS.into_iter());
    let Some(of) = optional(table, "type") else {
        checker.invalid(node, path, "`type` is missing", Some("add \"type\": \"str\"".to_owned()));
        return None;
    };
    let word = type_word(checker, &of.node, &key_path(path, "type"))?;
    let mut param = plain(kind_of(checker, word, table, &of.node, path)?);
    let problems = checker.problems.len();
    let mut flag = |key: &str| {
        optional(table, key).and_then(|entry| checker.boolean(&entry.node, &key_path(path, key))).unwrap_or(false)
    };
    (param.required, param.secret) = (flag("required"), flag("secret"));
    if param.secret && matches!(param.kind.item(), ParamType::Bool) {
        let hint = "leave `secret` out, or make it a str".to_owned();
        checker.invalid(node, path, "true and false can't be masked: a bool is no secret", Some(hint));
    }
    param.help = optional(table, "help")
        .and_then(|entry| checker.text(&entry.node, &key_path(path, "help")))
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    if let Some(entry) = optional(table, "default") {
        param.default = default(checker, &param, &entry.node, &key_path(path, "default"));
    }
    if let Some(entry) = optional(table, "file") {
        param.from_file = file(checker, &param, &entry.node, &key_path(path, "file"), place);
    }
    (checker.problems.len() == problems).then_some(param)
}

fn type_word(checker: &mut Checker, node: &Node, path: &str) -> Option<&'static str> {
    checker.word(node, path, &ParamType::WORDS.map(|word| (word, word)))
}

/// The type that a word and what stands beside it make; `node` is where the word stands.
fn kind_of(checker: &mut Checker, word: &str, table: &Table, node: &Node, path: &str) -> Option<ParamType> {
    let is_list = word == "list";
    let item = match optional(table, "of") {
        Some(of) if is_list => type_word(checker, &of.node, &key_path(path, "of"))?,
        None if is_list => "str",
        Some(of) => {
            let hint = format!("write \"type\": \"list\", or leave `of` out of a {word}");
            checker.invalid(&of.node, &key_path(path, "of"), "only lists are of something", Some(hint));
            return None;
        }
        None => word,
    };
    let words = optional(table, "choices");
    if let (Some(words), true) = (words, item != "choice") {
        let hint =
            "write \"type\": \"choice\", or for several of them \"type\": \"list\", \"of\": \"choice\"".to_owned();
        checker.invalid(&words.node, &key_path(path, "choices"), "only a choice has choices", Some(hint));
        return None;
    }
    let kind = match item {
        "str" => ParamType::Str,
        "int" => ParamType::Int,
        "float" => ParamType::Float,
        "bool" => ParamType::Bool,
        "date" => ParamType::Date,
        "datetime" => ParamType::DateTime,
        "duration" => ParamType::Duration,
        "path" => ParamType::Path,
        "choice" => {
            let Some(words) = words else {
                let hint = "add \"choices\": [\"one\", \"other\"]".to_owned();
                checker.invalid(node, path, "a choice without `choices`", Some(hint));
                return None;
            };
            let path = key_path(path, "choices");
            let choices = checker.texts(&words.node, &path)?;
            if choices.is_empty() {
                checker.invalid(&words.node, &path, "the list is empty", Some("name what may be chosen".to_owned()));
                return None;
            }
            let wrong = choices.iter().enumerate().find_map(|(at, word)| match word {
                word if word.trim().is_empty() => Some("an empty text can't be chosen".to_owned()),
                word if choices[..at].contains(word) => Some(format!("{} stands twice", quoted(word))),
                _ => None,
            });
            if let Some(message) = wrong {
                checker.invalid(&words.node, &path, message, Some("take it out".to_owned()));
                return None;
            }
            ParamType::Choice(choices)
        }
        _ => {
            let message = "a list of lists can't be written on a command line";
            checker.invalid(node, &key_path(path, "of"), message, Some("write the type of its items".to_owned()));
            return None;
        }
    };
    Some(if is_list { ParamType::List(Box::new(kind)) } else { kind })
}

fn default(checker: &mut Checker, param: &Param, node: &Node, path: &str) -> Option<ParamValue> {
    if param.secret {
        let hint = format!("take it out; {}", where_secrets_come_from(param));
        checker.invalid(node, path, "a secret has no place in a project file", Some(hint));
        return None;
    }
    if param.required {
        let hint = "leave one of both out".to_owned();
        checker.invalid(node, path, "an input that is required has no default", Some(hint));
        return None;
    }
    match param.kind.read_json(&node.to_json()) {
        Ok(value) => Some(value),
        Err(bad) => {
            // What is wrong with a project that is due goes into mails, too.
            let written = value_text(&node.to_json());
            let shown = if is_secret_name(&param.name) { "***".to_owned() } else { without_passwords(&written) };
            let bad = if shown == written { bad } else { param.kind.bad_shown(&shown) };
            let hint = match (&param.kind, &node.value) {
                (ParamType::Str | ParamType::Path | ParamType::Choice(_), Value::Number(_) | Value::Bool(_)) => {
                    format!("write \"{}\"", node.to_json())
                }
                (ParamType::List(item), Value::Text(text)) => {
                    format!("write {}", as_list(item, if shown == written { text } else { &shown }))
                }
                _ => bad.hint,
            };
            checker.invalid(node, path, format!("`{}` {}", param.name, bad.what), Some(hint));
            None
        }
    }
}

/// What was written as on a command line, as a project file has it.
fn as_list(item: &ParamType, text: &str) -> String {
    if text.trim_start().starts_with('[') {
        return text.trim().to_owned();
    }
    let is_bare = matches!(item, ParamType::Int | ParamType::Float | ParamType::Bool);
    let items = text.split(',').map(str::trim);
    let items = items.map(|one| if is_bare { one.to_owned() } else { serde_json::Value::from(one).to_string() });
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// The whole of a file but for the end of its last line. What is wrong with it is a warning, and none if a variable has the
/// secret: whoever checks the project needn't be whoever runs it.
fn file(
    checker: &mut Checker,
    param: &Param,
    node: &Node,
    path: &str,
    place: Place<'_>,
) -> Option<Result<SecretString, String>> {
    let written = checker.text(node, path)?;
    if !param.secret {
        let hint = "add \"secret\": true, or leave `file` out".to_owned();
        checker.invalid(node, path, "only a secret is read from a file", Some(hint));
        return None;
    }
    let file = paths::join(place.root, written);
    let read = secret_in(&file);
    if let (Err(why), false) = (&read, (place.is_set)(&param.variable())) {
        let problem = Problem::at(ProblemKind::FileNotFound, &node.origin, path, why);
        checker.warnings.push(problem.hint(format!("mend that, or set {}, before it is run", param.variable())));
    }
    if read.is_ok() && everyone_may_read(&file) {
        let message = format!("every account of this machine may read the file, and {} is in it", param.name);
        let problem = Problem::of_file(ProblemKind::Exposed, &file, message);
        checker.warnings.push(problem.hint(format!("chmod 600 {}", file.display())));
    }
    Some(read)
}

/// The secret that is in a file, or a clause that says why there is none.
fn secret_in(file: &Path) -> Result<SecretString, String> {
    const LARGEST: u64 = 1024 * 1024;
    let told = |what: &str| format!("{} {what}", file.display());
    let metadata = std::fs::metadata(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => told("isn't there"),
        _ => told(&format!("can't be looked at ({error})")),
    })?;
    if metadata.is_dir() {
        return Err(told("is a folder, not a file"));
    }
    if !metadata.is_file() {
        return Err(told("is not a regular file"));
    }
    if metadata.len() > LARGEST {
        return Err(told("is larger than 1 MiB, which no secret is"));
    }
    let bytes = std::fs::read(file).map_err(|error| told(&format!("can't be read by this account ({error})")))?;
    if bytes.contains(&0) {
        return Err(told("holds a NUL character, as UTF-16 has them; save it as UTF-8"));
    }
    let bytes = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(&bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| told("is not UTF-8"))?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(SecretString::from(text))
}

fn where_secrets_come_from(param: &Param) -> String {
    format!("set {} in the environment or in .env, or name a `file`", param.variable())
}

impl Declared {
    /// Checks what a text names in braces. Arguments are seen by every account of the machine, so that no secret goes there.
    pub(super) fn check(&self, checker: &mut Checker, text: &str, node: &Node, path: &str, is_argument: bool) {
        // Braces mean nothing where there is nothing to name: JSON may be an argument.
        if self.names.is_empty() {
            if let Some(name) = self.gone.iter().find(|name| text.contains(&format!("{{{name}}}"))) {
                let hint = "keep the input, or set the text without it in the same layer".to_owned();
                checker.invalid(node, path, format!("a layer takes the input `{name}` away"), Some(hint));
            }
            return;
        }
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(lone) => {
                let brace = lone.brace;
                let message = format!("the `{brace}` at position {} belongs to no name in braces", lone.position);
                let hint = format!("write `{brace}{brace}` for a brace, and {{name}} for an input");
                return checker.invalid(node, path, message, Some(hint));
            }
        };
        for piece in pieces {
            let Piece::Param(name) = piece else { continue };
            let known = || self.names.iter().map(|(name, _)| name.as_str());
            match self.names.iter().find(|(known, _)| known == name) {
                None => {
                    let hint = match did_you_mean(name, known()) {
                        Some(likely) => format!("did you mean `{{{likely}}}`?"),
                        None => format!("there are: {}", known().collect::<Vec<_>>().join(", ")),
                    };
                    checker.invalid(node, path, format!("there is no input `{name}`"), Some(hint));
                }
                Some((_, true)) if is_argument => {
                    let message = format!("the secret `{name}` would be in an argument, which every account may see");
                    let hint = format!("the script has it in the variable {}", param_variable(name));
                    checker.invalid(node, path, message, Some(hint));
                }
                Some(_) => {}
            }
        }
    }
}

/// The settings as plain JSON.
pub(super) fn settings(checker: &mut Checker, node: &Node) -> Option<serde_json::Map<String, serde_json::Value>> {
    match node.to_json() {
        serde_json::Value::Object(settings) => Some(settings),
        _ => {
            let hint = "as in {\"database\": {\"host\": \"localhost\"}}".to_owned();
            let message = format!("expected an object, found {}", node.describe(true));
            checker.invalid(node, "settings", message, Some(hint));
            None
        }
    }
}

//! From merged layers to a project: every value is read strictly, and everything that is wrong is noted.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use crate::model::{
    EmailStrategy, Language, LogRotation, OutputPolicy, Param, Project, did_you_mean, parse_duration, parse_size,
};

use super::checker::Checker;
use super::environment::Environment;
use super::keys::{self, KEYS, OTHER_NAMES};
use super::mail;
use super::names;
use super::node::{Entry, Node, Table, Value, key_path, quoted};
use super::params;
use super::policies;
use super::problem::{Problem, ProblemKind};
use super::schedule;
use super::scripts::{self, CheckedScript};
use super::settings::{Settings, SettingsReader};
use super::source::Origin;

/// What is known of the project beside its keys.
pub(super) struct Frame<'a> {
    pub(super) root: &'a Path,
    pub(super) name: &'a str,
    pub(super) profile: Option<&'a str>,
    /// Where a missing key would have to be added; `None` when a layer couldn't be read, and nothing can be said of
    /// keys that seem to be missing.
    pub(super) object: Option<&'a Origin>,
    pub(super) dotenv: BTreeMap<String, SecretString>,
}

/// Checks merged layers. `None` when there was a problem; problems and warnings are in the reader's checker.
pub(super) fn project(table: &Table, frame: Frame<'_>, reader: &mut SettingsReader<'_>) -> Option<Project> {
    unknown_keys(&mut reader.checker, table, "", keys::project_names);
    missing_keys(&mut reader.checker, table, frame.object);
    let is_set =
        |name: &str| variable(reader.lookup.environment, &frame.dotenv, name).is_some_and(|text| !text.is_empty());
    let place = params::Place { root: frame.root, is_set: &is_set };
    let params = optional(table, "params").map(|entry| params::read(&mut reader.checker, &entry.node, place));
    let (params, declared) = params.unwrap_or_default();
    reader.declared = declared;
    let settings = reader.read(table, "", &Settings::built_in(frame.root));
    let scripts = match table.get("scripts") {
        Some(entry) => scripts::read(reader, &entry.node, "scripts", &settings),
        None => Vec::new(),
    };
    let checker = &mut reader.checker;
    let strategy = table
        .get("email_strategy")
        .and_then(|entry| checker.word(&entry.node, "email_strategy", &EmailStrategy::NAMES));
    let recipients = table.get("recipients").and_then(|entry| mail::recipients(checker, &entry.node, strategy));
    let include_traceback =
        table.get("include_traceback").and_then(|entry| checker.boolean(&entry.node, "include_traceback"));
    let logs_backup_count =
        table.get("logs_backup_count").and_then(|entry| checker.whole(&entry.node, "logs_backup_count"));
    let log_filename = match optional(table, "log_filename") {
        Some(entry) => log_filename(checker, &entry.node),
        None => Some(frame.name.to_owned()),
    };
    let log_rotation = match optional(table, "log_rotation") {
        Some(entry) => log_rotation(checker, &entry.node),
        None => Some(LogRotation::default()),
    };
    let output = match optional(table, "output") {
        Some(entry) => output(checker, &entry.node),
        None => OutputPolicy::default(),
    };
    let overlap = optional(table, "overlap").and_then(|entry| policies::overlap(checker, &entry.node));
    let locks = optional(table, "locks").and_then(|entry| policies::locks(checker, &entry.node));
    let handed = optional(table, "settings").and_then(|entry| params::settings(checker, &entry.node));
    let language =
        optional(table, "language").and_then(|entry| checker.word(&entry.node, "language", &Language::NAMES));
    if let (Some(entry), Some(_)) = (optional(table, "params"), optional(table, "schedule")) {
        let missing =
            |param: &&Param| param.required && !matches!(param.from_file, Some(Ok(_))) && !is_set(&param.variable());
        for param in params.iter().filter(missing) {
            let message = format!("a schedule can't give the input `{}`, which is required", param.name);
            let problem = Problem::at(ProblemKind::InvalidValue, &entry.key_origin, "params", message);
            checker.warnings.push(problem.hint(format!("set {} in .env, or give it a default", param.variable())));
        }
    }
    let schedules = optional(table, "schedule").map(|entry| schedule::schedules(checker, &entry.node));
    let variable = |name: &str| variable(reader.lookup.environment, &frame.dotenv, name);
    let mail = optional(table, "mail").map(|entry| mail::options(checker, &entry.node, &variable));
    if !checker.problems.is_empty() {
        return None;
    }
    Some(Project {
        root: frame.root.to_path_buf(),
        name: frame.name.to_owned(),
        scripts: scripts.into_iter().map(CheckedScript::finish).collect::<Option<_>>()?,
        recipients: recipients?,
        email_strategy: strategy?,
        language: language.unwrap_or_default(),
        mail: mail.unwrap_or_default(),
        include_traceback: include_traceback?,
        logs_backup_count: logs_backup_count?,
        log_filename: log_filename?,
        log_rotation: log_rotation?,
        output,
        overlap: overlap.unwrap_or_default(),
        locks: locks.unwrap_or_default(),
        params,
        settings: handed,
        dotenv: frame.dotenv,
        schedules: schedules.unwrap_or_default(),
        profile: frame.profile.map(str::to_owned),
    })
}

/// The value of a variable: the environment wins over `.env`, and an empty value is no value.
fn variable(environment: &Environment, dotenv: &BTreeMap<String, SecretString>, name: &str) -> Option<String> {
    let set = environment.get(name).map(|value| value.to_string_lossy().into_owned());
    let from_dotenv = || dotenv.get(name).map(|value| value.expose_secret().to_owned());
    set.filter(|value| !value.is_empty()).or_else(from_dotenv)
}

/// An optional key; `null` is as good as none.
pub(super) fn optional<'a>(table: &'a Table, key: &str) -> Option<&'a Entry> {
    table.get(key).filter(|entry| !matches!(entry.node.value, Value::Null))
}

/// Warns of keys that mean nothing.
pub(super) fn unknown_keys<I: Iterator<Item = &'static str>>(
    checker: &mut Checker,
    table: &Table,
    path: &str,
    known: impl Fn() -> I,
) {
    for entry in table.iter().filter(|entry| !known().any(|name| name == entry.key)) {
        let hint = if !path.is_empty() && entry.key == "python_command" {
            Some("a script's key is `interpreter`".to_owned())
        } else {
            likely_key(&entry.written, known()).map(|name| format!("did you mean `{name}`?"))
        };
        let message = format!("unknown key {}; it does nothing", quoted(&entry.written));
        let own_path = key_path(path, &entry.written);
        checker
            .warnings
            .push(Problem::at(ProblemKind::UnknownKey, &entry.key_origin, &own_path, message).maybe_hint(hint));
    }
}

/// Which of the keys that are known may be meant by one that isn't.
pub(super) fn likely_key(written: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let known: Vec<_> = known.collect();
    let usual = OTHER_NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(written)).map(|(_, key)| *key);
    usual.filter(|key| known.contains(key)).or_else(|| did_you_mean(written, known))
}

fn missing_keys(checker: &mut Checker, table: &Table, object: Option<&Origin>) {
    let Some(object) = object else { return };
    let start = object.span.start;
    let brace = Origin { source: object.source.clone(), span: start..start + 1 };
    for key in &KEYS {
        if let (Some(example), None) = (key.example, table.get(key.name)) {
            let message = format!("{} is missing", key.name);
            let problem = Problem::at(ProblemKind::MissingConfigurationVariable, &brace, key.name, message);
            checker.problem(problem.hint(format!("add {example}")));
        }
    }
}

fn log_filename(checker: &mut Checker, node: &Node) -> Option<String> {
    const LONGEST: usize = 200; // bytes; archives add to it, and file systems end at 255
    let path = "log_filename";
    let name = checker.text(node, path)?;
    let hint = "write a bare name, as in \"nightly\"; the log goes to the project's folder `logs`";
    if name.trim().is_empty() {
        checker.invalid(node, path, "the name is empty", Some(hint.to_owned()));
    } else if name.contains(['/', '\\']) {
        checker.invalid(node, path, format!("{} is a path", quoted(name)), Some(hint.to_owned()));
    } else if let Some(why) = names::illegal_in_windows(name) {
        checker.invalid(node, path, format!("{} is no file name: {why}", quoted(name)), Some(hint.to_owned()));
    } else if name.len() > LONGEST {
        checker.invalid(node, path, format!("the name is longer than {LONGEST} bytes"), None);
    } else {
        return Some(name.to_owned());
    }
    None
}

fn log_rotation(checker: &mut Checker, node: &Node) -> Option<LogRotation> {
    const HINT: &str = "write an interval, as in \"3d\", or a size, as in \"5MiB\"";
    let path = "log_rotation";
    let Value::Text(text) = &node.value else {
        checker.mistyped(node, path, "an interval or a size", Some(HINT.to_owned()));
        return None;
    };
    let trimmed = text.trim();
    // Without a unit it could be either; and `5M` would be five months, to the surprise of most.
    let ambiguous = trimmed.parse::<f64>().is_ok() || trimmed.ends_with('M');
    let rotation = if ambiguous {
        None
    } else {
        parse_duration(trimmed).map(LogRotation::Interval).or_else(|_| parse_size(trimmed).map(LogRotation::Size)).ok()
    };
    match rotation {
        Some(LogRotation::Interval(interval)) if interval.is_zero() => {
            checker.invalid(node, path, "an interval of 0 would archive each line", Some(HINT.to_owned()));
            None
        }
        Some(LogRotation::Size(0)) => {
            checker.invalid(node, path, "a size of 0 would archive each line", Some(HINT.to_owned()));
            None
        }
        Some(rotation) => Some(rotation),
        None => {
            let doubt = if ambiguous { " without doubt" } else { "" };
            let message = format!("{} is neither an interval nor a size{doubt}", quoted(text));
            checker.invalid(node, path, message, Some(HINT.to_owned()));
            None
        }
    }
}

fn output(checker: &mut Checker, node: &Node) -> OutputPolicy {
    let mut policy = OutputPolicy::default();
    let Value::Table(table) = &node.value else {
        let hint = "as in {\"first\": \"1MiB\", \"last\": \"4MiB\"}".to_owned();
        checker.mistyped(node, "output", "an object", Some(hint));
        return policy;
    };
    unknown_keys(checker, table, "output", || keys::OUTPUT_KEYS.into_iter());
    for entry in table.iter().filter(|entry| !matches!(entry.node.value, Value::Null)) {
        let path = key_path("output", &entry.written);
        match entry.key.as_str() {
            "first" => policy.first = checker.size(&entry.node, &path).unwrap_or(policy.first),
            "last" => policy.last = checker.size(&entry.node, &path).unwrap_or(policy.last),
            "keep_days" => policy.keep_days = checker.whole(&entry.node, &path).unwrap_or(policy.keep_days),
            "keep_runs" => policy.keep_runs = checker.whole(&entry.node, &path).unwrap_or(policy.keep_runs),
            _ => {}
        }
    }
    policy
}

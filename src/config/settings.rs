//! The settings that a project and its scripts share, each laid over what it would be without.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use crate::model::{CommonSettings, Expectation, Interpreter, OnFailure, OnLeak, RetryPolicy};

use super::checker::Checker;
use super::dotenv;
use super::env_vars;
use super::interpreter::{Lookup, NoInterpreter};
use super::node::{Node, Table, Value, index_path, key_path, quoted};
use super::params::Declared;
use super::paths;
use super::policies;
use super::problem::{Problem, ProblemKind};

/// [`CommonSettings`] of which the interpreter may be unknown yet.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) interpreter: Option<Interpreter>,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) env_file: BTreeMap<String, SecretString>,
    pub(super) working_dir: PathBuf,
    pub(super) timeout: Option<Duration>,
    pub(super) kill_grace: Duration,
    pub(super) on_failure: OnFailure,
    pub(super) success_codes: Vec<u32>,
    pub(super) on_leak: OnLeak,
    pub(super) leak_timeout: Duration,
    pub(super) slow_after: Option<Duration>,
    pub(super) retries: RetryPolicy,
    /// Their files are as written, relative to a working folder that a script may set yet.
    pub(super) expect: Vec<Expectation>,
}

impl Settings {
    /// What holds when nobody says anything.
    pub(super) fn built_in(root: &Path) -> Self {
        Self {
            interpreter: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            env_file: BTreeMap::new(),
            working_dir: root.to_path_buf(),
            timeout: None,
            kill_grace: Duration::from_secs(10),
            on_failure: OnFailure::default(),
            success_codes: vec![0],
            on_leak: OnLeak::default(),
            leak_timeout: Duration::from_secs(1),
            slow_after: None,
            retries: RetryPolicy::default(),
            expect: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Option<CommonSettings> {
        let in_place = |expectation: Expectation| Expectation {
            file: expectation.file.map(|file| paths::join(&self.working_dir, &file.to_string_lossy())),
            ..expectation
        };
        Some(CommonSettings {
            expect: self.expect.into_iter().map(in_place).collect(),
            interpreter: self.interpreter?,
            args: self.args,
            env: self.env,
            env_file: self.env_file,
            working_dir: self.working_dir,
            timeout: self.timeout,
            kill_grace: self.kill_grace,
            on_failure: self.on_failure,
            success_codes: self.success_codes,
            on_leak: self.on_leak,
            leak_timeout: self.leak_timeout,
            slow_after: self.slow_after,
            retries: self.retries,
        })
    }
}

/// Reads settings, and remembers what it looked up: many scripts share an interpreter or a file.
pub(super) struct SettingsReader<'a> {
    pub(super) lookup: Lookup<'a>,
    pub(super) checker: Checker,
    /// The inputs that arguments and variables may name.
    pub(super) declared: Declared,
    built_in: Settings,
    interpreters: BTreeMap<(String, Vec<String>), Result<PathBuf, NoInterpreter>>,
    /// Each that was read.
    pub(super) env_files: BTreeMap<PathBuf, BTreeMap<String, SecretString>>,
}

impl<'a> SettingsReader<'a> {
    pub(super) fn new(lookup: Lookup<'a>) -> Self {
        Self {
            lookup,
            checker: Checker::default(),
            declared: Declared::default(),
            built_in: Settings::built_in(lookup.root),
            interpreters: BTreeMap::new(),
            env_files: BTreeMap::new(),
        }
    }

    /// The settings of a table, over `base`. `null` stands for the built-in default. Where a value is wrong, the
    /// problem is noted and `base` goes on.
    pub(super) fn read(&mut self, table: &Table, path: &str, base: &Settings) -> Settings {
        let mut settings = base.clone();
        for entry in table.iter() {
            let (node, own_path) = (&entry.node, key_path(path, &entry.written));
            let null = matches!(node.value, Value::Null);
            let built_in = &self.built_in;
            match entry.key.as_str() {
                "args" if null => settings.args.clone_from(&built_in.args),
                "env" if null => settings.env.clone_from(&built_in.env),
                "env_file" if null => settings.env_file.clone_from(&built_in.env_file),
                "working_dir" if null => settings.working_dir.clone_from(&built_in.working_dir),
                "timeout" if null => settings.timeout = built_in.timeout,
                "kill_grace" if null => settings.kill_grace = built_in.kill_grace,
                "on_failure" if null => settings.on_failure = built_in.on_failure,
                "success_codes" if null => settings.success_codes.clone_from(&built_in.success_codes),
                "on_leak" if null => settings.on_leak = built_in.on_leak,
                "leak_timeout" if null => settings.leak_timeout = built_in.leak_timeout,
                "slow_after" if null => settings.slow_after = built_in.slow_after,
                "retries" if null => settings.retries.clone_from(&built_in.retries),
                "expect" if null => settings.expect.clone_from(&built_in.expect),
                _ => self.read_one(&entry.key, path.is_empty(), node, &own_path, &mut settings),
            }
        }
        settings
    }

    fn read_one(&mut self, key: &str, is_project: bool, node: &Node, path: &str, settings: &mut Settings) {
        let checker = &mut self.checker;
        match key {
            // The project's is `python_command` in here, whichever name the file gives it; a script has only the other.
            "python_command" | "interpreter" if (key == "python_command") == is_project => {
                if let Some(interpreter) = self.interpreter(node, path) {
                    settings.interpreter = Some(interpreter);
                }
            }
            "args" => set(&mut settings.args, arguments(checker, &self.declared, node, path)),
            "env" => settings.env.extend(environment(checker, &self.declared, node, path)),
            "env_file" => set(&mut settings.env_file, self.env_file(node, path)),
            "working_dir" => set(&mut settings.working_dir, self.working_dir(node, path)),
            "timeout" => {
                if let Some(timeout) = checker.duration(node, path) {
                    if timeout.is_zero() {
                        let hint = "leave `timeout` out, or write null, for none";
                        checker.invalid(node, path, "a timeout of 0 leaves a script no time", Some(hint.to_owned()));
                    }
                    settings.timeout = Some(timeout);
                }
            }
            "kill_grace" => set(&mut settings.kill_grace, checker.duration(node, path)),
            "on_failure" => {
                let words = [("continue", OnFailure::Continue), ("stop", OnFailure::Stop)];
                set(&mut settings.on_failure, checker.word(node, path, &words));
            }
            "success_codes" => set(&mut settings.success_codes, success_codes(checker, node, path)),
            _ => policies::read(checker, key, node, path, settings),
        }
    }

    fn interpreter(&mut self, node: &Node, path: &str) -> Option<Interpreter> {
        let (program, args, place) = match &node.value {
            Value::Text(program) => (program.clone(), Vec::new(), node),
            Value::List(items) if !items.is_empty() => {
                let mut texts = self.checker.texts(node, path)?.into_iter();
                (texts.next()?, texts.collect(), items.first()?)
            }
            _ => {
                let hint = "as in \"python\" or [\"python\", \"-u\"]".to_owned();
                self.checker.mistyped(node, path, "a program, or a list of a program and its arguments", Some(hint));
                return None;
            }
        };
        let lookup = self.lookup;
        let key = (program, args);
        let found = self.interpreters.entry(key.clone()).or_insert_with(|| lookup.find(&key.0, &key.1)).clone();
        match found {
            Ok(found) => Some(Interpreter { program: key.0, args: key.1, path: found }),
            Err(NoInterpreter { message, hint }) => {
                let problem = Problem::at(ProblemKind::BadPythonInterpreter, &place.origin, path, message);
                self.checker.problem(problem.maybe_hint(hint));
                None
            }
        }
    }

    fn env_file(&mut self, node: &Node, path: &str) -> Option<BTreeMap<String, SecretString>> {
        let written = self.checker.text(node, path)?;
        let file = paths::join(self.lookup.root, written);
        if let Some(known) = self.env_files.get(&file) {
            return Some(known.clone());
        }
        if !file.exists() {
            let message = format!("{} isn't there", quoted(written));
            let problem = Problem::at(ProblemKind::FileNotFound, &node.origin, path, message);
            self.checker.problem(problem.hint(format!("the file would be {}", file.display())));
            return None;
        }
        let read = dotenv::read(&file);
        self.checker.problems.extend(read.problems);
        self.checker.warnings.extend(read.warnings);
        self.env_files.insert(file, read.values.clone());
        Some(read.values)
    }

    fn working_dir(&mut self, node: &Node, path: &str) -> Option<PathBuf> {
        let written = self.checker.text(node, path)?;
        let mut folder = paths::join(self.lookup.root, written);
        if cfg!(unix) && !folder.exists() && written.contains('\\') {
            folder = paths::join(self.lookup.root, &written.replace('\\', "/"));
        }
        if folder.is_dir() {
            return Some(folder);
        }
        let message = if folder.exists() {
            "is a file, not a folder".to_owned()
        } else {
            format!("{} isn't there", quoted(written))
        };
        let problem = Problem::at(ProblemKind::FileNotFound, &node.origin, path, message);
        self.checker.problem(problem.hint(format!("the folder would be {}", folder.display())));
        None
    }
}

/// Takes a value that could be read.
pub(super) fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn arguments(checker: &mut Checker, declared: &Declared, node: &Node, path: &str) -> Option<Vec<String>> {
    let texts = checker.texts(node, path)?;
    let Value::List(items) = &node.value else { return Some(texts) };
    for (index, (text, item)) in texts.iter().zip(items).enumerate() {
        declared.check(checker, text, item, &index_path(path, index), true);
    }
    Some(texts)
}

/// Variables. Their values are never shown, whatever is wrong with them.
fn environment(checker: &mut Checker, declared: &Declared, node: &Node, path: &str) -> BTreeMap<String, String> {
    let Value::Table(table) = &node.value else {
        let hint = "as in {\"LANG\": \"C.UTF-8\"}".to_owned();
        let message = format!("expected an object of names and values, found {}", node.describe(true));
        checker.invalid(node, path, message, Some(hint));
        return BTreeMap::new();
    };
    let mut variables = BTreeMap::new();
    for entry in table.iter() {
        let own_path = key_path(path, &entry.written);
        if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
            let message = "a variable's name can't be empty or hold `=`";
            checker.problem(Problem::at(ProblemKind::InvalidValue, &entry.key_origin, &own_path, message));
            continue;
        }
        let upper = entry.key.to_ascii_uppercase();
        if upper == env_vars::SETTINGS || upper.starts_with(env_vars::PARAM_PREFIX) {
            let message = "the runner sets this variable for scripts, so that what is written here would be lost";
            let hint = "give an input a `default` in `params`, or take another name".to_owned();
            let problem = Problem::at(ProblemKind::InvalidValue, &entry.key_origin, &own_path, message);
            checker.problem(problem.hint(hint));
            continue;
        }
        match &entry.node.value {
            Value::Text(text) if !text.contains('\0') => {
                declared.check(checker, text, &entry.node, &own_path, false);
                variables.insert(entry.key.clone(), text.clone());
            }
            Value::Text(_) => checker.invalid(&entry.node, &own_path, "a value with a NUL character", None),
            _ => {
                let message = format!("expected a text, found {}", entry.node.describe(true));
                checker.invalid(&entry.node, &own_path, message, Some("put the value in double quotes".to_owned()));
            }
        }
    }
    variables
}

fn success_codes(checker: &mut Checker, node: &Node, path: &str) -> Option<Vec<u32>> {
    if matches!(&node.value, Value::List(items) if items.is_empty()) {
        checker.invalid(node, path, "no exit code would be a success", Some("write [0]".to_owned()));
        return None;
    }
    exit_codes(checker, node, path)
}

/// A list of exit codes. `None` if a single one is wrong.
pub(super) fn exit_codes(checker: &mut Checker, node: &Node, path: &str) -> Option<Vec<u32>> {
    let Value::List(items) = &node.value else {
        let hint = match &node.value {
            Value::Number(number) => Some(format!("write [{number}]")),
            _ => Some("as in [0, 2]".to_owned()),
        };
        checker.mistyped(node, path, "a list of exit codes", hint);
        return None;
    };
    let codes: Vec<Option<u32>> = items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            let own_path = index_path(path, index);
            if let Value::Number(number) = &item.value
                && let Some(negative) =
                    number.as_i64().and_then(|code| i32::try_from(code).ok()).filter(|code| *code < 0)
            {
                let hint = format!("write {}, as the system counts it", negative.cast_unsigned());
                checker.invalid(item, &own_path, format!("the exit code {negative} is negative"), Some(hint));
                return None;
            }
            checker.whole(item, &own_path)
        })
        .collect();
    codes.into_iter().collect()
}

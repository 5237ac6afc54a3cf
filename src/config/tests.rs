//! Whole configurations, from files to a project or to what is wrong with them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use crate::model::{EmailStrategy, LogRotation, OnFailure, OutputPolicy};

use super::*;

/// A project's folder in a folder that nobody else may write to, and a PATH with a python.
struct House {
    root: TempDir,
    env: Vec<(String, String)>,
}

const SIX: &str = r#"{"scripts": ["main.py"], "python_command": "python", "recipients": ["a@example.com"],
"email_strategy": "all", "include_traceback": true, "logs_backup_count": 4"#;

impl House {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let house = Self { root, env: Vec::new() };
        house.program("bin/python");
        house.file("p/main.py", "");
        let path = house.path("bin").display().to_string();
        house.env("PATH", &path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let file = self.path(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
        self
    }

    fn program(&self, name: &str) -> &Self {
        let name = if cfg!(windows) { format!("{name}.exe") } else { name.to_owned() };
        self.file(&name, "x");
        #[cfg(unix)]
        std::fs::set_permissions(self.path(&name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn config(&self, content: impl AsRef<[u8]>) -> &Self {
        self.file("p/exec_config.json", content)
    }

    /// The six keys and these.
    fn with(&self, more: &str) -> &Self {
        let comma = if more.is_empty() { "" } else { "," };
        self.config(format!("{SIX}{comma}\n{more}}}"))
    }

    fn load_profile(&self, profile: Option<&str>) -> Result<Loaded, ConfigError> {
        let env = Environment::from_pairs(self.env.clone());
        load(&LoadRequest { project: &self.path("p"), profile, env: &env })
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        self.load_profile(None)
    }

    fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The problems, as lines, without the folder's name.
    fn problems(&self) -> Vec<String> {
        let error = self.load().expect_err("a problem");
        self.lines(&error.problems)
    }

    fn lines(&self, problems: &[Problem]) -> Vec<String> {
        let folder = self.root.path().display().to_string();
        let separator = std::path::MAIN_SEPARATOR;
        problems
            .iter()
            .map(|problem| {
                let line = problem.plain();
                assert!(!line.contains('\n'), "{line}");
                line.replace(&format!("{folder}{separator}"), "").replace('\\', "/")
            })
            .collect()
    }

    /// The one problem that the six keys and this have.
    fn problem_with(&self, more: &str) -> String {
        let problems = self.with(more).problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        problems[0].strip_prefix("p/exec_config.json:").map_or_else(|| problems[0].clone(), str::to_owned)
    }
}

#[test]
fn the_six_keys_are_a_whole_file() {
    let house = House::new();
    let Loaded { project, warnings, explain } = house.with("").loaded();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(project.root, house.path("p"));
    assert_eq!(project.name, "p");
    assert_eq!(project.log_filename, "p");
    assert_eq!(project.recipients, ["a@example.com"]);
    assert_eq!(project.email_strategy, EmailStrategy::All);
    assert!(project.include_traceback);
    assert_eq!(project.logs_backup_count, 4);
    assert_eq!(project.log_rotation, LogRotation::Interval(Duration::from_secs(259_200)));
    assert_eq!(project.output, OutputPolicy::default());
    let [script] = project.scripts.as_slice() else { panic!("one script") };
    assert_eq!((script.name.as_str(), script.file_name.as_str()), ("main.py", "main.py"));
    assert_eq!(script.path, Path::new("main.py"));
    assert_eq!(script.file, house.path("p").join("main.py"));
    let settings = &script.settings;
    assert_eq!(settings.interpreter.program, "python");
    assert_eq!(settings.interpreter.path.with_extension(""), house.path("bin").join("python"));
    assert_eq!(settings.working_dir, project.root);
    assert_eq!((settings.timeout, settings.kill_grace), (None, Duration::from_secs(10)));
    assert_eq!((settings.on_failure, settings.success_codes.as_slice()), (OnFailure::Continue, [0].as_slice()));
    assert_eq!(explain.len(), 20);
}

#[test]
fn a_file_written_on_windows_for_the_source_works() {
    let house = House::new();
    house.program("p/.venv/bin/python").file("p/cycle_court/main_script.py", "").file("p/a b.py", "").config(
        "\u{feff}{\r\n  \"python_command\": \".venv/Scripts/python\",\r\n  \"scripts\": [\"cycle_court/main_script.py\", \
         \"cycle_court\\\\main_script.py\", \".\\\\a b.py\", \"main.py\", \"main.py\"],\r\n  \"recipients\": \
         [\"Ann Lee <a@example.com>\"],\r\n  \"email_strategy\": \"Failure_Only\",\r\n  \"include_traceback\": \
         false,\r\n  \"logs_backup_count\": 0\r\n}\r\n",
    );
    let project = house.loaded().project;
    assert_eq!(project.email_strategy, EmailStrategy::FailureOnly);
    assert_eq!(project.recipients, ["Ann Lee <a@example.com>"]);
    let files: Vec<&str> = project.scripts.iter().map(|script| script.file_name.as_str()).collect();
    assert_eq!(files, ["main_script.py", "main_script.py", "a b.py", "main.py", "main.py"]);
    assert!(project.scripts.iter().all(|script| script.file.is_file() && script.file.is_absolute()));
    let found = &project.scripts[0].settings.interpreter.path;
    assert_eq!(found.with_extension(""), house.path("p").join(".venv").join("bin").join("python"));
}

#[test]
fn every_optional_key_is_read() {
    let house = House::new();
    house
        .file("p/load.py", "")
        .file("p/vars", "V=1\n")
        .file("p/work/x", "")
        .program("bin/node")
        .config(
            r#"{"$schema": "x", "scripts": ["main.py", {"path": "load.py", "name": "Load", "args": ["a b"], "env": {"B": "3"},
            "env_file": null, "working_dir": "work", "interpreter": ["node", "-x"], "timeout": "1h 30m", "kill_grace": 0,
            "on_failure": "Continue", "success_codes": [3221225477]}],
            "interpreter": ["python", "-u"], "recipients": [], "email_strategy": "none", "include_traceback": false,
            "logs_backup_count": 1, "args": ["x"], "env": {"A": "1", "B": "2"}, "env_file": "vars", "timeout": 90,
            "kill_grace": "5s", "on_failure": "stop", "success_codes": [0, 2], "log_filename": "nightly",
            "log_rotation": "5MiB", "output": {"first": 10, "last": "2KiB", "keep_days": 1, "keep_runs": 2}}"#,
        );
    let Loaded { project, warnings, .. } = house.loaded();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(project.log_file(), project.root.join("logs").join("nightly.log"));
    assert_eq!(project.log_rotation, LogRotation::Size(5 * 1024 * 1024));
    assert_eq!(project.output, OutputPolicy { first: 10, last: 2048, keep_days: 1, keep_runs: 2 });
    let [main, load] = project.scripts.as_slice() else { panic!("two scripts") };
    assert_eq!((main.name.as_str(), load.name.as_str(), load.file_name.as_str()), ("main.py", "Load", "load.py"));
    let (main, load) = (&main.settings, &load.settings);
    assert_eq!(
        (main.interpreter.args.as_slice(), load.interpreter.args.as_slice()),
        (["-u".to_owned()].as_slice(), ["-x".to_owned()].as_slice())
    );
    assert_eq!(main.env_file.get("V").map(|value| value.expose_secret().to_owned()).as_deref(), Some("1"));
    assert!(load.env_file.is_empty(), "null takes the project's away");
    assert_eq!((main.timeout, load.timeout), (Some(Duration::from_secs(90)), Some(Duration::from_secs(5400))));
    assert_eq!((main.kill_grace, load.kill_grace), (Duration::from_secs(5), Duration::ZERO));
    assert_eq!((main.on_failure, load.on_failure), (OnFailure::Stop, OnFailure::Continue));
    assert_eq!(
        (main.success_codes.as_slice(), load.success_codes.as_slice()),
        ([0, 2].as_slice(), [0xC000_0005].as_slice())
    );
    assert_eq!(load.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(), ["A=1", "B=3"]);
    assert_eq!(
        (main.args.as_slice(), load.args.as_slice()),
        (["x".to_owned()].as_slice(), ["a b".to_owned()].as_slice())
    );
    assert_eq!(load.working_dir, project.root.join("work"));
}

#[test]
fn all_problems_are_told_at_once_with_their_places() {
    let house = House::new();
    house.config(
        "{\n  \"scripts\": [\"main.py\", \"mian.py\", {\"path\": \"main.py\", \"timeout\": \"soon\"}],\n  \
         \"python_command\": \"pyhton\",\n  \"recipients\": [\"a@example.com\", \"nobody\"],\n  \"email_strategy\": \
         \"failures_only\",\n  \"include_traceback\": \"yes\",\n  \"retires\": 1\n}\n",
    );
    let error = house.load().expect_err("problems");
    assert_eq!(
        house.lines(&error.problems),
        [
            "p/exec_config.json:1:1: logs_backup_count: MissingConfigurationVariable: logs_backup_count is missing; add \
             \"logs_backup_count\": 4",
            "p/exec_config.json:2:26: scripts[1]: FileNotFoundError: `mian.py` isn't there; did you mean `main.py`?",
            "p/exec_config.json:2:68: scripts[2].timeout: `soon` is not a duration; write seconds (90) or a duration \
             (\"90s\", \"1h 30m\")",
            "p/exec_config.json:3:21: python_command: BadPythonInterpreter: `pyhton` isn't found; looked in the one folder \
             of PATH; install it, add its folder to PATH, or write its whole path",
            "p/exec_config.json:4:35: recipients[1]: BadRecipientList: expected an address, found the text `nobody`; as in \
             \"you@example.com\"",
            "p/exec_config.json:5:21: email_strategy: `failures_only` is not one of `all`, `failure_only`, `none`; did you \
             mean `failure_only`?",
            "p/exec_config.json:6:24: include_traceback: expected true or false, found the text `yes`; write true, without \
             quotes",
        ]
    );
    assert_eq!(
        house.lines(&error.warnings),
        ["p/exec_config.json:7:3: retires: unknown key `retires`; it does nothing"]
    );
    assert_eq!(error.to_string().lines().count(), 7);
}

#[test]
fn types_are_strict_and_hints_say_what_to_write() {
    let house = House::new();
    let cases = [
        (
            r#""scripts": "main.py""#,
            r#"3:11: scripts: expected a list of scripts, found the text `main.py`; write ["main.py"]"#,
        ),
        (r#""scripts": []"#, r#"3:11: scripts: the list is empty; name a script, as in ["main.py"]"#),
        (
            r#""scripts": [1]"#,
            r#"3:12: scripts[0]: expected a script's path, or an object with a `path`, found the number 1; as in "main.py" or {"path": "main.py"}"#,
        ),
        (
            r#""scripts": [{"name": "x"}]"#,
            r#"3:12: scripts[0].path: MissingConfigurationVariable: path is missing; add "path": "main.py""#,
        ),
        (r#""scripts": ["sub"]"#, "3:12: scripts[0]: FileNotFoundError: `sub` is a folder; name a file of scripts"),
        (
            r#""recipients": "a@b.c; d@e.f""#,
            r#"3:14: recipients: BadRecipientList: expected a list of addresses, found the text `a@b.c; d@e.f`; write ["a@b.c","d@e.f"]"#,
        ),
        (
            r#""recipients": []"#,
            r#"3:14: recipients: BadRecipientList: the list is empty; add an address, or set "email_strategy": "none""#,
        ),
        (
            r#""recipients": ["a@b.c, d@e.f"]"#,
            r#"3:15: recipients[0]: BadRecipientList: expected an address, found the text `a@b.c, d@e.f`; one address an item, as in ["a@example.com", "b@example.com"]"#,
        ),
        (
            r#""recipients": ["A <a@b.c> x"]"#,
            r#"3:15: recipients[0]: BadRecipientList: expected an address, found the text `A <a@b.c> x`; as in "you@example.com""#,
        ),
        (
            r#""email_strategy": 1"#,
            "3:18: email_strategy: expected one of `all`, `failure_only`, `none`, found the number 1",
        ),
        (r#""email_strategy": "digest""#, "3:18: email_strategy: `digest` is not one of `all`, `failure_only`, `none`"),
        (
            r#""include_traceback": null"#,
            "3:21: include_traceback: expected true or false, found null; write true or false, without quotes",
        ),
        (
            r#""logs_backup_count": -1"#,
            "3:21: logs_backup_count: expected a whole number from 0 to 4294967295, found the number -1",
        ),
        (
            r#""logs_backup_count": 1.5"#,
            "3:21: logs_backup_count: expected a whole number from 0 to 4294967295, found the number 1.5",
        ),
        (
            r#""logs_backup_count": 4.0"#,
            "3:21: logs_backup_count: expected a whole number from 0 to 4294967295, found the number 4.0; write 4",
        ),
        (
            r#""logs_backup_count": true"#,
            "3:21: logs_backup_count: expected a whole number from 0 to 4294967295, found true",
        ),
        (
            r#""logs_backup_count": "4""#,
            "3:21: logs_backup_count: expected a whole number from 0 to 4294967295, found the text `4`; write 4, without quotes",
        ),
        (
            r#""python_command": []"#,
            r#"3:18: python_command: expected a program, or a list of a program and its arguments, found a list; as in "python" or ["python", "-u"]"#,
        ),
        (
            r#""interpreter": "python -u""#,
            r#"3:15: interpreter: BadPythonInterpreter: `python -u` isn't found; looked in the one folder of PATH; a string is one program; write ["python","-u"]"#,
        ),
    ];
    for (pair, expected) in cases {
        // The later of two equal keys counts, so that each case stands alone.
        let (key, value) = pair.split_once(": ").unwrap();
        house.file("p/sub/x", "");
        let problems = house.with(&format!("{key}:{value}")).problems();
        assert_eq!(problems, [format!("p/exec_config.json:{}", expected.replace('\\', "/"))], "{pair}");
    }
}

#[test]
fn optional_keys_are_strict_too() {
    let house = House::new();
    for (pair, expected) in [
        (r#""timeout": 0"#, "a timeout of 0 leaves a script no time"),
        (r#""timeout": -5"#, "`-5` is not a duration"),
        (r#""timeout": true"#, "expected a duration, found true"),
        (r#""timeout": 1e300"#, "is not a duration"),
        (r#""args": "x""#, r#"write ["x"]"#),
        (r#""args": [1]"#, r#"args[0]: expected a text, found the number 1; write "1""#),
        (r#""args": ["a\u0000"]"#, "NUL"),
        (r#""env": []"#, "expected an object of names and values"),
        (r#""env": {"A=B": "x"}"#, "env[\"A=B\"]: a variable's name can't be empty or hold `=`"),
        (r#""env_file": "none""#, "FileNotFoundError: `none` isn't there"),
        (r#""working_dir": "main.py""#, "FileNotFoundError: is a file, not a folder"),
        (r#""working_dir": "none""#, "FileNotFoundError: `none` isn't there"),
        (r#""on_failure": "stopp""#, "did you mean `stop`?"),
        (r#""success_codes": 2"#, "write [2]"),
        (r#""success_codes": []"#, "no exit code would be a success"),
        (
            r#""success_codes": [-1]"#,
            "success_codes[0]: the exit code -1 is negative; write 4294967295, as the system counts it",
        ),
        (r#""success_codes": [4294967296]"#, "expected a whole number from 0 to 4294967295"),
        (r#""log_filename": "../x""#, "`../x` is a path"),
        (r#""log_filename": "a:b""#, "Windows has no file names with `:`"),
        (r#""log_filename": "..""#, "names a folder"),
        (r#""log_filename": "nul""#, "is a device on Windows"),
        (r#""log_filename": "a.""#, "drops dots"),
        (r#""log_filename": """#, "the name is empty"),
        (r#""log_filename": 5"#, r#"write "5""#),
        (r#""log_rotation": "0d""#, "an interval of 0 would archive each line"),
        (r#""log_rotation": "0MiB""#, "a size of 0 would archive each line"),
        (r#""log_rotation": "5M""#, "neither an interval nor a size without doubt"),
        (r#""log_rotation": "1024""#, "neither an interval nor a size without doubt"),
        (r#""log_rotation": 3"#, "expected an interval or a size, found the number 3"),
        (r#""output": {"first": "much"}"#, "output.first: expected a size, found the text `much`"),
        (r#""output": {"keep_days": -1}"#, "output.keep_days: expected a whole number"),
        (r#""output": 5"#, "expected an object"),
        (r#""scripts": [{"path": "main.py", "interpreter": "nope"}]"#, "scripts[0].interpreter: BadPythonInterpreter"),
    ] {
        let problem = house.problem_with(pair);
        assert!(problem.contains(expected), "{pair}: {problem}");
    }
    for pair in
        [r#""timeout": null"#, r#""log_filename": null"#, r#""log_rotation": null, "output": null"#, r#""env": null"#]
    {
        house.with(pair).loaded();
    }
}

#[test]
fn unknown_keys_warn_and_suggest() {
    let house = House::new();
    house.with(
        r#""Timeout": 5, "retries": 3, "output": {"keepdays": 1},
        "scripts": [{"path": "main.py", "python_command": "x", "arg": []}]"#,
    );
    let lines = house.lines(&house.loaded().warnings);
    assert_eq!(
        lines.iter().map(|line| line.split_once(": ").unwrap().1).collect::<Vec<_>>(),
        [
            "Timeout: unknown key `Timeout`; it does nothing; did you mean `timeout`?",
            "retries: unknown key `retries`; it does nothing",
            "output.keepdays: unknown key `keepdays`; it does nothing; did you mean `keep_days`?",
            "scripts: `scripts` stands twice in this object; this one counts; remove the one at line 1, column 2",
            "scripts[0].python_command: unknown key `python_command`; it does nothing; a script's key is `interpreter`",
            "scripts[0].arg: unknown key `arg`; it does nothing; did you mean `args`?",
        ]
    );
}

#[test]
fn files_that_are_no_configuration_are_named() {
    let house = House::new();
    let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let with_mark: Vec<u8> = [0xFF, 0xFE].into_iter().chain(utf16.clone()).collect();
    let cases: [(&[u8], &str); 10] = [
        (b"", ":1:1: is empty; "),
        (b" \n", ":1:1: is empty; "),
        (b"\xEF\xBB\xBF", ":1:1: is empty; "),
        (b"[]", ":1:1: expected an object, found a list; "),
        (b"null", ":1:1: expected an object, found null; "),
        (b"\"x\"", ":1:1: expected an object, found the text `x`; "),
        (&utf16, ":1:1: is UTF-16; save it as UTF-8"),
        (&with_mark, ":1:1: is UTF-16; save it as UTF-8"),
        (b"{\n\"a\": \"\xE9\"}", ":2:1: is not UTF-8: byte 0xE9; save it as UTF-8"),
        (&[b'['; 10_000_000], "is nested too deeply"),
    ];
    for (bytes, expected) in cases {
        let problems = house.config(bytes).problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("p/exec_config.json:") && problems[0].contains(expected), "{problems:?}");
    }
    house.config(vec![b' '; 16 * 1024 * 1024 + 1]);
    assert!(house.problems()[0].contains("is too large: 16.0 MiB"), "{:?}", house.problems());
    std::fs::remove_file(house.path("p/exec_config.json")).unwrap();
    std::fs::create_dir(house.path("p/exec_config.json")).unwrap();
    assert!(house.problems()[0].contains("exec_config.json: is a folder, not a file"), "{:?}", house.problems());
}

#[test]
fn folders_that_are_no_projects_are_told_what_to_do() {
    let house = House::new();
    let problem = house.problems().remove(0);
    assert!(
        problem.starts_with("p/exec_config.json: FileNotFoundError: the folder has no exec_config.json; to make"),
        "{problem}"
    );
    house.file("p/exec_config.json.txt", "{}");
    assert!(house.problems()[0].ends_with("rename exec_config.json.txt to exec_config.json"), "{:?}", house.problems());
    let env = Environment::default();
    for (folder, expected) in
        [("none", "FileNotFoundError: the project's folder isn't there"), ("p/main.py", "a project is a folder")]
    {
        let error = load(&LoadRequest { project: &house.path(folder), profile: None, env: &env }).expect_err(folder);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = load_config("/no\0where").expect_err("no path");
    assert_eq!(error.problems[0].kind, ProblemKind::FileNotFound);
}

#[test]
fn layers_override_key_by_key() {
    let house = House::new().env("RUNNER_SET_KILL_GRACE", "3").env("RUNNER_SET_LOG_FILENAME", "from variable");
    house
        .program("bin/node")
        .file("exec_config.common.json", r#"{"timeout": 1, "recipients": ["far@example.com"], "python_command": "none", "env": {"A": "far", "B": "far"}, "output": {"first": 1, "last": 1}}"#)
        .file("team/exec_config.common.json", r#"{"timeout": 2, "interpreter": "node", "env": {"B": "near"}, "output": {"first": 2}}"#)
        .file("team/p/exec_config.json", r#"{"scripts": ["main.py"], "email_strategy": "all", "include_traceback": true, "logs_backup_count": 0, "env": {"C": "own"}, "kill_grace": 1}"#)
        .file("team/p/exec_config.dev.json", r#"{"timeout": null, "kill_grace": 2, "output": {"keep_days": 9}}"#)
        .file("team/p/main.py", "");
    let env = Environment::from_pairs(house.env.clone());
    let project = house.path("team/p");
    let loaded = load(&LoadRequest { project: &project, profile: Some("dev"), env: &env })
        .unwrap_or_else(|error| panic!("{error}"));
    let settings = &loaded.project.scripts[0].settings;
    assert_eq!(settings.interpreter.program, "node");
    assert_eq!(
        settings.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        ["A=far", "B=near", "C=own"]
    );
    assert_eq!((settings.timeout, settings.kill_grace), (None, Duration::from_secs(3)));
    assert_eq!(loaded.project.recipients, ["far@example.com"]);
    assert_eq!(loaded.project.log_filename, "from variable");
    assert_eq!(loaded.project.profile.as_deref(), Some("dev"));
    assert_eq!(loaded.project.output, OutputPolicy { first: 2, last: 1, keep_days: 9, keep_runs: 20 });
    let shown = render_explain(&loaded.explain)
        .replace(&format!("{}{}", house.root.path().display(), std::path::MAIN_SEPARATOR), "")
        .replace('\\', "/");
    let origin = |path: &str| {
        let row = shown
            .lines()
            .find(|line| line.split_whitespace().next() == Some(path))
            .unwrap_or_else(|| panic!("{path} in {shown}"));
        row.rsplit("  ").next().unwrap().to_owned()
    };
    assert_eq!(origin("interpreter"), "team/exec_config.common.json:1:31");
    assert_eq!(origin("env.A"), "exec_config.common.json:1:90");
    assert_eq!(origin("env.C"), "team/p/exec_config.json:1:115");
    assert_eq!(origin("kill_grace"), "RUNNER_SET_KILL_GRACE");
    assert_eq!(origin("timeout"), "team/p/exec_config.dev.json:1:13");
    assert_eq!(origin("on_failure"), "built-in default");
    assert_eq!(origin("output.keep_runs"), "built-in default");
    assert!(load(&LoadRequest { project: &project, profile: None, env: &env }).unwrap().project.profile.is_none());
}

#[test]
fn variables_are_checked_like_files() {
    let house = House::new()
        .env("RUNNER_SET_TIMEOUT", "soon")
        .env("RUNNER_SET_TIMOUT", "9")
        .env("RUNNER_SET_ENV", r#"{"A": 1, "TOKEN": 7777}"#);
    house.with("");
    let error = house.load().expect_err("problems");
    assert_eq!(
        house.lines(&error.problems),
        [
            "RUNNER_SET_ENV: env.A: expected a text, found a number; put the value in double quotes",
            "RUNNER_SET_ENV: env.TOKEN: expected a text, found a number; put the value in double quotes",
            "RUNNER_SET_TIMEOUT: timeout: `soon` is not a duration; write seconds (90) or a duration (\"90s\", \"1h 30m\")",
        ]
    );
    assert_eq!(
        house.lines(&error.warnings),
        ["RUNNER_SET_TIMOUT: timout: unknown key `timout`; it does nothing; did you mean `timeout`?"]
    );
}

#[test]
fn profiles_have_to_exist() {
    let house = House::new();
    house
        .with("")
        .file("p/exec_config.dev.json", "{}")
        .file("p/exec_config.prod.json", "{]")
        .file("p/exec_config.example.json", "{}");
    let line = |profile| house.lines(&house.load_profile(Some(profile)).expect_err(profile).problems).join("\n");
    assert_eq!(
        line("prd"),
        "p/exec_config.prd.json: the profile `prd` doesn't exist; did you mean `prod`? there are: dev, prod"
    );
    assert_eq!(line("../x"), "p: the profile `../x` is not a bare word; --profile dev reads exec_config.dev.json");
    assert_eq!(
        line("prod"),
        "p/exec_config.prod.json:1:2: a key without quotes; JSON wants double quotes, as in \"scripts\": […]"
    );
    assert!(house.load_profile(Some("dev")).is_ok());
}

#[test]
fn dotenv_files_of_project_and_parents_are_read() {
    let house = House::new();
    house.with("").file(".env", "A=far\nB=far\nPASSWORD_MAIL=hunter2\n").file("p/.env", "\u{feff}B=own\n");
    let project = house.loaded().project;
    let values: Vec<String> =
        project.dotenv.iter().map(|(name, value)| format!("{name}={}", value.expose_secret())).collect();
    assert_eq!(values, ["A=far", "B=own", "PASSWORD_MAIL=hunter2"]);
    assert!(!format!("{project:?}").contains("hunter2"));
    assert!(std::env::var_os("PASSWORD_MAIL").is_none_or(|value| value != "hunter2"));

    house.file("p/.env", "OK=1\nPASSWORD=hunter2 is it\n");
    let problems = house.problems();
    assert!(problems[0].starts_with("p/.env:2:1: not a line of a .env file; write NAME=value"), "{problems:?}");
    assert!(!problems[0].contains("hunter2"));
    std::fs::remove_file(house.path("p/.env")).unwrap();
    house.file("p/.env/bin/python", "a virtual environment").loaded();
}

#[test]
fn secrets_are_not_explained() {
    let house = House::new();
    house.with(r#""env": {"DB_PASSWORD": "hunter2", "LANG": "C"}, "scripts": [{"path": "main.py", "env": {"API_KEY": "hunter2"}}]"#);
    let shown = render_explain(&house.loaded().explain);
    assert!(shown.contains("env.DB_PASSWORD") && shown.contains("\"***\"") && shown.contains("\"C\""), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_project_is_named_after_its_folder() {
    let house = House::new();
    house.with("").file("p/sub/x", "");
    let env = Environment::from_pairs(house.env.clone());
    let name = |project: &Path| load(&LoadRequest { project, profile: None, env: &env }).unwrap().project;
    assert_eq!(name(&house.path("p/.")).name, "p");
    assert_eq!(name(&house.path("p").join("sub").join("..")).name, "p");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        let house = House::new();
        house.config(&bytes).file("p/.env", &bytes);
        let _ = house.load();
    }

    #[test]
    fn no_json_makes_it_panic(
        key in prop::sample::select(keys::project_names().collect::<Vec<_>>()),
        value in json(),
    ) {
        let house = House::new();
        let pair = format!("{}: {value}", serde_json::Value::from(key));
        match house.with(&pair).load() {
            Ok(loaded) => { let _ = render_explain(&loaded.explain); }
            Err(error) => prop_assert!(error.problems.iter().all(|problem| problem.line > 0 || problem.file.ends_with("p"))),
        }
    }
}

/// Any JSON of a few levels.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
        Just("main.py".into()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let key = prop_oneof![Just("path".to_owned()), Just("timeout".to_owned()), Just("env".to_owned()), ".{0,5}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(key, inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

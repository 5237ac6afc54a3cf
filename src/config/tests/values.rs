//! The keys of one file.

use super::*;

#[test]
fn the_six_keys_are_a_whole_file() {
    let house = House::new();
    let Loaded { project, warnings, explain, .. } = house.with("").loaded();
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
    assert_eq!(explain.len(), 41);
}

#[test]
fn a_file_written_on_windows_for_the_source_works() {
    let house = House::new();
    let venv = if cfg!(windows) { "p/.venv/Scripts" } else { "p/.venv/bin" };
    house.program(&format!("{venv}/python")).file("p/cycle_court/main_script.py", "").file("p/a b.py", "").config(
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
    assert!(found.starts_with(house.path("p").join(".venv")), "{}", found.display());
}

#[test]
fn the_fixtures_are_projects_and_match_the_schema() {
    let house = House::new();
    let venv = if cfg!(windows) { "p/.venv/Scripts" } else { "p/.venv/bin" };
    house.program(&format!("{venv}/python")).program("bin/node").file("p/secrets.env", "TOKEN=1");
    house.file("p/cycle_court/main_script.py", "").file("p/cycle_court/second.py", "");
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = std::fs::read_dir(root.join("tests/fixtures/config/good")).unwrap();
    let examples = std::fs::read_dir(root.join("example_projects")).into_iter().flatten();
    let examples = examples.map(|folder| folder.unwrap().path().join("exec_config.json"));
    let mut seen = 0;
    for file in fixtures.map(|file| file.unwrap().path()).chain(examples).chain([root.join("exec_config.example.json")])
    {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let errors: Vec<String> =
            validator.iter_errors(&serde_json::from_str(&text).unwrap()).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", file.display());
        if file.starts_with(root.join("tests")) {
            let loaded = house.config(&text).loaded();
            assert!(loaded.warnings.is_empty(), "{}: {:?}", file.display(), loaded.warnings);
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
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
            "p/exec_config.json:5:21: email_strategy: `failures_only` is not one of `all`, `failure_only`, `none`, \
             `changes`, `digest`; did you mean `failure_only`?",
            "p/exec_config.json:6:24: include_traceback: expected true or false, found the text `yes`; write true, without \
             quotes",
        ]
    );
    assert_eq!(
        house.lines(&error.warnings),
        ["p/exec_config.json:7:3: retires: unknown key `retires`; it does nothing; did you mean `retries`?"]
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
            "3:18: email_strategy: expected one of `all`, `failure_only`, `none`, `changes`, `digest`, found the number 1",
        ),
        (
            r#""email_strategy": "weekly""#,
            "3:18: email_strategy: `weekly` is not one of `all`, `failure_only`, `none`, `changes`, `digest`",
        ),
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
        r#""Timeout": 5, "pipeline": 3, "output": {"keepdays": 1},
        "scripts": [{"path": "main.py", "python_command": "x", "arg": []}]"#,
    );
    let lines = house.lines(&house.loaded().warnings);
    assert_eq!(
        lines.iter().map(|line| line.split_once(": ").unwrap().1).collect::<Vec<_>>(),
        [
            "Timeout: unknown key `Timeout`; it does nothing; did you mean `timeout`?",
            "pipeline: unknown key `pipeline`; it does nothing",
            "output.keepdays: unknown key `keepdays`; it does nothing; did you mean `keep_days`?",
            "scripts: `scripts` stands twice in this object; this one counts; remove the one at line 1, column 2",
            "scripts[0].python_command: unknown key `python_command`; it does nothing; a script's key is `interpreter`",
            "scripts[0].arg: unknown key `arg`; it does nothing; did you mean `args`?",
        ]
    );
}

//! Files and variables, and how they are laid over each other.

use super::*;

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
        .file("p/exec_config.example.json", "{}")
        .file("p/exec_config.a.b.json", "{}")
        .file("p/exec_config.Common.json", "{}")
        .file("p/exec_config.runs.json", "{}");
    let line = |profile| house.lines(&house.load_profile(Some(profile)).expect_err(profile).problems).join("\n");
    assert_eq!(
        line("prd"),
        "p/exec_config.prd.json: the profile `prd` doesn't exist; did you mean `prod`? there are: dev, example, prod"
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
    let error = house.with(r#""env": {"DB_PASSWORD": "hunter2", "A": 1}, "args": 1"#).load().expect_err("problems");
    let shown = format!("{error:?} {error} {}", error.problems.iter().map(|p| p.fancy(false, 200)).collect::<String>());
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

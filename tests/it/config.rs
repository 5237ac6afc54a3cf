//! What is said of project files, and which value holds.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Finished, Test, subject};

/// Runs the runner with these variables set.
fn with_env(test: &Test, args: &[&str], variables: &[(&str, &str)]) -> Finished {
    let mut command = test.command(args);
    command.envs(variables.iter().copied());
    Finished::of(command.output().unwrap())
}

/// The parts of a problem's line: the file, line and column, then the rest.
#[track_caller]
fn placed(line: &str) -> (String, String, &str) {
    let name = "exec_config.json:";
    let at = line.find(name).unwrap_or_else(|| panic!("no place in: {line}")) + name.len();
    let (place, rest) = line[at..].split_once(": ").unwrap_or_else(|| panic!("{line}"));
    (line[..at - 1].to_owned(), place.to_owned(), rest)
}

/// The value of a key that `check --explain --json` shows, and where it came from.
#[track_caller]
fn explained(rows: &[Value], path: &str) -> (Value, String) {
    let row = rows.iter().find(|row| row["path"] == path).unwrap_or_else(|| panic!("no {path} in {rows:?}"));
    (row["value"].clone(), row["origin"].as_str().unwrap().to_owned())
}

#[test]
fn every_problem_is_one_line_with_its_place_and_a_remedy() {
    let test = Test::new();
    let project = test.project("p").script("main.py", "");
    let text = format!(
        r#"{{
  "scripts": ["main.py", "mian.py"],
  "python_command": {},
  "recipients": ["team@example.com", "nobody"],
  "email_strategy": "failures_only",
  "include_traceback": "yes",
  "logs_backup_count": -1,
  "timout": 5
}}
"#,
        json!(subject())
    );
    let _project = project.file("exec_config.json", text);
    let expected = [
        ("2:26", "scripts[1]: FileNotFoundError: ", "did you mean `main.py`?"),
        ("4:38", "recipients[1]: BadRecipientList: ", "you@example.com"),
        ("5:21", "email_strategy: ", "did you mean `failure_only`?"),
        ("6:24", "include_traceback: expected true or false", "write true, without quotes"),
        ("7:24", "logs_backup_count: ", ""),
    ];
    for args in [["check", "p"], ["run", "p"]] {
        let run = test.runner(args).expect(2);
        let (warnings, problems): (Vec<&str>, Vec<&str>) =
            run.stderr.lines().partition(|line| line.starts_with("warning: "));
        assert_eq!(problems.len(), expected.len(), "{}", run.stderr);
        for (line, (place, start, remedy)) in problems.iter().zip(expected) {
            let (file, at, rest) = placed(line);
            assert_eq!(Path::new(&file), test.path("p").join("exec_config.json"), "{line}");
            assert_eq!(at, place, "{line}");
            assert!(rest.starts_with(start) && rest.contains(remedy), "{line}");
            assert!(remedy.is_empty() || rest.contains("; "), "{line}");
        }
        if args[0] == "check" {
            assert!(warnings.is_empty(), "problems come first; {warnings:?}");
        }
        assert!(!test.path("p").join("logs").exists());
    }
    let run = test.runner(["check", "p", "--json"]).expect(2);
    let objects = run.json();
    assert_eq!(objects.len(), expected.len(), "{objects:?}");
    assert_eq!(
        (&objects[0]["severity"], &objects[0]["line"], &objects[0]["column"], &objects[0]["path"]),
        (&json!("error"), &json!(2), &json!(26), &json!("scripts[1]"))
    );
}

#[test]
fn problems_of_several_projects_are_told_together() {
    let test = Test::new();
    test.project("a").script("x.txt", "").set("email_strategy", "sometimes");
    test.project("b").script("x.txt", "").set("logs_backup_count", "four");
    test.project("c").script("x.txt", "");
    let run = test.runner(["check", "a", "b", "c", "nowhere"]).expect(2);
    assert_eq!(run.stderr.lines().count(), 3, "{}", run.stderr);
    assert!(run.stderr.lines().last().unwrap().contains("nowhere: FileNotFoundError: "), "{}", run.stderr);
    assert!(run.stdout.starts_with("ok  ") && run.stdout.contains("(1 script)"), "{}", run.stdout);
}

#[test]
fn broken_files_are_explained_and_never_a_panic() {
    let test = Test::new();
    let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, Vec<u8>); 6] = [
        ("empty", Vec::new()),
        ("torn", b"{\"scripts\": [".to_vec()),
        ("utf16", utf16),
        ("latin", b"{\"scripts\": [\"caf\xe9.py\"]}".to_vec()),
        ("brackets", vec![b'['; 10 << 20]),
        ("list", b"[]".to_vec()),
    ];
    for (name, content) in cases {
        let _project = test.project(name).file("exec_config.json", content);
        let run = test.runner(["run", name]).expect(2);
        assert_eq!(run.stderr.lines().count(), 1, "{name}: {}", run.stderr);
        assert!(run.stderr.contains("exec_config.json") && run.stderr.len() < 1000, "{name}: {}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{name}: {}", run.stderr);
    }
    std::fs::create_dir_all(test.path("folder").join("exec_config.json")).unwrap();
    let run = test.runner(["run", "folder"]).expect(2);
    assert!(run.stderr.contains("is a folder, not a file"), "{}", run.stderr);
}

#[test]
fn a_byte_order_mark_is_no_problem() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a");
    let text = std::fs::read(project.root.join("exec_config.json")).unwrap();
    let project = project.file("exec_config.json", [b"\xef\xbb\xbf".as_slice(), text.as_slice()].concat());
    test.runner(["run", "p"]).expect(0);
    assert_eq!(project.log_ends(), ["a.txt - success"]);
}

#[test]
fn each_layer_lies_over_the_one_before() {
    let test = Test::new();
    close_to_others(&test.path(""));
    let common = json!({"timeout": "1m", "kill_grace": "1s", "on_failure": "stop", "log_filename": "common"});
    std::fs::write(test.path("exec_config.common.json"), common.to_string()).unwrap();
    let project = test
        .project("p")
        .script("a.txt", "exit 1")
        .script("b.txt", "print b")
        .set("kill_grace", "2s")
        .set("log_filename", "project")
        .set("timeout", "2m")
        .file("exec_config.dev.json", json!({"log_filename": "profile", "timeout": "3m"}).to_string());
    let run =
        with_env(&test, &["check", "p", "--explain", "--json", "--profile", "dev"], &[("RUNNER_SET_TIMEOUT", "90s")])
            .expect(0);
    let rows = run.json();
    let origin_of = |path: &str| explained(&rows, path).1;
    assert_eq!(explained(&rows, "timeout"), (json!("90s"), "RUNNER_SET_TIMEOUT".to_owned()));
    assert_eq!(explained(&rows, "log_filename").0, "profile");
    assert!(origin_of("log_filename").contains("exec_config.dev.json:1:"), "{}", origin_of("log_filename"));
    assert_eq!(explained(&rows, "kill_grace").0, "2s");
    assert!(origin_of("kill_grace").contains("exec_config.json:"), "{}", origin_of("kill_grace"));
    assert_eq!(explained(&rows, "on_failure").0, "stop");
    assert!(origin_of("on_failure").contains("exec_config.common.json:1:"), "{}", origin_of("on_failure"));
    assert_eq!(explained(&rows, "log_rotation"), (json!("3d"), "built-in default".to_owned()));
    assert!(rows.iter().all(|row| row["project"] == "p"), "{rows:?}");
    let table = test.runner(["check", "p", "--explain"]).expect(0).stdout;
    let line = table.lines().find(|line| line.starts_with("timeout ")).unwrap();
    assert!(line.contains("\"2m\"") && line.contains("exec_config.json:"), "{line}");

    test.runner(["run", "p"]).expect(1);
    assert!(project.root.join("logs/project.log").exists());
    assert_eq!(project.ends().len(), 1, "the common file's on_failure holds");
    test.runner(["run", "p", "--profile", "dev"]).expect(1);
    assert!(project.root.join("logs/dev/profile.log").exists());
    let run = test.runner(["run", "p", "--profile", "def"]).expect(2);
    assert!(run.stderr.contains("the profile `def` doesn't exist; there are: dev"), "{}", run.stderr);
}

/// What lies above a project counts only where nobody else may write.
fn close_to_others(folder: &Path) {
    #[cfg(unix)]
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let _ = folder;
}

#[test]
fn a_variable_is_text_where_its_key_wants_text() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a").file("12", "A=b\n");
    std::fs::create_dir(project.root.join("2024")).unwrap();
    let cases = [
        ("RUNNER_SET_LOG_FILENAME", "log_filename", "2024"),
        ("RUNNER_SET_LOG_FILENAME", "log_filename", "1e3"),
        ("RUNNER_SET_LOG_FILENAME", "log_filename", "true"),
        ("RUNNER_SET_WORKING_DIR", "working_dir", "2024"),
        ("RUNNER_SET_ENV_FILE", "env_file", "12"),
    ];
    for (variable, key, value) in cases {
        let run = with_env(&test, &["check", "p", "--explain", "--json"], &[(variable, value)]).expect(0);
        assert_eq!(explained(&run.json(), key), (json!(value), variable.to_owned()));
    }
    // Other keys, and other forms, are what their JSON says.
    let variables = [("RUNNER_SET_INCLUDE_TRACEBACK", "false"), ("RUNNER_SET_LOG_FILENAME", "\"quoted\"")];
    let rows = with_env(&test, &["check", "p", "--explain", "--json"], &variables).expect(0).json();
    assert_eq!(explained(&rows, "include_traceback").0, false);
    assert_eq!(explained(&rows, "log_filename").0, "quoted");
    // A strategy that reads as something else gets the words that there are.
    let run = with_env(&test, &["check", "p"], &[("RUNNER_SET_EMAIL_STRATEGY", "true")]).expect(2);
    assert!(run.stderr.contains("failure_only") && run.stderr.contains("`true`"), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn the_program_true_is_a_program() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "exit 1");
    for variable in ["RUNNER_SET_PYTHON_COMMAND", "RUNNER_SET_INTERPRETER"] {
        with_env(&test, &["run", "p"], &[(variable, "true")]).expect(0);
    }
    with_env(&test, &["run", "p"], &[("RUNNER_SET_PYTHON_COMMAND", r#"["sh", "-c", "exit 0"]"#)]).expect(0);
    assert_eq!(project.log_ends(), ["a.txt - success"; 3]);
}

/// The source's own six keys, with the paths that its Windows users write.
#[test]
fn a_file_written_for_the_source_works_unchanged() {
    let test = Test::new();
    let project = test.project("project_1");
    let name = if cfg!(windows) { "python.exe" } else { "python" };
    let folder = project.root.join(".venv").join(if cfg!(windows) { "Scripts" } else { "bin" });
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::create_dir(project.root.join("cycle_court")).unwrap();
    std::fs::copy(subject(), folder.join(name)).unwrap();
    for python in [".venv/Scripts/python", r".venv\\Scripts\\python.exe", ".venv/bin/python"] {
        let absolute = json!(project.root.join("last.py"));
        let text = format!(
            r#"{{
    "scripts": ["cycle_court/main_script.py", "cycle_court\\other.py", {absolute}],
    "python_command": "{python}",
    "recipients": ["my_email@gmail.com"],
    "email_strategy": "FAILURE_ONLY",
    "include_traceback": true,
    "logs_backup_count": 0
}}"#
        );
        for script in ["cycle_court/main_script.py", "cycle_court/other.py", "last.py", "exec_config.json"] {
            let content = if script == "exec_config.json" { text.as_str() } else { "print fine" };
            std::fs::write(project.root.join(script), content).unwrap();
        }
        let run = test.runner(["run", "project_1", "--no-mail"]).expect(0);
        assert_eq!(run.stderr, "");
    }
    let expected = ["main_script.py - success", "other.py - success", "last.py - success"];
    assert_eq!(project.log_ends(), [expected, expected, expected].concat());
}

#[test]
fn without_an_account_nothing_runs_where_a_mail_may_be_due() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch ran").set("email_strategy", "failure_only");
    let other = test.project("quiet").script("a.txt", "print a");
    let run = test.runner(["run", "p", "quiet"]).expect(2);
    assert!(run.stderr.starts_with("error: p: MissingEnvironmentVariable: "), "{}", run.stderr);
    assert!(run.stderr.contains("LOGIN_MAIL") && run.stderr.contains("PASSWORD_MAIL"), "{}", run.stderr);
    assert!(!project.root.join("ran").exists() && !project.root.join("logs").exists());
    assert_eq!(other.log_ends(), ["a.txt - success"], "the strategy none needs no account");

    let run = with_env(&test, &["run", "p"], &[("LOGIN_MAIL", "me@example.com")]).expect(2);
    assert!(run.stderr.contains("PASSWORD_MAIL") && !run.stderr.contains("LOGIN_MAIL is"), "{}", run.stderr);

    test.runner(["run", "p", "--dry-run"]).expect(0);
    assert!(!project.root.join("ran").exists());
    test.runner(["run", "p", "--no-mail"]).expect(0);
    std::fs::remove_file(project.root.join("ran")).unwrap();
    test.runner(["run", "p", "--mail-dir", "mails"]).expect(0);
    assert!(project.root.join("ran").exists());
    let check = test.runner(["check", "p"]).expect(0);
    assert!(check.stderr.starts_with("warning: p: Missing") && check.stderr.contains("LOGIN_MAIL"), "{}", check.stderr);
}

/// Events name the project's folder in JSON, which has Unicode only.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_no_event_could_name_is_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch ran");
    for name in [OsStr::from_bytes(b"caf\xe9"), OsStr::from_bytes(b"caf\xe9/inner")] {
        let folder = test.path("").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for file in ["a.txt", "exec_config.json"] {
            std::fs::copy(project.root.join(file), folder.join(file)).unwrap();
        }
        let run = test.runner([OsStr::new("run"), folder.as_os_str()]).expect(2);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(run.stderr.contains("is not UTF-8; rename the folder"), "{}", run.stderr);
        assert!(!folder.join("ran").exists() && !folder.join("logs").exists());
        let mut inside = test.command(["run"]);
        inside.current_dir(&folder);
        Finished::of(inside.output().unwrap()).expect(2);
        // The same holds for the mail's file.
        let args = [OsStr::new("run"), OsStr::new("p"), OsStr::new("--mail-dir"), folder.as_os_str()];
        let run = test.runner(args).expect(2);
        assert!(run.stderr.contains("is not Unicode; name another folder"), "{}", run.stderr);
        assert!(!project.root.join("ran").exists());
    }
}

#[test]
fn a_schedule_that_is_over_is_told_by_check_with_its_place() {
    let test = Test::new();
    let _project = test.project("p").script("a.txt", "print a").set(
        "schedule",
        json!([{"at": "2001-09-09T01:46:40Z"}, {"interval": "1h", "end": "2001-10-01"}, {"interval": "1h"}]),
    );
    let checked = test.runner(["check", "p"]).expect(0);
    let told: Vec<_> = checked.stderr.lines().map(placed).collect();
    assert_eq!(told.len(), 2, "{}", checked.stderr);
    let (_, place, rest) = &told[0];
    assert!(place.split_once(':').is_some_and(|(line, column)| line != "0" && column != "0"), "{}", checked.stderr);
    assert!(rest.starts_with("schedule[0].at: the schedule is over: it is never due again; "), "{rest}");
    assert!(told[1].2.starts_with("schedule[1].end: the schedule is over"), "{}", checked.stderr);
    let rows = test.runner(["check", "p", "--json"]).expect(0).json();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!((&rows[0]["severity"], &rows[0]["path"]), (&json!("warning"), &json!("schedule[0].at")));
    assert!(rows.iter().all(|row| row["line"].as_u64() > Some(0) && row["hint"].is_string()), "{rows:?}");
    // Each run of what is left would be told the same again.
    assert_eq!(test.runner(["run", "p"]).expect(0).stderr, "");
}

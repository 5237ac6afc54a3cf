//! Secrets that scripts print are in nothing that a run leaves behind.

use std::path::{Path, PathBuf};

use mail_parser::MessageParser;
use serde_json::json;

use crate::harness::{Finished, Project, Test, python};

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// Fails the test if one of the secrets is in anything that was shown or left: the log, the run's folder with the output
/// and the events, the mails as they are read, the state database, what the runner printed.
#[track_caller]
fn assert_nowhere(test: &Test, project: &Project, run: &Finished, secrets: &[&str]) {
    let mut left = vec![("stdout".to_owned(), run.stdout.clone().into_bytes())];
    left.push(("stderr".to_owned(), run.stderr.clone().into_bytes()));
    for folder in [project.root.join("logs"), test.path("mails"), test.path("state")] {
        for file in files(&folder) {
            let bytes = std::fs::read(&file).unwrap();
            if file.extension().is_some_and(|extension| extension == "eml") {
                let mail = MessageParser::default().parse(&bytes).unwrap();
                let parts = (0..9).flat_map(|part| [mail.body_text(part), mail.body_html(part)]).flatten();
                let text = parts.collect::<Vec<_>>().join("\n");
                assert!(text.contains("***"), "{text}");
                left.push((file.display().to_string(), text.into_bytes()));
            }
            left.push((file.display().to_string(), bytes));
        }
    }
    assert!(left.iter().any(|(name, _)| name.ends_with("state.db")), "the database was looked at");
    assert!(left.iter().any(|(name, _)| name.ends_with(".eml")), "a mail was looked at");
    for (name, bytes) in &left {
        for secret in secrets {
            let at = bytes.windows(secret.len()).position(|window| window == secret.as_bytes());
            assert!(at.is_none(), "{name} has {secret}: {}", String::from_utf8_lossy(bytes));
        }
    }
}

fn run(test: &Test, variables: &[(&str, &str)]) -> Finished {
    let mut command = test.command(["run", "p", "-v", "--mail-dir", "mails"]);
    command.envs(variables.iter().copied());
    Finished::of(command.output().unwrap())
}

#[test]
fn secrets_are_masked_wherever_they_would_be_shown() {
    let test = Test::new();
    let broken = if cfg!(windows) { "with-hunter2.exe" } else { "with-hunter2" };
    let project = test
        .project("p")
        .set("email_strategy", "all")
        .set("env", json!({"DB_PASSWORD": "hunter2", "DB_PASSWORD_NEW": "hunter2-and-more", "MODE_TOKEN": "true"}))
        .file(".env", "PASSWORD_MAIL='mail pass 9'\nSTORE=postgres://app:url%20s3cret@db/sales\n")
        .file("own.env", "SIGNING_KEY=\"line-number-one\\nline-number-two\"\n")
        .file(broken, "\x7fnot a program")
        .script("plain.txt", "env DB_PASSWORD\nenv DB_PASSWORD_NEW\nenv GITHUB_TOKEN\nenv STORE\nprint true\nexit 3")
        .script("slow.txt", "env-slowly DB_PASSWORD_NEW\nenv-slowly DB_PASSWORD\nenv-slowly GITHUB_TOKEN\nwrite hunte")
        .script("errors.txt", "eprint refused: hunter2\neprint mail pass 9, url s3cret, mail%20pass%209\nexit 1")
        .script_with("lines.txt", "print of line-number-two\nexit 1", json!({"env_file": "own.env"}))
        .script_with("expects.txt", "", json!({"expect": {"file": "hunter2.csv"}}))
        .script("leaves.txt", "leave hunter2.pid 300");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(project.root.join(broken), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let project = project.script_with("broken.txt", "", json!({"interpreter": format!("./{broken}")}));
    let run = run(&test, &[("GITHUB_TOKEN", "ghp_0123456789"), ("EDITOR_THEME", "solarized")]).expect(1);
    let secrets =
        ["hunter2", "and-more", "mail pass 9", "mail%20pass%209", "ghp_0123456789", "s3cret", "line-number-two"];
    assert_nowhere(&test, &project, &run, &secrets);
    let plain = "DB_PASSWORD=***\nDB_PASSWORD_NEW=***\nGITHUB_TOKEN=***\nSTORE=postgres://app:***@db/sales\ntrue\n";
    assert_eq!(project.output_text(0), plain);
    assert_eq!(project.output_text(1), "***\n***\n***\nhunte", "what only begins like a secret is none");
    assert_eq!(project.output_text(2), "refused: ***\n***, ***, ***\n");
    assert_eq!(project.output_text(3), "of ***\n");
    let ends = project.ends();
    assert_eq!(ends[4]["outcome"]["what"], "***.csv is not there");
    // Windows tells the program alone.
    #[cfg(unix)]
    assert!(ends[5]["leaked"][0]["command"].as_str().unwrap().contains("***.pid"), "{}", ends[5]);
    assert!(ends[6]["outcome"]["error"].as_str().unwrap().contains("with-***"), "{}", ends[6]);
    assert!(run.stdout.contains("p | DB_PASSWORD=***\n"), "{}", run.stdout);
}

#[test]
fn json_lines_and_later_questions_have_no_secrets_either() {
    let test = Test::new();
    let project = test.project("p").set("email_strategy", "all").script("a.txt", "env API_KEY\neprint a b+c\nexit 1");
    let mut command = test.command(["run", "p", "--json", "--mail-dir", "mails"]);
    let run = Finished::of(command.env("API_KEY", "a b+c").output().unwrap()).expect(1);
    assert_nowhere(&test, &project, &run, &["a b+c"]);
    let id = project.run_dir().file_name().unwrap().to_string_lossy().into_owned();
    for args in [vec!["show", &id], vec!["logs", &id], vec!["show", &id, "--json"]] {
        let told = test.runner(args).expect(0);
        assert!(!told.stdout.contains("a b+c") && told.stdout.contains("***"), "{}", told.stdout);
    }
}

#[test]
fn a_python_traceback_names_no_secret() {
    let Some(python) = python() else { return };
    let test = Test::new();
    let script = "import json, os, sys\n\
        token = os.environ['SERVICE_TOKEN']\n\
        for c in token:\n    sys.stdout.write(c)\n    sys.stdout.flush()\n\
        print()\n\
        print(json.dumps({'token': token}), file=sys.stderr)\n\
        def connect(password):\n    raise RuntimeError(f'no access with {password}')\n\
        connect(token)\n";
    // Colours inside of it are taken out of the traceback, and so is what they hid.
    let in_colours = "import os\nt = os.environ['SERVICE_TOKEN']\nraise ValueError(t[:4] + '\\x1b[31m' + t[4:])\n";
    let project =
        test.project("p").set("email_strategy", "all").set("python_command", python).script("connects.py", script);
    let project = project.script("colours.py", in_colours);
    let mut command = test.command(["run", "p", "--mail-dir", "mails"]);
    let run = Finished::of(command.env("SERVICE_TOKEN", "zugriff \"né\" 42").output().unwrap()).expect(1);
    assert_nowhere(&test, &project, &run, &["zugriff \"né\" 42", r#"zugriff \"n\u00e9\" 42"#, r#"zugriff \"né\" 42"#]);
    let end = &project.ends()[0];
    let traceback = end["traceback"].as_str().unwrap();
    assert!(traceback.ends_with("RuntimeError: no access with ***"), "{traceback}");
    assert!(project.log_ends()[0].ends_with("RuntimeError: no access with ***"), "{:?}", project.log_ends());
    assert!(project.ends()[1]["traceback"].as_str().unwrap().ends_with("ValueError: ***"), "{}", project.ends()[1]);
    let text = project.output_text(0);
    assert!(text.starts_with("***\n") && text.contains(r#"{"token": "***"}"#), "{text}");
}

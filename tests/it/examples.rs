//! The example projects do what the README says of them.

use std::path::{Path, PathBuf};

use mail_parser::MessageParser;
use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test, copy_dir, python};

/// What a mail says: its subject, its text, its HTML.
struct Mail {
    subject: String,
    text: String,
    html: String,
}

impl Mail {
    /// A subject that stays the same from run to run, and a text that begins with the verdict.
    #[track_caller]
    fn expect_verdict(&self, project: &str, verdict: &str) {
        assert_eq!(self.subject, format!("{project}: run report"));
        assert!(self.text.starts_with(verdict), "{}", self.text);
    }
}

/// An example in a folder of its own, run with `--mail-dir`.
struct Example {
    test: Test,
    project: Project,
    run: Finished,
}

impl Example {
    /// `python` stands in for the interpreter of the project's file.
    fn run(name: &str, python: Option<&str>) -> Self {
        Self::run_with(name, python, &[])
    }

    /// With these variables.
    fn run_with(name: &str, python: Option<&str>, variables: &[(&str, &str)]) -> Self {
        let test = Test::new();
        copy_dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join("example_projects").join(name), &test.path(name));
        let project = test.existing(name);
        let mut command = test.command(["run", name, "--mail-dir", "mails"]);
        if let Some(python) = python.filter(|python| *python != "python3") {
            command.env("RUNNER_SET_PYTHON_COMMAND", python);
        }
        let run = Finished::of(command.envs(variables.iter().copied()).output().unwrap());
        Self { test, project, run }
    }

    #[track_caller]
    fn mail(&self) -> Mail {
        let mails: Vec<PathBuf> =
            std::fs::read_dir(self.test.path("mails")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(mails.len(), 1, "{mails:?}");
        assert!(mails[0].extension().is_some_and(|extension| extension == "eml"), "{mails:?}");
        let bytes = std::fs::read(&mails[0]).unwrap();
        let mail = MessageParser::default().parse(&bytes).unwrap();
        let to: Vec<_> = mail.to().unwrap().iter().filter_map(|one| one.address()).collect();
        assert!(to.contains(&"team@example.com"), "{to:?}");
        assert_eq!((mail.text_body_count(), mail.html_body_count()), (1, 1), "one part of each kind");
        Mail {
            subject: mail.subject().unwrap().to_owned(),
            text: mail.body_text(0).unwrap().replace("\r\n", "\n"),
            html: mail.body_html(0).unwrap().into_owned(),
        }
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.project.root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[track_caller]
    fn expect_all_succeeded(self, count: usize) -> Self {
        let Self { test, project, run } = self;
        let run = run.expect(0);
        assert_eq!(run.stderr, "");
        assert_eq!(project.log().len(), count);
        assert!(project.log_ends().iter().all(|end| end.ends_with(" - success")), "{:?}", project.log_ends());
        Self { test, project, run }
    }
}

/// Each folder is tested below; one that is added has to be, too.
#[test]
fn no_example_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("example_projects");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["cmd", "every_key", "failing", "hello_python", "inputs", "reports", "shell", "watched"]);
}

#[cfg(unix)]
#[test]
fn inputs() {
    let Some(python) = python() else { return };
    let example = Example::run("inputs", Some(python)).expect_all_succeeded(2);
    assert_eq!(example.project.output_text(0), "Visits since 2026-01-05\nLyon: 1\nKyoto: 2\n");
    assert_eq!(example.project.output_text(1), "no api_token: nothing goes to https://reports.example.com\n");
    let Example { test, project, .. } = example;
    std::fs::remove_dir_all(project.root.join("logs")).unwrap();
    let args = ["run", "inputs", "--no-mail", "--profile", "dev", "-p", "since=2026-01-06", "-p", "places=Oslo,Kyoto"];
    let mut command = test.command(args);
    command.env("RUNNER_PARAM_API_TOKEN", "of-the-server").env("RUNNER_SET_PYTHON_COMMAND", python);
    Finished::of(command.output().unwrap()).expect(0);
    assert_eq!(project.output_text(0), "Visits since 2026-01-06\nOslo: 1\nKyoto: 1\n");
    let told = project.output_text(1);
    assert_eq!(told.trim_start(), "3 lines go to http://localhost:8000 with the token ***\n");
}

#[test]
fn hello_python() {
    let Some(python) = python() else { return };
    let example = Example::run("hello_python", Some(python)).expect_all_succeeded(3);
    assert_eq!(example.file("work/greetings.txt").lines().count(), 5);
    assert!(example.file("work/letters.json").contains("\"안\""));
    assert!(example.project.output_text(1).contains("✓ こんにちは、京都のさくらさん！\n"));
    assert!(example.project.output_text(2).contains(" different letters\n"));
    let mail = example.mail();
    mail.expect_verdict("hello_python", "✓ hello_python: all 3 scripts succeeded. ");
    for part in [&mail.text, &mail.html] {
        assert!(part.contains("greet.py") && part.contains("Nothing to do."), "{part}");
    }
}

#[test]
fn reports() {
    let Some(python) = python() else { return };
    let example = Example::run("reports", Some(python)).expect_all_succeeded(3);
    let summary = example.file("work/summary.md");
    assert!(summary.contains("| 東京 | 1,443.70 € |") && summary.ends_with("Total: 2,847.20 €\n"), "{summary}");
    assert!(!example.project.root.join("work/summary.tmp").exists());
    example.mail().expect_verdict("reports", "✓ reports: all 3 scripts succeeded. ");

    // It stops at the first failure.
    let test = &example.test;
    let mut text = example.file("data/sales.csv");
    text.push_str("yesterday,東京,café,many,1.00\n");
    std::fs::write(example.project.root.join("data/sales.csv"), text).unwrap();
    let mut command = test.command(["run", "reports", "--no-mail"]);
    if python != "python3" {
        command.env("RUNNER_SET_PYTHON_COMMAND", python);
    }
    let run = Finished::of(command.output().unwrap()).expect(1);
    assert!(run.stdout.contains("`yesterday` is not a date"), "{}", run.stdout);
    assert!(run.stdout.contains("skipped summarise.py"), "{}", run.stdout);
}

#[cfg(unix)]
#[test]
fn shell() {
    let example = Example::run("shell", None).expect_all_succeeded(2);
    let sizes = example.file("work/sizes.txt");
    assert!(sizes.contains("collect.sh") && sizes.contains("exec_config.json"), "{sizes}");
    assert!(example.file("work/total.txt").starts_with("total: "));
    assert!(example.project.output_text(1).contains("collect.sh: "));
    example.mail().expect_verdict("shell", "✓ shell: all 2 scripts succeeded. ");
}

#[cfg(windows)]
#[test]
fn cmd() {
    let example = Example::run("cmd", None).expect_all_succeeded(2);
    let sizes = example.file("work/sizes.txt");
    assert!(sizes.contains("collect.cmd") && sizes.contains("exec_config.json"), "{sizes}");
    assert!(example.file("work/total.txt").starts_with("total: "));
    assert!(example.project.output_text(1).contains("collect.cmd: "));
    example.mail().expect_verdict("cmd", "✓ cmd: all 2 scripts succeeded. ");
}

#[test]
fn failing() {
    let Some(python) = python() else { return };
    let mut example = Example::run("failing", Some(python));
    example.run = example.run.expect(1);
    let log = example.project.log_ends();
    assert_eq!(log[0], "succeeds.py - success");
    let traceback = log[1].strip_prefix("raises.py - failure - Traceback (most recent call last):\\n  File ").unwrap();
    assert!(
        traceback.contains("\\nThe above exception was the direct cause of the following exception:\\n"),
        "{log:?}"
    );
    assert!(traceback.ends_with("BadOrder: order 17 has no usable price"), "{log:?}");
    assert_eq!(log[2], "exits_with_3.py - failure - exit code 3");
    if cfg!(unix) {
        assert_eq!(log[3], "is_killed.py - failure - signal 9 (SIGKILL)");
    } else {
        assert!(log[3].starts_with("is_killed.py - failure - exit code "), "{log:?}");
    }
    assert!(example.run.stdout.contains("3 of 4 scripts failed"), "{}", example.run.stdout);
    assert_eq!(example.project.ends()[2]["outcome"], json!({"kind": "exit_code", "code": 3}));

    let mail = example.mail();
    mail.expect_verdict("failing", "✗ failing: 3 of 4 scripts failed. ");
    for part in [&mail.text, &mail.html] {
        for words in ["raises.py", "BadOrder: order 17 has no usable price", "exit code 3", "the upstream file is not"]
        {
            assert!(part.contains(words), "{words}: {part}");
        }
        assert!(part.contains("12,50 €"), "{part}");
        assert!(!part.contains("succeeds.py"), "a mail of failures names failures only: {part}");
    }
}

#[test]
fn watched() {
    let Some(python) = python() else { return };
    // Nobody is told with `--mail-dir`; without an address there would be a warning.
    let variables = [("WATCHDOG", "https://watchdog.invalid/1"), ("TEAMS_WEBHOOK", "https://chat.invalid/2")];
    let example = Example::run_with("watched", Some(python), &variables).expect_all_succeeded(1);
    assert!(example.project.output_text(0).contains(" bytes of 1048576"));
    assert!(!example.test.path("mails").exists(), "a success is worth no mail");

    let checked = example.test.runner(["check", "watched", "--explain"]).expect(0);
    assert!(checked.stderr.contains("the variable WATCHDOG is not set"), "{}", checked.stderr);
}

/// The example is where one looks up how a key is written.
#[test]
fn the_example_with_every_key_has_every_key_of_the_schema() {
    fn collect(json: &Value, within: &mut dyn FnMut(&str, &Value)) {
        match json {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                within(key, value);
                collect(value, within);
            }),
            Value::Array(items) => items.iter().for_each(|item| collect(item, within)),
            _ => {}
        }
    }
    let read = |path: &str| -> Value {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
    };
    let (schema, example) =
        (read("schema/exec_config.schema.json"), read("example_projects/every_key/exec_config.json"));
    let keys_of = |json: &Value| {
        let mut keys = std::collections::BTreeSet::new();
        collect(json, &mut |key, _| {
            keys.insert(key.to_owned());
        });
        keys
    };
    let there = keys_of(&example);
    collect(&schema, &mut |key, value| {
        for name in value.as_object().into_iter().flatten().map(|(name, _)| name).filter(|_| key == "properties") {
            assert!(there.contains(name), "the example doesn't have the key {name}");
        }
    });
    // Other keys have names as those of an input have.
    let of_inputs = keys_of(&example["params"]);
    for name in schema["$defs"]["Declaration"]["properties"].as_object().unwrap().keys() {
        // A secret's file would have to be checked in.
        assert!(name == "file" || of_inputs.contains(name), "no input of the example has the key {name}");
    }
}

#[test]
fn every_key() {
    // One of its scripts names `python3` itself.
    match python() {
        Some("python3") => {}
        Some(_) => return println!("skipped: Python isn't called python3 here"),
        None => return,
    }
    let example = Example::run("every_key", Some("python3"));
    assert_eq!(example.run.stderr, "", "every key is known");
    let run = example.run.expect(0);
    assert!(run.stdout.contains("convert the prices"), "{}", run.stdout);
    let log = std::fs::read_to_string(example.project.root.join("logs/nightly.log")).unwrap();
    assert_eq!(log.lines().count(), 2, "{log}");
    let expected = "arguments: --verbose two words --limit=250 {as it is}\nREGION: Île-de-France\nCURRENCY: EUR\nGREETING: hello\nCURRENCIES: [\"EUR\", \"USD\"]\nrate service: https://rates.example.com\n";
    assert!(example.project.output_text(0).starts_with(expected), "{}", example.project.output_text(0));
    assert_eq!(example.project.ends()[1]["outcome"], json!({"kind": "success", "code": 3}));
    let converted = std::fs::read_to_string(example.project.root.join("work/converted.csv")).unwrap();
    assert!(converted.contains("café,2.61,USD"), "{converted}");
}

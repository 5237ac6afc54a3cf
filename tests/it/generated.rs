//! What is made from the program and checked in: the schema of the project file, the reference of the command line, the
//! manual pages. `UPDATE_GENERATED=1 cargo test` writes all of it anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Finished, Test};

/// Compares with a checked-in file, or writes it.
#[track_caller]
fn check(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, generated).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_default().replace("\r\n", "\n");
    assert!(stored == generated, "{path} is not up to date: UPDATE_GENERATED=1 cargo test");
}

#[test]
fn the_schema() {
    check("schema/exec_config.schema.json", &Test::new().runner(["schema"]).expect(0).stdout);
    let layer = Test::new().runner(["schema", "--layer"]).expect(0).stdout;
    check("schema/exec_config.layer.schema.json", &layer);
}

/// The project files that are handed out are what the schema describes.
#[test]
fn the_examples_are_what_the_schema_describes() {
    let validator = |args: &[&str]| {
        let schema: serde_json::Value = serde_json::from_str(&Test::new().runner(args).stdout).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    };
    let (whole, layer) = (validator(&["schema"]), validator(&["schema", "--layer"]));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("exec_config.example.json")];
    let examples = std::fs::read_dir(root.join("example_projects")).unwrap();
    let is_config = |name: &str| name.starts_with("exec_config.") && name.ends_with(".json");
    for folder in examples.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        files.extend(entries.filter(|file| is_config(file.file_name().to_str().unwrap())).map(|file| file.path()));
    }
    let is_layer =
        |file: &PathBuf| !["exec_config.json", "exec_config.example.json"].iter().any(|name| file.ends_with(name));
    assert!(files.len() > 6 && files.iter().any(is_layer), "{files:?}");
    for file in files {
        let (validator, schema) = if is_layer(&file) {
            (&layer, "exec_config.layer.schema.json")
        } else {
            (&whole, "exec_config.schema.json")
        };
        let value: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", file.display());
        let named = file.parent().unwrap().join(value["$schema"].as_str().unwrap());
        assert!(named.exists() && named.ends_with(schema), "{} names another schema", file.display());
    }
}

/// A command's help, and that of its verbs.
fn describe(command: &mut clap::Command, title: &str, page: &mut String) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    write!(page, "\n## {title}\n\n```text\n{}\n```\n", lines.join("\n")).unwrap();
    for verb in command.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
        describe(verb, &format!("{title} {}", verb.get_name()), page);
    }
}

/// `daemon install` takes other arguments on Windows; what is checked in is what Linux shows.
fn is_of_another_system() -> bool {
    if cfg!(windows) {
        println!("skipped: the pages that are checked in are those of Linux");
    }
    cfg!(windows)
}

#[test]
fn the_reference_of_the_command_line() {
    if is_of_another_system() {
        return;
    }
    let mut command = project_runner::cli::command().term_width(100);
    command.build();
    let mut page = String::from(
        "# The command line\n\nThis page is made from the program: what `runner help` and `runner help VERB` print, and the variables.\n",
    );
    describe(&mut command, "runner", &mut page);
    page.push_str("\n## Variables\n\nThe runner reads or sets these.\n\n| variable | |\n| --- | --- |\n");
    for variable in project_runner::config::env_vars::ALL {
        writeln!(page, "| `{}` | {} |", variable.name, variable.meaning).unwrap();
    }
    check("docs/cli.md", &page);
}

#[test]
fn the_manual_pages() {
    if is_of_another_system() {
        return;
    }
    let test = Test::new();
    test.runner(["man", "pages"]).expect(0);
    let mut pages: Vec<PathBuf> =
        std::fs::read_dir(test.path("pages")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    let names: Vec<String> =
        pages.iter().map(|page| page.file_name().unwrap().to_string_lossy().into_owned()).collect();
    for page in ["runner.1", "runner-run.1", "runner-history.1"] {
        assert!(names.contains(&page.to_owned()), "{names:?}");
    }
    for (page, name) in pages.iter().zip(&names) {
        let text = std::fs::read_to_string(page).unwrap();
        assert!(text.contains(".TH ") && text.contains(".SH SYNOPSIS"), "{name}");
        check(&format!("docs/man/{name}"), &text);
    }
    let stored = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/man")).unwrap();
    assert_eq!(stored.count(), names.len(), "pages of verbs that are gone");
    let single = test.runner(["man"]).expect(0).stdout;
    assert_eq!(single, std::fs::read_to_string(test.path("pages").join("runner.1")).unwrap());
}

#[test]
fn completions_are_programs_that_shells_can_read() {
    let test = Test::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = test.runner(["completions", shell]).expect(0).stdout;
        assert!(script.contains("runner") && script.contains("RUNNER_COMPLETE"), "{shell}: {script}");
        std::fs::write(test.path(shell), script).unwrap();
    }
    // Windows' `bash` may be another system's.
    if cfg!(unix) {
        for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
            match Command::new(shell).arg(check).arg(test.path(shell)).output() {
                Ok(output) => assert_eq!(Finished::of(output).expect(0).stderr, "", "{shell}"),
                Err(error) => println!("skipped {shell}: {error}"),
            }
        }
    }
}

/// What bash has in COMPREPLY for these words, of which the last is completed.
#[cfg(unix)]
fn completed(test: &Test, words: &[&str]) -> Option<Vec<String>> {
    completed_at(test, Path::new("/"), words)
}

/// The same, with the parent of this folder for the home.
#[cfg(unix)]
fn completed_at(test: &Test, folder: &Path, words: &[&str]) -> Option<Vec<String>> {
    let home = folder.parent().unwrap_or(folder);
    let script = test.runner(["completions", "bash"]).expect(0).stdout;
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let program = format!(
        "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_runner\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len() - 1
    );
    let folder = crate::harness::runner().parent().unwrap().display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let output = match Command::new("bash")
        .args(["-c", &program])
        .current_dir(test.path(""))
        .env("PATH", path)
        .env("HOME", home)
        .output()
    {
        Ok(output) => output,
        Err(error) => {
            println!("skipped: bash: {error}");
            return None;
        }
    };
    Some(Finished::of(output).stdout.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

#[cfg(unix)]
#[test]
fn shells_complete_verbs_and_the_inputs_of_projects() {
    let test = Test::new();
    let params = serde_json::json!({
        "region": {"type": "choice", "choices": ["eu", "us"]},
        "rows": "int",
        "size": {"type": "choice", "choices": ["very large", "small"]},
        "since": "date",
        "token": {"type": "str", "secret": true}
    });
    test.project("p").script("a.txt", "").set("params", params);
    let Some(verbs) = completed(&test, &["runner", "hist"]) else { return };
    assert_eq!(verbs, ["history"]);
    let complete = |words: &[&str]| completed(&test, words).unwrap();
    assert_eq!(complete(&["runner", "run", "p", "-p", ""]), ["region=", "rows=", "since=", "size="]);
    assert_eq!(complete(&["runner", "run", "p", "-p", "r"]), ["region=", "rows="]);
    assert_eq!(complete(&["runner", "run", "p", "-p", "region", "="]), ["eu", "us"]);
    assert_eq!(complete(&["runner", "run", "p", "--param", "region", "=", "e"]), ["eu"]);
    assert_eq!(complete(&["runner", "run", "p", "-p", "rows", "=", "1", "-p", "since", "=", "y"]), ["yesterday"]);
    assert_eq!(complete(&["runner", "run", "p", "-p", "size", "=", ""]), [r"very\ large", "small"]);
    assert_eq!(complete(&["runner", "run", "p", "-p", "size", "=", "\"very l"]), ["very large"]);
    let in_home = std::fs::canonicalize(test.path("p")).unwrap();
    assert_eq!(completed_at(&test, &in_home, &["runner", "run", "~/p", "-p", "reg"]).unwrap(), ["region="]);
    let colon = test.project("a:b").script("a.txt", "").set("params", serde_json::json!({"rows": "int"}));
    assert_eq!(complete(&["runner", "run", "a", ":", "b", "-p", ""]), ["rows="]);
    drop(colon);
}

#[cfg(unix)]
#[test]
fn shells_complete_profiles_and_the_inputs_of_runs_that_are_followed() {
    let test = Test::new();
    let project = test
        .project("my jobs")
        .script("a.txt", "exit 1")
        .set("params", serde_json::json!({"rows": "int"}))
        .file("exec_config.dev.json", r#"{"params": {"debug": "bool"}}"#)
        .file("exec_config.test.json", "{}")
        .file("exec_config.common.json", "{}");
    test.runner(["run", "my jobs"]).expect(1);
    let first = project.run_dir().file_name().unwrap().to_str().unwrap().to_owned();
    test.runner(["run", "my jobs", "--profile", "dev"]).expect(1);
    let second = test.runner(["history", "--json", "-n", "1"]).json()[0]["run_id"].as_str().unwrap().to_owned();
    let Some(profiles) = completed(&test, &["runner", "run", r"my\ jobs", "--profile", ""]) else { return };
    assert_eq!(profiles, ["dev", "test"]);
    let complete = |words: &[&str]| completed(&test, words).unwrap();
    assert_eq!(complete(&["runner", "check", "\"my jobs\"", "--profile", "=", "t"]), ["test"]);
    assert_eq!(complete(&["runner", "run", r"my\ jobs", "-p", ""]), ["rows="]);
    for profile in [&["--profile", "dev"][..], &["--profile", "=", "dev"]] {
        let words = [&["runner", "run", r"my\ jobs"][..], profile, &["-p", ""]].concat();
        assert_eq!(complete(&words), ["rows=", "debug="], "{profile:?}");
    }
    let state = test.path("state").display().to_string();
    for verb in ["retry", "resume"] {
        let with = |run: &str| complete(&["runner", "--state-dir", &state, verb, "-q", run, "-p", ""]);
        assert_eq!(with(&first), ["rows="]);
        assert_eq!(with(&second[..8]), ["rows=", "debug="], "with the profile of that run");
        assert_eq!(complete(&["runner", "--state-dir", &state, verb, &first, "--profile", ""]), ["dev", "test"]);
    }
}

#[test]
fn help_teaches() {
    let test = Test::new();
    let help = test.runner(["--help"]).expect(0).stdout;
    for words in ["Examples:\n", "Exit codes:\n", "runner check reports --explain", "history"] {
        assert!(help.contains(words), "{words}: {help}");
    }
    assert_eq!(test.runner(["help"]).expect(0).stdout, help);
    assert!(test.runner(["run", "--help"]).expect(0).stdout.contains("--mail-dir <DIR>"));
    assert_eq!(test.runner(["--version"]).expect(0).stdout, format!("runner {}\n", env!("CARGO_PKG_VERSION")));
    let empty: [&str; 0] = [];
    assert!(test.runner(empty).expect(2).stderr.contains("Usage: runner"));
    let wrong = test.runner(["rnu"]).expect(2);
    assert!(wrong.stderr.contains("unrecognized subcommand 'rnu'"), "{}", wrong.stderr);
    test.runner(["run", "--mail-dir", "a", "--no-mail"]).expect(2);
    test.runner(["run", "--jobs", "0"]).expect(2);
}

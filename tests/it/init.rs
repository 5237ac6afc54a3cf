//! `runner init` on folders as people have them: what it writes passes the check, and runs.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Test, python};

/// Writes files into a folder.
fn folder(test: &Test, name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
    let root = test.path(name);
    for (file, text) in files {
        let file = root.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    root
}

/// Makes the folder a project, checks it and runs it. Returns the file, and what was said beside.
#[track_caller]
fn init(test: &Test, name: &str, args: &[&str]) -> (Value, String) {
    let made = test.runner(["init", name].iter().chain(args)).expect(0);
    let file = test.path(name).join("exec_config.json");
    let file = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    test.runner(["check", name]).expect(0);
    let run = test.runner(["run", name, "--mail-dir", "mails"]);
    assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
    (file, made.stderr)
}

#[test]
fn a_flat_folder_of_python_scripts() {
    let Some(python) = python() else { return };
    let test = Test::new();
    folder(
        &test,
        "reports",
        &[
            ("10_send.py", "import helpers\nprint(helpers.greet())\n"),
            ("2_load.py", "from helpers import greet\nprint(greet())\n"),
            ("helpers.py", "def greet():\n    return 'hello'\n"),
            ("test_helpers.py", "raise SystemExit('a test')\n"),
            ("README.md", "# Reports\n"),
            ("data.csv", "a,b\n"),
        ],
    );
    let (file, told) = init(&test, "reports", &[]);
    let expected = json!({
        "scripts": ["2_load.py", "10_send.py"], "python_command": python, "recipients": [], "email_strategy": "none",
        "include_traceback": true, "logs_backup_count": 10
    });
    assert_eq!(file, expected);
    assert!(told.contains("passed over helpers.py: another script imports it"), "{told}");
    assert!(told.contains("passed over test_helpers.py: it looks like a part of a test"), "{told}");
}

#[test]
fn a_python_project_with_its_virtual_environment() {
    let Some(python) = python() else { return };
    let test = Test::new();
    let root = folder(
        &test,
        "etl",
        &[
            ("main.py", "import sys\nfrom etl import steps\nsteps.go()\nassert sys.prefix != sys.base_prefix\n"),
            ("etl/__init__.py", ""),
            ("etl/steps.py", "def go():\n    print('gone')\n"),
            ("setup.py", "from setuptools import setup\nsetup()\n"),
            ("pyproject.toml", "[project]\nname = 'etl'\n"),
        ],
    );
    let made = Command::new(python).args(["-m", "venv", "--without-pip"]).arg(root.join("venv")).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: this Python makes no virtual environments");
        return;
    }
    let (file, _) = init(&test, "etl", &["--recipient", "team@example.com"]);
    let inner = if cfg!(windows) { "venv/Scripts/python" } else { "venv/bin/python" };
    assert_eq!((&file["scripts"], &file["python_command"]), (&json!(["main.py"]), &json!(inner)));
    assert_eq!((&file["recipients"], &file["email_strategy"]), (&json!(["team@example.com"]), &json!("failure_only")));
}

#[test]
fn scripts_in_a_folder_below() {
    let Some(_) = python() else { return };
    let test = Test::new();
    folder(
        &test,
        "nightly",
        &[
            ("README", "What runs at night.\n"),
            ("scripts/Clean.py", "print(1)\n"),
            ("scripts/archive.py", "print(2)\n"),
        ],
    );
    let (file, _) = init(&test, "nightly", &["--yes"]);
    assert_eq!(file["scripts"], json!(["scripts/archive.py", "scripts/Clean.py"]));
}

#[cfg(unix)]
#[test]
fn shell_scripts_and_python_mixed() {
    let Some(python) = python() else { return };
    let test = Test::new();
    folder(
        &test,
        "mixed dir",
        &[
            ("1 fetch.sh", "#!/bin/sh\necho fetched\n"),
            ("2-parse.py", "print('parsed')\n"),
            ("3_load.py", "print('loaded')\n"),
            ("4_send.py", "print('sent')\n"),
            ("cleanup", "#!/usr/bin/env sh\necho cleaned\n"),
            ("LICENSE", "All rights reserved.\n"),
        ],
    );
    let (file, told) = init(&test, "mixed dir", &[]);
    let scripts = json!([
        {"path": "1 fetch.sh", "interpreter": "sh"}, "2-parse.py", "3_load.py", "4_send.py", {"path": "cleanup", "interpreter": "sh"}
    ]);
    assert_eq!((&file["scripts"], &file["python_command"], told.as_str()), (&scripts, &json!(python), ""));
}

#[cfg(windows)]
#[test]
fn batch_files() {
    let test = Test::new();
    folder(&test, "batch", &[("1 fetch.cmd", "@echo fetched\r\n"), ("2_load.BAT", "@echo loaded\r\n")]);
    let (file, _) = init(&test, "batch", &[]);
    assert_eq!(file["scripts"], json!(["1 fetch.cmd", "2_load.BAT"]));
    assert_eq!(file["python_command"], json!(["cmd", "/d", "/c"]));
}

#[test]
fn a_folder_of_node_scripts() {
    let node = Command::new("node").arg("--version").output();
    if !node.is_ok_and(|output| output.status.success()) {
        println!("skipped: node isn't on PATH");
        return;
    }
    let test = Test::new();
    let files = [("package.json", "{}"), ("sync.mjs", "console.log(1)\n"), ("eslint.config.js", "throw 1\n")];
    folder(&test, "node", &files);
    let (file, _) = init(&test, "node", &[]);
    assert_eq!((&file["scripts"], &file["python_command"]), (&json!(["sync.mjs"]), &json!("node")));
}

#[test]
fn nothing_is_ever_overwritten() {
    let test = Test::new();
    let root = folder(&test, "p", &[("exec_config.json", "mine"), ("a.py", "")]);
    let told = test.runner(["init", "p", "--yes"]).expect(2).stderr;
    assert!(told.contains("exec_config.json is there already, and stays as it is"), "{told}");
    assert_eq!(std::fs::read_to_string(root.join("exec_config.json")).unwrap(), "mine");
    #[cfg(unix)]
    {
        // A link that leads nowhere is somebody's too.
        let root = folder(&test, "q", &[("a.py", "")]);
        std::os::unix::fs::symlink("elsewhere.json", root.join("exec_config.json")).unwrap();
        test.runner(["init", "q", "--yes"]).expect(2);
        assert!(!root.join("elsewhere.json").exists());
    }
}

#[test]
fn what_would_not_pass_the_check_is_not_written() {
    let test = Test::new();
    let gone = |name: &str, args: &[&str], message: &str| {
        let told = test.runner(["init", name].iter().chain(args)).expect(2).stderr;
        assert!(told.contains(message), "{told}");
        assert!(!test.path(name).join("exec_config.json").exists());
    };
    folder(&test, "empty", &[("notes.txt", "")]);
    gone("empty", &[], "error: no scripts were found; name them with --script");
    gone("empty", &["--script", "x.py"], "what runs x.py? say so with --interpreter");
    folder(&test, "p", &[("a.py", "")]);
    let interpreter = crate::harness::subject();
    let interpreter = interpreter.to_str().unwrap();
    gone("p", &["--script", "b.py", "--interpreter", interpreter], "FileNotFoundError: `b.py` isn't there");
    gone("p", &["--interpreter", "no such program", "--script", "a.py"], "BadPythonInterpreter");
    gone("p", &["--recipient", "nobody", "--interpreter", interpreter, "--script", "a.py"], "BadRecipientList");
    gone("nowhere", &[], "is not a folder");
    let printed =
        test.runner(["init", "p", "--print", "--interpreter", interpreter, "--script", "a.py"]).expect(0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap()["scripts"], json!(["a.py"]));
    assert!(!Path::new(&test.path("p")).join("exec_config.json").exists());
}

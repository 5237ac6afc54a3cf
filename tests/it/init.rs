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

#[test]
fn a_project_with_its_sources_in_a_folder_of_their_own() {
    let Some(python) = python() else { return };
    let test = Test::new();
    let files = [
        ("pyproject.toml", "[project]\nname = 'etl'\n"),
        ("setup.py", "raise SystemExit('not to be run')\n"),
        ("conftest.py", "raise SystemExit('not to be run')\n"),
        ("__init__.py", ""),
        ("src/__init__.py", ""),
        ("src/helpers.py", "def greet():\n    return 'hello'\n"),
        ("src/load data.py", "from helpers import greet\nprint(greet())\n"),
        ("src/etl/__init__.py", ""),
        ("tests/test_load.py", "raise SystemExit('a test')\n"),
    ];
    folder(&test, "etl", &files);
    let (file, told) = init(&test, "etl", &[]);
    assert_eq!((&file["scripts"], &file["python_command"]), (&json!(["src/load data.py"]), &json!(python)));
    for name in ["setup.py", "conftest.py", "__init__.py", "src/__init__.py"] {
        assert!(
            told.contains(&format!("passed over {name}: it looks like a part of a test or of the build")),
            "{told}"
        );
    }
}

/// Where there is no PowerShell something stands in for it that takes nothing but what PowerShell would run.
#[test]
fn powershell_scripts() {
    let test = Test::new();
    let bin = test.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let is_there = |shell: &str| Command::new(shell).arg("-Version").output().is_ok_and(|out| out.status.success());
    if cfg!(unix) && !is_there("pwsh") {
        let stand_in = "#!/bin/sh\n[ \"$1 $2 $3 $4 $5\" = '-NoProfile -NonInteractive -ExecutionPolicy Bypass -File' ] && test -f \"$6\"\n";
        std::fs::write(bin.join("pwsh"), stand_in).unwrap();
        make_executable(&bin.join("pwsh"));
        println!("with a stand-in: pwsh isn't on PATH");
    } else if cfg!(windows) && crate::harness::under_wine() {
        println!("skipped: Wine's PowerShell runs nothing");
        return;
    }
    let path = std::env::join_paths(
        std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let path = path.unwrap();
    folder(&test, "admin", &[("1_Get-Users.ps1", "Write-Output 'users'\n"), ("2_Send Report.PS1", "exit 0\n")]);
    let run = |args: &[&str]| {
        let mut command = test.command(args);
        crate::harness::Finished::of(command.env("PATH", &path).output().unwrap()).expect(0)
    };
    run(&["init", "admin"]);
    run(&["check", "admin"]);
    run(&["run", "admin", "--no-mail"]);
    let file: Value = serde_json::from_slice(&std::fs::read(test.path("admin/exec_config.json")).unwrap()).unwrap();
    assert_eq!(file["scripts"], json!(["1_Get-Users.ps1", "2_Send Report.PS1"]));
    assert_eq!(file["python_command"].as_array().unwrap().last().unwrap(), "-File");
}

#[cfg(unix)]
fn make_executable(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(windows)]
fn make_executable(_: &Path) {}

#[cfg(unix)]
#[test]
fn shell_scripts() {
    let test = Test::new();
    folder(
        &test,
        "backup",
        &[
            ("10 rotate.sh", "#!/bin/sh\necho rotated\n"),
            ("9_dump.sh", "echo dumped\n"),
            ("verify", "#!/usr/bin/env sh\necho verified\n"),
            ("crontab.txt", "0 3 * * * /backup/9_dump.sh\n"),
        ],
    );
    let (file, told) = init(&test, "backup", &[]);
    assert_eq!((&file["scripts"], told.as_str()), (&json!(["9_dump.sh", "10 rotate.sh", "verify"]), ""));
    assert_eq!(file["python_command"], "sh");
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

/// Of several that write at once one does, and whoever sees the file sees all of it.
#[test]
fn of_several_at_once_one_writes_the_file_and_whole() {
    let test = Test::new();
    let interpreter = crate::harness::subject();
    let root = folder(&test, "p", &[("a.txt", "")]);
    let args = ["init", "p", "--script", "a.txt", "--interpreter", interpreter.to_str().unwrap()];
    let runners: Vec<_> = (0..6).map(|_| test.start(args)).collect();
    let seen = crate::harness::wait_for_file(&root.join("exec_config.json"));
    assert_eq!(serde_json::from_str::<Value>(&seen).unwrap()["scripts"], json!(["a.txt"]));
    let ends: Vec<_> = runners.into_iter().map(crate::harness::finish).collect();
    let mut codes: Vec<i32> = ends.iter().map(|end| end.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 2, 2, 2, 2, 2]);
    for end in ends.iter().filter(|end| end.code == 2) {
        assert!(end.stderr.contains("exec_config.json is there already, and stays as it is"), "{}", end.stderr);
    }
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn what_it_says_to_do_next_can_be_typed() {
    let test = Test::new();
    let interpreter = crate::harness::subject();
    let name = if cfg!(windows) { "it is here" } else { "it's $HOME here" };
    folder(&test, name, &[("a.txt", "print ran")]);
    let said =
        test.runner(["init", name, "--script", "a.txt", "--interpreter", interpreter.to_str().unwrap()]).expect(0);
    let next = said.stdout.lines().last().unwrap().strip_prefix("Next: runner ").unwrap().to_owned();
    let mut shell = shell(&format!("{} {next} --no-mail", crate::harness::runner().display()));
    let ran = shell.env("RUNNER_STATE_DIR", test.path("state")).output().unwrap();
    crate::harness::Finished::of(ran).expect(0);
}

#[cfg(windows)]
fn shell(line: &str) -> Command {
    use std::os::windows::process::CommandExt;
    let mut shell = Command::new("cmd");
    shell.raw_arg(format!("/d /s /c \"{line}\""));
    shell
}

#[cfg(unix)]
fn shell(line: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]);
    shell
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_unicode_are_refused_by_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let test = Test::new();
    let root = folder(&test, "p", &[("a.sh", "true")]);
    let bad = OsStr::from_bytes(b"b\xff.sh");
    std::fs::write(root.join(bad), "true").unwrap();
    std::fs::write(root.join(OsStr::from_bytes(b"data\xff.csv")), "").unwrap();
    let (file, told) = init(&test, "p", &[]);
    assert_eq!(file["scripts"], json!(["a.sh"]));
    assert_eq!(told, "passed over b\u{fffd}.sh: its name is not Unicode; rename it\n");
    std::fs::remove_file(root.join("exec_config.json")).unwrap();
    let mut named = test.command(["init", "p", "--script"]);
    let said = crate::harness::Finished::of(named.arg(bad).output().unwrap()).expect(2).stderr;
    assert!(said.contains("error: --script: b\u{fffd}.sh is not Unicode"), "{said}");
    let folder = test.path("").join(OsStr::from_bytes(b"f\xff"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a.sh"), "true").unwrap();
    let mut named = test.command(["init"]);
    let said = crate::harness::Finished::of(named.arg(&folder).output().unwrap()).expect(2).stderr;
    assert!(said.contains("f\u{fffd} is not Unicode; rename it, or reach it by a link"), "{said}");
    assert!(!folder.join("exec_config.json").exists());
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
    folder(&test, "unknown", &[("x.xyz", "")]);
    gone("unknown", &["--script", "x.xyz"], "error: what runs x.xyz? say so with --interpreter");
    folder(&test, "p", &[("a.py", "")]);
    let interpreter = crate::harness::subject();
    let interpreter = interpreter.to_str().unwrap();
    gone("p", &["--script", "b.py", "--interpreter", interpreter], "error: --script: `b.py` is no file in ");
    gone(
        "p",
        &["--interpreter", "no such program", "--script", "a.py"],
        "error: --interpreter: `no such program` isn't found",
    );
    let known = ["--interpreter", interpreter, "--script", "a.py"];
    gone("p", &[&known[..], &["--recipient", "nobody"]].concat(), "error: --recipient: `nobody` is not an address");
    gone("p", &[&known[..], &["--strategy", "all"]].concat(), "error: --strategy: all needs somebody who gets mails");
    std::fs::write(test.path("p").join(".env"), "no sign").unwrap();
    gone("p", &known, "error: nothing was written: the file would not pass `runner check`");
    std::fs::remove_file(test.path("p").join(".env")).unwrap();
    let left: Vec<_> = std::fs::read_dir(test.path("p")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["a.py"], "nothing is left of the attempts");
    gone("nowhere", &[], "is not a folder");
    let printed =
        test.runner(["init", "p", "--print", "--interpreter", interpreter, "--script", "a.py"]).expect(0).stdout;
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap()["scripts"], json!(["a.py"]));
    assert!(!Path::new(&test.path("p")).join("exec_config.json").exists());
}

#[cfg(unix)]
#[test]
fn scripts_are_found_among_many_other_files() {
    let test = Test::new();
    let root = folder(&test, "p", &[("10_b.sh", "true"), ("2_a.sh", "true")]);
    for number in 0..6000 {
        std::fs::write(root.join(format!("{number}.csv")), "").unwrap();
    }
    let (file, told) = init(&test, "p", &[]);
    assert_eq!((&file["scripts"], told.as_str()), (&json!(["2_a.sh", "10_b.sh"]), ""));
    std::fs::remove_file(root.join("exec_config.json")).unwrap();
    std::fs::remove_dir_all(root.join("logs")).unwrap();
    for number in 0..5000 {
        std::fs::write(root.join(format!("{number}")), "").unwrap();
    }
    let (file, told) = init(&test, "p", &[]);
    assert_eq!(file["scripts"], json!(["2_a.sh", "10_b.sh"]));
    let said = format!(
        "passed over 2 more files of {}: only 5000 are looked at; name scripts with --script\n",
        root.display()
    );
    assert_eq!(told, said);
}

#[cfg(unix)]
#[test]
fn the_virtual_environment_of_a_folder_above_is_used_and_one_without_python_is_told_of() {
    let Some(python) = python() else { return };
    let test = Test::new();
    let root =
        folder(&test, "repo", &[("jobs/a.py", ""), (".venv/pyvenv.cfg", ""), (".venv/bin/python", "#!/bin/sh\n")]);
    make_executable(&root.join(".venv/bin/python"));
    let (file, told) = init(&test, "repo/jobs", &[]);
    assert_eq!((&file["python_command"], told.as_str()), (&json!("../.venv/bin/python"), ""));
    std::fs::remove_file(root.join(".venv/bin/python")).unwrap();
    folder(&test, "repo/jobs", &[("venv/pyvenv.cfg", "")]);
    std::fs::remove_file(root.join("jobs/exec_config.json")).unwrap();
    let (file, told) = init(&test, "repo/jobs", &[]);
    assert_eq!(file["python_command"], python);
    for name in ["venv", "../.venv"] {
        let line = format!(
            "passed over {name}: this virtual environment has no bin/python that can be run; make it anew: python -m venv {name}"
        );
        assert!(told.lines().any(|said| said == line), "{told}");
    }
}

/// A shell with a language of its own has no stand-in.
#[cfg(unix)]
#[test]
fn scripts_of_shells_that_are_not_there_are_passed_over() {
    let test = Test::new();
    let bin = test.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(bin.join("sh"), "#!/bin/sh\n").unwrap();
    make_executable(&bin.join("sh"));
    folder(&test, "p", &[("a", "#!/bin/fish\n"), ("b.sh", "#!/usr/bin/env -S zsh\n"), ("c.sh", "#!/bin/ksh\n")]);
    let mut command = test.command(["init", "p", "--print"]);
    let made = crate::harness::Finished::of(command.env("PATH", &bin).output().unwrap()).expect(0);
    let file: Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!((&file["scripts"], &file["python_command"]), (&json!(["c.sh"]), &json!("sh")));
    for line in
        ["passed over a: nothing is there that runs it: fish", "passed over b.sh: nothing is there that runs it: zsh"]
    {
        assert!(made.stderr.lines().any(|said| said == line), "{}", made.stderr);
    }
}

#[test]
fn scripts_further_below_are_named() {
    let Some(python) = python() else { return };
    let test = Test::new();
    folder(&test, "nested", &[("night/load.py", "print('loaded')\n"), ("night/notes.txt", "")]);
    let nothing = test.runner(["init", "nested"]).expect(2);
    assert!(nothing.stderr.contains("scripts, jobs, bin and src below it"), "{}", nothing.stderr);
    let (file, _) = init(&test, "nested", &["--script", "night/load.py"]);
    assert_eq!((&file["scripts"], &file["python_command"]), (&json!(["night/load.py"]), &json!(python)));
    let unknown = test.runner(["init", "nested", "--script", "night/notes.txt"]).expect(2);
    assert!(unknown.stderr.contains("exec_config.json"), "{}", unknown.stderr);
}

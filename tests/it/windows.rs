//! What is particular to Windows: cmd and batch files, its exit codes, its paths, its line ends and code pages.
//!
//! Some of it doesn't hold under Wine, which is not Windows; those tests say so and why.

use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::process::CommandExt;
use std::path::Path;

use serde_json::json;

use crate::harness::{Finished, Project, Test, finish, lives, subject, under_wine};

/// What cmd acts on if it sees it outside of quotes, or even inside.
const DANGEROUS: [&str; 12] = [
    "two words",
    "a&echo x>ran",
    "&echo x>ran&",
    "a|echo x>ran",
    "\"&echo x>ran&\"",
    "\" &echo x>ran& \"",
    "^&echo x>ran",
    "a^b",
    "!OS!",
    "(a) <b",
    "back\\slash\\",
    "",
];

/// Variables, as cmd would replace them.
const VARIABLES: [&str; 3] = ["%OS%", "%OS:~0,1%", "100%"];

/// All of those that reach a batch file as they are.
fn dangerous() -> Vec<&'static str> {
    let mut args = DANGEROUS.to_vec();
    if under_wine() {
        eprintln!("not tried: {VARIABLES:?}: Wine's cmd replaces variables in what %* stands for, Windows' doesn't");
    } else {
        args.extend(VARIABLES);
    }
    args
}

/// A batch file that hands its arguments to the subject, which prints them.
fn show_args(folder: &Path) -> String {
    std::fs::write(folder.join("args.txt"), "args").unwrap();
    format!("@echo off\r\n\"{}\" \"%~dp0args.txt\" %*\r\n", subject().display())
}

fn with_cmd(project: Project, flags: &[&str]) -> Project {
    let command: Vec<_> = ["cmd"].iter().chain(flags).collect();
    project.set("python_command", json!(command))
}

/// Each script either printed the argument as it was written, or was refused before anything of it ran.
#[track_caller]
fn expect_exact_or_refused(project: &Project, args: &[&str]) {
    for (index, arg) in args.iter().enumerate() {
        let outcome = &project.ends()[index]["outcome"];
        if outcome["kind"] == "could_not_start" {
            let error = outcome["error"].as_str().unwrap();
            assert!(error.contains("cmd would take") || error.contains("cmd can't"), "{error}");
        } else {
            assert_eq!(outcome["kind"], "success", "{arg}: {outcome}");
            assert_eq!(project.output_text(index), format!("<{arg}>\n"), "{outcome}");
        }
    }
    assert!(!project.root.join("ran").exists(), "an argument was executed");
}

fn one_argument_each(mut project: Project, args: &[&str]) -> Project {
    for (index, arg) in args.iter().enumerate() {
        let program = show_args(&project.root);
        project = project.script_with(&format!("show {index}.cmd"), &program, json!({"args": [arg]}));
    }
    project
}

#[test]
fn batch_files_get_their_arguments_as_they_are_written() {
    let test = Test::new();
    let project = with_cmd(test.project("a & b"), &["/d", "/c"]);
    let project = one_argument_each(project, &dangerous());
    test.runner(["run", "a & b"]).expect(0);
    expect_exact_or_refused(&project, &dangerous());
}

#[test]
fn what_cmd_would_execute_is_never_handed_to_it() {
    let test = Test::new();
    // With a further flag cmd is started as it is written.
    let project = with_cmd(test.project("p"), &["/q", "/d", "/c"]);
    let args = [&DANGEROUS[..], &VARIABLES].concat();
    let project = one_argument_each(project, &args);
    test.runner(["run", "p"]).expect(1);
    expect_exact_or_refused(&project, &args);
    let outcome = |index: usize| project.ends()[index]["outcome"].clone();
    assert_eq!(outcome(0)["kind"], "success", "harmless ones are passed on");
    let error = outcome(1)["error"].as_str().unwrap().to_owned();
    assert!(error.contains(r#"cmd would take the '&' in "a&echo x>ran" for its own"#), "{error}");
    assert!(project.log_ends()[1].starts_with("show 1.cmd - failure - could not start: cmd would take"));
}

#[test]
fn a_line_break_cannot_be_handed_to_a_batch_file() {
    let test = Test::new();
    let project = with_cmd(test.project("p"), &["/d", "/c"]);
    let project = one_argument_each(project, &["two\necho x>ran", "cr\recho x>ran"]);
    test.runner(["run", "p"]).expect(1);
    expect_exact_or_refused(&project, &["", ""]);
    for end in project.ends() {
        assert!(end["outcome"]["error"].as_str().unwrap().contains("line break"), "{end}");
    }
}

#[test]
fn a_batch_file_may_be_the_interpreter() {
    let test = Test::new();
    let project = test.project("a & b");
    let bat = format!("@\"{}\" %*\r\n", subject().display());
    let args = &dangerous();
    let mut project = project.file("run it.bat", bat).set("python_command", "./run it");
    for (index, arg) in args.iter().enumerate() {
        project = project.script_with(&format!("{index} ^ (x).txt"), "args", json!({"args": [arg]}));
    }
    test.runner(["run", "a & b"]).expect(0);
    expect_exact_or_refused(&project, args);
}

#[test]
fn cmd_without_c_is_a_configuration_error() {
    let test = Test::new();
    let project = with_cmd(test.project("p"), &["/d"]).script("a.cmd", "echo x>ran\r\n");
    let run = test.runner(["run", "p"]).expect(2);
    assert!(run.stderr.contains("cmd without /c doesn't run a script"), "{}", run.stderr);
    assert!(run.stderr.contains(r#"write ["cmd", "/d", "/c"]"#), "{}", run.stderr);
    assert!(!project.root.join("ran").exists() && project.log().is_empty());
}

#[test]
fn a_crash_is_called_by_its_name() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "exit 3221225477").script("b.txt", "exit 4294967295");
    let run = test.runner(["run", "p"]).expect(1);
    assert_eq!(
        project.log_ends(),
        ["a.txt - failure - exit code 0xC0000005 (access violation)", "b.txt - failure - exit code 4294967295"]
    );
    assert_eq!(project.ends()[0]["outcome"]["code"], 0xC000_0005_u32);
    assert!(run.stdout.contains("0xC0000005 (access violation)"), "{}", run.stdout);
}

#[test]
fn a_real_crash_is_called_by_its_name() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "crash");
    test.runner(["run", "p"]).expect(1);
    assert_eq!(project.log_ends(), ["a.txt - failure - exit code 0xC0000005 (access violation)"]);
}

#[test]
fn exit_codes_are_unsigned() {
    let test = Test::new();
    let project = test
        .project("p")
        .script_with("a.txt", "exit 3221225786", json!({"success_codes": [0, 3_221_225_786_u32]}))
        .script_with("b.txt", "exit 4294967295", json!({"success_codes": [4_294_967_295_u32]}));
    test.runner(["run", "p"]).expect(0);
    let codes: Vec<_> = project.ends().iter().map(|end| end["outcome"]["code"].clone()).collect();
    assert_eq!(codes, [json!(3_221_225_786_u32), json!(4_294_967_295_u32)]);
}

#[test]
fn a_verbatim_path_names_a_project_as_any_other_does() {
    let test = Test::new();
    let project = with_cmd(test.project("p"), &["/d", "/c"]);
    let project = project.script("a.cmd", "@cd\r\n@echo %~f0\r\n").file("plain.txt", "");
    let real = std::path::absolute(&project.root).unwrap();
    let verbatim = format!(r"\\?\{}", real.display());
    let run = test.runner(["run", &verbatim]).expect(0);
    assert_eq!(project.output_text(0), format!("{0}\n{0}\\a.cmd\n", real.display()));
    assert_eq!(project.log_ends(), ["a.cmd - success"]);
    assert!(run.stdout.contains("p: "), "{}", run.stdout);
    let history = test.runner(["history", "--json", &verbatim]).expect(0);
    assert_eq!(history.json().len(), 1, "{}", history.stdout);
    let history = test.runner(["history", "--json", "p"]).expect(0);
    assert_eq!(history.json().len(), 1, "one project, whatever it is called: {}", history.stdout);
}

#[test]
fn slashes_and_letter_case_of_paths_do_not_matter() {
    let test = Test::new();
    let project = test.project("Big").script("sub/a.txt", "print a");
    let project = project.script("sub\\b.txt", "print b");
    test.runner(["run", "./big/"]).expect(0);
    test.runner(["run", ".\\BIG\\"]).expect(0);
    assert_eq!(project.log_ends().len(), 4, "{:?}", project.log());
    let listed = test.runner(["list", "--json"]).expect(0).json();
    assert_eq!(listed.len(), 1, "one project, however it is written: {listed:?}");
    assert_eq!(listed[0]["name"], "Big");
}

/// A console that has no window.
const CREATE_NO_WINDOW: u32 = 0x0800_0000;

#[test]
fn a_script_is_asked_to_end_before_it_is_killed() {
    if under_wine() {
        eprintln!("skipped: Wine (as of 8.0) delivers no console events from one process to another");
        return;
    }
    let test = Test::new();
    let project = test.project("p").script_with(
        "a.txt",
        "expect-request-to-end asked\nsleep 60",
        json!({"timeout": "2s", "kill_grace": "1m"}),
    );
    let run = test.command(["run", "p"]).creation_flags(CREATE_NO_WINDOW).spawn().unwrap();
    finish(run).expect(1);
    assert!(project.root.join("asked").exists());
    assert_eq!(project.log_ends(), ["a.txt - failure - timeout after 2 s"]);
}

#[test]
fn ctrl_c_ends_the_script_records_it_and_says_so() {
    if under_wine() {
        eprintln!("skipped: Wine (as of 8.0) delivers no console events from one process to another");
        return;
    }
    let test = Test::new();
    let project =
        test.project("p").script("a.txt", "leave pid1 300\npid pid2\nctrl-c\nsleep 60").script("b.txt", "touch ran");
    let run = test.command(["run", "p"]).creation_flags(CREATE_NO_WINDOW).spawn().unwrap();
    let run = finish(run).expect(130);
    assert!(run.stdout.contains("interrupted: Ctrl-C"), "{}", run.stdout);
    assert_eq!(project.log_ends(), ["a.txt - failure - interrupted: Ctrl-C"]);
    assert!(!project.root.join("ran").exists());
    for file in ["pid1", "pid2"] {
        let pid = std::fs::read_to_string(project.root.join(file)).unwrap();
        assert!(!lives(&pid), "{file}");
    }
}

#[test]
fn line_ends_and_code_pages_of_windows_are_understood() {
    let test = Test::new();
    let config = |project: &Project| std::fs::read_to_string(project.root.join("exec_config.json")).unwrap();
    let project = with_cmd(test.project("p"), &["/d", "/c"])
        .script("a.cmd", "@echo off\r\nif exist a.cmd (\r\n  echo one\r\n  echo two\r\n)\r\nexit /b 0\r\n")
        // "größer", as a program prints it that knows code page 1252 only.
        .script_with("b.txt", "bytes 67 72 f6 df 65 72 0d 0a\r\nexit 1\r\n", json!({"interpreter": [subject()]}));
    // As an editor of Windows saves it.
    let text = format!("\u{feff}{}", config(&project).replace('\n', "\r\n"));
    std::fs::write(project.root.join("exec_config.json"), text).unwrap();
    let run = test.runner(["run", "p"]).expect(1);
    assert_eq!(project.output(0), b"one\r\ntwo\r\n", "kept as it was printed");
    assert_eq!(project.output(1), b"gr\xf6\xdfer\r\n", "kept as it was printed");
    assert!(run.stdout.contains("gr\u{fffd}\u{fffd}er"), "{}", run.stdout);
    assert_eq!(project.log_ends(), ["a.cmd - success", "b.txt - failure - exit code 1"]);
}

#[test]
fn the_cmd_example_runs() {
    let test = Test::new();
    let folder = test.path("cmd");
    std::fs::create_dir(&folder).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("example_projects").join("cmd");
    for file in ["exec_config.json", "collect.cmd", "summarise.cmd"] {
        std::fs::copy(example.join(file), folder.join(file)).unwrap();
    }
    let mails = test.path("mails");
    let run: Finished = test.runner(["run", "cmd", "--mail-dir", mails.to_str().unwrap()]).expect(0);
    assert!(run.stdout.contains("cmd"), "{}", run.stdout);
    let total = std::fs::read_to_string(folder.join("work").join("total.txt")).unwrap();
    assert!(total.starts_with("total: ") && total.trim_end().ends_with(" bytes"), "{total}");
    let mail = std::fs::read_dir(&mails).unwrap().next().unwrap().unwrap().path();
    assert_eq!(mail.extension().unwrap(), "eml");
}

#[test]
fn a_process_is_seen_to_live_and_to_end() {
    let mut child = std::process::Command::new("cmd")
        .args(["/d", "/c", "set /p x="])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert!(lives(&child.id().to_string()), "other tests rely on it");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!lives(&child.id().to_string()));
}

#[test]
fn a_log_that_an_editor_holds_is_written_on_and_archived_later() {
    const FILE_SHARE_READ_AND_WRITE: u32 = 3;
    let test = Test::new();
    let project = test.project("p").script("a.txt", "");
    let logs = project.root.join("logs");
    std::fs::create_dir(&logs).unwrap();
    let old = "2024-11-27 09:51:58,954 - INFO - HOST - 39be3d37aed64 - 0.08 - main.py - success";
    std::fs::write(logs.join("p.log"), format!("{old}\n")).unwrap();
    let editor =
        std::fs::OpenOptions::new().read(true).share_mode(FILE_SHARE_READ_AND_WRITE).open(logs.join("p.log")).unwrap();
    let run = test.runner(["run", "p"]).expect(0);
    assert_eq!(project.log_ends(), ["main.py - success", "a.txt - success"]);
    assert!(run.stderr.contains("cannot archive the log"), "{}", run.stderr);
    drop(editor);
    test.runner(["run", "p"]).expect(0);
    assert_eq!(project.log_ends(), ["a.txt - success"]);
    let archives = std::fs::read_dir(&logs).unwrap().flatten();
    let archives = archives.filter(|entry| entry.file_name().to_string_lossy().starts_with("p.log.2"));
    assert_eq!(archives.count(), 1);
}

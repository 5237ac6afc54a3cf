//! Real Python scripts, where there is a Python.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{Project, Test, python};

/// A project whose scripts Python runs.
fn project(test: &Test, python: &str) -> Project {
    test.project("p").set("python_command", python)
}

#[test]
fn scripts_run_in_the_projects_virtual_environment() {
    let Some(python) = python() else { return };
    let test = Test::new();
    let project = project(&test, python).script(
        "where.py",
        "import os, sys\nprint(os.path.samefile(sys.prefix, '.venv'), sys.prefix != sys.base_prefix)",
    );
    let made = Command::new(python)
        .args(["-m", "venv", "--without-pip", ".venv"])
        .current_dir(&project.root)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if !made.status.success() {
        return println!("skipped: {python} makes no virtual environments: {}", String::from_utf8_lossy(&made.stderr));
    }
    // Each system's spelling works on both.
    for python in [".venv/bin/python", ".venv/Scripts/python", r".venv\Scripts\python.exe"] {
        let changed = test.existing("p").set("python_command", python);
        let run = test.runner(["run", "p", "-v"]).expect(0);
        assert!(run.stdout.contains("p | True True\n"), "{python}: {}", run.stdout);
        drop(changed);
    }
    assert_eq!(project.log_ends(), ["where.py - success"; 3]);
}

#[test]
fn much_output_is_kept_whole_up_to_the_limit() {
    let Some(python) = python() else { return };
    let test = Test::new();
    // 5,000,000 characters, and what ends the lines.
    let script = "for n in range(50_000):\n    print(f'{n:099d}')";
    let project = project(&test, python).script("much.py", script);
    test.runner(["run", "p"]).expect(0);
    let end = &project.ends()[0]["output"];
    let size = if cfg!(windows) { 5_050_000 } else { 5_000_000 };
    assert_eq!((&end["bytes"], &end["cut"]), (&json!(size), &json!(0)));
    let text = project.output_text(0);
    assert_eq!(text.lines().count(), 50_000);
    assert!(text.lines().enumerate().all(|(n, line)| line.parse() == Ok(n)));
}

#[test]
fn any_text_and_any_bytes_come_through() {
    let Some(python) = python() else { return };
    let test = Test::new();
    let project = project(&test, python)
        .script("text.py", "print('déjà vu, 東京, 안녕, 🎉')\nraise SystemExit('größer als erlaubt: 5 €')")
        .script("bytes.py", "import sys\nsys.stdout.buffer.write(b'caf\\xe9 \\xff\\x00\\n')\nsys.exit(3)")
        .script("lone.py", "import sys\nprint('x', file=sys.stderr)\nraise ValueError('lone \\udcff surrogate')");
    // A console of another encoding must not matter.
    let mut command = test.command(["run", "p", "--mail-dir", "mails"]);
    command.env("LC_ALL", "C").env_remove("PYTHONIOENCODING").env_remove("PYTHONUTF8");
    let run = crate::harness::Finished::of(command.output().unwrap()).expect(1);
    assert_eq!(project.output_text(0), "déjà vu, 東京, 안녕, 🎉\ngrößer als erlaubt: 5 €\n");
    assert_eq!(project.output(1), b"caf\xe9 \xff\x00\n");
    assert_eq!(project.log_ends()[1], "bytes.py - failure - exit code 3");
    assert!(project.log_ends()[2].ends_with("ValueError: lone \\udcff surrogate"), "{:?}", project.log_ends());
    assert!(run.stdout.contains("größer als erlaubt: 5 €"), "{}", run.stdout);
}

#[test]
fn a_chained_traceback_is_kept_as_a_whole() {
    let Some(python) = python() else { return };
    let test = Test::new();
    let script = "import sys\n\
                  print('noise', file=sys.stderr)\n\
                  try:\n    {}['missing']\n\
                  except KeyError as error:\n    raise RuntimeError('two\\nlines') from error\n";
    let project = project(&test, python).script("chained.py", script);
    test.runner(["run", "p"]).expect(1);
    let end = &project.ends()[0];
    let traceback = end["traceback"].as_str().unwrap();
    assert!(traceback.starts_with("Traceback (most recent call last):\n  File "), "{traceback}");
    assert!(traceback.contains("KeyError: 'missing'\n\nThe above exception was the direct cause"), "{traceback}");
    assert!(traceback.trim_end().ends_with("RuntimeError: two\nlines"), "{traceback}");
    let line = &project.log_ends()[0];
    assert!(line.starts_with(r"chained.py - failure - Traceback (most recent call last):\n  File "), "{line}");
    assert!(line.ends_with(r"RuntimeError: two\nlines"), "{line}");
    assert_eq!(end["outcome"], json!({"kind": "exit_code", "code": 1}));

    let _project = test.existing("p").set("include_traceback", false);
    test.runner(["run", "p"]).expect(1);
    assert_eq!(project.log_ends()[1], "chained.py - failure");
}

#[test]
fn a_script_that_reads_gets_the_end_of_its_input() {
    let Some(python) = python() else { return };
    let test = Test::new();
    let project = project(&test, python)
        .script("reads.py", "import sys\nprint(repr(sys.stdin.read()))")
        .script("asks.py", "input('your name? ')");
    let mut command = test.command(["run", "p"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // The runner's own input stays open, and is nobody's.
    let stdin = child.stdin.take();
    crate::harness::finish(child).expect(1);
    drop(stdin);
    assert_eq!(project.output_text(0), "''\n");
    assert!(project.log_ends()[1].contains("EOFError"), "{:?}", project.log_ends());
}

#[test]
fn both_streams_stand_in_the_order_in_which_they_were_printed() {
    let Some(python) = python() else { return };
    let test = Test::new();
    // Nothing orders two pipes that are written at the same instant, so the script waits until what it printed is kept.
    // That it is printed at once is not Python's way with pipes, were it not told so.
    let script = r"
import os, sys, time
kept = 'logs/runs/' + os.environ['RUNNER_RUN_ID'] + '/001-both.py.out'
def wait_for(length):
    while not (os.path.exists(kept) and os.path.getsize(kept) >= length):
        time.sleep(0.005)
line = len('out 0' + os.linesep)
for n in range(5):
    print('out', n)
    wait_for(line * (2 * n + 1))
    print('err', n, file=sys.stderr)
    wait_for(line * (2 * n + 2))
";
    let project = project(&test, python).script("both.py", script).set("timeout", "1m");
    test.runner(["run", "p"]).expect(0);
    let expected: String = (0..5).map(|n| format!("out {n}\nerr {n}\n")).collect();
    assert_eq!(project.output_text(0), expected);
}

//! What a run does, and what it leaves behind.

use serde_json::json;

use crate::harness::{Test, finish, lives, wait_for, wait_for_file};

#[test]
fn scripts_run_in_order_and_each_leaves_its_line() {
    let test = Test::new();
    let project = test
        .project("nightly")
        .script("first.txt", "append order\nprint hello")
        .script("sub/second.txt", "append order")
        .set("include_traceback", false)
        .script("third.txt", "exit 3");
    let run = test.runner(["run", "nightly"]).expect(1);
    assert_eq!(project.log_ends(), ["first.txt - success", "second.txt - success", "third.txt - failure"]);
    let line = &project.log()[0];
    let run_id = project.run_dir().file_name().unwrap().to_string_lossy().into_owned();
    let parsed = project_runner::sink::parse_line(line).unwrap_or_else(|| panic!("{line}"));
    assert_eq!(parsed.run_id.as_str(), run_id);
    assert!(line.contains(" - INFO - ") && project.log()[2].contains(" - ERROR - "), "{:?}", project.log());
    assert_eq!(std::fs::read_to_string(project.root.join("order")).unwrap().lines().count(), 2, "cwd is the project");
    assert!(run.stdout.contains("nightly: FAILED  third.txt"), "{}", run.stdout);
    assert!(run.stdout.contains("1 of 3 scripts failed"), "{}", run.stdout);
}

#[test]
fn every_end_is_told_apart() {
    let test = Test::new();
    let project = test
        .project("ends")
        .script("ok.txt", "print fine")
        .script("code.txt", "exit 3")
        .script_with("allowed.txt", "exit 7", json!({"success_codes": [0, 7]}))
        .script_with("slow.txt", "print before\nsleep 60", json!({"timeout": "3s", "kill_grace": 1}))
        .script_with("broken.txt", "", json!({"working_dir": "gone", "interpreter": [crate::harness::subject()]}));
    std::fs::create_dir(project.root.join("gone")).unwrap();
    let project = project.script("remover.txt", "exit 0");
    test.runner(["run", "ends"]).expect(1);
    let kinds: Vec<_> = project.ends().iter().map(|end| end["outcome"]["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["success", "exit_code", "success", "timeout", "success", "success"]);
    assert_eq!(project.ends()[1]["outcome"]["code"], 3);
    assert!(project.log_ends()[3].starts_with("slow.txt - failure - timeout after 3 s"), "{:?}", project.log_ends());
    assert_eq!(project.output_text(3), "before\n");
}

#[test]
fn an_interpreter_that_cannot_be_started_is_the_scripts_failure() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "").script("b.txt", "print still here");
    // Named like a program, but none.
    let name = if cfg!(windows) { "broken.exe" } else { "broken" };
    let broken = project.root.join(name);
    std::fs::write(&broken, "\x7fnot a program").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let project =
        project.script_with("c.txt", "", json!({"interpreter": format!("./{name}")})).script("d.txt", "print on");
    test.runner(["run", "p"]).expect(1);
    let end = &project.ends()[2]["outcome"];
    assert_eq!(end["kind"], "could_not_start", "{end}");
    assert!(end["error"].as_str().unwrap().contains("broken"), "{end}");
    assert_eq!(project.log_ends().len(), 4);
}

#[cfg(unix)]
#[test]
fn a_signal_is_no_exit_code() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "signal 9").script("b.txt", "abort");
    test.runner(["run", "p"]).expect(1);
    assert_eq!(project.ends()[0]["outcome"]["signal"], 9);
    assert!(project.log_ends()[0].ends_with("a.txt - failure - signal 9 (SIGKILL)"), "{:?}", project.log_ends());
    assert_eq!(project.ends()[1]["outcome"]["signal"], 6);
}

#[test]
fn after_a_failure_the_rest_is_skipped_if_so_configured() {
    let test = Test::new();
    let project = test
        .project("p")
        .set("on_failure", "stop")
        .script_with("tolerated.txt", "exit 1", json!({"on_failure": "continue"}))
        .script("fatal.txt", "exit 1")
        .script("never.txt", "touch ran");
    let run = test.runner(["run", "p"]).expect(1);
    assert_eq!(project.log_ends().len(), 2, "a skipped script has no line");
    assert!(!project.root.join("ran").exists());
    assert!(run.stdout.contains("skipped never.txt  fatal.txt failed before it"), "{}", run.stdout);
}

#[test]
fn scripts_can_be_chosen() {
    let test = Test::new();
    let project = test
        .project("p")
        .script_with("a.txt", "print a", json!({"name": "load"}))
        .script("b.txt", "print b")
        .script("c.txt", "print c");
    test.runner(["run", "p", "--only", "load", "--only", "c.txt"]).expect(0);
    assert_eq!(project.log_ends(), ["a.txt - success", "c.txt - success"]);
    test.runner(["run", "p", "--from", "2"]).expect(0);
    assert_eq!(project.log_ends()[2..], ["b.txt - success", "c.txt - success"]);
    let run = test.runner(["run", "p", "--only", "c.tx"]).expect(2);
    assert!(run.stderr.contains("p has no script `c.tx`; did you mean `c.txt`?"), "{}", run.stderr);
}

#[test]
fn a_dry_run_shows_everything_and_does_nothing() {
    let test = Test::new();
    let project = test.project("p").set("email_strategy", "all").script_with(
        "a.txt",
        "touch ran",
        json!({"args": ["two words"], "timeout": "1h 30m"}),
    );
    let run = test.runner(["run", "p", "--dry-run"]).expect(0);
    assert!(!project.root.join("ran").exists() && !project.root.join("logs").exists());
    assert!(run.stdout.contains("\"two words\"") && run.stdout.contains("ended after 1 h 30 min"), "{}", run.stdout);
}

#[test]
fn one_broken_project_stops_no_other() {
    let test = Test::new();
    let first = test.project("first").script("a.txt", "print a");
    test.project("broken").script("a.txt", "").set("scripts", json!(["a.txt", "missing.txt"]));
    let failing = test.project("failing").script("a.txt", "exit 1");
    let last = test.project("last").script("a.txt", "print a");
    let run = test.runner(["run", "first", "broken", "failing", "last"]).expect(2);
    assert_eq!(first.log_ends(), ["a.txt - success"]);
    assert_eq!(failing.log_ends(), ["a.txt - failure - exit code 1"]);
    assert_eq!(last.log_ends(), ["a.txt - success"]);
    assert!(run.stderr.contains("scripts[1]: FileNotFoundError"), "{}", run.stderr);
    assert!(!test.path("broken").join("logs").exists(), "nothing of the broken one was run");
}

#[test]
fn projects_run_side_by_side() {
    let test = Test::new();
    // Each waits for the other: one after the other they would wait for ever.
    let a = test.project("a").script("x.txt", "touch here\nwait-for ../b/here").set("timeout", 60);
    let b = test.project("b").script("x.txt", "touch here\nwait-for ../a/here").set("timeout", 60);
    test.runner(["run", "--jobs", "2", "a", "b"]).expect(0);
    assert_eq!([a.log_ends(), b.log_ends()].concat(), ["x.txt - success", "x.txt - success"]);
}

#[test]
fn a_second_run_of_a_project_is_told_who_runs_it() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch started\nwait-for go");
    let first = test.start(["run", "p"]);
    wait_for_file(&project.root.join("started"));
    let second = test.runner(["run", "p"]).expect(3);
    let pid = format!("in process {}", first.id());
    assert!(second.stderr.contains("already running") && second.stderr.contains(&pid), "{}", second.stderr);
    std::fs::write(project.root.join("go"), "").unwrap();
    finish(first).expect(0);
    assert_eq!(project.log_ends(), ["a.txt - success"]);
    test.runner(["run", "p"]).expect(0);
}

#[test]
fn scripts_get_an_empty_standard_input_and_a_clear_environment() {
    let test = Test::new();
    let project = test
        .project("p")
        .file(".env", "FROM_DOTENV=dot\nWINS=dotenv\nPASSWORD_MAIL=secret\nLOGIN_MAIL=me@example.com\n")
        .file("more.env", "FROM_FILE=file\nOWN=file\n")
        .set("env", json!({"OWN": "key"}))
        .set("env_file", "more.env")
        .script(
            "a.txt",
            "stdin\nenv FROM_DOTENV\nenv WINS\nenv PASSWORD_MAIL\nenv LOGIN_MAIL\nenv FROM_FILE\nenv OWN\n\
             env RUNNER_PROJECT\nenv RUNNER_ATTEMPT\nenv RUNNER_RUN_ID\nenv RUNNER_PARAM_OLD\nenv PYTHONIOENCODING\nenv PYTHONUNBUFFERED",
        );
    let mut command = test.command(["run", "p"]);
    command.env("WINS", "process").env("RUNNER_RUN_ID", "of another run").env("RUNNER_PARAM_OLD", "x");
    assert!(command.output().unwrap().status.success());
    let run_id = project.run_dir().file_name().unwrap().to_string_lossy().into_owned();
    let expected = format!(
        "stdin: 0 bytes\nFROM_DOTENV=dot\nWINS=process\nPASSWORD_MAIL=(unset)\nLOGIN_MAIL=me@example.com\n\
         FROM_FILE=file\nOWN=key\nRUNNER_PROJECT=p\nRUNNER_ATTEMPT=1\nRUNNER_RUN_ID={run_id}\n\
         RUNNER_PARAM_OLD=(unset)\nPYTHONIOENCODING=utf-8\nPYTHONUNBUFFERED=1\n"
    );
    assert_eq!(project.output_text(0), expected);
}

#[test]
fn arguments_arrive_as_they_are_written() {
    let test = Test::new();
    let args = ["", "two words", "quo\"te", "per%PATH%cent", "back\\slash\\", "ünï", "$HOME", "a&b|c>d", "'"];
    let project = test.project("p").script_with("a.txt", "args", json!({"args": args}));
    test.runner(["run", "p"]).expect(0);
    let expected: String = args.iter().map(|arg| format!("<{arg}>\n")).collect();
    assert_eq!(project.output_text(0), expected);
}

#[test]
fn output_is_kept_byte_for_byte_whatever_it_is() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "bytes ff fe 00 0a e9\nprint done").script("quiet.txt", "");
    test.runner(["run", "p"]).expect(0);
    let output = project.output(0);
    assert!(output.starts_with(b"\xff\xfe\x00\x0a\xe9") && output.len() >= 10, "{output:?}");
    assert_eq!(project.ends()[1]["output"]["file"], json!(null), "a script that prints nothing makes no file");
}

#[test]
fn of_a_flood_the_beginning_and_the_end_are_kept() {
    let test = Test::new();
    let project = test
        .project("p")
        .set("output", json!({"first": "1KiB", "last": "2KiB"}))
        .script("a.txt", "print first line\nflood 3000000\nprint \nprint last line");
    test.runner(["run", "p"]).expect(0);
    let text = project.output_text(0);
    assert!(text.starts_with("first line\n") && text.ends_with("last line\n"), "{} bytes", text.len());
    assert!(text.contains(" bytes (2.9 MiB) of output left out here …]") && text.len() < 3500, "{text}");
    assert_eq!(std::fs::read_dir(project.run_dir()).unwrap().count(), 2, "events and output, nothing else");
}

#[test]
fn a_failure_shows_its_last_words() {
    let test = Test::new();
    let traceback = "Traceback (most recent call last):\neprint   File \"a.py\", line 1, in <module>\neprint ValueError: no such day";
    let project = test
        .project("p")
        .script("traceback.txt", &format!("print noise\neprint {traceback}\nprint more noise\nexit 1"))
        .script("words.txt", "eprint cannot reach the server\nexit 1");
    let run = test.runner(["run", "p"]).expect(1);
    assert_eq!(
        project.log_ends(),
        [
            r#"traceback.txt - failure - Traceback (most recent call last):\n  File "a.py", line 1, in <module>\nValueError: no such day"#,
            "words.txt - failure - exit code 1"
        ]
    );
    assert!(run.stdout.contains("ValueError: no such day") && run.stdout.contains("cannot reach the server"));
}

#[test]
fn events_come_as_json_lines() {
    let test = Test::new();
    test.project("p").script("a.txt", "print a").script("b.txt", "exit 2");
    let run = test.runner(["run", "p", "--json"]).expect(1);
    let events = run.json();
    let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "run_started",
            "script_started",
            "script_finished",
            "script_started",
            "script_finished",
            "run_finished",
            "mail"
        ]
    );
    let end = &events[4];
    assert_eq!((&end["script"], &end["success"], &end["project"]), (&json!("b.txt"), &json!(false), &json!("p")));
    assert!(end["execution_time"].is_f64() && end["run_id"].is_string(), "{end}");
}

#[test]
fn quiet_shows_only_trouble_and_verbose_shows_output() {
    let test = Test::new();
    test.project("fine").script("a.txt", "print seen?");
    test.project("bad").script("a.txt", "exit 1");
    let run = test.runner(["run", "-q", "fine", "bad"]).expect(1);
    assert!(!run.stdout.contains("fine") && run.stdout.contains("bad: FAILED  a.txt"), "{}", run.stdout);
    let run = test.runner(["run", "-v", "fine"]).expect(0);
    assert!(run.stdout.contains("fine | seen?\n"), "{}", run.stdout);
}

#[test]
fn descendants_that_outlive_their_script_are_named_and_ended() {
    let test = Test::new();
    let project = test
        .project("p")
        .script("holds.txt", "leave-holding pid1 300\nprint done")
        .script("leaves.txt", "leave pid2 300")
        .script("detaches.txt", "leave-detached pid3 300")
        .script("after.txt", "print after");
    let run = test.runner(["run", "p"]).expect(0);
    for (index, file) in ["pid1", "pid2", "pid3"].into_iter().enumerate() {
        let pid = std::fs::read_to_string(project.root.join(file)).unwrap();
        assert!(!lives(&pid), "{file}");
        let leaked = &project.ends()[index]["leaked"];
        assert_eq!(leaked[0]["pid"].to_string(), pid, "{leaked}");
        assert!(leaked[0]["command"].as_str().unwrap().contains("subject"), "{leaked}");
    }
    assert!(run.stdout.contains("which was ended"), "{}", run.stdout);
    assert_eq!(project.output_text(0), "done\n");
    assert_eq!(project.log_ends().len(), 4);
}

#[test]
fn a_timeout_ends_the_whole_tree() {
    let test = Test::new();
    let project = test.project("p").script_with(
        "a.txt",
        "ignore-requests-to-end\nleave-holding pid1 300\nleave-detached pid2 300\npid pid3\nsleep 300",
        json!({"timeout": if cfg!(windows) { "10s" } else { "3s" }, "kill_grace": "300ms"}),
    );
    test.runner(["run", "p"]).expect(1);
    assert_eq!(project.ends()[0]["outcome"]["kind"], "timeout");
    for file in ["pid1", "pid2", "pid3"] {
        let pid = std::fs::read_to_string(project.root.join(file)).unwrap();
        wait_for(&format!("the end of {file}"), || (!lives(&pid)).then_some(()));
    }
}

#[test]
fn a_runner_that_is_killed_leaves_no_process_and_no_lock() {
    let test = Test::new();
    let project = test.project("p").script(
        "a.txt",
        "ignore-requests-to-end\nleave-holding pid1 300\nleave-detached pid2 300\npid pid3\nwait-for go",
    );
    let mut runner = test.start(["run", "p"]);
    wait_for_file(&project.root.join("pid3"));
    runner.kill().unwrap();
    runner.wait().unwrap();
    for file in ["pid1", "pid2", "pid3"] {
        let pid = std::fs::read_to_string(project.root.join(file)).unwrap();
        wait_for(&format!("the end of {file}"), || (!lives(&pid)).then_some(()));
    }
    std::fs::write(project.root.join("go"), "").unwrap();
    for file in ["pid1", "pid2", "pid3"] {
        std::fs::remove_file(project.root.join(file)).unwrap();
    }
    test.runner(["run", "p"]).expect(0);
    assert_eq!(project.log_ends(), ["a.txt - failure - interrupted: the runner died", "a.txt - success"]);
}

#[cfg(unix)]
mod interrupted {
    use super::*;

    fn signal(child: &std::process::Child, signal: i32) {
        let status = std::process::Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    #[test]
    fn ctrl_c_ends_the_script_records_it_and_says_so() {
        for (number, name) in [(2, "Ctrl-C"), (15, "SIGTERM")] {
            let test = Test::new();
            let project = test
                .project("p")
                .script("done.txt", "print a")
                .script("a.txt", "leave pid1 300\npid pid2\nsleep 300")
                .script("b.txt", "touch ran");
            let runner = test.start(["run", "p"]);
            wait_for_file(&project.root.join("pid2"));
            signal(&runner, number);
            let run = finish(runner).expect(130);
            assert!(run.stdout.contains(&format!("interrupted: {name}")), "{}", run.stdout);
            assert_eq!(project.log_ends()[1], format!("a.txt - failure - interrupted: {name}"));
            assert!(!project.root.join("ran").exists());
            assert_eq!(
                project.events().iter().find(|event| event["event"] == "run_finished").unwrap()["status"],
                "interrupted"
            );
            for file in ["pid1", "pid2"] {
                let pid = std::fs::read_to_string(project.root.join(file)).unwrap();
                wait_for(file, || (!lives(&pid)).then_some(()));
            }
        }
    }

    #[test]
    fn a_second_ctrl_c_does_not_wait_for_the_grace() {
        let test = Test::new();
        let project =
            test.project("p").set("kill_grace", "1h").script("a.txt", "ignore-requests-to-end\npid pid1\nsleep 300");
        let runner = test.start(["run", "p"]);
        let pid = wait_for_file(&project.root.join("pid1"));
        signal(&runner, 2);
        // The first has been taken once the state says so; a second that comes with it would be one signal.
        wait_for("the interruption", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", runner.id())).unwrap_or_default();
            let pending = status.lines().find(|line| line.starts_with("ShdPnd:")).map(str::to_owned);
            pending.is_some_and(|pending| pending.ends_with("0000000000000000")).then_some(())
        });
        wait_for("the end", || {
            signal_again(&runner);
            (!lives(&pid)).then_some(())
        });
        finish(runner).expect(130);
    }

    fn signal_again(runner: &std::process::Child) {
        let _ = std::process::Command::new("kill").args(["-2".to_owned(), runner.id().to_string()]).output();
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_said_before_anything_runs() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch ran").file("logs", "a file where a folder should be");
    let run = test.runner(["run", "p"]).expect(4);
    assert!(run.stderr.contains("logs") && run.stderr.contains("p: cannot make the folder"), "{}", run.stderr);
    assert!(!project.root.join("ran").exists());
}

#[test]
fn an_unusable_state_database_costs_a_warning_only() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a");
    std::fs::create_dir(test.path("state")).unwrap();
    std::fs::write(
        test.path("state").join("state.db"),
        "not a database, but long enough to be taken for one".repeat(100),
    )
    .unwrap();
    let run = test.runner(["run", "p"]).expect(0);
    assert_eq!(project.log_ends(), ["a.txt - success"]);
    assert!(run.stderr.contains("warning:") && run.stderr.contains("state.db"), "{}", run.stderr);
}

#[test]
fn peak_memory_is_the_scripts_own() {
    let test = Test::new();
    let project = test.project("p").script("small.txt", "").script("large.txt", "memory 64");
    test.runner(["run", "p"]).expect(0);
    let peaks: Vec<_> = project.ends().iter().map(|end| end["usage"]["peak_memory_bytes"].as_u64()).collect();
    if cfg!(target_os = "linux") {
        // An unoptimised guardian may be too large itself to tell; then it must not say its own size.
        assert!(peaks[0].is_none_or(|peak| peak < 5 << 20), "{peaks:?}");
        assert!((64 << 20..80 << 20).contains(&peaks[1].unwrap()), "{peaks:?}");
    } else {
        assert!(peaks[1].is_none_or(|peak| peak >= 64 << 20), "{peaks:?}");
    }
}

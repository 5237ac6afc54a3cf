//! Scripts that are tried again.

use serde_json::{Value, json};

use crate::harness::{Project, Test, finish, wait_for, wait_for_file};

fn kinds(project: &Project) -> Vec<Value> {
    project.ends().iter().map(|end| end["outcome"]["kind"].clone()).collect()
}

#[test]
fn a_script_that_succeeds_at_last_has_one_line_and_all_its_attempts() {
    let test = Test::new();
    let retries = json!({"count": 3, "delay": "20ms"});
    let project = test
        .project("p")
        .script_with("a.txt", "env RUNNER_ATTEMPT\neprint no\nsucceed-at tries 3", json!({"retries": retries}))
        .script("b.txt", "print b");
    let run = test.runner(["run", "p"]).expect(0);
    assert_eq!(project.log_ends(), ["a.txt - success", "b.txt - success"]);
    let ends = project.ends();
    let pauses: Vec<&Value> = ends.iter().map(|end| &end["retry_after_us"]).collect();
    assert_eq!(pauses, [&json!(20_000), &json!(20_000), &Value::Null, &Value::Null]);
    let files: Vec<&Value> = ends.iter().map(|end| &end["output"]["file"]).collect();
    assert_eq!(files, ["001-a.txt.out", "001-a.txt.2.out", "001-a.txt.3.out", "002-b.txt.out"]);
    for (index, attempt) in ["1", "2", "3"].iter().enumerate() {
        let text = project.output_text(index);
        assert!(text.contains(&format!("RUNNER_ATTEMPT={attempt}\n")), "{text}");
    }
    let told: Vec<&str> = run.stdout.lines().filter(|line| line.contains("a.txt")).collect();
    assert!(told[0].contains("attempt 1 of 4 failed: exit code 1; again in 20 ms"), "{told:?}");
    assert!(told[1].contains("attempt 2 of 4 failed"), "{told:?}");
    assert!(told[2].starts_with("p: ok ") && told[2].ends_with("at attempt 3 of 4"), "{told:?}");
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn only_the_last_attempt_decides() {
    let test = Test::new();
    let project = test
        .project("p")
        .set("retries", json!({"count": 2, "delay": "1ms", "backoff": "exponential"}))
        .set("on_failure", "stop")
        .script("a.txt", "append tries\nexit 7")
        .script("b.txt", "");
    let run = test.runner(["run", "p", "-q"]).expect(1);
    assert_eq!(project.log_ends(), ["a.txt - failure - exit code 7"]);
    assert_eq!(std::fs::read_to_string(project.root.join("tries")).unwrap().lines().count(), 3);
    assert_eq!(run.stdout.matches("a.txt").count(), 2, "its end, and why b.txt is skipped: {}", run.stdout);
    assert!(run.stdout.contains("exit code 7  at attempt 3 of 3"), "{}", run.stdout);
    assert!(run.stdout.contains("1 of 2 scripts failed"), "{}", run.stdout);
    let id = project.run_dir();
    let report = &test.runner(["show", id.file_name().unwrap().to_str().unwrap(), "--json"]).expect(0).json()[0];
    assert_eq!(report["scripts"][0]["attempts"], 3);
    assert_eq!(report["status"], "failure");
}

#[test]
fn failures_that_are_not_named_are_final() {
    let test = Test::new();
    let project = test
        .project("p")
        .set("retries", json!({"count": 1, "delay": 0, "on": {"exit_codes": [75], "timeout": true}}))
        .script("a.txt", "exit 1")
        .script("b.txt", "exit 75")
        .script_with("c.txt", "sleep 60", json!({"timeout": "100ms", "kill_grace": "100ms"}))
        .script("d.txt", "exit 0");
    test.runner(["run", "p"]).expect(1);
    let expected = ["exit_code", "exit_code", "exit_code", "timeout", "timeout", "success"];
    assert_eq!(kinds(&project), expected);
    assert_eq!(project.log_ends().len(), 4);
}

#[test]
fn each_attempts_output_is_read_also_while_it_happens() {
    let test = Test::new();
    let project = test
        .project("p")
        .script_with(
            "a.txt",
            "env RUNNER_ATTEMPT\nappend started\nwait-for go\nprint on\nsucceed-at tries 3",
            json!({"retries": {"count": 2, "delay": "1ms"}}),
        )
        .script("b.txt", "print b");
    let runner = test.start(["run", "p"]);
    wait_for_file(&project.root.join("started"));
    let id = project.run_dir().file_name().unwrap().to_string_lossy().into_owned();
    let listed = || test.runner(["show", &id]).code == 0;
    wait_for("the run in the history", || listed().then_some(()));
    let logs = test.start(["logs", "-f", &id]);
    std::fs::write(project.root.join("go"), "").unwrap();
    finish(runner).expect(0);
    let followed = finish(logs).expect(0).stdout;
    let output = |attempt: u32| format!("RUNNER_ATTEMPT={attempt}\non\n");
    let expected = format!(
        "==> a.txt, attempt 1: exit code 1\n{}\n==> a.txt, attempt 2: exit code 1\n{}\n==> a.txt, attempt 3: success\n{}\n\
         ==> b.txt: success\nb\n",
        output(1),
        output(2),
        output(3)
    );
    // What the headings say depends on when the attempt was met.
    let ends = |text: &str| {
        let end = |line: &str| line.split(": ").next().unwrap().replace(", attempt 1", "");
        let lines = text.lines().map(|line| if line.starts_with("==> ") { end(line) } else { line.to_owned() });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(ends(&followed), ends(&expected));
    assert_eq!(test.runner(["logs", &id]).expect(0).stdout, expected);
    let alone = test.runner(["logs", &id, "a.txt"]).expect(0).stdout;
    assert_eq!(format!("{alone}\n==> b.txt: success\nb\n"), expected);
}

// Signals from outside: there are none elsewhere.
#[cfg(unix)]
#[test]
fn whoever_interrupts_the_pause_does_not_wait_for_it() {
    for (signal, by) in [("-2", "Ctrl-C"), ("-15", "SIGTERM")] {
        let test = Test::new();
        let project = test
            .project("p")
            .set("retries", json!({"count": 5, "delay": "1h"}))
            .script("a.txt", "exit 3")
            .script("b.txt", "");
        let runner = test.start(["run", "p"]);
        wait_for("the pause", || {
            let dir = project.run_dirs().pop()?;
            let text = std::fs::read_to_string(dir.join("events.jsonl")).ok()?;
            text.contains("\"retry_after_us\":3600000000").then_some(())
        });
        assert!(project.log().is_empty(), "it may yet succeed");
        let kill = std::process::Command::new("kill").args([signal, &runner.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let run = finish(runner).expect(130);
        assert_eq!(project.log_ends(), ["a.txt - failure - exit code 3"], "{by}");
        let ends = project.ends();
        assert_eq!(ends.len(), 2, "{ends:?}");
        assert_eq!(ends[1]["retry_after_us"], Value::Null);
        assert_eq!((&ends[0]["outcome"], &ends[0]["attempt"]), (&ends[1]["outcome"], &ends[1]["attempt"]));
        assert!(run.stdout.contains("skipped b.txt"), "{}", run.stdout);
        let id = project.run_dir().file_name().unwrap().to_string_lossy().into_owned();
        let report = &test.runner(["show", &id, "--json"]).expect(0).json()[0];
        assert_eq!((&report["status"], &report["scripts"][0]["attempts"]), (&json!("interrupted"), &json!(1)));
        assert_eq!(report["scripts"][0]["retry_pending"], false);
    }
}

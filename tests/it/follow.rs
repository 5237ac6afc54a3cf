//! Runs that follow another: again what failed, or on from where it broke off.

use serde_json::{Value, json};

use crate::harness::{Project, Test, finish, wait_for_file};

fn latest(test: &Test) -> String {
    test.runner(["history", "--json", "-n", "1"]).expect(0).json()[0]["run_id"].as_str().unwrap().to_owned()
}

fn started(project: &Project, run: &str) -> Value {
    let text = std::fs::read_to_string(project.root.join("logs/runs").join(run).join("events.jsonl")).unwrap();
    serde_json::from_str(text.lines().next().unwrap()).unwrap()
}

fn scripts(started: &Value) -> Vec<&str> {
    started["scripts"].as_array().unwrap().iter().map(|script| script["file_name"].as_str().unwrap()).collect()
}

/// Of three scripts the second fails.
fn failing(test: &Test) -> Project {
    test.project("p").script("a.txt", "print a").script("b.txt", "exit 3").script("c.txt", "print c")
}

fn mend(project: &Project) {
    std::fs::write(project.root.join("b.txt"), "print mended").unwrap();
}

#[test]
fn a_retry_runs_what_failed_and_a_resume_goes_on_from_there() {
    let test = Test::new();
    let project = failing(&test);
    test.runner(["run", "p"]).expect(1);
    let first = latest(&test);
    let retry = test.runner(["retry", &first]).expect(1);
    assert!(retry.stdout.contains(&format!("p: retry run {first}, 1 of its 3 scripts")), "{}", retry.stdout);
    let second = latest(&test);
    let begun = started(&project, &second);
    assert_eq!(scripts(&begun), ["b.txt"]);
    assert_eq!(begun["parent"], json!({"run_id": first, "how": "retry", "first": first}));
    assert_eq!(begun["planned"], started(&project, &first)["time"], "it does the work of that time");

    mend(&project);
    test.runner(["resume", &first[..6]]).expect(0);
    assert_eq!(scripts(&started(&project, &latest(&test))), ["b.txt", "c.txt"]);
    test.runner(["retry", &second]).expect(0);
    let begun = started(&project, &latest(&test));
    assert_eq!(begun["parent"], json!({"run_id": second, "how": "retry", "first": first}), "the chain's first");
    assert_eq!(begun["planned"], started(&project, &first)["time"]);
    let ends = ["a", "b", "c", "b", "b", "c", "b"].map(|name| format!("{name}.txt"));
    let logged: Vec<String> = project.log_ends().iter().map(|end| end.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(logged, ends);
}

#[test]
fn there_may_be_nothing_to_do() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a");
    test.runner(["run", "p"]).expect(0);
    let run = latest(&test);
    for (verb, why) in [("retry", "no script failed in it"), ("resume", "every script succeeded in it")] {
        let done = test.runner([verb, &run]).expect(0);
        assert_eq!(done.stdout, format!("p: nothing to do for run {run}: {why}\n"));
    }
    assert_eq!(project.run_dirs().len(), 1);
    let unknown = test.runner(["retry", "xyz"]).expect(2);
    assert!(unknown.stderr.contains("`xyz` is not a run id"), "{}", unknown.stderr);
}

#[test]
fn a_run_that_was_killed_can_be_resumed_at_once() {
    let test = Test::new();
    let project = test
        .project("p")
        .script("a.txt", "append ran")
        .script("b.txt", "touch started\nwait-for go")
        .script("c.txt", "print c");
    let mut runner = test.start(["run", "p"]);
    wait_for_file(&project.root.join("started"));
    let run = project.run_dir().file_name().unwrap().to_string_lossy().into_owned();
    let still = test.runner(["resume", &run]).expect(3);
    assert!(still.stderr.contains(&format!("run {run} is still under way")), "{}", still.stderr);
    runner.kill().unwrap();
    runner.wait().unwrap();
    std::fs::write(project.root.join("go"), "").unwrap();
    let shown = test.runner(["resume", &run, "--dry-run"]).expect(0).stdout;
    assert!(shown.contains("b.txt") && shown.contains("c.txt") && !shown.contains("a.txt"), "{shown}");
    let resumed = finish(test.start(["resume", &run])).expect(0);
    assert!(resumed.stdout.contains("going on with run"), "{}", resumed.stdout);
    let expected =
        ["a.txt - success", "b.txt - failure - interrupted: the runner died", "b.txt - success", "c.txt - success"];
    assert_eq!(project.log_ends(), expected);
    assert_eq!(std::fs::read_to_string(project.root.join("ran")).unwrap().lines().count(), 1);
    // Only what was under way failed; what comes after it was skipped.
    test.runner(["retry", &run]).expect(0);
    assert_eq!(scripts(&started(&project, &latest(&test))), ["b.txt"]);
}

#[test]
fn of_a_script_that_stands_there_twice_the_right_one_runs_again() {
    let test = Test::new();
    let twice = |args: &str| json!({"args": [args]});
    let _project = test
        .project("p")
        .script_with("load.txt", "args\nexit 3", twice("one"))
        .script("x.txt", "print x")
        .script_with("load.txt", "args\nexit 3", twice("two"));
    test.runner(["run", "p", "--from", "2"]).expect(1);
    test.runner(["retry", &latest(&test)]).expect(1);
    let run = latest(&test);
    assert_eq!(test.runner(["logs", &run]).expect(0).stdout, "<two>\n");
    test.runner(["retry", &run]).expect(1);
    assert_eq!(test.runner(["logs", &latest(&test)]).expect(0).stdout, "<two>\n");
}

#[test]
fn a_script_that_is_gone_is_named() {
    let test = Test::new();
    let project = failing(&test);
    test.runner(["run", "p"]).expect(1);
    let run = latest(&test);
    let project = project.set("scripts", json!(["a.txt", "c.txt"]));
    let retry = test.runner(["retry", &run]).expect(2);
    let error = "p has no script `b.txt` any more; `runner run` runs the project as it is now";
    assert!(retry.stderr.contains(error), "{}", retry.stderr);
    assert_eq!(project.run_dirs().len(), 1);
}

#[test]
fn a_run_is_followed_with_its_own_profile() {
    let test = Test::new();
    let project = failing(&test).file("exec_config.dev.json", r#"{"env": {"WHERE": "dev"}}"#);
    std::fs::write(project.root.join("b.txt"), "env WHERE\nexit 3").unwrap();
    test.runner(["run", "p", "--profile", "dev"]).expect(1);
    test.runner(["retry", &latest(&test)]).expect(1);
    let run = latest(&test);
    assert_eq!(test.runner(["logs", &run]).expect(0).stdout, "WHERE=dev\n");
    assert_eq!(started(&project, &run)["profile"], "dev");
}

//! What happens when a project is to run that runs already, and when projects share a lock.

use std::process::Child;

use serde_json::json;

use crate::harness::{Project, Test, finish, wait_for, wait_for_file};

/// A project whose script waits for the file `go`.
fn waiting(test: &Test, name: &str) -> Project {
    test.project(name).script("a.txt", "print a").script("wait.txt", "append begun\ntouch started\nwait-for go")
}

fn begun(project: &Project) -> usize {
    std::fs::read_to_string(project.root.join("begun")).unwrap_or_default().lines().count()
}

fn let_go(project: &Project) {
    std::fs::write(project.root.join("go"), "").unwrap();
}

/// Waits until a started runner says something on standard error, which it says before it waits.
fn wait_until_it_says(runner: &mut Child, text: &str) {
    use std::io::{BufRead, BufReader};
    let mut stderr = BufReader::new(runner.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended without saying `{text}`");
    }
    // Whatever else it says must find somebody who listens.
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
}

#[test]
fn a_second_run_is_told_what_the_first_is_at() {
    let test = Test::new();
    let project = waiting(&test, "p");
    let first = test.start(["run", "p"]);
    wait_for_file(&project.root.join("started"));
    let run = project.run_dir().file_name().unwrap().to_string_lossy().into_owned();
    let second = test.runner(["run", "p"]).expect(3);
    for part in ["p: the project is already running since ", &format!("(run {run}); it is at wait.txt (2 of 2)")] {
        assert!(second.stderr.contains(part), "{}", second.stderr);
    }
    let_go(&project);
    finish(first).expect(0);
    assert!(!project.root.join("logs/.run.lock.json").exists());
}

/// A project, a run of it whose script waits for the file `go`, and a second run that waits for the first.
fn one_waits(test: &Test) -> (Project, Child, Child) {
    let project = waiting(test, "p").set("overlap", "wait");
    let first = test.start(["run", "p"]);
    wait_for_file(&project.root.join("started"));
    let mut second = test.start(["run", "p"]);
    wait_until_it_says(&mut second, "p: waiting for run ");
    (project, first, second)
}

#[test]
fn a_run_waits_for_its_turn_if_it_may() {
    let test = Test::new();
    let (project, first, second) = one_waits(&test);
    assert_eq!(begun(&project), 1);
    let_go(&project);
    finish(first).expect(0);
    finish(second).expect(0);
    assert_eq!((begun(&project), project.log_ends().len()), (2, 4));
}

#[test]
fn a_wait_has_a_limit() {
    let test = Test::new();
    let project = waiting(&test, "p").set("overlap", json!({"wait": "300ms"}));
    let first = test.start(["run", "p"]);
    wait_for_file(&project.root.join("started"));
    let second = test.runner(["run", "p"]).expect(3);
    assert!(second.stderr.contains("; waited 300 ms for it; it is at wait.txt"), "{}", second.stderr);
    let_go(&project);
    finish(first).expect(0);
}

#[test]
fn whoever_waits_goes_on_when_the_other_is_killed() {
    let test = Test::new();
    let (project, mut first, second) = one_waits(&test);
    first.kill().unwrap();
    first.wait().unwrap();
    wait_for("the second's script", || (begun(&project) == 2).then_some(()));
    let_go(&project);
    finish(second).expect(0);
    assert_eq!(project.log_ends()[1], "wait.txt - failure - interrupted: the runner died");
}

#[cfg(unix)]
#[test]
fn a_wait_can_be_interrupted() {
    let test = Test::new();
    let (project, first, second) = one_waits(&test);
    assert!(std::process::Command::new("kill").args(["-2", &second.id().to_string()]).status().unwrap().success());
    finish(second).expect(130);
    assert_eq!(project.run_dirs().len(), 1, "nothing of it began");
    let_go(&project);
    finish(first).expect(0);
}

#[test]
fn as_many_run_at_once_as_may() {
    let test = Test::new();
    let project = waiting(&test, "p").set("overlap", json!({"allow": 2}));
    let runners = [test.start(["run", "p"]), test.start(["run", "p"])];
    wait_for("both scripts", || (begun(&project) == 2).then_some(()));
    test.runner(["run", "p"]).expect(3);
    let history = test.runner(["history", "p", "--json"]).expect(0).json();
    assert!(history.iter().all(|row| row["status"] == "running") && history.len() == 2, "{history:?}");
    let_go(&project);
    for runner in runners {
        finish(runner).expect(0);
    }
    assert_eq!(project.log_ends().len(), 4);
}

#[test]
fn a_death_beside_a_run_that_goes_on_is_seen_to() {
    let test = Test::new();
    let project = waiting(&test, "p").set("overlap", json!({"allow": 2}));
    let mut runners = [test.start(["run", "p"]), test.start(["run", "p"])];
    wait_for("both scripts", || (begun(&project) == 2).then_some(()));
    let [living, dying] = &mut runners;
    dying.kill().unwrap();
    dying.wait().unwrap();
    let statuses = || {
        let history = test.runner(["history", "p", "--json"]).expect(0).json();
        let mut found: Vec<String> = history.iter().map(|row| row["status"].as_str().unwrap().to_owned()).collect();
        found.sort_unstable();
        found
    };
    assert_eq!(statuses(), ["interrupted", "running"]);
    let_go(&project);
    test.runner(["run", "p"]).expect(0);
    living.wait().unwrap();
    assert_eq!(statuses(), ["interrupted", "success", "success"]);
    for name in [".run.lock.json", ".run.2.lock.json"] {
        assert!(!project.root.join("logs").join(name).exists(), "{name}");
    }
}

#[test]
fn projects_that_share_a_lock_take_turns() {
    let test = Test::new();
    let first = waiting(&test, "first").set("locks", json!(["db", "api"]));
    let second = test.project("second").set("locks", json!(["db"])).script("b.txt", "print b");
    let runner = test.start(["run", "first"]);
    wait_for_file(&first.root.join("started"));
    let mut waiter = test.start(["run", "second"]);
    wait_until_it_says(&mut waiter, "second: waiting for the lock `db` of first, which has it");
    // Another with a limit gives up, and a project without the lock doesn't care.
    test.project("third").set("locks", json!(["api"])).set("overlap", json!({"wait": "200ms"})).script("c.txt", "");
    let third = test.runner(["run", "third"]).expect(3);
    assert!(third.stderr.contains("third: the lock `api` is held by first since "), "{}", third.stderr);
    assert!(third.stderr.contains("waited 200 ms for it; nothing was run"), "{}", third.stderr);
    test.project("fourth").script("d.txt", "");
    test.runner(["run", "fourth"]).expect(0);
    assert!(second.log().is_empty());
    let_go(&first);
    finish(runner).expect(0);
    finish(waiter).expect(0);
    assert_eq!(second.log_ends(), ["b.txt - success"]);
    test.runner(["run", "third"]).expect(0);
}

#[test]
fn locks_need_a_folder() {
    let test = Test::new();
    let project = test.project("p").set("locks", json!(["db"])).script("a.txt", "");
    std::fs::write(test.path("state"), "a file where a folder should be").unwrap();
    let run = test.runner(["run", "p"]).expect(4);
    assert!(run.stderr.contains("p: the locks that it shares with other projects can't be used"), "{}", run.stderr);
    assert!(project.run_dirs().is_empty());
}

//! How many runs may be under way on the machine at once: `RUNNER_MAX_RUNS`.

use std::io::{BufRead, BufReader};
use std::process::Child;

use crate::harness::{Finished, Project, Test, finish, wait_for_file};

/// A project whose script waits for the file `go`.
fn waiting(test: &Test, name: &str) -> Project {
    test.project(name).script("wait.txt", "touch started\nwait-for go")
}

fn start(test: &Test, name: &str, most: &str) -> Child {
    test.command(["run", name]).env("RUNNER_MAX_RUNS", most).spawn().unwrap()
}

fn let_go(project: &Project) {
    std::fs::write(project.root.join("go"), "").unwrap();
}

fn has_begun(project: &Project) -> bool {
    project.root.join("started").exists()
}

/// What a started runner says on standard error before it waits.
fn heard(runner: &mut Child) -> String {
    let mut stderr = BufReader::new(runner.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    // Whatever else it says must find somebody who listens.
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    line
}

#[test]
fn a_run_of_any_project_waits_for_its_place() {
    let test = Test::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| waiting(&test, name));
    let [first, second] = ["a", "b"].map(|name| start(&test, name, "2"));
    wait_for_file(&a.root.join("started"));
    wait_for_file(&b.root.join("started"));
    let mut third = start(&test, "c", "2");
    let said = heard(&mut third);
    assert!(said.contains("c: waiting for one of the 2 runs that may be under way at once to end; "), "{said}");
    assert!(!has_begun(&c));
    let_go(&b);
    finish(second).expect(0);
    wait_for_file(&c.root.join("started"));
    // Whoever allows fewer waits for those that others allowed, too.
    let fourth = waiting(&test, "d");
    let mut waits = start(&test, "d", "1");
    assert!(heard(&mut waits).contains("one of the 1 runs"));
    let_go(&c);
    finish(third).expect(0);
    assert!(!has_begun(&fourth));
    let_go(&a);
    finish(first).expect(0);
    let_go(&fourth);
    finish(waits).expect(0);
    assert!(has_begun(&fourth));
}

#[test]
fn whoever_is_killed_leaves_his_place() {
    let test = Test::new();
    let [a, b] = ["a", "b"].map(|name| waiting(&test, name));
    let mut first = start(&test, "a", "1");
    wait_for_file(&a.root.join("started"));
    let mut second = start(&test, "b", "1");
    heard(&mut second);
    first.kill().unwrap();
    first.wait().unwrap();
    wait_for_file(&b.root.join("started"));
    let_go(&b);
    finish(second).expect(0);
}

#[cfg(unix)]
#[test]
fn who_waits_for_a_place_can_be_interrupted() {
    let test = Test::new();
    let [a, b] = ["a", "b"].map(|name| waiting(&test, name));
    let first = start(&test, "a", "1");
    wait_for_file(&a.root.join("started"));
    let mut second = start(&test, "b", "1");
    heard(&mut second);
    assert!(std::process::Command::new("kill").args(["-2", &second.id().to_string()]).status().unwrap().success());
    finish(second).expect(130);
    assert!(!b.root.join("logs/runs").exists(), "nothing of it began");
    let_go(&a);
    finish(first).expect(0);
}

/// When scripts began and ended, as `(time, +1 or -1)`.
fn edges(project: &Project) -> Vec<(String, i32)> {
    let edge = |event: &serde_json::Value| {
        let by = match event["event"].as_str()? {
            "script_started" => 1,
            "script_finished" => -1,
            _ => return None,
        };
        Some((event["time"].as_str()?.to_owned(), by))
    };
    project.events().iter().filter_map(edge).collect()
}

#[test]
fn of_many_runs_side_by_side_no_more_than_that_are_under_way() {
    let test = Test::new();
    let projects: Vec<Project> = (0..9).map(|n| test.project(&format!("p{n}")).script("a.txt", "sleep 0.1")).collect();
    let runners = [["p0", "p1", "p2"], ["p3", "p4", "p5"], ["p6", "p7", "p8"]].map(|names| {
        let args = ["run", "--jobs", "3"].into_iter().chain(names);
        test.command(args).env("RUNNER_MAX_RUNS", "2").spawn().unwrap()
    });
    for runner in runners {
        finish(runner).expect(0);
    }
    let mut edges: Vec<(String, i32)> = projects.iter().flat_map(edges).collect();
    assert_eq!(edges.len(), 18);
    edges.sort();
    let mut under_way = 0;
    for (_, by) in &edges {
        under_way += by;
        assert!(under_way <= 2, "{edges:?}");
    }
}

/// It would wait for a place that the run has which waits for it. (The script is one of a shell's.)
#[cfg(unix)]
#[test]
fn what_a_script_starts_has_the_place_of_its_run() {
    let test = Test::new();
    let inner = test.project("inner").script("a.txt", "touch started");
    let command = format!("exec '{}' run '{}'", crate::harness::runner().display(), inner.root.display());
    let _outer = test.project("outer").script("a.sh", &command).set("python_command", "sh");
    Finished::of(test.command(["run", "outer"]).env("RUNNER_MAX_RUNS", "1").output().unwrap()).expect(0);
    assert!(has_begun(&inner));
}

#[test]
fn a_number_that_is_none_is_a_slip() {
    let test = Test::new();
    let project = waiting(&test, "p");
    for args in [&["run", "p"][..], &["daemon", "p"]] {
        for bad in ["0", "2.5", "many"] {
            let refused = Finished::of(test.command(args).env("RUNNER_MAX_RUNS", bad).output().unwrap()).expect(2);
            let what = format!("the variable RUNNER_MAX_RUNS is `{bad}`, which is no whole number from 1");
            assert!(refused.stderr.contains(&what), "{}", refused.stderr);
        }
    }
    assert!(!has_begun(&project));
}

//! Folders in which nobody may write, not even an administrator: a file system that is mounted so.

use crate::Faults;
use crate::audit;
use crate::harness::Test;
use crate::namespace::{mount, set_read_only};

pub fn read_only(faults: &Faults) {
    logs(faults);
    project_folder(faults);
    state(faults, true);
    state(faults, false);
}

/// What the runner refuses, and says: exit code 4, the folder's name, and no script is run.
fn expect_refusal(faults: &Faults, test: &Test, what: &str) {
    let run = test.runner(["run", "p"]);
    faults.tally.count("runs", 1);
    faults.tally.check(run.code == 4, || format!("{what}: exit code {}\n{}", run.code, run.stderr));
    let clear = run.stderr.contains("error:") && run.stderr.contains("logs") && run.stderr.contains("ead-only");
    faults.tally.check(clear, || format!("{what}: it doesn't say what and why:\n{}", run.stderr));
    faults.tally.check(!test.path("ran").exists(), || format!("{what}: a script was run"));
}

fn expect_run(faults: &Faults, test: &Test, what: &str, warns: bool) {
    let run = test.runner(["run", "-q", "p"]);
    faults.tally.count("runs", 1);
    faults.tally.check(run.code == 0, || format!("{what}: exit code {}\n{}", run.code, run.stderr));
    let warned = run.stderr.contains("warning:");
    faults.tally.check(warned == warns, || format!("{what}: warned: {warned}, not {warns}\n{}", run.stderr));
    faults.tally.check(std::fs::remove_file(test.path("ran")).is_ok(), || format!("{what}: no script was run"));
}

fn logs(faults: &Faults) {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch ../ran");
    let logs = test.path("p/logs");
    mount(&logs, "4m");
    expect_run(faults, &test, "before the logs were read-only", false);
    set_read_only(&logs, true);
    expect_refusal(faults, &test, "with read-only logs");
    let (history, _) = audit::history(&test);
    faults.tally.check(history.len() == 1, || format!("the history can't be read with read-only logs: {history:?}"));
    set_read_only(&logs, false);
    expect_run(faults, &test, "after the logs were read-only", false);
    audit::audit(faults, &test, &[project], &Default::default(), "after the logs were read-only").count(faults);
}

/// The folder for the logs can't even be made.
fn project_folder(faults: &Faults) {
    let test = Test::new();
    mount(&test.path("p"), "4m");
    let project = test.project("p").script("a.txt", "touch ../ran");
    set_read_only(&project.root, true);
    expect_refusal(faults, &test, "with a read-only project");
    set_read_only(&project.root, false);
    expect_run(faults, &test, "after the project was read-only", false);
    audit::audit(faults, &test, &[project], &Default::default(), "after the project was read-only").count(faults);
}

fn state(faults: &Faults, made: bool) {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch ../ran").script("b.txt", "print b");
    let state = test.path("state");
    mount(&state, "4m");
    if made {
        expect_run(faults, &test, "before the state was read-only", false);
    }
    set_read_only(&state, true);
    let what = if made { "with a read-only database" } else { "with a read-only state folder without a database" };
    expect_run(faults, &test, what, true);
    set_read_only(&state, false);
    expect_run(faults, &test, "after the state was read-only", false);
    audit::audit(faults, &test, &[project], &Default::default(), "after the state was read-only").count(faults);
}

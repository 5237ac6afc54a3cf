//! Scripts that say success, and what is expected of them beside that.

use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::harness::{Project, Test};

/// Makes a file look as if it was written some hours ago.
fn age(project: &Project, file: &str) {
    let file = std::fs::File::options().write(true).open(project.root.join(file)).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(5 * 3600)).unwrap();
}

#[test]
fn a_script_that_leaves_out_what_is_expected_has_failed() {
    let test = Test::new();
    let project = test
        .project("p")
        .file("old.csv", "a;b\n")
        .script_with("missing.txt", "print I am done", json!({"expect": {"file": "out.csv"}}))
        .script_with("old.txt", "", json!({"expect": {"file": "old.csv", "fresh": true}}))
        .script_with("empty.txt", "put empty.csv", json!({"expect": {"file": "empty.csv", "not_empty": true}}))
        .script_with("few.txt", "put few.csv a;b|1;2||", json!({"expect": {"file": "few.csv", "min_rows": 3}}))
        .script_with("silent.txt", "print 0 rows", json!({"expect": {"output": r"^[1-9]\d* rows$"}}));
    age(&project, "old.csv");
    let run = test.runner(["run", "p"]).expect(1);
    let ends = project.log_ends();
    assert_eq!(ends[0], "missing.txt - failure - expectation not met: out.csv is not there");
    let stale = "old.txt - failure - expectation not met: old.csv was not written by this run (last changed ";
    assert!(ends[1].starts_with(stale), "{ends:?}");
    assert_eq!(ends[2], "empty.txt - failure - expectation not met: empty.csv is empty");
    assert_eq!(ends[3], "few.txt - failure - expectation not met: few.csv has 2 rows, and at least 3 were expected");
    assert_eq!(
        ends[4],
        r"silent.txt - failure - expectation not met: no line of the output matches `^[1-9]\\d* rows$`"
            .replace(r"\\", r"\")
    );
    let end = &project.ends()[0];
    assert_eq!(end["outcome"], json!({"kind": "expectation_not_met", "what": "out.csv is not there", "code": 0}));
    assert_eq!(end["last_lines"], "I am done");
    assert!(run.stdout.contains("expectation not met: out.csv is not there"), "{}", run.stdout);
}

#[test]
fn a_script_that_meets_all_of_it_succeeds() {
    let test = Test::new();
    let project = test
        .project("p")
        .file("out.csv", "old")
        .file("kept.csv", "a;b\n")
        .set(
            "expect",
            json!([
                {"file": "out.csv", "fresh": true, "not_empty": true, "min_rows": 2},
                {"file": "kept.csv", "fresh": "6h"},
                {"output": "^written$"},
                {"output": "^warned: "},
            ]),
        )
        .script("a.txt", "put out.csv a;b|1;2\nprint written\neprint warned: of nothing")
        // The end of the output ends a line, too.
        .script("b.txt", "put out.csv a;b|1;2\neprint warned: again\nwrite written")
        .script_with("c.txt", "", json!({"expect": []}));
    age(&project, "out.csv");
    age(&project, "kept.csv");
    test.runner(["run", "p"]).expect(0);
    assert_eq!(project.log_ends(), ["a.txt - success", "b.txt - success", "c.txt - success"]);
}

#[test]
fn what_is_expected_is_a_failure_to_try_again_after() {
    let test = Test::new();
    let project = test
        .project("p")
        .set("retries", json!({"count": 1, "delay": 0}))
        .script_with("a.txt", "env RUNNER_ATTEMPT\nappend tries", json!({"expect": {"output": "^RUNNER_ATTEMPT=2$"}}))
        // Its own word counts before what it left behind is looked at.
        .script_with("b.txt", "exit 3", json!({"retries": 0, "expect": {"file": "never"}}))
        .script_with("c.txt", "exit 3", json!({"success_codes": [3], "expect": {"file": "tries"}}));
    test.runner(["run", "p"]).expect(1);
    assert_eq!(project.log_ends(), ["a.txt - success", "b.txt - failure - exit code 3", "c.txt - success"]);
    assert_eq!(project.ends()[0]["outcome"]["kind"], "expectation_not_met");
}

#[test]
fn a_dry_run_tells_what_is_expected_and_how_often_it_is_tried() {
    let test = Test::new();
    let project = test.project("p").script_with(
        "a.txt",
        "touch ran",
        json!({
            "retries": {"count": 3, "backoff": "exponential", "delay": "2s", "on": {"exit_codes": [75], "timeout": true}},
            "expect": [{"file": "out.csv", "fresh": true, "min_rows": 2}, {"output": "^done$"}],
        }),
    );
    let run = test.runner(["run", "p", "--dry-run"]).expect(0);
    for said in [
        "tried again up to 3 times after 2 s, each time twice as long, at most 5 min, if it ended with exit code 75 or its \
         timeout",
        "must leave out.csv, written by this run, with at least 2 rows",
        "must print a line that matches `^done$`",
    ] {
        assert!(run.stdout.contains(said), "{}", run.stdout);
    }
    assert!(!project.root.join("ran").exists());
}

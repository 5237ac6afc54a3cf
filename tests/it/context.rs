//! What scripts are told of their run, and the files that they attach to it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test};

const VARIABLES: &str = "env RUNNER_RUN_ID\nenv RUNNER_PROJECT\nenv RUNNER_ATTEMPT\nenv RUNNER_ATTEMPT_ID\n\
    env RUNNER_PLANNED_TIME\nenv RUNNER_IDEMPOTENCY_KEY\nenv RUNNER_FILES\nenv RUNNER_SETTINGS\n";

/// The variables that the script at this place among the ends has printed.
fn told(project: &Project, index: usize) -> BTreeMap<String, String> {
    let text = project.output_text(index);
    text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn each_attempt_knows_where_it_is() {
    let test = Test::new();
    let project = test
        .project("p")
        .script_with("a.txt", &format!("{VARIABLES}succeed-at tries 2"), json!({"retries": {"count": 1, "delay": 0}}))
        .script("b.txt", VARIABLES)
        .script_with("b.txt", VARIABLES, json!({"name": "again"}));
    let mut command = test.command(["run", "p"]);
    // As if this runner was a script of another's.
    for name in VARIABLES.lines().filter_map(|line| line.strip_prefix("env ")) {
        command.env(name, "of another run");
    }
    Finished::of(command.output().unwrap()).expect(0);
    let run = project.run_dir().file_name().unwrap().to_string_lossy().into_owned();
    let started = project.events()[0]["time"].as_str().unwrap().to_owned();
    let all: Vec<_> = (0..4).map(|index| told(&project, index)).collect();
    for one in &all {
        assert_eq!((one["RUNNER_RUN_ID"].as_str(), one["RUNNER_PROJECT"].as_str()), (run.as_str(), "p"));
        assert_eq!(one["RUNNER_FILES"], project.run_dir().join("files").display().to_string());
        assert_eq!(one["RUNNER_SETTINGS"], "(unset)");
        let planned = chrono::DateTime::parse_from_rfc3339(&one["RUNNER_PLANNED_TIME"]).unwrap();
        let started = chrono::DateTime::parse_from_rfc3339(&started).unwrap();
        assert!((0..=5).contains(&(started - planned).num_seconds()), "{planned} {started}");
        assert!(one["RUNNER_PLANNED_TIME"].len() == 20 && one["RUNNER_PLANNED_TIME"].ends_with('Z'), "{planned}");
    }
    let of = |name: &str| all.iter().map(|one| one[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("RUNNER_ATTEMPT"), ["1", "2", "1", "1"]);
    let ids = ["1.1", "1.2", "2.1", "3.1"].map(|id| format!("{run}.{id}"));
    assert_eq!(of("RUNNER_ATTEMPT_ID"), ids);
    let keys = ["a.txt", "a.txt", "b.txt", "b.txt#2"].map(|key| format!("{run}:{key}"));
    assert_eq!(of("RUNNER_IDEMPOTENCY_KEY"), keys);
    assert!(!project.run_dir().join("files").exists(), "there is nothing in it");
}

#[test]
fn the_second_of_two_alike_has_its_key_also_when_it_runs_alone() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", VARIABLES).script("a.txt", VARIABLES);
    test.runner(["run", "p", "--from", "2"]).expect(0);
    let key = &told(&project, 0)["RUNNER_IDEMPOTENCY_KEY"];
    assert!(key.ends_with(":a.txt#2"), "{key}");
}

#[test]
fn files_that_scripts_attach_are_listed() {
    let test = Test::new();
    let project = test
        .project("p")
        .script("a.txt", "put-below RUNNER_FILES report.csv\nput-below RUNNER_FILES charts/one.svg")
        .script("b.txt", "put-below RUNNER_FILES charts/two.svg\nexit 1");
    let outside = test.path("outside");
    std::fs::write(&outside, "not of this run").unwrap();
    #[cfg(unix)]
    let project = {
        // A link leads anywhere.
        let link = test.path("link.sh");
        std::fs::write(&link, format!("ln -s '{}' \"$RUNNER_FILES/link\"\n", outside.display())).unwrap();
        project.script_with("c.txt", "", json!({"interpreter": ["sh", link]}))
    };
    test.runner(["run", "p"]).expect(1);
    let events = project.events();
    let finished = events.iter().find(|event| event["event"] == "run_finished").unwrap();
    let file = |name: &str| json!({"name": name, "bytes": 8});
    let expected = [file("charts/one.svg"), file("charts/two.svg"), file("report.csv")];
    assert_eq!(finished["files"], Value::from(expected.to_vec()));
    assert!(project.run_dir().join("files/charts/two.svg").exists());
}

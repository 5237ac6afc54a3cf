//! `runner schedule preview`: when projects are due, as people and programs are told.

use serde_json::{Value, json};

use crate::harness::Test;

/// Two instants around the night in which Paris' clocks go forward.
const NIGHT: &str = "2027-03-27T12:00:00Z";

fn nightly() -> Value {
    json!({"name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Paris"})
}

#[test]
fn programs_get_each_instant_in_order() {
    let test = Test::new();
    test.project("p").script("a.txt", "").set("schedule", json!([nightly(), {"interval": "12h", "timezone": "UTC"}]));
    let found = test.runner(["schedule", "preview", "p", "-n", "4", "--from", NIGHT, "--json"]).expect(0).json();
    let of = |key: &str| found.iter().map(|object| object[key].as_str().unwrap_or("null")).collect::<Vec<_>>();
    assert_eq!(
        of("planned_utc"),
        ["2027-03-28T00:00:00Z", "2027-03-28T01:00:00Z", "2027-03-28T12:00:00Z", "2027-03-29T00:00:00Z"]
    );
    assert_eq!(of("schedule"), ["2", "nightly", "2", "2"]);
    assert_eq!(found[1]["planned_local"], "2027-03-28T03:00:00+02:00");
    assert_eq!(found[1]["timezone"], "Europe/Paris");
    assert_eq!(found[1]["dst"], json!({"at": "2027-03-28T01:00:00Z", "forward_seconds": 3600}));
    assert_eq!(
        (&found[0]["dst"], &found[0]["overlap"], &found[0]["project"]),
        (&json!(null), &json!(null), &json!("p"))
    );
    // The instant that is asked from isn't after itself.
    let after = test.runner(["schedule", "preview", "p", "-n", "1", "--from", "2027-03-28T01:00:00Z", "--json"]);
    assert_eq!(after.expect(0).json()[0]["planned_utc"], "2027-03-28T12:00:00Z");
}

#[test]
fn people_see_the_change_of_the_clocks_and_a_week() {
    let test = Test::new();
    test.project("p").script("a.txt", "").set("schedule", nightly());
    let shown = test.runner(["schedule", "preview", "p", "-n", "2", "--from", NIGHT]).expect(0).stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "p, Europe/Paris", "{shown}");
    assert_eq!(lines[2], "    Sun 2027-03-28 02:00: the clocks of Europe/Paris go forward 1 h", "{shown}");
    assert!(lines[3].starts_with("Sun 2027-03-28 03:00:00  +02:00  03-28 01:00:00"), "{shown}");
    assert!(lines[4].starts_with("Mon 2027-03-29 02:30:00"), "{shown}");
    assert!(shown.contains("\nThe week from 2027-03-27"), "{shown}");
    assert!(shown.contains("\nnightly |1.........."), "{shown}");
    assert!(lines.iter().all(|line| line.is_ascii() && line.len() <= 100), "{shown}");
}

#[test]
fn runs_that_usually_take_longer_than_the_pause_are_pointed_at() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "").set("schedule", json!({"interval": "10m", "timezone": "UTC"}));
    test.runner(["run", "p"]).expect(0);
    test.database("UPDATE scripts SET duration_us = 900000000");
    let preview = |more: &[&str]| {
        let args = ["schedule", "preview", "p", "-n", "2", "--from", NIGHT].iter().chain(more).copied();
        test.runner(args.collect::<Vec<_>>()).expect(0)
    };
    let found = preview(&["--json"]).json();
    // The one at 11:50 goes on until 12:05, so that the one at 12:00 is left out.
    assert_eq!((&found[0]["planned_utc"], &found[0]["overlap"]), (&json!("2027-03-27T12:10:00Z"), &json!(null)));
    assert_eq!(
        found[1]["overlap"],
        json!({"running_since": "2027-03-27T12:10:00Z", "usual_seconds": 900.0, "then": "skip"})
    );
    let shown = preview(&[]).stdout;
    assert!(shown.contains("likely still running since 12:10:00 (usually 15 min): would be skipped"), "{shown}");
    project.set("overlap", json!({"allow": 2}));
    assert_eq!(preview(&["--json"]).json()[1]["overlap"], json!(null));
}

#[test]
fn all_known_projects_are_meant_where_none_is_named() {
    let test = Test::new();
    let none = test.runner(["schedule", "preview"]).expect(0).stdout;
    assert!(none.starts_with("No project is known here"), "{none}");
    test.project("bare").script("a.txt", "");
    test.project("p").script("a.txt", "").set("schedule", nightly());
    test.project("q").script("a.txt", "").set("schedule", json!({"at": "2027-03-28T00:30:00Z", "timezone": "UTC"}));
    test.runner(["run", "bare", "p", "q"]).expect(0);
    let found = test.runner(["schedule", "preview", "-n", "9", "--from", NIGHT, "--json"]).expect(0).json();
    let projects: Vec<&str> = found.iter().map(|object| object["project"].as_str().unwrap()).collect();
    assert_eq!(projects, ["q", "p", "p", "p", "p", "p", "p", "p", "p"]);
    let bare = test.runner(["schedule", "preview", "bare"]).expect(0).stdout;
    assert!(bare.starts_with("bare has no schedule"), "{bare}");
    let wrong = test.runner(["schedule", "preview", "p", "--from", "tomorrow"]).expect(2).stderr;
    assert!(wrong.contains("2026-12-01T06:00"), "{wrong}");
}

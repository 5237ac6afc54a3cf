//! Mails that can't be sent at once wait, survive, and go out later.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Finished, Project, Test, wait_for};
use crate::post_office::{At, Manner, PostOffice};

/// A test with a project that mails each run.
fn mailing() -> (Test, Project, PostOffice) {
    let test = Test::new();
    let project = test.project("p").set("email_strategy", "all").script("a.txt", "print a");
    (test, project, PostOffice::open())
}

/// Runs the runner with the settings of the office.
fn runner(test: &Test, office: &PostOffice, args: &[&str]) -> Finished {
    Finished::of(office.of(&mut test.command(args)).output().unwrap())
}

fn status(test: &Test) -> Vec<Value> {
    test.runner(["mail", "status", "--json"]).expect(0).json()
}

/// What the events of a run say of its mail, in order.
fn mail_events(run_dir: &Path) -> Vec<String> {
    let events = std::fs::read_to_string(run_dir.join("events.jsonl")).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let states = events.filter(|event| event["event"] == "mail");
    states.map(|event| event["mail"]["state"].as_str().unwrap().to_owned()).collect()
}

fn history(test: &Test) -> Vec<String> {
    let rows = test.runner(["history", "--json"]).expect(0).json();
    rows.iter().map(|row| row["mail"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_mail_goes_out_by_way_of_the_outbox() {
    let (test, project, office) = mailing();
    let run = runner(&test, &office, &["run", "p"]).expect(0);
    assert!(run.stdout.contains("mail sent"), "{}", run.stdout);
    let run_dir = project.run_dir();
    assert_eq!(office.runs(), [run_dir.file_name().unwrap().to_string_lossy()]);
    assert_eq!(mail_events(&run_dir), ["sent"]);
    assert_eq!(history(&test), ["sent"]);
    assert!(status(&test).is_empty());
    let kept = std::fs::read_to_string(run_dir.join("mail.eml")).unwrap();
    assert_eq!(kept.replace("\r\n", "\n").trim_end(), office.taken()[0].data.trim_end());
}

#[test]
fn what_a_server_that_is_down_does_not_take_the_next_run_sends() {
    let (test, project, office) = mailing();
    office.misbehave(At::Greeting, Manner::HangsUp, usize::MAX);
    let run = runner(&test, &office, &["run", "p"]).expect(0);
    assert!(run.stderr.contains("the mail waits to be sent"), "{}", run.stderr);
    let first = project.run_dir();
    assert_eq!(mail_events(&first), ["queued"]);
    let waiting = status(&test);
    assert_eq!(waiting.len(), 1);
    assert_eq!((&waiting[0]["state"], &waiting[0]["attempts"]), (&"queued".into(), &1.into()));
    assert!(waiting[0]["next_at"].is_string() && waiting[0]["error"].is_string(), "{waiting:?}");

    office.behave();
    runner(&test, &office, &["run", "p"]).expect(0);
    let sent = office.taken();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].run_id, first.file_name().unwrap().to_string_lossy(), "the oldest comes first");
    assert_eq!(mail_events(&first), ["queued", "sent"]);
    assert_eq!(history(&test), ["sent", "sent"]);
    assert!(status(&test).is_empty());
}

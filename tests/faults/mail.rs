//! Runners killed at random instants while their mails are on the way, to a server that counts: none is lost, and none comes
//! twice unless nobody could know whether the server had it.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Faults;
use crate::dice::Dice;
use crate::harness::{Finished, Test};
use crate::post_office::{At, Manner, PostOffice};

/// Folders side by side, each with a state folder and a server of its own.
const LANES: u64 = 2;

/// Kills in one folder, before a new one is made.
const IN_A_SCENE: usize = 25;

/// Attempts at bringing everything to its end.
const LAST_RUNS: usize = 5;

pub fn mail(faults: &Faults) {
    let each = faults.of(15, 150);
    faults.in_lanes(LANES, each, IN_A_SCENE, one_scene);
}

fn one_scene(faults: &Faults, dice: &mut Dice, kills: usize) {
    let (test, office) = (Test::new(), PostOffice::open());
    for name in ["p", "q"] {
        test.project(name).set("email_strategy", "all").script("a.txt", "print a");
    }
    // The first one makes the state folder, too.
    let usual = took(&test, &office).min(took(&test, &office));
    for _ in 0..kills {
        match dice.below(6) {
            0 => office.misbehave(At::Greeting, Manner::HangsUp, 2),
            1 => office.misbehave(At::Message, Manner::TakesAndHangsUp, 1),
            2 => office.misbehave(At::Message, Manner::Says("451 4.3.0 later"), 1),
            _ => office.behave(),
        }
        let name = if dice.below(4) == 0 { "q" } else { "p" };
        let mut command = test.command(["run", name]);
        office.of(&mut command).stdout(Stdio::null()).stderr(Stdio::null());
        let (begin, instant) = (Instant::now(), dice.pause(usual));
        let mut runner = command.spawn().unwrap();
        std::thread::sleep(instant.saturating_sub(begin.elapsed()));
        if runner.try_wait().unwrap().is_some() {
            faults.tally.count("ended before", 1);
        } else {
            runner.kill().unwrap();
            runner.wait().unwrap();
            faults.tally.count("kills", 1);
        }
    }
    office.behave();
    finish(faults, &test, &office);
    audit(faults, &test, &office);
}

/// How long a run takes that nobody kills.
fn took(test: &Test, office: &PostOffice) -> Duration {
    let begin = Instant::now();
    run(test, office, &["run", "p"]);
    begin.elapsed()
}

fn run(test: &Test, office: &PostOffice, args: &[&str]) -> Finished {
    Finished::of(office.of(&mut test.command(args)).output().unwrap())
}

/// Lets all that is left to do be done.
fn finish(faults: &Faults, test: &Test, office: &PostOffice) {
    for name in ["p", "q"] {
        let last = run(test, office, &["run", name]);
        faults.tally.check(last.code == 0, || format!("the last run of {name} failed:\n{}", last.stderr));
    }
    let flushed = (0..LAST_RUNS).any(|_| run(test, office, &["mail", "flush"]).code == 0);
    faults.tally.check(flushed, || format!("something is left:\n{}", run(test, office, &["mail", "status"]).stdout));
}

fn audit(faults: &Faults, test: &Test, office: &PostOffice) {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for run_id in office.runs() {
        *taken.entry(run_id).or_default() += 1;
    }
    for dir in ["p", "q"].into_iter().flat_map(|name| test.existing(name).run_dirs()) {
        let run_id = dir.file_name().unwrap().to_string_lossy().into_owned();
        let events = std::fs::read_to_string(dir.join("events.jsonl")).unwrap_or_default();
        let states: Vec<String> = events
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|event| event["event"] == "mail")
            .map(|event| event["mail"].to_string())
            .collect();
        let times = taken.remove(&run_id).unwrap_or(0);
        faults.tally.count("mails", 1);
        faults.tally.check(times > 0, || format!("the mail about {run_id} is lost: {states:?}"));
        let in_doubt = states.iter().any(|state| state.contains("sent again"));
        faults.tally.check(times < 2 || in_doubt, || format!("the mail about {run_id} came {times} times: {states:?}"));
        faults.tally.count("sent again, in doubt", usize::from(times > 1));
        faults.tally.check(states.last().is_some_and(|state| state.contains("\"sent\"")), || {
            format!("the last word on the mail about {run_id}: {states:?}")
        });
    }
    faults.tally.check(taken.is_empty(), || format!("mails about runs that there are not: {taken:?}"));
    let history = run(test, office, &["history", "--json", "-n", "1000"]).json();
    let unsent: Vec<String> = history.iter().filter(|run| run["mail"] != "sent").map(Value::to_string).collect();
    faults.tally.check(unsent.is_empty(), || format!("the history doesn't know that they are sent: {unsent:?}"));
}

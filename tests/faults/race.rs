//! Many runners at once on one project: one runs and the others name it, or all run if they may; and nothing is mixed up.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::Faults;
use crate::audit;
use crate::dice::Dice;
use crate::harness::{Finished, Project, Test, finish};

const CROWD: usize = 20;

pub fn race(faults: &Faults) {
    let mut dice = faults.dice(0);
    for _ in 0..faults.of(4, 60) {
        one_at_a_time(faults, &mut dice, 2);
    }
    for _ in 0..faults.of(2, 20) {
        one_at_a_time(faults, &mut dice, CROWD);
    }
    for _ in 0..faults.of(1, 10) {
        all_at_once(faults, &mut dice);
    }
}

/// Starts so many runners within a few milliseconds and waits for all. Their process ids, and what they left.
fn start_and_wait(test: &Test, dice: &mut Dice, count: usize) -> Vec<(u32, Finished)> {
    let start = |_| {
        std::thread::sleep(dice.pause(Duration::from_millis(8)));
        test.command(["run", "-q", "p"]).stdout(Stdio::null()).spawn().unwrap()
    };
    let runners: Vec<Child> = (0..count).map(start).collect();
    runners.into_iter().map(|runner| (runner.id(), finish(runner))).collect()
}

fn one_at_a_time(faults: &Faults, dice: &mut Dice, count: usize) {
    let test = Test::new();
    // The script fails if another one of its kind runs.
    let project = test.project("p").script("a.txt", "alone taken 0.15").script("b.txt", "alone taken 0.05");
    let what = format!("{count} runners at once");
    let mut ran = 0;
    for _ in 0..2 {
        let ends = start_and_wait(&test, dice, count);
        let winners: Vec<u32> = ends.iter().filter(|(_, end)| end.code == 0).map(|(pid, _)| *pid).collect();
        faults.tally.check(!winners.is_empty(), || format!("{what}: none of them ran"));
        for (pid, end) in &ends {
            faults.tally.check(matches!(end.code, 0 | 3), || format!("{what}: exit code {}\n{}", end.code, end.stderr));
            let named = winners.iter().any(|winner| end.stderr.contains(&format!("in process {winner} on ")));
            faults.tally.check(end.code != 3 || named, || {
                format!("{what}: {pid} was refused and names none of {winners:?}, who ran:\n{}", end.stderr)
            });
        }
        faults.tally.count("runners refused", count - winners.len());
        ran += winners.len();
    }
    expect_lines(faults, &test, &project, ran, &what);
}

fn all_at_once(faults: &Faults, dice: &mut Dice) {
    let test = Test::new();
    let mut project = test.project("p").set("overlap", json!({"allow": CROWD}));
    for n in 0..8 {
        project = project.script(&format!("{n}.txt"), &format!("lines {}", n * 50));
    }
    let what = format!("{CROWD} runners that may all run");
    let ends = start_and_wait(&test, dice, CROWD);
    for (pid, end) in &ends {
        faults.tally.check(end.code == 0, || format!("{what}: {pid} ended with {}\n{}", end.code, end.stderr));
    }
    expect_lines(faults, &test, &project, CROWD, &what);
}

/// As many runs as there should be, each with all its lines.
fn expect_lines(faults: &Faults, test: &Test, project: &Project, runs: usize, what: &str) {
    let audited = audit::audit(faults, test, std::slice::from_ref(project), &Default::default(), what);
    audited.count(faults);
    let scripts = audit::read_run(&project.run_dirs()[0]).ends.len();
    faults.tally.check(audited.runs == runs, || format!("{what}: {} run folders of {runs} runs", audited.runs));
    faults.tally.check(audited.lines == runs * scripts, || {
        format!("{what}: {} lines in the log of {runs} runs of {scripts} scripts", audited.lines)
    });
}

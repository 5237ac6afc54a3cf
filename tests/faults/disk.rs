//! A disk that is full: for the log, for the run's folder, for the state database.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::Faults;
use crate::audit::{self, End};
use crate::dice::Dice;
use crate::harness::{Finished, Project, Test};
use crate::namespace::mount;

/// Scripts of the project; enough for the lines of one run to need more than one page of the disk.
const SCRIPTS: usize = 24;

pub fn disk(faults: &Faults) {
    let cases: [fn(&Faults, &mut Dice); 4] =
        [full_log, full_run_folder, |f, d| full_state(f, d, true), |f, d| full_state(f, d, false)];
    std::thread::scope(|scope| {
        for (lane, case) in (0..).zip(cases) {
            scope.spawn(move || {
                let mut dice = faults.dice(lane);
                (0..faults.of(1, 8)).for_each(|_| case(faults, &mut dice));
            });
        }
    });
}

/// A project that fails with its last script, and whose scripts leave a line each in a file outside of the full disk.
fn project(test: &Test, dice: &mut Dice) -> Project {
    let mut project = test.project("p");
    for n in 0..SCRIPTS {
        let name = format!("{n:02}{}.txt", "x".repeat(dice.below(60)));
        project = project.script(&name, &format!("append ../order\nlines {}", n * 20));
    }
    project.script("last.txt", "append ../order\nexit 3")
}

/// Runs the project and checks that each script ran to its end, and that the exit code tells of the scripts alone.
fn run(faults: &Faults, test: &Test, what: &str, warns: bool) -> Finished {
    let order = test.path("order");
    let _ = std::fs::remove_file(&order);
    let run = test.runner(["run", "-q", "p"]);
    faults.tally.count("runs", 1);
    faults.tally.check(run.code == 1, || format!("{what}: exit code {}\n{}", run.code, run.stderr));
    let ran = std::fs::read_to_string(order).unwrap_or_default().lines().count();
    faults.tally.count("scripts", ran);
    faults.tally.check(ran == SCRIPTS + 1, || format!("{what}: {ran} scripts ran to their end\n{}", run.stderr));
    let warned = run.stderr.contains("warning:");
    faults.tally.check(warned == warns, || format!("{what}: warned: {warned}, not {warns}\n{}", run.stderr));
    run
}

/// Fills the disk that `folder` is on, but for so many bytes, to the page.
fn fill(folder: &Path, room: usize) {
    let mut filler = File::create(folder.join("filler")).unwrap();
    let mut size = 0;
    while let Ok(written @ 1..) = filler.write(&[0; 4096]) {
        size += written;
    }
    filler.set_len(size.saturating_sub(room) as u64).unwrap();
}

fn free(folder: &Path) {
    std::fs::remove_file(folder.join("filler")).unwrap();
}

/// The lines of each run that the log has, which must be whole.
fn whole_lines(faults: &Faults, project: &Project, what: &str) -> std::collections::BTreeMap<String, Vec<End>> {
    let (lines, wrong) = audit::read_log(project);
    wrong.iter().for_each(|wrong| faults.tally.fail(format!("{what}: log: {wrong}")));
    faults.tally.count("log lines", lines.values().map(Vec::len).sum());
    lines
}

/// All three runs are in the history, each with its end.
fn complete_history(faults: &Faults, test: &Test, what: &str) {
    let (history, stderr) = audit::history(test);
    let ends: Vec<&str> = history.values().filter_map(|run| run["status"].as_str()).collect();
    faults.tally.check(ends == ["failure"; 3], || format!("{what}: the history has {ends:?}"));
    faults.tally.check(stderr.is_empty(), || format!("{what}: history says {stderr}"));
}

fn full_log(faults: &Faults, dice: &mut Dice) {
    let test = Test::new();
    let (project, logs) = (project(&test, dice), test.path("p/logs"));
    mount(&logs, "128k");
    mount(&logs.join("runs"), "16m");
    run(faults, &test, "before the log was full", false);
    // What is left is the rest of the log's last page, which ends in the middle of some line.
    fill(&logs, 0);
    let what = "with a full disk for the log";
    let full = run(faults, &test, what, true);
    faults.tally.check(full.stderr.contains("p.log"), || format!("{what}: it doesn't name the log:\n{}", full.stderr));
    whole_lines(faults, &project, what);
    free(&logs);
    let what = "after a full disk for the log";
    run(faults, &test, what, false);
    let lines = whole_lines(faults, &project, what);
    let runs: Vec<audit::Run> = project.run_dirs().iter().map(|dir| audit::read_run(dir)).collect();
    let complete = runs.iter().filter(|run| lines.get(&run.id) == Some(&run.ends)).count();
    faults.tally.check(complete == 2, || format!("{what}: {complete} runs have all their lines"));
    for run in runs {
        faults.tally.check(run.wrong.is_empty(), || format!("{what}: run {}: {:?}", run.id, run.wrong));
        let some = lines.get(&run.id).cloned().unwrap_or_default();
        // Where a long line found no room, a shorter one after it may have.
        let mut ends = run.ends.iter();
        let in_order = some.iter().all(|line| ends.any(|end| end == line));
        faults.tally.check(in_order, || format!("{what}: lines of other ends: {some:?}"));
    }
    complete_history(faults, &test, what);
}

fn full_run_folder(faults: &Faults, dice: &mut Dice) {
    let test = Test::new();
    let (project, runs) = (project(&test, dice), test.path("p/logs/runs"));
    mount(&runs, "2m");
    run(faults, &test, "before the run folder was full", false);
    fill(&runs, dice.below(6) * 4096);
    let what = "with a full disk for the run folder";
    run(faults, &test, what, true);
    free(&runs);
    let what = "after a full disk for the run folder";
    run(faults, &test, what, false);
    let lines = whole_lines(faults, &project, what);
    let counts: Vec<usize> = lines.values().map(Vec::len).collect();
    faults.tally.check(counts == [SCRIPTS + 1; 3], || format!("{what}: lines of each run: {counts:?}"));
    for run in project.run_dirs().iter().map(|dir| audit::read_run(dir)) {
        let torn = run.wrong.iter().find(|wrong| wrong.contains("torn") || wrong.contains("not an event"));
        faults.tally.check(torn.is_none(), || format!("{what}: run {}: {torn:?}", run.id));
        // Where even the run's start found no room, its events don't say what its scripts are called.
        let has_start = run.ends.iter().all(|end| !end.file_name.is_empty());
        if let Some(lines) = lines.get(&run.id).filter(|_| has_start) {
            faults.tally.check(lines.starts_with(&run.ends), || format!("{what}: run {}: other ends", run.id));
        }
    }
    complete_history(faults, &test, what);
}

fn full_state(faults: &Faults, dice: &mut Dice, made: bool) {
    let test = Test::new();
    let (project, state) = (project(&test, dice), test.path("state"));
    mount(&state, "1m");
    let when = if made { "a state database" } else { "no state database yet" };
    if made {
        run(faults, &test, "before the state folder was full", false);
    }
    fill(&state, dice.below(4) * 4096);
    let what = format!("with a full disk for the state, and {when}");
    run(faults, &test, &what, true);
    free(&state);
    let what = format!("after a full disk for the state, and {when}");
    for _ in 0..if made { 1 } else { 2 } {
        run(faults, &test, &what, false);
    }
    complete_history(faults, &test, &what);
    audit::audit(faults, &test, &[project], &Default::default(), &what).count(faults);
}

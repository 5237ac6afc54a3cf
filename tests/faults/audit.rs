//! The books: whether the project's log, the runs' events and the history tell the same of all that was tried.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Faults;
use crate::harness::{Project, Test};

/// What one script of a run came to, as its last event or its line in the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub file_name: String,
    pub success: bool,
    /// With two decimals.
    pub minutes: String,
}

/// A run, as its events have it.
#[derive(Debug, Default)]
pub struct Run {
    pub id: String,
    /// None if it has no end.
    pub status: Option<String>,
    /// The last end of each script that was tried, in the order in which they came.
    pub ends: Vec<End>,
    pub duration_us: u64,
    /// What is wrong with its events.
    pub wrong: Vec<String>,
}

/// What an audit went over.
#[derive(Debug, Default)]
pub struct Audit {
    pub runs: usize,
    pub lines: usize,
    /// Runs that ended because their runner did.
    pub dead: usize,
}

impl Audit {
    /// Counts what was gone over. Once a scene, since each audit goes over everything again.
    pub fn count(&self, faults: &Faults) {
        faults.tally.count("runs audited", self.runs);
        faults.tally.count("of them dead", self.dead);
        faults.tally.count("log lines", self.lines);
    }
}

/// Reads a run's events, and checks what can be told from them alone.
pub fn read_run(dir: &Path) -> Run {
    let mut run = Run { id: dir.file_name().unwrap().to_string_lossy().into_owned(), ..Run::default() };
    let text = std::fs::read(dir.join("events.jsonl")).unwrap_or_default();
    if !text.is_empty() && !text.ends_with(b"\n") {
        run.wrong.push("the last event is torn".to_owned());
    }
    let mut planned: Vec<String> = Vec::new();
    let mut started = BTreeSet::new();
    let mut settled = BTreeSet::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            run.wrong.push(format!("not an event: {line}"));
            continue;
        };
        let index = event["index"].as_u64().unwrap_or_default();
        match event["event"].as_str().unwrap_or_default() {
            "run_started" if planned.is_empty() => {
                let scripts = event["scripts"].as_array().cloned().unwrap_or_default();
                planned = scripts.iter().map(|script| script["file_name"].as_str().unwrap().to_owned()).collect();
            }
            "run_started" => run.wrong.push("it began twice".to_owned()),
            "script_started" => drop(started.insert(index)),
            // Another attempt follows.
            "script_finished" if !event["retry_after_us"].is_null() => {}
            "script_finished" => {
                if !settled.insert(index) {
                    run.wrong.push(format!("script {index} has two ends"));
                    continue;
                }
                let minutes = event["duration_us"].as_u64().unwrap_or_default() as f64 / 60e6;
                run.ends.push(End {
                    file_name: planned.get(index as usize).cloned().unwrap_or_default(),
                    success: event["outcome"]["kind"] == "success",
                    minutes: format!("{minutes:.2}"),
                });
            }
            "script_skipped" if !settled.insert(index) => {
                run.wrong.push(format!("script {index} has an end and was skipped"));
            }
            "run_finished" => {
                if run.status.is_some() {
                    run.wrong.push("it ended twice".to_owned());
                }
                run.status = event["status"].as_str().map(str::to_owned);
                run.duration_us = event["duration_us"].as_u64().unwrap_or_default();
            }
            _ => {}
        }
    }
    let never_ended: Vec<&u64> = started.difference(&settled).collect();
    if !never_ended.is_empty() {
        run.wrong.push(format!("scripts {never_ended:?} were begun and have no end"));
    }
    if run.status.is_some() && settled.len() != planned.len() {
        run.wrong.push(format!("{} of {} scripts have an end", settled.len(), planned.len()));
    }
    run
}

/// The ends that the log tells of, by run, its archives included; and what is wrong with it.
pub fn read_log(project: &Project) -> (BTreeMap<String, Vec<End>>, Vec<String>) {
    let (mut found, mut wrong) = (BTreeMap::<String, Vec<End>>::new(), Vec::new());
    for file in log_files(project) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        if !text.is_empty() && !text.ends_with('\n') {
            wrong.push(format!("{} ends within a line", file.display()));
        }
        for line in text.lines() {
            match project_runner::sink::parse_line(line) {
                Some(line) => found.entry(line.run_id.as_str().to_owned()).or_default().push(End {
                    file_name: line.file_name.into_owned(),
                    success: line.success,
                    minutes: format!("{:.2}", line.minutes),
                }),
                None => wrong.push(format!("torn: {line}")),
            }
        }
    }
    (found, wrong)
}

/// The archives of a project's log, oldest first, and the log.
pub fn log_files(project: &Project) -> Vec<PathBuf> {
    let logs = project.root.join("logs");
    let name = format!("{}.log", project.name());
    let entries = std::fs::read_dir(&logs).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{name}.")))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files.extend(Some(logs.join(name)).filter(|log| log.exists()));
    files
}

/// What `history` has of each run.
pub fn history(test: &Test) -> (BTreeMap<String, Value>, String) {
    let answer = test.runner(["history", "--json", "--limit", "1000000"]).expect(0);
    let by_id = |run: Value| (run["run_id"].as_str().unwrap().to_owned(), run);
    let runs: Vec<Value> = answer.json();
    let map: BTreeMap<String, Value> = runs.iter().cloned().map(by_id).collect();
    assert_eq!(map.len(), runs.len(), "history has a run twice");
    (map, answer.stderr)
}

/// Compares everything. `before` has what the events of runs were when their runners were killed.
pub fn audit(
    faults: &Faults,
    test: &Test,
    projects: &[Project],
    before: &BTreeMap<PathBuf, Vec<u8>>,
    what: &str,
) -> Audit {
    let mut audit = Audit::default();
    let mut all = Vec::new();
    let fail = |text: String| faults.tally.fail(format!("{what}: {text}"));
    // Read before `history` is asked, which might put right what the runs should have put right.
    for project in projects {
        let (mut log, wrong) = read_log(project);
        wrong.into_iter().for_each(|wrong| fail(format!("{}: log: {wrong}", project.name())));
        for dir in project.run_dirs() {
            let mut run = read_run(&dir);
            let died = before.get(&dir).is_some_and(|events| !ends_of_run(events));
            let begun = std::fs::metadata(dir.join("events.jsonl")).is_ok_and(|events| events.len() > 0);
            grown(&dir, before.get(&dir).map_or(&[], Vec::as_slice)).unwrap_or_else(|wrong| run.wrong.push(wrong));
            let lines = log.remove(&run.id).unwrap_or_default();
            audit.lines += lines.len();
            if lines != run.ends {
                run.wrong.push(format!("the log has {}, the events {}", list(&lines), list(&run.ends)));
            }
            if begun && run.status.is_none() {
                run.wrong.push("it has no end".to_owned());
            }
            if begun && died && run.status.as_deref().is_some_and(|status| status != "interrupted") {
                run.wrong.push(format!("its runner was killed, its end says {:?}", run.status));
            }
            run.wrong.extend(tail_left(&dir));
            for wrong in std::mem::take(&mut run.wrong) {
                fail(format!("{} run {}: {wrong}", project.name(), run.id));
            }
            faults.tally.count("checks", 7);
            audit.runs += 1;
            audit.dead += usize::from(died && begun);
            all.push((run, begun));
        }
        log.keys().for_each(|id| fail(format!("{}: the log has a run without a folder, {id}", project.name())));
    }
    let (mut history, stderr) = history(test);
    faults.tally.check(stderr.is_empty(), || format!("{what}: history says {stderr}"));
    for (run, begun) in &all {
        let told = history.remove(&run.id);
        let status = told.as_ref().and_then(|told| told["status"].as_str());
        let expected = run.status.as_deref().filter(|_| *begun);
        faults.tally.check(status == expected, || {
            format!("{what}: run {}: history says {status:?}, the events {expected:?}", run.id)
        });
    }
    faults.tally.check(history.is_empty(), || format!("{what}: history has runs without a folder: {history:?}"));
    audit
}

fn list(ends: &[End]) -> String {
    let ends: Vec<String> =
        ends.iter().map(|end| format!("{} {} {}", end.file_name, end.success, end.minutes)).collect();
    format!("[{}]", ends.join(", "))
}

/// Whether these events tell of the run's end, in a whole line.
fn ends_of_run(events: &[u8]) -> bool {
    whole_lines(events)
        .split(|&byte| byte == b'\n')
        .any(|line| serde_json::from_slice::<Value>(line).is_ok_and(|event| event["event"] == "run_finished"))
}

fn whole_lines(events: &[u8]) -> &[u8] {
    &events[..events.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)]
}

/// Whether what the events were is still there. A torn last line may be gone.
fn grown(dir: &Path, before: &[u8]) -> Result<(), String> {
    let now = std::fs::read(dir.join("events.jsonl")).unwrap_or_default();
    if now.starts_with(whole_lines(before)) { Ok(()) } else { Err("events of a dead run were changed".to_owned()) }
}

/// The end of an output that was kept apart while the script ran belongs into the output afterwards.
fn tail_left(dir: &Path) -> Option<String> {
    let mut entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let left = entries.find(|entry| entry.path().extension().is_some_and(|extension| extension == "tail"))?;
    Some(format!("{} is left", left.file_name().to_string_lossy()))
}

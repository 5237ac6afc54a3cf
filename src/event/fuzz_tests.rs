//! `events.jsonl` with anything in it: what a disk, an editor or a newer version may have made of it.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::Value;

use crate::mail::{RenderContext, render};
use crate::model::fuzz_tests::{bytes, edited, edits, for_all, json, replace};
use crate::model::{EmailStrategy, RunReport};
use crate::store::samples::{eventful, id};
use crate::store::{BrokenOff, Death};

use super::*;

const FIELDS: [&str; 12] = [
    "time",
    "event",
    "index",
    "attempt",
    "outcome",
    "kind",
    "code",
    "duration_us",
    "output",
    "usage",
    "scripts",
    "reason",
];

/// The lines of a run in which much happens, without their newlines.
fn lines() -> Vec<String> {
    let mut events = eventful(&id('a'), Path::new("/daily"), 0);
    if let EventKind::ScriptFinished { retry_after_us, .. } = &mut events[4].kind {
        *retry_after_us = Some(2_000_000);
    }
    events.iter().map(|event| serde_json::to_string(event).unwrap()).collect()
}

fn read(path: &Path) -> (Vec<RunEvent>, Result<(), ReplayError>) {
    let mut events = Vec::new();
    let result = read_events(path, |event| events.push(event));
    (events, result)
}

/// What holds for every file: the same twice, and a report that can be shown, closed and rendered, or an error that names
/// the file.
fn holds(path: &Path) -> TestCaseResult {
    let (events, result) = read(path);
    let (again, second) = read(path);
    prop_assert_eq!(&events, &again);
    prop_assert_eq!(format!("{result:?}"), format!("{second:?}"));
    if let Err(error) = result {
        prop_assert!(error.to_string().contains(&path.display().to_string()));
    }
    // What was read is written as it was read.
    for event in &events {
        let text = serde_json::to_string(event);
        prop_assert!(text.is_ok(), "{:?}", event);
        let back: Result<RunEvent, _> = serde_json::from_str(&text.unwrap_or_default());
        prop_assert!(back.is_ok_and(|back| back == *event), "{:?}", event);
    }
    let mut fold = ReportFold::default();
    events.iter().for_each(|event| fold.apply(event));
    let Some(report) = fold.report().cloned() else { return Ok(()) };
    shown(&report);
    // A run without an end gets one, whatever was in it.
    let last = events.iter().map(|event| event.time).max().unwrap_or_default();
    let mut broken = BrokenOff::default();
    events.iter().for_each(|event| broken.apply(event));
    broken.closing(&Death::at(last)).iter().for_each(|event| fold.apply(event));
    let closed = fold.into_report();
    let ended = |report: &RunReport| report.scripts.iter().all(|script| script.outcome.is_some());
    prop_assert!(closed.as_ref().is_some_and(|closed| report.finished.is_some() || ended(closed)));
    closed.iter().for_each(shown);
    Ok(())
}

fn shown(report: &RunReport) {
    let context = RenderContext::default();
    assert!(!render(report, EmailStrategy::All, &context).subject.is_empty());
    serde_json::to_string(report).unwrap();
}

#[test]
fn fuzz_events_of_any_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let pieces =
        prop::collection::vec(prop_oneof![bytes(), Just(b"\n".to_vec())], 0..20).prop_map(|pieces| pieces.concat());
    for_all(pieces, |content| {
        std::fs::write(&path, content).unwrap();
        holds(&path)
    });
}

#[test]
fn fuzz_events_that_were_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let whole = lines().join("\n") + "\n";
    for_all(edits(), |edits| {
        std::fs::write(&path, edited(whole.as_bytes(), &edits)).unwrap();
        holds(&path)
    });
}

#[test]
fn fuzz_events_of_which_values_were_replaced_and_lines_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let parsed: Vec<Value> = lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let number = prop_oneof![any::<u64>().prop_map(Value::from), (0u8..4).prop_map(Value::from)];
    let new = prop_oneof![3 => number.prop_map(Some), 3 => json(FIELDS.to_vec()).prop_map(Some), 1 => Just(None)];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u16>(), new), 0..4);
    let moves = prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 0..4);
    for_all((changes, moves), |(changes, moves)| {
        let mut lines = parsed.clone();
        for (line, at, new) in changes {
            replace(line.get_mut(&mut lines), at, new);
        }
        for (one, other) in moves {
            // Twice or elsewhere: the first line mostly stays, without which there is no run.
            let moved = one.get(&lines).clone();
            let to = 1 + other.index(lines.len());
            lines.insert(to, moved);
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, text).unwrap();
        holds(&path)
    });
}

#[test]
fn fuzz_events_cut_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let events = eventful(&id('a'), Path::new("/daily"), 0);
    let whole: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    for_all(
        (0..=whole.len(), prop::collection::vec(any::<u8>().prop_filter("no newline", |b| *b != b'\n'), 0..20)),
        |(cut, torn)| {
            // Bytes that a crash left behind the last whole line are no event, whatever they are.
            let kept = whole.as_bytes()[..cut].to_vec();
            let complete = kept.iter().filter(|byte| **byte == b'\n').count();
            std::fs::write(&path, [kept, torn].concat()).unwrap();
            let (read, result) = read(&path);
            prop_assert!(result.is_ok(), "{:?}", result);
            prop_assert_eq!(&read, &events[..complete]);
            holds(&path)
        },
    );
}

//! The keys that say what becomes of a failure, of what a script leaves behind, of a script that took too long or did
//! not do its work, and of a second run.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::{Backoff, Expectation, Freshness, Jitter, OnLeak, Overlap, RetryOn, RetryPolicy, parse_duration};

use super::check::{optional, unknown_keys};
use super::checker::Checker;
use super::keys;
use super::names;
use super::node::{Node, Table, Value, index_path, key_path, quoted};
use super::problem::{Problem, ProblemKind};
use super::settings::{Settings, exit_codes, set};

/// How long a run waits for its turn, when the project file says that it waits and not for how long.
const USUAL_WAIT: Duration = Duration::from_secs(3600);
/// The cap of growing pauses that are given none: doubled pauses would soon be longer than anyone meant.
const USUAL_CAP: Duration = Duration::from_secs(300);

/// Reads one of the keys of this file that a project and its scripts share; others are left alone.
pub(super) fn read(checker: &mut Checker, key: &str, node: &Node, path: &str, settings: &mut Settings) {
    match key {
        "on_leak" => {
            let words = [("end", OnLeak::End), ("leave", OnLeak::Leave), ("fail", OnLeak::Fail)];
            set(&mut settings.on_leak, checker.word(node, path, &words));
        }
        "leak_timeout" => set(&mut settings.leak_timeout, checker.duration(node, path)),
        "slow_after" => {
            if let Some(limit) = checker.duration(node, path) {
                if limit.is_zero() {
                    let hint = "leave `slow_after` out, or write null, to have it learned from the script's history";
                    checker.invalid(node, path, "every script is slower than 0", Some(hint.to_owned()));
                }
                settings.slow_after = Some(limit);
            }
        }
        "retries" => set(&mut settings.retries, retries(checker, node, path)),
        "expect" => set(&mut settings.expect, expectations(checker, node, path)),
        _ => {}
    }
}

fn retries(checker: &mut Checker, node: &Node, path: &str) -> Option<RetryPolicy> {
    const COUNTS: RangeInclusive<u32> = 0..=100;
    let policy = RetryPolicy { delay: Duration::from_secs(1), ..RetryPolicy::default() };
    let table = match &node.value {
        Value::Table(table) => table,
        Value::Number(_) => return Some(RetryPolicy { count: checker.whole_within(node, path, COUNTS)?, ..policy }),
        _ => {
            let hint = "as in 3, or {\"count\": 3, \"backoff\": \"exponential\", \"delay\": \"5s\"}";
            let expected = "a whole number from 0 to 100, or an object with a `count`";
            checker.mistyped(node, path, expected, Some(hint.to_owned()));
            return None;
        }
    };
    unknown_keys(checker, table, path, || keys::RETRIES_KEYS.into_iter());
    let count = match optional(table, "count") {
        Some(entry) => checker.whole_within(&entry.node, &key_path(path, "count"), COUNTS),
        None => {
            checker.invalid(node, path, "`count` is missing", Some("add \"count\": 3".to_owned()));
            None
        }
    };
    let mut policy = RetryPolicy { count: count?, ..policy };
    for entry in table.iter().filter(|entry| !matches!(entry.node.value, Value::Null)) {
        let (node, path) = (&entry.node, key_path(path, &entry.written));
        match entry.key.as_str() {
            "backoff" => {
                let words = [("fixed", Backoff::Fixed), ("exponential", Backoff::Exponential)];
                set(&mut policy.backoff, checker.word(node, &path, &words));
            }
            "delay" => set(&mut policy.delay, checker.duration(node, &path)),
            "max_delay" => policy.max_delay = checker.duration(node, &path),
            "jitter" => set(&mut policy.jitter, jitter(checker, node, &path)),
            "on" => policy.on = retry_on(checker, node, &path),
            _ => {}
        }
    }
    match (policy.max_delay, optional(table, "max_delay")) {
        (Some(cap), Some(entry)) if cap < policy.delay => {
            let message = "is shorter than `delay`; it is the length of every pause";
            let own_path = key_path(path, "max_delay");
            let problem = Problem::at(ProblemKind::Suspicious, &entry.node.origin, &own_path, message);
            checker.warnings.push(problem.hint("make it longer, or leave it out"));
        }
        (None, None) if policy.backoff == Backoff::Exponential => policy.max_delay = Some(USUAL_CAP.max(policy.delay)),
        _ => {}
    }
    Some(policy)
}

fn jitter(checker: &mut Checker, node: &Node, path: &str) -> Option<Jitter> {
    const HINT: &str = "write a share of the pause, from 0 to 1, as in 0.2, or a duration, as in \"500ms\"";
    let jitter = match &node.value {
        Value::Number(number) => number.as_f64().filter(|share| (0.0..=1.0).contains(share)).map(Jitter::Share),
        // A number in quotes might be meant as either.
        Value::Text(text) if text.trim().parse::<f64>().is_err() => parse_duration(text).ok().map(Jitter::UpTo),
        _ => None,
    };
    if jitter.is_none() {
        checker.mistyped(node, path, "a share or a duration with its unit", Some(HINT.to_owned()));
    }
    jitter
}

fn retry_on(checker: &mut Checker, node: &Node, path: &str) -> Option<RetryOn> {
    const HINT: &str = "as in {\"exit_codes\": [75], \"timeout\": true}";
    let Value::Table(table) = &node.value else {
        checker.mistyped(node, path, "an object", Some(HINT.to_owned()));
        return None;
    };
    unknown_keys(checker, table, path, || keys::RETRY_ON_KEYS.into_iter());
    let problems = checker.problems.len();
    let codes = optional(table, "exit_codes");
    let timeout = optional(table, "timeout");
    let on = RetryOn {
        exit_codes: codes
            .and_then(|entry| exit_codes(checker, &entry.node, &key_path(path, "exit_codes")))
            .unwrap_or_default(),
        timeout: timeout.and_then(|entry| checker.boolean(&entry.node, &key_path(path, "timeout"))).unwrap_or_default(),
    };
    if on == RetryOn::default() && checker.problems.len() == problems {
        let hint = format!("{HINT}; leave `on` out to try again after any failure");
        checker.invalid(node, path, "names no failure after which to try again", Some(hint));
    }
    Some(on)
}

/// One expectation or a list of them. Their files are left as written: a script's folder is known later.
fn expectations(checker: &mut Checker, node: &Node, path: &str) -> Option<Vec<Expectation>> {
    match &node.value {
        Value::List(items) => {
            let read =
                items.iter().enumerate().map(|(index, item)| expectation(checker, item, &index_path(path, index)));
            // All are read before one that is wrong spoils the list.
            read.collect::<Vec<_>>().into_iter().collect()
        }
        _ => expectation(checker, node, path).map(|expectation| vec![expectation]),
    }
}

fn expectation(checker: &mut Checker, node: &Node, path: &str) -> Option<Expectation> {
    const HINT: &str = "as in {\"file\": \"out/report.csv\", \"fresh\": true} or {\"output\": \"^done$\"}";
    let Value::Table(table) = &node.value else {
        checker.mistyped(node, path, "an object", Some(HINT.to_owned()));
        return None;
    };
    unknown_keys(checker, table, path, || keys::EXPECT_KEYS.into_iter());
    let mut expectation = Expectation::default();
    let problems = checker.problems.len();
    for entry in table.iter().filter(|entry| !matches!(entry.node.value, Value::Null)) {
        let (node, path) = (&entry.node, key_path(path, &entry.written));
        match entry.key.as_str() {
            "file" => expectation.file = file(checker, node, &path).map(Into::into),
            "fresh" => expectation.fresh = freshness(checker, node, &path),
            "not_empty" => set(&mut expectation.not_empty, checker.boolean(node, &path)),
            "min_rows" => expectation.min_rows = checker.whole(node, &path).map(u64::from),
            "output" => expectation.output = pattern(checker, node, &path).map(str::to_owned),
            _ => {}
        }
    }
    needs_a_file(checker, table, path);
    if optional(table, "file").is_none() && optional(table, "output").is_none() && checker.problems.len() == problems {
        checker.invalid(node, path, "expects nothing: it has neither `file` nor `output`", Some(HINT.to_owned()));
    }
    (checker.problems.len() == problems).then_some(expectation)
}

/// What is said of a file without one.
fn needs_a_file(checker: &mut Checker, table: &Table, path: &str) {
    if optional(table, "file").is_some() {
        return;
    }
    for key in ["fresh", "not_empty", "min_rows"] {
        if let Some(entry) = optional(table, key) {
            let problem = Problem::at(
                ProblemKind::InvalidValue,
                &entry.key_origin,
                &key_path(path, key),
                format!("`{key}` says something of a file, and there is no `file`"),
            );
            checker.problem(problem.hint("add \"file\": \"out/report.csv\""));
        }
    }
}

/// A file's path; the same in a file written for Windows, which separates with backslashes. Nothing is there yet that
/// could tell which is meant, and names with a backslash are not what anyone writes.
fn file(checker: &mut Checker, node: &Node, path: &str) -> Option<String> {
    let text = checker.text(node, path)?;
    if text.trim().is_empty() {
        checker.invalid(node, path, "the path is empty", None);
        return None;
    }
    Some(if cfg!(unix) { text.replace('\\', "/") } else { text.to_owned() })
}

fn freshness(checker: &mut Checker, node: &Node, path: &str) -> Option<Freshness> {
    const HINT: &str = "write true for a file that this run has written, or the greatest age, as in \"2h\"";
    match &node.value {
        Value::Bool(fresh) => fresh.then_some(Freshness::SinceStart),
        Value::Number(_) | Value::Text(_) => {
            let age = checker.duration(node, path)?;
            if age.is_zero() {
                checker.invalid(node, path, "no file is as new as that", Some(HINT.to_owned()));
            }
            Some(Freshness::Within(age))
        }
        _ => {
            checker.mistyped(node, path, "true, false or a duration", Some(HINT.to_owned()));
            None
        }
    }
}

/// A regular expression that can be compiled.
fn pattern<'a>(checker: &mut Checker, node: &'a Node, path: &str) -> Option<&'a str> {
    let text = checker.text(node, path)?;
    match regex::Regex::new(text) {
        Ok(_) => Some(text),
        Err(error) => {
            // It draws the place over several lines, and says what is wrong in the last one.
            let drawn = error.to_string();
            let why = drawn.lines().last().unwrap_or_default();
            let why = why.strip_prefix("error: ").unwrap_or(why).trim_end_matches('.');
            let message = format!("{} is not a regular expression: {why}", quoted(text));
            let hint = "in JSON each backslash is written twice (`\\\\d`); to mean a sign itself, put `\\\\` before it";
            checker.invalid(node, path, message, Some(hint.to_owned()));
            None
        }
    }
}

/// What happens when the project is running already.
pub(super) fn overlap(checker: &mut Checker, node: &Node) -> Option<Overlap> {
    let path = "overlap";
    let table = match &node.value {
        Value::Table(table) => table,
        Value::Text(_) => {
            let wait = checker.word(node, path, &[("skip", None), ("wait", Some(USUAL_WAIT))])?;
            return Some(Overlap { wait, ..Overlap::default() });
        }
        _ => {
            let hint = "as in \"wait\", {\"wait\": \"10m\"} or {\"allow\": 2}".to_owned();
            checker.mistyped(node, path, "`skip`, `wait`, or an object", Some(hint));
            return None;
        }
    };
    unknown_keys(checker, table, path, || keys::OVERLAP_KEYS.into_iter());
    let mut overlap = Overlap::default();
    if let Some(entry) = optional(table, "allow") {
        set(&mut overlap.allow, checker.whole_within(&entry.node, "overlap.allow", 1..=100));
    }
    if let Some(entry) = optional(table, "wait") {
        overlap.wait = checker.duration(&entry.node, "overlap.wait");
    }
    Some(overlap)
}

/// Names of locks: in small letters, sorted, each once, so that all who share them take them in the same order.
pub(super) fn locks(checker: &mut Checker, node: &Node) -> Option<Vec<String>> {
    let path = "locks";
    checker.texts(node, path)?;
    let Value::List(items) = &node.value else { return None };
    let mut locks: Vec<String> = Vec::with_capacity(items.len());
    let mut complete = true;
    for (index, item) in items.iter().enumerate() {
        let own_path = index_path(path, index);
        let Value::Text(text) = &item.value else { continue };
        let name = text.to_ascii_lowercase();
        if let Some(why) = no_lock_name(&name) {
            let hint = "as in \"warehouse\"; letters from a to z, digits, `-`, `_` and `.` may stand in a name";
            checker.invalid(item, &own_path, format!("{} names no lock: {why}", quoted(text)), Some(hint.to_owned()));
            complete = false;
        } else if locks.contains(&name) {
            let problem = Problem::at(ProblemKind::Suspicious, &item.origin, &own_path, "the lock stands here twice");
            checker.warnings.push(problem.hint("it is taken once all the same; capitals don't count"));
        } else {
            locks.push(name);
        }
    }
    locks.sort();
    complete.then_some(locks)
}

/// Why a name can't be a lock's, if it can't. A lock is a file, on each system alike.
fn no_lock_name(name: &str) -> Option<String> {
    const LONGEST: usize = 100;
    if name.is_empty() {
        Some("it is empty".to_owned())
    } else if name.len() > LONGEST {
        Some(format!("it is longer than {LONGEST} characters"))
    } else if name.starts_with('.') {
        Some("it begins with a dot".to_owned())
    } else if let Some(c) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')) {
        Some(format!("`{}` can't stand in it", c.escape_debug()))
    } else {
        names::illegal_in_windows(&format!("{name}.lock"))
    }
}

//! The keys that say what becomes of failures, leaks, expectations and second runs.

use crate::model::{Backoff, CommonSettings, Expectation, Freshness, Jitter, OnLeak, Overlap, RetryOn, RetryPolicy};

use super::*;

/// The settings of the one script of a project with these keys.
fn settings(house: &House, more: &str) -> CommonSettings {
    let Loaded { project, warnings, .. } = house.with(more).loaded();
    assert!(warnings.is_empty(), "{more}: {warnings:?}");
    project.scripts[0].settings.clone()
}

fn project(house: &House, more: &str) -> crate::model::Project {
    house.with(more).loaded().project
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn nothing_said_is_ended_leaks_no_retries_and_no_waiting() {
    let house = House::new();
    for more in [
        "",
        r#""on_leak": null, "leak_timeout": null, "slow_after": null, "retries": null, "expect": null, "overlap": null, "locks": null"#,
    ] {
        let found = settings(&house, more);
        assert_eq!((found.on_leak, found.leak_timeout, found.slow_after), (OnLeak::End, seconds(1), None));
        assert_eq!((found.retries, found.expect), (RetryPolicy::default(), vec![]));
        let project = project(&house, more);
        assert_eq!((project.overlap, project.locks), (Overlap::default(), vec![]));
    }
}

#[test]
fn retries_are_a_count_or_a_policy() {
    let house = House::new();
    let fixed = RetryPolicy { delay: seconds(1), ..RetryPolicy::default() };
    let growing = RetryPolicy { backoff: Backoff::Exponential, max_delay: Some(seconds(300)), ..fixed.clone() };
    for (written, expected) in [
        ("0", RetryPolicy { count: 0, ..fixed.clone() }),
        ("100", RetryPolicy { count: 100, ..fixed.clone() }),
        (r#"{"count": 2}"#, RetryPolicy { count: 2, ..fixed.clone() }),
        (r#"{"count": 2, "backoff": "Exponential"}"#, RetryPolicy { count: 2, ..growing.clone() }),
        (
            r#"{"count": 2, "backoff": "exponential", "delay": "10m"}"#,
            RetryPolicy { count: 2, delay: seconds(600), max_delay: Some(seconds(600)), ..growing },
        ),
        (
            r#"{"count": 1, "backoff": "fixed", "delay": 5, "max_delay": "9s", "jitter": 0.25, "on": {"exit_codes": [75, 4294967295]}}"#,
            RetryPolicy {
                count: 1,
                backoff: Backoff::Fixed,
                delay: seconds(5),
                max_delay: Some(seconds(9)),
                jitter: Jitter::Share(0.25),
                on: Some(RetryOn { exit_codes: vec![75, u32::MAX], timeout: false }),
            },
        ),
        (
            r#"{"count": 1, "jitter": "500ms", "on": {"timeout": true, "exit_codes": null}}"#,
            RetryPolicy {
                count: 1,
                jitter: Jitter::UpTo(Duration::from_millis(500)),
                on: Some(RetryOn { exit_codes: vec![], timeout: true }),
                ..fixed
            },
        ),
    ] {
        assert_eq!(settings(&house, &format!("\"retries\": {written}")).retries, expected, "{written}");
    }
}

#[test]
fn a_scripts_policies_win_and_null_takes_the_projects_away() {
    let house = House::new();
    house.file("p/out/x", "").config(
        r#"{"scripts": ["main.py", {"path": "main.py", "working_dir": "out", "on_leak": "FAIL", "leak_timeout": "2s",
        "slow_after": null, "retries": 1, "expect": null}, {"path": "main.py", "working_dir": "out", "expect": {"output": "x"}}, {"path": "main.py", "working_dir": "out"}],
        "python_command": "python", "recipients": [], "email_strategy": "none", "include_traceback": false, "logs_backup_count": 1,
        "on_leak": "leave", "leak_timeout": 0, "slow_after": "3m", "retries": {"count": 5}, "expect": {"file": "made/a.csv"}}"#,
    );
    let project = house.loaded().project;
    let all: Vec<&CommonSettings> = project.scripts.iter().map(|script| &script.settings).collect();
    assert_eq!(
        (all[0].on_leak, all[0].leak_timeout, all[0].slow_after),
        (OnLeak::Leave, seconds(0), Some(seconds(180)))
    );
    assert_eq!((all[1].on_leak, all[1].leak_timeout, all[1].slow_after), (OnLeak::Fail, seconds(2), None));
    assert_eq!(all.iter().map(|settings| settings.retries.count).collect::<Vec<_>>(), [5, 1, 5, 5]);
    // The project's file is looked for where each script works.
    let file = |folder: PathBuf| vec![Expectation { file: Some(folder), ..Expectation::default() }];
    assert_eq!(all[0].expect, file(project.root.join("made").join("a.csv")));
    assert_eq!(all[1].expect, []);
    assert_eq!(all[2].expect, [Expectation { output: Some("x".to_owned()), ..Expectation::default() }]);
    assert_eq!(all[3].expect, file(project.root.join("out").join("made").join("a.csv")));
}

#[test]
fn expectations_are_one_or_a_list() {
    let house = House::new();
    let found = settings(
        &house,
        r#""expect": [{"file": "a\\b.csv", "fresh": true, "not_empty": true, "min_rows": 12}, {"file": "c", "fresh": "2h"},
        {"file": "d", "fresh": false, "output": "(?i)^rows: \\d+$"}]"#,
    );
    let root = house.path("p");
    assert_eq!(
        found.expect,
        [
            Expectation {
                file: Some(root.join("a").join("b.csv")),
                fresh: Some(Freshness::SinceStart),
                not_empty: true,
                min_rows: Some(12),
                output: None,
            },
            Expectation {
                file: Some(root.join("c")),
                fresh: Some(Freshness::Within(seconds(7200))),
                ..Expectation::default()
            },
            Expectation {
                file: Some(root.join("d")),
                output: Some(r"(?i)^rows: \d+$".to_owned()),
                ..Expectation::default()
            },
        ]
    );
    let absolute = house.path("elsewhere.csv");
    let pair = format!(r#""expect": {{"file": {}}}"#, serde_json::json!(absolute.to_str()));
    assert_eq!(settings(&house, &pair).expect[0].file.as_deref(), Some(absolute.as_path()));
    assert_eq!(settings(&house, r#""expect": []"#).expect, []);
}

#[test]
fn overlap_and_locks_are_the_projects() {
    let house = House::new();
    for (written, allow, wait) in [
        (r#""Skip""#, 1, None),
        (r#""wait""#, 1, Some(3600)),
        (r#"{"wait": "10m"}"#, 1, Some(600)),
        (r#"{"allow": 3}"#, 3, None),
        (r#"{"allow": 100, "wait": 5}"#, 100, Some(5)),
        ("{}", 1, None),
    ] {
        let expected = Overlap { allow, wait: wait.map(seconds) };
        assert_eq!(project(&house, &format!("\"overlap\": {written}")).overlap, expected, "{written}");
    }
    let house = House::new();
    let Loaded { project, warnings, .. } =
        house.with(r#""locks": ["Warehouse", "b-2_x.y", "a", "WAREHOUSE"]"#).loaded();
    assert_eq!(project.locks, ["a", "b-2_x.y", "warehouse"]);
    assert_eq!(
        house.lines(&warnings),
        [
            "p/exec_config.json:3:40: locks[3]: the lock stands here twice; it is taken once all the same; capitals don't count"
        ]
    );
    // On a script they would mean nothing.
    let loaded = house.with(r#""scripts": [{"path": "main.py", "overlap": "wait", "locks": ["x"]}]"#).loaded();
    let lines = house.lines(&loaded.warnings).join("\n");
    assert!(lines.contains("unknown key `overlap`") && lines.contains("unknown key `locks`"), "{lines}");
    // A variable may set them too.
    let house = House::new().env("RUNNER_SET_OVERLAP", "wait").env("RUNNER_SET_RETRIES", "2");
    let project = house.with("").loaded().project;
    assert_eq!((project.overlap.wait, project.scripts[0].settings.retries.count), (Some(seconds(3600)), 2));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let house = House::new();
    for (pair, expected) in [
        (r#""on_leak": "kil""#, "3:12: on_leak: `kil` is not one of `end`, `leave`, `fail`"),
        (r#""leak_timeout": "x""#, "3:17: leak_timeout: `x` is not a duration"),
        (r#""slow_after": 0"#, "3:15: slow_after: every script is slower than 0; leave `slow_after` out"),
        (r#""retries": -1"#, "3:12: retries: expected a whole number from 0 to 100, found the number -1"),
        (r#""retries": 101"#, "3:12: retries: expected a whole number from 0 to 100, found the number 101"),
        (r#""retries": 3.0"#, "found the number 3.0; write 3"),
        (r#""retries": "3""#, "3:12: retries: expected a whole number from 0 to 100, or an object with a `count`"),
        (r#""retries": {"delay": "5s"}"#, "3:12: retries: `count` is missing; add \"count\": 3"),
        (r#""retries": {"count": -2}"#, "3:22: retries.count: expected a whole number from 0 to 100"),
        (r#""retries": {"count": 1, "backoff": "linear"}"#, "retries.backoff: `linear` is not one of `fixed`"),
        (r#""retries": {"count": 1, "delay": -1}"#, "retries.delay: `-1` is not a duration"),
        (
            r#""retries": {"count": 1, "jitter": 1.1}"#,
            "3:35: retries.jitter: expected a share or a duration with its unit",
        ),
        (r#""retries": {"count": 1, "jitter": "0.5"}"#, "write a share of the pause, from 0 to 1, as in 0.2"),
        (r#""retries": {"count": 1, "on": {}}"#, "3:31: retries.on: names no failure after which to try again"),
        (r#""retries": {"count": 1, "on": {"exit_codes": [], "timeout": false}}"#, "retries.on: names no failure"),
        (
            r#""retries": {"count": 1, "on": {"exit_codes": [-1]}}"#,
            "retries.on.exit_codes[0]: the exit code -1 is negative",
        ),
        (r#""retries": {"count": 1, "on": {"exit_codes": 75}}"#, "write [75]"),
        (r#""retries": {"count": 1, "on": "timeout"}"#, "retries.on: expected an object"),
        (r#""expect": "out.csv""#, "3:11: expect: expected an object, found the text `out.csv`; as in {\"file\""),
        (r#""expect": {}"#, "3:11: expect: expects nothing: it has neither `file` nor `output`"),
        (r#""expect": [{"output": "a"}, {"file": null}]"#, "3:29: expect[1]: expects nothing"),
        (
            r#""expect": {"fresh": true}"#,
            "3:12: expect.fresh: `fresh` says something of a file, and there is no `file`",
        ),
        (r#""expect": {"output": "x", "min_rows": 1}"#, "expect.min_rows: `min_rows` says something of a file"),
        (r#""expect": {"file": "x", "fresh": "0s"}"#, "expect.fresh: no file is as new as that"),
        (r#""expect": {"file": "x", "fresh": "soon"}"#, "expect.fresh: `soon` is not a duration"),
        (r#""expect": {"file": " "}"#, "expect.file: the path is empty"),
        (r#""expect": {"file": "x", "min_rows": -1}"#, "expect.min_rows: expected a whole number"),
        (
            r#""expect": {"output": "(a"}"#,
            "3:22: expect.output: `(a` is not a regular expression: unclosed group; in JSON each",
        ),
        (r#""expect": {"output": "\\w{9999}{999}"}"#, "is not a regular expression: Compiled regex exceeds size limit"),
        (r#""overlap": "parallel""#, "3:12: overlap: `parallel` is not one of `skip`, `wait`"),
        (r#""overlap": 2"#, "3:12: overlap: expected `skip`, `wait`, or an object, found the number 2"),
        (
            r#""overlap": {"allow": 0}"#,
            "3:22: overlap.allow: expected a whole number from 1 to 100, found the number 0",
        ),
        (r#""overlap": {"wait": "long"}"#, "3:21: overlap.wait: `long` is not a duration"),
        (r#""locks": "db""#, "3:10: locks: expected a list of texts, found the text `db`; write [\"db\"]"),
        (r#""locks": ["a b"]"#, "3:11: locks[0]: `a b` names no lock: ` ` can't stand in it"),
        (r#""locks": ["../x"]"#, "locks[0]: `../x` names no lock: it begins with a dot"),
        (r#""locks": [""]"#, "locks[0]: `` names no lock: it is empty"),
        (r#""locks": ["NUL"]"#, "locks[0]: `NUL` names no lock: `NUL` is a device on Windows"),
        (r#""locks": ["é"]"#, "locks[0]: `é` names no lock: `é` can't stand in it"),
    ] {
        let problem = house.problem_with(pair);
        assert!(problem.contains(expected), "{pair}: {problem}");
    }
    let long = format!(r#""locks": ["{}", "{}"]"#, "a".repeat(100), "b".repeat(101));
    assert!(house.problem_with(&long).contains("locks[1]: `bbb"), "{long}");
}

#[test]
fn what_is_odd_is_a_warning() {
    let house = House::new();
    for (pair, expected) in [
        (
            r#""retries": {"count": 1, "dely": 1}"#,
            "retries.dely: unknown key `dely`; it does nothing; did you mean `delay`?",
        ),
        (r#""retries": {"count": 1, "on": {"timeout": true, "exitcodes": []}}"#, "did you mean `exit_codes`?"),
        (r#""retries": {"count": 1, "delay": "5s", "max_delay": "1s"}"#, "retries.max_delay: is shorter than `delay`"),
        (
            r#""expect": [{"file": "x", "notempty": true}]"#,
            "expect[0].notempty: unknown key `notempty`; it does nothing; did you mean `not_empty`?",
        ),
        (r#""overlap": {"alow": 2}"#, "overlap.alow: unknown key `alow`; it does nothing; did you mean `allow`?"),
    ] {
        let warnings = house.lines(&house.with(pair).loaded().warnings);
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{pair}: {warnings:?}");
    }
}

#[test]
fn explain_shows_them_with_their_origin() {
    let house = House::new();
    let explain = house
        .with(r#""retries": {"count": 2, "on": {"timeout": true}}, "overlap": {"allow": 2}, "locks": ["B", "a"]"#)
        .loaded()
        .explain;
    let value = |path: &str| {
        let row = explain.iter().find(|row| row.path == path).unwrap_or_else(|| panic!("{path} in {explain:?}"));
        (row.value.to_string(), row.origin.rsplit(std::path::MAIN_SEPARATOR).next().unwrap().to_owned())
    };
    for (path, shown, origin) in [
        ("retries.count", "2", "exec_config.json:3:22"),
        ("retries.on", r#"{"timeout":true}"#, "exec_config.json:3:31"),
        ("overlap.allow", "2", "exec_config.json:3:72"),
        ("locks", r#"["B","a"]"#, "exec_config.json:3:85"),
        ("expect", "[]", "built-in default"),
        ("on_leak", r#""end""#, "built-in default"),
        ("leak_timeout", r#""1s""#, "built-in default"),
        ("slow_after", "null", "built-in default"),
    ] {
        assert_eq!(value(path), (shown.to_owned(), origin.to_owned()), "{path}");
    }
}

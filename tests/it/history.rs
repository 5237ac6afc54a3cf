//! What the listings tell of runs: those that ended, those that go on, those whose runner died.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Child;

use serde_json::{Value, json};

use crate::harness::{Project, Test, finish, wait_for, wait_for_file};

/// The id of a run, by its folder.
fn id(run_dir: &Path) -> String {
    run_dir.file_name().unwrap().to_string_lossy().into_owned()
}

/// Waits until a run that has just begun is known.
fn wait_until_listed(test: &Test) {
    wait_for("the run in the history", || {
        (!test.runner(["history", "--json"]).expect(0).stdout.is_empty()).then_some(())
    });
}

/// Starts a run whose script waits for the file `go`, and waits until it is known that the script runs.
fn start_waiting(test: &Test, name: &str, before: &str) -> (Project, Child) {
    let program = format!("{before}\ntouch started\nwait-for go\nprint done");
    let project = test.project(name).script("wait.txt", &program).script("next.txt", "print next");
    let runner = test.start(["run", name]);
    wait_for_file(&project.root.join("started"));
    wait_until_listed(test);
    (project, runner)
}

fn let_go(project: &Project) {
    std::fs::write(project.root.join("go"), "").unwrap();
}

fn delete_database(test: &Test) {
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(test.path("state").join(name));
    }
}

/// Copies a run's folder under another id, as if that had run too.
fn copy_run(run_dir: &Path, other: &str) {
    let target = run_dir.with_file_name(other);
    std::fs::create_dir(&target).unwrap();
    let events = std::fs::read_to_string(run_dir.join("events.jsonl")).unwrap().replace(&id(run_dir), other);
    std::fs::write(target.join("events.jsonl"), events).unwrap();
}

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn the_listings_know_every_run() {
    let test = Test::new();
    let good = test.project("good").script("a.txt", "print a");
    let bad = test.project("bad").script("a.txt", "eprint oh no\nexit 3").script("b.txt", "print b");
    test.runner(["run", "good", "bad"]).expect(1);
    test.runner(["run", "good", "--no-mail"]).expect(0);

    let list = test.runner(["list", "--json"]).expect(0).json();
    let names: Vec<_> = list.iter().map(|project| project["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bad", "good"]);
    assert_eq!(keys(&list[0]), ["duration_seconds", "name", "path", "run_id", "started", "status"]);
    assert_eq!((&list[0]["status"], &list[0]["path"]), (&json!("failure"), &json!(bad.root)));
    let table = test.runner(["list"]).expect(0).stdout;
    assert!(table.starts_with("PROJECT") && table.lines().count() == 3 && table.contains("failure"), "{table}");

    let history = test.runner(["history", "--json"]).expect(0).json();
    let projects: Vec<_> = history.iter().map(|run| run["project"].as_str().unwrap()).collect();
    assert_eq!(projects, ["good", "bad", "good"], "newest first");
    assert_eq!(
        keys(&history[0]),
        ["duration_seconds", "mail", "parent", "profile", "project", "run_id", "started", "status"]
    );
    assert_eq!((&history[0]["status"], &history[1]["status"]), (&json!("success"), &json!("failure")));
    assert!(history[0]["duration_seconds"].is_f64(), "{}", history[0]);
    let started = history[0]["started"].as_str().unwrap();
    assert!(chrono::DateTime::parse_from_rfc3339(started).is_ok(), "{started}");
    assert_eq!(history[1]["run_id"], json!(id(&bad.run_dir())));

    for project in ["good", "./good", good.root.to_str().unwrap()] {
        let runs = test.runner(["history", project, "--json"]).expect(0).json();
        assert_eq!(runs.len(), 2, "{project}");
    }
    let mut elsewhere = test.command(["history", "bad", "--json"]);
    elsewhere.current_dir(test.path("state"));
    assert_eq!(crate::harness::Finished::of(elsewhere.output().unwrap()).expect(0).json().len(), 1, "by name");
    assert_eq!(test.runner(["history", "--json", "-n", "1"]).expect(0).json().len(), 1);
    let table = test.runner(["history", "bad"]).expect(0).stdout;
    assert!(table.contains("1 ok, 1 failed"), "{table}");
    let unknown = test.runner(["history", "gud"]).expect(2);
    assert!(unknown.stderr.contains("no project `gud` is known; did you mean"), "{}", unknown.stderr);
}

#[test]
fn one_run_is_shown_with_all_that_it_left() {
    let test = Test::new();
    let project = test.project("p").script("sub/a.txt", "print hello").script("b.txt", "eprint oh no\nexit 3");
    test.runner(["run", "p"]).expect(1);
    let run = id(&project.run_dir());
    for prefix in [&run[..], &run[..5], &run[..1]] {
        let shown = test.runner(["show", prefix]).expect(0).stdout;
        assert!(shown.starts_with(&format!("p, run {run}: failure")), "{shown}");
        assert!(shown.contains("b.txt: exit code 3\n  oh no"), "{shown}");
    }
    let report = &test.runner(["show", &run, "--json"]).expect(0).json()[0];
    assert_eq!((&report["status"], &report["scripts"][1]["outcome"]["code"]), (&json!("failure"), &json!(3)));
    let logs = test.runner(["logs", &run]).expect(0).stdout;
    assert_eq!(logs, "==> a.txt: success\nhello\n\n==> b.txt: exit code 3\noh no\n");
    for script in ["a.txt", "sub/a.txt", "1"] {
        assert_eq!(test.runner(["logs", &run, script]).expect(0).stdout, "hello\n");
    }
    let lines = test.runner(["logs", &run, "--json"]).expect(0).json();
    let expected = [
        json!({"index": 0, "script": "a.txt", "line": "hello"}),
        json!({"index": 1, "script": "b.txt", "line": "oh no"}),
    ];
    assert_eq!(lines, expected);
    let other = test.runner(["logs", &run, "c.txt"]).expect(2);
    assert!(other.stderr.contains("has no script `c.txt`"), "{}", other.stderr);
}

#[test]
fn a_mail_that_was_written_is_found_from_anywhere() {
    let test = Test::new();
    let project = test.project("p").set("email_strategy", "all").script("a.txt", "print a");
    test.runner(["run", "p", "--mail-dir", "mails"]).expect(0);
    let report = &test.runner(["show", &id(&project.run_dir()), "--json"]).expect(0).json()[0];
    let file = Path::new(report["mail"]["file"].as_str().unwrap());
    assert!(file.is_absolute() && file.starts_with(test.path("mails")) && file.exists(), "{}", file.display());
}

#[test]
fn a_run_is_named_by_a_beginning_that_is_its_alone() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a");
    test.runner(["run", "p"]).expect(0);
    let run_dir = project.run_dir();
    for other in ["abc0000000001", "abc0000000002"] {
        copy_run(&run_dir, other);
    }
    // Their folders were never recorded: the next command that reads takes them in.
    for verb in ["show", "logs"] {
        let run = test.runner([verb, "abc"]).expect(2);
        let error = "error: several runs begin with `abc`: abc0000000001 (p), abc0000000002 (p); give more digits\n";
        let sorted = run.stderr.replace("abc0000000002 (p), abc0000000001 (p)", "abc0000000001 (p), abc0000000002 (p)");
        assert_eq!(sorted, error);
        test.runner([verb, "abc0000000001"]).expect(0);
        let run = test.runner([verb, "ABC0000000002"]).expect(0);
        assert_eq!(run.stderr, "");
        let unknown = if id(&run_dir).starts_with("ff") { "ee" } else { "ff" };
        let run = test.runner([verb, unknown]).expect(2);
        let error = format!("error: no run begins with `{unknown}`; `runner history` lists the runs\n");
        assert_eq!(run.stderr, error);
        let run = test.runner([verb, "yesterday"]).expect(2);
        assert!(run.stderr.contains("`yesterday` is not a run id"), "{}", run.stderr);
    }
}

#[test]
fn a_lost_database_is_made_again_from_the_run_folders() {
    let test = Test::new();
    let projects = ["a", "b"].map(|name| test.project(name).script("x.txt", "print x\nexit 4"));
    test.runner(["run", "a", "b"]).expect(1);
    test.runner(["run", "b"]).expect(1);
    let answers = |test: &Test| {
        let shown = |project: &Project| {
            let run = id(&project.run_dirs()[0]);
            test.runner(["show", &run, "--json"]).expect(0).json()
        };
        let listings = [["list", "--json"], ["history", "--json"]].map(|args| test.runner(args).expect(0).json());
        (listings, projects.each_ref().map(shown))
    };
    let before = answers(&test);
    assert_eq!((before.0[0].len(), before.0[1].len()), (2, 3));
    delete_database(&test);
    assert_eq!(answers(&test), before);

    // Without a word of where projects are, one names a folder or stands in it.
    std::fs::remove_dir_all(test.path("state")).unwrap();
    assert_eq!(test.runner(["history", "--json"]).expect(0).stdout, "");
    assert_eq!(test.runner(["history", "b", "--json"]).expect(0).json().len(), 2);
    let mut inside = test.command(["history", "--json"]);
    inside.current_dir(&projects[0].root);
    assert_eq!(crate::harness::Finished::of(inside.output().unwrap()).expect(0).json().len(), 3);
}

#[test]
fn a_run_that_goes_on_is_running_and_one_whose_runner_died_is_interrupted() {
    let test = Test::new();
    let (project, mut runner) = start_waiting(&test, "p", "print before");
    let run = id(&project.run_dir());
    for _ in 0..2 {
        // Also without a database: the folder and the lock are enough.
        let history = test.runner(["history", "--json"]).expect(0).json();
        assert_eq!((&history[0]["status"], &history[0]["duration_seconds"]), (&json!("running"), &Value::Null));
        assert!(test.runner(["list"]).expect(0).stdout.contains("running"));
        let shown = test.runner(["show", &run]).expect(0).stdout;
        assert!(shown.contains(": running") && shown.contains("running for"), "{shown}");
        assert_eq!(test.runner(["logs", &run]).expect(0).stdout, "==> wait.txt: running\nbefore\n");
        if cfg!(windows) {
            // What another program has open can't be deleted there.
            break;
        }
        delete_database(&test);
        std::fs::remove_file(test.path("state").join("state.lock")).unwrap();
    }
    runner.kill().unwrap();
    runner.wait().unwrap();

    let history = test.runner(["history", "p", "--json"]).expect(0).json();
    assert_eq!((&history[0]["status"], &history[0]["run_id"]), (&json!("interrupted"), &json!(run)));
    let report = &test.runner(["show", &run, "--json"]).expect(0).json()[0];
    let kinds: Vec<_> = [0, 1].map(|at| report["scripts"][at]["outcome"]["kind"].as_str().unwrap()).into();
    assert_eq!(kinds, ["interrupted", "skipped"]);
    let logs = test.runner(["logs", &run]).expect(0).stdout;
    assert!(logs.starts_with("==> wait.txt: interrupted: the runner died\nbefore\n\n==> next.txt: skipped"), "{logs}");

    let_go(&project);
    test.runner(["run", "p"]).expect(0);
    let history = test.runner(["history", "p", "--json"]).expect(0).json();
    assert_eq!((&history[0]["status"], &history[1]["status"]), (&json!("success"), &json!("interrupted")));
}

/// What a started `logs -f` prints, line by line.
fn follow(test: &Test, args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = test.start(args);
    let stdout = child.stdout.take().unwrap();
    (child, BufReader::new(stdout))
}

fn next_line(stdout: &mut impl BufRead) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn logs_follow_a_run_to_its_end() {
    let test = Test::new();
    let (project, runner) = start_waiting(&test, "p", "print before");
    let run = id(&project.run_dir());
    let (logs, mut stdout) = follow(&test, &["logs", "-f", &run]);
    assert_eq!([next_line(&mut stdout), next_line(&mut stdout)], ["==> wait.txt: running", "before"]);
    let (json_logs, mut json_stdout) = follow(&test, &["logs", "-f", "--json", &run, "wait.txt"]);
    assert_eq!(next_line(&mut json_stdout), r#"{"index":0,"line":"before","script":"wait.txt"}"#);
    // It was seen before the script could go on.
    let_go(&project);
    finish(runner).expect(0);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    // The next script may be met while it runs, or after.
    let rest = rest.replace("\r\n", "\n").replace("next.txt: running", "next.txt: success");
    assert_eq!(rest, "done\n\n==> next.txt: success\nnext\n");
    assert_eq!(next_line(&mut json_stdout), r#"{"index":0,"line":"done","script":"wait.txt"}"#);
    finish(logs).expect(0);
    finish(json_logs).expect(0);
}

/// A project whose script prints far more than is kept.
fn flooding(test: &Test) -> (Project, Child) {
    let small = json!({"first": 200, "last": 300});
    let project =
        test.project("p").set("output", small).script("a.txt", "lines 5000\ntouch started\nwait-for go\nprint done");
    let runner = test.start(["run", "p"]);
    wait_for_file(&project.root.join("started"));
    wait_until_listed(test);
    (project, runner)
}

#[test]
fn logs_follow_an_output_past_what_is_kept_of_it() {
    let test = Test::new();
    let (project, runner) = flooding(&test);
    let (logs, mut stdout) = follow(&test, &["logs", "-f", &id(&project.run_dir())]);
    assert_eq!(next_line(&mut stdout), "line 0");
    let mut seen = Vec::new();
    while seen.last().is_none_or(|line| line != "line 4999") {
        seen.push(next_line(&mut stdout));
        assert!(seen.len() < 6000, "{seen:?}");
    }
    assert!(seen.iter().any(|line| line.ends_with("of output left out here …]")) && seen.len() < 200, "{seen:?}");
    let_go(&project);
    finish(runner).expect(0);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.trim_end(), "done", "nothing twice, and nothing amiss");
    finish(logs).expect(0);
}

#[test]
fn what_a_dead_runner_saved_of_an_output_is_shown() {
    let test = Test::new();
    let (project, mut runner) = flooding(&test);
    let run_dir = project.run_dir();
    let tail = wait_for("the saved end", || {
        let files = std::fs::read_dir(&run_dir).unwrap().flatten().map(|entry| entry.path());
        files.into_iter().find(|path: &PathBuf| path.extension().is_some_and(|extension| extension == "tail"))
    });
    wait_for("the last line in it", || {
        std::fs::read_to_string(&tail).unwrap_or_default().trim_end().ends_with("line 4999").then_some(())
    });
    runner.kill().unwrap();
    runner.wait().unwrap();
    for flag in ["--json", "--follow", "a.txt"] {
        let logs = test.runner(["logs", &id(&run_dir), flag]).expect(0).stdout;
        assert!(logs.contains("line 0") && logs.contains("left out here …]"), "{flag}: {logs}");
        assert!(logs.lines().last().unwrap().contains("line 4999"), "{flag}: {logs}");
    }
}

#[test]
fn a_newer_database_is_refused_politely_and_stops_no_run() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a");
    test.runner(["run", "p"]).expect(0);
    set_version(&test.path("state").join("state.db"), 99);
    for args in [["list"].as_slice(), &["history"], &["show", "a"], &["logs", "a"], &["history", "p", "--json"]] {
        let run = test.runner(args).expect(4);
        assert!(run.stderr.contains("was written by a newer runner (version 99, this one knows "), "{}", run.stderr);
        assert!(run.stderr.contains("; update this runner") && run.stderr.lines().count() == 1, "{}", run.stderr);
        assert_eq!(run.stdout, "");
    }
    let run = test.runner(["run", "p"]).expect(0);
    assert!(run.stderr.contains("warning:") && run.stderr.contains("newer runner"), "{}", run.stderr);
    assert_eq!(project.log_ends().len(), 2);
    set_version(&test.path("state").join("state.db"), project_runner::store::SCHEMA_VERSION);
    assert_eq!(test.runner(["history", "--json"]).expect(0).json().len(), 2, "that run is taken in later");
}

fn set_version(database: &Path, version: i64) {
    use sqlx::{Connection, Executor};
    let work = async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        let mark = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {version}"));
        connection.execute(sqlx::raw_sql(mark)).await.unwrap();
        connection.close().await.unwrap();
    };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
}

#[test]
fn two_runners_share_a_database() {
    let test = Test::new();
    let names = ["a", "b", "c", "d"];
    for name in names {
        let _project = (0..20).fold(test.project(name), |project, n| project.script(&format!("{n}.txt"), "print x"));
    }
    let runners = names.map(|name| test.start(["run", name, "-q"]));
    for runner in runners {
        let run = finish(runner).expect(0);
        assert_eq!(run.stderr, "");
    }
    let history = test.runner(["history", "--json"]).expect(0).json();
    let mut seen: Vec<_> = history.iter().map(|run| (run["project"].as_str(), run["status"].as_str())).collect();
    seen.sort_unstable();
    assert_eq!(seen, names.map(|name| (Some(name), Some("success"))));
    assert_eq!(test.runner(["history", "a"]).expect(0).stdout.matches("20 ok").count(), 1);
}

#[test]
fn whoever_has_seen_enough_is_no_error() {
    let test = Test::new();
    let _project = test.project("p").script("a.txt", "flood 2000000");
    test.runner(["run", "p"]).expect(0);
    let run = test.runner(["history", "--json"]).json()[0]["run_id"].as_str().unwrap().to_owned();
    let mut logs = test.start(["logs", &run]);
    let mut first = [0; 1];
    logs.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let logs = finish(logs).expect(0);
    assert_eq!(logs.stderr, "");
}

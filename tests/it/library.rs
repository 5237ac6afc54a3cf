//! The library, as a program that embeds it meets it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use project_runner::event::{EventKind, EventSink, RunEvent, SinkError, Stream, replay};
use project_runner::exec::Cancel;
use project_runner::model::{Outcome, RunStatus};
use project_runner::plan::Selection;
use project_runner::{History, MailDelivery, RunError, RunOptions, Runner, load_config};
use serde_json::json;

use crate::harness::{Project, Test, wait_for_file};

/// Nothing is recorded but in the project itself.
fn options() -> RunOptions {
    RunOptions { history: History::Off, ..RunOptions::default() }
}

fn runner(project: &Project) -> Runner {
    Runner::new(load_config(&project.root).unwrap())
}

fn example(test: &Test) -> Project {
    let traceback =
        "Traceback (most recent call last):\neprint   File \"b.txt\", line 1, in <module>\neprint ValueError: no";
    test.project("p")
        .script("a.txt", "print a")
        .script("sub/b.txt", &format!("eprint {traceback}\nexit 1"))
        .script("c.txt", "exit 3")
}

#[test]
fn a_run_returns_four_fields_a_script() {
    let test = Test::new();
    let project = example(&test);
    let output = runner(&project).run(options()).unwrap();
    let fields = serde_json::to_value(&output.results).unwrap();
    let keys: Vec<Vec<&String>> =
        fields.as_array().unwrap().iter().map(|result| result.as_object().unwrap().keys().collect()).collect();
    assert_eq!(keys[0], ["execution_time", "script", "success"]);
    assert_eq!(keys[1], ["execution_time", "script", "success", "traceback"]);
    let [a, b, c] = output.results.as_slice() else { panic!("{fields}") };
    assert_eq!([&a.script, &b.script, &c.script], ["a.txt", "sub/b.txt", "c.txt"]);
    assert_eq!([a.success, b.success, c.success], [true, false, false]);
    assert!((0.0..1.0).contains(&a.execution_time), "minutes: {}", a.execution_time);
    assert!(b.traceback.as_ref().unwrap().ends_with("ValueError: no") && c.traceback.is_none(), "{fields}");

    // The richer report is beside it, and is what the run's folder says.
    assert_eq!(output.report.status, RunStatus::Failure);
    assert_eq!(output.report.scripts[2].outcome, Some(Outcome::ExitCode { code: 3 }));
    assert_eq!(replay(&project.run_dir().join("events.jsonl")).unwrap(), output.report);
    assert_eq!(project.log().len(), 3);
}

#[test]
fn a_run_may_block_inside_a_runtime_or_be_awaited() {
    let test = Test::new();
    let project = example(&test);
    for runtime in [
        tokio::runtime::Builder::new_current_thread().build().unwrap(),
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
    ] {
        let (blocked, awaited) = runtime.block_on(async {
            let blocked = runner(&project).run(options()).unwrap();
            (blocked, runner(&project).run_async(options()).await.unwrap())
        });
        assert_eq!((blocked.results.len(), awaited.results.len()), (3, 3));
    }
    assert_eq!(project.run_dirs().len(), 4);
}

/// Notes what it hears.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl EventSink for Notes {
    fn on_event(&mut self, event: &RunEvent) -> Result<(), SinkError> {
        let note = match &event.kind {
            EventKind::RunStarted { scripts, .. } => format!("{} scripts", scripts.len()),
            EventKind::ScriptFinished { index, outcome, .. } => format!("{index}: {outcome}"),
            EventKind::RunFinished { status, .. } => status.name().to_owned(),
            EventKind::Warning { message } => message.clone(),
            _ => return Ok(()),
        };
        self.0.lock().unwrap().push(note);
        Ok(())
    }

    fn on_output(&mut self, stream: Stream, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
        self.0.lock().unwrap().push(format!("{stream:?} {text}"));
    }
}

/// Can do nothing.
struct Broken;

impl EventSink for Broken {
    fn on_event(&mut self, _: &RunEvent) -> Result<(), SinkError> {
        Err(SinkError::new("the dashboard is away", "connection refused"))
    }
}

#[test]
fn listeners_hear_everything_and_break_nothing() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print hello").script("b.txt", "exit 3");
    let notes = Notes::default();
    let sinks: Vec<Box<dyn EventSink>> = vec![Box::new(Broken), Box::new(notes.clone())];
    let output = runner(&project).run(RunOptions { sinks, ..options() }).unwrap();
    let mut heard = notes.0.lock().unwrap().clone();
    let warning = "the dashboard is away: connection refused";
    assert_eq!(heard.iter().filter(|note| *note == warning).count(), 1, "the same trouble is told once: {heard:?}");
    heard.retain(|note| note != warning);
    assert_eq!(heard, ["2 scripts", "Stdout hello", "0: success", "1: exit code 3", "failure"]);
    assert_eq!(output.report.warnings, [warning]);
}

#[test]
fn a_run_can_be_cancelled_and_dropped() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch started\nwait-for never").script("b.txt", "print b");
    let cancel = Cancel::default();
    let output = std::thread::scope(|scope| {
        let run = scope.spawn(|| runner(&project).run(RunOptions { cancel: cancel.clone(), ..options() }).unwrap());
        wait_for_file(&project.root.join("started"));
        cancel.cancel("the operator");
        run.join().unwrap()
    });
    assert_eq!(output.report.status, RunStatus::Interrupted);
    let by = "the operator".to_owned();
    assert_eq!(output.report.scripts[0].outcome, Some(Outcome::Interrupted { by }));
    assert!(matches!(output.report.scripts[1].outcome, Some(Outcome::Skipped { .. })));

    std::fs::remove_file(project.root.join("started")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let run = runner(&project).run_async(options());
        let started = async {
            while !project.root.join("started").exists() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = run => panic!("nobody let it go"),
            () = started => {}
        }
    });
    crate::harness::wait_for("the end of the dropped run", || (project.log().len() == 2).then_some(()));
    assert!(project.log_ends()[1].contains("a.txt - failure - interrupted"), "{:?}", project.log_ends());
}

#[test]
fn what_prevents_a_run_is_an_error_of_its_own() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch started\nwait-for go");
    let problems = load_config(test.path("nowhere")).unwrap_err();
    assert_eq!(problems.problems.len(), 1);
    assert!(problems.to_string().contains("FileNotFoundError"), "{problems}");

    let selection = Selection { only: vec!["b.txt".to_owned()], ..Selection::default() };
    let error = runner(&project).run(RunOptions { selection, ..options() }).unwrap_err();
    assert!(matches!(error, RunError::Select(_)) && error.to_string().contains("no script `b.txt`"), "{error}");

    std::thread::scope(|scope| {
        let first = scope.spawn(|| runner(&project).run(options()).unwrap());
        wait_for_file(&project.root.join("started"));
        let error = runner(&project).run(options()).unwrap_err();
        assert!(matches!(error, RunError::AlreadyRunning { .. }), "{error}");
        std::fs::write(project.root.join("go"), "").unwrap();
        assert!(first.join().unwrap().results[0].success);
    });
}

#[test]
fn the_history_and_the_mails_go_where_they_are_told() {
    let test = Test::new();
    let project = test.project("p").set("email_strategy", "all").script("a.txt", "print a");
    let options = RunOptions {
        mail: MailDelivery::Folder(test.path("mails")),
        history: History::Dir(test.path("state")),
        ..RunOptions::default()
    };
    let output = runner(&project).run(options).unwrap();
    assert_eq!(output.report.mail.as_ref().unwrap().name(), "written");
    assert_eq!(std::fs::read_dir(test.path("mails")).unwrap().count(), 1);
    let history = test.runner(["history", "--json"]).expect(0).json();
    assert_eq!(history[0]["run_id"], json!(output.report.run_id));
    assert_eq!(history[0]["mail"], json!("written"));
}

const ALONE: &str = "PROJECT_RUNNER_TEST_ALONE";

/// In a process of its own, where no other test does anything.
#[test]
fn nothing_process_wide_is_changed() {
    if std::env::var_os(ALONE).is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "library::nothing_process_wide_is_changed", "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let test = Test::new();
    let project = test
        .project("p")
        .file(".env", "FROM_DOTENV=secret\n")
        .script("a.txt", "print a\nleave pid 300")
        .script_with("b.txt", "sleep 300", json!({"timeout": "50ms", "kill_grace": "10ms"}));
    let (variables, before) = (variables(), surroundings());
    let options = RunOptions { history: History::Dir(test.path("state")), ..RunOptions::default() };
    runner(&project).run(options).unwrap();
    assert!(self::variables() == variables, "the environment was changed");
    assert_eq!(surroundings(), before);
    assert!(!tracing::dispatcher::has_been_set(), "no subscriber of tracing's");
}

fn variables() -> Vec<(OsString, OsString)> {
    let mut variables: Vec<_> = std::env::vars_os().collect();
    variables.sort();
    variables
}

fn surroundings() -> (PathBuf, Vec<String>) {
    (std::env::current_dir().unwrap(), of_the_kernel())
}

/// Signals that are caught and ignored; whether orphans come to this process; children that nobody reaped.
fn of_the_kernel() -> Vec<String> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let wanted = ["SigCgt:", "SigIgn:"];
    let mut lines: Vec<String> =
        status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect();
    #[cfg(target_os = "linux")]
    {
        assert_eq!(lines.len(), 2);
        lines.push(format!("subreaper: {:?}", rustix::process::child_subreaper()));
        let task = format!("/proc/self/task/{}/children", std::process::id());
        lines.push(std::fs::read_to_string(task).unwrap_or_default());
    }
    lines.sort();
    lines
}

//! Entries in Windows' Task Scheduler, registered for real and taken away again: only where Windows is Wine, or whoever
//! runs the tests says that they may (`RUNNER_TASK_SCHEDULER=1`).

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Test, under_wine};

/// Runs `schtasks` and says whether it did what it was asked for. Without pipes: the services that Wine starts for it would keep
/// them open.
fn schtasks(args: &[&str]) -> bool {
    let mut command = Command::new("schtasks");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

/// Takes a task away, whatever becomes of the test.
struct Registered(String);

impl Drop for Registered {
    fn drop(&mut self) {
        schtasks(&["/Delete", "/TN", &self.0, "/F"]);
    }
}

fn may_register() -> bool {
    let may = under_wine() || std::env::var_os("RUNNER_TASK_SCHEDULER").is_some();
    if !may {
        eprintln!("skipped: without RUNNER_TASK_SCHEDULER=1 nothing is registered on a real machine");
    }
    may
}

fn triggers() -> [Value; 5] {
    [
        json!({"cron": "0 6 * * mon-fri", "jitter": "5m"}),
        json!({"cron": "30 5 1,15 * *", "end": "2099-01-01"}),
        json!({"cron": {"day": "last fri", "hour": 6, "minute": 0}}),
        json!({"interval": "15m"}),
        json!({"at": "2099-12-01T06:00"}),
    ]
}

fn project(test: &Test, trigger: &Value) {
    let project = test.project("reports").script("a.txt", "print a").set("timeout", json!("1h"));
    let _project = project.set("schedule", trigger.clone());
}

/// As `schtasks` wants it: UTF-16 with a mark at its beginning.
fn write_task(path: &Path, xml: &str) {
    let xml = xml.replacen("UTF-8", "UTF-16", 1);
    let bytes: Vec<u8> = xml.encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(path, [&[0xff, 0xfe][..], &bytes].concat()).unwrap();
}

#[test]
fn task_scheduler_takes_what_is_generated_for_it() {
    if !may_register() {
        return;
    }
    for trigger in triggers() {
        let test = Test::new();
        project(&test, &trigger);
        let printed = test.runner(&["schedule", "install", "reports", "--with", "task-scheduler", "--print"]).expect(0);
        let file = test.path("task.xml");
        write_task(&file, &printed.stdout);
        let task = Registered(format!("\\project-runner\\test-{}", std::process::id()));
        let create = ["/Create", "/TN", &task.0, "/XML", file.to_str().unwrap(), "/F"];
        assert!(schtasks(&create), "{trigger}: {}", printed.stdout);
        assert!(schtasks(&create), "in the place of the one before");
        assert!(schtasks(&["/Delete", "/TN", &task.0, "/F"]), "{trigger}");
        assert!(!schtasks(&["/Delete", "/TN", &task.0, "/F"]), "it was there");
    }
}

#[test]
fn a_task_is_installed_seen_and_taken_away() {
    if under_wine() {
        eprintln!(
            "skipped: Wine's schtasks (as of 8.0) shows no task, and its services keep the pipes of who asks open"
        );
        return;
    }
    if !may_register() {
        return;
    }
    for trigger in triggers() {
        let test = Test::new();
        project(&test, &trigger);
        let status = || test.runner(&["schedule", "status", "reports", "--json"]).expect(0).json().remove(0);
        test.runner(&["schedule", "install", "reports", "--with", "task-scheduler"]).expect(0);
        assert_eq!((&status()["keeper"], &status()["entry"]), (&json!("task-scheduler"), &json!("ok")), "{trigger}");
        let gone = test.runner(&["schedule", "uninstall", "reports"]).expect(0);
        assert!(gone.stdout.starts_with("removed task-scheduler entry "), "{}", gone.stdout);
        assert_eq!(status()["keeper"], Value::Null, "{trigger}");
    }
}

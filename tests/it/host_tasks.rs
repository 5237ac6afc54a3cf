//! Entries in Windows' Task Scheduler, registered for real and taken away again: only where Windows is Wine, or whoever
//! runs the tests says that they may (`RUNNER_TASK_SCHEDULER=1`).

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Test, under_wine};

/// Takes a task away, whatever becomes of the test.
struct Registered(String);

impl Drop for Registered {
    fn drop(&mut self) {
        let _ = Command::new("schtasks").args(["/Delete", "/TN", &self.0, "/F"]).output();
    }
}

/// Whether `schtasks` shows a registered task; Wine's (as of 8.0) accepts the question and prints nothing.
fn shows_tasks(task: &str) -> bool {
    let shown = Command::new("schtasks").args(["/Query", "/TN", task, "/XML"]).output().unwrap();
    let says_something = !shown.stdout.is_empty();
    assert!(says_something || under_wine(), "{shown:?}");
    if !says_something {
        eprintln!("not compared: this schtasks doesn't show what is registered");
    }
    says_something
}

/// What `schedule status` says of the only schedule.
fn entry(test: &Test) -> Value {
    test.runner(&["schedule", "status", "reports", "--json"]).expect(0).json().remove(0)
}

/// The task's name, by what `install` says.
fn installed(stdout: &str) -> String {
    let (_, after) = stdout.split_once("task-scheduler entry ").unwrap_or_else(|| panic!("{stdout}"));
    format!(r"\project-runner\{}", after.split([',', '\r', '\n']).next().unwrap())
}

#[test]
fn task_scheduler_takes_what_is_generated_for_it() {
    if !under_wine() && std::env::var_os("RUNNER_TASK_SCHEDULER").is_none() {
        eprintln!("skipped: without RUNNER_TASK_SCHEDULER=1 nothing is registered on a real machine");
        return;
    }
    let triggers = [
        json!({"cron": "0 6 * * mon-fri", "jitter": "5m"}),
        json!({"cron": "30 5 1,15 * *", "end": "2099-01-01"}),
        json!({"cron": {"day": "last fri", "hour": 6, "minute": 0}}),
        json!({"interval": "15m"}),
        json!({"at": "2099-12-01T06:00"}),
    ];
    for trigger in triggers {
        let test = Test::new();
        let project = test.project("reports").script("a.txt", "print a").set("timeout", json!("1h"));
        let _project = project.set("schedule", trigger.clone());
        let install = ["schedule", "install", "reports", "--with", "task-scheduler"];
        let done = test.runner(&install).expect(0);
        let task = Registered(installed(&done.stdout));
        let shows = shows_tasks(&task.0);
        let status = entry(&test);
        assert_eq!(status["keeper"], "task-scheduler", "{trigger} {status}");
        if shows {
            assert_eq!(status["entry"], "ok", "{trigger} {status}");
        }
        test.runner(&install).expect(0);
        test.runner(&["schedule", "uninstall", "reports"]).expect(0);
        assert_eq!(entry(&test)["keeper"], Value::Null, "{trigger}");
        let gone = Command::new("schtasks").args(["/Delete", "/TN", &task.0, "/F"]).output().unwrap();
        assert!(!gone.status.success(), "uninstall has taken it away: {gone:?}");
    }
}

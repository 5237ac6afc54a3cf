//! The listings, as users and programs see them.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::history::*;
use super::list::*;
use super::logs::*;
use super::show::*;
use super::stats::*;
use super::*;
use crate::event::RunEvent;
use crate::model::{MailState, Outcome, RunReport, RunStatus, ScriptReport};
use crate::store::samples::*;
use crate::store::{Durability, FindRunError, ProjectRow, Store};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn view(json: bool) -> View {
    View { json, color: false, now: at(3600), local: |time: DateTime<Utc>| time.naive_utc() }
}

/// A database in a temporary folder, with an eventful run `aaa…` of `daily`, a plain one `bbb…` of `週次` and one that
/// goes on, `ccc…` of `daily`.
struct Lab {
    dir: tempfile::TempDir,
    store: Store,
}

impl Lab {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state")).await.unwrap();
        let mut lab = Self { dir, store };
        let daily = lab.dir.path().join("daily");
        let weekly = lab.dir.path().join("週次");
        lab.record('a', eventful(&id('a'), &daily, 0)).await;
        lab.record('b', plain(&id('b'), &weekly, 60)).await;
        let going_on = eventful(&id('c'), &daily, 3590);
        lab.record('c', going_on[..4].to_vec()).await;
        lab
    }

    async fn record(&mut self, digit: char, events: Vec<RunEvent>) {
        self.store.record(&of(&id(digit), events), Durability::Process).await.unwrap();
    }

    /// The text without the place of the temporary folder.
    fn text(&self, out: Vec<u8>) -> String {
        String::from_utf8(out)
            .unwrap()
            .replace(&format!("{}{}", self.dir.path().display(), std::path::MAIN_SEPARATOR), "~/")
    }

    async fn history(&mut self, project: Option<&str>, json: bool) -> Result<String, CommandError> {
        let request =
            HistoryRequest { project: project.map(str::to_owned), current_dir: self.dir.path().into(), limit: None };
        let mut out = Vec::new();
        history(&mut self.store, &request, &view(json), &mut out).await?;
        Ok(self.text(out))
    }

    async fn show(&mut self, json: bool) -> String {
        self.show_run("a", json).await
    }

    async fn show_run(&mut self, run: &str, json: bool) -> String {
        let mut out = Vec::new();
        show(&mut self.store, &ShowRequest { run: run.into() }, &view(json), &mut out).await.unwrap();
        self.text(out).replace('\\', "/")
    }

    async fn list(&mut self, json: bool) -> String {
        let mut out = Vec::new();
        list(&mut self.store, &view(json), &mut out).await.unwrap();
        self.text(out)
    }

    async fn logs(&mut self, run: &str, script: Option<&str>) -> Result<String, CommandError> {
        let request = LogsRequest {
            run: run.into(),
            script: script.map(str::to_owned),
            follow: false,
            output_file: &running_output,
            is_alive: &|_| true,
        };
        let mut out = Vec::new();
        logs(&mut self.store, &request, &view(false), &mut out).await?;
        Ok(self.text(out))
    }

    fn write_output(&self, digit: char, file: &str, text: &str) {
        let folder = self.dir.path().join("daily/logs/runs").join(id(digit).as_str());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(file), text).unwrap();
    }
}

fn running_output(script: &ScriptReport, attempt: u32) -> std::path::PathBuf {
    format!("{}.{attempt}.out", script.index).into()
}

#[test]
fn history_is_an_aligned_table() {
    run(async {
        let mut lab = Lab::new().await;
        let expected = "\
RUN            PROJECT  STARTED              TOOK  STATUS   SCRIPTS                    MAIL  NOTE
ccccccccccccc  daily    2024-11-27 09:51:48  10 s  running  1 ok, 2 to go
bbbbbbbbbbbbb  週次     2024-11-27 08:52:58   8 s  success  1 ok
aaaaaaaaaaaaa  daily    2024-11-27 08:51:58   8 s  failure  1 ok, 1 failed, 1 skipped  sent  1 retried
";
        assert_eq!(lab.history(None, false).await.unwrap(), expected);
    });
}

#[test]
fn history_for_programs_has_the_documented_keys() {
    run(async {
        let mut lab = Lab::new().await;
        let lines: Vec<String> = lab.history(None, true).await.unwrap().lines().map(str::to_owned).collect();
        let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        assert_eq!(
            parse(&lines[2]),
            serde_json::json!({
                "run_id": "aaaaaaaaaaaaa", "project": "daily", "status": "failure",
                "started": "2024-11-27T08:51:58.954Z", "duration_seconds": 8.0, "mail": "sent", "parent": null, "profile": null,
            })
        );
        let running = parse(&lines[0]);
        assert_eq!(
            (&running["duration_seconds"], &running["mail"]),
            (&serde_json::Value::Null, &serde_json::Value::Null)
        );
    });
}

#[test]
fn history_of_a_project_by_name_or_folder() {
    run(async {
        let mut lab = Lab::new().await;
        let absolute = lab.dir.path().join("週次").display().to_string();
        for text in ["週次", "./週次/", &absolute] {
            let found = lab.history(Some(text), true).await.unwrap();
            assert_eq!(found.lines().count(), 1, "{text}");
            assert!(found.contains("bbbbbbbbbbbbb"), "{text}");
        }
        let error = lab.history(Some("dayly"), true).await.unwrap_err();
        assert_eq!(error.to_string(), "no project `dayly` is known");
        assert_eq!(error.hint().unwrap(), "did you mean `daily`?");
    });
}

#[test]
fn list_shows_each_project_with_its_last_run() {
    run(async {
        let mut lab = Lab::new().await;
        let expected = "\
PROJECT  LAST RUN  STARTED              TOOK  FOLDER
daily    running   2024-11-27 09:51:48  10 s  ~/daily
週次     success   2024-11-27 08:52:58   8 s  ~/週次
";
        assert_eq!(lab.list(false).await, expected);
        let objects = lab.list(true).await;
        let weekly: serde_json::Value = serde_json::from_str(objects.lines().nth(1).unwrap()).unwrap();
        assert_eq!(
            (&weekly["name"], &weekly["status"], &weekly["run_id"]),
            (&"週次".into(), &"success".into(), &"bbbbbbbbbbbbb".into())
        );
    });
}

#[test]
fn an_empty_history_says_what_to_do() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state")).await.unwrap();
        let mut lab = Lab { dir, store };
        assert_eq!(lab.list(false).await, "No project has run yet: `runner run FOLDER` runs one.\n");
        assert!(lab.history(None, false).await.unwrap().contains("runner run"));
        assert_eq!(lab.list(true).await + &lab.history(None, true).await.unwrap(), "");
    });
}

#[test]
fn show_tells_the_whole_story_of_a_run() {
    run(async {
        let mut lab = Lab::new().await;
        let expected = "\
daily, run aaaaaaaaaaaaa: failure
  started  2024-11-27 08:51:58 on LAPTOP-BS85JNP7, took 8 s
  mail     sent (250 OK)
  project  ~/daily
  log      ~/daily/logs/daily.log
  folder   ~/daily/logs/runs/aaaaaaaaaaaaa

SCRIPT        TOOK    CPU   MEMORY  ATTEMPTS   OUTPUT  END
load.py        2 s  1.5 s  9.0 MiB            1.5 KiB  success
transform.py   2 s  1.5 s  9.0 MiB         2  1.5 KiB  exit code 3
report.py                                              skipped: transform.py failed before it

warning: the log could not be written

transform.py: exit code 3
  attempt 1: timeout after 2 s, had to be killed (took 2 s)
  Traceback (most recent call last):
    …
  ValueError: 42
  outlived it and was ended: sleep 60 (process 7)
";
        assert_eq!(lab.show(false).await, expected);
    });
}

#[test]
fn a_run_that_follows_another_tells_of_attempts_pace_and_files() {
    run(async {
        let mut lab = Lab::new().await;
        let daily = lab.dir.path().join("daily");
        lab.record('d', following(&id('d'), &daily, 60, &id('a'))).await;
        let expected = "\
daily, run ddddddddddddd: failure
  started  2024-11-27 08:52:58 on LAPTOP-BS85JNP7, took 9 s
  origin   retry of aaaaaaaaaaaaa
  planned  for 2024-11-27 08:52:53
  project  ~/daily
  log      ~/daily/logs/daily.log
  folder   ~/daily/logs/runs/ddddddddddddd

SCRIPT        TOOK    CPU   MEMORY  ATTEMPTS   OUTPUT  END
load.py        2 s  1.5 s  9.0 MiB         3  1.5 KiB  success at attempt 3
transform.py   2 s  1.5 s  9.0 MiB            1.5 KiB  expectation not met: out/report.csv was not written by this run \
(last changed 2026-11-21 06:00)

files
  charts/week.png (20.0 KiB)

load.py: success at attempt 3
  attempt 1: exit code 1 (took 2 s)
  attempt 2: timeout after 2 s (took 2 s)
  unusual: took 2 s, usually 500 ms

transform.py: expectation not met: out/report.csv was not written by this run (last changed 2026-11-21 06:00)
  0 rows
  outlived it and was ended: sleep 60 (process 7)
  outlived it and goes on: tail -f x (process 8)
";
        assert_eq!(lab.show_run("d", false).await, expected);
        let history = lab.history(Some("daily"), false).await.unwrap();
        assert!(
            history.contains("1 ok, 1 failed                   retry of aaaaaaaaaaaaa, 1 retried, 1 slow"),
            "{history}"
        );
        let first = lab.history(Some("daily"), true).await.unwrap().lines().nth(1).unwrap().to_owned();
        let first: serde_json::Value = serde_json::from_str(&first).unwrap();
        let parent = serde_json::json!({"run_id": "aaaaaaaaaaaaa", "how": "retry", "first": "aaaaaaaaaaaaa"});
        assert_eq!(first["parent"], parent);
    });
}

#[test]
fn stats_tell_of_each_script() {
    run(async {
        let mut lab = Lab::new().await;
        let daily = lab.dir.path().join("daily");
        for (n, digit) in "0123456".chars().enumerate() {
            lab.record(digit, following(&id(digit), &daily, 100 * n as i64 + 100, &id('a'))).await;
        }
        let timeouts =
            |project: &ProjectRow| (project.name == "daily").then(|| [("src/load.py".to_owned(), None)].into());
        let expected = "\
PROJECT  SCRIPT        RUNS    OK  RETRIES  MEDIAN  95%  LONGEST  LAST  TIMEOUT  SUGGESTED
daily    load.py          9  100%       14     2 s  2 s      2 s   2 s     none       40 s
daily    transform.py     8    0%        1                         2 s
週次     load.py          1  100%              2 s  2 s      2 s   2 s
";
        let mut request =
            StatsRequest { project: None, current_dir: lab.dir.path().into(), times: 100, timeouts: &timeouts };
        let mut out = Vec::new();
        stats(&mut lab.store, &request, &view(false), &mut out).await.unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);

        request.project = Some("daily".into());
        let mut out = Vec::new();
        stats(&mut lab.store, &request, &view(true), &mut out).await.unwrap();
        let lines: Vec<serde_json::Value> =
            String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines[1],
            serde_json::json!({
                "project": "daily", "path": daily, "script": "src/transform.py", "name": "transform.py", "runs": 8,
                "succeeded": 0, "success_rate": 0.0, "retries": 1, "median_seconds": null, "p95_seconds": null,
                "longest_seconds": null, "last_started": "2024-11-27T09:03:46.954Z",
                "last_outcome": "expectation_not_met", "last_seconds": 2.0, "timeout_seconds": null,
                "suggested_timeout_seconds": null,
            })
        );
        assert_eq!((lines.len(), &lines[0]["suggested_timeout_seconds"]), (2, &serde_json::json!(40)));
    });
}

#[test]
fn show_for_programs_is_the_report() {
    run(async {
        let mut lab = Lab::new().await;
        let text = lab.show(true).await;
        assert_eq!(text.lines().count(), 1);
        let report: RunReport = serde_json::from_str(&text).unwrap();
        assert_eq!((report.status, report.scripts.len()), (RunStatus::Failure, 3));
        assert_eq!(report.scripts[1].outcome, Some(Outcome::ExitCode { code: 3 }));
        assert_eq!(report.mail, Some(MailState::Sent { reply: "250 OK".into() }));
    });
}

#[test]
fn show_has_the_whole_traceback_while_the_folder_is_there() {
    run(async {
        let mut lab = Lab::new().await;
        let project = lab.dir.path().join("daily");
        let mut events = eventful(&id('d'), &project, 0);
        if let crate::event::EventKind::ScriptFinished { traceback, .. } = &mut events[6].kind {
            *traceback = Some(format!("begin\n{}end \u{1b}[31m", "x".repeat(9000)));
        }
        lab.record('d', events.clone()).await;
        let begins = |report: RunReport| report.scripts[1].traceback.as_ref().unwrap().starts_with("begin");
        assert!(!begins(load_report(&mut lab.store, "d").await.unwrap()));
        write_folder(&project, &id('d'), &events, "");
        assert!(begins(load_report(&mut lab.store, "d").await.unwrap()));
        let mut out = Vec::new();
        show(&mut lab.store, &ShowRequest { run: "d".into() }, &view(false), &mut out).await.unwrap();
        assert!(!out.contains(&0x1b), "an escape sequence of a script must not reach the terminal");
    });
}

#[test]
fn colours_come_only_when_asked_for() {
    run(async {
        let mut lab = Lab::new().await;
        let colored = View { color: true, ..view(false) };
        let mut out = Vec::new();
        list(&mut lab.store, &colored, &mut out).await.unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\u{1b}[32msuccess\u{1b}[0m"), "{text:?}");
        assert!(!lab.list(false).await.contains('\u{1b}'));
    });
}

#[test]
fn logs_prints_each_scripts_output_under_its_name() {
    run(async {
        let mut lab = Lab::new().await;
        lab.write_output('a', "0.out", "loaded 3 rows\n");
        lab.write_output('a', "1.1.out", "too slow\n");
        lab.write_output('a', "1.out", "no newline");
        let expected = "\
==> load.py: success
loaded 3 rows

==> transform.py, attempt 1: timeout after 2 s, had to be killed
too slow

==> transform.py, attempt 2: exit code 3
no newline

==> report.py: skipped: transform.py failed before it
";
        assert_eq!(lab.logs("a", None).await.unwrap(), expected);
        assert_eq!(lab.logs("a", Some("load.py")).await.unwrap(), "loaded 3 rows\n");
        let attempts = &expected[expected.find("==> transform").unwrap()..expected.find("\n\n==> report").unwrap()];
        let attempts = format!("{attempts}\n");
        for name in ["src/transform.py", "transform.py", "2"] {
            assert_eq!(lab.logs("a", Some(name)).await.unwrap(), attempts, "{name}");
        }
        let error = lab.logs("a", Some("x")).await.unwrap_err().to_string();
        assert_eq!(error, "run aaaaaaaaaaaaa has no script `x`, only load.py, transform.py, report.py");
        assert!(matches!(lab.logs("7", None).await, Err(CommandError::FindRun(FindRunError::Unknown { .. }))));
    });
}

#[test]
fn logs_says_when_an_output_was_cleared_away() {
    run(async {
        let mut lab = Lab::new().await;
        assert!(lab.logs("b", None).await.unwrap().ends_with("0.out is gone]\n"));
    });
}

/// Appends a piece each time it is asked whether the runner lives, which is once a round.
#[test]
fn following_goes_on_until_the_run_ends() {
    run(async {
        let mut lab = Lab::new().await;
        let project = lab.dir.path().join("daily");
        let events = eventful(&id('c'), &project, 3590);
        write_folder(&project, &id('c'), &events[..4], "");
        lab.write_output('c', "0.out", "loaded\n");
        lab.write_output('c', "1.1.out", "step 1\n");
        lab.write_output('c', "1.out", "again\n");
        let round = std::cell::Cell::new(0);
        let next_round = |_: &RunReport| {
            round.set(round.get() + 1);
            match round.get() {
                2 => lab_write(&project, "1.1.out", "step 1\nstep 2\n"),
                3 => write_folder(&project, &id('c'), &events, ""),
                _ => {}
            }
            true
        };
        let request = LogsRequest {
            run: "c".into(),
            script: Some("transform.py".into()),
            follow: true,
            output_file: &running_output,
            is_alive: &next_round,
        };
        let mut out = Vec::new();
        logs(&mut lab.store, &request, &view(false), &mut out).await.unwrap();
        let told = "step 1\nstep 2\n\n==> transform.py, attempt 2: exit code 3\nagain\n";
        assert_eq!(String::from_utf8(out).unwrap(), told);
        assert_eq!(round.get(), 3);
    });
}

fn lab_write(project: &Path, file: &str, text: &str) {
    std::fs::write(project.join("logs/runs").join(id('c').as_str()).join(file), text).unwrap();
}

#[test]
fn following_ends_when_the_runner_is_gone() {
    run(async {
        let mut lab = Lab::new().await;
        let project = lab.dir.path().join("daily");
        write_folder(&project, &id('c'), &eventful(&id('c'), &project, 3590)[..4], "");
        lab.write_output('c', "0.out", "loaded\n");
        let request = LogsRequest {
            run: "c".into(),
            script: None,
            follow: true,
            output_file: &running_output,
            is_alive: &|_| false,
        };
        let mut out = Vec::new();
        logs(&mut lab.store, &request, &view(false), &mut out).await.unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "==> load.py: success\nloaded\n\n==> transform.py: running\n");
    });
}

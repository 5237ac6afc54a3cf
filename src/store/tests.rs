//! The store, with real database files.

use std::time::Duration;

use sqlx::Row;

use super::samples::*;
use super::*;
use crate::model::{Outcome, RunId, RunReport, RunStatus};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Every row of every table, as text; project ids by their paths.
async fn dump(store: &mut Store) -> Vec<String> {
    let mut all = Vec::new();
    for (table, sql) in [
        ("projects", "SELECT path, name, last_seen FROM projects ORDER BY path"),
        ("runs", "SELECT r.*, p.path FROM runs r JOIN projects p ON p.id = project_id ORDER BY run_id"),
        ("scripts", "SELECT s.*, p.path FROM scripts s JOIN projects p ON p.id = project_id ORDER BY run_id, idx"),
        ("attempts", "SELECT * FROM attempts ORDER BY run_id, idx, attempt"),
        ("warnings", "SELECT * FROM warnings ORDER BY run_id, time"),
    ] {
        for row in sqlx::query(sql).fetch_all(&mut store.connection).await.unwrap() {
            let mut text = format!("{table}:");
            for (n, column) in row.columns().iter().enumerate() {
                let name = sqlx::Column::name(column);
                if name != "project_id" {
                    let value = row
                        .try_get_unchecked::<Option<String>, _>(n)
                        .map_or_else(|_| "?".to_owned(), |value| format!("{value:?}"));
                    text.push_str(&format!(" {name}={value}"));
                }
            }
            all.push(text);
        }
    }
    all
}

fn impatient() -> OpenOptions {
    OpenOptions { busy_timeout: Duration::from_millis(30) }
}

const DEAD: &dyn Fn(&RunReport) -> bool = &|_| false;
const ALIVE: &dyn Fn(&RunReport) -> bool = &|_| true;

#[test]
fn what_was_recorded_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("deep").join("state");
    let project = dir.path().join("daily");
    let id = id('a');
    let events = eventful(&id, &project, 0);
    run(async {
        let mut store = Store::open(&state).await.unwrap();
        store.record(&of(&id, events.clone()), Durability::PowerLoss).await.unwrap();
        store.close().await.unwrap();

        let mut store = Store::open(&state).await.unwrap();
        let row = store.run("aaa").await.unwrap();
        assert_eq!((row.status, row.duration_us), (RunStatus::Failure, 8_000_000));
        assert_eq!(row.counts, Counts { scripts: 3, succeeded: 1, failed: 1, skipped: 1 });
        let mut fold = crate::event::ReportFold::default();
        events.iter().for_each(|event| fold.apply(event));
        assert_eq!(store.report(row).await.unwrap(), fold.into_report().unwrap());
        let attempts: Vec<(i64, i64, String)> =
            sqlx::query_as("SELECT idx, attempt, outcome_kind FROM attempts ORDER BY 1, 2")
                .fetch_all(&mut store.connection)
                .await
                .unwrap();
        assert_eq!(attempts, [(0, 1, "success".into()), (1, 1, "timeout".into()), (1, 2, "exit_code".into())]);
    });
}

#[test]
fn the_report_of_a_run_is_the_same_at_every_moment() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("daily");
    let events = of(&id('a'), following(&id('a'), &project, 0, &id('b')));
    run(async {
        let mut store = Store::open(dir.path()).await.unwrap();
        let mut fold = crate::event::ReportFold::default();
        for event in &events {
            store.record(std::slice::from_ref(event), Durability::Process).await.unwrap();
            fold.apply(&event.1);
            let row = store.run("a").await.unwrap();
            assert_eq!(&store.report(row).await.unwrap(), fold.report().unwrap(), "after {event:?}");
        }
        let row = store.run("a").await.unwrap();
        assert_eq!(row.oddities, Oddities { retried: 1, slow: 1, quick: 0 });
        let script = &store.report(row).await.unwrap().scripts[0];
        assert_eq!(script.earlier_ends().unwrap(), "exit code 1, timeout after 2 s");
        assert_eq!(script.pace_remark().unwrap(), "took 2 s, usually 500 ms");
    });
}

/// A run that was interrupted in the pause before a further attempt: its last end is told again, as final.
#[test]
fn an_end_that_is_told_again_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("daily");
    let mut events = following(&id('a'), &project, 0, &id('b'));
    let mut again = events[4].clone();
    if let crate::event::EventKind::ScriptFinished { retry_after_us, .. } = &mut again.kind {
        *retry_after_us = None;
    }
    events.splice(5.., [again, finished(at(9), RunStatus::Interrupted)]);
    run(async {
        let mut store = Store::open(dir.path()).await.unwrap();
        store.record(&of(&id('a'), events.clone()), Durability::Process).await.unwrap();
        let mut fold = crate::event::ReportFold::default();
        events.iter().for_each(|event| fold.apply(event));
        let row = store.run("a").await.unwrap();
        let report = store.report(row).await.unwrap();
        assert_eq!(report, fold.into_report().unwrap());
        assert_eq!((report.scripts[0].attempts, report.scripts[0].earlier.len()), (2, 1));
        assert!(!report.scripts[0].retry_pending);
    });
}

#[test]
fn recording_twice_or_bit_by_bit_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (id, project) = (id('a'), dir.path().join("daily"));
    let events = of(&id, eventful(&id, &project, 0));
    run(async {
        let mut whole = Store::open(&dir.path().join("whole")).await.unwrap();
        whole.record(&events, Durability::Process).await.unwrap();
        let expected = dump(&mut whole).await;
        assert_eq!(expected.len(), 1 + 1 + 3 + 3 + 1);
        whole.record(&events, Durability::Process).await.unwrap();
        assert_eq!(dump(&mut whole).await, expected);

        let mut bits = Store::open(&dir.path().join("bits")).await.unwrap();
        for event in &events {
            bits.record(std::slice::from_ref(event), Durability::Process).await.unwrap();
        }
        assert_eq!(dump(&mut bits).await, expected);
    });
}

#[test]
fn a_database_of_a_newer_runner_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = Store::open(dir.path()).await.unwrap();
        store.execute_for_test("PRAGMA user_version = 7").await;
        store.close().await.unwrap();
        let before = std::fs::read(dir.path().join(DATABASE_FILE)).unwrap();
        let error = Store::open(dir.path()).await.unwrap_err();
        assert!(
            error.to_string().ends_with("state.db was written by a newer runner (version 7, this one knows 5)"),
            "{error}"
        );
        assert!(error.sentence().contains("--state-dir"));
        assert_eq!(std::fs::read(dir.path().join(DATABASE_FILE)).unwrap(), before);
    });
}

#[test]
fn damaged_and_foreign_files_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let state = dir.path().join("garbage");
        std::fs::create_dir_all(&state).unwrap();
        std::fs::write(state.join(DATABASE_FILE), "no database, but long enough to be looked at".repeat(100)).unwrap();
        let error = Store::open(&state).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        assert!(error.sentence().contains("move it away"), "{}", error.sentence());

        let state = dir.path().join("foreign");
        let mut store = Store::open(&state).await.unwrap();
        store.execute_for_test("PRAGMA application_id = 1").await;
        store.close().await.unwrap();
        assert!(matches!(Store::open(&state).await, Err(StoreError::Foreign { .. })));

        let state = dir.path().join("file");
        std::fs::write(&state, "").unwrap();
        assert!(matches!(Store::open(&state).await, Err(StoreError::Io { .. })));

        let state = dir.path().join("torn");
        Store::open(&state).await.unwrap().close().await.unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(state.join(DATABASE_FILE)).unwrap();
        file.set_len(6000).unwrap();
        let mut store = Store::open(&state).await;
        let error = match &mut store {
            Ok(store) => store.projects().await.unwrap_err(),
            Err(_) => store.unwrap_err(),
        };
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    });
}

#[test]
fn an_empty_file_and_the_log_of_a_deleted_database_are_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let (id, project) = (id('a'), dir.path().join("daily"));
    run(async {
        let mut store = Store::open(dir.path()).await.unwrap();
        store.record(&of(&id, plain(&id, &project, 0)), Durability::Process).await.unwrap();
        let wal = std::fs::read(dir.path().join("state.db-wal")).unwrap();
        store.close().await.unwrap();
        std::fs::write(dir.path().join("state.db-wal"), wal).unwrap();
        std::fs::write(dir.path().join(DATABASE_FILE), "").unwrap();
        let mut store = Store::open(dir.path()).await.unwrap();
        assert_eq!(store.projects().await.unwrap(), []);
    });
}

#[test]
fn a_locked_database_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (id, project) = (id('a'), dir.path().join("daily"));
    run(async {
        let mut holder = Store::open(dir.path()).await.unwrap();
        holder.execute_for_test("BEGIN IMMEDIATE").await;
        let mut store = Store::open_with(dir.path(), impatient()).await.unwrap();
        let events = of(&id, plain(&id, &project, 0));
        let error = store.record(&events, Durability::PowerLoss).await.unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
        holder.execute_for_test("COMMIT").await;
        store.record(&events, Durability::PowerLoss).await.unwrap();
    });
}

#[test]
fn many_writers_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("daily");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                run(async {
                    // Both find no database, and make it.
                    let mut store = Store::open(dir.path()).await.unwrap();
                    for n in 0..20 {
                        let id = RunId::random();
                        for event in of(&id, eventful(&id, &project, n)) {
                            store.record(&[event], Durability::Process).await.unwrap();
                        }
                    }
                    store.close().await.unwrap();
                });
            });
        }
    });
    run(async {
        let mut store = Store::open(dir.path()).await.unwrap();
        let runs = store.runs(&RunFilter::default()).await.unwrap();
        assert_eq!(runs.len(), 40);
        for run in runs {
            assert_eq!(run.counts, Counts { scripts: 3, succeeded: 1, failed: 1, skipped: 1 });
        }
    });
}

#[test]
fn an_import_writes_what_recording_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("daily");
    run(async {
        let mut live = Store::open(&dir.path().join("live")).await.unwrap();
        for (n, digit) in ['a', 'b', 'c'].into_iter().enumerate() {
            let id = id(digit);
            let events = match n {
                0 => eventful(&id, &project, 0),
                1 => plain(&id, &project, 10),
                _ => following(&id, &project, 200, &super::samples::id('a')),
            };
            live.record(&of(&id, events.clone()), Durability::Process).await.unwrap();
            write_folder(&project, &id, &events, "");
        }
        let mut rebuilt = Store::open(&dir.path().join("rebuilt")).await.unwrap();
        let report = import_project(&mut rebuilt, &project, DEAD).await.unwrap();
        assert_eq!((report.imported, report.interrupted, report.warnings), (3, vec![], vec![]));
        assert_eq!(dump(&mut rebuilt).await, dump(&mut live).await);
        assert_eq!(import_project(&mut rebuilt, &project, DEAD).await.unwrap().imported, 0);
    });
}

#[test]
fn a_run_whose_runner_died_is_recorded_as_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let (id, project) = (id('a'), dir.path().join("daily"));
    let mut events = eventful(&id, &project, 0);
    events.truncate(4);
    // The runner died while it wrote the fifth.
    write_folder(&project, &id, &events, r#"{"time":"2024-11-27T08:52"#);
    run(async {
        let mut store = Store::open(&dir.path().join("state")).await.unwrap();
        assert_eq!(import_project(&mut store, &project, ALIVE).await.unwrap().imported, 1);
        assert_eq!(store.run("a").await.unwrap().status, RunStatus::Running);
        assert_eq!(store.run("a").await.unwrap().counts.succeeded, 1);
        assert_eq!(import_project(&mut store, &project, ALIVE).await.unwrap().imported, 0);

        let report = import_project(&mut store, &project, DEAD).await.unwrap();
        assert_eq!(report.interrupted, std::slice::from_ref(&id));
        let row = store.run("a").await.unwrap();
        assert_eq!((row.status, row.finished, row.duration_us), (RunStatus::Interrupted, Some(at(2)), 2_000_000));
        let ends: Vec<_> =
            store.scripts_of(&id).await.unwrap().into_iter().map(|s| s.outcome.unwrap().kind()).collect();
        assert_eq!(ends, ["success", "interrupted", "skipped"]);

        // Its runner lived after all, and wrote the end.
        write_folder(&project, &id, &eventful(&id, &project, 0), "");
        assert_eq!(import_project(&mut store, &project, DEAD).await.unwrap().imported, 0);
    });
}

#[test]
fn a_recorded_run_without_a_folder_is_ended_when_its_runner_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (id, project) = (id('a'), dir.path().join("daily"));
    let mut events = eventful(&id, &project, 0);
    events.truncate(4);
    run(async {
        let mut store = Store::open(&dir.path().join("state")).await.unwrap();
        store.record(&of(&id, events), Durability::Process).await.unwrap();
        assert_eq!(import_project(&mut store, &project, ALIVE).await.unwrap().imported, 0);
        assert_eq!(import_project(&mut store, &project, DEAD).await.unwrap().interrupted, [id]);
        assert_eq!(store.run("a").await.unwrap().status, RunStatus::Interrupted);
    });
}

#[test]
fn folders_that_cannot_be_read_are_named_and_the_others_imported() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("daily");
    let runs = project.join("logs").join("runs");
    write_folder(&project, &id('a'), &plain(&id('a'), &project, 0), "");
    write_folder(&project, &id('b'), &plain(&id('b'), &project, 0), "{\"no\": \"event\"}\n");
    write_folder(&project, &id('c'), &plain(&id('d'), &project, 0), "");
    write_folder(&project, &id('e'), &[], "");
    std::fs::create_dir_all(runs.join(id('f').as_str())).unwrap();
    std::fs::create_dir_all(runs.join("not a run")).unwrap();
    run(async {
        let mut store = Store::open(&dir.path().join("state")).await.unwrap();
        let report = import_project(&mut store, &project, DEAD).await.unwrap();
        assert_eq!(report.imported, 1);
        let mut reasons: Vec<_> =
            report.warnings.iter().map(|w| (w.path.file_name().unwrap().to_str().unwrap(), &*w.reason)).collect();
        reasons.sort_unstable();
        assert_eq!(reasons.len(), 4, "{reasons:?}");
        for ((folder, reason), expected) in
            reasons.iter().zip(["not an event", "tells of another run", "does not begin", "cannot read"])
        {
            assert!(reason.contains(expected), "{folder}: {reason}");
        }
        assert_eq!(store.runs(&RunFilter::default()).await.unwrap().len(), 1);
        let absent = import_project(&mut store, &dir.path().join("never ran"), DEAD).await.unwrap();
        assert_eq!((absent.imported, absent.warnings), (0, vec![]));
    });
}

#[test]
fn a_project_that_was_moved_has_its_runs_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    write_folder(&new, &id('a'), &plain(&id('a'), &old, 0), "");
    run(async {
        let mut store = Store::open(&dir.path().join("state")).await.unwrap();
        import_project(&mut store, &new, DEAD).await.unwrap();
        let row = store.run("a").await.unwrap();
        assert_eq!(row.project_dir, new);
        assert!(row.run_dir.is_dir());
    });
}

#[test]
fn runs_are_found_by_the_beginning_of_their_id() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("daily");
    run(async {
        let mut store = Store::open(&dir.path().join("state")).await.unwrap();
        for text in ["39be3d37aed64", "39be4d37aed64", "ffffffffffff0"] {
            let id = RunId::parse(text).unwrap();
            store.record(&of(&id, plain(&id, &project, 0)), Durability::Process).await.unwrap();
        }
        assert_eq!(store.run("39BE3").await.unwrap().run_id.as_str(), "39be3d37aed64");
        assert_eq!(store.run("ffffffffffff0").await.unwrap().run_id.as_str(), "ffffffffffff0");
        let error = store.run("39be").await.unwrap_err().to_string();
        assert!(error.contains("39be3d37aed64 (daily)") && error.contains("39be4d37aed64 (daily)"), "{error}");
        assert!(matches!(store.run("7").await, Err(FindRunError::Unknown { .. })));
        assert!(matches!(store.run("%").await, Err(FindRunError::NotAnId { .. })));
    });
}

#[test]
fn runs_come_newest_first_page_by_page_of_the_projects_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (daily, weekly) = (dir.path().join("daily"), dir.path().join("weekly"));
    run(async {
        let mut store = Store::open(&dir.path().join("state")).await.unwrap();
        for (digit, project, start) in [('a', &daily, 0), ('b', &weekly, 10), ('c', &daily, 20), ('d', &daily, 30)] {
            store.record(&of(&id(digit), plain(&id(digit), project, start)), Durability::Process).await.unwrap();
        }
        let ids = |runs: Vec<RunRow>| runs.iter().map(|run| run.run_id.as_str()[..1].to_owned()).collect::<String>();
        assert_eq!(ids(store.runs(&RunFilter::default()).await.unwrap()), "dcba");
        let mut filter = RunFilter { projects: Some(vec![daily.clone()]), limit: Some(2), before: None };
        let page = store.runs(&filter).await.unwrap();
        filter.before = page.last().map(|run| run.started);
        assert_eq!(ids(page), "dc");
        assert_eq!(ids(store.runs(&filter).await.unwrap()), "a");
        let projects = store.projects().await.unwrap();
        let last = |n: usize| projects[n].last_run.as_ref().unwrap().run_id.clone();
        assert_eq!((projects.len(), last(0), last(1)), (2, id('d'), id('b')));
    });
}

#[test]
fn changes_look_their_rows_up() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = Store::open(dir.path()).await.unwrap();
        for sql in super::write::STATEMENTS {
            let explain = format!("EXPLAIN QUERY PLAN {sql}");
            let rows =
                sqlx::query(sqlx::AssertSqlSafe(explain)).bind("[]").fetch_all(&mut store.connection).await.unwrap();
            for row in rows {
                let step: String = row.get("detail");
                assert!(!step.starts_with("SCAN") || step.contains("VIRTUAL TABLE"), "{step} in {sql}");
            }
        }
    });
}

#[test]
fn a_run_of_many_scripts_is_recorded_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (id, project) = (id('a'), dir.path().join("daily"));
    let names: Vec<String> = (0..1234).map(|n| format!("script_{n}.py")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut events = vec![started(&id, &project, at(0), &names)];
    for n in 0..names.len() {
        events.push(began(n, 1, at(1)));
        events.push(ended(n, 1, at(2), Outcome::Success { code: 0 }));
    }
    events.push(finished(at(8), RunStatus::Success));
    run(async {
        let mut store = Store::open(&dir.path().join("state")).await.unwrap();
        store.record(&of(&id, events), Durability::PowerLoss).await.unwrap();
        let row = store.run("a").await.unwrap();
        assert_eq!(row.counts, Counts { scripts: 1234, succeeded: 1234, failed: 0, skipped: 0 });
        assert_eq!(store.scripts_of(&id).await.unwrap()[1233].name, "script_1233.py");
        assert_eq!(store.usual_durations(&project, None).await.unwrap().len(), 1234);
    });
}

#[test]
fn a_log_that_was_left_open_is_read_by_the_next_and_shrunk_when_large() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("daily");
    let wal = || std::fs::metadata(dir.path().join("state.db-wal")).unwrap().len();
    run(async {
        let mut runs = 0;
        loop {
            let mut store = Store::open(dir.path()).await.unwrap();
            store.shrink_log().await;
            if runs > 0 && wal() == 0 {
                break;
            }
            let before = wal();
            while wal() < before + 300_000 {
                let id = RunId::random();
                store.record(&of(&id, eventful(&id, &project, 0)), Durability::Process).await.unwrap();
                runs += 1;
            }
            store.leave_open();
            assert!(wal() < 2_000_000, "the log only grows");
        }
        let mut store = Store::open(dir.path()).await.unwrap();
        assert_eq!(store.runs(&RunFilter::default()).await.unwrap().len(), runs);
    });
}

use super::*;
use crate::model::RunStatus;
use crate::store::samples::{began, eventful, id, plain};
use crate::store::{DATABASE_FILE, RunFilter, RunRow};

fn runs(state_dir: &Path) -> Vec<RunRow> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async { Store::open(state_dir).await.unwrap().runs(&RunFilter::default()).await.unwrap() })
}

fn writer(state_dir: &Path, at_end: AtEnd) -> HistoryWriter {
    let options = OpenOptions { busy_timeout: Duration::from_millis(30) };
    HistoryWriter::start(state_dir.to_owned(), options, at_end)
}

#[test]
fn a_finished_run_is_recorded_while_the_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    for (digit, at_end) in [('a', AtEnd::Close), ('b', AtEnd::LeaveOpen)] {
        let writer = writer(&state, at_end);
        let mut sink = writer.sink();
        for event in eventful(&id(digit), &dir.path().join("daily"), 0) {
            sink.on_event(&event).unwrap();
        }
        writer.finish().unwrap();
        let found = runs(&state).into_iter().find(|run| run.run_id == id(digit)).unwrap();
        assert_eq!((found.status, found.counts.scripts), (RunStatus::Failure, 3));
        // The sink outlives the writer, and disturbs nobody.
        drop(writer);
        sink.on_event(&began(0, 3, found.started)).unwrap();
    }
    assert_eq!(runs(&state).len(), 2);
}

#[test]
fn runs_side_by_side_share_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(dir.path(), AtEnd::Close);
    std::thread::scope(|scope| {
        for digit in "0123456789abcdef".chars() {
            let writer = &writer;
            let project = dir.path().join(format!("project {digit}"));
            scope.spawn(move || {
                let mut sink = writer.sink();
                for event in eventful(&id(digit), &project, 0) {
                    sink.on_event(&event).unwrap();
                }
                writer.finish().unwrap();
            });
        }
    });
    drop(writer);
    let runs = runs(dir.path());
    assert_eq!(runs.len(), 16);
    assert!(runs.iter().all(|run| run.counts.succeeded == 1 && run.counts.failed == 1 && run.mail.is_some()));
}

#[test]
fn what_happens_between_runs_ends_is_committed_without_being_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut events = eventful(&id('a'), &dir.path().join("daily"), 0);
    events.truncate(3);
    let writer = writer(dir.path(), AtEnd::Close);
    let mut sink = writer.sink();
    for event in &events {
        sink.on_event(event).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while !dir.path().join(DATABASE_FILE).exists() || runs(dir.path()).is_empty() {
        assert!(Instant::now() < deadline, "nothing was committed");
        std::thread::yield_now();
    }
    assert_eq!(runs(dir.path())[0].counts.succeeded, 1);
}

#[test]
fn a_database_that_cannot_be_used_is_told_of_at_the_end_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(DATABASE_FILE), "no database".repeat(1000)).unwrap();
    let writer = writer(dir.path(), AtEnd::Close);
    let mut sink = writer.sink();
    for event in plain(&id('a'), &dir.path().join("daily"), 0) {
        sink.on_event(&event).unwrap();
    }
    let sentence = writer.finish().unwrap_err().sentence();
    assert!(sentence.contains("state.db is damaged"), "{sentence}");
    assert!(sentence.contains("move it away") && sentence.contains("read from its folder later"), "{sentence}");
}

#[test]
fn a_locked_database_gets_the_run_with_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("daily");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut holder = runtime.block_on(Store::open(dir.path())).unwrap();
    runtime.block_on(holder.execute_for_test("BEGIN IMMEDIATE"));
    let writer = writer(dir.path(), AtEnd::Close);
    for digit in ['a', 'b'] {
        let mut sink = writer.sink();
        for event in plain(&id(digit), &project, 0) {
            sink.on_event(&event).unwrap();
        }
        let result = writer.finish();
        assert_eq!(result.is_ok(), digit == 'b');
        if let Err(error) = result {
            assert!(error.sentence().contains("locked by another program"), "{}", error.sentence());
            runtime.block_on(holder.execute_for_test("COMMIT"));
        }
    }
    drop(writer);
    assert_eq!(runs(dir.path()).len(), 2);
}

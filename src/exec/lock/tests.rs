use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::Utc;

use super::*;
use crate::exec::{Cancel, of_this_process};
use crate::model::{MailDelivery, Overlap, ProcessIdentity, RunId};

const SKIP: Overlap = Overlap { allow: 1, wait: None };

fn holder() -> Holder {
    Holder {
        project: "daily".into(),
        pid: std::process::id(),
        host: "here".into(),
        since: Utc::now(),
        run_id: RunId::random(),
        process: of_this_process(),
        mail: MailDelivery::Send,
        earlier: Vec::new(),
    }
}

/// The word of a run whose process is gone.
fn dead() -> Holder {
    let process = ProcessIdentity { started: of_this_process().started + 1, ..of_this_process() };
    Holder { process, mail: MailDelivery::Off, ..holder() }
}

fn leave_word(dir: &Path, slot: &str, holder: &Holder) {
    std::fs::write(dir.join(format!("{slot}.json")), serde_json::to_vec(holder).unwrap()).unwrap();
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn take(dir: &Path, holder: &Holder, overlap: Overlap) -> Result<ProjectLock, LockError> {
    let cancel = Cancel::default();
    let request = LockRequest { logs_dir: dir, holder: holder.clone(), overlap, cancel: &cancel, waiting: &|_| () };
    run(ProjectLock::acquire(request))
}

#[test]
fn the_second_is_told_who_is_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = holder();
    assert_eq!(ProjectLock::holder(dir.path()), None);
    let lock = take(dir.path(), &first, SKIP).unwrap();
    assert_eq!(ProjectLock::holder(dir.path()), Some(Some(first.clone())));
    assert!(lives(dir.path(), &first.run_id, None) && dead_runs(dir.path()).is_empty());
    match take(dir.path(), &holder(), SKIP) {
        Err(LockError::Running(held)) => assert_eq!((held.holder.as_deref(), held.waited), (Some(&first), None)),
        other => panic!("{other:?}"),
    }
    lock.release();
    assert_eq!(ProjectLock::holder(dir.path()), None);
    assert!(!dir.path().join(".run.lock.json").exists());
    take(dir.path(), &holder(), SKIP).unwrap().release();
}

#[test]
fn looking_keeps_nobody_from_running() {
    let dir = tempfile::tempdir().unwrap();
    take(dir.path(), &holder(), SKIP).unwrap().release();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let _ = ProjectLock::holder(dir.path());
                    let _ = dead_runs(dir.path());
                }
            });
        }
        for _ in 0..200 {
            let taken = take(dir.path(), &holder(), SKIP);
            if taken.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            taken.unwrap().release();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_a_dead_run_left_is_handed_on_until_it_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let before = dead();
    std::fs::write(dir.path().join(".run.lock"), "").unwrap();
    leave_word(dir.path(), ".run.lock", &before);
    assert_eq!(dead_runs(dir.path()), before.runs());
    assert!(!lives(dir.path(), &before.run_id, None));

    let second = holder();
    let lock = take(dir.path(), &second, SKIP).unwrap();
    assert_eq!(lock.dead(), [DeadRun { run_id: before.run_id.clone(), mail: MailDelivery::Off }]);
    assert!(dead_runs(dir.path()).is_empty(), "somebody sees to it");
    // It dies as well.
    drop(lock);
    let ids: Vec<RunId> = dead_runs(dir.path()).into_iter().map(|run| run.run_id).collect();
    assert_eq!(ids, [before.run_id.clone(), second.run_id.clone()]);

    let third = holder();
    let mut lock = take(dir.path(), &third, SKIP).unwrap();
    lock.settled(&before.run_id);
    // Its mail has to wait.
    lock.release();
    let ids: Vec<RunId> = dead_runs(dir.path()).into_iter().map(|run| run.run_id).collect();
    assert_eq!(ids, [second.run_id.clone(), third.run_id.clone()]);
    forget(dir.path(), std::slice::from_ref(&third.run_id));
    assert_eq!(dead_runs(dir.path()).len(), 1);
    forget(dir.path(), &[second.run_id]);
    assert!(!dir.path().join(".run.lock.json").exists());
}

#[test]
fn a_stale_file_never_blocks() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".run.lock"), "").unwrap();
    std::fs::write(dir.path().join(".run.lock.json"), "torn {").unwrap();
    take(dir.path(), &holder(), SKIP).unwrap().release();
}

#[test]
fn so_many_run_at_once_as_may() {
    let dir = tempfile::tempdir().unwrap();
    let two = Overlap { allow: 2, wait: None };
    let first = take(dir.path(), &holder(), two).unwrap();
    let second = take(dir.path(), &holder(), two).unwrap();
    assert!(matches!(take(dir.path(), &holder(), two), Err(LockError::Running(_))));
    first.release();
    // The second still runs: for whoever wants to be alone that is one too many.
    assert!(matches!(take(dir.path(), &holder(), SKIP), Err(LockError::Running(_))));
    let first = take(dir.path(), &holder(), two).unwrap();
    // It dies, and another slot's run hears of it.
    let second_id = ProjectLock::holder(dir.path()).flatten().unwrap().run_id;
    drop(second);
    first.release();
    let alone = take(dir.path(), &holder(), SKIP).unwrap();
    assert_eq!(alone.dead().len(), 1);
    assert_ne!(alone.dead()[0].run_id, second_id);
    assert!(!dir.path().join(".run.2.lock.json").exists());
}

#[test]
fn whoever_waits_gets_it_when_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let lock = take(dir.path(), &holder(), SKIP).unwrap();
    let (sender, waiting) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let cancel = Cancel::default();
            let told = |other: &Holder| sender.send(other.run_id.clone()).unwrap();
            let overlap = Overlap { allow: 1, wait: Some(Duration::from_secs(60)) };
            let request =
                LockRequest { logs_dir: dir.path(), holder: holder(), overlap, cancel: &cancel, waiting: &told };
            run(ProjectLock::acquire(request))
        });
        waiting.recv().unwrap();
        lock.release();
        waiter.join().unwrap().unwrap().release();
    });
}

#[test]
fn a_wait_has_its_limit_and_can_be_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let lock = take(dir.path(), &holder(), SKIP).unwrap();
    let short = Overlap { allow: 1, wait: Some(Duration::from_millis(50)) };
    match take(dir.path(), &holder(), short) {
        Err(LockError::Running(held)) => assert!(held.waited.unwrap() >= Duration::from_millis(50)),
        other => panic!("{other:?}"),
    }
    let cancel = Cancel::default();
    let overlap = Overlap { allow: 1, wait: Some(Duration::from_secs(60)) };
    let told = |_: &Holder| cancel.cancel("Ctrl-C");
    let request = LockRequest { logs_dir: dir.path(), holder: holder(), overlap, cancel: &cancel, waiting: &told };
    assert!(matches!(run(ProjectLock::acquire(request)), Err(LockError::Interrupted { by }) if by == "Ctrl-C"));
    lock.release();
}

/// As a file system does that is slow to notice a death.
#[test]
fn a_dead_holder_keeps_nobody_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let lock = take(dir.path(), &holder(), SKIP).unwrap();
    leave_word(dir.path(), ".run.lock", &dead());
    let forced = take(dir.path(), &holder(), SKIP).unwrap();
    assert!(forced.is_forced() && forced.dead().len() == 1);
    lock.release();
    // Of another machine's process nothing is known.
    let _lock = take(dir.path(), &holder(), SKIP).unwrap();
    leave_word(dir.path(), ".run.lock", &Holder { host: "elsewhere".into(), ..dead() });
    assert!(matches!(take(dir.path(), &holder(), SKIP), Err(LockError::Running(_))));
}

#[test]
fn a_named_lock_is_one_projects_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let cancel = Cancel::default();
    let take = |holder: &Holder| {
        run(NamedLock::acquire(dir.path(), "db", holder, Duration::from_millis(20), &cancel, &|_| ()))
    };
    let first = holder();
    let lock = take(&first).unwrap();
    let error = take(&Holder { project: "weekly".into(), ..holder() }).unwrap_err().to_string();
    assert!(error.starts_with("the lock `db` is held by daily since ") && error.contains("; waited "), "{error}");
    drop(lock);
    drop(take(&holder()).unwrap());
    assert!(!dir.path().join("db.lock.json").exists());
}

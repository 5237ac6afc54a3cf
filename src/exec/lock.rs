//! One run of a project at a time: a lock that the system releases when its holder dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::RunId;

/// How long somebody may take to ask for the holder.
const ASKING: Duration = Duration::from_millis(100);

/// Who holds a project's lock, as far as it left word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process that the user started.
    pub pid: u32,
    /// Its machine.
    pub host: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Which run.
    pub run_id: RunId,
}

/// Why the lock could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another run holds it. Without details if that run has left none yet.
    #[error("the project is already running{}", .0.as_ref().map(describe).unwrap_or_default())]
    Held(Option<Holder>),
    /// The lock file can't be used.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn describe(holder: &Holder) -> String {
    let since = holder.since.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S");
    format!(" since {since}, in process {} on {} (run {})", holder.pid, holder.host, holder.run_id)
}

/// A project's lock, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct ProjectLock {
    _file: File,
    details: PathBuf,
}

impl ProjectLock {
    /// Takes the lock in `logs_dir`, or says who has it. Who holds it stands in a sibling file, because on Windows a
    /// locked file can't be read.
    ///
    /// # Errors
    /// [`LockError::Held`] if another run has it, [`LockError::Io`] if the file can't be opened or locked.
    pub fn acquire(logs_dir: &Path, holder: &Holder) -> Result<Self, LockError> {
        let (path, details) = paths(logs_dir);
        let io = |source| LockError::Io { path: path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        // Whoever only asks for the holder has the lock for an instant too: not to be taken for a run.
        let begin = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begin.elapsed() < ASKING => std::thread::sleep(ASKING / 20),
                Err(TryLockError::WouldBlock) => return Err(LockError::Held(read(&details))),
                Err(TryLockError::Error(error)) => return Err(io(error)),
            }
        }
        // Only for the message that others show; a lock without it is as good.
        if let Ok(text) = serde_json::to_vec(holder) {
            let _ = std::fs::write(&details, text);
        }
        Ok(Self { _file: file, details })
    }

    /// Whether a run holds the lock right now, and which.
    #[must_use]
    pub fn holder(logs_dir: &Path) -> Option<Option<Holder>> {
        let (path, details) = paths(logs_dir);
        let file = OpenOptions::new().write(true).open(path).ok()?;
        matches!(file.try_lock(), Err(TryLockError::WouldBlock)).then(|| read(&details))
    }
}

impl Drop for ProjectLock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.details);
    }
}

fn paths(logs_dir: &Path) -> (PathBuf, PathBuf) {
    (logs_dir.join(".run.lock"), logs_dir.join(".run.lock.json"))
}

fn read(details: &Path) -> Option<Holder> {
    serde_json::from_slice(&std::fs::read(details).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> Holder {
        Holder { pid: std::process::id(), host: "here".into(), since: Utc::now(), run_id: RunId::random() }
    }

    #[test]
    fn the_second_is_told_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = holder();
        assert_eq!(ProjectLock::holder(dir.path()), None);
        let lock = ProjectLock::acquire(dir.path(), &first).unwrap();
        assert_eq!(ProjectLock::holder(dir.path()), Some(Some(first.clone())));
        match ProjectLock::acquire(dir.path(), &holder()) {
            Err(LockError::Held(Some(found))) => assert_eq!(found, first),
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert_eq!(ProjectLock::holder(dir.path()), None);
        ProjectLock::acquire(dir.path(), &holder()).unwrap();
    }

    #[test]
    fn asking_for_the_holder_keeps_nobody_from_running() {
        let dir = tempfile::tempdir().unwrap();
        drop(ProjectLock::acquire(dir.path(), &holder()).unwrap());
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = ProjectLock::holder(dir.path());
                }
            });
            for _ in 0..200 {
                let taken = ProjectLock::acquire(dir.path(), &holder());
                if taken.is_err() {
                    stop.store(true, std::sync::atomic::Ordering::Relaxed);
                }
                taken.unwrap();
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }

    #[test]
    fn a_stale_file_never_blocks() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".run.lock"), "").unwrap();
        std::fs::write(dir.path().join(".run.lock.json"), "torn {").unwrap();
        ProjectLock::acquire(dir.path(), &holder()).unwrap();
    }
}

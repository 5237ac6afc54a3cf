//! The lock between processes that write the same log: a sibling file, held for one append.
//!
//! The system releases it when its holder dies. Waiting for it doesn't poll: a thread of its own blocks on it and hands
//! it over, and the caller gives up after its patience; a thread that is left behind drops the lock as it gets it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a line waits for the lock. Holders keep it for some microseconds; one that keeps it for seconds was stopped
/// by somebody, or has a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// A lock that was or can be taken again and again. The file stays open in between, and is never deleted: whoever
/// deleted it could have others lock a file that has no name any more.
#[derive(Debug)]
pub(super) struct AppendLock {
    path: PathBuf,
    file: Option<File>,
    patience: Duration,
}

impl AppendLock {
    /// The lock at `path`. Nothing is opened yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self::with_patience(path, PATIENCE)
    }

    /// The same, with another patience.
    pub(super) fn with_patience(path: PathBuf, patience: Duration) -> Self {
        Self { path, file: None, patience }
    }

    /// The lock's file.
    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Takes the lock, waiting if need be. Hand it back with [`AppendLock::release`].
    ///
    /// # Errors
    /// When the file can't be opened or locked, or the lock wasn't free in time. After that no further call waits: a
    /// run of hundreds of scripts must not wait hundreds of times for somebody who hangs.
    pub(super) fn acquire(&mut self) -> io::Result<File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::Error(error)) => Err(error),
            Err(TryLockError::WouldBlock) => {
                let waited = wait(file, self.patience);
                if waited.is_err() {
                    self.patience = Duration::ZERO;
                }
                waited
            }
        }
    }

    /// Gives the lock back and keeps the file for the next time.
    pub(super) fn release(&mut self, file: File) {
        // If it can't be unlocked, closing it will do.
        if file.unlock().is_ok() {
            self.file = Some(file);
        }
    }

    fn open(&self) -> io::Result<File> {
        match File::options().read(true).write(true).create(true).truncate(false).open(&self.path) {
            // Made by another user, who may write it; reading suffices to lock it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(&self.path).map_err(|_| error),
            opened => opened,
        }
    }
}

fn wait(file: File, patience: Duration) -> io::Result<File> {
    let busy = || io::Error::new(io::ErrorKind::TimedOut, "another process holds it");
    if patience.is_zero() {
        return Err(busy());
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new().name("log lock".to_owned()).spawn(move || {
        let locked = loop {
            match file.lock() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map(|()| file),
            }
        };
        // When nobody waits any more the file comes back in the error, and is closed here.
        drop(sender.send(locked));
    })?;
    receiver.recv_timeout(patience).unwrap_or_else(|_| Err(busy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_gets_it_when_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut first = AppendLock::new(path.clone());
        let held = first.acquire().unwrap();
        let waiting = thread::spawn(move || {
            let mut second = AppendLock::new(path);
            let held = second.acquire();
            held.map(|held| second.release(held))
        });
        first.release(held);
        waiting.join().unwrap().unwrap();
        let again = first.acquire().unwrap();
        first.release(again);
    }

    #[test]
    fn patience_ends_and_is_asked_for_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut holder = AppendLock::new(path.clone());
        let held = holder.acquire().unwrap();
        let mut other = AppendLock::with_patience(path, Duration::from_millis(30));
        let start = std::time::Instant::now();
        assert_eq!(other.acquire().unwrap_err().kind(), io::ErrorKind::TimedOut);
        let first_wait = start.elapsed();
        assert!(first_wait >= Duration::from_millis(30), "{first_wait:?}");
        assert_eq!(other.patience, Duration::ZERO);
        assert_eq!(other.acquire().unwrap_err().kind(), io::ErrorKind::TimedOut);
        // The thread left behind gets the lock and must let go of it: blocking on it shows that it did.
        holder.release(held);
        let mut third = AppendLock::new(other.path().clone());
        let held = third.acquire().unwrap();
        third.release(held);
    }
}

//! A file that is locked: taking it, waiting for it, and looking whether somebody has it.
//!
//! Holders lock it alone, whoever only looks shares it for an instant. So a look is told apart from a holder, and keeps
//! nobody from taking the lock.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How long somebody who looks may be in the way.
const LOOKING: Duration = Duration::from_secs(3);

/// Opens a lock's file, and makes it if need be. It is never deleted: whoever deleted it could have others lock a file
/// that has no name any more.
pub(super) fn open(path: &Path) -> io::Result<File> {
    match File::options().read(true).write(true).create(true).truncate(false).open(path) {
        // Made by another user, who may write it; reading suffices to lock it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(path).map_err(|_| error),
        opened => opened,
    }
}

/// Takes the lock; false if somebody has it.
pub(super) fn try_take(file: &File) -> io::Result<bool> {
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        match file.try_lock_shared() {
            // Those who have it only look. Should it not be given back, the next attempt tells.
            Ok(()) => drop(file.unlock()),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if begin.elapsed() > LOOKING {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether somebody holds the lock at `path`. A lock that can't be looked at is held by nobody.
pub(super) fn is_held(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Threads that block on locks, one each: the first to get its lock hands it over with its number. A thread that is left
/// behind drops its lock as it gets it.
pub(super) struct Waiter(UnboundedReceiver<(usize, io::Result<File>)>);

impl Waiter {
    pub(super) fn start(files: impl IntoIterator<Item = (usize, File)>) -> io::Result<Self> {
        let (sender, receiver) = unbounded_channel();
        for (number, file) in files {
            let sender = sender.clone();
            let wait = move || {
                let locked = loop {
                    match file.lock() {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        result => break result.map(|()| file),
                    }
                };
                // When nobody waits any more the file comes back in the error, and is closed here.
                drop(sender.send((number, locked)));
            };
            thread::Builder::new().name("lock".to_owned()).spawn(wait)?;
        }
        Ok(Self(receiver))
    }

    /// The first lock that could be had. Cancel safe.
    pub(super) async fn granted(&mut self) -> (usize, io::Result<File>) {
        match self.0.recv().await {
            Some(granted) => granted,
            // All threads have reported; whoever asks again has not taken what they gave.
            None => std::future::pending().await,
        }
    }
}

/// Held by whoever records a project's dead runs and sends their mails, so that nothing of it is done twice.
#[derive(Debug)]
pub(crate) struct RecoveryLock {
    _file: File,
}

impl RecoveryLock {
    /// Takes it, waiting for at most `patience`; `None` if somebody else has it so long, or `give_up` says so.
    ///
    /// # Errors
    /// When the file can't be made or locked.
    pub(crate) fn acquire(logs_dir: &Path, patience: Duration, give_up: &dyn Fn() -> bool) -> io::Result<Option<Self>> {
        let file = open(&logs_dir.join(".recovery.lock"))?;
        let begin = Instant::now();
        loop {
            if try_take(&file)? {
                return Ok(Some(Self { _file: file }));
            }
            if begin.elapsed() >= patience || give_up() {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

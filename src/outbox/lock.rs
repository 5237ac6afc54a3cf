//! One delivers at a time: a lock of the system's, which ends with the process that has it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Held by whoever delivers.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it; `None` if somebody has it.
    ///
    /// # Errors
    /// When its file can't be made or locked.
    pub(super) fn take(state_dir: &Path) -> io::Result<Option<Self>> {
        let path = state_dir.join("outbox.lock");
        let file = match File::options().read(true).write(true).create(true).truncate(false).open(&path) {
            // Made by another user; reading suffices to lock it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(&path).map_err(|_| error)?,
            opened => opened?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

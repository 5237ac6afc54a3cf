//! What can go wrong with the state database, told so that a user knows what to do.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the state database could not do what was asked. [`StoreError::hint`] says what to do about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder or a file beside the database could not be made.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A newer version of the runner made it.
    #[error("state database {} was written by a newer runner (version {found}, this one knows {known})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: i64,
        /// The newest version this runner knows.
        known: i64,
    },
    /// It is a database of something else.
    #[error("{} is not a state database of the runner", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It is damaged, or no database at all.
    #[error("state database {} is damaged", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// Another program kept it locked for longer than one waits.
    #[error("state database {} is locked by another program", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// It can't be opened, read or written, for another reason: permissions, a full disk.
    #[error("cannot use state database {}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// A stored value has a form that this version never writes.
    #[error("state database {}: {what}", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// Which value, and what is wrong with it.
        what: String,
    },
}

/// Primary result codes of SQLite (<https://www.sqlite.org/rescode.html>); the low byte of an extended one.
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const NOTADB: i32 = 26;
}

impl StoreError {
    /// Sorts an error of SQLite's.
    pub(super) fn from_sqlx(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        let primary = source
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i32>().ok())
            .map(|code| code & 0xff);
        match primary {
            Some(code::BUSY | code::LOCKED) => Self::Locked { path, source },
            Some(code::CORRUPT | code::NOTADB) => Self::Corrupt { path, source },
            _ => Self::Unusable { path, source },
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } | Self::Unusable { .. } => {
                "check its permissions and the disk's free space, or name another folder with `--state-dir`"
            }
            Self::Newer { .. } => "update this runner, or name another folder with `--state-dir`",
            Self::Foreign { .. } => "name another folder with `--state-dir`",
            Self::Corrupt { .. } | Self::BadValue { .. } => {
                "move it away together with its `-wal` and `-shm` files: a new one is made, and filled from the run folders"
            }
            Self::Locked { .. } => "end the program that holds it (a backup, a database browser) and try again",
        }
    }

    /// The whole chain of causes and the hint, in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        format!("{text}; {}", self.hint())
    }
}

//! Why a verb could not answer.

use std::path::PathBuf;

use thiserror::Error;

use crate::mail::MessageError;
use crate::store::{FindRunError, StoreError};

/// Why a verb could not answer. [`CommandError::hint`] says what to do about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(super) enum CommandError {
    /// The answer could not be written: the reader may be gone.
    #[error("cannot write the answer")]
    Write(#[from] std::io::Error),
    /// The state database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such run, or more than one.
    #[error(transparent)]
    FindRun(#[from] FindRunError),
    /// No known project has this name or lies in this folder.
    #[error("no project `{text}` is known")]
    UnknownProject {
        /// What was asked for.
        text: String,
        /// The known project whose name is most like it.
        similar: Option<String>,
    },
    /// The run has no such script.
    #[error("run {run_id} has no script `{script}`, only {}", scripts.join(", "))]
    UnknownScript {
        /// The run.
        run_id: String,
        /// What was asked for.
        script: String,
        /// Its scripts.
        scripts: Vec<String>,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The mail about a run can't be made.
    #[error("the mail can't be made")]
    Message(#[from] MessageError),
    /// A kept output, or a run's events, can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl CommandError {
    /// What to do about it.
    #[must_use]
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) | Self::FindRun(FindRunError::Store(error)) => Some(error.hint().to_owned()),
            Self::FindRun(FindRunError::Ambiguous { .. }) => Some("give more digits".to_owned()),
            Self::FindRun(_) => Some("`runner history` lists the runs".to_owned()),
            Self::UnknownProject { similar: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            Self::UnknownProject { similar: None, .. } => Some("`runner list` shows the known ones".to_owned()),
            Self::Message(_) => Some("correct the addresses in the project file".to_owned()),
            Self::Write(_) | Self::WriteFile { .. } | Self::UnknownScript { .. } | Self::Read { .. } => None,
        }
    }
}

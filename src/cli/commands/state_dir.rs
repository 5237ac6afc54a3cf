//! The state folder as a command meets it.

use std::path::{Path, PathBuf};

use crate::store::{self, Surroundings, UnknownStateDir};

/// The state folder, or why there is none.
pub(in crate::cli) struct StateDir(Result<PathBuf, UnknownStateDir>);

impl StateDir {
    pub(in crate::cli) fn find(flag: Option<&Path>) -> Self {
        Self(store::state_dir(flag, &Surroundings::of_process()))
    }

    pub(in crate::cli) fn path(&self) -> Option<&Path> {
        self.0.as_deref().ok()
    }

    /// The folder, or a sentence about its absence.
    pub(in crate::cli) fn required(&self) -> Result<&Path, String> {
        self.0.as_deref().map_err(|error| format!("{error}; {}", error.hint()))
    }
}

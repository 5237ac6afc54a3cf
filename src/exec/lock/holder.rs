//! The word that a lock's holder leaves beside it. On Windows a locked file can't be read, so it is a file of its own.

use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::exec::os::identity::{self, Life};
use crate::model::{MailDelivery, ProcessIdentity, RunId};

/// A run that died, as far as it has to be seen to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadRun {
    /// Which.
    pub run_id: RunId,
    /// What was to become of its mail.
    #[serde(default)]
    pub mail: MailDelivery,
}

/// Who holds a lock. A file of these that is there although nobody holds the lock tells of a run that died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The project's name.
    pub project: String,
    /// The process that the user started.
    pub pid: u32,
    /// Its machine.
    pub host: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Which run.
    pub run_id: RunId,
    /// What tells the process from others that have its id.
    pub process: ProcessIdentity,
    /// What is to become of the run's mail.
    #[serde(default)]
    pub mail: MailDelivery,
    /// Runs before it that died and are not wholly seen to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<DeadRun>,
}

impl Holder {
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Leaves it whole or not at all: who finds it has to be able to go by it.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let unfinished = path.with_extension("json.new");
        let written = std::fs::write(&unfinished, serde_json::to_vec(self)?);
        written.and_then(|()| std::fs::rename(&unfinished, path)).inspect_err(|_| {
            let _ = std::fs::remove_file(&unfinished);
        })
    }

    /// Every run that it tells of, its own last.
    #[must_use]
    pub fn runs(&self) -> Vec<DeadRun> {
        let own = DeadRun { run_id: self.run_id.clone(), mail: self.mail.clone() };
        let mut runs = self.earlier.clone();
        runs.retain(|run| run.run_id != own.run_id);
        runs.push(own);
        runs
    }

    /// Whether its process is known to be gone, or about to go. Of another machine's process nothing is known.
    pub(super) fn is_gone(&self, here: &str) -> bool {
        self.host == here && matches!(identity::life(&self.process), Life::Ending | Life::Gone)
    }
}

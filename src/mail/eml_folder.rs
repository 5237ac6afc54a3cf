//! Delivery into a folder, as `.eml` files that mail programs open.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{FinishedMessage, KEPT_MAIL};
use crate::model::{MailState, RunReport};

/// Writes each message to a file of its own.
#[derive(Debug)]
pub struct EmlFolder {
    folder: PathBuf,
}

impl EmlFolder {
    /// Into this folder, which is created when the first message comes.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The file that a message goes to.
    #[must_use]
    pub fn file_for(&self, message: &FinishedMessage) -> PathBuf {
        self.folder.join(&message.file_name)
    }

    /// Writes the message about a run to its file, in the place of what may be there, and beside the run's events; says what
    /// became of it.
    #[must_use]
    pub fn deliver(&self, report: &RunReport, message: &FinishedMessage) -> MailState {
        if let Err(error) = write_whole(&report.run_dir.join(KEPT_MAIL), &message.bytes) {
            tracing::warn!("cannot keep the mail in {}: {error}", report.run_dir.display());
        }
        let file = self.file_for(message);
        match self.write(message) {
            Ok(()) => MailState::Written { file },
            Err(error) => {
                let hint = "check that the folder can be written";
                MailState::Failed { error: format!("cannot write the mail to {}: {error}; {hint}", file.display()) }
            }
        }
    }

    /// Writes a message to its file, in the place of what may be there.
    ///
    /// # Errors
    /// When the folder can't be made, or the file not be written.
    pub fn write(&self, message: &FinishedMessage) -> io::Result<()> {
        write_whole(&self.file_for(message), &message.bytes)
    }
}

/// Writes a file so that a reader sees all of it or nothing, and a power cut doesn't empty it. Creates its folder.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder.join(format!(".{name}.{}.part", std::process::id()));
    let write = || {
        let mut file = File::create(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&draft, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&draft);
    })
}

//! The file by which a run's scripts get the project's settings. It may hold what only this account may read, and is there only
//! while scripts run: whoever sees to a run that died removes it too.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::options::RunError;
use super::os;
use super::run::cannot;
use crate::model::Project;

/// The folder's name in that of the run.
const FOLDER: &str = "private";
const FILE: &str = "settings.json";

/// The file; dropping this removes it.
pub(super) struct SettingsFile {
    path: PathBuf,
}

impl SettingsFile {
    /// Writes the settings, if the project has any.
    ///
    /// # Errors
    /// When they can't be written: scripts would not find what they need.
    pub(super) fn of(project: &Project, run_dir: &Path) -> Result<Option<Self>, RunError> {
        let Some(settings) = &project.settings else { return Ok(None) };
        let folder = run_dir.join(FOLDER);
        os::make_private_dir(&folder).map_err(|source| cannot(project, "make the folder", folder.clone(), source))?;
        let file = Self { path: folder.join(FILE) };
        let mut text = serde_json::to_vec_pretty(settings).unwrap_or_default();
        text.push(b'\n');
        os::new_private_file(&file.path)
            .and_then(|mut written| written.write_all(&text))
            .map_err(|source| cannot(project, "write", file.path.clone(), source))?;
        Ok(Some(file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// That others may read it, if that couldn't be prevented.
    pub(super) fn trouble(&self) -> Option<String> {
        let path = self.path.display();
        (!os::is_private(&self.path)).then(|| {
            format!("{path}: the file system can't keep other accounts from reading the settings while the run lasts")
        })
    }
}

impl Drop for SettingsFile {
    fn drop(&mut self) {
        if let Some(folder) = self.path.parent() {
            remove(folder);
        }
    }
}

/// Removes what a run that died has left of it.
pub(super) fn remove_left(run_dir: &Path) {
    remove(&run_dir.join(FOLDER));
}

/// The file alone: what else somebody has put there isn't the runner's.
fn remove(folder: &Path) {
    let _ = std::fs::remove_file(folder.join(FILE));
    let _ = std::fs::remove_dir(folder);
}

//! Mails that wait in the folders of their runs to be put into the outbox.

use std::path::PathBuf;

use super::{Store, StoreError};
use crate::model::{RunId, logs_dir, runs_dir};

/// The folder in a project's logs that has an empty file for each run whose mail waits in its folder, named as the run.
pub(crate) const KEPT_MARKS: &str = ".kept";

impl Store {
    /// Runs whose mail waits in their folder to be put into the outbox.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn kept_mails(&mut self) -> Result<Vec<(RunId, PathBuf)>, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT run_id, run_dir FROM runs WHERE mail_state = 'kept' ORDER BY started")
                .fetch_all(&mut self.connection)
                .await
                .map_err(|error| self.error(error))?;
        let known = rows.into_iter().filter_map(|(run_id, dir)| Some((RunId::parse(&run_id)?, PathBuf::from(dir))));
        let mut kept: Vec<(RunId, PathBuf)> = known.collect();
        for (run_id, run_dir) in self.kept_in_folders() {
            if !kept.iter().any(|(other, _)| *other == run_id) {
                kept.push((run_id, run_dir));
            }
        }
        Ok(kept)
    }

    /// Likewise runs that the database may not know of: that it couldn't be used is why their mail was kept. They leave a
    /// mark at their project. Costs a look for a folder in each project.
    pub(super) fn kept_in_folders(&self) -> Vec<(RunId, PathBuf)> {
        let projects = self.remembered_projects().into_iter();
        let marks = projects.flat_map(|root| {
            let marks = std::fs::read_dir(logs_dir(&root).join(KEPT_MARKS)).into_iter().flatten().flatten();
            let runs = runs_dir(&root);
            marks.filter_map(move |mark| Some((RunId::parse(mark.file_name().to_str()?)?, runs.join(mark.file_name()))))
        });
        marks.collect()
    }
}

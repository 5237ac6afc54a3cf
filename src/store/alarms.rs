//! What is known of schedules where somebody has to be told about them: which are kept, which planned instants were missed,
//! which schedules nobody seems to run. Whether somebody is told is decided elsewhere.

use std::path::Path;

use super::{Store, StoreError};

impl Store {
    /// The names of those of a project's schedules that somebody keeps and that aren't paused: they will run.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn kept_schedules(
        &mut self,
        project_dir: &Path,
        profile: Option<&str>,
    ) -> Result<Vec<String>, StoreError> {
        let names = "SELECT name FROM schedules
            WHERE project_dir = ?1 AND profile IS ?2 AND ended IS NULL AND paused IS NULL";
        let names = sqlx::query_scalar(names).bind(project_dir.to_string_lossy()).bind(profile);
        names.fetch_all(&mut self.connection).await.map_err(|error| self.error(error))
    }
}

//! Whom to tell of projects whose files can't be read.

use std::path::Path;

use super::schedules::known_as;
use super::{Store, StoreError};
use crate::model::{Contact, Project};

impl Store {
    /// Keeps whom to tell of these projects, as their files have it now.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn keep_contacts<'a>(
        &mut self,
        projects: impl IntoIterator<Item = &'a Project>,
    ) -> Result<(), StoreError> {
        let projects = projects.into_iter().map(|project| {
            let profile = project.profile.clone().unwrap_or_default();
            (project.root.to_string_lossy().into_owned(), profile, Contact::of(project).to_text())
        });
        let mut rows: Vec<(String, String, String)> = projects.collect();
        let folders: Vec<String> = rows.iter().map(|(folder, ..)| folder.clone()).collect();
        let known = known_as(&mut self.connection, &folders).await.map_err(|error| self.error(error))?;
        for (folder, ..) in &mut rows {
            if let Some(known) = known.get(folder) {
                known.clone_into(folder);
            }
        }
        let rows = serde_json::to_string(&rows).unwrap_or_default();
        let keep = "INSERT INTO contacts (project_dir, profile, contact)
            SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1) WHERE true
            ON CONFLICT (project_dir, profile) DO UPDATE SET contact = excluded.contact
                WHERE contact <> excluded.contact";
        self.execute(sqlx::query(keep).bind(rows)).await
    }

    /// Whom to tell of a project; `None` if nobody knows, or a newer runner has kept it.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn contact(&mut self, project_dir: &Path, profile: Option<&str>) -> Result<Option<Contact>, StoreError> {
        let text = sqlx::query_scalar("SELECT contact FROM contacts WHERE project_dir = ?1 AND profile = ?2");
        let text = text.bind(project_dir.to_string_lossy()).bind(profile.unwrap_or_default());
        let text: Option<String> =
            text.fetch_optional(&mut self.connection).await.map_err(|error| self.error(error))?;
        Ok(text.as_deref().and_then(Contact::from_text))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Environment, LoadRequest, load};
    use crate::model::Project;
    use crate::store::Store;

    fn project(root: &std::path::Path, recipient: &str) -> Project {
        let own = serde_json::json!({
            "scripts": ["a.py"], "python_command": std::env::current_exe().unwrap(), "log_filename": "p",
            "recipients": [recipient], "email_strategy": "all", "include_traceback": true, "logs_backup_count": 4,
        });
        std::fs::write(root.join("a.py"), "").unwrap();
        std::fs::write(root.join("exec_config.json"), own.to_string()).unwrap();
        load(&LoadRequest { project: root, profile: None, env: &Environment::default() }).unwrap().project
    }

    #[tokio::test]
    async fn the_latest_is_kept_of_each_project() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).await.unwrap();
        for recipient in ["old@example.com", "ann@example.com"] {
            store.keep_contacts([&project(dir.path(), recipient)]).await.unwrap();
        }
        let kept = store.contact(dir.path(), None).await.unwrap().unwrap();
        assert_eq!(kept.recipients, ["ann@example.com"]);
        assert_eq!(store.contact(dir.path(), Some("dev")).await.unwrap(), None);
        store.prune_answers(jiff::Timestamp::now()).await.unwrap();
        assert_eq!(store.contact(dir.path(), None).await.unwrap(), None, "nobody keeps anything of it");
    }
}

//! Digests that go out although no run ends: which projects may have something to tell, and that it was told.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use sqlx::Connection;

use super::batch::micros;
use super::enqueue::insert;
use super::{NewEntry, Store, StoreError};
use crate::model::{MailState, RunId};

/// A project and profile that ran, and nobody has heard of the latest run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// The project's folder.
    pub project_dir: PathBuf,
    /// With which profile it ran.
    pub profile: Option<String>,
    /// The latest of the runs that have ended.
    pub run_id: RunId,
    /// Whether one is under way.
    pub is_running: bool,
}

/// Folder, profile, run, what became of its mail, whether one runs, when the run began.
type UntoldRow = (String, Option<String>, String, Option<String>, bool, i64);

impl Store {
    /// Projects of whose latest run, if it began after `since`, no mail was due.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn untold_projects(&mut self, since: DateTime<Utc>) -> Result<Vec<Untold>, StoreError> {
        // Of several rows the columns beside `max` are those of the row that has it.
        let rows: Vec<UntoldRow> = sqlx::query_as(
            "SELECT p.path, r.profile, r.run_id, r.mail_state, EXISTS (SELECT 1 FROM runs o
                    WHERE o.project_id = p.id AND o.status = 'running' AND o.profile IS r.profile),
                max(r.started)
            FROM projects p JOIN runs r ON r.project_id = p.id AND r.started > ?1
            WHERE r.status <> 'running' AND r.mail_state NOT IN ('off', 'written')
            GROUP BY p.id, r.profile",
        )
        .bind(micros(since))
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.error(error))?;
        let untold = rows.into_iter().filter(|(_, _, _, mail, ..)| mail.as_deref() == Some("not_due"));
        let known = untold.filter_map(|(path, profile, run_id, _, is_running, _)| {
            Some(Untold { project_dir: path.into(), profile, run_id: RunId::parse(&run_id)?, is_running })
        });
        Ok(known.collect())
    }

    /// Puts the digest about a run and those before it into the outbox, and marks the run as told, so that both survive a loss of
    /// power; returns the entry's number. `None`: somebody has told it meanwhile, and nothing was done.
    ///
    /// # Errors
    /// When the database can't be written; then nothing was done.
    pub async fn queue_digest(&mut self, digest: &NewEntry, run_id: &RunId) -> Result<Option<i64>, StoreError> {
        let queued = queue(self, digest, run_id).await.map_err(|error| self.error(error))?;
        self.sync_log()?;
        Ok(queued)
    }
}

async fn queue(store: &mut Store, digest: &NewEntry, run_id: &RunId) -> Result<Option<i64>, sqlx::Error> {
    let mut transaction = store.connection.begin_with("BEGIN IMMEDIATE").await?;
    let mail = MailState::Queued { error: None };
    let mark = "UPDATE runs SET mail_state = ?2, mail_detail = ?3 WHERE run_id = ?1 AND mail_state = 'not_due'";
    let mark = sqlx::query(mark).bind(run_id.as_str()).bind(mail.name());
    let mark = mark.bind(serde_json::to_string(&mail).unwrap_or_default()).execute(&mut *transaction).await?;
    if mark.rows_affected() == 0 {
        return Ok(None);
    }
    let Some(id) = insert(&mut transaction, std::slice::from_ref(digest)).await?.pop() else { return Ok(None) };
    transaction.commit().await?;
    Ok(Some(id))
}

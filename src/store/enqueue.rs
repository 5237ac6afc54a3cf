//! Putting finished messages into the outbox.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use sqlx::Connection;

use super::batch::micros;
use super::{OutboxKind, Store, StoreError};
use crate::model::RunId;

/// An entry that is to be put into the outbox. Of a run there is one of each kind and slot.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// What it is.
    pub kind: OutboxKind,
    /// Which of a project's web addresses it goes to.
    pub slot: Option<String>,
    /// The run it tells of; `None` if it tells of none.
    pub run_id: Option<RunId>,
    /// The project, by whose settings it is delivered.
    pub project_dir: PathBuf,
    /// The profile, likewise.
    pub profile: Option<String>,
    /// The run's folder.
    pub run_dir: Option<PathBuf>,
    /// What people know it by.
    pub subject: String,
    /// Who a mail is from, as SMTP is told.
    pub from: Option<String>,
    /// Who signs in to send it.
    pub login: Option<String>,
    /// Who is to get it, likewise.
    pub recipients: Vec<String>,
    /// The finished message.
    pub message: Vec<u8>,
    /// The conversation that a mail belongs to.
    pub conversation: Option<String>,
    /// When it was made.
    pub queued_at: DateTime<Utc>,
    /// Whether the run has recorded already that it is queued; see [`OutboxRow::settled`](super::OutboxRow::settled).
    pub settled: bool,
    /// Of a mail that goes out once in a while: it isn't put in if another mail of the project and
    /// profile was since then, unless that one failed.
    pub unless_since: Option<DateTime<Utc>>,
}

impl Store {
    /// Puts entries into the outbox, so that they survive a loss of power; returns the numbers of those that are there. One
    /// that was already stays as it is. The end of a run makes worthless what a watchdog was to be told of the project and profile
    /// before, which would come out of order: that is taken out.
    ///
    /// # Errors
    /// When the database can't be written; then none of them is in.
    pub async fn enqueue(&mut self, entries: &[NewEntry]) -> Result<Vec<i64>, StoreError> {
        let ids = enqueue(self, entries).await.map_err(|error| self.error(error))?;
        self.sync_log()?;
        Ok(ids)
    }

    /// The number of the newest entry; 0 if there is none.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn newest_entry(&mut self) -> Result<i64, StoreError> {
        let newest = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM outbox");
        newest.fetch_one(&mut self.connection).await.map_err(|error| self.error(error))
    }

    /// Takes those of these entries that nobody has tried, for somebody who delivers without the lock: until then nobody
    /// else [begins](Store::begin_try) with them. Returns which.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn claim(&mut self, ids: &[i64], until: DateTime<Utc>) -> Result<Vec<i64>, StoreError> {
        let claimed = sqlx::query_scalar(
            "UPDATE outbox SET state = 'sending', next_at = ?2 WHERE id IN (SELECT value FROM json_each(?1))
                AND state = 'queued' AND attempts = 0 RETURNING id",
        );
        let claimed = claimed.bind(serde_json::to_string(ids).unwrap_or_default()).bind(micros(until));
        claimed.fetch_all(&mut self.connection).await.map_err(|error| self.error(error))
    }

    /// Gives back those of them that were not tried after all.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn give_back(&mut self, ids: &[i64], until: DateTime<Utc>) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "UPDATE outbox SET state = iif(state = 'sending', 'queued', state), next_at = NULL
                WHERE id IN (SELECT value FROM json_each(?1)) AND next_at = ?2",
            )
            .bind(serde_json::to_string(ids).unwrap_or_default())
            .bind(micros(until)),
        )
        .await
    }

    /// Notes for those of these entries that had no turn why. Nobody else's work is touched: somebody may just have begun.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn note_no_turn(&mut self, ids: &[i64], why: &str) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "UPDATE outbox SET last_error = ?2 WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'queued'
                    AND attempts = 0 AND last_error IS NULL",
            )
            .bind(serde_json::to_string(ids).unwrap_or_default())
            .bind(why),
        )
        .await
    }
}

async fn enqueue(store: &mut Store, entries: &[NewEntry]) -> Result<Vec<i64>, sqlx::Error> {
    let mut transaction = store.connection.begin_with("BEGIN IMMEDIATE").await?;
    let ids = insert(&mut transaction, entries).await?;
    transaction.commit().await?;
    Ok(ids)
}

/// Within a transaction.
pub(super) async fn insert(
    transaction: &mut sqlx::SqliteConnection,
    entries: &[NewEntry],
) -> Result<Vec<i64>, sqlx::Error> {
    let mut ids = Vec::with_capacity(entries.len());
    for entry in entries {
        let run_id = entry.run_id.as_ref().map(RunId::as_str);
        if entry.kind == OutboxKind::Ping && entry.slot.as_deref() != Some("start") {
            let outdated = "DELETE FROM outbox
                WHERE kind = 'ping' AND project_dir = ?1 AND profile IS ?2 AND state IN ('queued', 'held')
                    AND NOT (run_id = ?3 AND slot IS ?4)";
            let query = sqlx::query(outdated).bind(entry.project_dir.to_string_lossy()).bind(&entry.profile);
            query.bind(run_id).bind(&entry.slot).execute(&mut *transaction).await?;
        }
        let made: Option<i64> = sqlx::query_scalar(
            "INSERT INTO outbox (kind, slot, run_id, project_dir, profile, run_dir, subject, from_address, recipients,
                message, conversation, queued_at, settled, login)
            SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14
            WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE run_id = ?3 AND kind = ?1 AND slot IS ?2)
                AND NOT EXISTS (SELECT 1 FROM outbox WHERE queued_at >= ?15 AND kind = ?1 AND project_dir = ?4
                    AND profile IS ?5 AND state <> 'failed')
            RETURNING id",
        )
        .bind(entry.kind.name())
        .bind(&entry.slot)
        .bind(run_id)
        .bind(entry.project_dir.to_string_lossy())
        .bind(&entry.profile)
        .bind(entry.run_dir.as_ref().map(|dir| dir.to_string_lossy()))
        .bind(&entry.subject)
        .bind(&entry.from)
        .bind(serde_json::to_string(&entry.recipients).unwrap_or_default())
        .bind(&entry.message)
        .bind(&entry.conversation)
        .bind(micros(entry.queued_at))
        .bind(entry.settled)
        .bind(&entry.login)
        .bind(entry.unless_since.map(micros))
        .fetch_optional(&mut *transaction)
        .await?;
        let known = "SELECT id FROM outbox WHERE run_id = ?1 AND kind = ?2 AND slot IS ?3";
        let known = sqlx::query_scalar(known).bind(run_id).bind(entry.kind.name()).bind(&entry.slot);
        ids.extend(match made {
            Some(id) => Some(id),
            None => known.fetch_optional(&mut *transaction).await?,
        });
    }
    Ok(ids)
}

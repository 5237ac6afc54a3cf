//! The outbox: finished messages until they are delivered, and for a while after that, as queries. What is done with them is
//! decided elsewhere.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Connection;
use sqlx::sqlite::SqliteRow;

use super::batch::micros;
use super::entry::{OutboxKind, OutboxRow, OutboxState, PutOff, Tried};
use super::query::Columns;
use super::{Store, StoreError};
use crate::model::RunId;

/// Days for which a delivered entry is known, without its message.
const SENT_DAYS: i64 = 30;
/// Days for which a failed entry is kept, message and all.
const FAILED_DAYS: i64 = 90;

/// All columns but the message, which may be large.
macro_rules! select_rows {
    ($rest:literal) => {
        concat!(
            "SELECT id, kind, slot, run_id, project_dir, profile, run_dir, subject, from_address, recipients, refused,
                conversation, state, in_doubt, settled, attempts, failures, queued_at, next_at, ended_at, last_error, last_reply,
                sender, login
            FROM outbox ",
            $rest
        )
    };
}

const IS_SOMETHING: &str = "SELECT EXISTS (SELECT 1 FROM outbox WHERE state IN ('queued', 'sending', 'held'))
    OR EXISTS (SELECT 1 FROM outbox WHERE NOT told)
    OR EXISTS (SELECT 1 FROM runs WHERE mail_state = 'kept')";

impl Store {
    /// Whether something is in the outbox that is not delivered, or waits in a run's folder to be put there.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn is_something_to_deliver(&mut self) -> Result<bool, StoreError> {
        let is_known = sqlx::query_scalar(IS_SOMETHING).fetch_one(&mut self.connection).await;
        Ok(is_known.map_err(|error| self.error(error))? || !self.kept_in_folders().is_empty())
    }

    /// What is not delivered, oldest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn undelivered(&mut self) -> Result<Vec<OutboxRow>, StoreError> {
        self.rows(sqlx::query(select_rows!("WHERE state IN ('queued', 'sending', 'held') ORDER BY id"))).await
    }

    /// What is not delivered or has failed, oldest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn undelivered_or_failed(&mut self) -> Result<Vec<OutboxRow>, StoreError> {
        self.rows(sqlx::query(select_rows!("WHERE state <> 'sent' ORDER BY id"))).await
    }

    /// The mail about a run; `None` if none was put into the outbox.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn mail_about(&mut self, run_id: &RunId) -> Result<Option<OutboxRow>, StoreError> {
        let query = sqlx::query(select_rows!("WHERE run_id = ?1 AND kind = 'mail'")).bind(run_id.as_str());
        Ok(self.rows(query).await?.pop())
    }

    /// These entries, as far as they are there, oldest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn entries(&mut self, ids: &[i64]) -> Result<Vec<OutboxRow>, StoreError> {
        let ids = serde_json::to_string(ids).unwrap_or_default();
        self.rows(sqlx::query(select_rows!("WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id")).bind(ids))
            .await
    }

    /// Marks that a run has recorded what has become of its mail so far, and tells what that is now: it may have gone on
    /// since the run looked.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn settle(&mut self, run_id: &RunId) -> Result<Option<OutboxRow>, StoreError> {
        let mark = "UPDATE outbox SET settled = 1 WHERE run_id = ?1 AND kind = 'mail'";
        let done = sqlx::query(mark).bind(run_id.as_str()).execute(&mut self.connection).await;
        done.map_err(|error| self.error(error))?;
        self.mail_about(run_id).await
    }

    /// The finished message of an entry.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn message(&mut self, id: i64) -> Result<Vec<u8>, StoreError> {
        sqlx::query_scalar("SELECT message FROM outbox WHERE id = ?1")
            .bind(id)
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| self.error(error))
    }

    /// Marks an entry as being delivered by these settings (their fingerprint, and whose limits they count for). False if
    /// it is no longer as it was read: somebody else took it, or has taken it out.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn begin_try(&mut self, row: &OutboxRow, sender: &str, account: &str) -> Result<bool, StoreError> {
        let begun = sqlx::query(
            "UPDATE outbox SET state = 'sending', attempts = attempts + 1, sender = ?2, account = ?3
            WHERE id = ?1 AND state IN ('queued', 'sending', 'held') AND next_at IS ?4",
        )
        .bind(row.id)
        .bind(sender)
        .bind(account)
        .bind(row.next_at.map(micros))
        .execute(&mut self.connection)
        .await;
        begun.map(|begun| begun.rows_affected() > 0).map_err(|error| self.error(error))
    }

    /// Marks that from now on nobody knows whether the server has it.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn mark_in_doubt(&mut self, id: i64) -> Result<(), StoreError> {
        self.execute(sqlx::query("UPDATE outbox SET in_doubt = 1 WHERE id = ?1").bind(id)).await
    }

    /// Records what a try has come to, which is its own fault if it has a time when it is tried again; true if the run has recorded something before, so that what became of its mail
    /// has to be told to its events too, and [marked](Store::mark_told) as told.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn end_try(&mut self, tried: &Tried) -> Result<bool, StoreError> {
        end_try(self, tried).await.map_err(|error| self.error(error))
    }

    /// Entries of which a run's events don't tell yet what has become of them.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn untold(&mut self) -> Result<Vec<OutboxRow>, StoreError> {
        self.rows(sqlx::query(select_rows!("WHERE NOT told ORDER BY id"))).await
    }

    /// Marks that a run's events tell it.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn mark_told(&mut self, id: i64) -> Result<(), StoreError> {
        self.execute(sqlx::query("UPDATE outbox SET told = 1 WHERE id = ?1").bind(id)).await
    }

    /// Notes for entries what they wait for, without a try of their own.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn put_off(&mut self, ids: &[i64], why: &PutOff<'_>) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "UPDATE outbox SET state = ?2, sender = coalesce(?3, sender), last_error = ?4, last_reply = ?5
                WHERE id IN (SELECT value FROM json_each(?1))
                    AND (state, last_error, sender) IS NOT (?2, ?4, coalesce(?3, sender))",
            )
            .bind(serde_json::to_string(ids).unwrap_or_default())
            .bind(why.state.name())
            .bind(why.sender)
            .bind(why.error)
            .bind(why.reply),
        )
        .await
    }

    /// Has everything that failed tried again, as if it were new.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn requeue_failed(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "UPDATE outbox SET state = 'queued', queued_at = ?1, next_at = NULL, ended_at = NULL, attempts = 0,
                    failures = 0
                WHERE state = 'failed'",
            )
            .bind(micros(now)),
        )
        .await
    }

    /// Forgets what ended long ago and every hold that is over as long.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn forget_delivered(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (sent, failed) = (now - TimeDelta::days(SENT_DAYS), now - TimeDelta::days(FAILED_DAYS));
        self.execute(
            sqlx::query(
                "DELETE FROM outbox WHERE settled
                    AND (state = 'sent' AND ended_at < ?1 OR state = 'failed' AND ended_at < ?2)",
            )
            .bind(micros(sent))
            .bind(micros(failed)),
        )
        .await?;
        self.execute(sqlx::query("DELETE FROM holds WHERE until < ?1").bind(micros(sent))).await
    }

    /// Has everything that was committed survive a loss of power.
    ///
    /// # Errors
    /// When the system can't promise it.
    pub fn make_durable(&self) -> Result<(), StoreError> {
        self.sync_log()
    }

    async fn rows(
        &mut self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = query.fetch_all(&mut self.connection).await.map_err(|error| self.error(error))?;
        // One that can't be read keeps no other from being delivered.
        let readable = rows.iter().filter_map(|row| match self.outbox_row(row) {
            Ok(row) => Some(row),
            Err(error) => {
                tracing::warn!("an entry of the outbox is left alone: {}", error.sentence());
                None
            }
        });
        Ok(readable.collect())
    }

    pub(super) async fn execute(
        &mut self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<(), StoreError> {
        query.execute(&mut self.connection).await.map(drop).map_err(|error| self.error(error))
    }

    fn outbox_row(&self, row: &SqliteRow) -> Result<OutboxRow, StoreError> {
        let get = Columns { store: self, row };
        let (kind, state): (String, String) = (get.value("kind")?, get.value("state")?);
        let known = |all: Option<OutboxKind>| all.ok_or_else(|| get.bad("kind", &kind));
        Ok(OutboxRow {
            id: get.value("id")?,
            kind: known(OutboxKind::ALL.into_iter().find(|one| one.name() == kind))?,
            slot: get.value("slot")?,
            run_id: get.value::<Option<String>>("run_id")?.and_then(|id| RunId::parse(&id)),
            project_dir: get.value::<String>("project_dir")?.into(),
            profile: get.value("profile")?,
            run_dir: get.value::<Option<String>>("run_dir")?.map(PathBuf::from),
            subject: get.value("subject")?,
            from: get.value("from_address")?,
            // Without those it can't be delivered, which is then told of it.
            recipients: get.json("recipients").ok().flatten().unwrap_or_default(),
            refused: get.json("refused").ok().flatten().unwrap_or_default(),
            conversation: get.value("conversation")?,
            state: OutboxState::ALL
                .into_iter()
                .find(|one| one.name() == state)
                .ok_or_else(|| get.bad("state", &state))?,
            in_doubt: get.value("in_doubt")?,
            settled: get.value("settled")?,
            attempts: get.value("attempts")?,
            failures: get.value("failures")?,
            queued_at: get.time("queued_at")?.ok_or_else(|| get.bad("queued_at", "NULL"))?,
            next_at: get.time("next_at")?,
            ended_at: get.time("ended_at")?,
            last_error: get.value("last_error")?,
            last_reply: get.value("last_reply")?,
            sender: get.value("sender")?,
            login: get.value("login")?,
        })
    }
}

async fn end_try(store: &mut Store, tried: &Tried) -> Result<bool, sqlx::Error> {
    let mut transaction = store.connection.begin_with("BEGIN IMMEDIATE").await?;
    let ended = tried.state.is_final().then(|| micros(tried.time));
    let (settled, run_id): (bool, Option<String>) = sqlx::query_as(
        "UPDATE outbox SET state = ?2, in_doubt = ?3, recipients = ?4, refused = ?5, next_at = ?6, ended_at = ?7,
            last_error = ?8, last_reply = coalesce(?9, last_reply), message = iif(?2 = 'sent', x'', message),
            failures = failures + (?6 IS NOT NULL), told = NOT (settled AND kind = 'mail' AND ?10)
        WHERE id = ?1 RETURNING settled AND kind = 'mail', run_id",
    )
    .bind(tried.id)
    .bind(tried.state.name())
    .bind(tried.in_doubt)
    .bind(serde_json::to_string(&tried.recipients).unwrap_or_default())
    .bind(serde_json::to_string(&tried.refused).unwrap_or_default())
    .bind(tried.next_at.map(micros))
    .bind(ended)
    .bind(&tried.error)
    .bind(&tried.reply)
    .bind(tried.mail.is_some())
    .fetch_one(&mut *transaction)
    .await?;
    if !tried.state.is_final() {
        // A run has ended meanwhile: what was to be told before is no news any more.
        let outdated = "DELETE FROM outbox WHERE id = ?1 AND kind = 'ping'
            AND EXISTS (SELECT 1 FROM outbox AS o WHERE o.project_dir = outbox.project_dir AND o.profile IS outbox.profile
                AND o.kind = 'ping' AND o.slot <> 'start' AND o.id > outbox.id)";
        sqlx::query(outdated).bind(tried.id).execute(&mut *transaction).await?;
    }
    if let (true, Some(mail)) = (settled, &tried.mail) {
        sqlx::query("UPDATE runs SET mail_state = ?2, mail_detail = ?3 WHERE run_id = ?1")
            .bind(run_id)
            .bind(mail.name())
            .bind(serde_json::to_string(mail).unwrap_or_default())
            .execute(&mut *transaction)
            .await?;
    }
    if let Some((conversation, message_id)) = &tried.begins {
        sqlx::query("INSERT OR IGNORE INTO conversations (conversation, message_id, since) VALUES (?1, ?2, ?3)")
            .bind(conversation)
            .bind(message_id)
            .bind(micros(tried.time))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(settled && tried.mail.is_some())
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;

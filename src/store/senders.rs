//! What is known of senders: what keeps one from sending, how much one has sent, how a conversation began.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::batch::micros;
use super::query::Columns;
use super::{Store, StoreError};

/// Why nothing of a sender's goes out for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldKind {
    /// The server can't be reached or has trouble.
    Retry,
    /// The sender has sent too much.
    Pause,
    /// Somebody has to mend something.
    Hold,
}

impl HoldKind {
    const ALL: [Self; 3] = [Self::Retry, Self::Pause, Self::Hold];

    /// The word for it, in the database and for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Pause => "pause",
            Self::Hold => "hold",
        }
    }
}

/// What keeps a sender from sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The fingerprint of its settings: with other settings it is another sender.
    pub sender: String,
    /// Of what sort it is.
    pub kind: HoldKind,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it is tried again.
    pub until: DateTime<Utc>,
    /// What happened, and what to do about it.
    pub error: String,
    /// What the server said.
    pub reply: Option<String>,
}

impl Store {
    /// What keeps which senders from sending, by their fingerprints.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn holds(&mut self) -> Result<HashMap<String, Hold>, StoreError> {
        let rows = sqlx::query("SELECT * FROM holds").fetch_all(&mut self.connection).await;
        let rows = rows.map_err(|error| self.error(error))?;
        let hold = |row: &sqlx::sqlite::SqliteRow| {
            let get = Columns { store: self, row };
            let kind: String = get.value("kind")?;
            let sender: String = get.value("sender")?;
            let hold = Hold {
                sender: sender.clone(),
                kind: HoldKind::ALL.into_iter().find(|one| one.name() == kind).ok_or_else(|| get.bad("kind", &kind))?,
                since: get.time("since")?.unwrap_or_default(),
                until: get.time("until")?.unwrap_or_default(),
                error: get.value("error")?,
                reply: get.value("reply")?,
            };
            Ok((sender, hold))
        };
        rows.iter().map(hold).collect()
    }

    /// Keeps a sender from sending.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn set_hold(&mut self, hold: &Hold) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT OR REPLACE INTO holds (sender, kind, since, until, error, reply) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )
            .bind(&hold.sender)
            .bind(hold.kind.name())
            .bind(micros(hold.since))
            .bind(micros(hold.until))
            .bind(&hold.error)
            .bind(&hold.reply),
        )
        .await
    }

    /// Lets a sender send again.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn end_hold(&mut self, sender: &str) -> Result<(), StoreError> {
        self.execute(sqlx::query("DELETE FROM holds WHERE sender = ?1").bind(sender)).await
    }

    /// When an account's messages went out since then, oldest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn sent_since(&mut self, account: &str, since: DateTime<Utc>) -> Result<Vec<DateTime<Utc>>, StoreError> {
        let rows = sqlx::query(
            "SELECT ended_at FROM outbox WHERE account = ?1 AND state = 'sent' AND ended_at > ?2 ORDER BY ended_at",
        )
        .bind(account)
        .bind(micros(since))
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.error(error))?;
        let times = rows.iter().filter_map(|row| DateTime::from_timestamp_micros(row.get(0)));
        Ok(times.collect())
    }

    /// The Message-ID that the server gave the first mail of a conversation.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn conversation_root(&mut self, conversation: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT message_id FROM conversations WHERE conversation = ?1")
            .bind(conversation)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(|error| self.error(error))
    }
}

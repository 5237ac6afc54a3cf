//! When daemons were there: it tells later why nobody began a run that was due.

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, StoreError};
use crate::model::ProcessIdentity;
use crate::schedule::Stay;

/// So many are kept.
const KEPT: u32 = 200;

impl Store {
    /// A daemon is there from now on; returns the number of its row. The oldest rows go.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn begin_presence(
        &mut self,
        host: &str,
        process: &ProcessIdentity,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let process = serde_json::to_string(process).unwrap_or_default();
        let id = sqlx::query_scalar(
            "INSERT INTO presences (host, process, began, seen) VALUES (?1, ?2, ?3, ?3) RETURNING id",
        )
        .bind(host)
        .bind(process)
        .bind(now.as_microsecond())
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.error(error))?;
        let oldest = sqlx::query("DELETE FROM presences WHERE id <= ?1 - ?2").bind(id).bind(KEPT);
        self.execute(oldest).await?;
        Ok(id)
    }

    /// It is still there.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn see_presence(&mut self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        let seen = sqlx::query("UPDATE presences SET seen = ?2 WHERE id = ?1");
        self.execute(seen.bind(id).bind(now.as_microsecond())).await
    }

    /// It ends because it was asked to.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn end_presence(&mut self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        let ended = sqlx::query("UPDATE presences SET seen = ?2, ended = ?2 WHERE id = ?1");
        self.execute(ended.bind(id).bind(now.as_microsecond())).await
    }

    /// When daemons were there on a machine, in order of their beginning.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn presences(&mut self, host: &str) -> Result<Vec<Stay>, StoreError> {
        let rows = sqlx::query("SELECT began, seen, ended IS NOT NULL FROM presences WHERE host = ?1 ORDER BY began")
            .bind(host)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.error(error))?;
        let at = |micros: i64| Timestamp::from_microsecond(micros).unwrap_or_default();
        Ok(rows.iter().map(|row| Stay { from: at(row.get(0)), until: at(row.get(1)), orderly: row.get(2) }).collect())
    }

    /// The processes of daemons that haven't ended, as far as they could say so, by their machines.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn daemons(&mut self) -> Result<Vec<(String, ProcessIdentity)>, StoreError> {
        let rows = sqlx::query("SELECT host, process FROM presences WHERE ended IS NULL ORDER BY began DESC")
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.error(error))?;
        let read = |row: &sqlx::sqlite::SqliteRow| Some((row.get(0), serde_json::from_str(row.get(1)).ok()?));
        Ok(rows.iter().filter_map(read).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_daemon_leaves_word_of_when_it_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).await.unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let process = |pid| ProcessIdentity { pid, started: 7, boot: "b".into() };
        let first = store.begin_presence("here", &process(1), at(10)).await.unwrap();
        store.see_presence(first, at(15)).await.unwrap();
        let second = store.begin_presence("here", &process(2), at(30)).await.unwrap();
        store.begin_presence("there", &process(3), at(20)).await.unwrap();
        store.end_presence(second, at(40)).await.unwrap();
        let stay = |from, until, orderly| Stay { from: at(from), until: at(until), orderly };
        assert_eq!(store.presences("here").await.unwrap(), [stay(10, 15, false), stay(30, 40, true)]);
        let left = store.daemons().await.unwrap();
        assert_eq!(left, [("there".to_owned(), process(3)), ("here".to_owned(), process(1))]);
    }
}

//! When daemons were there: it tells later why nobody began a run that was due.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::schedules::instant;
use super::{Store, StoreError};
use crate::model::ProcessIdentity;
use crate::schedule::Stay;

/// So many are kept.
const KEPT: u32 = 200;

/// When a daemon was there.
#[derive(Debug, Clone, PartialEq)]
pub struct DaemonStay {
    /// The machine it was on.
    pub host: String,
    /// The process.
    pub process: Option<ProcessIdentity>,
    /// From when on.
    pub began: Timestamp,
    /// When it was last known to be there.
    pub seen: Timestamp,
    /// When it ended because it was asked to.
    pub ended: Option<Timestamp>,
    /// Its version, if it was one that leaves word of that.
    pub version: Option<String>,
}

impl DaemonStay {
    /// The stretch of time, as far as it is known.
    #[must_use]
    pub fn stay(&self) -> Stay {
        Stay { from: self.began, until: self.ended.unwrap_or(self.seen), orderly: self.ended.is_some() }
    }
}

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
            "INSERT INTO presences (host, process, began, seen, version) VALUES (?1, ?2, ?3, ?3, ?4) RETURNING id",
        )
        .bind(host)
        .bind(process)
        .bind(now.as_microsecond())
        .bind(env!("CARGO_PKG_VERSION"))
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

    /// When daemons were there, in order of their beginning.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn daemon_stays(&mut self) -> Result<Vec<DaemonStay>, StoreError> {
        let rows = sqlx::query("SELECT host, process, began, seen, ended, version FROM presences ORDER BY began, id")
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.error(error))?;
        let stay = |row: &SqliteRow| {
            let ended: Option<i64> = row.try_get("ended")?;
            Ok(DaemonStay {
                host: row.try_get("host")?,
                // One that can't be read tells of no process.
                process: serde_json::from_str(row.try_get("process")?).ok(),
                began: instant(row.try_get("began")?),
                seen: instant(row.try_get("seen")?),
                ended: ended.map(instant),
                version: row.try_get("version")?,
            })
        };
        rows.iter().map(stay).collect::<Result<_, _>>().map_err(|error| self.error(error))
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
        let stays = store.daemon_stays().await.unwrap();
        let here: Vec<Stay> = stays.iter().filter(|stay| stay.host == "here").map(DaemonStay::stay).collect();
        assert_eq!(here, [stay(10, 15, false), stay(30, 40, true)]);
        let left = stays.iter().filter(|stay| stay.ended.is_none());
        let left: Vec<_> = left.map(|stay| (stay.host.as_str(), stay.process.clone())).collect();
        assert_eq!(left, [("here", Some(process(1))), ("there", Some(process(3)))]);
    }
}

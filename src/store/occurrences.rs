//! The answers to planned instants as they stand in the database, and what runs make of their claims.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};

use super::schedules::{instant, unknown};
use super::{Store, StoreError};
use crate::model::{ProcessIdentity, RunId};
use crate::schedule::{Answer, Hindrance, PUNCTUAL};

/// Who has taken a planned instant upon himself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimant {
    /// The machine.
    pub host: String,
    /// The process.
    pub process: ProcessIdentity,
    /// What tells it from others in the same process.
    pub token: String,
}

/// How far a planned instant has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OccurrenceState {
    /// It is to run; the run hasn't begun.
    Claimed,
    /// It has its answer.
    Answered(Answer),
}

/// Neighbouring planned instants with the same answer, or one that is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OccurrenceRow {
    /// Whose instants they are.
    pub schedule_id: i64,
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
    /// How many.
    pub count: u64,
    /// What became of them.
    pub state: OccurrenceState,
    /// Why, in a sentence, if there is more to say of it.
    pub detail: Option<String>,
    /// The instant that they are merged into.
    pub into: Option<Timestamp>,
    /// When the run was to begin.
    pub due: Option<Timestamp>,
    /// Its run.
    pub run_id: Option<RunId>,
    /// When that began.
    pub began: Option<Timestamp>,
}

/// What came of a claim at last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnded {
    /// The run has ended, however it went.
    Ran,
    /// It was left out: the project was running.
    Overlap {
        /// Who ran it.
        detail: String,
    },
    /// It didn't begin because whoever claimed it ends; it is open again.
    GaveBack,
    /// The project couldn't be run.
    CouldNotRun {
        /// Why.
        detail: String,
    },
}

/// What becomes of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunNews {
    /// Its run has begun, then.
    Began(Timestamp),
    /// Its run has ended, or there will be none; that is known since then.
    Ended(RunEnded, Timestamp),
}

impl Store {
    /// The newest rows of a schedule, newest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn occurrences(&mut self, schedule_id: i64, newest: u32) -> Result<Vec<OccurrenceRow>, StoreError> {
        let query = sqlx::query(
            "SELECT schedule_id, first, last, count, state, reason, detail, into_planned, due, run_id, began
            FROM occurrences WHERE schedule_id = ?1 ORDER BY first DESC LIMIT ?2",
        );
        let query = query.bind(schedule_id).bind(i64::from(newest));
        let rows = query.fetch_all(&mut self.connection).await.map_err(|error| self.error(error))?;
        rows.iter().map(occurrence_row).collect::<Result<_, _>>().map_err(|error| self.error(error))
    }

    /// What became of claims, in this order, all of it or nothing.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn hear_of_runs(&mut self, news: &[(RunId, RunNews)]) -> Result<(), StoreError> {
        write_news(&mut self.connection, news).await.map_err(|error| self.error(error))
    }
}

async fn write_news(connection: &mut SqliteConnection, news: &[(RunId, RunNews)]) -> Result<(), sqlx::Error> {
    // By run: when it began, as far as that is known already, and whether it is over.
    let (mut ran, mut other) = (BTreeMap::<&str, (i64, bool)>::new(), Vec::new());
    for (run_id, news) in news {
        let (at, over) = match news {
            RunNews::Began(at) => (at, false),
            RunNews::Ended(RunEnded::Ran, at) => (at, true),
            RunNews::Ended(end, _) => {
                other.push((run_id, end));
                continue;
            }
        };
        ran.entry(run_id.as_str()).or_insert((at.as_microsecond(), over)).1 |= over;
    }
    if other.is_empty() {
        return write_ran(connection, &ran).await;
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    write_ran(&mut transaction, &ran).await?;
    for (run_id, end) in other {
        came_to_nothing(&mut transaction, run_id, end).await?;
    }
    transaction.commit().await
}

/// Runs that have begun and, some of them, ended: nobody holds those any more. All at once, since many may begin together.
async fn write_ran(connection: &mut SqliteConnection, ran: &BTreeMap<&str, (i64, bool)>) -> Result<(), sqlx::Error> {
    if ran.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(
        "UPDATE occurrences SET
            began = iif(state = 'claimed', at, began),
            detail = iif(state = 'claimed', NULL, detail),
            reason = iif(state = 'claimed', iif(at - due > ?2, coalesce(reason, ?3), NULL), reason),
            state = iif(state = 'claimed', iif(at - due > ?2, 'late', 'ran'), state),
            holder = iif(over, NULL, holder)
        FROM (SELECT key AS run, value ->> 0 AS at, value ->> 1 AS over FROM json_each(?1)) WHERE run_id = run",
    );
    let limit = i64::try_from(PUNCTUAL.as_micros()).unwrap_or(i64::MAX);
    let ran = serde_json::to_string(ran).unwrap_or_default();
    query.bind(ran).bind(limit).bind(Hindrance::Busy.name()).execute(connection).await.map(drop)
}

/// A claim whose run ended otherwise than by running.
async fn came_to_nothing(connection: &mut SqliteConnection, run_id: &RunId, end: &RunEnded) -> Result<(), sqlx::Error> {
    // Whatever is said of the end: once it has begun nobody holds it any more, so that it is in nobody's way.
    let over = sqlx::query("UPDATE occurrences SET holder = NULL WHERE run_id = ?1 AND state <> 'claimed'");
    over.bind(run_id.as_str()).execute(&mut *connection).await?;
    let (state, reason, detail, told) = match end {
        RunEnded::Ran => return Ok(()),
        RunEnded::GaveBack => {
            let query = sqlx::query(
                "UPDATE occurrences SET holder = 'null', run_id = NULL WHERE run_id = ?1 AND state = 'claimed'",
            );
            return query.bind(run_id.as_str()).execute(connection).await.map(drop);
        }
        RunEnded::Overlap { detail } => ("skipped", "overlap", detail, true),
        RunEnded::CouldNotRun { detail } => ("missed", Hindrance::CouldNotRun.name(), detail, false),
    };
    if !told {
        let claim = "SELECT schedule_id, first FROM occurrences WHERE run_id = ?1 AND state = 'claimed'";
        let claim: Option<(i64, i64)> =
            sqlx::query_as(claim).bind(run_id.as_str()).fetch_optional(&mut *connection).await?;
        if let Some((schedule_id, planned)) = claim {
            miss_merged(connection, schedule_id, planned, reason, Some(detail)).await?;
        }
    }
    let query = sqlx::query(
        "UPDATE occurrences SET state = ?2, reason = ?3, detail = ?4, told = ?5, holder = NULL, run_id = NULL
        WHERE run_id = ?1 AND state = 'claimed'",
    );
    let query = query.bind(run_id.as_str()).bind(state).bind(reason).bind(detail).bind(told);
    query.execute(connection).await.map(drop)
}

/// A claim that is missed stands for nothing: what was merged into it, or into what was, is missed with it. Asked while it is
/// still a claim, which tells how far back that goes.
pub(super) async fn miss_merged(
    connection: &mut SqliteConnection,
    schedule_id: i64,
    planned: i64,
    reason: &str,
    detail: Option<&str>,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(
        "WITH RECURSIVE
        merged (first, into_planned) AS MATERIALIZED (
            SELECT o.first, o.into_planned FROM occurrences claim CROSS JOIN occurrences o
                ON o.schedule_id = ?1 AND o.state = 'merged' AND o.first >= min(claim.first,
                    coalesce(claim.detail ->> '$.merged[1]', claim.first),
                    coalesce(claim.detail ->> '$.missed[1]', claim.first))
            WHERE claim.schedule_id = ?1 AND claim.first = ?2),
        gone (planned) AS (
            VALUES (?2) UNION SELECT merged.first FROM gone JOIN merged ON merged.into_planned = gone.planned)
        UPDATE occurrences SET state = 'missed', reason = ?3, detail = ?4, into_planned = NULL, told = 0
        WHERE schedule_id = ?1 AND first <> ?2 AND first IN gone",
    );
    let query = query.bind(schedule_id).bind(planned).bind(reason).bind(detail);
    query.execute(connection).await.map(drop)
}

fn occurrence_row(row: &SqliteRow) -> Result<OccurrenceRow, sqlx::Error> {
    let time = |column| row.try_get::<Option<i64>, _>(column).map(|micros| micros.map(instant));
    let (state, reason): (String, Option<String>) = (row.try_get("state")?, row.try_get("reason")?);
    let claimed = state == "claimed";
    Ok(OccurrenceRow {
        schedule_id: row.try_get("schedule_id")?,
        first: instant(row.try_get("first")?),
        last: instant(row.try_get("last")?),
        count: row.try_get::<i64, _>("count")?.try_into().unwrap_or(0),
        state: match Answer::from_words(&state, reason.as_deref()) {
            _ if claimed => OccurrenceState::Claimed,
            Some(answer) => OccurrenceState::Answered(answer),
            None => return Err(unknown("state", &state)),
        },
        // Of a claim it isn't for people.
        detail: row.try_get::<Option<String>, _>("detail")?.filter(|_| !claimed),
        into: time("into_planned")?,
        due: time("due")?,
        run_id: row.try_get::<Option<String>, _>("run_id")?.and_then(|id| RunId::parse(&id)),
        began: time("began")?,
    })
}

//! What is known of schedules where somebody has to be told about them: which are kept, which planned instants were missed,
//! which schedules nobody seems to run. Whether somebody is told is decided elsewhere; that it was is marked together with
//! the mail that tells it, so that nobody is told twice.

use std::path::Path;

use chrono::{DateTime, Utc};
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::Connection;
use sqlx::sqlite::SqliteRow;

use super::batch::micros;
use super::enqueue::insert;
use super::query::Columns;
use super::schedules::{columns, schedule_row};
use super::{Claimant, NewEntry, ScheduleRow, Store, StoreError};
use crate::model::to_utc;
use crate::schedule::Hindrance;

/// A schedule, with what alarms need to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchedSchedule {
    /// The schedule.
    pub row: ScheduleRow,
    /// Whether it has run since somebody was [told](ScheduleRow::overdue_told) that it doesn't.
    pub has_run: bool,
    /// What is claimed for a run, or was under way when last heard of, in order.
    pub held: Vec<HeldInstant>,
}

impl WatchedSchedule {
    /// When somebody was last told that it doesn't run.
    #[must_use]
    pub fn told(&self) -> Option<DateTime<Utc>> {
        self.row.overdue_told.map(to_utc)
    }
}

/// Until when a schedule, as it was when one looked, can't be overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// The schedule's number.
    pub id: i64,
    /// Up to where its instants had their answers.
    pub covered: Timestamp,
    /// The bound; `None`: for ever.
    pub until: Option<DateTime<Utc>>,
}

/// A planned instant that somebody has, or had when he died.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldInstant {
    /// The instant.
    pub planned: DateTime<Utc>,
    /// Whether its run has begun.
    pub has_begun: bool,
    /// Who has it; `None` if it was given back.
    pub holder: Option<Claimant>,
}

/// Neighbouring planned instants that were missed for one reason, and of which nobody was told.
#[derive(Debug, Clone, PartialEq)]
pub struct MissedInstants {
    /// The schedule, which may have ended since.
    pub schedule: WatchedSchedule,
    /// The first of them.
    pub first: DateTime<Utc>,
    /// The last.
    pub last: DateTime<Utc>,
    /// How many they are.
    pub count: u64,
    /// What kept them from running.
    pub why: Hindrance,
    /// More about that, in a sentence.
    pub detail: Option<String>,
    /// Whether somebody was told lately that this keeps its runs from beginning.
    pub is_why_told: bool,
}

/// One as the query hands it over.
#[derive(Deserialize)]
struct HeldRow {
    at: i64,
    begun: i64,
    by: serde_json::Value,
}

/// What is told from now on, as it was when one looked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToldMarks {
    /// Missed instants: the schedule's number, the first and the last.
    pub missed: Vec<(i64, DateTime<Utc>, DateTime<Utc>)>,
    /// Schedules of which somebody is told now.
    pub schedules: Vec<ToldSchedule>,
}

/// A schedule of which somebody is told now.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldSchedule {
    /// Its number.
    pub id: i64,
    /// When somebody was told before.
    pub before: Option<DateTime<Utc>>,
    /// What keeps its runs from beginning.
    pub why: Vec<Hindrance>,
}

/// Schedules, with what alarms need to know of each.
macro_rules! select_watched {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            columns!("s."),
            ", s.overdue_told IS NOT NULL AND EXISTS (SELECT 1 FROM occurrences o
                    WHERE o.schedule_id = s.id AND o.state IN ('ran', 'late') AND o.began > s.overdue_told) AS has_run,
                (SELECT json_group_array(json_object('at', o.first, 'begun', o.state <> 'claimed', 'by', json(o.holder)))
                    FROM (SELECT * FROM occurrences WHERE schedule_id = s.id AND holder IS NOT NULL ORDER BY first) AS o)
                    AS held",
            $columns,
            " FROM ",
            $rest
        )
    };
}

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
        let folder = self.known_folder(project_dir).await?;
        let names = "SELECT name FROM schedules
            WHERE project_dir = ?1 AND profile IS ?2 AND ended IS NULL AND paused IS NULL";
        let names = sqlx::query_scalar(names).bind(folder).bind(profile);
        names.fetch_all(&mut self.connection).await.map_err(|error| self.error(error))
    }

    /// The schedules that somebody keeps, that aren't paused, and that may be overdue by now, as far as was noted: not those that
    /// [stay quiet](Store::stay_quiet).
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn watched_schedules(&mut self, now: DateTime<Utc>) -> Result<Vec<WatchedSchedule>, StoreError> {
        let rows = select_watched!(
            "",
            "schedules s WHERE s.ended IS NULL AND s.paused IS NULL AND s.quiet_until <= ?1 ORDER BY s.id"
        );
        self.watched(sqlx::query(rows).bind(micros(now))).await
    }

    /// Those of one project and profile, whether they may be overdue or not.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn watched_of(
        &mut self,
        project_dir: &Path,
        profile: Option<&str>,
    ) -> Result<Vec<WatchedSchedule>, StoreError> {
        let folder = self.known_folder(project_dir).await?;
        let rows = select_watched!(
            "",
            "schedules s WHERE s.ended IS NULL AND s.paused IS NULL AND s.project_dir = ?1 AND s.profile IS ?2
            ORDER BY s.id"
        );
        self.watched(sqlx::query(rows).bind(folder).bind(profile)).await
    }

    async fn watched(
        &mut self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<Vec<WatchedSchedule>, StoreError> {
        let rows = query.fetch_all(&mut self.connection).await.map_err(|error| self.error(error))?;
        rows.iter().map(|row| self.watched_row(row)).collect()
    }

    /// When the first of the schedules that stay quiet may be overdue.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn quiet_until(&mut self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, StoreError> {
        let first =
            "SELECT min(quiet_until) FROM schedules WHERE ended IS NULL AND paused IS NULL AND quiet_until > ?1";
        let first = sqlx::query_scalar(first).bind(micros(now));
        let first: Option<i64> = first.fetch_one(&mut self.connection).await.map_err(|error| self.error(error))?;
        // What never is has the largest number there is.
        Ok(first.and_then(DateTime::from_timestamp_micros))
    }

    /// Notes until when schedules needn't be looked at, as long as they don't go back to an earlier instant.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn stay_quiet(&mut self, quiet: &[Quiet]) -> Result<(), StoreError> {
        let rows: Vec<_> = quiet
            .iter()
            .map(|one| (one.id, one.covered.as_microsecond(), one.until.map_or(i64::MAX, micros)))
            .collect();
        let note = "UPDATE schedules SET quiet_until = value ->> 2 FROM json_each(?1)
            WHERE schedules.id = value ->> 0 AND covered >= value ->> 1";
        self.execute(sqlx::query(note).bind(serde_json::to_string(&rows).unwrap_or_default())).await
    }

    /// Planned instants that were missed and of which nobody was told, oldest first of each schedule.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn untold_misses(&mut self) -> Result<Vec<MissedInstants>, StoreError> {
        let rows = select_watched!(
            ", m.first, m.last, m.count, m.reason, m.detail, s.told_why",
            "occurrences m CROSS JOIN schedules s ON s.id = m.schedule_id WHERE NOT m.told AND m.state = 'missed'
            ORDER BY m.schedule_id, m.first"
        );
        let rows = sqlx::query(rows).fetch_all(&mut self.connection).await.map_err(|error| self.error(error))?;
        let missed = |row: &SqliteRow| {
            let get = Columns { store: self, row };
            let time = |column| get.time(column)?.ok_or_else(|| get.bad(column, "NULL"));
            let why: Option<String> = get.value("reason")?;
            // A newer runner may know more reasons.
            let why = why.and_then(|why| Hindrance::from_name(&why)).unwrap_or(Hindrance::CouldNotRun);
            let told: Vec<String> = get.json("told_why")?.unwrap_or_default();
            Ok(MissedInstants {
                schedule: self.watched_row(row)?,
                first: time("first")?,
                last: time("last")?,
                count: get.count("count")?.unwrap_or(1),
                why,
                detail: get.value("detail")?,
                is_why_told: told.iter().any(|told| told == why.name()),
            })
        };
        rows.iter().map(missed).collect()
    }

    /// What tells whether instants were missed since one looked last of which nobody was told: then it is another.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn untold_mark(&mut self) -> Result<f64, StoreError> {
        let mark = sqlx::query_scalar("SELECT total(last) FROM occurrences WHERE NOT told");
        mark.fetch_one(&mut self.connection).await.map_err(|error| self.error(error))
    }

    /// Marks what somebody is told of from now on, and puts the mail that tells it into the outbox, so that both survive a
    /// loss of power, or neither does; returns the entries' numbers. `None`: somebody else was quicker, and nothing was done.
    ///
    /// # Errors
    /// When the database can't be written; then nothing was done.
    pub async fn raise_alarm(
        &mut self,
        entries: &[NewEntry],
        marks: &ToldMarks,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<i64>>, StoreError> {
        let raised = raise(self, entries, marks, now).await.map_err(|error| self.error(error))?;
        self.sync_log()?;
        Ok(raised)
    }

    fn watched_row(&self, row: &SqliteRow) -> Result<WatchedSchedule, StoreError> {
        let get = Columns { store: self, row };
        let held: Vec<HeldRow> = get.json("held")?.unwrap_or_default();
        let held = held.into_iter().map(|row| HeldInstant {
            planned: DateTime::from_timestamp_micros(row.at).unwrap_or_default(),
            has_begun: row.begun != 0,
            // What can't be read is nobody's.
            holder: serde_json::from_value(row.by).ok(),
        });
        let schedule = schedule_row(row).map_err(|error| self.error(error))?;
        Ok(WatchedSchedule { row: schedule, has_run: get.value("has_run")?, held: held.collect() })
    }
}

async fn raise(
    store: &mut Store,
    entries: &[NewEntry],
    marks: &ToldMarks,
    now: DateTime<Utc>,
) -> Result<Option<Vec<i64>>, sqlx::Error> {
    let mut transaction = store.connection.begin_with("BEGIN IMMEDIATE").await?;
    for (schedule, first, last) in &marks.missed {
        let mark = "UPDATE occurrences SET told = 1 WHERE schedule_id = ?1 AND first = ?2 AND last = ?3 AND NOT told";
        let query = sqlx::query(mark).bind(schedule).bind(micros(*first)).bind(micros(*last));
        if query.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(None);
        }
    }
    for ToldSchedule { id, before, why } in &marks.schedules {
        let mark = "UPDATE schedules SET overdue_told = ?2, told_why = (SELECT json_group_array(value) FROM
                (SELECT value FROM json_each(?4) UNION SELECT value FROM json_each(told_why)
                    WHERE overdue_told > ?2 - 86400000000))
            WHERE id = ?1 AND overdue_told IS ?3";
        let why: Vec<&str> = why.iter().map(|why| why.name()).collect();
        let why = serde_json::to_string(&why).unwrap_or_default();
        let query = sqlx::query(mark).bind(id).bind(micros(now)).bind(before.map(micros)).bind(why);
        if query.execute(&mut *transaction).await?.rows_affected() == 0 {
            return Ok(None);
        }
    }
    let ids = insert(&mut transaction, entries).await?;
    transaction.commit().await?;
    Ok(Some(ids))
}

#[cfg(test)]
#[path = "alarms_tests.rs"]
mod tests;

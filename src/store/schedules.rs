//! The schedules that somebody keeps: which there are, since when, and what their definitions were.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteRow};

use super::pauses::write_pauses;
use super::{Store, StoreError};
use crate::schedule::{Pause, Schedule};

/// Who starts a schedule's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeper {
    /// `runner daemon`.
    Daemon,
    /// Windows' Task Scheduler.
    TaskScheduler,
    /// A systemd timer.
    Systemd,
    /// cron.
    Cron,
}

impl Keeper {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Daemon, Self::TaskScheduler, Self::Systemd, Self::Cron];

    /// The word for it, in the database, on the command line and for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Daemon => "daemon",
            Self::TaskScheduler => "task-scheduler",
            Self::Systemd => "systemd",
            Self::Cron => "cron",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|keeper| keeper.name() == name)
    }
}

/// A schedule that the ledger answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRow {
    /// Its number. What changes its definition makes another schedule.
    pub id: i64,
    /// The project's folder.
    pub project_dir: PathBuf,
    /// The profile that it runs with.
    pub profile: Option<String>,
    /// The project's name.
    pub project: String,
    /// As what it is known among the project's.
    pub name: String,
    /// What it was made of; see [`Schedule::definition`].
    pub definition: String,
    /// Who starts its runs.
    pub keeper: Keeper,
    /// It answers for the instants after this one.
    pub since: Timestamp,
    /// Up to here each of them has its answer.
    pub covered: Timestamp,
    /// Since when it is paused.
    pub paused: Option<Timestamp>,
    /// Its pauses that are over, in order; those whose instants all have their answers may be missing.
    pub pauses: Vec<Pause>,
    /// When it ended; it still answers for the instants up to then.
    pub ended: Option<Timestamp>,
    /// When somebody was last told that it doesn't run; it may have run since.
    pub overdue_told: Option<Timestamp>,
}

impl ScheduleRow {
    /// Whether instants before its end may still be without an answer.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.ended.is_some_and(|ended| self.covered < ended)
    }
}

/// Which schedules are asked for.
#[derive(Debug, Clone, Default)]
pub struct ScheduleFilter {
    /// Those of these project folders only.
    pub projects: Option<Vec<PathBuf>>,
    /// Those that have ended, too.
    pub with_ended: bool,
}

/// What somebody keeps of a project.
#[derive(Debug, Clone, Copy)]
pub struct Registration<'a> {
    /// The project's folder.
    pub project_dir: &'a Path,
    /// Its name.
    pub project: &'a str,
    /// The profile that it runs with.
    pub profile: Option<&'a str>,
    /// Who keeps them. The daemon keeps all of a project's schedules that no other keeps: those that it kept and that are not
    /// among these have ended. Any other takes over just these.
    pub keeper: Keeper,
    /// The schedules.
    pub schedules: &'a [Schedule],
}

/// What came of that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registered {
    /// The rows in force, in the order of the schedules; `None` for one that another keeps.
    pub rows: Vec<Option<ScheduleRow>>,
    /// Those that others keep, and who.
    pub left: Vec<(String, Keeper)>,
    /// Those of the project that have ended, and may still have instants without an answer.
    pub closing: Vec<ScheduleRow>,
}

/// The columns that [`schedule_row`] reads, each after a word, which may be the table's name and a dot.
macro_rules! columns {
    ($of:literal) => {
        columns!($of: "project_dir" "profile" "project" "name" "definition" "keeper" "since" "covered" "paused" "pauses"
            "ended" "overdue_told")
    };
    ($of:literal: $($column:literal)*) => {
        concat!($of, "id" $(, ", ", $of, $column)*)
    };
}
pub(super) use columns;

const COLUMNS: &str = columns!("");

impl Store {
    /// Schedules, by project and name.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn schedules(&mut self, filter: &ScheduleFilter) -> Result<Vec<ScheduleRow>, StoreError> {
        let folders = match &filter.projects {
            None => None,
            Some(folders) => {
                let folders: Vec<String> = folders.iter().map(|folder| folder.to_string_lossy().into_owned()).collect();
                let known = known_as(&mut self.connection, &folders).await.map_err(|error| self.error(error))?;
                let folders: Vec<&String> = folders.iter().map(|folder| known.get(folder).unwrap_or(folder)).collect();
                Some(serde_json::to_string(&folders).unwrap_or_default())
            }
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM schedules
            WHERE (?1 IS NULL OR project_dir IN (SELECT value FROM json_each(?1))) AND (?2 OR ended IS NULL)
            ORDER BY project, project_dir, coalesce(profile, ''), id"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(folders).bind(filter.with_ended);
        let rows = query.fetch_all(&mut self.connection).await.map_err(|error| self.error(error))?;
        rows.iter().map(schedule_row).collect::<Result<_, _>>().map_err(|error| self.error(error))
    }

    /// Has the ledger answer for these schedules from now on, and for those that they replace until now.
    ///
    /// # Errors
    /// When the database can't be written; then nothing has changed.
    pub async fn register(
        &mut self,
        registrations: &[Registration<'_>],
        now: Timestamp,
    ) -> Result<Vec<Registered>, StoreError> {
        register(&mut self.connection, registrations, now).await.map_err(|error| self.error(error))
    }

    /// Nobody keeps the project's schedules of this keeper any more. Returns those that may still have instants without an
    /// answer.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn forget(
        &mut self,
        project_dir: &Path,
        profile: Option<&str>,
        keeper: Keeper,
        names: Option<&[String]>,
        now: Timestamp,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        let folder = self.known_folder(project_dir).await?;
        let sql = format!(
            "UPDATE schedules SET ended = max(covered + 1, ?5)
            WHERE project_dir = ?1 AND coalesce(profile, '') = ?2 AND ended IS NULL AND keeper = ?3
                AND (?4 IS NULL OR name IN (SELECT value FROM json_each(?4)))
            RETURNING {COLUMNS}"
        );
        let names = names.map(|names| serde_json::to_string(names).unwrap_or_default());
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(folder);
        let query = query.bind(profile.unwrap_or_default()).bind(keeper.name()).bind(names).bind(now.as_microsecond());
        let rows = query.fetch_all(&mut self.connection).await.map_err(|error| self.error(error))?;
        rows.iter().map(schedule_row).collect::<Result<_, _>>().map_err(|error| self.error(error))
    }

    /// The path by which a project's folder is known, if links lead to it by several.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(super) async fn known_folder(&mut self, folder: &Path) -> Result<String, StoreError> {
        let folder = folder.to_string_lossy().into_owned();
        let by_this = "SELECT EXISTS (SELECT 1 FROM schedules WHERE project_dir = ?1 AND ended IS NULL)";
        let by_this = sqlx::query_scalar(by_this).bind(&folder).fetch_one(&mut self.connection).await;
        if by_this.map_err(|error| self.error(error))? {
            return Ok(folder);
        }
        let known = known_as(&mut self.connection, std::slice::from_ref(&folder)).await;
        Ok(known.map_err(|error| self.error(error))?.remove(&folder).unwrap_or(folder))
    }

    /// The schedules of which somebody has a claim or, as far as is known, a run.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn held_schedules(&mut self) -> Result<HashSet<i64>, StoreError> {
        let held = sqlx::query_scalar("SELECT DISTINCT schedule_id FROM occurrences WHERE holder IS NOT NULL");
        let held: Vec<i64> = held.fetch_all(&mut self.connection).await.map_err(|error| self.error(error))?;
        Ok(held.into_iter().collect())
    }

    /// Forgets answers from before `until`; the schedules answer only for what comes after those. What is open stays so, and what
    /// ran ahead of the cursor is kept, so that it isn't run again.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn prune_answers(&mut self, until: Timestamp) -> Result<(), StoreError> {
        let statements = [
            "DELETE FROM occurrences WHERE last <= ?1 AND state <> 'claimed'
                AND last <= (SELECT covered FROM schedules WHERE id = schedule_id)",
            "UPDATE schedules SET since = max(since, min(covered, ?1,
                    coalesce((SELECT min(first) - 1 FROM occurrences WHERE schedule_id = schedules.id), ?1)))
                WHERE since < min(covered, ?1)",
            "DELETE FROM contacts WHERE ?1 = ?1
                AND NOT EXISTS (SELECT 1 FROM schedules WHERE schedules.project_dir = contacts.project_dir)",
            "DELETE FROM schedules WHERE ended < ?1 AND covered >= ended
                AND NOT EXISTS (SELECT 1 FROM occurrences WHERE schedule_id = schedules.id)",
        ];
        for sql in statements {
            self.execute(sqlx::query(sql).bind(until.as_microsecond())).await?;
        }
        Ok(())
    }
}

async fn register(
    connection: &mut SqliteConnection,
    registrations: &[Registration<'_>],
    now: Timestamp,
) -> Result<Vec<Registered>, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let folders: Vec<String> = registrations.iter().map(|one| one.project_dir.to_string_lossy().into_owned()).collect();
    let spellings = known_as(&mut transaction, &folders).await?;
    let spelled = |one: &Registration<'_>| spellings.get(&*one.project_dir.to_string_lossy()).map(PathBuf::from);
    let spelled: Vec<Option<PathBuf>> = registrations.iter().map(spelled).collect();
    let registrations = registrations
        .iter()
        .zip(&spelled)
        .map(|(one, spelled)| Registration { project_dir: spelled.as_deref().unwrap_or(one.project_dir), ..*one });
    let registrations: Vec<Registration<'_>> = registrations.collect();
    let mut known = known(&mut transaction, &registrations).await?;
    let is_new = |one: &Registration<'_>| {
        let rows = known.get(&key(one.project_dir, one.profile)).map_or(&[][..], Vec::as_slice);
        let is_known = |name: &str| rows.iter().any(|row| row.ended.is_none() && row.name == name);
        one.schedules.iter().any(|schedule| !is_known(&schedule.name))
    };
    let paused = if registrations.iter().any(is_new) { paused_at_end(&mut transaction).await? } else { HashMap::new() };
    let mut all = Vec::with_capacity(registrations.len());
    for registration in &registrations {
        let rows = known.remove(&key(registration.project_dir, registration.profile)).unwrap_or_default();
        all.push(change(&mut transaction, registration, rows, &paused, now).await?);
    }
    transaction.commit().await?;
    Ok(all)
}

type Key = (String, String);

fn key(project_dir: &Path, profile: Option<&str>) -> Key {
    (project_dir.to_string_lossy().into_owned(), profile.unwrap_or_default().to_owned())
}

/// Where links lead several paths to one folder, it is known by the one under which something of it is in force: so nothing
/// of it is kept twice. Says so of those of the folders that are known by another path; links may change, and paths stay.
pub(super) async fn known_as(
    connection: &mut SqliteConnection,
    folders: &[String],
) -> Result<HashMap<String, String>, sqlx::Error> {
    let in_force = sqlx::query_scalar("SELECT DISTINCT project_dir FROM schedules WHERE ended IS NULL");
    let in_force: HashSet<String> = in_force.fetch_all(connection).await?.into_iter().collect();
    let new = folders.iter().filter(|folder| !in_force.contains(*folder));
    let new: Vec<(PathBuf, &String)> =
        new.filter_map(|folder| Some((std::fs::canonicalize(folder).ok()?, folder))).collect();
    let mut known: HashMap<PathBuf, String> = HashMap::new();
    if !new.is_empty() {
        let real = |folder: String| Some((std::fs::canonicalize(&folder).ok()?, folder));
        known.extend(in_force.into_iter().filter_map(real));
    }
    Ok(new.into_iter().filter_map(|(real, folder)| Some((folder.clone(), known.get(&real)?.clone()))).collect())
}

/// The schedules, by project and name, that were paused when they ended, and since when: what begins again stays paused.
async fn paused_at_end(connection: &mut SqliteConnection) -> Result<HashMap<(Key, String), Timestamp>, sqlx::Error> {
    let query = sqlx::query_as(
        "SELECT project_dir, coalesce(profile, ''), name, paused, max(ended) FROM schedules WHERE ended IS NOT NULL
        GROUP BY 1, 2, 3",
    );
    let rows: Vec<(String, String, String, Option<i64>, i64)> = query.fetch_all(connection).await?;
    let paused =
        rows.into_iter().filter_map(|(dir, profile, name, paused, _)| Some((((dir, profile), name), instant(paused?))));
    Ok(paused.collect())
}

/// What there is of these projects, in force or closing.
async fn known(
    connection: &mut SqliteConnection,
    registrations: &[Registration<'_>],
) -> Result<HashMap<Key, Vec<ScheduleRow>>, sqlx::Error> {
    // Of very many all are asked for: that is quicker than to look each up.
    let few = (registrations.len() <= 1000).then(|| {
        let folders: Vec<_> = registrations.iter().map(|one| one.project_dir.to_string_lossy()).collect();
        serde_json::to_string(&folders).unwrap_or_default()
    });
    let chosen = if few.is_some() { "project_dir IN (SELECT value FROM json_each(?1)) AND" } else { "?1 IS NULL AND" };
    let sql = format!(
        "SELECT {COLUMNS} FROM schedules WHERE {chosen} ended IS NULL
        UNION ALL SELECT {COLUMNS} FROM schedules WHERE {chosen} ended > covered"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(few).fetch_all(connection).await?;
    let mut known: HashMap<Key, Vec<ScheduleRow>> = HashMap::new();
    for row in &rows {
        let row = schedule_row(row)?;
        known.entry(key(&row.project_dir, row.profile.as_deref())).or_default().push(row);
    }
    Ok(known)
}

async fn change(
    connection: &mut SqliteConnection,
    registration: &Registration<'_>,
    rows: Vec<ScheduleRow>,
    paused_before: &HashMap<(Key, String), Timestamp>,
    now: Timestamp,
) -> Result<Registered, sqlx::Error> {
    let (mut in_force, closing): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.ended.is_none());
    let mut registered = Registered { closing, ..Registered::default() };
    for schedule in registration.schedules {
        let at = in_force.iter().position(|row| row.name == schedule.name);
        let known = at.map(|at| in_force.swap_remove(at));
        let other = known.as_ref().map(|row| row.keeper).filter(|keeper| *keeper != registration.keeper);
        if let (Some(other), Keeper::Daemon) = (other, registration.keeper) {
            registered.left.push((schedule.name.clone(), other));
            registered.rows.push(None);
            continue;
        }
        let (mut paused, mut pauses) = (None, Vec::new());
        let mut from = now;
        let row = match known {
            Some(mut row) if row.definition == schedule.definition => {
                if other.is_some() || row.project != registration.project {
                    let update =
                        sqlx::query("UPDATE schedules SET keeper = ?2, project = ?3 WHERE id = ?1").bind(row.id);
                    update
                        .bind(registration.keeper.name())
                        .bind(registration.project)
                        .execute(&mut *connection)
                        .await?;
                    (row.keeper, row.project) = (registration.keeper, registration.project.to_owned());
                }
                Some(row)
            }
            Some(row) => {
                (paused, pauses) = (row.paused, row.pauses.clone());
                let ended = end(connection, row, now).await?;
                // Where the clock was set back: what has its answer already doesn't get another by the new definition.
                from = ended.ended.unwrap_or(now);
                registered.closing.push(ended);
                None
            }
            None => {
                let key = key(registration.project_dir, registration.profile);
                paused = paused_before.get(&(key, schedule.name.clone())).copied();
                None
            }
        };
        let row = match row {
            Some(row) => row,
            None => {
                let mut row = begin(connection, registration, schedule, paused, from).await?;
                if !pauses.is_empty() {
                    row.pauses = pauses;
                    write_pauses(connection, &row).await?;
                }
                row
            }
        };
        registered.rows.push(Some(row));
    }
    let lost = in_force.into_iter().filter(|row| registration.keeper == Keeper::Daemon && row.keeper == Keeper::Daemon);
    for row in lost {
        registered.closing.push(end(connection, row, now).await?);
    }
    Ok(registered)
}

/// Ends a schedule, which still has to answer for what was due before.
async fn end(
    connection: &mut SqliteConnection,
    mut row: ScheduleRow,
    now: Timestamp,
) -> Result<ScheduleRow, sqlx::Error> {
    // After the cursor in any case, so that it is closing until somebody has seen to its claims.
    let ended = now.max(row.covered.checked_add(SignedDuration::from_micros(1)).unwrap_or(row.covered));
    let update = sqlx::query("UPDATE schedules SET ended = ?2 WHERE id = ?1").bind(row.id).bind(ended.as_microsecond());
    update.execute(connection).await?;
    row.ended = Some(ended);
    Ok(row)
}

async fn begin(
    connection: &mut SqliteConnection,
    registration: &Registration<'_>,
    schedule: &Schedule,
    paused: Option<Timestamp>,
    since: Timestamp,
) -> Result<ScheduleRow, sqlx::Error> {
    let insert = sqlx::query_scalar(
        "INSERT INTO schedules (project_dir, profile, project, name, definition, keeper, since, covered, paused)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8) RETURNING id",
    );
    let insert = insert.bind(registration.project_dir.to_string_lossy()).bind(registration.profile);
    let insert = insert.bind(registration.project).bind(&schedule.name).bind(&schedule.definition);
    let insert = insert.bind(registration.keeper.name()).bind(since.as_microsecond());
    let id = insert.bind(paused.map(Timestamp::as_microsecond)).fetch_one(connection).await?;
    Ok(ScheduleRow {
        id,
        project_dir: registration.project_dir.to_owned(),
        profile: registration.profile.map(str::to_owned),
        project: registration.project.to_owned(),
        name: schedule.name.clone(),
        definition: schedule.definition.clone(),
        keeper: registration.keeper,
        since,
        covered: since,
        paused,
        pauses: Vec::new(),
        ended: None,
        overdue_told: None,
    })
}

/// The instant of a column; one that no calendar has is the last or first that one has.
pub(super) fn instant(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

pub(super) fn unknown(column: &str, value: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("unexpected value in column {column}: {value}").into())
}

pub(super) fn schedule_row(row: &SqliteRow) -> Result<ScheduleRow, sqlx::Error> {
    let time = |column| row.try_get::<Option<i64>, _>(column).map(|micros| micros.map(instant));
    let keeper: String = row.try_get("keeper")?;
    let pauses: Option<String> = row.try_get("pauses")?;
    let pauses = pauses.map(|pauses| serde_json::from_str(&pauses)).transpose();
    let pauses: Vec<(i64, i64)> = pauses.map_err(|error| sqlx::Error::Decode(error.into()))?.unwrap_or_default();
    Ok(ScheduleRow {
        id: row.try_get("id")?,
        project_dir: PathBuf::from(row.try_get::<String, _>("project_dir")?),
        profile: row.try_get("profile")?,
        project: row.try_get("project")?,
        name: row.try_get("name")?,
        definition: row.try_get("definition")?,
        keeper: Keeper::from_name(&keeper).ok_or_else(|| unknown("keeper", &keeper))?,
        since: instant(row.try_get("since")?),
        covered: instant(row.try_get("covered")?),
        paused: time("paused")?,
        pauses: pauses
            .iter()
            .map(|(from, until)| Pause { from: instant(*from), until: Some(instant(*until)) })
            .collect(),
        ended: time("ended")?,
        overdue_told: time("overdue_told")?,
    })
}

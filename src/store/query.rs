//! Questions to the database, answered in typed rows.

use std::collections::HashMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use thiserror::Error;

use super::batch::micros;
use super::{Store, StoreError, known};
use crate::model::{
    AttachedFile, EarlierAttempt, MailState, Occasion, OutputSummary, Parent, ProcessIdentity, RunId, RunParam,
    RunReport, RunStatus, ScriptReport, Usage,
};

/// How many candidates an ambiguous run id lists.
const CANDIDATES: i64 = 10;

/// A project that ran at least once.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectRow {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
    /// Its latest run.
    pub last_run: Option<RunRow>,
}

/// How many of a run's scripts ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All of them.
    pub scripts: u64,
    /// Those that succeeded.
    pub succeeded: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were not tried.
    pub skipped: u64,
}

/// One run, without its scripts.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Which run.
    pub run_id: RunId,
    /// The project's name.
    pub project: String,
    /// The project's folder.
    pub project_dir: PathBuf,
    /// The profile it ran with.
    pub profile: Option<String>,
    /// The machine.
    pub host: String,
    /// The runner's process id.
    pub pid: u32,
    /// What tells the runner's process from others with its id; `None` where that isn't known.
    pub process: Option<ProcessIdentity>,
    /// The runner's version.
    pub version: String,
    /// The run that it follows.
    pub parent: Option<Parent>,
    /// For when it was planned; `None` if it was started by hand.
    pub planned: Option<DateTime<Utc>>,
    /// What else is known of that, if a schedule planned it.
    pub occasion: Option<Occasion>,
    /// What its declared inputs were.
    pub params: Vec<RunParam>,
    /// When it began, to the microsecond.
    pub started: DateTime<Utc>,
    /// When it ended; `None` while it hasn't.
    pub finished: Option<DateTime<Utc>>,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// How it ended.
    pub status: RunStatus,
    /// The run's folder.
    pub run_dir: PathBuf,
    /// The log file.
    pub log_file: PathBuf,
    /// Files that its scripts attached to it.
    pub files: Vec<AttachedFile>,
    /// What became of its mail.
    pub mail: Option<MailState>,
    /// How its scripts ended, so far.
    pub counts: Counts,
    /// What was unusual about that, once the run has ended.
    pub oddities: Oddities,
}

/// How many of an ended run's scripts were out of the ordinary, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Oddities {
    /// Those that were tried more than once.
    pub retried: u64,
    /// Those that succeeded unusually slowly.
    pub slow: u64,
    /// Those that succeeded unusually quickly.
    pub quick: u64,
}

/// Which runs are asked for.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Those of these project folders only.
    pub projects: Option<Vec<PathBuf>>,
    /// At most so many.
    pub limit: Option<u32>,
    /// Those that began before.
    pub before: Option<DateTime<Utc>>,
}

/// Why a run is not found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FindRunError {
    /// The text is no beginning of a run id.
    #[error("`{text}` is not a run id (up to 13 hexadecimal digits)")]
    NotAnId {
        /// The text.
        text: String,
    },
    /// No run's id begins so.
    #[error("no run begins with `{text}`")]
    Unknown {
        /// The text.
        text: String,
    },
    /// Several runs' ids begin so.
    #[error("several runs begin with `{text}`: {}", list(candidates))]
    Ambiguous {
        /// The text.
        text: String,
        /// The latest of them.
        candidates: Vec<RunRow>,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(candidates: &[RunRow]) -> String {
    let one = |run: &RunRow| format!("{} ({})", run.run_id, run.project);
    candidates.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A run with its project. While it has no end its scripts are counted, which is quick for the few that run.
macro_rules! select_runs {
    ($rest:literal) => {
        concat!(
            "SELECT r.*, p.path,
                iif(r.status = 'running',
                    (SELECT count(*) FROM scripts s WHERE s.run_id = r.run_id AND s.outcome_kind = 'success'),
                    r.succeeded) AS succeeded_now,
                iif(r.status = 'running',
                    (SELECT count(*) FROM scripts s WHERE s.run_id = r.run_id AND s.outcome_kind = 'skipped'),
                    r.skipped) AS skipped_now,
                iif(r.status = 'running',
                    (SELECT count(*) FROM scripts s
                     WHERE s.run_id = r.run_id AND s.outcome_kind NOT IN ('success', 'skipped')),
                    r.failed) AS failed_now
            FROM runs r JOIN projects p ON p.id = r.project_id ",
            $rest
        )
    };
}

impl Store {
    /// Every project that ran, by name.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn projects(&mut self) -> Result<Vec<ProjectRow>, StoreError> {
        let last = select_runs!(
            "WHERE r.run_id IN (
                SELECT (SELECT run_id FROM runs WHERE project_id = projects.id ORDER BY started DESC LIMIT 1)
                FROM projects)"
        );
        let runs = sqlx::query(last).fetch_all(&mut self.connection).await.map_err(|error| self.error(error))?;
        let mut last_runs = HashMap::new();
        for row in &runs {
            let run = self.run_row(row)?;
            last_runs.insert(run.project_dir.clone(), run);
        }
        let rows: Vec<(String, String)> = sqlx::query_as("SELECT name, path FROM projects ORDER BY name, path")
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.error(error))?;
        let project = |(name, path): (String, String)| {
            let path = PathBuf::from(path);
            ProjectRow { name, last_run: last_runs.remove(&path), path }
        };
        Ok(rows.into_iter().map(project).collect())
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn runs(&mut self, filter: &RunFilter) -> Result<Vec<RunRow>, StoreError> {
        let limit = filter.limit.map_or(-1, i64::from);
        let before = filter.before.map_or(i64::MAX, micros);
        let rows = match &filter.projects {
            None => {
                sqlx::query(select_runs!("WHERE r.started < ?1 ORDER BY r.started DESC, r.run_id LIMIT ?2"))
                    .bind(before)
                    .bind(limit)
                    .fetch_all(&mut self.connection)
                    .await
            }
            Some(projects) => {
                let paths: Vec<_> = projects.iter().map(|path| path.to_string_lossy()).collect();
                sqlx::query(select_runs!(
                    "WHERE r.started < ?1
                        AND r.project_id IN (SELECT id FROM projects WHERE path IN (SELECT value FROM json_each(?3)))
                    ORDER BY r.started DESC, r.run_id LIMIT ?2"
                ))
                .bind(before)
                .bind(limit)
                .bind(serde_json::to_string(&paths).unwrap_or_default())
                .fetch_all(&mut self.connection)
                .await
            }
        };
        rows.map_err(|error| self.error(error))?.iter().map(|row| self.run_row(row)).collect()
    }

    /// Folders of projects that were recorded here at some time, also in a database that was lost since.
    #[must_use]
    pub fn remembered_projects(&self) -> Vec<PathBuf> {
        self.path.parent().map(known::remembered_projects).unwrap_or_default()
    }

    /// The one run whose id begins with `prefix`.
    ///
    /// # Errors
    /// When there is none, or more than one, or the database can't be read.
    pub async fn run(&mut self, prefix: &str) -> Result<RunRow, FindRunError> {
        let text = prefix.to_ascii_lowercase();
        if !RunId::is_prefix(&text) {
            return Err(FindRunError::NotAnId { text: prefix.to_owned() });
        }
        // `g` comes after every hexadecimal digit.
        let rows =
            sqlx::query(select_runs!("WHERE r.run_id >= ?1 AND r.run_id < ?1 || 'g' ORDER BY r.started DESC LIMIT ?2"))
                .bind(&text)
                .bind(CANDIDATES)
                .fetch_all(&mut self.connection)
                .await
                .map_err(|error| self.error(error))?;
        let mut runs = rows.iter().map(|row| self.run_row(row)).collect::<Result<Vec<_>, _>>()?;
        match runs.len() {
            0 => Err(FindRunError::Unknown { text }),
            1 => Ok(runs.remove(0)),
            _ => Err(FindRunError::Ambiguous { text, candidates: runs }),
        }
    }

    /// A run's scripts, in running order. Their tracebacks are cut to the last 4 KiB.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn scripts_of(&mut self, run_id: &RunId) -> Result<Vec<ScriptReport>, StoreError> {
        let rows = sqlx::query("SELECT * FROM scripts WHERE run_id = ?1 ORDER BY idx")
            .bind(run_id.as_str())
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.error(error))?;
        let mut scripts = rows.iter().map(|row| self.script_row(row)).collect::<Result<Vec<_>, _>>()?;
        let earlier = sqlx::query(
            "SELECT a.* FROM scripts s CROSS JOIN attempts a ON a.run_id = s.run_id AND a.idx = s.idx
             WHERE s.run_id = ?1 AND s.attempts > 1 AND a.attempt < s.attempts ORDER BY a.idx, a.attempt",
        )
        .bind(run_id.as_str())
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.error(error))?;
        for row in &earlier {
            let get = Columns { store: self, row };
            let index: u32 = get.value("idx")?;
            if let Some(script) = usize::try_from(index).ok().and_then(|index| scripts.get_mut(index)) {
                script.earlier.push(EarlierAttempt {
                    attempt: get.value("attempt")?,
                    outcome: get.json("outcome")?.ok_or_else(|| get.bad("outcome", "NULL"))?,
                    duration_us: get.count("duration_us")?.unwrap_or(0),
                });
            }
        }
        Ok(scripts)
    }

    /// All that the database knows of a run.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn report(&mut self, run: RunRow) -> Result<RunReport, StoreError> {
        let scripts = self.scripts_of(&run.run_id).await?;
        let warnings = sqlx::query_scalar("SELECT message FROM warnings WHERE run_id = ?1 ORDER BY time, message")
            .bind(run.run_id.as_str())
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.error(error))?;
        Ok(RunReport {
            run_id: run.run_id,
            project: run.project,
            project_dir: run.project_dir,
            profile: run.profile,
            host: run.host,
            pid: run.pid,
            process: run.process,
            version: run.version,
            parent: run.parent,
            planned: run.planned,
            occasion: run.occasion,
            params: run.params,
            started: run.started,
            finished: run.finished,
            duration_us: run.duration_us,
            status: run.status,
            scripts,
            files: run.files,
            mail: run.mail,
            warnings,
            log_file: run.log_file,
            run_dir: run.run_dir,
        })
    }

    fn run_row(&self, row: &SqliteRow) -> Result<RunRow, StoreError> {
        let get = Columns { store: self, row };
        let run_id: String = get.value("run_id")?;
        let status: String = get.value("status")?;
        Ok(RunRow {
            run_id: RunId::parse(&run_id).ok_or_else(|| get.bad("run_id", &run_id))?,
            project: get.value("project")?,
            project_dir: get.value::<String>("path")?.into(),
            profile: get.value("profile")?,
            host: get.value("host")?,
            pid: get.value("pid")?,
            process: get.json("process")?,
            version: get.value("version")?,
            parent: get.json("parent")?,
            planned: get.time("planned")?,
            occasion: get.json("occasion")?,
            params: get.json("params")?.unwrap_or_default(),
            started: get.time("started")?.ok_or_else(|| get.bad("started", "NULL"))?,
            finished: get.time("finished")?,
            duration_us: get.count("duration_us")?.unwrap_or(0),
            status: RunStatus::from_name(&status).ok_or_else(|| get.bad("status", &status))?,
            run_dir: get.value::<String>("run_dir")?.into(),
            log_file: get.value::<String>("log_file")?.into(),
            files: get.json("files")?.unwrap_or_default(),
            mail: get.json("mail_detail")?,
            counts: Counts {
                scripts: get.count("scripts")?.unwrap_or(0),
                succeeded: get.count("succeeded_now")?.unwrap_or(0),
                failed: get.count("failed_now")?.unwrap_or(0),
                skipped: get.count("skipped_now")?.unwrap_or(0),
            },
            oddities: Oddities {
                retried: get.count("retried")?.unwrap_or(0),
                slow: get.count("slow")?.unwrap_or(0),
                quick: get.count("quick")?.unwrap_or(0),
            },
        })
    }

    fn script_row(&self, row: &SqliteRow) -> Result<ScriptReport, StoreError> {
        let get = Columns { store: self, row };
        Ok(ScriptReport {
            index: get.count("idx")?.and_then(|index| usize::try_from(index).ok()).unwrap_or(0),
            name: get.value("name")?,
            script: get.value("script")?,
            started: get.time("started")?,
            duration_us: get.count("duration_us")?.unwrap_or(0),
            attempts: get.value("attempts")?,
            outcome: get.json("outcome")?,
            usage: Usage {
                cpu_user_us: get.count("cpu_user_us")?,
                cpu_system_us: get.count("cpu_system_us")?,
                peak_memory_bytes: get.count("peak_memory_bytes")?,
            },
            output: get.json("output")?.unwrap_or_else(OutputSummary::default),
            traceback: get.value("traceback")?,
            last_lines: get.value("last_lines")?,
            leaked: get.json("leaked")?.unwrap_or_default(),
            earlier: Vec::new(),
            retry_pending: get.value("retry_pending")?,
            usual: get.json("usual")?,
        })
    }
}

/// Reads columns of a row, with errors that name them.
pub(super) struct Columns<'a> {
    pub(super) store: &'a Store,
    pub(super) row: &'a SqliteRow,
}

impl<'a> Columns<'a> {
    pub(super) fn value<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: sqlx::Decode<'a, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        self.row.try_get(column).map_err(|error| self.store.error(error))
    }

    pub(super) fn count(&self, column: &'static str) -> Result<Option<u64>, StoreError> {
        Ok(self.value::<Option<i64>>(column)?.and_then(|value| value.try_into().ok()))
    }

    pub(super) fn time(&self, column: &'static str) -> Result<Option<DateTime<Utc>>, StoreError> {
        match self.value::<Option<i64>>(column)? {
            None => Ok(None),
            Some(micros) => {
                DateTime::from_timestamp_micros(micros).map(Some).ok_or_else(|| self.bad(column, &micros.to_string()))
            }
        }
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        match self.value::<Option<String>>(column)? {
            None => Ok(None),
            Some(text) => serde_json::from_str(&text).map(Some).map_err(|error| self.bad(column, &error.to_string())),
        }
    }

    pub(super) fn bad(&self, column: &str, what: &str) -> StoreError {
        StoreError::BadValue {
            path: self.store.path.clone(),
            what: format!("unexpected value in column {column}: {what}"),
        }
    }
}

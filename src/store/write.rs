//! Writing: whole batches, each in one transaction, whatever is in the database already.
//!
//! A batch goes in as a handful of statements over JSON arrays (SQLite's `json_each`), not as one statement a row: each
//! statement is a message to the connection's thread and back, and a run of many short scripts would feel that. The
//! arrays' elements are small and flat: SQLite goes through an element's text anew for each value it takes from it.

use serde::Serialize;
use sqlx::{Connection, SqliteConnection};

use super::{Batch, Store, StoreError, known};
use crate::event::RunEvent;
use crate::model::RunId;

/// What a commit outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process: nothing is synced to the disk.
    Process,
    /// A loss of power: the commit syncs the log, once, with everything committed before it.
    PowerLoss,
}

/// Rows that one statement takes: enough to make messages cheap, and few enough for the JSON to stay small.
const ROWS_PER_STATEMENT: usize = 500;

const PROJECTS: &str = "
INSERT INTO projects (path, name, last_seen)
SELECT value ->> 'project_dir', value ->> 'project', value ->> 'started' FROM json_each(?1) WHERE true
ON CONFLICT (path) DO UPDATE SET name = excluded.name, last_seen = excluded.last_seen
WHERE excluded.last_seen >= last_seen";

const RUNS: &str = "
INSERT INTO runs (run_id, project_id, project, profile, host, pid, process, version, parent, planned, occasion, params, started,
    run_dir, log_file, scripts)
SELECT value ->> 'run_id', p.id, value ->> 'project', value ->> 'profile', value ->> 'host', value ->> 'pid',
    value ->> 'process', value ->> 'version', value ->> 'parent', value ->> 'planned',
    value ->> 'occasion', value ->> 'params', value ->> 'started', value ->> 'run_dir', value ->> 'log_file', value ->> 'scripts'
FROM json_each(?1) CROSS JOIN projects p ON p.path = value ->> 'project_dir' WHERE true
ON CONFLICT (run_id) DO UPDATE SET project_id = excluded.project_id, project = excluded.project,
    profile = excluded.profile, host = excluded.host, pid = excluded.pid, process = excluded.process,
    version = excluded.version, parent = excluded.parent, planned = excluded.planned, occasion = excluded.occasion,
    params = excluded.params,
    started = excluded.started,
    run_dir = excluded.run_dir, log_file = excluded.log_file, scripts = excluded.scripts";

const PLANNED: &str = "
INSERT INTO scripts (run_id, idx, project_id, name, script)
SELECT runs.run_id, value ->> 'idx', runs.project_id, value ->> 'name', value ->> 'script'
FROM json_each(?1) CROSS JOIN runs ON runs.run_id = value ->> 'run_id' WHERE true
ON CONFLICT (run_id, idx) DO NOTHING";

/// Both halves of the key come from the JSON, so that each change looks its row up.
const SCRIPTS: &str = "
UPDATE scripts SET
    started = coalesce(c.started, scripts.started),
    attempts = coalesce(c.attempts, scripts.attempts),
    retry_pending = coalesce(c.retry_pending, scripts.retry_pending),
    outcome_kind = c.kind,
    outcome = c.outcome,
    duration_us = iif(c.finished, c.duration_us, scripts.duration_us),
    cpu_user_us = iif(c.finished, c.cpu_user_us, scripts.cpu_user_us),
    cpu_system_us = iif(c.finished, c.cpu_system_us, scripts.cpu_system_us),
    peak_memory_bytes = iif(c.finished, c.peak_memory_bytes, scripts.peak_memory_bytes),
    output = iif(c.finished, c.output, scripts.output),
    traceback = iif(c.finished, c.traceback, scripts.traceback),
    last_lines = iif(c.finished, c.last_lines, scripts.last_lines),
    leaked = iif(c.finished, c.leaked, scripts.leaked),
    usual = iif(c.finished, c.usual, scripts.usual)
FROM (
    SELECT value ->> 'run_id' AS run_id, value ->> 'idx' AS idx, value ->> 'started' AS started,
        value ->> 'attempts' AS attempts, value ->> 'retry_pending' AS retry_pending, value ->> 'kind' AS kind,
        value ->> 'outcome' AS outcome,
        (value ->> 'finished') IS NOT NULL AS finished,
        value ->> '$.finished.duration_us' AS duration_us,
        value ->> '$.finished.usage.cpu_user_us' AS cpu_user_us,
        value ->> '$.finished.usage.cpu_system_us' AS cpu_system_us,
        value ->> '$.finished.usage.peak_memory_bytes' AS peak_memory_bytes,
        value ->> '$.finished.output' AS output,
        value ->> '$.finished.traceback' AS traceback,
        value ->> '$.finished.last_lines' AS last_lines,
        value ->> '$.finished.leaked' AS leaked,
        value ->> '$.finished.usual' AS usual
    FROM json_each(?1)
) AS c
WHERE scripts.run_id = c.run_id AND scripts.idx = c.idx";

const ATTEMPTS: &str = "
INSERT OR REPLACE INTO attempts
    (run_id, idx, attempt, outcome_kind, outcome, duration_us, cpu_user_us, cpu_system_us, peak_memory_bytes)
SELECT runs.run_id, value ->> 'idx', value ->> 'attempt', value ->> 'kind', value ->> 'outcome',
    value ->> 'duration_us', value ->> '$.usage.cpu_user_us', value ->> '$.usage.cpu_system_us',
    value ->> '$.usage.peak_memory_bytes'
FROM json_each(?1) CROSS JOIN runs ON runs.run_id = value ->> 'run_id'";

const WARNINGS: &str = "
INSERT OR IGNORE INTO warnings (run_id, time, message)
SELECT runs.run_id, value ->> 'time', value ->> 'message'
FROM json_each(?1) CROSS JOIN runs ON runs.run_id = value ->> 'run_id'";

const ENDS: &str = "
UPDATE runs SET finished = c.finished, duration_us = c.duration_us, status = c.status, files = c.files,
    (succeeded, skipped, failed, retried, slow, quick) = (
        SELECT count(*) FILTER (WHERE s.outcome_kind = 'success'),
            count(*) FILTER (WHERE s.outcome_kind = 'skipped'),
            count(*) FILTER (WHERE s.outcome_kind NOT IN ('success', 'skipped')),
            count(*) FILTER (WHERE s.attempts > 1),
            count(*) FILTER (WHERE s.usual ->> 'pace' = 'slow'),
            count(*) FILTER (WHERE s.usual ->> 'pace' = 'quick')
        FROM scripts s WHERE s.run_id = runs.run_id)
FROM (
    SELECT value ->> 'run_id' AS run_id, value ->> 'finished' AS finished, value ->> 'duration_us' AS duration_us,
        value ->> 'status' AS status, value ->> 'files' AS files
    FROM json_each(?1)
) AS c
WHERE runs.run_id = c.run_id";

const MAILS: &str = "
UPDATE runs SET mail_state = c.state, mail_detail = c.detail
FROM (
    SELECT value ->> 'run_id' AS run_id, value ->> 'state' AS state, value ->> 'detail' AS detail FROM json_each(?1)
) AS c
WHERE runs.run_id = c.run_id";

/// Every statement, for the test that looks at how SQLite would do them.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 8] = [PROJECTS, RUNS, PLANNED, SCRIPTS, ATTEMPTS, WARNINGS, ENDS, MAILS];

impl Store {
    /// Records events, in one transaction. Events that were recorded before change nothing; those of a run whose start
    /// is unknown are ignored.
    ///
    /// # Errors
    /// When the database can't be written; then none of them is recorded.
    pub async fn record(&mut self, events: &[(RunId, RunEvent)], durability: Durability) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (run_id, event) in events {
            batch.apply(run_id, event);
        }
        self.write(&batch, durability).await
    }

    /// Writes a batch, in one transaction.
    ///
    /// # Errors
    /// When the database can't be written; then nothing of the batch is.
    pub async fn write(&mut self, batch: &Batch, durability: Durability) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let statements = Statements::of(batch).map_err(|error| self.error(sqlx::Error::Encode(Box::new(error))))?;
        statements.commit(&mut self.connection).await.map_err(|error| self.error(error))?;
        if let (false, Some(dir)) = (batch.starts.is_empty(), self.path.parent()) {
            // Without the list only a lost database is harder to fill again.
            let _ = known::remember(dir, batch.starts.values().map(|start| start.project_dir.as_str()));
        }
        match durability {
            Durability::Process => Ok(()),
            Durability::PowerLoss => self.sync_log(),
        }
    }
}

/// A transaction's statements with what they are about, in order.
struct Statements(Vec<(&'static str, String)>);

impl Statements {
    fn of(batch: &Batch) -> Result<Self, serde_json::Error> {
        let mut statements = Self(Vec::with_capacity(8));
        statements.add(PROJECTS, batch.starts.values())?;
        statements.add(RUNS, batch.starts.values())?;
        statements.add(PLANNED, batch.planned.iter())?;
        statements.add(SCRIPTS, batch.scripts.values())?;
        statements.add(ATTEMPTS, batch.attempts.values())?;
        statements.add(WARNINGS, batch.warnings.iter())?;
        statements.add(ENDS, batch.ends.values())?;
        statements.add(MAILS, batch.mails.values())?;
        Ok(statements)
    }

    fn add<T: Serialize>(&mut self, sql: &'static str, rows: impl Iterator<Item = T>) -> Result<(), serde_json::Error> {
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            let some: Vec<T> = rows.by_ref().take(ROWS_PER_STATEMENT).collect();
            self.0.push((sql, serde_json::to_string(&some)?));
        }
        Ok(())
    }

    async fn commit(self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        // A deferred transaction would fail, not wait, when another program writes between its first read and write.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for (sql, json) in self.0 {
            sqlx::query(sql).bind(json).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }
}

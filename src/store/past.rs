//! A project's runs of the past, as the mail about the present one tells of them: from the database or, where there is
//! none to be had, from the run folders.

use std::path::PathBuf;
use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::batch::micros;
use super::{Store, StoreError};
use crate::event::{EVENTS_FILE, replay};
use crate::model::{
    MailState, Outcome, PAST_RUNS_ENOUGH, PAST_WORDS, PastRun, PastScript, RunId, RunReport, RunStatus, end_of,
    runs_dir,
};

/// A run as the query hands it over; times in microseconds.
#[derive(Deserialize)]
struct Row {
    run_id: RunId,
    started: i64,
    finished: Option<i64>,
    duration_us: u64,
    status: RunStatus,
    mail: Option<MailState>,
    told_at: Option<i64>,
    planned: Option<i64>,
    /// A newer runner may know more than can be read.
    occasion: Option<serde_json::Value>,
    scripts: Vec<ScriptRow>,
}

#[derive(Deserialize)]
struct ScriptRow {
    script: String,
    name: String,
    outcome: Option<Outcome>,
    duration_us: u64,
    last_words: Option<String>,
}

impl Row {
    fn into_run(self) -> Option<PastRun> {
        let script = |ScriptRow { script, name, outcome, duration_us, last_words }| PastScript {
            script,
            name,
            outcome,
            duration_us,
            last_words: last_words.map(|text| end_of(&text).to_owned()),
        };
        Some(PastRun {
            run_id: self.run_id,
            started: DateTime::from_timestamp_micros(self.started)?,
            finished: self.finished.and_then(DateTime::from_timestamp_micros),
            duration_us: self.duration_us,
            status: self.status,
            mail: self.mail,
            told_at: self.told_at.and_then(DateTime::from_timestamp_micros),
            planned: self.planned.and_then(DateTime::from_timestamp_micros),
            occasion: self.occasion.and_then(|occasion| serde_json::from_value(occasion).ok()),
            scripts: self.scripts.into_iter().map(script).collect(),
        })
    }
}

/// One text comes back, since each row is a message from the connection's thread. Last words are cut by characters here,
/// and by bytes afterwards.
const PAST: &str = "
SELECT json_group_array(json(run)) FROM (
    SELECT json_object('run_id', r.run_id, 'started', r.started, 'finished', r.finished, 'duration_us', r.duration_us,
        'status', r.status, 'mail', json(r.mail_detail), 'planned', r.planned, 'occasion', json(r.occasion),
        'told_at', (SELECT queued_at FROM outbox WHERE run_id = r.run_id AND kind = 'mail'),
        'scripts', (
            SELECT json_group_array(json_object('script', s.script, 'name', s.name, 'outcome', json(s.outcome),
                'duration_us', s.duration_us,
                'last_words', iif(s.outcome_kind NOT IN ('success', 'skipped'),
                    substr(rtrim(coalesce(s.traceback, s.last_lines), char(9, 10, 13, 32)), -?5), NULL)))
            FROM (SELECT * FROM scripts WHERE run_id = r.run_id ORDER BY idx) AS s)) AS run
    FROM runs r
    WHERE r.project_id = (SELECT id FROM projects WHERE path = ?1) AND r.profile IS ?2 AND r.started < ?3
        AND r.status <> 'running' AND r.mail_state IS NOT 'off' AND (?8 OR r.mail_state IS NOT 'written')
        AND r.started >= min(?6, coalesce(
            (SELECT started FROM runs
             WHERE project_id = (SELECT id FROM projects WHERE path = ?1) AND profile IS ?2 AND started < ?3
                AND status <> 'running' AND mail_state IS NOT 'off' AND (?8 OR mail_state IS NOT 'written')
             ORDER BY started DESC LIMIT 1 OFFSET ?7), 0))
    ORDER BY r.started DESC LIMIT ?4)";

/// For how long all runs are looked at: a day, and the time until a run that is late.
const ALL_OF_THEM: TimeDelta = TimeDelta::hours(25);

/// When the last run began that somebody was told of, as [`PastRun::is_told`] has it.
const LAST_TOLD: &str = "
SELECT started FROM runs
WHERE project_id = (SELECT id FROM projects WHERE path = ?1) AND profile IS ?2 AND started < ?3 AND status <> 'running'
    AND mail_state IN ('sent', 'queued', 'held', 'kept', 'written') AND (?4 OR mail_state <> 'written')
ORDER BY started DESC LIMIT 1";

/// Which of a project's runs are asked for. Those of which nobody was to hear, since they were run without mail, never are.
#[derive(Debug, Clone)]
pub struct PastOf {
    /// The project.
    pub project_dir: PathBuf,
    /// With which profile it was run.
    pub profile: Option<String>,
    /// They began before this instant.
    pub before: DateTime<Utc>,
    /// Whether those count whose mail was only written to a folder. To whoever has mails written, those are the mails; to
    /// the readers of real ones nobody heard of such a run.
    pub with_written: bool,
}

impl PastOf {
    fn has(&self, report: &RunReport) -> bool {
        let counts = match &report.mail {
            Some(MailState::Off) => false,
            Some(MailState::Written { .. }) => self.with_written,
            _ => true,
        };
        counts && report.profile == self.profile && report.started < self.before && report.status != RunStatus::Running
    }
}

impl Store {
    /// The runs that are over, newest first: those of a day, and [`PAST_RUNS_ENOUGH`] in any case, but at most `limit`.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn past_runs(&mut self, of: &PastOf, limit: u32) -> Result<Vec<PastRun>, StoreError> {
        let json: String = sqlx::query_scalar(PAST)
            .bind(of.project_dir.to_string_lossy())
            .bind(of.profile.as_deref())
            .bind(micros(of.before))
            .bind(limit)
            .bind(PAST_WORDS as i64)
            .bind(micros(of.before - ALL_OF_THEM))
            .bind(PAST_RUNS_ENOUGH - 1)
            .bind(of.with_written)
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| self.error(error))?;
        let rows: Vec<Row> = serde_json::from_str(&json)
            .map_err(|error| StoreError::BadValue { path: self.path.clone(), what: error.to_string() })?;
        Ok(rows.into_iter().filter_map(Row::into_run).collect())
    }

    /// The last run that somebody was told of, however many were since.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn last_told(&mut self, of: &PastOf) -> Result<Option<PastRun>, StoreError> {
        let started: Option<i64> = sqlx::query_scalar(LAST_TOLD)
            .bind(of.project_dir.to_string_lossy())
            .bind(of.profile.as_deref())
            .bind(micros(of.before))
            .bind(of.with_written)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(|error| self.error(error))?;
        let Some(after) = started.and_then(|started| DateTime::from_timestamp_micros(started + 1)) else {
            return Ok(None);
        };
        Ok(self.past_runs(&PastOf { before: after, ..of.clone() }, 1).await?.pop())
    }
}

/// The same from a project's run folders, for when the database is of no use. Folders that can't be read are passed over.
#[must_use]
pub fn past_runs_in_folders(of: &PastOf, limit: u32) -> Vec<PastRun> {
    let folders = std::fs::read_dir(runs_dir(&of.project_dir)).into_iter().flatten().flatten();
    let changed = |folder: std::fs::DirEntry| {
        let events = folder.path().join(EVENTS_FILE);
        Some((std::fs::metadata(&events).ok()?.modified().unwrap_or(SystemTime::UNIX_EPOCH), events))
    };
    let mut newest: Vec<(SystemTime, PathBuf)> = folders.filter_map(changed).collect();
    newest.sort_by(|one, other| other.cmp(one));
    let told = newest.into_iter().filter_map(|(_, events)| replay(&events).ok());
    let wanted = told.filter(|report| of.has(report));
    let mut runs: Vec<PastRun> = wanted.take(limit as usize).map(|report| PastRun::from(&report)).collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.started));
    runs
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::event::{EventKind, RunEvent};
    use crate::model::{Outcome, PAST_RUNS};
    use crate::store::samples::{at, began, eventful, id, of, plain, started, write_folder};
    use crate::store::{Durability, Store};

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn of_project(project_dir: &Path, before: DateTime<Utc>) -> PastOf {
        PastOf { project_dir: project_dir.to_owned(), profile: None, before, with_written: false }
    }

    fn with_profile(mut events: Vec<RunEvent>) -> Vec<RunEvent> {
        if let EventKind::RunStarted { profile, .. } = &mut events[0].kind {
            *profile = Some("dev".into());
        }
        events
    }

    fn with_mail(mut events: Vec<RunEvent>, mail: MailState) -> Vec<RunEvent> {
        let time = events.last().unwrap().time;
        events.push(RunEvent { time, kind: EventKind::Mail { mail } });
        events
    }

    #[test]
    fn the_database_and_the_folders_tell_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (daily, other) = (dir.path().join("daily"), dir.path().join("other"));
        let running = vec![started(&id('5'), &daily, at(400), &["load.py"]), began(0, 1, at(400))];
        let long = "é".repeat(PAST_WORDS) + "\nValueError: 42\n \n";
        let mut wordy = eventful(&id('6'), &daily, 450);
        wordy.iter_mut().for_each(|event| {
            if let EventKind::ScriptFinished { traceback: Some(traceback), .. } = &mut event.kind {
                traceback.clone_from(&long);
            }
        });
        let runs = [
            ('0', &daily, eventful(&id('0'), &daily, 0)),
            ('1', &daily, with_mail(plain(&id('1'), &daily, 100), MailState::NotDue)),
            ('2', &daily, with_profile(plain(&id('2'), &daily, 200))),
            ('3', &daily, with_mail(plain(&id('3'), &daily, 300), MailState::Off)),
            ('4', &other, plain(&id('4'), &other, 350)),
            ('5', &daily, running),
            ('6', &daily, wordy),
            ('7', &daily, plain(&id('7'), &daily, 500)),
        ];
        run(async {
            let mut store = Store::open(&dir.path().join("state")).await.unwrap();
            for (digit, project, events) in runs {
                store.record(&of(&id(digit), events.clone()), Durability::Process).await.unwrap();
                write_folder(project, &id(digit), &events, "");
            }
            let before = of_project(&daily, at(500));
            let past = store.past_runs(&before, PAST_RUNS).await.unwrap();
            let ids: Vec<&str> = past.iter().map(|run| &run.run_id.as_str()[..1]).collect();
            assert_eq!(
                ids,
                ["6", "1", "0"],
                "newest first, without what runs, has another profile, or was not to be told"
            );
            let oldest = &past[2];
            assert_eq!((oldest.started, oldest.finished, oldest.duration_us), (at(0), Some(at(8)), 8_000_000));
            assert!(oldest.is_told() && oldest.status == RunStatus::Failure && !past[1].is_told());
            assert_eq!(oldest.scripts[1].outcome, Some(Outcome::ExitCode { code: 3 }));
            assert!(oldest.scripts[1].last_words.as_ref().unwrap().ends_with("ValueError: 42"));
            assert_eq!((&oldest.scripts[0].last_words, oldest.scripts.len()), (&None, 3));
            assert!(past[0].scripts[1].last_words.as_ref().unwrap().ends_with("é\nValueError: 42"));

            assert_eq!(past_runs_in_folders(&before, PAST_RUNS), past);
            assert_eq!(store.past_runs(&before, 1).await.unwrap(), past[..1]);
            let dev = PastOf { profile: Some("dev".into()), ..before.clone() };
            assert_eq!(store.past_runs(&dev, 9).await.unwrap().len(), 1);
            let elsewhere = of_project(dir.path(), at(500));
            assert_eq!(store.past_runs(&elsewhere, 9).await.unwrap(), []);
            assert_eq!(past_runs_in_folders(&elsewhere, 9), []);
            assert_eq!(store.last_told(&elsewhere).await.unwrap(), None);
            assert_eq!(store.last_told(&before).await.unwrap().as_ref(), past.first());
            let older = store.last_told(&of_project(&daily, past[0].started)).await.unwrap();
            assert_eq!(older.as_ref(), past.last(), "the one between had no mail");
            assert_eq!(store.last_told(&of_project(&daily, at(0))).await.unwrap(), None);
        });
    }

    #[test]
    fn a_mail_in_a_folder_counts_only_where_mails_are_written_to_folders() {
        let dir = tempfile::tempdir().unwrap();
        let daily = dir.path().join("daily");
        let mail = |digit: char, offset, mail: MailState| (digit, with_mail(plain(&id(digit), &daily, offset), mail));
        let runs = [
            mail('0', 0, MailState::Sent { reply: "250 OK".into() }),
            mail('1', 100, MailState::Written { file: "x.eml".into() }),
            mail('2', 200, MailState::Failed { error: "554 no".into() }),
        ];
        run(async {
            let mut store = Store::open(&dir.path().join("state")).await.unwrap();
            for (digit, events) in runs {
                store.record(&of(&id(digit), events.clone()), Durability::Process).await.unwrap();
                write_folder(&daily, &id(digit), &events, "");
            }
            for (with_written, found, last) in [(false, "20", "0"), (true, "210", "1")] {
                let asked = PastOf { with_written, ..of_project(&daily, at(500)) };
                let past = store.past_runs(&asked, 9).await.unwrap();
                assert_eq!(past.iter().map(|run| &run.run_id.as_str()[..1]).collect::<String>(), found);
                assert_eq!(past_runs_in_folders(&asked, 9), past);
                let told = store.last_told(&asked).await.unwrap().unwrap();
                assert!(told.is_told() && told.run_id.as_str().starts_with(last), "{told:?}");
            }
        });
    }

    #[test]
    fn a_long_past_is_found_without_looking_at_all_of_it() {
        const ENOUGH: i64 = PAST_RUNS_ENOUGH as i64;
        let dir = tempfile::tempdir().unwrap();
        let daily = dir.path().join("daily");
        run(async {
            let mut store = Store::open(&dir.path().join("state")).await.unwrap();
            let mut all = Vec::new();
            for n in 0..ENOUGH + 20 {
                let id = RunId::random();
                all.extend(of(&id, plain(&id, &daily, n * 600)));
            }
            store.record(&all, Durability::Process).await.unwrap();
            let last = (ENOUGH + 20) * 600;
            for (before, limit, found) in [
                (last, 20, 20),
                // All of them began within a day.
                (last, PAST_RUNS, ENOUGH + 20),
                (last + 86_400, PAST_RUNS, ENOUGH),
                // A day ends between them.
                (25 * 3600 + 10 * 600, PAST_RUNS, ENOUGH + 10),
            ] {
                let past = store.past_runs(&of_project(&daily, at(before)), limit).await.unwrap();
                assert_eq!(past.len() as i64, found, "before {before}, at most {limit}");
            }
            let mut rows = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {PAST}")));
            for _ in 0..8 {
                rows = rows.bind(0);
            }
            let rows = rows.fetch_all(&mut store.connection).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, "detail")).collect();
            assert!(steps.iter().any(|step| step.contains("INDEX runs_of_project")), "{steps:?}");
            assert!(!steps.iter().any(|step| step.contains("SCAN r") || step.contains("TEMP B-TREE")), "{steps:?}");
        });
    }
}

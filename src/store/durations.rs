//! How long scripts take and how often they succeed, by what is recorded of their runs.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::query::Columns;
use super::{Store, StoreError};
use crate::model::{Baseline, LEARNED_FROM, Outcome, median, percentile_95, suggested_timeout};

/// How a script did the last times that it was tried. Durations are of those of these times that succeeded, in
/// microseconds; a retried script counts by its last attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptStats {
    /// The script, as the project file writes it.
    pub script: String,
    /// How its latest run called it.
    pub name: String,
    /// How many times it was tried, attempts of one run being one time.
    pub runs: u64,
    /// How many of them succeeded.
    pub succeeded: u64,
    /// Attempts beyond the first of each time.
    pub retries: u64,
    /// The median.
    pub median_us: Option<u64>,
    /// What 95 of 100 don't exceed.
    pub p95_us: Option<u64>,
    /// The longest.
    pub longest_us: Option<u64>,
    /// The `timeout` that these durations suggest.
    pub suggested_timeout: Option<Duration>,
    /// When it last began.
    pub last_started: DateTime<Utc>,
    /// How that ended.
    pub last_outcome: Outcome,
    /// How long that took, whatever its end.
    pub last_us: u64,
}

/// What is usual for scripts, named as the project file writes them; `None` for those with too few successes.
pub type Baselines = HashMap<String, Option<Baseline>>;

/// A script's last successful durations, as they become something.
#[derive(Deserialize)]
#[serde(from = "Vec<u64>")]
struct Learned(Option<Baseline>);

impl From<Vec<u64>> for Learned {
    fn from(durations_us: Vec<u64>) -> Self {
        Self(Baseline::of(durations_us))
    }
}

impl Store {
    /// What is usual for each of these scripts of a project that runs with this profile.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn baselines(
        &mut self,
        project_dir: &Path,
        profile: Option<&str>,
        scripts: &[String],
    ) -> Result<Baselines, StoreError> {
        let learned: HashMap<String, Learned> = self.last_successes(project_dir, profile, Some(scripts)).await?;
        Ok(learned.into_iter().map(|(script, Learned(baseline))| (script, baseline)).collect())
    }

    /// How long each script of a project that runs with this profile usually takes: the median of its last successes, however few, by the script as
    /// the project file writes it.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn usual_durations(
        &mut self,
        project_dir: &Path,
        profile: Option<&str>,
    ) -> Result<HashMap<String, Duration>, StoreError> {
        let durations: HashMap<String, Vec<u64>> = self.last_successes(project_dir, profile, None).await?;
        let usual = |(script, all)| Some((script, Duration::from_micros(median(all)?)));
        Ok(durations.into_iter().filter_map(usual).collect())
    }

    /// The durations of the last successes of these scripts, or of all, in microseconds.
    async fn last_successes<T: DeserializeOwned>(
        &mut self,
        project_dir: &Path,
        profile: Option<&str>,
        scripts: Option<&[String]>,
    ) -> Result<HashMap<String, T>, StoreError> {
        // Without names, steps from script to script along the index; takes the newest of each: old successes cost
        // nothing, unless newer ones are of other profiles, which are passed over. One row comes back, since each is a message from the connection's thread.
        let json: String = sqlx::query_scalar(
            "WITH RECURSIVE
                project(id) AS (SELECT id FROM projects WHERE path = ?1),
                names(script) AS (
                    SELECT value FROM json_each(?3)
                    UNION ALL
                    SELECT (SELECT min(script) FROM scripts
                            WHERE outcome_kind = 'success' AND project_id = (SELECT id FROM project))
                    WHERE ?3 IS NULL
                    UNION ALL
                    SELECT (SELECT min(script) FROM scripts
                            WHERE outcome_kind = 'success' AND project_id = (SELECT id FROM project)
                                AND script > names.script)
                    FROM names WHERE ?3 IS NULL AND names.script IS NOT NULL
                )
            SELECT json_group_object(names.script, json((
                SELECT json_group_array(duration_us) FROM (
                    SELECT s.duration_us FROM scripts AS s CROSS JOIN runs AS r ON r.run_id = s.run_id AND r.profile IS ?4
                    WHERE s.outcome_kind = 'success' AND s.project_id = (SELECT id FROM project)
                        AND s.script = names.script
                    ORDER BY s.started DESC LIMIT ?2))))
            FROM names WHERE names.script IS NOT NULL",
        )
        .bind(project_dir.to_string_lossy())
        .bind(LEARNED_FROM)
        .bind(scripts.map(|scripts| serde_json::to_string(scripts).unwrap_or_default()))
        .bind(profile)
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.error(error))?;
        serde_json::from_str(&json)
            .map_err(|error| StoreError::BadValue { path: self.path.clone(), what: error.to_string() })
    }

    /// How each script of a project did the last `times` times that it was tried and came to an end, the scripts of the
    /// latest run first, in their order.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn script_stats(&mut self, project_dir: &Path, times: u32) -> Result<Vec<ScriptStats>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM (
                SELECT s.script, s.name, s.started, s.outcome, s.duration_us, s.attempts, s.idx, r.started AS run_started,
                    row_number() OVER (PARTITION BY s.script ORDER BY r.started DESC, s.idx DESC) AS nth
                FROM projects p JOIN runs r ON r.project_id = p.id JOIN scripts s ON s.run_id = r.run_id
                WHERE p.path = ?1 AND s.attempts > 0 AND s.outcome IS NOT NULL AND s.started IS NOT NULL
                    AND s.retry_pending = 0)
            WHERE nth <= ?2 ORDER BY run_started DESC, idx",
        )
        .bind(project_dir.to_string_lossy())
        .bind(times)
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.error(error))?;
        let mut order: Vec<(ScriptStats, Vec<u64>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for row in &rows {
            let get = Columns { store: self, row };
            let script: String = get.value("script")?;
            let outcome: Outcome = get.json("outcome")?.ok_or_else(|| get.bad("outcome", "NULL"))?;
            let (took_us, succeeded) = (get.count("duration_us")?.unwrap_or(0), outcome.is_success());
            let place = match places.get(&script) {
                Some(place) => *place,
                None => {
                    let latest = ScriptStats {
                        script: script.clone(),
                        name: get.value("name")?,
                        runs: 0,
                        succeeded: 0,
                        retries: 0,
                        median_us: None,
                        p95_us: None,
                        longest_us: None,
                        suggested_timeout: None,
                        last_started: get.time("started")?.ok_or_else(|| get.bad("started", "NULL"))?,
                        last_outcome: outcome,
                        last_us: took_us,
                    };
                    order.push((latest, Vec::new()));
                    places.insert(script, order.len() - 1);
                    order.len() - 1
                }
            };
            let Some((stats, durations)) = order.get_mut(place) else { continue };
            stats.runs += 1;
            stats.retries += get.count("attempts")?.unwrap_or(1).saturating_sub(1);
            if succeeded {
                stats.succeeded += 1;
                durations.push(took_us);
            }
        }
        Ok(order.into_iter().map(|(stats, durations)| with_durations(stats, durations)).collect())
    }
}

fn with_durations(stats: ScriptStats, durations_us: Vec<u64>) -> ScriptStats {
    ScriptStats {
        longest_us: durations_us.iter().copied().max(),
        suggested_timeout: suggested_timeout(&durations_us),
        p95_us: percentile_95(durations_us.clone()),
        median_us: median(durations_us),
        ..stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::model::RunId;
    use crate::store::Durability;
    use crate::store::samples::{eventful, following, of, plain};

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn usual_is_the_median_of_the_last_successes() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("daily");
        run(async {
            let mut store = Store::open(&dir.path().join("state")).await.unwrap();
            assert!(store.usual_durations(&project, None).await.unwrap().is_empty());
            let names = ["src/load.py", "src/transform.py", "src/unknown.py"].map(str::to_owned);
            for n in 0..35_i64 {
                let id = RunId::random();
                let mut events = eventful(&id, &project, n * 100);
                if let EventKind::ScriptFinished { duration_us, outcome, .. } = &mut events[2].kind {
                    *duration_us = (n as u64 + 1) * 1_000_000;
                    if n == 34 {
                        *outcome = Outcome::ExitCode { code: 1 };
                    }
                }
                store.record(&of(&id, events), Durability::Process).await.unwrap();
                if n == 3 {
                    let usual = store.usual_durations(&project, None).await.unwrap();
                    assert_eq!(usual["src/load.py"], Duration::from_millis(2500), "however few there are");
                    let baselines = store.baselines(&project, None, &names).await.unwrap();
                    assert!(baselines.len() == 3 && baselines.values().all(Option::is_none), "but four tell nothing");
                }
            }
            let other = RunId::random();
            store.record(&of(&other, plain(&other, &dir.path().join("other"), 0)), Durability::Process).await.unwrap();
            let usual = store.usual_durations(&project, None).await.unwrap();
            // Successes took 5 to 34 s in the last thirty of them; the other scripts never succeeded.
            assert_eq!(usual, [("src/load.py".to_owned(), Duration::from_millis(19_500))].into());
            let baselines = store.baselines(&project, None, &names).await.unwrap();
            assert_eq!(baselines["src/load.py"].unwrap().median_us, 19_500_000);
            assert_eq!((baselines["src/transform.py"], baselines["src/unknown.py"]), (None, None));
        });
    }

    #[test]
    fn profiles_do_not_teach_each_other_what_is_usual() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("daily");
        run(async {
            let mut store = Store::open(&dir.path().join("state")).await.unwrap();
            for n in 0..10_i64 {
                let id = RunId::random();
                let mut events = eventful(&id, &project, n * 100);
                let by_dev = n % 2 == 0;
                for event in &mut events {
                    match &mut event.kind {
                        EventKind::RunStarted { profile, .. } => *profile = by_dev.then(|| "dev".to_owned()),
                        EventKind::ScriptFinished { duration_us, .. } => *duration_us = if by_dev { 1 } else { 2 },
                        _ => {}
                    }
                }
                store.record(&of(&id, events), Durability::Process).await.unwrap();
            }
            for (profile, took) in [(None, 2), (Some("dev"), 1)] {
                let usual = store.usual_durations(&project, profile).await.unwrap();
                assert_eq!(usual["src/load.py"], Duration::from_micros(took));
                let baselines = store.baselines(&project, profile, &["src/load.py".to_owned()]).await.unwrap();
                assert_eq!(baselines["src/load.py"].unwrap().median_us, took);
            }
            let unused = store.usual_durations(&project, Some("night")).await.unwrap();
            assert_eq!(unused.get("src/load.py"), None);
        });
    }

    #[test]
    fn statistics_are_of_the_last_times_that_a_script_was_tried() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("daily");
        run(async {
            let mut store = Store::open(&dir.path().join("state")).await.unwrap();
            assert_eq!(store.script_stats(&project, 100).await.unwrap(), []);
            for n in 0..6_i64 {
                let id = RunId::random();
                store.record(&of(&id, eventful(&id, &project, n * 100)), Durability::Process).await.unwrap();
            }
            let (last, before) = (RunId::random(), RunId::random());
            store.record(&of(&last, following(&last, &project, 1000, &before)), Durability::Process).await.unwrap();
            let all = store.script_stats(&project, 100).await.unwrap();
            let rows: Vec<_> = all
                .iter()
                .map(|s| (s.script.as_str(), s.runs, s.succeeded, s.retries, s.last_outcome.kind()))
                .collect();
            // The report, which was skipped each time, has none.
            let expected = [("src/load.py", 7, 7, 2, "success"), ("src/transform.py", 7, 0, 6, "expectation_not_met")];
            assert_eq!(rows, expected);
            assert_eq!(
                (all[0].median_us, all[0].p95_us, all[0].longest_us),
                (Some(2_000_000), Some(2_000_000), Some(2_000_000))
            );
            assert_eq!(all[0].suggested_timeout, Some(Duration::from_secs(40)));
            assert_eq!((all[1].median_us, all[1].suggested_timeout, all[1].last_us), (None, None, 2_000_001));
            let few = store.script_stats(&project, 2).await.unwrap();
            assert_eq!((few[0].runs, few[0].retries, few[0].suggested_timeout), (2, 2, None));
        });
    }
}

//! Fills the database from run folders: after it was lost or unusable, after a runner died, or when a project came from
//! elsewhere. An import writes exactly the rows that recording the run live would have written.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Batch, BrokenOff, Death, Durability, Store, StoreError};
use crate::event::{EVENTS_FILE, EventKind, RunEvent, read_events};
use crate::model::{RunId, RunReport, RunStatus, runs_dir};

/// Rows that one transaction of an import writes, about.
const ROWS_PER_TRANSACTION: usize = 2000;

/// What an import did.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// Runs that the database now has, or whose end it now knows.
    pub imported: usize,
    /// Those of them that had no end and whose runner is gone.
    pub interrupted: Vec<RunId>,
    /// Run folders that could not be read.
    pub warnings: Vec<ImportWarning>,
}

/// A run folder that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportWarning {
    /// The folder.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Records the runs of `project_dir/logs/runs` that the database lacks, or whose end it doesn't know yet. A run without
/// an end is recorded as interrupted unless `is_alive` says that its runner still lives; it may write the run's end itself,
/// which is then recorded. Folders that can't be read are reported, and tried again the next time.
///
/// # Errors
/// When the database can't be read or written.
pub async fn import_project(
    store: &mut Store,
    project_dir: &Path,
    is_alive: &dyn Fn(&RunReport) -> bool,
) -> Result<ImportReport, StoreError> {
    let mut result = ImportReport::default();
    let runs_dir = runs_dir(project_dir);
    let folders = match run_folders(&runs_dir) {
        Ok(folders) => folders,
        Err(error) => {
            result.warnings.push(ImportWarning { path: runs_dir, reason: error.to_string() });
            HashMap::new()
        }
    };
    let unsettled = store.unsettled(project_dir, folders.keys()).await?;
    let mut batch = Batch::default();
    for (run_id, known) in unsettled {
        let taken = match (folders.get(&run_id), known) {
            (Some(folder), known) => read_run(&run_id, folder, project_dir, known, is_alive),
            // Its folder is gone, and with it any word of how it ended.
            (None, _) => store.close_lost_run(&run_id, is_alive).await?,
        };
        match taken {
            Ok(Some(taken)) => {
                batch.append(taken.batch);
                result.imported += 1;
                if taken.interrupted {
                    result.interrupted.push(run_id);
                }
            }
            Ok(None) => {}
            Err(reason) => {
                let path = folders.get(&run_id).cloned().unwrap_or_default();
                result.warnings.push(ImportWarning { path, reason });
            }
        }
        if batch.len() > ROWS_PER_TRANSACTION {
            store.write(&std::mem::take(&mut batch), Durability::Process).await?;
        }
    }
    store.write(&batch, Durability::Process).await?;
    Ok(result)
}

/// What a run adds to the database.
struct Taken {
    batch: Batch,
    interrupted: bool,
}

/// The folders below `runs_dir` that are named like runs. None at all if the project never ran.
fn run_folders(runs_dir: &Path) -> std::io::Result<HashMap<RunId, PathBuf>> {
    let entries = match std::fs::read_dir(runs_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(error),
    };
    let mut folders = HashMap::new();
    for entry in entries {
        let entry = entry?;
        if let Some(run_id) = entry.file_name().to_str().and_then(RunId::parse) {
            folders.insert(run_id, entry.path());
        }
    }
    Ok(folders)
}

/// Reads a run's events into rows. `None` if there is nothing to record: the run goes on, and is known.
fn read_run(
    run_id: &RunId,
    folder: &Path,
    project_dir: &Path,
    known: bool,
    is_alive: &dyn Fn(&RunReport) -> bool,
) -> Result<Option<Taken>, String> {
    let (batch, told) = read_events_of(run_id, folder, project_dir)?;
    let has_end = |told: &BrokenOff| told.report().is_some_and(|report| report.finished.is_some());
    if has_end(&told) {
        return Ok(Some(Taken { batch, interrupted: false }));
    }
    if told.report().is_some_and(is_alive) {
        return Ok((!known).then_some(Taken { batch, interrupted: false }));
    }
    // Read again: the run may have ended before it was asked for, and whoever was asked may have written its end.
    let (mut batch, told) = read_events_of(run_id, folder, project_dir)?;
    let interrupted = !has_end(&told) || told.report().is_some_and(|report| report.status == RunStatus::Interrupted);
    for event in told.closing(&Death::at(told.last_event())) {
        batch.apply(run_id, &event);
    }
    Ok(Some(Taken { batch, interrupted }))
}

fn read_events_of(run_id: &RunId, folder: &Path, project_dir: &Path) -> Result<(Batch, BrokenOff), String> {
    let mut batch = Batch::default();
    let mut told = BrokenOff::default();
    let path = folder.join(EVENTS_FILE);
    read_events(&path, |mut event| {
        rebase(&mut event, folder, project_dir);
        told.apply(&event);
        batch.apply(run_id, &event);
    })
    .map_err(|error| with_causes(&error))?;
    match told.report() {
        None => Err(format!("{} does not begin with the start of a run", path.display())),
        Some(report) if report.run_id != *run_id => {
            Err(format!("{} tells of another run, {}", path.display(), report.run_id))
        }
        Some(_) => Ok((batch, told)),
    }
}

/// A project that was moved, folder and all, has its runs where it is now.
fn rebase(event: &mut RunEvent, folder: &Path, project: &Path) {
    if let EventKind::RunStarted { project_dir, run_dir, .. } = &mut event.kind
        && !run_dir.exists()
    {
        run_dir.clone_from(&folder.to_owned());
        project_dir.clone_from(&project.to_owned());
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

impl Store {
    /// Of the runs that have folders, those that the database lacks (`false`) or knows no end of (`true`); and runs of
    /// the project that it knows no end of and that have no folder any more.
    async fn unsettled(
        &mut self,
        project_dir: &Path,
        folders: impl Iterator<Item = &RunId>,
    ) -> Result<Vec<(RunId, bool)>, StoreError> {
        let names: Vec<&RunId> = folders.collect();
        let rows: Vec<(String, bool)> = sqlx::query_as(
            "SELECT f.value, r.run_id IS NOT NULL
             FROM json_each(?1) f LEFT JOIN runs r ON r.run_id = f.value
             WHERE r.run_id IS NULL OR r.status = 'running'
             UNION
             SELECT r.run_id, true FROM projects p JOIN runs r ON r.project_id = p.id
             WHERE p.path = ?2 AND r.status = 'running'",
        )
        .bind(serde_json::to_string(&names).unwrap_or_default())
        .bind(project_dir.to_string_lossy())
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.error(error))?;
        let mut seen = HashSet::new();
        Ok(rows
            .into_iter()
            .filter_map(|(run_id, known)| Some((RunId::parse(&run_id)?, known)))
            .filter(|(run_id, _)| seen.insert(run_id.clone()))
            .collect())
    }

    /// Ends a run that has no folder any more, by what the database knows of it.
    async fn close_lost_run(
        &mut self,
        run_id: &RunId,
        is_alive: &dyn Fn(&RunReport) -> bool,
    ) -> Result<Result<Option<Taken>, String>, StoreError> {
        let Ok(run) = self.run(run_id.as_str()).await else { return Ok(Ok(None)) };
        let report = self.report(run).await?;
        if is_alive(&report) {
            return Ok(Ok(None));
        }
        let last = report.scripts.iter().filter_map(|script| script.started).max().unwrap_or(report.started);
        let mut batch = Batch::default();
        for event in BrokenOff::from(report).closing(&Death::at(last)) {
            batch.apply(run_id, &event);
        }
        Ok(Ok(Some(Taken { batch, interrupted: true })))
    }
}

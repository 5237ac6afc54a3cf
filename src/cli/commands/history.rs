//! `runner history`: the runs, newest first.

use std::io::Write;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::CommandError;
use super::delivery;
use super::table::{Align, Table};
use super::view::{View, mail_word, rfc3339, seconds, status_cell};
use crate::model::{Occasion, RunStatus, format_duration};
use crate::store::{Counts, Oddities, RunFilter, RunRow, Store};

/// Which runs are asked for.
#[derive(Debug, Clone)]
pub(super) struct HistoryRequest {
    /// Those of this project only: its folder or its name.
    pub project: Option<String>,
    /// The folder that a relative project folder starts from.
    pub current_dir: PathBuf,
    /// At most so many.
    pub limit: Option<u32>,
}

/// Writes the runs asked for, newest first.
///
/// # Errors
/// When the project is unknown, the database can't be read or the answer not written.
pub(super) async fn history(
    store: &mut Store,
    request: &HistoryRequest,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let projects = match &request.project {
        Some(text) => Some(find_projects(store, text, &request.current_dir).await?),
        None => None,
    };
    let mut runs = store.runs(&RunFilter { projects, limit: request.limit, before: None }).await?;
    for run in &mut runs {
        (run.mail, _) = delivery::current(store, &run.run_id, run.mail.take()).await?;
    }
    if view.json {
        for run in &runs {
            writeln!(out, "{}", object(run))?;
        }
        return Ok(());
    }
    if runs.is_empty() {
        writeln!(out, "Nothing has run yet: `runner run FOLDER` runs a project.")?;
        return Ok(());
    }
    let mut table = Table::new(&[
        ("RUN", Align::Left),
        ("PROJECT", Align::Left),
        ("STARTED", Align::Left),
        ("TOOK", Align::Right),
        ("STATUS", Align::Left),
        ("SCRIPTS", Align::Left),
        ("MAIL", Align::Left),
        ("NOTE", Align::Left),
    ]);
    for run in &runs {
        table.row(vec![
            run.run_id.as_str().into(),
            project(run).into(),
            view.time(run.started).into(),
            view.took(run).into(),
            status_cell(run.status),
            counts(&run.counts).into(),
            mail_word(run.mail.as_ref()).into(),
            note(run).into(),
        ]);
    }
    Ok(table.write(out, view.color)?)
}

/// The documented keys, no others.
fn object(run: &RunRow) -> serde_json::Value {
    json!({
        "run_id": run.run_id,
        "project": run.project,
        "status": run.status,
        "started": rfc3339(run.started),
        "duration_seconds": (run.status != RunStatus::Running).then(|| seconds(run.duration_us)),
        "mail": run.mail.as_ref().map(crate::model::MailState::name),
        "parent": run.parent,
        "profile": run.profile,
    })
}

/// With the profile, if the run had one: `reports [dev]`.
fn project(run: &RunRow) -> String {
    match &run.profile {
        Some(profile) => format!("{} [{profile}]", run.project),
        None => run.project.clone(),
    }
}

/// What was out of the ordinary: `retry of 39be3d37aed64, 1 retried, 2 slow`, `2 h late, 3 merged`.
fn note(run: &RunRow) -> String {
    let Oddities { retried, slow, quick } = run.oddities;
    let counted = [(retried, "retried"), (slow, "slow"), (quick, "quick")];
    let counted = counted.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    let planned = run.occasion.iter().flat_map(|occasion| planned_note(occasion, run.started));
    run.parent.iter().map(ToString::to_string).chain(planned).chain(counted).collect::<Vec<_>>().join(", ")
}

/// What was unusual about the time that a schedule planned it for.
fn planned_note(occasion: &Occasion, began: DateTime<Utc>) -> Vec<String> {
    let by = (began - occasion.due).to_std().unwrap_or_default();
    let late = occasion.late.map(|_| format!("{} late", format_duration(by)));
    let merged = (occasion.merged > 0).then(|| format!("{} merged", occasion.merged));
    let missed = (occasion.missed > 0).then(|| format!("{} missed before", occasion.missed));
    [late, merged, missed].into_iter().flatten().collect()
}

/// `3 ok`, or `1 ok, 1 failed, 1 skipped`.
fn counts(counts: &Counts) -> String {
    let parts = [(counts.succeeded, "ok"), (counts.failed, "failed"), (counts.skipped, "skipped")];
    let known: u64 = parts.iter().map(|(count, _)| count).sum();
    let mut words: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if known < counts.scripts {
        words.push(format!("{} to go", counts.scripts - known));
    }
    words.join(", ")
}

/// The folders of the known projects that `text` means: the folder it names, else all of that name.
pub(super) async fn find_projects(
    store: &mut Store,
    text: &str,
    current_dir: &Path,
) -> Result<Vec<PathBuf>, CommandError> {
    let known = store.projects().await?;
    // Components compare without a trailing separator, and without `.`; links are another name for the same folder.
    let folder = std::path::absolute(current_dir.join(text)).unwrap_or_else(|_| current_dir.join(text));
    let real = std::fs::canonicalize(&folder).ok();
    let same = |path: &Path| {
        *path == folder || real.as_ref().is_some_and(|real| std::fs::canonicalize(path).is_ok_and(|path| path == *real))
    };
    let mut found: Vec<PathBuf> = known.iter().filter(|p| same(&p.path)).map(|p| p.path.clone()).collect();
    if found.is_empty() {
        found = known.iter().filter(|project| project.name == text).map(|project| project.path.clone()).collect();
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let similar = known
        .iter()
        .map(|project| (strsim::damerau_levenshtein(&project.name, text), &project.name))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, name)| name.clone());
    Err(CommandError::UnknownProject { text: text.to_owned(), similar })
}

//! `runner stats`: how long each script takes, how often it succeeds, and what timeout that suggests.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::CommandError;
use super::history::find_projects;
use super::table::{Align, Cell, Table};
use super::view::{View, outcome_style, rfc3339, seconds};
use crate::model::format_duration;
use crate::store::{ProjectRow, ScriptStats, Store};

/// Timeouts by script, as the project file writes it; `None` for scripts without one.
pub(super) type Timeouts = HashMap<String, Option<Duration>>;

/// What is asked for.
pub(super) struct StatsRequest<'a> {
    /// This project only: its folder or its name.
    pub project: Option<String>,
    /// The folder that a relative project folder starts from.
    pub current_dir: PathBuf,
    /// Of each script the last so many times.
    pub times: u32,
    /// The timeouts that a project sets; `None` if its file can't be read.
    pub timeouts: &'a dyn Fn(&ProjectRow) -> Option<Timeouts>,
}

/// One line, or one object.
struct Line {
    project: ProjectRow,
    stats: ScriptStats,
    /// The script's configured timeout, `None` within if it has none; `None` if that isn't known.
    timeout: Option<Option<Duration>>,
}

/// Writes how each script did.
///
/// # Errors
/// When the project is unknown, the database can't be read or the answer not written.
pub(super) async fn stats(
    store: &mut Store,
    request: &StatsRequest<'_>,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut projects = store.projects().await?;
    if let Some(text) = &request.project {
        let wanted = find_projects(store, text, &request.current_dir).await?;
        projects.retain(|project| wanted.contains(&project.path));
    }
    let several = projects.len() > 1;
    let mut lines = Vec::new();
    for project in projects {
        let scripts = store.script_stats(&project.path, request.times).await?;
        let timeouts = if scripts.is_empty() { None } else { (request.timeouts)(&project) };
        lines.extend(scripts.into_iter().map(|stats| {
            let timeout = timeouts.as_ref().and_then(|timeouts| timeouts.get(&stats.script).copied());
            Line { project: project.clone(), stats, timeout }
        }));
    }
    if view.json {
        for line in &lines {
            writeln!(out, "{}", object(line))?;
        }
        return Ok(());
    }
    if lines.is_empty() {
        writeln!(out, "No script has been tried yet: `runner run FOLDER` runs a project.")?;
        return Ok(());
    }
    Ok(table(&lines, several).write(out, view.color)?)
}

fn table(lines: &[Line], several: bool) -> Table {
    let mut table = Table::new(&[
        ("PROJECT", Align::Left),
        ("SCRIPT", Align::Left),
        ("RUNS", Align::Right),
        ("OK", Align::Right),
        ("RETRIES", Align::Right),
        ("MEDIAN", Align::Right),
        ("95%", Align::Right),
        ("LONGEST", Align::Right),
        ("LAST", Align::Right),
        ("TIMEOUT", Align::Right),
        ("SUGGESTED", Align::Right),
    ]);
    let text = |us: Option<u64>| us.map(|us| format_duration(Duration::from_micros(us))).unwrap_or_default();
    for Line { project, stats, timeout } in lines {
        let timeout = timeout.map(|timeout| timeout.map_or_else(|| "none".to_owned(), format_duration));
        table.row(vec![
            // The name of the only project is no news.
            if several { project.name.as_str() } else { "" }.into(),
            stats.name.as_str().into(),
            stats.runs.to_string().into(),
            // Rounded down: what failed once isn't perfect.
            format!("{}%", stats.succeeded * 100 / stats.runs.max(1)).into(),
            if stats.retries > 0 { stats.retries.to_string() } else { String::new() }.into(),
            text(stats.median_us).into(),
            text(stats.p95_us).into(),
            text(stats.longest_us).into(),
            Cell::styled(text(Some(stats.last_us)), outcome_style(Some(&stats.last_outcome))),
            timeout.unwrap_or_default().into(),
            stats.suggested_timeout.map(format_duration).unwrap_or_default().into(),
        ]);
    }
    table
}

/// The documented keys, no others.
fn object(Line { project, stats, timeout }: &Line) -> serde_json::Value {
    json!({
        "project": project.name,
        "path": project.path,
        "script": stats.script,
        "name": stats.name,
        "runs": stats.runs,
        "succeeded": stats.succeeded,
        "success_rate": stats.succeeded as f64 / stats.runs.max(1) as f64,
        "retries": stats.retries,
        "median_seconds": stats.median_us.map(seconds),
        "p95_seconds": stats.p95_us.map(seconds),
        "longest_seconds": stats.longest_us.map(seconds),
        "last_started": rfc3339(stats.last_started),
        "last_outcome": stats.last_outcome.kind(),
        "last_seconds": seconds(stats.last_us),
        "timeout_seconds": timeout.flatten().map(|timeout| timeout.as_secs_f64()),
        "suggested_timeout_seconds": stats.suggested_timeout.map(|timeout| timeout.as_secs()),
    })
}

//! `runner list`: the projects that ran.

use std::io::Write;

use serde_json::json;

use super::CommandError;
use super::table::{Align, Cell, Table};
use super::view::{BOLD, View, rfc3339, seconds, status_cell};
use crate::store::Store;

/// Writes the known projects with their last runs, by name.
///
/// # Errors
/// When the database can't be read or the answer not written.
pub(super) async fn list(store: &mut Store, view: &View, out: &mut dyn Write) -> Result<(), CommandError> {
    let projects = store.projects().await?;
    if view.json {
        for project in &projects {
            let run = project.last_run.as_ref();
            let object = json!({
                "name": project.name,
                "path": project.path,
                "run_id": run.map(|run| &run.run_id),
                "status": run.map(|run| run.status),
                "started": run.map(|run| rfc3339(run.started)),
                "duration_seconds": run.and_then(|run| run.finished.map(|_| seconds(run.duration_us))),
            });
            writeln!(out, "{object}")?;
        }
        return Ok(());
    }
    if projects.is_empty() {
        writeln!(out, "No project has run yet: `runner run FOLDER` runs one.")?;
        return Ok(());
    }
    let mut table = Table::new(&[
        ("PROJECT", Align::Left),
        ("LAST RUN", Align::Left),
        ("STARTED", Align::Left),
        ("TOOK", Align::Right),
        ("FOLDER", Align::Left),
    ]);
    for project in &projects {
        let run = project.last_run.as_ref();
        table.row(vec![
            Cell::styled(&project.name, BOLD),
            run.map_or_else(|| Cell::from(""), |run| status_cell(run.status)),
            run.map(|run| view.time(run.started)).unwrap_or_default().into(),
            run.map(|run| view.took(run)).unwrap_or_default().into(),
            project.path.display().to_string().into(),
        ]);
    }
    Ok(table.write(out, view.color)?)
}

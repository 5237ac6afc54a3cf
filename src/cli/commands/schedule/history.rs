//! `runner schedule history`: what became of each planned instant, by the ledger.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::entries::with_ledger;
use super::status::{in_zone, words};
use crate::cli::ExitCode;
use crate::cli::args::ScheduleHistoryArgs;
use crate::cli::commands::StateDir;
use crate::cli::commands::table::{Align, Cell, Table};
use crate::cli::output::{self, Output};
use crate::config;
use crate::store::{self, OccurrenceRow, ScheduleFilter, ScheduleRow};

/// Neighbouring instants with the same answer, and whose they are.
struct Line {
    schedule: ScheduleRow,
    zone: TimeZone,
    row: OccurrenceRow,
}

pub(super) fn history(args: &ScheduleHistoryArgs, state: &StateDir, output: &Output) -> ExitCode {
    let here = Path::new(".");
    let named = args.project.as_deref().or_else(|| config::is_project(here).then_some(here));
    // The project file isn't read: it may be broken, and the ledger knows the schedules also of a project that is gone.
    let root = named.map(|named| (named, config::project_root(named).ok()));
    with_ledger(state, output, async |ledger| {
        let schedules = ledger.store().schedules(&ScheduleFilter { projects: None, with_ended: true }).await?;
        let mut lines = Vec::new();
        for schedule in schedules {
            let is_meant = root.as_ref().is_none_or(|(named, root)| {
                root.as_ref().is_some_and(|root| store::is_same_folder(root, &schedule.project_dir))
                    || *named == schedule.project_dir
                    || *named == Path::new(&schedule.project)
            });
            if !is_meant {
                continue;
            }
            let zone = ledger.revive(&schedule).map_or_else(TimeZone::system, |revived| revived.zone);
            for row in ledger.store().occurrences(schedule.id, args.limit).await? {
                lines.push(Line { schedule: schedule.clone(), zone: zone.clone(), row });
            }
        }
        lines.sort_by_key(|line| std::cmp::Reverse((line.row.last, line.row.first)));
        lines.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
        if args.json {
            lines.iter().for_each(|line| output.line(as_json(line)));
        } else {
            show(&lines, output);
        }
        Ok(ExitCode::Success)
    })
}

fn show(lines: &[Line], output: &Output) {
    if lines.is_empty() {
        output.line(
            "No answer: nothing was due yet of a schedule that somebody keeps; `runner schedule status` shows who.",
        );
        return;
    }
    let columns = ["PROJECT", "PROFILE", "SCHEDULE", "PLANNED", "COUNT", "ANSWER", "WHY", "INTO", "RUN", "DETAIL"];
    let mut table = Table::new(&columns.map(|name| (name, if name == "COUNT" { Align::Right } else { Align::Left })));
    for Line { schedule, zone, row } in lines {
        let local = |at: Timestamp| in_zone(at, zone);
        let (answer, why) = words(row);
        let style = match answer {
            "ran" => output::GOOD,
            "missed" => output::BAD,
            "late" | "skipped" => output::WARNING,
            _ => output::DIM,
        };
        let planned = if row.first == row.last {
            local(row.first)
        } else {
            format!("{} – {}", local(row.first), local(row.last))
        };
        table.row(vec![
            schedule.project.as_str().into(),
            schedule.profile.as_deref().unwrap_or_default().into(),
            schedule.name.as_str().into(),
            planned.into(),
            if row.count == 1 { "".into() } else { row.count.to_string().into() },
            Cell::styled(answer, style),
            why.unwrap_or_default().replace('_', " ").into(),
            row.into.map(local).unwrap_or_default().into(),
            row.run_id.as_ref().map(ToString::to_string).unwrap_or_default().into(),
            row.detail.as_deref().unwrap_or_default().into(),
        ]);
    }
    let mut text = Vec::new();
    let _ = table.write(&mut text, output.color);
    output.line(String::from_utf8_lossy(&text).trim_end());
}

fn as_json(Line { schedule, row, .. }: &Line) -> serde_json::Value {
    let (answer, why) = words(row);
    json!({
        "project": schedule.project,
        "path": schedule.project_dir.to_string_lossy(),
        "profile": schedule.profile,
        "schedule": schedule.name,
        "first_utc": row.first.to_string(),
        "last_utc": row.last.to_string(),
        "count": row.count,
        "answer": answer,
        "reason": why,
        "into_utc": row.into.map(|into| into.to_string()),
        "run_id": row.run_id,
        "detail": row.detail,
    })
}

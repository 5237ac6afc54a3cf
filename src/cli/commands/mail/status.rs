//! `runner mail status`: what waits to be sent, and why; what has failed.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::super::StateDir;
use super::super::delivery::next_at;
use super::super::reading::{bring_up_to_date, with_store};
use super::super::table::{Align, Cell, Table};
use super::super::view::{BOLD, DIM, View, one_line, rfc3339};
use crate::cli::ExitCode;
use crate::cli::args::MailStatusArgs;
use crate::cli::output::{BAD, Output, WARNING};
use crate::model::RunId;
use crate::store::{Hold, HoldKind, OutboxRow, OutboxState};

pub(super) fn status(args: &MailStatusArgs, state: &StateDir, output: &Output) -> ExitCode {
    with_store(state, output, async |store, out| {
        // Mails that wait in run folders are known by their runs.
        bring_up_to_date(store, None, output).await?;
        let rows = store.undelivered_or_failed().await?;
        let holds = store.holds().await?;
        let kept = store.kept_mails().await?;
        let view = View::now(args.json, output.color);
        if view.json {
            for row in &rows {
                writeln!(out, "{}", object(row, hold_of(row, &holds)))?;
            }
            for (run_id, run_dir) in &kept {
                writeln!(out, "{}", json!({ "run_id": run_id, "state": "kept", "run_dir": run_dir }))?;
            }
            return Ok(());
        }
        Ok(write(&rows, &holds, &kept, &view, out)?)
    })
}

/// What keeps the sender of an entry from sending, if something does.
fn hold_of<'a>(row: &OutboxRow, holds: &'a HashMap<String, Hold>) -> Option<&'a Hold> {
    holds.get(row.sender.as_ref()?).filter(|_| !row.state.is_final())
}

fn object(row: &OutboxRow, hold: Option<&Hold>) -> serde_json::Value {
    json!({
        "id": row.id,
        "kind": row.kind,
        "slot": row.slot,
        "run_id": row.run_id,
        "project_dir": row.project_dir,
        "profile": row.profile,
        "subject": row.subject,
        "recipients": row.recipients,
        "refused": row.refused,
        "state": row.state,
        "in_doubt": row.in_doubt,
        "attempts": row.attempts,
        "queued_at": rfc3339(row.queued_at),
        "next_at": next_at(row, hold).map(rfc3339),
        "ended_at": row.ended_at.map(rfc3339),
        "error": row.last_error,
        "last_reply": row.last_reply,
        "hold": hold.map(|hold| hold.kind.name()),
    })
}

fn write(
    rows: &[OutboxRow],
    holds: &HashMap<String, Hold>,
    kept: &[(RunId, std::path::PathBuf)],
    view: &View,
    out: &mut dyn Write,
) -> io::Result<()> {
    if rows.is_empty() && kept.is_empty() {
        return writeln!(out, "Nothing waits to be sent, and nothing has failed.");
    }
    if !rows.is_empty() {
        table(rows, holds, view).write(out, view.color)?;
    }
    for hold in holds.values() {
        let concerned = rows.iter().filter(|row| hold_of(row, holds) == Some(hold)).count();
        if concerned > 0 {
            write_hold(hold, concerned, view, out)?;
        }
    }
    for row in rows {
        // What the hold says is said once.
        let of_hold = hold_of(row, holds).map(|hold| hold.error.as_str());
        if let Some(error) = row.last_error.as_deref().filter(|error| Some(*error) != of_hold) {
            writeln!(out, "\n{}: {}", view.paint(BOLD, &row.id.to_string()), one_line(error))?;
        }
        for refused in &row.refused {
            writeln!(out, "  never to {}: {}", one_line(&refused.recipient), one_line(&refused.reply))?;
        }
        if row.in_doubt && !row.state.is_final() {
            writeln!(out, "  an attempt broke off when nobody could know whether the server has it: it is sent again")?;
        }
    }
    for (run_id, run_dir) in kept {
        let place = run_dir.display();
        writeln!(out, "\nthe mail about run {run_id} waits in {place} until the outbox can take it")?;
    }
    if rows.iter().any(|row| row.state == OutboxState::Failed) {
        writeln!(out, "\n`runner mail flush --failed` tries what has failed once more.")?;
    }
    Ok(())
}

fn table(rows: &[OutboxRow], holds: &HashMap<String, Hold>, view: &View) -> Table {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("RUN", Align::Left),
        ("PROJECT", Align::Left),
        ("SUBJECT", Align::Left),
        ("TO", Align::Left),
        ("STATE", Align::Left),
        ("TRIED", Align::Right),
        ("NEXT TRY", Align::Left),
    ]);
    for row in rows {
        let hold = hold_of(row, holds);
        let style = if row.state == OutboxState::Failed { BAD } else { WARNING };
        let state = match hold {
            Some(hold) if hold.kind == HoldKind::Pause => "paused",
            _ => row.state.name(),
        };
        let next = match next_at(row, hold) {
            Some(at) if at > view.now => view.time(at),
            _ if row.state.is_final() => String::new(),
            _ => "next run".to_owned(),
        };
        let project = row.project_dir.file_name().unwrap_or(Path::new("/").as_os_str()).to_string_lossy();
        table.row(vec![
            row.id.to_string().into(),
            row.run_id.as_ref().map(RunId::as_str).unwrap_or_default().into(),
            one_line(&project).into(),
            one_line(&row.subject).into(),
            to(row).into(),
            Cell::styled(state, style),
            row.attempts.to_string().into(),
            next.into(),
        ]);
    }
    table
}

/// `ann@example.com and 2 more`, or which of a project's web addresses.
fn to(row: &OutboxRow) -> String {
    if !row.kind.is_mail() {
        return row.slot.clone().unwrap_or_else(|| row.kind.name().to_owned());
    }
    let first = row.recipients.first().map(|one| one_line(one)).unwrap_or_default();
    match row.recipients.len() {
        0 | 1 => first,
        n => format!("{first} and {} more", n - 1),
    }
}

fn write_hold(hold: &Hold, concerned: usize, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let what = match hold.kind {
        HoldKind::Hold => "held",
        HoldKind::Pause => "paused",
        HoldKind::Retry => "waiting for the server",
    };
    let mails = if concerned == 1 { "1 mail".to_owned() } else { format!("{concerned} mails") };
    let since = view.time(hold.since);
    writeln!(out, "\n{}: {}", view.paint(BOLD, &format!("{mails} {what} since {since}")), one_line(&hold.error))?;
    let again = view.time(hold.until);
    let how = match hold.kind {
        HoldKind::Hold => "they also go out once the settings have changed; ",
        HoldKind::Pause | HoldKind::Retry => "",
    };
    let text = format!("tried again from {again} on; {how}`runner mail flush` tries at once");
    writeln!(out, "  {}", view.paint(DIM, &text))
}

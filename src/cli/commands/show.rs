//! `runner show RUN`: one run, script by script.

use std::io::{self, Write};

use super::CommandError;
use super::table::{Align, Cell, Table};
use super::view::{BOLD, DIM, View, outcome_style, printable, status_style};
use crate::event::replay;
use crate::model::{MailState, Outcome, RunReport, RunStatus, ScriptReport, format_duration, format_size};
use crate::store::{FindRunError, Store};

/// Which run is asked for.
#[derive(Debug, Clone)]
pub(super) struct ShowRequest {
    /// The beginning of its id.
    pub run: String,
}

/// Writes what is known of a run; as JSON the whole [`RunReport`], one object on one line.
///
/// # Errors
/// When there is no such run, the database can't be read or the answer not written.
pub(super) async fn show(
    store: &mut Store,
    request: &ShowRequest,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let report = load_report(store, &request.run).await?;
    if view.json {
        serde_json::to_writer(&mut *out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    header(&report, view, out)?;
    writeln!(out)?;
    scripts(&report, view, out)?;
    details(&report, view, out)?;
    Ok(())
}

/// The report of the run whose id begins with `prefix`: what the database knows, with the whole tracebacks as long as
/// the run's folder is there.
///
/// # Errors
/// When there is no such run, or the database can't be read.
pub(super) async fn load_report(store: &mut Store, prefix: &str) -> Result<RunReport, FindRunError> {
    let row = store.run(prefix).await?;
    let mut report = store.report(row).await?;
    // The database is enough, so that nothing is lost but length if the folder is gone or can't be read.
    if let Ok(told) = replay(&report.run_dir.join("events.jsonl")) {
        for (script, told) in report.scripts.iter_mut().zip(told.scripts) {
            if told.traceback.is_some() {
                script.traceback = told.traceback;
            }
            script.last_lines = told.last_lines;
        }
    }
    Ok(report)
}

fn header(report: &RunReport, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let status = view.paint(status_style(report.status).bold(), report.status.name());
    let project = view.paint(BOLD, &printable(&report.project));
    writeln!(out, "{project}, run {}: {status}", report.run_id)?;
    let mut line = |label: &str, value: &str| -> io::Result<()> {
        writeln!(out, "  {} {}", view.paint(DIM, &format!("{label:<8}")), printable(value))
    };
    let took = match report.status {
        RunStatus::Running => {
            format!("running for {}", format_duration((view.now - report.started).to_std().unwrap_or_default()))
        }
        _ => format!("took {}", format_duration(report.duration())),
    };
    line("started", &format!("{} on {}, {took}", view.time(report.started), report.host))?;
    if let Some(profile) = &report.profile {
        line("profile", profile)?;
    }
    if let Some(mail) = mail(report.mail.as_ref()) {
        line("mail", &mail)?;
    }
    line("project", &report.project_dir.display().to_string())?;
    line("log", &report.log_file.display().to_string())?;
    line("folder", &report.run_dir.display().to_string())
}

fn mail(mail: Option<&MailState>) -> Option<String> {
    Some(match mail? {
        MailState::NotDue => "none was due".to_owned(),
        MailState::Off => "switched off".to_owned(),
        MailState::Written { file } => format!("written to {}", file.display()),
        MailState::Sent { reply } => format!("sent ({reply})"),
        MailState::Failed { error } => format!("not sent: {error}"),
    })
}

fn scripts(report: &RunReport, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&[
        ("SCRIPT", Align::Left),
        ("TOOK", Align::Right),
        ("CPU", Align::Right),
        ("MEMORY", Align::Right),
        ("ATTEMPTS", Align::Right),
        ("OUTPUT", Align::Right),
        ("END", Align::Left),
    ]);
    for script in &report.scripts {
        let ended = script.outcome.is_some() && script.attempts > 0;
        let when_ended = |text: String| if ended { text } else { String::new() };
        table.row(vec![
            script.name.as_str().into(),
            when_ended(format_duration(script.duration())).into(),
            cpu(script).into(),
            script.usage.peak_memory_bytes.map(format_size).unwrap_or_default().into(),
            // One attempt is what everybody expects.
            if script.attempts > 1 { script.attempts.to_string() } else { String::new() }.into(),
            if script.output.bytes > 0 { format_size(script.output.bytes) } else { String::new() }.into(),
            Cell::styled(end(script, report.status), outcome_style(script.outcome.as_ref())),
        ]);
    }
    table.write(out, view.color)
}

fn cpu(script: &ScriptReport) -> String {
    match (script.usage.cpu_user_us, script.usage.cpu_system_us) {
        (None, None) => String::new(),
        (user, system) => {
            format_duration(std::time::Duration::from_micros(user.unwrap_or(0).saturating_add(system.unwrap_or(0))))
        }
    }
}

fn end(script: &ScriptReport, status: RunStatus) -> String {
    match (&script.outcome, script.started, status) {
        (Some(outcome), _, _) => outcome.to_string(),
        (None, Some(_), RunStatus::Running) => "running".to_owned(),
        (None, None, RunStatus::Running) => "waiting".to_owned(),
        (None, _, _) => "unknown".to_owned(),
    }
}

/// What doesn't fit into the table: warnings, processes left behind, tracebacks or last lines.
fn details(report: &RunReport, view: &View, out: &mut dyn Write) -> io::Result<()> {
    if !report.warnings.is_empty() {
        writeln!(out)?;
    }
    for warning in &report.warnings {
        writeln!(out, "{} {}", view.paint(status_style(RunStatus::Running), "warning:"), printable(warning))?;
    }
    for script in &report.scripts {
        let last_words = script.last_words().filter(|_| !script.success());
        if last_words.is_none() && script.leaked.is_empty() && script.output.cut == 0 {
            continue;
        }
        let end = script.outcome.as_ref().map(Outcome::to_string).unwrap_or_default();
        let end = view.paint(outcome_style(script.outcome.as_ref()), &printable(&end));
        writeln!(out, "\n{}: {end}", view.paint(BOLD, &printable(&script.name)))?;
        for line in last_words.map(printable).iter().flat_map(|text| text.lines()) {
            if line.is_empty() { writeln!(out)? } else { writeln!(out, "  {line}")? }
        }
        for process in &script.leaked {
            writeln!(out, "  outlived it and was ended: {} (process {})", printable(&process.command), process.pid)?;
        }
        if script.output.cut > 0 {
            writeln!(out, "  {} of its output were left out", format_size(script.output.cut))?;
        }
    }
    Ok(())
}

//! `runner show RUN`: one run, script by script.

use std::io::{self, Write};
use std::time::Duration;

use super::CommandError;
use super::delivery;
use super::table::{Align, Cell, Table};
use super::view::{BOLD, DIM, View, outcome_style, printable, status_style};
use crate::event::{EVENTS_FILE, replay};
use crate::model::{MailState, RunParam, RunReport, RunStatus, ScriptReport, format_duration, format_size};
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
    let mut report = load_report(store, &request.run).await?;
    let (mail, entry) = delivery::current(store, &report.run_id, report.mail.take()).await?;
    report.mail = mail;
    if view.json {
        serde_json::to_writer(&mut *out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let attempts = match &entry {
        Some(entry) => Some(delivery::attempts(store, entry, view).await?),
        None => None,
    };
    header(&report, attempts.as_deref(), view, out)?;
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
    if let Ok(told) = replay(&report.run_dir.join(EVENTS_FILE)) {
        for (script, told) in report.scripts.iter_mut().zip(told.scripts) {
            if told.traceback.is_some() {
                script.traceback = told.traceback;
            }
            if told.last_lines.is_some() {
                script.last_lines = told.last_lines;
            }
        }
    }
    Ok(report)
}

fn header(report: &RunReport, attempts: Option<&str>, view: &View, out: &mut dyn Write) -> io::Result<()> {
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
    if let Some(parent) = &report.parent {
        line("origin", &parent.to_string())?;
    }
    if let Some(planned) = report.planned {
        let by = report.occasion.as_ref().map(|occasion| format!(" by schedule `{}`", occasion.schedule));
        line("planned", &format!("for {}{}", view.time(planned), by.unwrap_or_default()))?;
    }
    for remark in report.occasion.iter().flat_map(|occasion| occasion.remarks(report.started)) {
        line("", &remark)?;
    }
    if let Some(profile) = &report.profile {
        line("profile", profile)?;
    }
    let inputs: Vec<String> = report.params.iter().filter(|one| one.differs).map(RunParam::told).collect();
    if !inputs.is_empty() {
        line("inputs", &inputs.join(" "))?;
    }
    if let Some(mail) = mail(report.mail.as_ref()) {
        line("mail", &mail)?;
    }
    if let Some(attempts) = attempts {
        line("", attempts)?;
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
        MailState::Queued { error: None } => "queued".to_owned(),
        MailState::Queued { error: Some(error) } => format!("queued: {error}"),
        MailState::Held { error } => format!("held: {error}"),
        MailState::Kept { error } => format!("kept in the run's folder: {error}"),
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
        (user, system) => format_duration(Duration::from_micros(user.unwrap_or(0).saturating_add(system.unwrap_or(0)))),
    }
}

/// `exit code 3`, `success at attempt 3`.
fn end(script: &ScriptReport, status: RunStatus) -> String {
    match (&script.outcome, script.started, status) {
        (Some(outcome), _, _) if script.retry_pending => format!("{outcome}; to be tried again"),
        (Some(outcome), _, _) if script.attempts > 1 && outcome.is_success() => {
            format!("{outcome} at attempt {}", script.attempts)
        }
        (Some(outcome), _, _) => outcome.to_string(),
        (None, Some(_), RunStatus::Running) => "running".to_owned(),
        (None, None, RunStatus::Running) => "waiting".to_owned(),
        (None, _, _) => "unknown".to_owned(),
    }
}

/// What doesn't fit into the table: warnings, files, and of scripts their earlier attempts, unusual durations, processes
/// left behind, tracebacks or last lines.
fn details(report: &RunReport, view: &View, out: &mut dyn Write) -> io::Result<()> {
    if !report.files.is_empty() {
        writeln!(out, "\n{}", view.paint(BOLD, "files"))?;
    }
    for file in &report.files {
        writeln!(out, "  {} ({})", printable(&file.name), format_size(file.bytes))?;
    }
    if !report.warnings.is_empty() {
        writeln!(out)?;
    }
    for warning in &report.warnings {
        writeln!(out, "{} {}", view.paint(status_style(RunStatus::Running), "warning:"), printable(warning))?;
    }
    report.scripts.iter().try_for_each(|script| script_details(script, report.status, view, out))
}

fn script_details(script: &ScriptReport, status: RunStatus, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let last_words = script.last_words().filter(|_| !script.success());
    let pace = script.pace_remark();
    let is_plain = last_words.is_none() && pace.is_none() && script.earlier.is_empty();
    if is_plain && script.leaked.is_empty() && script.output.cut == 0 {
        return Ok(());
    }
    let end = view.paint(outcome_style(script.outcome.as_ref()), &printable(&end(script, status)));
    writeln!(out, "\n{}: {end}", view.paint(BOLD, &printable(&script.name)))?;
    for earlier in &script.earlier {
        let took = format_duration(Duration::from_micros(earlier.duration_us));
        let end = printable(&earlier.outcome.to_string());
        writeln!(out, "  attempt {}: {end} (took {took})", earlier.attempt)?;
    }
    if let Some(pace) = pace {
        writeln!(out, "  {} {pace}", view.paint(status_style(RunStatus::Running), "unusual:"))?;
    }
    for line in last_words.map(printable).iter().flat_map(|text| text.lines()) {
        if line.is_empty() { writeln!(out)? } else { writeln!(out, "  {line}")? }
    }
    for process in &script.leaked {
        let (fate, command) = (process.fate(), printable(&process.command));
        writeln!(out, "  outlived it and {fate}: {command} (process {})", process.pid)?;
    }
    if script.output.cut > 0 {
        writeln!(out, "  {} of its output were left out", format_size(script.output.cut))?;
    }
    Ok(())
}

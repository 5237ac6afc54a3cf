//! The plan for people to read, as `--dry-run` shows it.

use std::fmt::Write;

use super::RunPlan;
use crate::model::{EmailStrategy, OnFailure, Project, format_duration};

/// What would be run, where, and with which limits. Values of variables are left out: they may be secrets.
#[must_use]
pub fn render(project: &Project, plan: &RunPlan<'_>) -> String {
    let mut text = String::new();
    let count = plan.steps.len();
    let scripts = if count == 1 { "script" } else { "scripts" };
    let _ = writeln!(text, "{}: {count} {scripts} in {}", project.name, project.root.display());
    for (at, step) in plan.steps.iter().enumerate() {
        let settings = &step.script.settings;
        let _ = write!(
            text,
            "{:>3}. {}\n     {}",
            at + 1,
            step.script.name,
            quoted(&settings.interpreter.path.to_string_lossy())
        );
        for argument in step.arguments() {
            let _ = write!(text, " {}", quoted(&argument.to_string_lossy()));
        }
        text.push('\n');
        let mut notes = Vec::new();
        if settings.working_dir != project.root {
            notes.push(format!("in {}", settings.working_dir.display()));
        }
        let names: Vec<&str> = settings.env_file.keys().chain(settings.env.keys()).map(String::as_str).collect();
        if !names.is_empty() {
            notes.push(format!("with {}", names.join(", ")));
        }
        if let Some(timeout) = settings.timeout {
            let grace = format_duration(settings.kill_grace);
            notes.push(format!("ended after {}, killed {grace} later", format_duration(timeout)));
        }
        if settings.on_failure == OnFailure::Stop {
            notes.push("the rest is skipped if it fails".into());
        }
        if settings.success_codes != [0] {
            let codes: Vec<String> = settings.success_codes.iter().map(u32::to_string).collect();
            notes.push(format!("exit codes {} are success", codes.join(", ")));
        }
        if !notes.is_empty() {
            let _ = writeln!(text, "     {}", notes.join("; "));
        }
    }
    let mail = match project.email_strategy {
        EmailStrategy::None => "no mail".to_owned(),
        strategy => format!("mail ({}) to {}", strategy.name(), project.recipients.join(", ")),
    };
    let _ = writeln!(text, "  log {}; {mail}", project.log_file().display());
    text
}

/// As a person would type it; only to be read, never to be run by a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./\\:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("\"{text}\"") }
}

//! The plan for people to read, as `--dry-run` shows it.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::RunPlan;
use crate::model::{
    Backoff, EmailStrategy, Expectation, Freshness, Jitter, OnFailure, OnLeak, ParamSource, Project, RetryPolicy,
    RunParam, format_duration, quoted_text,
};

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
            quoted_text(&settings.interpreter.path.to_string_lossy())
        );
        for argument in step.arguments(&plan.inputs) {
            let _ = write!(text, " {}", quoted_text(&plan.secrets.masked(&argument.to_string_lossy())));
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
        notes.extend(retries(&settings.retries));
        notes.extend(settings.expect.iter().map(|one| expectation(one, &settings.working_dir)));
        notes.extend(leaks(settings.on_leak, settings.leak_timeout));
        if let Some(slow) = settings.slow_after {
            notes.push(format!("slow after {}", format_duration(slow)));
        }
        if !notes.is_empty() {
            let _ = writeln!(text, "     {}", notes.join("; "));
        }
    }
    let inputs = plan.inputs.report(&plan.secrets);
    let inputs: Vec<String> =
        inputs.iter().filter(|one| one.source != ParamSource::Unset).map(RunParam::told).collect();
    if !inputs.is_empty() {
        let _ = writeln!(text, "  inputs {}", inputs.join(" "));
    }
    let turns = turns(project);
    if !turns.is_empty() {
        let _ = writeln!(text, "  {}", turns.join("; "));
    }
    let mail = match project.email_strategy {
        EmailStrategy::None => "no mail".to_owned(),
        strategy => format!("mail ({}) to {}", strategy.name(), project.recipients.join(", ")),
    };
    let _ = writeln!(text, "  log {}; {mail}", project.log_file().display());
    text
}

fn retries(policy: &RetryPolicy) -> Option<String> {
    if policy.count == 0 {
        return None;
    }
    let times = if policy.count == 1 { "once".to_owned() } else { format!("up to {} times", policy.count) };
    let mut note = format!("tried again {times} after {}", format_duration(policy.delay));
    if policy.backoff == Backoff::Exponential {
        note.push_str(", each time twice as long");
    }
    match policy.jitter {
        Jitter::Share(share) if share > 0.0 => {
            let _ = write!(note, ", up to {:.0} % longer at random", share * 100.0);
        }
        Jitter::UpTo(most) if !most.is_zero() => {
            let _ = write!(note, ", up to {} longer at random", format_duration(most));
        }
        _ => {}
    }
    if let Some(most) = policy.max_delay {
        let _ = write!(note, ", at most {}", format_duration(most));
    }
    if let Some(on) = &policy.on {
        let codes = on.exit_codes.iter().map(|code| format!("exit code {code}"));
        let ends: Vec<String> = codes.chain(on.timeout.then(|| "its timeout".to_owned())).collect();
        let _ = write!(note, ", if it ended with {}", ends.join(" or "));
    }
    Some(note)
}

fn expectation(expected: &Expectation, working_dir: &Path) -> String {
    let mut parts = Vec::new();
    if let Some(file) = &expected.file {
        let mut part = format!("leave {}", file.strip_prefix(working_dir).unwrap_or(file).display());
        match expected.fresh {
            Some(Freshness::SinceStart) => part.push_str(", written by this run"),
            Some(Freshness::Within(time)) => {
                let _ = write!(part, ", written within the last {}", format_duration(time));
            }
            None => {}
        }
        if expected.not_empty {
            part.push_str(", not empty");
        }
        if let Some(rows) = expected.min_rows {
            let _ = write!(part, ", with at least {rows} rows");
        }
        parts.push(part);
    }
    if let Some(pattern) = &expected.output {
        parts.push(format!("print a line that matches `{pattern}`"));
    }
    format!("must {}", parts.join(" and "))
}

fn leaks(on_leak: OnLeak, timeout: Duration) -> Option<String> {
    let after = format_duration(timeout);
    match on_leak {
        OnLeak::End if timeout == Duration::from_secs(1) => None,
        OnLeak::End => Some(format!("what outlives it by {after} is ended")),
        OnLeak::Leave => Some(format!("what outlives it by {after} goes on")),
        OnLeak::Fail => Some(format!("fails if something outlives it by {after}")),
    }
}

/// When it may run beside other runs.
fn turns(project: &Project) -> Vec<String> {
    let mut notes = Vec::new();
    if project.overlap.allow > 1 {
        notes.push(format!("up to {} runs at once", project.overlap.allow));
    }
    if let Some(wait) = project.overlap.wait {
        notes.push(format!("waits up to {} for its turn", format_duration(wait)));
    }
    if !project.locks.is_empty() {
        let locks = if project.locks.len() == 1 { "lock" } else { "locks" };
        notes.push(format!("holds the {locks} {}", project.locks.join(", ")));
    }
    notes
}

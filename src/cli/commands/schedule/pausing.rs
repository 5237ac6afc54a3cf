//! `runner schedule pause` and `resume`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::clerk::{Clerk, now};
use super::scheduled::{find, of_schedule};
use crate::cli::ExitCode;
use crate::cli::args::SchedulePauseArgs;
use crate::cli::commands::{StateDir, check};
use crate::cli::output::{self, Output, styled};
use crate::config::Environment;
use crate::model::Project;
use crate::schedule::Schedule;
use crate::store::{ScheduleRow, StoreError};

pub(super) fn pause(args: &SchedulePauseArgs, state: &StateDir, output: &Output) -> ExitCode {
    change(args, state, output, Change::Pause)
}

pub(super) fn resume(args: &SchedulePauseArgs, state: &StateDir, output: &Output) -> ExitCode {
    change(args, state, output, Change::Resume)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Pause,
    Resume,
}

fn change(args: &SchedulePauseArgs, state: &StateDir, output: &Output, change: Change) -> ExitCode {
    let error = |message: &str| output.error(format!("{} {message}", styled(output::BAD, "error:")));
    let env = Environment::from_process();
    let Some(loaded) = check::load(&args.project, args.profile.as_deref(), &env, output) else {
        return ExitCode::Usage;
    };
    let project = loaded.project;
    let chosen = match &args.schedule {
        Some(name) => find(&project, Some(name)).map(|schedule| vec![schedule.clone()]),
        None if project.schedules.is_empty() => find(&project, None).map(|_| Vec::new()),
        None => Ok(project.schedules.clone()),
    };
    let chosen = match chosen {
        Ok(chosen) => chosen,
        Err(message) => {
            error(&format!("{}: {message}", project.name));
            return ExitCode::Usage;
        }
    };
    let clerk = match state.required().and_then(Clerk::start) {
        Ok(clerk) => clerk,
        Err(message) => {
            error(&message);
            return ExitCode::CannotWork;
        }
    };
    let mut code = ExitCode::Success;
    for schedule in chosen {
        let (project_name, name) = (project.name.clone(), schedule.name.clone());
        let (project, at) = (project.clone(), now());
        let asked = schedule.clone();
        let done = clerk.ask(move |ledger, runtime| runtime.block_on(apply(ledger, &project, &asked, change, at)));
        match done {
            Some(Ok(Some(row))) => output.line(told(&project_name, &schedule, &row, change, at)),
            Some(Ok(None)) => {
                let hint = "`runner daemon` or `runner schedule install` does";
                error(&format!("{project_name}: nobody keeps the schedule `{name}`; {hint}"));
                code = code.max(ExitCode::Usage);
            }
            Some(Err(trouble)) => {
                error(&trouble.sentence());
                code = code.max(ExitCode::CannotWork);
            }
            None => code = code.max(ExitCode::CannotWork),
        }
    }
    clerk.finish();
    code
}

/// Returns the schedule as it was before; `None` if nobody keeps it.
async fn apply(
    ledger: &mut crate::ledger::Ledger,
    project: &Project,
    schedule: &Schedule,
    change: Change,
    now: Timestamp,
) -> Result<Option<ScheduleRow>, StoreError> {
    let rows = of_schedule(ledger, project, &schedule.name).await?;
    let Some(row) = rows.into_iter().find(|row| row.ended.is_none()) else { return Ok(None) };
    match change {
        Change::Pause => ledger.store().pause(row.id, now).await?,
        Change::Resume => ledger.store().resume(row.id, now).await?,
    }
    Ok(Some(row))
}

fn told(project: &str, schedule: &Schedule, before: &ScheduleRow, change: Change, now: Timestamp) -> String {
    let shown = |at: Timestamp, zone: &TimeZone| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    let next = schedule.next_after(now).map(|next| shown(next, &schedule.zone));
    let next =
        next.map_or_else(|| "nothing more is planned".to_owned(), |next| format!("the next is planned for {next}"));
    let since = before.paused.map(|since| shown(since, &TimeZone::system()));
    let name = &schedule.name;
    match (change, since) {
        (Change::Pause, Some(since)) => {
            format!("{project}: the schedule `{name}` was paused already, since {since}; {next}")
        }
        (Change::Pause, None) => {
            format!(
                "{project}: the schedule `{name}` is paused: what falls due is skipped until `runner schedule resume`; {next}"
            )
        }
        (Change::Resume, Some(since)) => {
            format!("{project}: the schedule `{name}` goes on; it was paused since {since}; {next}")
        }
        (Change::Resume, None) => format!("{project}: the schedule `{name}` is not paused; {next}"),
    }
}

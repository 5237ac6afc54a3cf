//! `runner schedule status`: who starts each schedule's runs, and whether that fits the project file.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::entries::{self, with_ledger};
use super::preview::projects_or_known;
use crate::cli::ExitCode;
use crate::cli::args::ScheduleStatusArgs;
use crate::cli::commands::table::{Align, Cell, Table};
use crate::cli::commands::{StateDir, check, reading::tell_alarm};
use crate::cli::output::{self, Output, styled};
use crate::config::{self, Environment};
use crate::host::found::{Found, Standing as EntryStanding};
use crate::host::{Host, Subject, entry_name};
use crate::ledger::Ledger;
use crate::model::{Project, format_duration, to_timestamp};
use crate::runner::{Known, Overdue, is_here, overdue};
use crate::schedule::{Answer, SkipCause};
use crate::store::{
    DaemonStay, Keeper, OccurrenceRow, OccurrenceState, ScheduleFilter, ScheduleRow, StoreError, is_same_folder,
};

/// A schedule as it is shown.
struct Standing {
    project: String,
    path: String,
    schedule: String,
    profile: Option<String>,
    keeper: Option<Keeper>,
    entry: Option<(&'static str, Option<String>)>,
    paused: Option<Timestamp>,
    /// The instant that should have run and hasn't, and why.
    overdue: Option<(Timestamp, &'static str)>,
    last: Option<OccurrenceRow>,
    next: Option<Timestamp>,
    zone: TimeZone,
    /// What is wrong with the project's files; then all this is from the ledger.
    broken: Option<String>,
}

impl Standing {
    /// Whether anybody will start what is planned, as far as that can be seen.
    fn has_starter(&self, has_daemon: bool) -> bool {
        match self.keeper {
            None => false,
            Some(Keeper::Daemon) => has_daemon,
            Some(_) => !matches!(self.entry, Some(("missing" | "off", _))),
        }
    }
}

pub(super) fn status(args: &ScheduleStatusArgs, state: &StateDir, output: &Output) -> ExitCode {
    let env = Environment::from_process();
    let mut code = ExitCode::Success;
    let (mut projects, mut broken) = (Vec::new(), Vec::new());
    for folder in projects_or_known(&args.projects, state) {
        match check::try_load(&folder, args.profile.as_deref(), &env, output) {
            Ok(loaded) => projects.push(loaded.project),
            Err(error) => {
                code = ExitCode::Usage;
                broken.extend(config::project_root(&folder).map(|root| (root, error.first())));
            }
        }
    }
    let (found, unlisted) = entries::all(None, output);
    code.max(with_ledger(state, output, async |ledger| {
        let known = Known::read(ledger.store(), chrono::Utc::now()).await?;
        tell_alarm(&known, "", output);
        let mut standings = Vec::new();
        for project in &projects {
            let mut of_it = of_project(ledger, project, (&found, &unlisted), output).await?;
            tell_overdue(ledger, &project.root, project.profile.as_deref(), &mut of_it).await?;
            standings.extend(of_it);
        }
        for (root, problem) in &broken {
            let profile = args.profile.as_deref();
            let mut of_it = kept_of_broken(ledger, root, problem, profile).await?;
            tell_overdue(ledger, root, profile, &mut of_it).await?;
            standings.extend(of_it);
        }
        let daemon = ledger.store().daemon_stays().await?.into_iter().rfind(is_here);
        if args.json {
            standings.iter().for_each(|standing| output.line(as_json(standing, daemon.as_ref())));
        } else if !standings.is_empty() || code == ExitCode::Success {
            show(&standings, daemon.is_some(), output);
        }
        let by_daemon = |standing: &Standing| standing.keeper == Some(Keeper::Daemon);
        match &daemon {
            None if standings.iter().any(by_daemon) => {
                let warning = styled(output::WARNING, "warning:");
                output.error(format!(
                    "{warning} no daemon is running, which would start what it keeps; `runner daemon` does"
                ));
            }
            Some(daemon) if !args.json => output.line(who(daemon)),
            _ => {}
        }
        Ok(ExitCode::Success)
    }))
}

/// `A daemon is there: process 4242, since 2026-11-23 06:00:00, version 0.1.0`.
fn who(daemon: &DaemonStay) -> String {
    let process = daemon.process.as_ref().map(|process| format!("process {}, ", process.pid)).unwrap_or_default();
    let version = daemon.version.as_ref().map(|version| format!(", version {version}")).unwrap_or_default();
    format!("A daemon is there: {process}since {}{version}", in_zone(daemon.began, &TimeZone::system()))
}

/// Notes which of a project's schedules should have run by now and haven't.
async fn tell_overdue(
    ledger: &mut Ledger,
    root: &Path,
    profile: Option<&str>,
    standings: &mut [Standing],
) -> Result<(), StoreError> {
    for Overdue { schedule, planned, why } in overdue(ledger.store(), root, profile, chrono::Utc::now()).await? {
        let late = standings.iter_mut().find(|standing| standing.schedule == schedule && standing.keeper.is_some());
        late.into_iter().for_each(|standing| standing.overdue = Some((to_timestamp(planned), why)));
    }
    Ok(())
}

/// What the ledger keeps of a project whose files are broken.
async fn kept_of_broken(
    ledger: &mut Ledger,
    root: &Path,
    problem: &str,
    profile: Option<&str>,
) -> Result<Vec<Standing>, StoreError> {
    let filter = ScheduleFilter { projects: Some(vec![root.to_owned()]), with_ended: false };
    let mut standings = Vec::new();
    for row in ledger.store().schedules(&filter).await?.into_iter().filter(|row| row.profile.as_deref() == profile) {
        let schedule = ledger.revive(&row);
        standings.push(Standing {
            last: ledger.store().occurrences(row.id, 1).await?.into_iter().next(),
            next: schedule.as_ref().and_then(|schedule| schedule.next_after(Timestamp::now())),
            zone: schedule.map_or_else(TimeZone::system, |schedule| schedule.zone),
            project: row.project,
            path: row.project_dir.display().to_string(),
            schedule: row.name,
            profile: row.profile,
            keeper: Some(row.keeper),
            entry: None,
            paused: row.paused,
            overdue: None,
            broken: Some(problem.to_owned()),
        });
    }
    Ok(standings)
}

async fn of_project(
    ledger: &mut Ledger,
    project: &Project,
    (found, unlisted): (&[Found], &[Host]),
    output: &Output,
) -> Result<Vec<Standing>, StoreError> {
    let filter = ScheduleFilter { projects: Some(vec![project.root.clone()]), with_ended: false };
    let rows = ledger.store().schedules(&filter).await?;
    let (rows, others): (Vec<ScheduleRow>, Vec<_>) = rows.into_iter().partition(|row| row.profile == project.profile);
    let others: BTreeSet<String> = others.into_iter().map(|row| row.profile.unwrap_or_default()).collect();
    for other in others {
        let how = if other.is_empty() { "without a profile" } else { &format!("with `--profile {other}`") };
        output.error(format!("{}: its schedules are also kept {how}, which is not shown here", project.name));
    }
    let mut standings = Vec::new();
    for schedule in &project.schedules {
        let row = rows.iter().find(|row| row.name == schedule.name);
        let last = match row {
            Some(row) => ledger.store().occurrences(row.id, 1).await?.into_iter().next(),
            None => None,
        };
        let of = Subject { project, schedule };
        let keeper = row.map(|row| row.keeper);
        standings.push(Standing {
            schedule: schedule.name.clone(),
            keeper,
            entry: entry(of, keeper, (found, unlisted), output),
            overdue: None,
            paused: row.and_then(|row| row.paused),
            last,
            next: schedule.next_after(Timestamp::now()),
            zone: schedule.zone.clone(),
            ..nothing(project)
        });
    }
    let is_left_over = |entry: &&Found| {
        is_same_folder(Path::new(&entry.label.project), &project.root)
            && !project.schedules.iter().any(|schedule| Subject { project, schedule }.name() == entry.name)
            // Of another profile it may well be in force.
            && entry_name(&project.name, &project.root, project.profile.as_deref(), &entry.label.schedule) == entry.name
    };
    standings.extend(found.iter().filter(is_left_over).map(|entry| Standing {
        schedule: entry.label.schedule.clone(),
        keeper: Some(entries::keeper(entry.host)),
        entry: Some(("left over", Some(entry.name.clone()))),
        ..nothing(project)
    }));
    Ok(standings)
}

fn nothing(project: &Project) -> Standing {
    Standing {
        project: project.name.clone(),
        path: project.root.display().to_string(),
        schedule: String::new(),
        profile: project.profile.clone(),
        keeper: None,
        entry: None,
        paused: None,
        overdue: None,
        last: None,
        next: None,
        zone: TimeZone::system(),
        broken: None,
    }
}

/// How the entry stands to the project file, and its name; `None` where neither is there nor has to be one.
fn entry(
    of: Subject<'_>,
    keeper: Option<Keeper>,
    (found, unlisted): (&[Found], &[Host]),
    output: &Output,
) -> Option<(&'static str, Option<String>)> {
    let name = of.name();
    let task = || entries::task(&name, &of.project.root, &of.schedule.name, output);
    let own_task = if keeper == Some(Keeper::TaskScheduler) { task() } else { None };
    let entry = found.iter().find(|entry| entry.name == name).or(own_task.as_ref());
    let Some(entry) = entry else {
        let keeper = keeper.filter(|keeper| *keeper != Keeper::Daemon)?;
        let Some(why) = entries::may_be_there(keeper, None, unlisted) else { return Some(("missing", None)) };
        let (project, schedule, warning) = (&of.project.name, &of.schedule.name, styled(output::WARNING, "warning:"));
        output.error(format!(
            "{warning} {project}: no entry of {} was found for schedule `{schedule}`: {why}",
            keeper.name()
        ));
        return Some(("unseen", None));
    };
    let word = match entry.standing(of) {
        EntryStanding::Drifted => "drifted",
        EntryStanding::Edited => "edited",
        // Another starts it, too: of the two runs the ledger lets one go.
        EntryStanding::Fits | EntryStanding::Off if keeper != Some(entries::keeper(entry.host)) => "left over",
        EntryStanding::Off => "off",
        EntryStanding::Fits => "ok",
    };
    Some((word, Some(name)))
}

fn show(standings: &[Standing], has_daemon: bool, output: &Output) {
    if standings.is_empty() {
        output.line("No schedule: the key `schedule` in exec_config.json says when a project runs.");
        return;
    }
    let columns = ["PROJECT", "SCHEDULE", "KEEPER", "ENTRY", "STATE", "LAST", "NEXT"];
    let mut table = Table::new(&columns.map(|name| (name, Align::Left)));
    for standing in standings {
        let local = |at: Timestamp| in_zone(at, &standing.zone);
        let (word, style) = match standing.entry {
            None => ("", output::DIM),
            Some(("ok", _)) => ("ok", output::GOOD),
            Some((word, _)) => (word, output::WARNING),
        };
        let keeper = match standing.keeper {
            Some(keeper) => Cell::from(keeper.name()),
            None if standing.next.is_none() => "".into(),
            None => Cell::styled("nobody", output::WARNING),
        };
        let state = match (standing.paused, standing.overdue) {
            _ if standing.broken.is_some() => {
                let overdue = if standing.overdue.is_some() { "overdue: " } else { "" };
                Cell::styled(format!("{overdue}the project file is broken"), output::BAD)
            }
            (Some(since), _) => Cell::styled(format!("paused since {}", local(since)), output::WARNING),
            (None, Some((planned, why))) => {
                let length = format_duration(Timestamp::now().duration_since(planned).try_into().unwrap_or_default());
                Cell::styled(format!("has not begun, {length} overdue: {why}"), output::BAD)
            }
            (None, None) => "".into(),
        };
        let last = standing.last.as_ref().map(|row| format!("{} {}", local(row.last), told(row)));
        let next = match standing.next {
            _ if standing.paused.is_some() => Cell::styled("paused", output::WARNING),
            Some(next) if standing.has_starter(has_daemon) => local(next).into(),
            Some(next) => Cell::styled(format!("({})", local(next)), output::DIM),
            None if matches!(standing.entry, Some(("left over", _))) => "".into(),
            None => "never".into(),
        };
        table.row(vec![
            standing.project.as_str().into(),
            standing.schedule.as_str().into(),
            keeper,
            Cell::styled(word, style),
            state,
            last.unwrap_or_default().into(),
            next,
        ]);
    }
    let mut text = Vec::new();
    let _ = table.write(&mut text, output.color);
    output.line(String::from_utf8_lossy(&text).trim_end());
}

/// Seconds only where there are some; with the zone's abbreviation, as each schedule has a zone of its own.
pub(super) fn in_zone(at: Timestamp, zone: &TimeZone) -> String {
    let at = at.to_zoned(zone.clone());
    at.strftime(if at.second() == 0 { "%Y-%m-%d %H:%M %Z" } else { "%Y-%m-%d %H:%M:%S %Z" }).to_string()
}

/// The answer in words: `missed: no daemon was running`.
fn told(row: &OccurrenceRow) -> String {
    let answer = words(row).0;
    match row.state {
        OccurrenceState::Claimed if row.run_id.is_none() => "waits to be run".to_owned(),
        OccurrenceState::Claimed => "is about to run".to_owned(),
        OccurrenceState::Answered(Answer::Late(why) | Answer::Missed(why)) => format!("{answer}: {}", why.reason()),
        OccurrenceState::Answered(Answer::Skipped(SkipCause::Overlap)) => format!("{answer}: it was running"),
        OccurrenceState::Answered(Answer::Skipped(SkipCause::Paused)) => format!("{answer}: it was paused"),
        OccurrenceState::Answered(Answer::Ran | Answer::Merged) => answer.to_owned(),
    }
}

fn as_json(standing: &Standing, daemon: Option<&DaemonStay>) -> serde_json::Value {
    let daemon = daemon.map(|daemon| {
        let pid = daemon.process.as_ref().map(|process| process.pid);
        json!({ "pid": pid, "since_utc": daemon.began.to_string(), "version": daemon.version })
    });
    let last = standing.last.as_ref().map(|row| {
        let (answer, why) = words(row);
        json!({ "planned_utc": row.last.to_string(), "answer": answer, "reason": why, "run_id": row.run_id })
    });
    json!({
        "project": standing.project,
        "path": standing.path,
        "schedule": standing.schedule,
        "profile": standing.profile,
        "keeper": standing.keeper.map(Keeper::name),
        "entry": standing.entry.as_ref().map(|(word, _)| word.replace(' ', "_")),
        "entry_name": standing.entry.as_ref().and_then(|(_, name)| name.clone()),
        "paused_since": standing.paused.map(|since| since.to_string()),
        "overdue_since_utc": standing.overdue.map(|(planned, _)| planned.to_string()),
        "overdue_reason": standing.overdue.map(|(_, why)| why),
        "broken": standing.broken,
        "last": last,
        "next_utc": standing.next.map(|next| next.to_string()),
        "daemon": daemon,
    })
}

/// The answer, and why, as programs are told it.
pub(super) fn words(row: &OccurrenceRow) -> (&'static str, Option<&'static str>) {
    match row.state {
        // Whoever had it gave it back.
        OccurrenceState::Claimed if row.run_id.is_none() => ("waiting", None),
        OccurrenceState::Claimed => ("claimed", None),
        OccurrenceState::Answered(answer) => answer.words(),
    }
}

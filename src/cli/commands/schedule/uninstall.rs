//! `runner schedule uninstall`: takes entries of the system's schedulers away.

use std::path::Path;

use jiff::Timestamp;

use super::entries::{self, fail, keeper, with_ledger};
use crate::cli::ExitCode;
use crate::cli::args::ScheduleUninstallArgs;
use crate::cli::commands::{StateDir, check};
use crate::cli::output::{self, Output, styled};
use crate::config::project_root;
use crate::host::found::{Found, units_dir};
use crate::host::place::{self, PlaceError};
use crate::host::{Host, crontab, entry_name};
use crate::ledger::Ledger;
use crate::store::{Keeper, ScheduleFilter, ScheduleRow, StoreError, is_same_folder};

pub(super) fn uninstall(args: &ScheduleUninstallArgs, state: &StateDir, output: &Output) -> ExitCode {
    let folders = check::projects_or_here(&args.projects);
    with_ledger(state, output, async |ledger| {
        let mut code = ExitCode::Success;
        for folder in folders {
            // What the project file says now doesn't matter, nor whether it is still there.
            let root = project_root(&folder).unwrap_or(folder);
            code = code.max(of_project(ledger, &root, args, output).await?);
        }
        Ok(code)
    })
}

async fn of_project(
    ledger: &mut Ledger,
    root: &Path,
    args: &ScheduleUninstallArgs,
    output: &Output,
) -> Result<ExitCode, StoreError> {
    let wanted = |schedule: &str| args.schedule.is_empty() || args.schedule.iter().any(|name| name == schedule);
    let filter = ScheduleFilter { projects: Some(vec![root.to_owned()]), with_ended: false };
    let rows: Vec<ScheduleRow> =
        ledger.store().schedules(&filter).await?.into_iter().filter(|row| wanted(&row.name)).collect();
    let name = |row: &ScheduleRow| entry_name(&row.project, &row.project_dir, row.profile.as_deref(), &row.name);
    let (mut found, unlisted) = entries::all(args.account.as_deref(), output);
    found.retain(|entry| is_same_folder(Path::new(&entry.label.project), root) && wanted(&entry.label.schedule));
    found.extend(rows.iter().filter_map(|row| entries::task(&name(row), root, &row.name, output)));
    let mut code = ExitCode::Success;
    let mut failed = Vec::new();
    let removed = |host: Host, name: &str| {
        output.line(format!("{} {} entry {name}", styled(output::GOOD, "removed"), host.name()));
    };
    // Not every Task Scheduler shows each of its tasks to whoever may take it away.
    let is_unseen = |row: &&ScheduleRow| {
        cfg!(windows) && row.keeper == Keeper::TaskScheduler && found.iter().all(|entry| entry.name != name(row))
    };
    let unseen: Vec<String> = rows.iter().filter(is_unseen).map(name).collect();
    let unseen: Vec<&String> = unseen.iter().filter(|name| place::remove_task(name).is_ok()).collect();
    unseen.iter().for_each(|name| removed(Host::TaskScheduler, name));
    for entry in &found {
        match remove(entry, args.account.as_deref()) {
            Ok(()) => removed(entry.host, &entry.name),
            Err(error) => {
                fail(output, &error);
                failed.push(entry.label.schedule.as_str());
                code = ExitCode::ScriptFailed;
            }
        }
    }
    let mut stays = false;
    for row in &rows {
        let is_host =
            [Host::TaskScheduler, Host::Systemd, Host::Cron].into_iter().any(|host| keeper(host) == row.keeper);
        let is_its = |entry: &Found| keeper(entry.host) == row.keeper && entry.label.schedule == row.name;
        let may_be_there = entries::may_be_there(row.keeper, args.account.as_deref(), &unlisted);
        if let Some(why) = may_be_there.filter(|_| is_host && !found.iter().any(is_its)) {
            let warning = styled(output::WARNING, "warning:");
            let what = format!("no entry of {} was found for schedule `{}`", row.keeper.name(), row.name);
            output.error(format!("{warning} {}: {what}, which counts as kept by it still: {why}", row.project));
            (stays, code) = (true, code.max(ExitCode::ScriptFailed));
        } else if is_host && !failed.contains(&row.name.as_str()) {
            let names = [row.name.clone()];
            ledger
                .store()
                .forget(&row.project_dir, row.profile.as_deref(), row.keeper, Some(&names), Timestamp::now())
                .await?;
        }
    }
    if found.is_empty() && unseen.is_empty() && !stays {
        match unlisted.is_empty() {
            true => output.line(format!("{} has no entry in a scheduler of this system", root.display())),
            false => code = code.max(ExitCode::ScriptFailed),
        }
    }
    Ok(code)
}

fn remove(entry: &Found, account: Option<&str>) -> Result<(), PlaceError> {
    match entry.host {
        Host::Systemd => place::remove_units(&entry.name, &units_dir(entry.system_wide)?, entry.system_wide),
        Host::Cron => {
            let crontab = place::read_crontab(account)?;
            place::write_crontab(account, &crontab::without_block(&crontab, &entry.name))
        }
        Host::TaskScheduler => place::remove_task(&entry.name),
    }
}

//! The entries of the system's schedulers that are there, and the ledger behind them.

use std::path::Path;

use jiff::Timestamp;

use crate::cli::ExitCode;
use crate::cli::commands::StateDir;
use crate::cli::output::{self, Output, styled};
use crate::host::found::{self, Found};
use crate::host::place::{self, PlaceError};
use crate::host::{Host, is_root};
use crate::ledger::Ledger;
use crate::model::Project;
use crate::store::{Keeper, StoreError};

pub(super) fn keeper(host: Host) -> Keeper {
    match host {
        Host::TaskScheduler => Keeper::TaskScheduler,
        Host::Systemd => Keeper::Systemd,
        Host::Cron => Keeper::Cron,
    }
}

/// The entries of systemd and cron, of whatever project, and which of the two could not be looked at, of which whoever asks is
/// warned.
pub(super) fn all(account: Option<&str>, output: &Output) -> (Vec<Found>, Vec<Host>) {
    let (found, unseen) = found::all(account);
    unseen.iter().for_each(|(_, error)| warn(output, error));
    (found, unseen.into_iter().map(|(host, _)| host).collect())
}

/// Why an entry that wasn't found may be there all the same, and what to do about it; `None` if it isn't.
pub(super) fn may_be_there(keeper: Keeper, account: Option<&str>, unseen: &[Host]) -> Option<&'static str> {
    if unseen.iter().any(|host| self::keeper(*host) == keeper) {
        return Some("it can't be seen whether there is one; ask as an account that may");
    }
    // Nobody else may write another account's crontab.
    (keeper == Keeper::Cron && account.is_none() && is_root()).then_some(
        "its entry may be in another account's crontab: name that with `runner schedule uninstall --account`, or root if it is gone",
    )
}

/// The task of this name, if Task Scheduler has it.
pub(super) fn task(name: &str, root: &Path, schedule: &str, output: &Output) -> Option<Found> {
    found::task(name, root, schedule).unwrap_or_else(|error| {
        warn(output, &error);
        None
    })
}

/// The time zones of a project's schedules for which the system, by whose rules its schedulers go, has other rules than this
/// program.
pub(super) fn zones_that_differ(project: &Project, now: Timestamp) -> Vec<String> {
    let mut names: Vec<&str> = project.schedules.iter().filter_map(|schedule| schedule.zone.iana_name()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter(|name| place::zone_differs(name, now)).map(str::to_owned).collect()
}

/// Does something with the ledger; without one nothing of this makes sense.
pub(super) fn with_ledger(
    state: &StateDir,
    output: &Output,
    work: impl AsyncFnOnce(&mut Ledger) -> Result<ExitCode, StoreError>,
) -> ExitCode {
    let dir = match state.required() {
        Ok(dir) => dir,
        Err(why) => {
            output.error(format!("{} {why}", styled(output::BAD, "error:")));
            return ExitCode::CannotWork;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.error(format!("{} {error}", styled(output::BAD, "error:")));
            return ExitCode::CannotWork;
        }
    };
    let done = runtime.block_on(async {
        let mut ledger = Ledger::open(dir).await?;
        work(&mut ledger).await
    });
    done.unwrap_or_else(|error| {
        output.error(format!("{} {}; {}", styled(output::BAD, "error:"), with_causes(&error), error.hint()));
        ExitCode::CannotWork
    })
}

pub(super) fn fail(output: &Output, error: &PlaceError) {
    output.error(format!("{} {}; {}", styled(output::BAD, "error:"), with_causes(error), error.hint()));
}

fn warn(output: &Output, error: &PlaceError) {
    output.error(format!("{} {}", styled(output::WARNING, "warning:"), with_causes(error)));
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

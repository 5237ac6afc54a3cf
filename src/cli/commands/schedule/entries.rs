//! The entries of the system's schedulers that are there, and the ledger behind them.

use std::path::Path;

use jiff::Timestamp;

use crate::cli::ExitCode;
use crate::cli::commands::StateDir;
use crate::cli::output::{self, Output, styled};
use crate::host::place::{self, PlaceError};
use crate::host::{Host, Label};
use crate::ledger::Ledger;
use crate::model::Project;
use crate::store::{Keeper, StoreError};

/// An entry that is there.
pub(super) struct Found {
    pub(super) host: Host,
    pub(super) name: String,
    pub(super) label: Label,
    /// Of systemd: whether the system's manager has it.
    pub(super) system_wide: bool,
    /// Whether it starts with the system.
    pub(super) enabled: bool,
}

pub(super) fn keeper(host: Host) -> Keeper {
    match host {
        Host::TaskScheduler => Keeper::TaskScheduler,
        Host::Systemd => Keeper::Systemd,
        Host::Cron => Keeper::Cron,
    }
}

/// The entries of systemd and cron, of whatever project. Those of Task Scheduler can't be listed without knowing their names.
pub(super) fn all(account: Option<&str>, output: &Output) -> Vec<Found> {
    if cfg!(windows) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for system_wide in [true, false] {
        let Ok(dir) = units_dir(system_wide) else { continue };
        found.extend(place::find_units(&dir).into_iter().map(|(name, label)| {
            let enabled = place::is_enabled(&name, &dir);
            Found { host: Host::Systemd, name, label, system_wide, enabled }
        }));
    }
    match place::find_blocks(account) {
        Ok(blocks) => found.extend(blocks.into_iter().map(|(name, label)| Found {
            host: Host::Cron,
            name,
            label,
            system_wide: false,
            enabled: true,
        })),
        // Without cron there is no crontab.
        Err(PlaceError::Start { .. }) => {}
        Err(error) => warn(output, &error),
    }
    found
}

/// The task of this name, if Task Scheduler has it.
pub(super) fn task(name: &str, root: &Path, schedule: &str, output: &Output) -> Option<Found> {
    let definition = match cfg!(windows).then(|| place::find_task(name))? {
        Ok(definition) => definition?,
        Err(error) => {
            warn(output, &error);
            return None;
        }
    };
    let label = Label {
        project: root.to_string_lossy().into_owned(),
        schedule: schedule.to_owned(),
        definition,
        // Task Scheduler writes the XML anew in its own way.
        edited: false,
    };
    Some(Found { host: Host::TaskScheduler, name: name.to_owned(), label, system_wide: false, enabled: true })
}

pub(super) fn units_dir(system_wide: bool) -> Result<std::path::PathBuf, PlaceError> {
    place::units_dir(system_wide, &|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(Into::into))
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

pub(super) fn warn(output: &Output, error: &PlaceError) {
    output.error(format!("{} {}", styled(output::WARNING, "warning:"), with_causes(error)));
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

//! The entries that are there, and how they stand to the project file.

use std::path::{Path, PathBuf};

use super::entry::{Host, Subject};
use super::place::{self, PlaceError};
use super::units::Label;

/// An entry that is there.
#[derive(Debug, Clone)]
pub struct Found {
    /// Whose it is.
    pub host: Host,
    /// Its name.
    pub name: String,
    /// What it tells of itself.
    pub label: Label,
    /// Of systemd: whether the system's manager has it, and not the account's.
    pub system_wide: bool,
    /// Whether it starts with the system.
    pub enabled: bool,
}

/// How an entry stands to the project file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It says the same.
    Fits,
    /// The project file, or the machine's time zone, is another than when the entry was made.
    Drifted,
    /// Somebody has changed the entry.
    Edited,
    /// It is there, and not switched on.
    Off,
}

impl Found {
    /// How it stands to the schedule that it was made for.
    #[must_use]
    pub fn standing(&self, of: Subject<'_>) -> Standing {
        if has_drifted(&self.label.definition, of, self.host) {
            Standing::Drifted
        } else if self.label.edited {
            Standing::Edited
        } else if self.enabled {
            Standing::Fits
        } else {
            Standing::Off
        }
    }
}

/// Whether an entry with this fingerprint was made for something else than the schedule, or the machine's time zone, is now.
#[must_use]
pub fn has_drifted(fingerprint: &str, of: Subject<'_>, host: Host) -> bool {
    // What can't be told is no drift.
    place::zone_of(host).is_ok_and(|zone| fingerprint != of.fingerprint(host, &zone))
}

/// The folder of units that an administrator, or this account, writes.
///
/// # Errors
/// When this account has no folder for them.
pub fn units_dir(system_wide: bool) -> Result<PathBuf, PlaceError> {
    place::units_dir(system_wide, &|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(Into::into))
}

/// The entries of systemd, and of cron for an account, of whatever project, and which of them could not be looked at. Those of Task
/// Scheduler can't be listed without knowing their names.
#[must_use]
pub fn all(account: Option<&str>) -> (Vec<Found>, Vec<(Host, PlaceError)>) {
    let (mut found, mut unseen) = (Vec::new(), Vec::new());
    if cfg!(windows) {
        return (found, unseen);
    }
    for system_wide in [true, false] {
        let Ok(dir) = units_dir(system_wide) else { continue };
        match place::find_units(&dir) {
            Ok(units) => found.extend(units.into_iter().map(|(name, label)| {
                let enabled = place::is_enabled(&name, &dir);
                Found { host: Host::Systemd, name, label, system_wide, enabled }
            })),
            Err(error) => unseen.push((Host::Systemd, error)),
        }
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
        Err(error) => unseen.push((Host::Cron, error)),
    }
    (found, unseen)
}

/// The task of this name, if this is Windows and Task Scheduler has it.
///
/// # Errors
/// When Task Scheduler can't be asked.
pub fn task(name: &str, root: &Path, schedule: &str) -> Result<Option<Found>, PlaceError> {
    let definition = if cfg!(windows) { place::find_task(name)? } else { None };
    Ok(definition.map(|definition| Found {
        host: Host::TaskScheduler,
        name: name.to_owned(),
        label: Label {
            project: root.to_string_lossy().into_owned(),
            schedule: schedule.to_owned(),
            definition,
            // Task Scheduler writes the XML anew in its own way.
            edited: false,
        },
        system_wide: false,
        enabled: true,
    }))
}

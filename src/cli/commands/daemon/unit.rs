//! Setting the daemon up where systemd starts services.

use std::path::Path;

use super::install::{DRAIN, command};
use crate::cli::args::{DaemonInstallArgs, DaemonPlace};
use crate::cli::output::Output;
use crate::daemon::{UNIT, Unit};
use crate::host::found::units_dir;
use crate::host::is_root;
use crate::host::place::{self, PlaceError};

pub(super) fn set_up(args: &DaemonInstallArgs, state_dir: &Path, output: &Output) -> Result<(), String> {
    let system = is_system(&args.place);
    if let (Some(account), false) = (&args.account, system) {
        return Err(format!("only the machine's daemon can run as {account}; say --system, as root"));
    }
    let drain_timeout = args.work.drain_timeout.unwrap_or(DRAIN);
    let command = command(&args.work, state_dir, drain_timeout, false)?;
    let unit = Unit { command: &command, system, account: args.account.as_deref(), drain_timeout };
    let dir = units_dir(system).map_err(in_words)?;
    let file = dir.join(UNIT);
    if args.place.print {
        output.line(format!("# {}", file.display()));
        output.line(unit.text().trim_end());
        return Ok(());
    }
    place::write_unit(UNIT, &unit.text(), &dir).map_err(in_words)?;
    output.line(format!("written {}; a daemon that runs by it lets its runs end first", file.display()));
    place::start_unit(UNIT, system).map_err(in_words)?;
    output.line(format!("{UNIT} is started; `systemctl {}status {UNIT}` shows it", flag(system)));
    if !system {
        output.line("it ends when this account logs out, unless `loginctl enable-linger` says otherwise");
    }
    Ok(())
}

pub(super) fn take_away(of: &DaemonPlace, output: &Output) -> Result<(), String> {
    let system = is_system(of);
    let dir = units_dir(system).map_err(in_words)?;
    let file = dir.join(UNIT);
    if of.print {
        output.line(format!("systemctl {}disable --now {UNIT}", flag(system)));
        output.line(format!("rm {}", file.display()));
        return Ok(());
    }
    if !file.exists() {
        output.line(format!("{} isn't there; there is nothing to do", file.display()));
        return Ok(());
    }
    place::remove_unit(UNIT, &dir, system).map_err(in_words)?;
    output.line(format!("{UNIT} has ended, and starts no more"));
    Ok(())
}

fn is_system(place: &DaemonPlace) -> bool {
    place.system || !place.user && is_root()
}

fn flag(system: bool) -> &'static str {
    if system { "" } else { "--user " }
}

/// What went wrong, and what to do about it.
fn in_words(error: PlaceError) -> String {
    match &error {
        PlaceError::Start { source, .. } => {
            format!("{error}: {source}; is this a system with systemd? `--print` shows the unit")
        }
        PlaceError::File { source, .. } => format!("{error}: {source}; {}", error.hint()),
        PlaceError::Failed { .. } | PlaceError::NoHome | PlaceError::NoZone => format!("{error}; {}", error.hint()),
    }
}

//! Setting the daemon up where systemd starts services.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::install::{DRAIN, command};
use crate::cli::args::{DaemonInstallArgs, DaemonPlace};
use crate::cli::output::Output;
use crate::daemon::{UNIT, Unit};

pub(super) fn set_up(args: &DaemonInstallArgs, state_dir: &Path, output: &Output) -> Result<(), String> {
    let system = is_system(&args.place);
    if let (Some(account), false) = (&args.account, system) {
        return Err(format!("only the machine's daemon can run as {account}; say --system, as root"));
    }
    let drain_timeout = args.work.drain_timeout.unwrap_or(DRAIN);
    let command = command(&args.work, state_dir, drain_timeout, false)?;
    let unit = Unit { command: &command, system, account: args.account.as_deref(), drain_timeout };
    let file = file(system)?;
    if args.place.print {
        output.line(format!("# {}", file.display()));
        output.line(unit.text().trim_end());
        return Ok(());
    }
    let cannot = |error: std::io::Error| format!("cannot write {}: {error}", file.display());
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    std::fs::write(&file, unit.text()).map_err(cannot)?;
    output.line(format!("written {}", file.display()));
    systemctl(system, &["daemon-reload"])?;
    systemctl(system, &["enable", "--now", UNIT])?;
    output.line(format!("{UNIT} is started; `systemctl {}status {UNIT}` shows it", flag(system)));
    if !system {
        output.line("it ends when this account logs out, unless `loginctl enable-linger` says otherwise");
    }
    Ok(())
}

pub(super) fn take_away(place: &DaemonPlace, output: &Output) -> Result<(), String> {
    let system = is_system(place);
    let file = file(system)?;
    if place.print {
        output.line(format!("systemctl {}disable --now {UNIT}", flag(system)));
        output.line(format!("rm {}", file.display()));
        return Ok(());
    }
    if !file.exists() {
        output.line(format!("{} isn't there; there is nothing to do", file.display()));
        return Ok(());
    }
    systemctl(system, &["disable", "--now", UNIT])?;
    std::fs::remove_file(&file).map_err(|error| format!("cannot remove {}: {error}", file.display()))?;
    systemctl(system, &["daemon-reload"])?;
    output.line(format!("{UNIT} has ended, and starts no more"));
    Ok(())
}

fn is_system(place: &DaemonPlace) -> bool {
    place.system || !place.user && rustix::process::geteuid().is_root()
}

fn file(system: bool) -> Result<PathBuf, String> {
    if system {
        return Ok(Path::new("/etc/systemd/system").join(UNIT));
    }
    let set = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let config = set.or_else(|| Some(std::env::home_dir()?.join(".config")));
    let config = config.ok_or("this account has no home folder for the unit; say --system, as root")?;
    Ok(config.join("systemd/user").join(UNIT))
}

fn flag(system: bool) -> &'static str {
    if system { "" } else { "--user " }
}

fn systemctl(system: bool, args: &[&str]) -> Result<(), String> {
    let mut command = Command::new("systemctl");
    command.args((!system).then_some("--user")).args(args);
    let said = format!("systemctl {}{}", flag(system), args.join(" "));
    let done =
        command.output().map_err(|error| format!("cannot run `{said}`: {error}; is this a system with systemd?"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!("`{said}` failed: {}", String::from_utf8_lossy(&done.stderr).trim())),
    }
}

//! `runner daemon install` and `uninstall` where systemd starts services.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cli::ExitCode;
use crate::cli::args::{DaemonInstallArgs, DaemonPlace, DaemonWork};
use crate::cli::output::{self, Output, styled};
use crate::daemon::{UNIT, Unit};
use crate::model::format_duration;

/// How long runs may go on, unless somebody says otherwise: a machine that shuts down waits for them.
const DRAIN: Duration = Duration::from_secs(300);

pub(super) fn install(args: &DaemonInstallArgs, state_dir: &Path, output: &Output) -> ExitCode {
    finish(set_up(args, state_dir, output), output)
}

pub(super) fn uninstall(place: &DaemonPlace, output: &Output) -> ExitCode {
    finish(take_away(place, output), output)
}

fn finish(done: Result<(), String>, output: &Output) -> ExitCode {
    match done {
        Ok(()) => ExitCode::Success,
        Err(why) => {
            output.error(format!("{} {why}", styled(output::BAD, "error:")));
            ExitCode::CannotWork
        }
    }
}

fn set_up(args: &DaemonInstallArgs, state_dir: &Path, output: &Output) -> Result<(), String> {
    let system = is_system(&args.place);
    if let (Some(account), false) = (&args.account, system) {
        return Err(format!("only the machine's daemon can run as {account}; say --system, as root"));
    }
    let drain_timeout = args.work.drain_timeout.unwrap_or(DRAIN);
    let command = command(&args.work, state_dir, drain_timeout)?;
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

fn take_away(place: &DaemonPlace, output: &Output) -> Result<(), String> {
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

/// The command line that the unit starts: with everything that depends on where one stands said in full.
fn command(work: &DaemonWork, state_dir: &Path, drain_timeout: Duration) -> Result<Vec<String>, String> {
    let text = |path: &Path| {
        let absolute = std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
        absolute.to_str().map(str::to_owned).ok_or_else(|| format!("the path {} is not UTF-8", absolute.display()))
    };
    let program = std::env::current_exe().map_err(|error| format!("where this program lies can't be told: {error}"))?;
    let mut words = vec![text(&program)?, "--state-dir".into(), text(state_dir)?, "daemon".into()];
    words.extend(["--drain-timeout".into(), format_duration(drain_timeout)]);
    if let Some(most) = work.max_runs {
        words.extend(["--max-runs".into(), most.to_string()]);
    }
    if let Some(profile) = &work.profile {
        words.extend(["--profile".into(), profile.clone()]);
    }
    if let Some(dir) = &work.mail_dir {
        words.extend(["--mail-dir".into(), text(dir)?]);
    }
    words.extend(work.no_mail.then(|| "--no-mail".into()));
    words.extend(work.quiet.then(|| "--quiet".into()));
    if !work.folders.is_empty() {
        words.push("--".into());
    }
    for folder in &work.folders {
        words.push(text(folder)?);
    }
    Ok(words)
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

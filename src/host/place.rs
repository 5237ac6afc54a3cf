//! Where entries are: writes them, finds them, takes them away, by the systems' own programs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use thiserror::Error;

use super::entry::{Host, Setting};
use super::task::{Logon, logon, task_name, utf16};
use super::units::{Label, Units, label};
use super::{crontab, os, task};

/// What went wrong with an entry.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// A program of the system could not be started.
    #[error("{program} can't be started")]
    Start {
        /// The program.
        program: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// It said no.
    #[error("`{command}` failed: {said}")]
    Failed {
        /// What was run.
        command: String,
        /// What it said.
        said: String,
    },
    /// A file can't be read or written.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no folder for an account's units.
    #[error("this account has no home folder for units of systemd")]
    NoHome,
    /// The machine's time zone has no name.
    #[error("the machine's time zone, by which cron and Task Scheduler go, can't be told where TZ says another")]
    NoZone,
}

impl PlaceError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Start { program: "crontab", .. } => "install cron, or choose another scheduler with `--with`",
            Self::Start { .. } => "choose another scheduler with `--with`, or see the entry with `--print`",
            Self::Failed { command, .. } if command.contains("--user") => {
                "sign in as that account, so that its systemd runs, or install it with `--system`"
            }
            Self::Failed { command, .. } if command.starts_with("schtasks") => {
                "open a console as administrator, or see the entry with `--print`"
            }
            Self::Failed { .. } | Self::File { .. } => "run it as an account that may do this",
            Self::NoHome => "install it with `--system`",
            Self::NoZone => "do it without TZ",
        }
    }
}

/// The folder of units that administrators write, of the system's manager or of the account's (systemd.unit(5)).
///
/// # Errors
/// When the account has no folder for them.
pub fn units_dir(system_wide: bool, variable: &dyn Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, PlaceError> {
    if system_wide {
        return Ok("/etc/systemd/system".into());
    }
    let config = variable("XDG_CONFIG_HOME").filter(|dir| dir.is_absolute());
    let config = config.or_else(|| Some(variable("HOME")?.join(".config")));
    Ok(config.ok_or(PlaceError::NoHome)?.join("systemd").join("user"))
}

/// Writes units, and has their timer start now and with the system.
///
/// # Errors
/// When a file can't be written, or systemd doesn't take them; what was written then stays.
pub fn put_units(units: &Units, dir: &Path, system_wide: bool) -> Result<(), PlaceError> {
    write_unit(&format!("{}.service", units.name), &units.service, dir)?;
    let timer = format!("{}.timer", units.name);
    write_unit(&timer, &units.timer, dir)?;
    start_unit(&timer, system_wide)
}

/// Writes a unit.
///
/// # Errors
/// When its file can't be written.
pub fn write_unit(name: &str, text: &str, dir: &Path) -> Result<(), PlaceError> {
    std::fs::create_dir_all(dir).map_err(file("make", dir))?;
    let path = dir.join(name);
    std::fs::write(&path, text).map_err(file("write", &path))
}

/// Has systemd read its units anew, and start one now, as it is written now, and with the system. One that runs is stopped
/// first, in its own time.
///
/// # Errors
/// When systemd doesn't take it.
pub fn start_unit(name: &str, system_wide: bool) -> Result<(), PlaceError> {
    systemctl(system_wide, &["daemon-reload"])?;
    systemctl(system_wide, &["enable", name])?;
    // What runs already goes by what is new only so.
    systemctl(system_wide, &["restart", name])
}

/// Stops a timer and takes its units away; a run that it has begun goes on.
///
/// # Errors
/// When a file can't be removed, or systemd can't be told.
pub fn remove_units(name: &str, dir: &Path, system_wide: bool) -> Result<(), PlaceError> {
    remove_all(&[&format!("{name}.timer"), &format!("{name}.service")], dir, system_wide)
}

/// Stops a unit, in its own time, and takes it away.
///
/// # Errors
/// As [`remove_units`].
pub fn remove_unit(name: &str, dir: &Path, system_wide: bool) -> Result<(), PlaceError> {
    remove_all(&[name], dir, system_wide)
}

/// The first is what was started.
fn remove_all(names: &[&str], dir: &Path, system_wide: bool) -> Result<(), PlaceError> {
    if let Some(started) = names.first() {
        systemctl(system_wide, &["disable", "--now", started])?;
    }
    for name in names {
        let path = dir.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file("remove", &path)(error)),
            _ => {}
        }
    }
    systemctl(system_wide, &["daemon-reload"])
}

/// Our entries in a folder of units: their names, and what they tell of themselves. An entry of which a file is missing counts
/// as edited.
///
/// # Errors
/// When the folder is there and can't be read.
pub fn find_units(dir: &Path) -> Result<Vec<(String, Label)>, PlaceError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file("read", dir)(error)),
        entries => entries.into_iter().flatten().flatten(),
    };
    let names = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".timer")?.to_owned()));
    let read = |name: &str, ending: &str| {
        label(&std::fs::read_to_string(dir.join(format!("{name}.{ending}"))).unwrap_or_default())
    };
    let told = |name: String| {
        let timer = read(&name, "timer")?;
        let service = read(&name, "service");
        let edited = timer.edited || service.is_none_or(|service| service.edited);
        Some((name, Label { edited, ..timer }))
    };
    let mut found: Vec<_> = names.filter(|name| name.starts_with("runner-")).filter_map(told).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Whether the timer starts with the system.
#[must_use]
pub fn is_enabled(name: &str, dir: &Path) -> bool {
    dir.join("timers.target.wants").join(format!("{name}.timer")).symlink_metadata().is_ok()
}

/// Whether an account's own systemd runs also while it isn't signed in (loginctl(1), `enable-linger`).
#[must_use]
pub fn lingers(account: &str) -> bool {
    Path::new("/var/lib/systemd/linger").join(account).exists()
}

/// Whether the system's rules for a time zone plan other changes for the next years than this program's; `false` where the
/// system has none.
#[must_use]
pub fn zone_differs(name: &str, now: Timestamp) -> bool {
    /// Two years; no one plans further ahead without looking again.
    const CHANGES: usize = 4;
    let Ok(rules) = std::fs::read(Path::new("/usr/share/zoneinfo").join(name)) else { return false };
    let (Ok(systems), Ok(own)) = (TimeZone::tzif(name, &rules), TimeZone::get(name)) else { return false };
    let plans = |zone: &TimeZone| -> Vec<_> {
        let changes = zone.following(now).map(|change| (change.timestamp(), change.offset()));
        // Some files list changes of nothing but a name.
        let mut before = zone.to_offset(now);
        let real = changes.filter(|(_, offset)| std::mem::replace(&mut before, *offset) != *offset);
        std::iter::once((now, zone.to_offset(now))).chain(real.take(CHANGES)).collect()
    };
    plans(&systems) != plans(&own)
}

fn systemctl(system_wide: bool, arguments: &[&str]) -> Result<(), PlaceError> {
    let scope: &[&str] = if system_wide { &[] } else { &["--user"] };
    run("systemctl", &[scope, arguments].concat(), None).map(drop)
}

/// The crontab of an account, else of this one; empty if it has none.
///
/// # Errors
/// When it can't be read.
pub fn read_crontab(account: Option<&str>) -> Result<String, PlaceError> {
    match run("crontab", &of(account, "-l"), None) {
        // So say all crons, in whatever case.
        Err(PlaceError::Failed { said, .. }) if said.to_ascii_lowercase().contains("no crontab for") => {
            Ok(String::new())
        }
        read => read,
    }
}

/// Puts a whole crontab in the place of the account's.
///
/// # Errors
/// When cron doesn't take it; then the old one stays.
pub fn write_crontab(account: Option<&str>, text: &str) -> Result<(), PlaceError> {
    run("crontab", &of(account, "-"), Some(text)).map(drop)
}

fn of<'a>(account: Option<&'a str>, action: &'a str) -> Vec<&'a str> {
    account.map(|account| vec!["-u", account]).unwrap_or_default().into_iter().chain([action]).collect()
}

/// Our blocks in a crontab.
///
/// # Errors
/// When it can't be read.
pub fn find_blocks(account: Option<&str>) -> Result<Vec<(String, Label)>, PlaceError> {
    Ok(crontab::blocks(&read_crontab(account)?))
}

/// Whether a cron runs; where that can't be seen it is believed to.
#[must_use]
pub fn cron_runs() -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return true };
    let names = processes.flatten().filter_map(|process| std::fs::read_to_string(process.path().join("comm")).ok());
    names.into_iter().any(|name| matches!(name.trim(), "cron" | "crond" | "fcron" | "busybox"))
}

/// The time zone by which a scheduler's entries begin that don't name theirs: the machine's, whatever `TZ` says here.
///
/// # Errors
/// When it can't be told, because `TZ` says one and the system doesn't tell its own.
pub fn zone_of(host: Host) -> Result<TimeZone, PlaceError> {
    match host {
        // A timer names its own.
        Host::Systemd => Ok(TimeZone::UTC),
        Host::Cron | Host::TaskScheduler => os::zone_of_machine().ok_or(PlaceError::NoZone),
    }
}

/// Registers a task, in the place of one of the same name. For an account with a password `schtasks` asks for it.
///
/// # Errors
/// When Task Scheduler doesn't take it.
pub fn put_task(name: &str, xml: &str, setting: &Setting) -> Result<(), PlaceError> {
    let path = std::env::temp_dir().join(format!("{name}-{}.xml", std::process::id()));
    std::fs::write(&path, utf16(xml)).map_err(file("write", &path))?;
    let (task, shown) = (task_name(name), path.to_string_lossy().into_owned());
    let mut arguments = vec!["/Create", "/TN", &task, "/XML", &shown, "/F"];
    let asks = logon(setting) == Logon::Password;
    let account = setting.account.as_deref().unwrap_or_default();
    if asks {
        arguments.extend(["/RU", account, "/RP", "*"]);
    }
    let done = if asks { attended("schtasks", &arguments) } else { run("schtasks", &arguments, None).map(drop) };
    let _ = std::fs::remove_file(&path);
    done
}

/// The fingerprint in a registered task; `None` if there is no such task.
///
/// # Errors
/// When Task Scheduler can't be asked.
pub fn find_task(name: &str) -> Result<Option<String>, PlaceError> {
    Ok(read_task(name)?.and_then(|xml| task::definition(&xml).map(str::to_owned)))
}

/// A registered task as XML; `None` if there is no such task.
///
/// # Errors
/// When Task Scheduler can't be asked.
pub fn read_task(name: &str) -> Result<Option<String>, PlaceError> {
    match run("schtasks", &["/Query", "/TN", &task_name(name), "/XML"], None) {
        // However it is encoded, what is looked for in it is ASCII.
        Ok(xml) => Ok(Some(xml.replace('\0', ""))),
        // What it says when there is none is in the language of the machine.
        Err(PlaceError::Failed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes a task away.
///
/// # Errors
/// When Task Scheduler says no.
pub fn remove_task(name: &str) -> Result<(), PlaceError> {
    run("schtasks", &["/Delete", "/TN", &task_name(name), "/F"], None).map(drop)
}

/// Runs a program to its end, and gives what it printed.
fn run(program: &'static str, arguments: &[&str], input: Option<&str>) -> Result<String, PlaceError> {
    let start = |source| PlaceError::Start { program, source };
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut command = Command::new(program);
    command.args(arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(start)?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        // One that reads nothing says by its exit code why.
        let _ = pipe.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(start)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
    let said = if said.is_empty() { output.status.to_string() } else { said };
    Err(PlaceError::Failed { command: shown(program, arguments), said })
}

/// Runs a program that talks with whoever sits there.
fn attended(program: &'static str, arguments: &[&str]) -> Result<(), PlaceError> {
    let status = Command::new(program).args(arguments).status();
    let status = status.map_err(|source| PlaceError::Start { program, source })?;
    let failed = || PlaceError::Failed { command: shown(program, arguments), said: status.to_string() };
    if status.success() { Ok(()) } else { Err(failed()) }
}

fn shown(program: &str, arguments: &[&str]) -> String {
    format!("{program} {}", arguments.join(" "))
}

fn file(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> PlaceError {
    let path = path.to_owned();
    move |source| PlaceError::File { verb, path, source }
}

//! The arguments of `runner schedule …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;

use super::RunFlags;
use crate::cli::complete;

/// What `runner schedule` can do.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ScheduleCommand {
    /// Show when projects are due next, and run nothing
    ///
    /// In order, with the local time of each schedule's time zone and in UTC. Changes of the clocks are marked, and runs that
    /// will probably find the one before still going on, by how long the scripts usually take.
    Preview(SchedulePreviewArgs),
    /// Have the system's own scheduler start the runs
    ///
    /// Makes an entry for each schedule in Task Scheduler, systemd or a crontab, which runs `runner run PROJECT --scheduled ID`,
    /// so that what it starts counts in the ledger of planned instants. Made again, an entry takes the place of the one before.
    Install(ScheduleInstallArgs),
    /// Take the entries in the system's own scheduler away
    Uninstall(ScheduleUninstallArgs),
    /// Show who starts each schedule's runs, whether its entry fits, what became of the last instant, and when the next is
    Status(ScheduleStatusArgs),
    /// Show what became of each planned instant, newest first
    ///
    /// Neighbouring instants with the same answer stand in one line.
    History(ScheduleHistoryArgs),
    /// Have a project's schedules start nothing until `resume`
    ///
    /// What falls due meanwhile is skipped, and isn't run after it either. What was due before and hasn't begun, because nobody
    /// was there, still runs once somebody is.
    Pause(SchedulePauseArgs),
    /// Have a project's paused schedules go on
    Resume(SchedulePauseArgs),
    /// Run a project now, for what is open of a schedule
    ///
    /// Planned instants that have passed and have not been run are settled by this run; without any it is a run by hand.
    RunNow(ScheduleRunNowArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SchedulePauseArgs {
    /// The project's folder
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) project: PathBuf,

    /// The schedule: its name or, without one, its place [default: all of the project's]
    #[arg(value_name = "SCHEDULE")]
    pub(in crate::cli) schedule: Option<String>,

    /// Those that run with this profile
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    pub(in crate::cli) profile: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ScheduleRunNowArgs {
    /// The project's folder
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) project: PathBuf,

    /// The schedule: its name or, without one, its place [default: the project's only one]
    #[arg(value_name = "SCHEDULE")]
    pub(in crate::cli) schedule: Option<String>,

    #[command(flatten)]
    pub(in crate::cli) flags: RunFlags,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner schedule preview                              of this folder's project, else of all that have been run
  runner schedule preview reports load -n 50           of two projects, further ahead
  runner schedule preview --from 2027-03-27            as it will be when the clocks change")]
pub(in crate::cli) struct SchedulePreviewArgs {
    /// Project folders [default: this folder if it is a project, else all projects that have been run]
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) projects: Vec<PathBuf>,

    /// Show so many instants
    #[arg(short = 'n', long = "limit", value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(in crate::cli) limit: u32,

    /// Show what is due after this instant: a date, a local time, or RFC 3339 with an offset [default: now]
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub(in crate::cli) from: Option<jiff::Timestamp>,

    /// Read exec_config.NAME.json over exec_config.json
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    pub(in crate::cli) profile: Option<String>,

    /// Print one JSON object a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// An instant as people write it; without an offset in this machine's time zone.
fn instant(text: &str) -> Result<jiff::Timestamp, String> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(instant);
    }
    let local = text.parse::<jiff::civil::DateTime>().or_else(|_| text.parse::<jiff::civil::Date>().map(Into::into));
    let zoned = local.and_then(|local| local.to_zoned(jiff::tz::TimeZone::system()));
    zoned
        .map(|zoned| zoned.timestamp())
        .map_err(|_| "write 2026-12-01, 2026-12-01T06:00 (local time), or 2026-12-01T06:00:00+01:00".to_owned())
}

/// The system's schedulers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum With {
    /// Windows' Task Scheduler
    TaskScheduler,
    /// A timer and a service of systemd
    Systemd,
    /// The crontab of an account
    Cron,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner schedule install reports --print                          see the entries, and change nothing
  runner schedule install reports --with systemd                   timers of systemd for all its schedules
  runner schedule install reports --with task-scheduler --account SYSTEM --wake

A schedule that the system's scheduler can't tell exactly is refused, with the reason; the others are installed.

Exit codes: 0 all are installed; 1 the system's scheduler said no; 2 usage, configuration, or a schedule was refused;
4 the state database can't be used.")]
pub(in crate::cli) struct ScheduleInstallArgs {
    /// Project folders [default: this folder]
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) projects: Vec<PathBuf>,

    /// Who is to start the runs [default: task-scheduler on Windows, systemd where it runs, else cron]
    #[arg(long, value_enum, value_name = "SCHEDULER")]
    pub(in crate::cli) with: Option<With>,

    /// Only this schedule, by its name or place; may be repeated
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) schedule: Vec<String>,

    /// Print the entries, and change nothing
    #[arg(long)]
    pub(in crate::cli) print: bool,

    /// Timers of the account's own systemd [default: for all accounts but root]
    #[arg(long, conflicts_with = "system")]
    pub(in crate::cli) user: bool,

    /// Timers of the system's systemd [default: for root]
    #[arg(long)]
    pub(in crate::cli) system: bool,

    /// The account that runs it, if it is another
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) account: Option<String>,

    /// Wake the machine from suspend for it
    #[arg(long)]
    pub(in crate::cli) wake: bool,

    /// Read exec_config.NAME.json over exec_config.json, and run with it
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    pub(in crate::cli) profile: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 none is left; 1 the system's scheduler said no, or one may be where it can't be seen; 4 the state database can't be
used.")]
pub(in crate::cli) struct ScheduleUninstallArgs {
    /// Project folders [default: this folder]
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) projects: Vec<PathBuf>,

    /// Only this schedule; may be repeated
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) schedule: Vec<String>,

    /// The account whose crontab has them, if it is another
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) account: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
An entry is `ok`, or `drifted` (the project file, or the machine's time zone, is another now), `edited` (somebody changed it), `missing`, `unseen`
(in another account's crontab, or nowhere), `off` (there, and not switched on), or `left over` (there is no such schedule any
more). `runner schedule install` makes it anew.")]
pub(in crate::cli) struct ScheduleStatusArgs {
    /// Project folders [default: this folder if it is a project, else all projects that have been run]
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) projects: Vec<PathBuf>,

    /// Read exec_config.NAME.json over exec_config.json
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    pub(in crate::cli) profile: Option<String>,

    /// Print one JSON object a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ScheduleHistoryArgs {
    /// A project's folder, or its name [default: this folder if it is a project, else all projects]
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) project: Option<PathBuf>,

    /// Show so many lines
    #[arg(short = 'n', long = "limit", value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(in crate::cli) limit: u32,

    /// Print one JSON object a line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

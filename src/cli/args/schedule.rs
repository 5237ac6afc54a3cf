//! The arguments of `runner schedule …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::RunFlags;

/// What `runner schedule` can do.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ScheduleCommand {
    /// Show when projects are due next, and run nothing
    ///
    /// In order, with the local time of each schedule's time zone and in UTC. Changes of the clocks are marked, and runs that
    /// will probably find the one before still going on, by how long the scripts usually take.
    Preview(SchedulePreviewArgs),
    /// Have a project's schedules start nothing until `resume`
    ///
    /// What is planned meanwhile is skipped, also if it is resumed before the day is over.
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
    #[arg(long, value_name = "NAME")]
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
    #[arg(long, value_name = "NAME")]
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

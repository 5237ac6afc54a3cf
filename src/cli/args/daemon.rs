//! The arguments of `runner daemon`.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::complete;
use clap::{Args, Subcommand, ValueHint};
use clap_complete::ArgValueCompleter;

use crate::model::parse_duration;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  runner daemon                                look after every project that has been run on this machine
  runner daemon ~/jobs                         after the projects in a folder, also those that come
  runner daemon install                        have it start with the machine or the account
  runner daemon install --print ~/jobs         show what that would set up

Exit codes: 0 it was asked to end; 4 it could not work."
)]
pub(in crate::cli) struct DaemonArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<DaemonCommand>,

    #[command(flatten)]
    pub(in crate::cli) work: DaemonWork,

    /// Work as the service that the service control manager has started
    #[cfg(windows)]
    #[arg(long, hide = true)]
    pub(in crate::cli) service: bool,
}

/// How a daemon works.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct DaemonWork {
    /// Folders, each a project or a folder of projects [default: all projects that have been run on this machine]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) folders: Vec<PathBuf>,

    /// Let at most so many runs be under way at once; others wait [default: RUNNER_MAX_RUNS, else 32]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(in crate::cli) max_runs: Option<u16>,

    /// Interrupt runs that go on for so long once it is asked to end [default: they end by themselves]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(in crate::cli) drain_timeout: Option<Duration>,

    /// Write mails as .eml files into this folder, and send nothing
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "no_mail")]
    pub(in crate::cli) mail_dir: Option<PathBuf>,

    /// Neither send nor write mails
    #[arg(long)]
    pub(in crate::cli) no_mail: bool,

    /// Read exec_config.NAME.json over exec_config.json
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    pub(in crate::cli) profile: Option<String>,

    /// Print only what went wrong
    #[arg(short, long)]
    pub(in crate::cli) quiet: bool,
}

/// What else `runner daemon` can do.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DaemonCommand {
    /// Have the system start the daemon, now and with the machine
    ///
    /// By a unit of systemd, of this account or of the machine; on Windows by a service.
    Install(DaemonInstallArgs),
    /// Have the system end the daemon, and start it no more
    Uninstall(DaemonPlace),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DaemonInstallArgs {
    #[command(flatten)]
    pub(in crate::cli) place: DaemonPlace,

    /// Run it as this account [default: root; on Windows LocalSystem]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) account: Option<String>,

    #[command(flatten)]
    pub(in crate::cli) work: DaemonWork,
}

/// Where it is set up.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct DaemonPlace {
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(in crate::cli) print: bool,

    /// For this account [default, unless the account is root's]
    #[cfg(unix)]
    #[arg(long)]
    pub(in crate::cli) user: bool,

    /// For the machine [default, if the account is root's]
    #[cfg(unix)]
    #[arg(long, conflicts_with = "user")]
    pub(in crate::cli) system: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

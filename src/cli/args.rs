//! The arguments, and nothing else.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueHint};
use clap_complete::ArgValueCompleter;

use super::complete;

use crate::model::EmailStrategy;
use crate::store::Keeper;

mod daemon;
mod schedule;

pub(super) use daemon::{DaemonArgs, DaemonCommand, DaemonInstallArgs, DaemonPlace, DaemonWork};
pub(super) use schedule::{
    ScheduleCommand, ScheduleHistoryArgs, ScheduleInstallArgs, SchedulePauseArgs, SchedulePreviewArgs,
    ScheduleRunNowArgs, ScheduleStatusArgs, ScheduleUninstallArgs, With,
};

const EXAMPLES: &str = "\
Examples:
  runner run                              run the project of this folder
  runner run reports load --jobs 2        run two projects side by side
  runner run reports --only monthly.py    run one of its scripts
  runner run reports --dry-run            show what would be run
  runner check reports --explain          show each setting and where it comes from
  runner history reports                  what its last runs came to
  runner show 39be3                       all about the run whose id begins so
  runner retry 39be3                      run again what failed in it

Exit codes:
  0 everything succeeded      1 a script failed        2 usage or configuration
  3 already running           4 the runner could not work        130 interrupted
  Of several projects the first of 130, 4, 2, 1, 3, 0 that occurred.";

/// Runs folders of scripts unattended, and tells how they went.
///
/// A folder with an exec_config.json is a project. The runner runs its scripts in order, times each, records success or
/// failure in a log and a history, and mails a summary.
#[derive(Debug, Parser)]
#[command(name = "runner", version, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,

    /// Folder of the state database [default: RUNNER_STATE_DIR, else the machine's or the account's]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) state_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run projects
    Run(RunArgs),
    /// Run again what failed in a run
    ///
    /// The scripts of that run that failed or were interrupted, not those that were skipped, with the profile and the inputs that it had.
    Retry(FollowArgs),
    /// Go on where a run broke off
    ///
    /// The scripts of that run from the first on that did not succeed, with the profile and the inputs that it had.
    Resume(FollowArgs),
    /// Check project files, without running anything
    Check(CheckArgs),
    /// Make a folder of scripts a project
    ///
    /// Looks which scripts the folder has and what runs them, asks what it can't know if there is somebody to ask, and writes an
    /// exec_config.json. It never overwrites one.
    Init(InitArgs),
    /// List the projects that have been run
    List(ListArgs),
    /// List past runs, newest first
    History(HistoryArgs),
    /// Show how long each script takes, and how often it succeeds
    Stats(StatsArgs),
    /// Show all that is known of one run
    Show(ShowArgs),
    /// Print what the scripts of a run printed
    Logs(LogsArgs),
    /// See when projects are due
    Schedule {
        #[command(subcommand)]
        command: ScheduleCommand,
    },
    /// Start the runs of projects when their schedules say so, for as long as it lives
    ///
    /// Watches the projects' folders: what is changed there is in force at once, and while a project file is broken, what it said
    /// before. A run that should have begun while no daemon was there begins when one is, and says that it is late.
    ///
    /// Ctrl-C or SIGTERM has it start nothing new, and end when the runs under way have; a second one interrupts those. SIGHUP has it
    /// read everything anew.
    Daemon(Box<DaemonArgs>),
    /// See to the mails that are on their way
    Mail {
        #[command(subcommand)]
        command: MailCommand,
    },
    /// Look whether this machine and projects are fit to run unattended
    Doctor(DoctorArgs),
    /// Print the JSON Schema of exec_config.json
    Schema {
        /// That of profiles and of exec_config.common.json, in which nothing is required
        #[arg(long)]
        layer: bool,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Write a page for each verb into this folder instead
        #[arg(value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner run                                   run the project of this folder
  runner run ~/jobs/*                          run every project below a folder
  runner run reports --from load.py            go on from one of its scripts
  runner run reports -p since=yesterday        with another value for one of its inputs
  runner run reports --help-params             show which inputs it has
  runner run reports --mail-dir /tmp/mails     write the mail to a file instead of sending it")]
pub(super) struct RunArgs {
    /// Project folders [default: this folder]
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(super) projects: Vec<PathBuf>,

    /// Run so many projects side by side
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(super) jobs: u16,

    /// Run only this script (its name, file or place); may be repeated
    #[arg(long, value_name = "SCRIPT")]
    pub(super) only: Vec<String>,

    /// Run from this script on
    #[arg(long, value_name = "SCRIPT")]
    pub(super) from: Option<String>,

    /// Show the inputs that the projects declare, and run nothing
    #[arg(long)]
    pub(super) help_params: bool,
    /// Run it for the latest planned instant of this schedule that has not been run yet, or not at all if there is none
    ///
    /// This is what the entries of the system's own scheduler call. Of a schedule that nobody keeps it runs as by hand; an entry that
    /// `runner schedule install` made says by whom it is kept.
    #[arg(long, value_name = "SCHEDULE", conflicts_with_all = ["jobs", "only", "from", "dry_run"])]
    pub(super) scheduled: Option<String>,

    /// Whose entry calls
    #[arg(long, value_name = "KEEPER", hide = true, requires = "scheduled", value_parser = keeper)]
    pub(super) keeper: Option<Keeper>,

    /// For which schedule the entry that calls was made
    #[arg(long, value_name = "DEFINITION", hide = true, requires = "keeper")]
    pub(super) entry: Option<String>,

    #[command(flatten)]
    pub(super) flags: RunFlags,
}

/// A keeper by its name.
pub(super) fn keeper(text: &str) -> Result<Keeper, String> {
    let names = Keeper::ALL.map(Keeper::name).join(", ");
    Keeper::from_name(text).ok_or_else(|| format!("write one of {names}"))
}

/// What all verbs that run projects take.
#[derive(Debug, Clone, Args)]
pub(super) struct RunFlags {
    /// Set an input that the project declares; may be repeated
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = name_and_value, add = ArgValueCompleter::new(complete::inputs))]
    pub(super) params: Vec<(String, String)>,

    /// Show what would be run, and run nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Write mails as .eml files into this folder, and send nothing
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "no_mail")]
    pub(super) mail_dir: Option<PathBuf>,

    /// Neither send nor write mails
    #[arg(long)]
    pub(super) no_mail: bool,

    /// Read exec_config.NAME.json over exec_config.json
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    pub(super) profile: Option<String>,

    /// Print events as JSON lines
    #[arg(long, conflicts_with_all = ["dry_run", "quiet", "verbose"])]
    pub(super) json: bool,

    /// Print only what went wrong
    #[arg(short, long, conflicts_with = "verbose")]
    pub(super) quiet: bool,

    /// Print what the scripts print, too
    #[arg(short, long)]
    pub(super) verbose: bool,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or("write NAME=VALUE, as in since=2026-11-30")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Debug, Args)]
pub(super) struct FollowArgs {
    /// The run's id, or its beginning
    pub(super) run: String,

    #[command(flatten)]
    pub(super) flags: RunFlags,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner check                                 check the project of this folder
  runner check reports load                    check two projects
  runner check reports --explain               show each setting and where it comes from")]
pub(super) struct CheckArgs {
    /// Project folders [default: this folder]
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(super) projects: Vec<PathBuf>,

    /// Read exec_config.NAME.json over exec_config.json
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    pub(super) profile: Option<String>,

    /// Show each value and where it comes from
    #[arg(long)]
    pub(super) explain: bool,

    /// Print one JSON object a line: the problems or, with --explain, the values
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  runner init                                  this folder
  runner init reports --recipient you@example.com
  runner init reports --script load.py --script send.py --print

Exit codes: 0 the file is written; 2 there is one already, or none can be made; 4 it can't be written.")]
pub(super) struct InitArgs {
    /// The folder
    #[arg(value_name = "FOLDER", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(super) folder: PathBuf,

    /// Run this script, in the order given [default: those that are found]; may be repeated
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) script: Vec<OsString>,

    /// What runs the scripts: a program and its arguments, each with this flag [default: what is found]
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub(super) interpreter: Vec<String>,

    /// Who gets mails; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(super) recipient: Vec<String>,

    /// When mails go out [default: failure_only, or none without recipients]
    #[arg(long, value_name = "STRATEGY", value_parser = EmailStrategy::NAMES.map(|(name, _)| name))]
    pub(super) strategy: Option<String>,

    /// Ask nothing
    #[arg(short, long)]
    pub(super) yes: bool,

    /// Print the file instead of writing it
    #[arg(long)]
    pub(super) print: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner history                               the last runs of all projects
  runner history reports -n 100                the last hundred of one, by its folder or its name
  runner history --json                        for programs")]
pub(super) struct HistoryArgs {
    /// A project's folder or name [default: all projects]
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(super) project: Option<PathBuf>,

    /// Show at most so many runs
    #[arg(short = 'n', long = "limit", value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: u32,

    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner stats reports                         the scripts of one project, by its folder or its name
  runner stats --json                          those of all projects, for programs")]
pub(super) struct StatsArgs {
    /// A project's folder or name [default: all projects]
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(super) project: Option<PathBuf>,

    /// Look at the last so many times of each script
    #[arg(short = 'n', long = "last", value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) times: u32,

    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The run's id, or its beginning
    pub(super) run: String,

    /// Print it as one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner logs 39be3                            what the scripts of the run printed whose id begins so
  runner logs 39be3 load.py                    only one of them
  runner logs 39be3 --follow                   while they print")]
pub(super) struct LogsArgs {
    /// The run's id, or its beginning
    pub(super) run: String,

    /// Only this script (its name, file or place)
    pub(super) script: Option<String>,

    /// Go on printing until the run ends
    #[arg(short, long)]
    pub(super) follow: bool,

    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
It writes, locks and starts programs as a run would, runs no script and sends no mail.

Examples:
  runner doctor                                the machine, and the project of this folder if it is one
  runner doctor reports load                   the machine and two projects
  runner doctor --json                         for programs

Exit codes: 0 no problem; 2 a project file or variable is wrong; 4 the machine is the problem.")]
pub(super) struct DoctorArgs {
    /// Project folders [default: this folder, if it is a project]
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(super) projects: Vec<PathBuf>,

    /// Read exec_config.NAME.json over exec_config.json
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    pub(super) profile: Option<String>,

    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

/// What `runner mail` can do.
#[derive(Debug, Subcommand)]
pub(super) enum MailCommand {
    /// Send a short test mail, and show each step of it
    ///
    /// Takes the settings of a project's .env and of the environment, connects, signs in, and sends a few lines. What is said to
    /// the server is shown, but for passwords and tokens. Nothing is queued: it goes out now, or says why not and what to do.
    Test(MailTestArgs),
    /// Sign a mailbox in, once, so that mails go out in its name (OAuth)
    ///
    /// For mailboxes that sign in without a password of their own in .env: LOGIN_MAIL names the mailbox, MAIL_CLIENT_ID the
    /// application. It prints an address and a code; open the address in any browser, on any device, and enter the code there.
    /// The token is kept for the account of the operating system that runs this command: a task that runs as another account
    /// needs a sign-in of its own.
    Login(MailLoginArgs),
    /// Show what waits to be sent, why, and what has failed
    Status(MailStatusArgs),
    /// Send now what waits, whatever kept it from being sent
    Flush(MailFlushArgs),
    /// Write the mail about a past run to a file, and send nothing
    ///
    /// The mail that the project as it is set up now would send about that run, whatever its strategy, told with what was known of
    /// its runs before.
    Preview(MailPreviewArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner mail test                               with the settings of this folder's project
  runner mail test reports --to me@example.com   another project's, to another mailbox

Exit codes: 0 the server has taken the mail; 1 it has not; 2 a project file or a variable is wrong.")]
pub(super) struct MailTestArgs {
    /// The project whose .env has the settings [default: this folder]
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(super) project: Option<PathBuf>,

    /// Read exec_config.NAME.json over exec_config.json
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    pub(super) profile: Option<String>,

    /// Who gets it [default: the login]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) to: Option<lettre::Address>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 signed in; 1 not signed in; 2 a project file or a variable is wrong, or the application may not do it;
4 the token can't be kept; 130 given up.")]
pub(super) struct MailLoginArgs {
    /// The project whose .env has the settings [default: this folder]
    #[arg(value_name = "PROJECT", value_hint = ValueHint::DirPath)]
    pub(super) project: Option<PathBuf>,

    /// Read exec_config.NAME.json over exec_config.json
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::profiles))]
    pub(super) profile: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct MailStatusArgs {
    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 nothing is left to be sent; 1 something is; 4 the runner could not work.")]
pub(super) struct MailFlushArgs {
    /// Also what has failed for good
    #[arg(long)]
    pub(super) failed: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  runner mail preview 39be3                    write the mail about the run whose id begins so, here
  runner mail preview 39be3 --open             and show it in the mail program
  runner mail preview 39be3 --language all     in every language
  runner mail preview 39be3 --html -           print its HTML page")]
pub(super) struct MailPreviewArgs {
    /// The run's id, or its beginning
    pub(super) run: String,

    /// In this language [default: the project's]
    #[arg(long, value_name = "LANGUAGE", value_parser = ["en", "fr", "ja", "ko", "all"])]
    pub(super) language: Option<String>,

    /// Write the .eml file into this folder
    #[arg(long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(super) dir: PathBuf,

    /// Write only the HTML page, to this file; `-` prints it
    #[arg(long, value_name = "FILE", conflicts_with = "dir", value_hint = ValueHint::FilePath)]
    pub(super) html: Option<PathBuf>,

    /// Open what was written with the program for such files
    #[arg(long)]
    pub(super) open: bool,
}

/// The whole command line, for completions, manual pages and the reference.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

//! The daemon as a service of Windows: how it is set up, and its entry.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Local;
use tracing_appender::rolling::{Builder, RollingFileAppender, Rotation};

use super::install::{DRAIN, command};
use super::start;
use crate::cli::ExitCode;
use crate::cli::args::{DaemonInstallArgs, DaemonPlace, DaemonWork};
use crate::cli::output::{self, Output, styled};
use crate::daemon::{self, RESTARTS, SERVICE, ServiceSetup, Weight, Word};
use crate::exec;
use crate::model::format_duration;

/// The account of the machine itself.
const LOCAL_SYSTEM: &str = "LocalSystem";
/// How long one waits for a service to end that is taken away.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many days of the log are kept.
const KEPT: usize = 30;

pub(super) fn set_up(args: &DaemonInstallArgs, state_dir: &Path, output: &Output) -> Result<(), String> {
    let drain_timeout = args.work.drain_timeout.unwrap_or(DRAIN);
    let command = command(&args.work, state_dir, drain_timeout, true)?;
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let account = args.account.as_deref().unwrap_or(LOCAL_SYSTEM);
    if args.place.print {
        let words: Vec<String> = command.iter().map(|word| format!("\"{word}\"")).collect();
        let after: Vec<String> = RESTARTS.iter().map(|after| format_duration(*after)).collect();
        output.line(format!("service:  {SERVICE}"));
        output.line("starts:   with the machine, after the services that don't wait");
        output.line(format!("runs:     {}", words.join(" ")));
        output.line(format!("account:  {}", account));
        output.line(format!("failures: started again after {}", after.join(", ")));
        output.line(format!("log:      {}", state_dir.join("log").join("daemon.DATE.log").display()));
        return Ok(());
    }
    let unset = daemon::install_service(&ServiceSetup {
        program: program.into(),
        arguments: arguments.iter().map(Into::into).collect(),
        account: account.to_owned(),
        password: password(account)?,
        drain_timeout,
    })?;
    unset.iter().for_each(|what| output.error(format!("{} {what}", styled(output::WARNING, "warning:"))));
    output.line(format!("the service {SERVICE} is started; `sc.exe query {SERVICE}` shows it"));
    output.line(format!("what it says is in {}", state_dir.join("log").display()));
    Ok(())
}

/// The system's own accounts, virtual ones and managed ones have none; another's is read, so that no list of processes shows it.
fn password(account: &str) -> Result<Option<String>, String> {
    let (domain, name) = account.split_once('\\').unwrap_or(("", account));
    if domain.eq_ignore_ascii_case("NT AUTHORITY") || name.eq_ignore_ascii_case(LOCAL_SYSTEM) {
        return Ok(Some(String::new()));
    }
    if domain.eq_ignore_ascii_case("NT SERVICE") || name.ends_with('$') {
        return Ok(None);
    }
    if std::io::stdin().is_terminal() {
        return Err(format!("the password of {account} is read from standard input; pipe it into this command"));
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| format!("the password can't be read: {error}"))?;
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

pub(super) fn take_away(place: &DaemonPlace, output: &Output) -> Result<(), String> {
    if place.print {
        output.line(format!("service:  {SERVICE}, stopped and taken away"));
        return Ok(());
    }
    let done = match daemon::uninstall_service(PATIENCE)? {
        true => format!("the service {SERVICE} has ended, and starts no more"),
        false => format!("there is no service {SERVICE}; there is nothing to do"),
    };
    output.line(done);
    Ok(())
}

/// What the service control manager starts.
pub(super) fn serve(work: &DaemonWork, state_dir: &Path, output: &Output) -> ExitCode {
    let log = match Log::open(state_dir) {
        Ok(log) => Arc::new(log),
        Err(message) => return fail(&message, output),
    };
    let (work, state_dir) = (work.clone(), state_dir.to_owned());
    let served = daemon::serve(move |control, orders| {
        let (spawner, trouble) = exec::owning_spawner();
        trouble.into_iter().for_each(|trouble| log.write("warning: ", &trouble));
        let tell = Arc::clone(&log);
        let ended = start::options(&work, &state_dir, spawner).and_then(|options| {
            let tell = Arc::new(move |word: Word| tell.print(&word));
            daemon::work(options, control, orders, tell).map_err(|error| error.to_string())
        });
        match ended {
            Ok(()) => 0,
            Err(message) => {
                log.write("error: ", &message);
                1
            }
        }
    });
    match served {
        Ok(()) => ExitCode::Success,
        Err(message) => fail(&message, output),
    }
}

fn fail(message: &str, output: &Output) -> ExitCode {
    output.error(format!("{} {message}", styled(output::BAD, "error:")));
    ExitCode::CannotWork
}

/// What the daemon says where there is no console: a file a day, beside the runner's own diagnostics.
struct Log(Mutex<RollingFileAppender>);

impl Log {
    fn open(state_dir: &Path) -> Result<Self, String> {
        let folder = state_dir.join("log");
        let cannot = |error: &dyn std::fmt::Display| format!("{}: can't be written to: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(|error| cannot(&error))?;
        let file = Builder::new()
            .rotation(Rotation::DAILY)
            .filename_prefix("daemon")
            .filename_suffix("log")
            .max_log_files(KEPT)
            .build(&folder);
        file.map(|file| Self(Mutex::new(file))).map_err(|error| cannot(&error))
    }

    fn print(&self, word: &Word) {
        let weight = match word.weight {
            Weight::Plain | Weight::Good => "",
            Weight::Warning => "warning: ",
            Weight::Bad => "error: ",
        };
        self.write(weight, &word.text);
    }

    fn write(&self, weight: &str, text: &str) {
        let line = format!("{} {weight}{text}\n", Local::now().format("%Y-%m-%d %H:%M:%S"));
        // There is nobody else to tell.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
}

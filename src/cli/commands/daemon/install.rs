//! `runner daemon install` and `uninstall`.

use std::path::Path;
use std::time::Duration;

#[cfg(windows)]
use super::service as platform;
#[cfg(unix)]
use super::unit as platform;
use crate::cli::ExitCode;
use crate::cli::args::{DaemonInstallArgs, DaemonPlace, DaemonWork};
use crate::cli::output::{self, Output, styled};
use crate::model::format_duration;

/// How long runs may go on, unless somebody says otherwise: a machine that shuts down waits for them.
pub(super) const DRAIN: Duration = Duration::from_secs(300);

pub(super) fn install(args: &DaemonInstallArgs, state_dir: &Path, output: &Output) -> ExitCode {
    finish(platform::set_up(args, state_dir, output), output)
}

pub(super) fn uninstall(place: &DaemonPlace, output: &Output) -> ExitCode {
    finish(platform::take_away(place, output), output)
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

/// The command line that the system starts: with everything that depends on where one stands said in full.
pub(super) fn command(
    work: &DaemonWork,
    state_dir: &Path,
    drain_timeout: Duration,
    as_service: bool,
) -> Result<Vec<String>, String> {
    let text = |path: &Path| {
        let absolute = std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
        absolute.to_str().map(str::to_owned).ok_or_else(|| format!("the path {} is not UTF-8", absolute.display()))
    };
    let program = std::env::current_exe().map_err(|error| format!("where this program lies can't be told: {error}"))?;
    let mut words = vec![text(&program)?, "--state-dir".into(), text(state_dir)?, "daemon".into()];
    words.extend(as_service.then(|| "--service".into()));
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

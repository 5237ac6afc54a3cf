//! `runner schedule install`: entries for the system's own schedulers.

use std::path::Path;

use jiff::Timestamp;

use super::entries::{self, fail, keeper, with_ledger};
use crate::cli::ExitCode;
use crate::cli::args::{ScheduleInstallArgs, With};
use crate::cli::commands::{StateDir, check};
use crate::cli::output::{self, Output, styled};
use crate::config::Environment;
use crate::host::found::units_dir;
use crate::host::place::{self, PlaceError};
use crate::host::{Host, Refusal, Setting, Subject, Units, crontab, is_root, task, units};
use crate::ledger::Ledger;
use crate::model::Project;
use crate::schedule::Schedule;
use crate::store::{Keeper, Registration, ScheduleFilter, StoreError};

pub(super) fn install(args: &ScheduleInstallArgs, state: &StateDir, output: &Output) -> ExitCode {
    let env = Environment::from_process();
    let host = host(args.with);
    let setting = match setting(args, host, state) {
        Ok(setting) => setting,
        Err(why) => {
            output.error(format!("{} {why}", styled(output::BAD, "error:")));
            return ExitCode::CannotWork;
        }
    };
    let mut worst = ExitCode::Success;
    for folder in check::projects_or_here(&args.projects) {
        let Some(loaded) = check::load(&folder, args.profile.as_deref(), &env, output) else {
            worst = worst.max(ExitCode::Usage);
            continue;
        };
        let project = &loaded.project;
        let Some(chosen) = chosen(project, &args.schedule, output) else {
            worst = worst.max(ExitCode::Usage);
            continue;
        };
        let mut made = Vec::new();
        for schedule in chosen {
            match entry(host, Subject { project, schedule }, &setting, args.print) {
                Ok(entry) => made.push((schedule, entry)),
                Err(refusal) => {
                    let whose = format!("{}, schedule {}", project.name, schedule.name);
                    output.error(format!("{} {whose}: {refusal}", styled(output::BAD, "refused:")));
                    worst = worst.max(ExitCode::Usage);
                }
            }
        }
        if made.is_empty() {
            continue;
        }
        warnings(host, project, &setting, output);
        if args.print {
            made.iter().for_each(|(_, entry)| output.line(entry.shown().trim_end()));
            continue;
        }
        let put = async |ledger: &mut Ledger| put_all(ledger, host, project, &made, &setting, output).await;
        worst = worst.max(with_ledger(state, output, put));
    }
    worst
}

/// The scheduler that was named, else the one that the system has.
fn host(with: Option<With>) -> Host {
    match with {
        Some(With::TaskScheduler) => Host::TaskScheduler,
        Some(With::Systemd) => Host::Systemd,
        Some(With::Cron) => Host::Cron,
        None if cfg!(windows) => Host::TaskScheduler,
        // sd_booted(3)
        None if Path::new("/run/systemd/system").is_dir() => Host::Systemd,
        None => Host::Cron,
    }
}

fn setting(args: &ScheduleInstallArgs, host: Host, state: &StateDir) -> Result<Setting, String> {
    let runner = std::env::current_exe().map_err(|error| format!("this program's own file can't be found: {error}"))?;
    let state_dir = std::path::absolute(state.required()?).map_err(|error| format!("the state folder: {error}"))?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USERNAME").or_else(|| variable("USER")).unwrap_or_default();
    let own_account = variable("USERDOMAIN").map_or_else(|| user.clone(), |domain| format!("{domain}\\{user}"));
    let system_wide = args.system || (host == Host::Systemd && !args.user && is_root());
    let zone = place::zone_of(host).map_err(|error| format!("{error}; {}", error.hint()))?;
    Ok(Setting {
        runner,
        state_dir,
        system_wide,
        account: args.account.clone(),
        own_account,
        wake: args.wake,
        path: variable("PATH"),
        zone,
        now: Timestamp::now(),
    })
}

/// The schedules that were named, else all; `None` if there is something else than they.
fn chosen<'a>(project: &'a Project, named: &[String], output: &Output) -> Option<Vec<&'a Schedule>> {
    let error = |text: String| output.error(format!("{} {text}", styled(output::BAD, "error:")));
    if project.schedules.is_empty() {
        error(format!("{} has no `schedule` in its project file", project.name));
        return None;
    }
    let known: Vec<&str> = project.schedules.iter().map(|schedule| schedule.name.as_str()).collect();
    if let Some(unknown) = named.iter().find(|name| !known.contains(&name.as_str())) {
        error(format!("{} has no schedule `{unknown}`, only {}", project.name, known.join(", ")));
        return None;
    }
    Some(project.schedules.iter().filter(|schedule| named.is_empty() || named.contains(&schedule.name)).collect())
}

enum Entry {
    Units(Units),
    Block { name: String, text: String },
    Task { name: String, xml: String },
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Self::Units(units) => &units.name,
            Self::Block { name, .. } | Self::Task { name, .. } => name,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Units(Units { name, timer, service }) => {
                format!("# {name}.timer\n{timer}\n# {name}.service\n{service}")
            }
            Self::Block { text, .. } => text.clone(),
            Self::Task { xml, .. } => xml.clone(),
        }
    }
}

fn entry(host: Host, of: Subject<'_>, setting: &Setting, to_print: bool) -> Result<Entry, Refusal> {
    Ok(match host {
        Host::Systemd => Entry::Units(units::units(of, setting)?),
        Host::Cron => Entry::Block { name: of.name(), text: crontab::block(of, setting)? },
        Host::TaskScheduler => {
            let encoding = if to_print { "UTF-8" } else { "UTF-16" };
            Entry::Task { name: of.name(), xml: task::task(of, setting, encoding)? }
        }
    })
}

/// Has the ledger answer for the schedules, and then puts their entries, so that nothing is started that isn't in the ledger.
async fn put_all(
    ledger: &mut Ledger,
    host: Host,
    project: &Project,
    made: &[(&Schedule, Entry)],
    setting: &Setting,
    output: &Output,
) -> Result<ExitCode, StoreError> {
    let filter = ScheduleFilter { projects: Some(vec![project.root.clone()]), with_ended: false };
    let kept = ledger.store().schedules(&filter).await?;
    let mut code = ExitCode::Success;
    for (schedule, entry) in made {
        let whose = format!("{}, schedule {}", project.name, schedule.name);
        let before = kept.iter().find(|row| row.name == schedule.name && row.profile == project.profile);
        if let Some(row) = before.filter(|row| ![Keeper::Daemon, keeper(host)].contains(&row.keeper)) {
            let keeper = row.keeper.name();
            let remedy = format!("`runner schedule uninstall {}` takes that entry away first", project.root.display());
            output.error(format!("{} {whose} is kept by {keeper}; {remedy}", styled(output::BAD, "error:")));
            code = code.max(ExitCode::Usage);
            continue;
        }
        let one = std::slice::from_ref(*schedule);
        let (project_dir, profile) = (project.root.as_path(), project.profile.as_deref());
        let of = Registration { project_dir, project: &project.name, profile, keeper: keeper(host), schedules: one };
        ledger.register(&of, Timestamp::now()).await?;
        ledger.store().keep_contacts([project]).await?;
        if let Err(error) = put(entry, setting) {
            if before.is_none_or(|row| row.keeper != keeper(host)) {
                let names = [schedule.name.clone()];
                ledger.store().forget(project_dir, profile, keeper(host), Some(&names), Timestamp::now()).await?;
            }
            fail(output, &error);
            code = code.max(ExitCode::ScriptFailed);
            continue;
        }
        let next = schedule.next_after(setting.now).map(|next| {
            let local = next.to_zoned(schedule.zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string();
            format!(", next {local}")
        });
        let taken = before.is_some_and(|row| row.keeper == Keeper::Daemon);
        let taken = if taken { "; the daemon leaves it to that from now on" } else { "" };
        let (host, name) = (host.name(), entry.name());
        output.line(format!(
            "{} {whose}: {host} entry {name}{}{taken}",
            styled(output::GOOD, "installed"),
            next.unwrap_or_default()
        ));
    }
    Ok(code)
}

fn put(entry: &Entry, setting: &Setting) -> Result<(), PlaceError> {
    match entry {
        Entry::Units(units) => place::put_units(units, &units_dir(setting.system_wide)?, setting.system_wide),
        Entry::Block { name, text } => {
            let account = setting.account.as_deref();
            let crontab = place::read_crontab(account)?;
            place::write_crontab(account, &crontab::with_block(&crontab, name, text))
        }
        Entry::Task { name, xml } => place::put_task(name, xml, setting),
    }
}

/// What makes entries surprise.
fn warnings(host: Host, project: &Project, setting: &Setting, output: &Output) {
    let warn = |text: String| output.error(format!("{} {text}", styled(output::WARNING, "warning:")));
    let user = std::env::var("USER").unwrap_or_default();
    if host == Host::Systemd && !setting.system_wide && !place::lingers(&user) {
        let what = "timers of an account's own run only while it is signed in";
        warn(format!("{what}; `{}` changes that", format!("loginctl enable-linger {user}").trim_end()));
    }
    if host == Host::TaskScheduler && task::logon(setting) == task::Logon::Own {
        let root = project.root.to_string_lossy();
        if root.starts_with("\\\\") {
            warn(format!(
                "{root} is on another machine, and a task without a password has no network; name the account with `--account`"
            ));
        }
    }
    let home = std::env::home_dir().filter(|home| setting.state_dir.starts_with(home));
    if let (Some(account), Some(_)) = (&setting.account, home) {
        let dir = setting.state_dir.display();
        warn(format!("the state folder {dir} is in this account's home; {account} has to be able to write it"));
    }
    for zone in entries::zones_that_differ(project, setting.now) {
        warn(format!(
            "the system's rules for the time zone {zone} are of another age than this program's; bring tzdata up to date"
        ));
    }
}

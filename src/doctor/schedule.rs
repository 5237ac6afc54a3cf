//! Who starts a project's runs, and what could keep them from it.

use std::path::Path;

use chrono::{Local, Utc};
use jiff::Timestamp;

use super::{Finding, os};
use crate::exec;
use crate::host::found::{self, Found, Standing};
use crate::host::{Host, Subject, place, traps};
use crate::model::Project;
use crate::runner::{self, Overdue};
use crate::store::{DaemonStay, Keeper, ScheduleFilter, ScheduleRow, Store};

const CHECK: &str = "schedule";
const AGAIN: &str = "`runner schedule install` makes it anew";

/// Looks at each schedule of a project; nothing for one that has none.
pub(super) async fn examine(project: &Project, state_dir: Option<&Path>) -> Vec<Finding> {
    if project.schedules.is_empty() {
        return Vec::new();
    }
    let Ledger { rows, daemon, overdue } = ledger(project, state_dir).await;
    let (found, unseen) = found::all(None);
    let mut findings: Vec<Finding> = unseen
        .iter()
        .map(|(_, error)| Finding::warning(CHECK, format!("entries can't be looked at: {error}"), error.hint()))
        .collect();
    for schedule in &project.schedules {
        let of = Subject { project, schedule };
        let row = rows.iter().find(|row| row.name == schedule.name);
        findings.extend(kept(of, row.map(|row| row.keeper), daemon, &found));
    }
    let is_its = |overdue: &Overdue| project.schedules.iter().any(|schedule| schedule.name == overdue.schedule);
    findings.extend(overdue.into_iter().filter(is_its).map(|Overdue { schedule: name, planned, why }| {
        let planned = planned.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S");
        let found = format!("{name} is overdue: its run planned for {planned} has not begun ({why})");
        let remedy = format!("`runner schedule run-now {} {name}` makes up for it", project.root.display());
        Finding::warning(CHECK, found, remedy)
    }));
    let keepers: Vec<Keeper> = rows.iter().map(|row| row.keeper).collect();
    findings.extend(surroundings(project, &keepers, &found));
    let mut zones: Vec<&str> = project.schedules.iter().filter_map(|schedule| schedule.zone.iana_name()).collect();
    zones.sort_unstable();
    zones.dedup();
    for zone in zones.into_iter().filter(|zone| place::zone_differs(zone, Timestamp::now())) {
        let found = format!("the system has other rules for {zone} than this program");
        findings.push(Finding::warning(
            "time zone data",
            found,
            "bring the package tzdata and this program up to date",
        ));
    }
    findings
}

/// What the state database has of a project's schedules.
#[derive(Default)]
struct Ledger {
    rows: Vec<ScheduleRow>,
    daemon: Daemon,
    /// Schedules that should have run and haven't: since when, and why.
    overdue: Vec<Overdue>,
}

/// Whether a daemon is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Daemon {
    Runs,
    /// On another machine, whose processes can't be seen.
    MayRun,
    #[default]
    Off,
}

/// Nothing if the database can't be read, of which there is a finding already.
async fn ledger(project: &Project, state_dir: Option<&Path>) -> Ledger {
    let Some(dir) = state_dir else { return Ledger::default() };
    let Ok(mut store) = Store::open(dir).await else { return Ledger::default() };
    let filter = ScheduleFilter { projects: Some(vec![project.root.clone()]), with_ended: false };
    let mut rows = store.schedules(&filter).await.unwrap_or_default();
    rows.retain(|row| row.profile == project.profile);
    let stays = store.daemon_stays().await.unwrap_or_default();
    let may_run = |stay: &DaemonStay| stay.ended.is_none() && stay.process.is_some() && stay.host != exec::host();
    let daemon = match stays.iter().any(runner::is_here) {
        true => Daemon::Runs,
        false if stays.iter().any(may_run) => Daemon::MayRun,
        false => Daemon::Off,
    };
    let overdue = runner::overdue(&mut store, &project.root, project.profile.as_deref(), Utc::now()).await;
    let _ = store.close().await;
    Ledger { rows, daemon, overdue: overdue.unwrap_or_default() }
}

/// Who keeps a schedule, and how its entry stands.
fn kept(of: Subject<'_>, keeper: Option<Keeper>, daemon: Daemon, found: &[Found]) -> Vec<Finding> {
    let name = &of.schedule.name;
    let entry_name = of.name();
    let task = found::task(&entry_name, &of.project.root, name).ok().flatten();
    let entry = found.iter().find(|entry| entry.name == entry_name).or(task.as_ref());
    let (Some(keeper), entry) = (keeper, entry) else {
        if of.schedule.next_after(Timestamp::now()).is_none() {
            return vec![Finding::info(CHECK, format!("{name} is never due again"))];
        }
        let found = format!("nobody starts the runs of schedule {name}");
        let remedy = "run `runner daemon`, or have the system do it: `runner schedule install`";
        return vec![Finding::warning(CHECK, found, remedy)];
    };
    if keeper == Keeper::Daemon {
        return vec![match daemon {
            Daemon::Runs => Finding::ok(CHECK, format!("{name} is kept by the daemon")),
            Daemon::MayRun => {
                Finding::info(CHECK, format!("{name} is kept by a daemon, and none runs on this machine"))
            }
            Daemon::Off => {
                let found = format!("{name} is kept by the daemon, but none is running");
                let remedy = "start `runner daemon`; `runner daemon install` has it start with the system";
                Finding::warning(CHECK, found, remedy)
            }
        }];
    }
    let Some(entry) = entry else {
        let found = format!("{name} is kept by {}, which has no entry for it that this account sees", keeper.name());
        return vec![Finding::warning(CHECK, found, AGAIN)];
    };
    let host = entry.host.name();
    let mut findings = vec![match entry.standing(of) {
        Standing::Fits => Finding::ok(CHECK, format!("{name} is kept by {host}, entry {entry_name}")),
        Standing::Drifted => {
            let what = "the project file, or the machine's time zone, is another than when";
            let found = format!("{name}: {what} the entry {entry_name} of {host} was made");
            Finding::warning(CHECK, found, AGAIN)
        }
        Standing::Edited => {
            let found = format!("{name}: somebody has changed the entry {entry_name} of {host}");
            Finding::warning(CHECK, found, AGAIN)
        }
        Standing::Off => {
            let found = format!("{name}: the entry {entry_name} of {host} doesn't start with the system");
            Finding::warning(CHECK, found, AGAIN)
        }
    }];
    if entry.host == Host::TaskScheduler {
        let xml = place::read_task(&entry_name).ok().flatten().unwrap_or_default();
        let told =
            |trap: traps::Trap| Finding::warning(CHECK, format!("{name}, the task: {}", trap.found), trap.remedy);
        findings.extend(traps::traps(&xml).into_iter().map(told));
    }
    findings
}

/// What else the schedulers need.
fn surroundings(project: &Project, keepers: &[Keeper], found: &[Found]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own_timer = |entry: &Found| {
        entry.host == Host::Systemd && !entry.system_wide && Path::new(&entry.label.project) == project.root
    };
    let user = std::env::var("USER").unwrap_or_default();
    if keepers.contains(&Keeper::Systemd) && found.iter().any(own_timer) && !place::lingers(&user) {
        let command = format!("loginctl enable-linger {user}");
        let remedy = format!("run `{}`, or install it with `--system`", command.trim_end());
        findings.push(Finding::warning(CHECK, "timers of this account run only while it is signed in", remedy));
    }
    if keepers.contains(&Keeper::Cron) && !place::cron_runs() {
        findings.push(Finding::warning(
            CHECK,
            "no cron daemon is running",
            "start it, and have it start with the system",
        ));
    }
    if keepers.contains(&Keeper::TaskScheduler) {
        if os::is_network_share(&project.root) {
            let found = format!("{} is on another machine's disk", project.root.display());
            let remedy = "name it as \\\\server\\share, as tasks have no mapped drives, and give the task an account with a \
                          password: `runner schedule install --account`";
            findings.push(Finding::warning(CHECK, found, remedy));
        }
        let found =
            "tasks run in session 0: scripts have no window to show, and a start by hand ignores the conditions";
        findings.push(Finding::info(CHECK, found));
    }
    findings
}

//! Looks for what has to be told of schedules: what the database knows of them, held against their projects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Local, TimeDelta, Utc};

use super::decide::{self, Present, Running, Telling};
use crate::config::{self, Environment, LoadRequest};
use crate::exec;
use crate::mail::{Missing, Trouble};
use crate::model::{Project, to_timestamp};
use crate::runner::recording::host;
use crate::schedule::{Hindrance, Presence, Stay};
use crate::store::{
    Claimant, DaemonStay, Keeper, MissedInstants, Quiet, ScheduleRow, Store, StoreError, ToldMarks, ToldSchedule,
    WatchedSchedule,
};

/// Finds a project by its folder and profile, as it is in force; what is wrong with it if it can't be loaded.
pub(crate) type FindProject<'a> = &'a dyn Fn(&Path, Option<&str>) -> Result<Arc<Project>, String>;

/// What the database knows.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Schedules that may be overdue.
    watched: Vec<WatchedSchedule>,
    missed: Vec<MissedInstants>,
    stays: Vec<DaemonStay>,
    /// When others may be.
    next: Option<DateTime<Utc>>,
}

impl Known {
    /// What is of interest now of all projects.
    pub(crate) async fn read(store: &mut Store, now: DateTime<Utc>) -> Result<Self, StoreError> {
        let (watched, missed) = (store.watched_schedules(now).await?, store.untold_misses().await?);
        let is_empty = watched.is_empty() && missed.is_empty();
        let stays = if is_empty { Vec::new() } else { store.daemon_stays().await? };
        Ok(Self { watched, missed, stays, next: store.quiet_until(now).await? })
    }

    /// Whether a daemon is there now, on this machine.
    fn has_daemon(&self) -> bool {
        self.stays.iter().any(is_here)
    }
}

/// How long after its instant a run has usually begun, whoever begins it.
const SOON: TimeDelta = TimeDelta::minutes(2);
/// What is overdue although a daemon is there: it isn't known which folders that looks after.
const NOT_BEGUN: &str = "a daemon is running that has not begun it; it may look after other folders";

/// One trouble, and whether somebody is told of it.
#[derive(Debug)]
pub(super) struct Finding {
    /// The schedule's number, and when somebody was told of it before.
    id: i64,
    before: Option<DateTime<Utc>>,
    pub(super) trouble: Trouble,
    pub(super) telling: Telling,
}

impl Finding {
    /// Takes in what was missed next of the same schedule, for the same reason: instants that were claimed one by one have a row each.
    fn goes_on(&mut self, next: &Trouble, telling: Telling) -> bool {
        let Trouble { schedule, what, why, detail } = &mut self.trouble;
        let is_same = (&*schedule, &*why, &*detail, self.telling) == (&next.schedule, &next.why, &next.detail, telling);
        match (what, next.what) {
            (Missing::Missed { count, last, .. }, Missing::Missed { count: more, last: end, .. }) if is_same => {
                (*count, *last) = (count.saturating_add(more), end);
                true
            }
            _ => false,
        }
    }
}

/// What is found of one project and profile.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) project_dir: PathBuf,
    pub(super) profile: Option<String>,
    pub(super) findings: Vec<Finding>,
    /// The missed instants of which nobody has to be told any more if those are told that are told now.
    pub(super) missed: Vec<(i64, DateTime<Utc>, DateTime<Utc>)>,
}

/// What is found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) groups: Vec<Group>,
    /// When something may be to be told next, if nothing happens until then.
    pub(super) next: Option<DateTime<Utc>>,
    /// What needn't be looked at for a while.
    pub(super) quiet: Vec<Quiet>,
}

impl Found {
    fn next(&mut self, at: DateTime<Utc>) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

/// Holds what is known against the present. `is_daemon`: whether whoever looks keeps schedules itself.
pub(super) fn look(known: &Known, is_daemon: bool, now: DateTime<Utc>) -> Found {
    look_with(known, is_daemon, None, now)
}

/// With another allowance than the schedules have.
fn look_with(known: &Known, is_daemon: bool, allowance: Option<TimeDelta>, now: DateTime<Utc>) -> Found {
    let booted = exec::up_for().and_then(|length| now.checked_sub_signed(TimeDelta::from_std(length).ok()?));
    // It would speak for what it keeps, but not before the usual allowance has passed.
    let is_kept_by_another = allowance.is_none() && !is_daemon && known.has_daemon();
    let present = Present { now, booted, is_kept_by_another, allowance };
    let stay = |stay: &DaemonStay| match is_here(stay) {
        true => Stay { until: to_timestamp(now), ..stay.stay() },
        false => stay.stay(),
    };
    let presence = Presence {
        booted: booted.map(to_timestamp),
        earlier: known.stays.iter().filter(|stay| stay.host == host()).map(stay).collect(),
        ..Presence::default()
    };
    let mut found = Found { next: known.next, ..Found::default() };
    let mut groups: BTreeMap<(PathBuf, Option<String>), Group> = BTreeMap::new();
    for missed in &known.missed {
        let telling = decide::telling_missed(missed, now);
        let MissedInstants { schedule, first, last, count, why, detail, .. } = missed;
        let what = Missing::Missed { count: *count, first: *first, last: *last };
        let trouble = Trouble { schedule: schedule.row.name.clone(), what, why: *why, detail: detail.clone() };
        let group = group_of(&mut groups, schedule);
        match telling {
            Telling::Later(at) => found.next(at),
            Telling::Now | Telling::Known => group.missed.push((schedule.row.id, *first, *last)),
        }
        if !group.findings.last_mut().is_some_and(|before| before.goes_on(&trouble, telling)) {
            group.add(schedule, trouble, telling);
        }
    }
    for watched in &known.watched {
        let row = &watched.row;
        let Some(schedule) = config::schedule_of_definition(&row.name, &row.definition) else { continue };
        // Of another machine's processes nothing is known.
        let is_gone = |holder: &Claimant| holder.host == host() && exec::is_gone(&holder.process);
        let until = decide::quiet_until(watched, &schedule, &present);
        if until.is_none_or(|until| until > now) {
            found.quiet.push(Quiet { id: row.id, covered: row.covered, until });
        }
        let planned = match decide::running(watched, &schedule, &is_gone, &present) {
            Running::Fine => {
                until.filter(|until| *until > now).into_iter().for_each(|at| found.next(at));
                continue;
            }
            Running::Until(at) => {
                found.next(at);
                continue;
            }
            Running::Overdue(planned) => planned,
        };
        let telling = decide::telling_overdue(watched, now);
        if let Telling::Later(at) = telling {
            found.next(at);
        }
        let why = presence.why(to_timestamp(planned), row.keeper != Keeper::Daemon, false);
        let what = Missing::Overdue { planned };
        let group = group_of(&mut groups, watched);
        let detail = (why == Hindrance::CouldNotRun).then(|| NOT_BEGUN.to_owned());
        group.add(watched, Trouble { schedule: row.name.clone(), what, why, detail }, telling);
    }
    found.groups = groups.into_values().collect();
    found
}

impl Group {
    fn add(&mut self, watched: &WatchedSchedule, trouble: Trouble, telling: Telling) {
        self.findings.push(Finding { id: watched.row.id, before: watched.told(), trouble, telling });
    }

    /// What is marked if those are told that are told now.
    pub(super) fn marks(&self) -> ToldMarks {
        let mut schedules: BTreeMap<i64, ToldSchedule> = BTreeMap::new();
        for Finding { id, before, trouble, .. } in
            self.findings.iter().filter(|finding| finding.telling == Telling::Now)
        {
            let told =
                schedules.entry(*id).or_insert_with(|| ToldSchedule { id: *id, before: *before, why: Vec::new() });
            match (trouble.what, trouble.detail.as_deref()) {
                // That is a guess.
                (Missing::Overdue { .. }, Some(NOT_BEGUN)) => {}
                // The project is broken, too, whatever keeps it from being tried.
                (Missing::Overdue { .. }, Some(_)) => told.why.extend([trouble.why, Hindrance::CouldNotRun]),
                _ => told.why.push(trouble.why),
            }
        }
        ToldMarks { missed: self.missed.clone(), schedules: schedules.into_values().collect() }
    }

    /// Whether there is something to tell now.
    pub(super) fn has_news(&self) -> bool {
        self.findings.iter().any(|finding| finding.telling == Telling::Now)
    }

    /// The project as it is in force, or what is wrong with it. What nobody has taken from the ledger yet though it was taken
    /// from the project is nobody's trouble any more.
    pub(super) fn find_project(&mut self, find: FindProject<'_>) -> Result<Arc<Project>, String> {
        let project = find(&self.project_dir, self.profile.as_deref());
        // A drive that isn't there comes back; a folder that isn't there was deleted.
        let is_deleted = !self.project_dir.exists() && self.project_dir.parent().is_some_and(Path::is_dir);
        self.findings.retain(|finding| match (finding.trouble.what, &project) {
            (Missing::Missed { .. }, _) => true,
            (Missing::Overdue { .. }, Err(_)) => !is_deleted,
            (Missing::Overdue { .. }, Ok(project)) => {
                project.schedules.iter().any(|schedule| schedule.name == finding.trouble.schedule)
            }
        });
        if let Err(problem) = &project {
            // Whoever starts it then: it wouldn't run.
            for finding in &mut self.findings {
                if matches!(finding.trouble.what, Missing::Overdue { .. }) {
                    finding.trouble.detail = Some(problem.clone());
                }
            }
        }
        project
    }
}

fn group_of<'g>(
    groups: &'g mut BTreeMap<(PathBuf, Option<String>), Group>,
    watched: &WatchedSchedule,
) -> &'g mut Group {
    let ScheduleRow { project_dir, profile, project, .. } = &watched.row;
    groups.entry((project_dir.clone(), profile.clone())).or_insert_with(|| Group {
        name: project.clone(),
        project_dir: project_dir.clone(),
        profile: profile.clone(),
        findings: Vec::new(),
        missed: Vec::new(),
    })
}

/// Whether a daemon is there now, on this machine.
pub(crate) fn is_here(stay: &DaemonStay) -> bool {
    stay.ended.is_none() && stay.host == host() && stay.process.as_ref().is_some_and(exec::is_alive)
}

/// As the project's files have it now.
pub(crate) fn load(folder: &Path, profile: Option<&str>) -> Result<Arc<Project>, String> {
    let env = Environment::from_process();
    let loaded = config::load(&LoadRequest { project: folder, profile, env: &env });
    loaded.map(|loaded| Arc::new(loaded.project)).map_err(|error| error.first())
}

/// What is wrong now of any project, in a sentence for whoever reads the listings; `None` if nothing is.
pub(crate) fn standing_alarm(known: &Known, now: DateTime<Utc>) -> Option<String> {
    let mut found = look(known, false, now);
    for group in &mut found.groups {
        let _ = group.find_project(&load);
    }
    let untold = |finding: &&Finding| match finding.trouble.what {
        Missing::Overdue { .. } => true,
        Missing::Missed { .. } => finding.telling != Telling::Known,
    };
    let mut all = found
        .groups
        .iter()
        .flat_map(|group| group.findings.iter().filter(untold).map(move |finding| (group, &finding.trouble)));
    let (group, trouble) = all.next()?;
    let more = match all.count() {
        0 => String::new(),
        1 => ", and there is one more alarm".to_owned(),
        more => format!(", and there are {more} more alarms"),
    };
    Some(format!("{}: {}{more}", group.name, in_words(trouble)))
}

/// What a trouble is about, however many instants it has come to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct About {
    pub(crate) project_dir: PathBuf,
    pub(crate) profile: Option<String>,
    pub(crate) schedule: String,
    pub(crate) why: Hindrance,
    /// Whether the instants may still run.
    pub(crate) is_overdue: bool,
}

/// What somebody would have to be told now.
#[derive(Debug, Clone)]
pub(crate) struct News {
    pub(crate) about: About,
    /// The last planned instant that it is about.
    pub(crate) until: DateTime<Utc>,
    /// In a sentence that begins with the project's name.
    pub(crate) sentence: String,
}

/// What somebody would have to be told now, and when to look again.
pub(crate) fn news_in_words(known: &Known, now: DateTime<Utc>) -> (Vec<News>, Option<DateTime<Utc>>) {
    let found = look(known, true, now);
    let is_news = |finding: &&Finding| finding.telling == Telling::Now;
    let of_group = |group: &Group| -> Vec<News> {
        let told = |Finding { trouble, .. }: &Finding| {
            let (until, is_overdue) = match trouble.what {
                Missing::Missed { last, .. } => (last, false),
                Missing::Overdue { planned } => (planned, true),
            };
            let (project_dir, profile) = (group.project_dir.clone(), group.profile.clone());
            let about =
                About { project_dir, profile, schedule: trouble.schedule.clone(), why: trouble.why, is_overdue };
            News { about, until, sentence: format!("{}: {}", group.name, in_words(trouble)) }
        };
        group.findings.iter().filter(is_news).map(told).collect()
    };
    (found.groups.iter().flat_map(of_group).collect(), found.next)
}

/// One that should have run by now and hasn't.
#[derive(Debug, Clone)]
pub(crate) struct Overdue {
    /// The schedule, as it is known among the project's.
    pub(crate) schedule: String,
    /// Its first instant that nobody has answered for.
    pub(crate) planned: DateTime<Utc>,
    /// What keeps it, as far as can be told.
    pub(crate) why: &'static str,
}

/// The schedules of a project, whether its files can be read or not, that should have run and haven't, long before anybody is alarmed.
pub(crate) async fn overdue(
    store: &mut Store,
    project_dir: &Path,
    profile: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Vec<Overdue>, StoreError> {
    let watched = store.watched_of(project_dir, profile).await?;
    let known = Known { watched, stays: store.daemon_stays().await?, ..Known::default() };
    let troubles = look_with(&known, false, Some(SOON), now).groups.into_iter().flat_map(|group| group.findings);
    let overdue = troubles.filter_map(|Finding { trouble, .. }| match trouble.what {
        Missing::Overdue { planned } => {
            let why = if trouble.detail.is_some() { NOT_BEGUN } else { trouble.why.reason() };
            Some(Overdue { schedule: trouble.schedule, planned, why })
        }
        Missing::Missed { .. } => None,
    });
    Ok(overdue.collect())
}

/// `3 planned runs of schedule 1 were missed since 2026-11-20 06:00: no daemon was running`.
pub(super) fn in_words(trouble: &Trouble) -> String {
    let at = |time: DateTime<Utc>| time.with_timezone(&Local).format("%Y-%m-%d %H:%M");
    let Trouble { schedule, what, why, detail } = trouble;
    let what = match what {
        Missing::Missed { count: 1, first, .. } => format!("the run planned for {} was missed", at(*first)),
        Missing::Missed { count, first, .. } => format!("{count} planned runs since {} were missed", at(*first)),
        Missing::Overdue { planned } => format!("the run planned for {} has not begun", at(*planned)),
    };
    let detail = detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{what} (schedule `{schedule}`: {}{detail})", why.reason())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(what: Missing, why: Hindrance, detail: Option<&str>) -> Finding {
        let trouble = Trouble { schedule: "1".into(), what, why, detail: detail.map(str::to_owned) };
        Finding { id: 7, before: None, trouble, telling: Telling::Now }
    }

    /// What a mail takes for the reason is told no second time: a guess isn't that.
    #[test]
    fn the_reasons_that_are_told_are_those_that_are_known() {
        let at = DateTime::UNIX_EPOCH;
        let (missed, overdue) = (Missing::Missed { count: 1, first: at, last: at }, Missing::Overdue { planned: at });
        let (off, broken) = (Hindrance::DaemonOff, Hindrance::CouldNotRun);
        let marks = |findings| {
            let group =
                Group { name: "p".into(), project_dir: "p".into(), profile: None, findings, missed: Vec::new() };
            group.marks().schedules.remove(0).why
        };
        assert_eq!(marks(vec![told(missed, off, None), told(missed, broken, Some("a.json:1"))]), [off, broken]);
        assert_eq!(marks(vec![told(overdue, off, None)]), [off]);
        assert_eq!(marks(vec![told(overdue, off, Some("a.json:1"))]), [off, broken]);
        assert_eq!(marks(vec![told(overdue, broken, Some(NOT_BEGUN))]), []);
    }
}

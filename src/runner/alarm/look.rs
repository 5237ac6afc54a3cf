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
use crate::schedule::{Presence, Schedule, Stay};
use crate::store::{Claimant, DaemonStay, Keeper, MissedInstants, Store, StoreError, ToldMarks, WatchedSchedule};

/// Finds a project by its folder and profile, as it is in force; `None` if it can't be loaded.
pub(crate) type FindProject<'a> = &'a dyn Fn(&Path, Option<&str>) -> Option<Arc<Project>>;

/// What the database knows.
#[derive(Debug, Default)]
pub(crate) struct Known {
    watched: Vec<WatchedSchedule>,
    missed: Vec<MissedInstants>,
    stays: Vec<DaemonStay>,
}

impl Known {
    pub(crate) async fn read(store: &mut Store) -> Result<Self, StoreError> {
        let (watched, missed) = (store.watched_schedules().await?, store.untold_misses().await?);
        let is_empty = watched.is_empty() && missed.is_empty();
        Ok(Self { watched, missed, stays: if is_empty { Vec::new() } else { store.daemon_stays().await? } })
    }

    /// Whether a daemon is there now, on this machine.
    pub(crate) fn has_daemon(&self) -> bool {
        self.stays.iter().any(is_here)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.watched.is_empty() && self.missed.is_empty()
    }
}

/// One trouble, and whether somebody is told of it.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) trouble: Trouble,
    pub(super) telling: Telling,
}

/// What is found of one project and profile.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) project_dir: PathBuf,
    pub(super) profile: Option<String>,
    pub(super) findings: Vec<Finding>,
    /// What is marked if those are told that are told now.
    pub(super) marks: ToldMarks,
}

/// What is found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) groups: Vec<Group>,
    /// When something may be to be told next, if nothing happens until then.
    pub(super) next: Option<DateTime<Utc>>,
}

impl Found {
    fn next(&mut self, at: DateTime<Utc>) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

/// Holds what is known against the present. `is_daemon`: whether whoever looks keeps schedules itself.
pub(super) fn look(known: &Known, is_daemon: bool, now: DateTime<Utc>) -> Found {
    let booted = exec::up_for().and_then(|length| now.checked_sub_signed(TimeDelta::from_std(length).ok()?));
    let present = Present { now, booted, is_kept_by_another: !is_daemon && known.has_daemon() };
    let stay = |stay: &DaemonStay| match is_here(stay) {
        true => Stay { until: to_timestamp(now), ..stay.stay() },
        false => stay.stay(),
    };
    let presence = Presence {
        booted: booted.map(to_timestamp),
        earlier: known.stays.iter().filter(|stay| stay.host == host()).map(stay).collect(),
        ..Presence::default()
    };
    let mut found = Found::default();
    let mut groups: BTreeMap<(PathBuf, Option<String>), Group> = BTreeMap::new();
    for missed in &known.missed {
        let telling = decide::telling_missed(missed, now);
        let MissedInstants { schedule, first, last, count, why, detail } = missed;
        let what = Missing::Missed { count: *count, first: *first, last: *last };
        let trouble = Trouble { schedule: schedule.name.clone(), what, why: *why, detail: detail.clone() };
        let group = group_of(&mut groups, schedule);
        match telling {
            Telling::Later(at) => found.next(at),
            Telling::Now | Telling::Known => group.marks.missed.push((schedule.id, *first, *last)),
        }
        group.add(schedule, trouble, telling);
    }
    for watched in &known.watched {
        let Some(schedule) = config::schedule_of_definition(&watched.name, &watched.definition) else { continue };
        // Of another machine's processes nothing is known.
        let is_gone = |holder: &Claimant| holder.host == host() && exec::is_gone(&holder.process);
        let planned = match decide::running(watched, &schedule, &is_gone, &present) {
            Running::Fine => continue,
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
        let why = presence.why(to_timestamp(planned), watched.keeper != Keeper::Daemon, false);
        let what = Missing::Overdue { planned };
        let group = group_of(&mut groups, watched);
        group.add(watched, Trouble { schedule: watched.name.clone(), what, why, detail: None }, telling);
    }
    found.groups = groups.into_values().collect();
    found
}

impl Group {
    fn add(&mut self, watched: &WatchedSchedule, trouble: Trouble, telling: Telling) {
        if telling == Telling::Now && !self.marks.schedules.iter().any(|(id, _)| *id == watched.id) {
            self.marks.schedules.push((watched.id, watched.told));
        }
        self.findings.push(Finding { trouble, telling });
    }
}

impl Group {
    /// Whether there is something to tell now.
    pub(super) fn has_news(&self) -> bool {
        self.findings.iter().any(|finding| finding.telling == Telling::Now)
    }

    /// The project as it is in force, if it can be loaded. What nobody has taken from the ledger yet though it was taken from the
    /// project is nobody's trouble any more.
    pub(super) fn find_project(&mut self, find: FindProject<'_>) -> Option<Arc<Project>> {
        let project = find(&self.project_dir, self.profile.as_deref());
        // A drive that isn't there comes back; a folder that isn't there was deleted.
        let is_deleted = !self.project_dir.exists() && self.project_dir.parent().is_some_and(Path::is_dir);
        self.findings.retain(|finding| match (finding.trouble.what, &project) {
            (Missing::Missed { .. }, _) => true,
            (Missing::Overdue { .. }, None) => !is_deleted,
            (Missing::Overdue { .. }, Some(project)) => {
                project.schedules.iter().any(|schedule| schedule.name == finding.trouble.schedule)
            }
        });
        project
    }
}

fn group_of<'g>(
    groups: &'g mut BTreeMap<(PathBuf, Option<String>), Group>,
    watched: &WatchedSchedule,
) -> &'g mut Group {
    let WatchedSchedule { project_dir, profile, project, .. } = watched;
    groups.entry((project_dir.clone(), profile.clone())).or_insert_with(|| Group {
        name: project.clone(),
        project_dir: project_dir.clone(),
        profile: profile.clone(),
        findings: Vec::new(),
        marks: ToldMarks::default(),
    })
}

/// Whether a daemon is there now, on this machine.
pub(crate) fn is_here(stay: &DaemonStay) -> bool {
    stay.ended.is_none() && stay.host == host() && stay.process.as_ref().is_some_and(exec::is_alive)
}

/// As the project's files have it now.
pub(crate) fn load(folder: &Path, profile: Option<&str>) -> Option<Arc<Project>> {
    let env = Environment::from_process();
    let loaded = config::load(&LoadRequest { project: folder, profile, env: &env });
    loaded.ok().map(|loaded| Arc::new(loaded.project))
}

/// When a project is due next, by those of its schedules that somebody keeps and that aren't paused.
pub(super) fn next_planned(project: &Project, known: &Known, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let kept = |schedule: &Schedule| {
        known.watched.iter().any(|watched| {
            watched.name == schedule.name && watched.project_dir == project.root && watched.profile == project.profile
        })
    };
    project.next_planned(now, kept)
}

/// What is wrong now of any project, in a sentence for whoever reads the listings; `None` if nothing is.
pub(crate) fn standing_alarm(known: &Known, now: DateTime<Utc>) -> Option<String> {
    let mut found = look(known, false, now);
    for group in &mut found.groups {
        group.find_project(&load);
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

/// What somebody would have to be told now, in sentences that begin with the project's name, and when to look again.
pub(crate) fn news_in_words(known: &Known, now: DateTime<Utc>) -> (Vec<String>, Option<DateTime<Utc>>) {
    let found = look(known, true, now);
    let is_news = |finding: &&Finding| finding.telling == Telling::Now;
    let of_group = |group: &Group| -> Vec<String> {
        let news = group.findings.iter().filter(is_news);
        news.map(|finding| format!("{}: {}", group.name, in_words(&finding.trouble))).collect()
    };
    (found.groups.iter().flat_map(of_group).collect(), found.next)
}

/// The schedules of a project that should have run and haven't: their names, since when, and why, as far as can be told.
pub(crate) fn overdue(
    known: &Known,
    project: &Project,
    now: DateTime<Utc>,
) -> Vec<(String, DateTime<Utc>, &'static str)> {
    let groups = look(known, false, now).groups.into_iter();
    let of_it = groups.filter(|group| group.project_dir == project.root && group.profile == project.profile);
    let troubles = of_it.flat_map(|group| group.findings).map(|finding| finding.trouble);
    let overdue = troubles.filter_map(|trouble| match trouble.what {
        Missing::Overdue { planned } => Some((trouble.schedule, planned, trouble.why.reason())),
        Missing::Missed { .. } => None,
    });
    overdue.filter(|(name, ..)| project.schedules.iter().any(|schedule| schedule.name == *name)).collect()
}

/// `3 planned runs of schedule 1 were missed since 2026-11-20 06:00: no daemon was running`.
pub(super) fn in_words(trouble: &Trouble) -> String {
    let at = |time: DateTime<Utc>| time.with_timezone(&Local).format("%Y-%m-%d %H:%M");
    let Trouble { schedule, what, why, .. } = trouble;
    let what = match what {
        Missing::Missed { count: 1, first, .. } => format!("the run planned for {} was missed", at(*first)),
        Missing::Missed { count, first, .. } => format!("{count} planned runs since {} were missed", at(*first)),
        Missing::Overdue { planned } => format!("the run planned for {} has not begun", at(*planned)),
    };
    format!("{what} (schedule `{schedule}`: {})", why.reason())
}

//! The heart of whoever keeps many schedules: which of them to look at when. It neither waits nor runs anything: it is told the
//! time, and answers what is to run and when to ask again.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Claim, Ledger};
use crate::model::RunId;
use crate::schedule::{Presence, SET_BACK, Schedule};
use crate::store::{
    Keeper, Registered, Registration, RunEnded, RunNews, ScheduleFilter, ScheduleRow, Settled, StoreError,
};

/// Schedules that one transaction looks at.
const AT_A_TIME: usize = 200;
/// After how many seconds to look again at what somebody else has claimed, who may die: at first, and at the latest.
const RECHECK: (i64, i64) = (30, 300);
/// When to try again after the database couldn't be used.
const AFTER_TROUBLE: SignedDuration = SignedDuration::from_secs(5);
/// A clock that goes back by more than that was set.
const SET: SignedDuration = SignedDuration::from_secs(60);
/// How often what is old is forgotten.
const PRUNED_EACH: SignedDuration = SignedDuration::from_hours(24);

/// A project whose schedules are kept.
#[derive(Debug, Clone, Default)]
pub struct ScheduledProject {
    /// Its folder.
    pub dir: PathBuf,
    /// The profile that it runs with.
    pub profile: Option<String>,
    /// Its name.
    pub name: String,
    /// When it is due.
    pub schedules: Vec<Schedule>,
}

type Key = (PathBuf, Option<String>);

struct Entry {
    schedule: Arc<Schedule>,
    covered: Timestamp,
    next: Option<Timestamp>,
    /// Whether the end or beginning of a run lets it go on.
    blocked: bool,
    /// Whether it has ended, and only answers for what was due before.
    closing: bool,
}

/// Keeps the schedules of many projects, as the daemon does.
pub struct Engine {
    ledger: Ledger,
    entries: HashMap<i64, Entry>,
    /// The same by when they are to be looked at.
    queue: BTreeSet<(Timestamp, i64)>,
    projects: HashMap<Key, Vec<i64>>,
    /// The same as they are in force, each with the folder by which the ledger knows it.
    in_force: HashMap<Key, (ScheduledProject, PathBuf)>,
    /// Those of which somebody else has ended something: they are put anew.
    again: BTreeSet<Key>,
    /// The schedules of claims that are under way.
    runs: HashMap<RunId, i64>,
    /// Claims that couldn't be handed over yet.
    ready: Vec<Claim>,
    last: Option<Timestamp>,
    pruned: Option<Timestamp>,
    /// Until when the database is left alone.
    troubled: Option<Timestamp>,
}

impl Engine {
    /// An engine without projects.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            entries: HashMap::new(),
            queue: BTreeSet::new(),
            projects: HashMap::new(),
            in_force: HashMap::new(),
            again: BTreeSet::new(),
            runs: HashMap::new(),
            ready: Vec::new(),
            last: None,
            pruned: None,
            troubled: None,
        }
    }

    /// The ledger, for what isn't the engine's.
    pub fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// How many schedules it keeps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it keeps none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keeps the schedules of a project, as they are from now on; returns those that are another's to keep.
    ///
    /// # Errors
    /// When the database can't be written; then nothing has changed.
    pub async fn put(
        &mut self,
        project: &ScheduledProject,
        now: Timestamp,
    ) -> Result<Vec<(String, Keeper)>, StoreError> {
        let left = self.put_all(std::slice::from_ref(project), now).await?;
        Ok(left.into_iter().next().unwrap_or_default())
    }

    /// Likewise for many projects at once, which is quicker.
    ///
    /// # Errors
    /// As [`Engine::put`].
    pub async fn put_all(
        &mut self,
        projects: &[ScheduledProject],
        now: Timestamp,
    ) -> Result<Vec<Vec<(String, Keeper)>>, StoreError> {
        let registrations: Vec<Registration<'_>> = projects.iter().map(registration).collect();
        let registered = self.ledger.store().register(&registrations, now).await?;
        let held = self.ledger.store().held_schedules().await?;
        let mut left = Vec::with_capacity(projects.len());
        for (project, registered) in projects.iter().zip(registered) {
            left.push(registered.left.clone());
            self.take(project, registered, now, &|id| held.contains(&id));
        }
        Ok(left)
    }

    /// Keeps a project no more. What was due before still gets its answer.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn remove(&mut self, dir: &Path, profile: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
        let key = (dir.to_owned(), profile.map(str::to_owned));
        let known_as = self.known_as(dir, profile);
        let closing = self.ledger.store().forget(&known_as, profile, Keeper::Daemon, None, now).await?;
        self.in_force.remove(&key);
        self.again.remove(&key);
        let before = self.projects.remove(&key).unwrap_or_default();
        let stays = closing.into_iter().filter_map(|row| self.close(&row, now)).collect::<Vec<_>>();
        for id in before.iter().filter(|id| !stays.contains(id)) {
            self.drop_entry(*id);
        }
        if !stays.is_empty() {
            self.projects.insert(key, stays);
        }
        Ok(())
    }

    /// Whether it keeps a project.
    #[must_use]
    pub fn keeps(&self, dir: &Path, profile: Option<&str>) -> bool {
        self.in_force.contains_key(&(dir.to_owned(), profile.map(str::to_owned)))
    }

    /// The folder by which the ledger knows a project.
    #[must_use]
    pub fn known_as(&self, dir: &Path, profile: Option<&str>) -> PathBuf {
        let key = (dir.to_owned(), profile.map(str::to_owned));
        self.in_force.get(&key).map_or_else(|| dir.to_owned(), |(_, known_as)| known_as.clone())
    }

    /// Looks at everything that is to be looked at by now, and returns what is to run. Of each claim it has to
    /// [hear](Engine::hear) that its run has begun, and what has come of it.
    ///
    /// # Errors
    /// When the database can't be used. What was claimed nevertheless comes with the next answer.
    pub async fn tick(&mut self, now: Timestamp, presence: &Presence) -> Result<Vec<Claim>, StoreError> {
        self.notice_set_back(now);
        self.last = Some(now);
        let due: Vec<i64> = self.queue.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        let mut trouble = None;
        for ids in due.chunks(AT_A_TIME) {
            if let Err(error) = self.look_at(ids, now, presence).await {
                trouble = Some(error);
                break;
            }
        }
        if trouble.is_none() {
            trouble = self.put_again(now).await.err();
        }
        self.troubled = trouble.is_some().then(|| later(now, AFTER_TROUBLE));
        match trouble {
            Some(error) if self.ready.is_empty() => Err(error),
            _ => Ok(std::mem::take(&mut self.ready)),
        }
    }

    /// When to tick next by the clock; `None`: nothing is planned.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        let again = self.last.filter(|_| !self.again.is_empty());
        let next = self.queue.first().map(|(at, _)| *at).into_iter().chain(again).min()?;
        Some(self.troubled.map_or(next, |until| next.max(until)))
    }

    /// The run of a claim has begun.
    ///
    /// # Errors
    /// As [`Engine::hear`].
    pub async fn began(&mut self, run_id: &RunId, now: Timestamp) -> Result<(), StoreError> {
        self.hear(vec![(run_id.clone(), RunNews::Began(now))]).await
    }

    /// The run of a claim has ended, or there will be none.
    ///
    /// # Errors
    /// As [`Engine::hear`].
    pub async fn ended(&mut self, run_id: &RunId, ended: RunEnded, now: Timestamp) -> Result<(), StoreError> {
        self.hear(vec![(run_id.clone(), RunNews::Ended(ended, now))]).await
    }

    /// What became of claims, in one transaction.
    ///
    /// # Errors
    /// When the database can't be written yet; it will be.
    pub async fn hear(&mut self, news: Vec<(RunId, RunNews)>) -> Result<(), StoreError> {
        for (run_id, news) in &news {
            match news {
                RunNews::Began(at) => self.go_on(self.runs.get(run_id).copied(), *at),
                RunNews::Ended(ended, at) => {
                    // Who gives something back is about to end, and doesn't want it again at once.
                    let next = if *ended == RunEnded::GaveBack {
                        later(*at, SignedDuration::from_secs(RECHECK.0))
                    } else {
                        *at
                    };
                    let id = self.runs.remove(run_id);
                    self.go_on(id, next);
                }
            }
        }
        self.ledger.hear(news).await
    }

    fn go_on(&mut self, id: Option<i64>, at: Timestamp) {
        let Some(id) = id else { return };
        let next = match self.entries.get(&id) {
            Some(entry) if entry.blocked || at > self.last.unwrap_or(at) => entry.next.map_or(at, |next| next.min(at)),
            _ => return,
        };
        self.queue_at(id, Some(next));
    }

    /// The clock was set back: what is covered beyond it may have to be open again.
    fn notice_set_back(&mut self, now: Timestamp) {
        if self.last.is_some_and(|last| last.duration_since(now) > SET) {
            let ahead = |entry: &Entry| entry.covered.duration_since(now) > SET_BACK;
            let ids: Vec<i64> = self.entries.iter().filter(|(_, entry)| ahead(entry)).map(|(id, _)| *id).collect();
            ids.into_iter().for_each(|id| self.queue_at(id, Some(now)));
        }
    }

    async fn look_at(&mut self, ids: &[i64], now: Timestamp, presence: &Presence) -> Result<(), StoreError> {
        let schedules: Vec<(i64, Arc<Schedule>)> =
            ids.iter().filter_map(|id| Some((*id, Arc::clone(&self.entries.get(id)?.schedule)))).collect();
        let looks: Vec<(i64, &Schedule)> = schedules.iter().map(|(id, schedule)| (*id, &**schedule)).collect();
        if self.pruned.is_none_or(|pruned| now.duration_since(pruned).abs() > PRUNED_EACH) {
            self.ledger.prune(now).await?;
            self.pruned = Some(now);
        }
        let settled = self.ledger.settle(&looks, Some(Keeper::Daemon), now, presence).await?;
        for ((id, _), (settled, claim)) in looks.iter().zip(settled) {
            self.after(*id, &settled, now);
            if let Some(claim) = claim {
                self.runs.insert(claim.run_id.clone(), *id);
                self.ready.push(claim);
            }
        }
        Ok(())
    }

    /// Puts those anew of which somebody else has ended something: what this engine was told to keep it keeps.
    async fn put_again(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let projects = self.again.iter().filter_map(|key| Some(self.in_force.get(key)?.0.clone()));
        let projects: Vec<ScheduledProject> = projects.collect();
        for project in projects {
            let since = self.ended_at(&project, now).await?;
            self.put(&project, since).await?;
        }
        self.again.clear();
        Ok(())
    }

    /// When somebody ended what nobody keeps now of a project: what was planned since then has no answer yet.
    async fn ended_at(&mut self, project: &ScheduledProject, now: Timestamp) -> Result<Timestamp, StoreError> {
        let filter = ScheduleFilter { projects: Some(vec![project.dir.clone()]), with_ended: true };
        let rows = self.ledger.store().schedules(&filter).await?;
        let rows: Vec<ScheduleRow> = rows.into_iter().filter(|row| row.profile == project.profile).collect();
        let is_kept = |name: &str| rows.iter().any(|row| row.ended.is_none() && row.name == name);
        let lost = project.schedules.iter().filter(|schedule| !is_kept(&schedule.name));
        let ends = lost.flat_map(|schedule| rows.iter().filter(|row| row.name == schedule.name));
        Ok(ends.filter_map(|row| row.ended).max().map_or(now, |ended| ended.min(now)))
    }

    fn after(&mut self, id: i64, settled: &Settled, now: Timestamp) {
        match &settled.row {
            Some(row) if row.ended.is_none() || row.is_closing() => {
                let Some(entry) = self.entries.get_mut(&id) else { return };
                (entry.covered, entry.blocked) = (row.covered, settled.blocked);
                if row.ended.is_some() && !std::mem::replace(&mut entry.closing, true) {
                    self.ended_by_others(id);
                }
                let recheck = settled.others_since.map(|since| later(now, recheck_after(now.duration_since(since))));
                let next = settled.next.into_iter().chain(recheck).min();
                self.queue_at(id, next);
            }
            _ => {
                if self.entries.get(&id).is_some_and(|entry| !entry.closing) {
                    self.ended_by_others(id);
                }
                self.drop_entry(id);
            }
        }
    }

    fn ended_by_others(&mut self, id: i64) {
        let key = self.projects.iter().find_map(|(key, ids)| ids.contains(&id).then(|| key.clone()));
        self.again.extend(key);
    }

    fn take(
        &mut self,
        project: &ScheduledProject,
        registered: Registered,
        now: Timestamp,
        is_held: &dyn Fn(i64) -> bool,
    ) {
        let key = (project.dir.clone(), project.profile.clone());
        let mut rows = registered.rows.iter().flatten().chain(&registered.closing);
        let known_as = rows.next().map_or_else(|| project.dir.clone(), |row| row.project_dir.clone());
        self.in_force.insert(key.clone(), (project.clone(), known_as));
        let mut ids: Vec<i64> = registered.closing.iter().filter_map(|row| self.close(row, now)).collect();
        for (schedule, row) in project.schedules.iter().zip(&registered.rows) {
            let Some(row) = row else { continue };
            ids.push(row.id);
            let next = if is_held(row.id) || row.covered.duration_since(now) > SET_BACK {
                Some(now)
            } else {
                schedule.next_after(row.covered).map(|next| row.timing().due(schedule, next))
            };
            let blocked = self.entries.get(&row.id).is_some_and(|entry| entry.blocked);
            self.drop_entry(row.id);
            let schedule = Arc::new(schedule.clone());
            self.entries.insert(row.id, Entry { schedule, covered: row.covered, next: None, blocked, closing: false });
            self.queue_at(row.id, next);
        }
        let before = self.projects.insert(key, ids.clone()).unwrap_or_default();
        for id in before.iter().filter(|id| !ids.contains(id)) {
            self.drop_entry(*id);
        }
    }

    /// Goes on keeping a schedule that has ended until all of its instants have their answers; `None` if nobody can tell any
    /// more when it was due.
    fn close(&mut self, row: &ScheduleRow, now: Timestamp) -> Option<i64> {
        let known = self.entries.get(&row.id).map(|entry| Arc::clone(&entry.schedule));
        let schedule = known.or_else(|| self.ledger.revive(row).map(Arc::new))?;
        let entry = Entry { schedule, covered: row.covered, next: None, blocked: false, closing: true };
        self.drop_entry(row.id);
        self.entries.insert(row.id, entry);
        self.queue_at(row.id, Some(now));
        Some(row.id)
    }

    fn queue_at(&mut self, id: i64, next: Option<Timestamp>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if let Some(before) = std::mem::replace(&mut entry.next, next) {
            self.queue.remove(&(before, id));
        }
        self.queue.extend(next.map(|next| (next, id)));
    }

    fn drop_entry(&mut self, id: i64) {
        self.queue_at(id, None);
        self.entries.remove(&id);
    }
}

fn registration(project: &ScheduledProject) -> Registration<'_> {
    Registration {
        project_dir: &project.dir,
        project: &project.name,
        profile: project.profile.as_deref(),
        keeper: Keeper::Daemon,
        schedules: &project.schedules,
    }
}

/// The longer somebody has had something, the less it matters that his death is noticed at once.
fn recheck_after(held_for: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs((held_for.as_secs() / 4).clamp(RECHECK.0, RECHECK.1))
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(now)
}

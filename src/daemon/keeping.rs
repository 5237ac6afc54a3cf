//! What the ledger hears of the daemon's projects: what is in force from now on, what is broken, what is gone.

use std::path::Path;

use jiff::Timestamp;

use super::projects::Change;
use super::standing::local;
use super::word::{plain, warning};
use super::work::Daemon;
use crate::ledger::ScheduledProject;
use crate::store::{Keeper, ScheduleFilter, StoreError};

impl Daemon {
    pub(super) fn hand_on_news(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if !self.news.is_empty() {
            // What can't be written now the ledger writes later.
            self.runtime.block_on(self.engine.hear(std::mem::take(&mut self.news)))?;
        }
        // What can't be written stays where it is.
        while let Some(change) = self.changes.front().cloned() {
            match change {
                Change::InForce(_) => {
                    self.put_all(now)?;
                    continue;
                }
                Change::Broken(root) => self.put_as_broken(&root, now)?,
                Change::Gone(root) if self.await_return(&root, now)? => {}
                // Unless it has come back just then.
                Change::Over(root) if !self.gone.values().any(|gone| *gone == root) => {}
                Change::Gone(root) | Change::Over(root) => self.end(&root, now)?,
            }
            self.changes.pop_front();
        }
        Ok(())
    }

    /// Has the ledger keep the projects that are in force from now on, up to the first change of another kind.
    fn put_all(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let projects: Vec<ScheduledProject> = self.changes.iter().map_while(scheduled).collect();
        let left = self.runtime.block_on(self.engine.put_all(&projects, now))?;
        let in_force = self.changes.iter().take(projects.len()).filter_map(|change| match change {
            Change::InForce(project) => Some(&**project),
            Change::Broken(_) | Change::Gone(_) | Change::Over(_) => None,
        });
        self.runtime.block_on(self.store.keep_contacts(in_force.filter(|project| !project.schedules.is_empty())))?;
        self.changes.drain(..projects.len());
        self.gone.retain(|_, root| !projects.iter().any(|project| project.dir == *root));
        for (project, left) in projects.into_iter().zip(left) {
            for (schedule, keeper) in left {
                if self.left_to_others.insert((project.dir.clone(), schedule.clone())) {
                    let (name, keeper) = (&project.name, keeper.name());
                    let what = format!("{name}: its schedule `{schedule}` is kept by {keeper}, and left to it");
                    self.say(plain(what));
                }
            }
        }
        Ok(())
    }

    /// Has the ledger answer no more for a project.
    fn end(&mut self, root: &Path, now: Timestamp) -> Result<(), StoreError> {
        self.gone.retain(|_, gone| gone != root);
        self.runtime.block_on(self.engine.remove(root, self.options.profile.as_deref(), now))
    }

    /// Has it go on with what it keeps of a project whose files are broken, so that each of its instants gets its answer, and
    /// somebody is told.
    fn put_as_broken(&mut self, root: &Path, now: Timestamp) -> Result<(), StoreError> {
        let Some(project) = self.kept(root)? else { return Ok(()) };
        self.runtime.block_on(self.engine.put(&project, now))?;
        let count = project.schedules.len();
        self.projects.keeps(root, count);
        let what = match count {
            1 => "its schedule stays planned".to_owned(),
            count => format!("its {count} schedules stay planned"),
        };
        self.say(warning(format!("{}: {what}; what is due meanwhile is missed, and told", project.name)));
        Ok(())
    }

    /// Likewise of a project that is gone, up to the first that is due; false if nothing is. Whoever has deleted it is told once more
    /// than he needs to be; whose disk is away, as after a boot, hears of it, and nobody does if it is back by then.
    fn await_return(&mut self, root: &Path, now: Timestamp) -> Result<bool, StoreError> {
        let Some(project) = self.kept(root)? else { return Ok(false) };
        let Some(next) = project.schedules.iter().filter_map(|schedule| schedule.next_after(now)).min() else {
            return Ok(false);
        };
        if !self.engine.keeps(root, project.profile.as_deref()) {
            self.runtime.block_on(self.engine.put(&project, now))?;
        }
        self.gone.insert(self.engine.known_as(root, project.profile.as_deref()), root.to_owned());
        let what = "unless the project is back by then, that is missed, and told, and its schedules end";
        self.say(plain(format!("{}: it is due next at {}; {what}", project.name, local(next))));
        Ok(true)
    }

    /// What the ledger keeps of a project that can't be read; `None` if that is nothing.
    fn kept(&mut self, root: &Path) -> Result<Option<ScheduledProject>, StoreError> {
        let known_as = self.engine.known_as(root, self.options.profile.as_deref());
        let filter = ScheduleFilter { projects: Some(vec![known_as]), with_ended: false };
        let mut rows = self.runtime.block_on(self.store.schedules(&filter))?;
        rows.retain(|row| row.keeper == Keeper::Daemon && row.profile == self.options.profile);
        let ledger = self.engine.ledger();
        let schedules: Vec<_> = rows.iter().filter_map(|row| ledger.revive(row)).collect();
        // What a newer runner has put there is left as it is.
        let Some(row) = rows.first().filter(|_| schedules.len() == rows.len()) else { return Ok(None) };
        let (dir, profile, name) = (root.to_owned(), row.profile.clone(), row.project.clone());
        Ok(Some(ScheduledProject { dir, profile, name, schedules }))
    }

    /// Takes up what is kept by daemons of projects that are gone: they went while none was there.
    pub(super) fn forget_the_gone(&mut self, is_gone: impl Fn(&Path) -> bool) {
        let kept = self.runtime.block_on(self.engine.ledger().kept_by(Keeper::Daemon));
        for (root, profile) in kept.unwrap_or_default() {
            if profile == self.options.profile && is_gone(&root) {
                self.say(plain(format!("the project that was in {} is gone", root.display())));
                self.changes.push_back(Change::Gone(root));
            }
        }
    }
}

fn scheduled(change: &Change) -> Option<ScheduledProject> {
    let Change::InForce(project) = change else { return None };
    Some(ScheduledProject {
        dir: project.root.clone(),
        profile: project.profile.clone(),
        name: project.name.clone(),
        schedules: project.schedules.clone(),
    })
}

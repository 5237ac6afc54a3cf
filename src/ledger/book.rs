//! The ledger in the state database, with what this process has claimed of it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::Claim;
use super::fate::{self, Judge};
use crate::config;
use crate::exec;
use crate::model::RunId;
use crate::schedule::{Presence, Schedule};
use crate::store::{
    Claimant, Fate, Held, Keeper, Looker, Registered, Registration, RunNews, ScheduleFilter, ScheduleRow, Settled,
    Store, StoreError,
};

/// For how long answers are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Makes a schedule again of its row's [definition](Schedule::definition); `None` if that can't be read.
pub type Revive = Box<dyn Fn(&ScheduleRow) -> Option<Schedule> + Send + Sync>;

/// What somebody makes of the ledger: opened once by whoever starts runs, and asked in any runtime.
pub struct Ledger {
    store: Store,
    claimant: Claimant,
    judge: Judge,
    revive: Revive,
    /// What it has claimed and not seen to the end.
    under_way: HashSet<RunId>,
    /// What became of claims, as long as the database couldn't be written.
    unwritten: Vec<(RunId, RunNews)>,
}

impl Ledger {
    /// Opens the ledger in the state database of this folder.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let revive = Box::new(|row: &ScheduleRow| config::schedule_of_definition(&row.name, &row.definition));
        Ok(Self::with(Store::open(state_dir).await?, exec::of_this_process(), Box::new(fate::by_process), revive))
    }

    /// A ledger whose claims are this process's; tells by `judge` what has become of others'.
    #[must_use]
    pub fn with(store: Store, process: crate::model::ProcessIdentity, judge: Judge, revive: Revive) -> Self {
        let claimant = Claimant { host: exec::host(), process, token: RunId::random().to_string() };
        Self { store, claimant, judge, revive, under_way: HashSet::new(), unwritten: Vec::new() }
    }

    /// The state database, for what isn't the ledger's.
    pub fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Lets go of the database, without the writing back that closing it brings.
    pub fn leave_open(self) {
        self.store.leave_open();
    }

    /// Has the ledger answer for a project's schedules.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn register(&mut self, of: &Registration<'_>, now: Timestamp) -> Result<Registered, StoreError> {
        let registered = self.store.register(std::slice::from_ref(of), now).await?;
        Ok(registered.into_iter().next().unwrap_or_default())
    }

    /// The folders and profiles of which a keeper has schedules.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn kept_by(&mut self, keeper: Keeper) -> Result<Vec<(PathBuf, Option<String>)>, StoreError> {
        let rows = self.store.schedules(&ScheduleFilter::default()).await?;
        let kept = rows.into_iter().filter(|row| row.keeper == keeper).map(|row| (row.project_dir, row.profile));
        let mut kept: Vec<_> = kept.collect();
        kept.dedup();
        Ok(kept)
    }

    /// The schedule that a row was made of.
    #[must_use]
    pub fn revive(&self, row: &ScheduleRow) -> Option<Schedule> {
        (self.revive)(row)
    }

    /// Answers what is due of these schedules, given by their rows' numbers, and claims what is to run.
    ///
    /// # Errors
    /// When the database can't be written; then nothing was claimed.
    pub async fn settle(
        &mut self,
        looks: &[(i64, &Schedule)],
        keeper: Option<Keeper>,
        now: Timestamp,
        presence: &Presence,
    ) -> Result<Vec<(Settled, Option<Claim>)>, StoreError> {
        self.catch_up().await?;
        let Self { store, claimant, judge, under_way, .. } = self;
        let fate = |held: &Held| match &held.holder {
            Some(holder) if holder.token == claimant.token => match &held.run_id {
                Some(run_id) if under_way.contains(run_id) => Fate::Living,
                _ => fate::by_events(held),
            },
            _ => judge(held, now),
        };
        let looker = Looker { now, presence, claimant, keeper, fate: &fate };
        let settled = store.settle_schedules(looks, &looker).await?;
        let with_claims = settled.into_iter().map(|settled| {
            let claim = match (&settled.row, &settled.claim) {
                (Some(row), Some((claimed, run_id))) => Some(Claim::new(row, claimed, run_id.clone())),
                _ => None,
            };
            self.under_way.extend(claim.iter().map(|claim| claim.run_id.clone()));
            (settled, claim)
        });
        Ok(with_claims.collect())
    }

    /// What became of claims. What can't be written is written later.
    ///
    /// # Errors
    /// When the database couldn't be written yet.
    pub async fn hear(&mut self, news: impl IntoIterator<Item = (RunId, RunNews)>) -> Result<(), StoreError> {
        self.unwritten.extend(news);
        self.catch_up().await
    }

    /// Forgets answers that are older than is kept.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn prune(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.store.prune_answers(now.checked_sub(KEPT).unwrap_or(Timestamp::MIN)).await
    }

    /// Writes what isn't written yet, all at once.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        self.store.hear_of_runs(&self.unwritten).await?;
        for (run_id, news) in self.unwritten.drain(..) {
            if matches!(news, RunNews::Ended(..)) {
                self.under_way.remove(&run_id);
            }
        }
        Ok(())
    }
}

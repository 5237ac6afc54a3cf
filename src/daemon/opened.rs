//! The state database that a daemon works with, and another if that is moved away under it.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::word::bad;
use super::work::Daemon;
use crate::exec;
use crate::ledger::{Engine, Ledger};
use crate::schedule::Stay;
use crate::store::{DaemonStay, Store, StoreError};

/// What a daemon has of it.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) engine: Engine,
    /// Of the word that this daemon is there.
    pub(super) presence_id: i64,
    /// When others of this machine were there.
    pub(super) earlier: Vec<Stay>,
}

impl Opened {
    pub(super) async fn of(state_dir: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let host = exec::host();
        let mut store = Store::open(state_dir).await?;
        let stays = store.daemon_stays().await?;
        let earlier = stays.iter().filter(|stay| stay.host == host).map(DaemonStay::stay).collect();
        let presence_id = store.begin_presence(&host, &exec::of_this_process(), now).await?;
        Ok(Self { store, engine: Engine::new(Ledger::open(state_dir).await?), presence_id, earlier })
    }
}

/// How long one waits for whoever moves it: its log has to be moved, too.
const MOVING: Duration = Duration::from_secs(1);

impl Daemon {
    /// Goes on with the database that is there now, if the one that it worked with was moved or deleted: all others see that one
    /// only, so that each instant would be theirs, too. What is under way is recorded where it began. Returns since when the
    /// ledger has to hear what is new; `None`: not yet.
    pub(super) fn heed_database(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        if self.store.is_in_place() {
            self.moved = None;
            return Ok(Some(now));
        }
        if let Some(store) = self.same_database(now) {
            self.store = store;
            return Ok(Some(now));
        }
        if self.moved.get_or_insert_with(Instant::now).elapsed() < MOVING {
            return Ok(None);
        }
        let opened = self.runtime.block_on(Opened::of(self.options.history.state_dir(), now))?;
        self.options.history.begin_anew();
        (self.store, self.engine, self.presence_id) = (opened.store, opened.engine, opened.presence_id);
        self.moved = None;
        self.changes = self.projects.anew();
        self.gone.clear();
        self.left_to_others.clear();
        let what =
            "the state database was moved or deleted under this daemon; it goes on with the one that is there now";
        self.say(bad(format!("{what}: {}", self.store.path().display())));
        Ok(Some(self.ticked))
    }

    /// The database that is there, if it is the same after all, because its file system numbers files anew: then one reads there
    /// what was written here.
    fn same_database(&mut self, now: Timestamp) -> Option<Store> {
        if !self.store.path().exists() {
            return None;
        }
        let (state_dir, this) = (self.options.history.state_dir(), exec::of_this_process());
        self.runtime.block_on(async {
            self.store.see_presence(self.presence_id, now).await.ok()?;
            let mut there = Store::open(state_dir).await.ok()?;
            let stays = there.daemon_stays().await.ok()?;
            let is_now = |seen: Timestamp| seen.as_microsecond() == now.as_microsecond();
            let is_read = |stay: &DaemonStay| stay.process.as_ref() == Some(&this) && is_now(stay.seen);
            stays.iter().any(is_read).then_some(there)
        })
    }
}

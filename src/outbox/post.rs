//! The outbox as the rest of the program meets it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::drain::{Drain, Force};
use super::lock::Lock;
use super::sender::Senders;
use crate::mail::{Courier, Deadline, MailSettings, MailSettingsError, NoTokens, SmtpCourier, TokenSource, Tokens};
use crate::model::Project;
use crate::store::{OutboxRow, OutboxState, Store, StoreError};

/// How often one looks what has become of a mail that somebody else delivers.
const LOOK: Duration = Duration::from_millis(50);

/// Knows how projects are set up to send, and has couriers for them.
pub trait Couriers: Send + Sync + fmt::Debug {
    /// How a project is set up now.
    ///
    /// # Errors
    /// When it can't send.
    fn settings(&self, project: &Project) -> Result<MailSettings, MailSettingsError>;

    /// When somebody signed in for these settings; `None` if nobody did, or needs to.
    fn signed_in(&self, settings: &MailSettings) -> Option<u64>;

    /// One to the server that the settings name.
    fn courier(&self, settings: &MailSettings) -> Box<dyn Courier>;
}

/// Couriers that speak SMTP, set up by the environment and the `.env` files.
#[derive(Debug)]
pub struct SmtpCouriers {
    tokens: Option<Arc<Tokens>>,
}

impl SmtpCouriers {
    /// With the tokens that are kept in this state folder, if there is one.
    #[must_use]
    pub fn new(state_dir: Option<PathBuf>) -> Self {
        Self { tokens: state_dir.map(|dir| Arc::new(Tokens::new(dir))) }
    }
}

impl Couriers for SmtpCouriers {
    fn settings(&self, project: &Project) -> Result<MailSettings, MailSettingsError> {
        let stored = |settings: &MailSettings| self.signed_in(settings).is_some();
        MailSettings::resolve(&project.dotenv, &|name: &str| std::env::var(name).ok(), &stored)
    }

    fn signed_in(&self, settings: &MailSettings) -> Option<u64> {
        self.tokens.as_ref()?.stored_at(settings)
    }

    fn courier(&self, settings: &MailSettings) -> Box<dyn Courier> {
        let tokens: Arc<dyn TokenSource> = match &self.tokens {
            Some(tokens) => Arc::clone(tokens) as Arc<dyn TokenSource>,
            None => Arc::new(NoTokens),
        };
        Box::new(SmtpCourier::new(settings.clone(), tokens))
    }
}

/// The outbox of a state folder.
#[derive(Debug, Clone)]
pub struct Outbox {
    state_dir: PathBuf,
    couriers: Arc<dyn Couriers>,
}

impl Outbox {
    /// That of this state folder, whose messages go out by these couriers.
    #[must_use]
    pub fn new(state_dir: PathBuf, couriers: Arc<dyn Couriers>) -> Self {
        Self { state_dir, couriers }
    }

    /// The state folder.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Delivers what can be delivered before the deadline. Blocks, and needs a thread that no runtime has. `own` is a
    /// project that is loaded already, and `first` the entries that come first. False if somebody else is at it.
    ///
    /// # Errors
    /// With a sentence, when the outbox can't be used.
    pub fn drain(
        &self,
        own: Option<&Project>,
        first: &[i64],
        deadline: &Deadline,
        force: Force,
    ) -> Result<bool, String> {
        let Some(_alone) = self.lock()? else { return Ok(false) };
        self.with_store(|runtime, store| drain(self, (runtime, store), own, first, deadline, force)).map(|()| true)
    }

    /// Delivers what can be delivered before the deadline, or waits for whoever is at it, until these entries had their turn;
    /// says how far they have got. Blocks, and needs a thread that no runtime has.
    ///
    /// # Errors
    /// With a sentence, when the outbox can't be used.
    pub fn deliver(&self, ids: &[i64], own: &Project, deadline: &Deadline) -> Result<Vec<OutboxRow>, String> {
        self.with_store(|runtime, store| {
            loop {
                let lock = self.lock()?;
                if lock.is_some() {
                    drain(self, (runtime, store), Some(own), ids, deadline, Force::No)?;
                }
                let rows = runtime.block_on(store.entries(ids)).map_err(|error| error.sentence())?;
                let had_turn = |row: &OutboxRow| row.attempts > 0 || row.last_error.is_some();
                let is_done = rows.iter().all(|row| row.state != OutboxState::Sending && had_turn(row));
                if lock.is_some() || is_done || deadline.left().is_zero() {
                    return runtime.block_on(no_time(store, ids)).map_err(|error| error.sentence());
                }
                std::thread::sleep(LOOK.min(deadline.left()));
            }
        })
    }

    fn lock(&self) -> Result<Option<Lock>, String> {
        Lock::take(&self.state_dir)
            .map_err(|error| format!("cannot lock {}: {error}", self.state_dir.join("outbox.lock").display()))
    }

    fn with_store<T>(
        &self,
        work: impl FnOnce(&tokio::runtime::Runtime, &mut Store) -> Result<T, String>,
    ) -> Result<T, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
        let mut store = runtime.block_on(Store::open(&self.state_dir)).map_err(|error| error.sentence())?;
        let result = work(&runtime, &mut store);
        // What closing would do is worth no word: everything is committed.
        let _ = runtime.block_on(store.close());
        result
    }
}

/// The entries, of which those that had no turn say so.
async fn no_time(store: &mut Store, ids: &[i64]) -> Result<Vec<OutboxRow>, StoreError> {
    store.note_no_turn(ids, "there was no time left to try it before the `deadline` of `mail`").await?;
    store.entries(ids).await
}

fn drain(
    outbox: &Outbox,
    (runtime, store): (&tokio::runtime::Runtime, &mut Store),
    own: Option<&Project>,
    first: &[i64],
    deadline: &Deadline,
    force: Force,
) -> Result<(), String> {
    let mut drain = Drain {
        store,
        runtime,
        senders: Senders::new(own, &*outbox.couriers),
        couriers: &*outbox.couriers,
        deadline,
        force,
        own: first.iter().copied().collect(),
        handled: HashSet::new(),
        waiting: BTreeMap::new(),
        carriers: BTreeMap::new(),
        newest: 0,
        durable_at: Instant::now(),
    };
    drain.run().map_err(|error| error.sentence())
}

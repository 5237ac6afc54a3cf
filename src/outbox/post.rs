//! The outbox as the rest of the program meets it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::decide;
use super::drain::{Drain, Force};
use super::lock::Lock;
use super::sender::Senders;
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::mail::{Courier, Deadline, MailSettings, MailSettingsError, NoTokens, SmtpCourier, TokenSource, Tokens};
use crate::model::Project;
use crate::store::{OutboxRow, OutboxState, Store, StoreError};

/// How often one looks what has become of a mail that somebody else delivers.
const LOOK: Duration = Duration::from_millis(50);

/// Values of a project's `.env` files.
pub type Dotenv = BTreeMap<String, SecretString>;

/// Knows how projects are set up to send, and has couriers for them.
pub trait Couriers: Send + Sync + fmt::Debug {
    /// How the project with these values is set up now.
    ///
    /// # Errors
    /// When it can't send.
    fn settings(&self, dotenv: &Dotenv) -> Result<MailSettings, MailSettingsError>;

    /// How it is set up by these values alone, whatever the environment of this process says.
    ///
    /// # Errors
    /// When it can't send.
    fn settings_alone(&self, dotenv: &Dotenv) -> Result<MailSettings, MailSettingsError>;

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
    fn settings(&self, dotenv: &Dotenv) -> Result<MailSettings, MailSettingsError> {
        let stored = |settings: &MailSettings| self.signed_in(settings).is_some();
        MailSettings::resolve(dotenv, &|name: &str| std::env::var(name).ok(), &stored)
    }

    fn settings_alone(&self, dotenv: &Dotenv) -> Result<MailSettings, MailSettingsError> {
        let stored = |settings: &MailSettings| self.signed_in(settings).is_some();
        MailSettings::resolve(dotenv, &|_: &str| None, &stored)
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
    own: Option<PathBuf>,
}

impl Outbox {
    /// That of this state folder, whose messages go out by these couriers.
    #[must_use]
    pub fn new(state_dir: PathBuf, couriers: Arc<dyn Couriers>) -> Self {
        Self { state_dir, couriers, own: None }
    }

    /// The same where the environment of this process is meant for the project in this folder alone, which needn't be loaded.
    #[must_use]
    pub fn meant_for(self, root: &Path) -> Self {
        Self { own: Some(root.to_owned()), ..self }
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
        self.with_store(|runtime, store| drain(self, (runtime, store), own, first, deadline, Some(force)))
            .map(|()| true)
    }

    /// When something that waits is to be tried next; `None` if nothing waits. Blocks, and needs a thread that no runtime has.
    ///
    /// # Errors
    /// With a sentence, when the outbox can't be used.
    pub fn next_turn(&self) -> Result<Option<DateTime<Utc>>, String> {
        self.with_store(|runtime, store| {
            let known = runtime.block_on(async { Ok((store.undelivered().await?, store.holds().await?)) });
            let (rows, holds) = known.map_err(|error: StoreError| error.sentence())?;
            Ok(decide::next_turn(&rows, &holds, Utc::now()))
        })
    }

    /// Delivers what can be delivered before the deadline, or waits for whoever is at it, until these entries had their turn;
    /// says how far they have got. Blocks, and needs a thread that no runtime has.
    ///
    /// # Errors
    /// With a sentence, when the outbox can't be used.
    pub fn deliver(&self, ids: &[i64], own: &Project, deadline: &Deadline) -> Result<Vec<OutboxRow>, String> {
        self.with_store(|runtime, store| {
            loop {
                let lock = match self.lock() {
                    Ok(lock) => lock,
                    Err(why) => {
                        tracing::warn!("{why}; what else waits in the outbox has to wait until that is mended");
                        return self.without_lock(runtime, store, ids, own, deadline);
                    }
                };
                if lock.is_some() {
                    drain(self, (runtime, store), Some(own), ids, deadline, Some(Force::No))?;
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

    /// Delivers these entries though nobody can be kept from the outbox: so that nobody sends them too, they are marked.
    fn without_lock(
        &self,
        runtime: &tokio::runtime::Runtime,
        store: &mut Store,
        ids: &[i64],
        own: &Project,
        deadline: &Deadline,
    ) -> Result<Vec<OutboxRow>, String> {
        let until = Utc::now() + decide::CLAIM;
        let claimed = runtime.block_on(store.claim(ids, until)).map_err(|error| error.sentence())?;
        let in_time = deadline.for_a_part(decide::CLAIM.to_std().unwrap_or_default());
        let delivered = drain(self, (runtime, store), Some(own), &claimed, &in_time, None);
        let told = runtime.block_on(async {
            store.give_back(&claimed, until).await?;
            no_time(store, ids).await
        });
        delivered.and(told.map_err(|error| error.sentence()))
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

/// `force` is `None` without the lock.
fn drain(
    outbox: &Outbox,
    (runtime, store): (&tokio::runtime::Runtime, &mut Store),
    own: Option<&Project>,
    first: &[i64],
    deadline: &Deadline,
    force: Option<Force>,
) -> Result<(), String> {
    let mut drain = Drain {
        store,
        runtime,
        senders: Senders::new(own, outbox.own.as_deref(), &*outbox.couriers),
        couriers: &*outbox.couriers,
        deadline,
        force: force.unwrap_or(Force::No),
        alone: force.is_some(),
        own: first.iter().copied().collect(),
        handled: HashSet::new(),
        waiting: BTreeMap::new(),
        carriers: BTreeMap::new(),
        newest: 0,
        durable_at: Instant::now(),
    };
    drain.run().map_err(|error| error.sentence())
}

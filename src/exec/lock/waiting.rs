//! Waiting for a lock: whom for, how long, and why in vain.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::file::Waiter;
use super::holder::Holder;
use crate::exec::Cancel;
use crate::model::format_duration;

/// How long a lock whose holder is dead, or hasn't left word yet, is waited for.
pub(super) const GRACE: Duration = Duration::from_secs(3);
/// How long one waits between two looks while that is so.
const SOON: Duration = Duration::from_millis(10);
/// How often one looks at those that one waits for.
const LATER: Duration = Duration::from_secs(1);

/// A lock that others have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who has it. Without details if they have left none.
    pub holder: Option<Box<Holder>>,
    /// How long it was waited for; `None` if it wasn't.
    pub waited: Option<Duration>,
}

impl Held {
    /// ` by NAME since …, in process … on … (run …), waited for …`, as far as it is known.
    pub(super) fn describe(&self, with_project: bool) -> String {
        let mut text = String::new();
        if let Some(holder) = &self.holder {
            if with_project {
                text.push_str(&format!(" by {}", holder.project));
            }
            let since = holder.since.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S");
            let Holder { pid, host, run_id, .. } = &**holder;
            text.push_str(&format!(" since {since}, in process {pid} on {host} (run {run_id})"));
        }
        if let Some(waited) = self.waited {
            text.push_str(&format!("; waited {} for it", format_duration(waited)));
        }
        text
    }
}

/// Why a lock could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Other runs of the project have it.
    #[error("the project is already running{}", .0.describe(false))]
    Running(Held),
    /// Another project has the named lock.
    #[error("the lock `{name}` is held{}", held.describe(true))]
    Named {
        /// The lock's name.
        name: String,
        /// Who has it.
        held: Held,
    },
    /// Interrupted while it waited.
    #[error("interrupted while it waited: {by}")]
    Interrupted {
        /// What interrupted it.
        by: String,
    },
    /// The lock file can't be used.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is known of those who have a lock that is wanted.
pub(super) enum Busy {
    /// They live, as far as can be told. One of them.
    Living(Box<Holder>),
    /// One of them is dead or dying: the lock is about to be free. Its number.
    Gone(usize),
    /// Nobody has left word.
    Unknown,
}

/// What came of an attempt.
pub(super) enum Attempt<T> {
    /// It is had.
    Taken(T),
    /// Not now.
    Busy(Busy),
}

/// A lock that can be waited for.
pub(super) trait Wanted {
    /// What having it is.
    type Lock;
    /// Takes it if it is free.
    fn attempt(&self) -> io::Result<Attempt<Self::Lock>>;
    /// Looks who has it.
    fn look(&self) -> Busy;
    /// The files to block on.
    fn files(&self) -> io::Result<Vec<(usize, File)>>;
    /// What one has once a file was locked; `None` if that doesn't suffice.
    fn granted(&self, number: usize, file: File) -> Option<Self::Lock>;
    /// What one has without a lock, whose holder is dead and doesn't let go.
    fn forced(&self, number: usize) -> Self::Lock;
}

/// How long to wait, until when, and who is told of it.
pub(super) struct Patience<'a> {
    pub(super) limit: Option<Duration>,
    pub(super) cancel: &'a Cancel,
    pub(super) told: &'a dyn Fn(&Holder),
}

/// Why a wait ended in vain.
pub(super) enum InVain {
    Held(Held),
    Interrupted(String),
    Io(io::Error),
}

impl From<io::Error> for InVain {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Gets the lock, or waits as long as there is patience.
pub(super) async fn acquire<W: Wanted>(wanted: &W, patience: &Patience<'_>) -> Result<W::Lock, InVain> {
    let begin = Instant::now();
    let mut unclear_since: Option<Instant> = None;
    let mut waiter: Option<Waiter> = None;
    let mut told = None;
    let mut confirmed = false;
    loop {
        // Once there is a waiter, that one gets it.
        let busy = match waiter {
            Some(_) => wanted.look(),
            None => match wanted.attempt()? {
                Attempt::Taken(lock) => return Ok(lock),
                Attempt::Busy(busy) => busy,
            },
        };
        let left = patience.limit.map(|limit| limit.saturating_sub(begin.elapsed()));
        let waited = patience.limit;
        let pause = match busy {
            Busy::Living(holder) => {
                unclear_since = None;
                let left = match left {
                    Some(left) if !left.is_zero() => left,
                    _ if confirmed => return Err(InVain::Held(Held { holder: Some(holder), waited })),
                    // One that is being killed looks alive for an instant.
                    _ => {
                        confirmed = true;
                        tokio::time::sleep(SOON).await;
                        continue;
                    }
                };
                if told.as_ref() != Some(&holder.run_id) {
                    (patience.told)(&holder);
                    told = Some(holder.run_id.clone());
                }
                if waiter.is_none() {
                    let files = wanted.files()?;
                    // Nobody is in the way any more: there is nothing to block on, and all to gain.
                    if files.is_empty() {
                        continue;
                    }
                    waiter = Some(Waiter::start(files)?);
                }
                left.min(LATER)
            }
            unclear => {
                let over = unclear_since.get_or_insert_with(Instant::now).elapsed() > GRACE;
                match unclear {
                    Busy::Gone(number) if over => return Ok(wanted.forced(number)),
                    _ if over && left.is_none_or(|left| left.is_zero()) => {
                        return Err(InVain::Held(Held { holder: None, waited }));
                    }
                    _ if over => LATER,
                    _ => SOON,
                }
            }
        };
        let granted = async {
            match &mut waiter {
                Some(waiter) => waiter.granted().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            (number, file) = granted => {
                if let Some(lock) = wanted.granted(number, file?) {
                    return Ok(lock);
                }
                waiter = None;
            }
            by = patience.cancel.cancelled() => return Err(InVain::Interrupted(by)),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

//! The ledger on a thread of its own, so that word of a run can be written while the run goes on.

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::runtime::Runtime;

use crate::ledger::{Claim, Ledger, Told};
use crate::store::RunNews;

type Order = Box<dyn FnOnce(&mut Ledger, &Runtime) + Send>;

/// Does with the ledger what it is asked to, one thing after the other.
pub(super) struct Clerk {
    orders: mpsc::Sender<Order>,
    thread: JoinHandle<()>,
}

impl Clerk {
    /// One for the ledger in this folder; `Err` says why there is none.
    pub(super) fn start(state_dir: &Path) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
        let mut ledger = runtime.block_on(Ledger::open(state_dir)).map_err(|error| error.sentence())?;
        let (orders, received) = mpsc::channel::<Order>();
        let work = move || {
            received.into_iter().for_each(|order| order(&mut ledger, &runtime));
            ledger.leave_open();
        };
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(work);
        Ok(Self { orders, thread: thread.map_err(|error| error.to_string())? })
    }

    /// Has something done, and waits for it; `None` if the clerk is gone.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        order: impl FnOnce(&mut Ledger, &Runtime) -> T + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = mpsc::sync_channel(1);
        let order = move |ledger: &mut Ledger, runtime: &Runtime| drop(reply.send(order(ledger, runtime)));
        self.orders.send(Box::new(order)).ok()?;
        answer.recv().ok()
    }

    /// Takes down what is told of a claim.
    pub(super) fn note(&self, claim: &Claim, told: Told) {
        let run_id = claim.run_id.clone();
        // Without the clerk nothing can be done; whoever looks next finds the run's events.
        let _ = self.orders.send(Box::new(move |ledger, runtime| {
            let news = match told {
                Told::Began(at) => RunNews::Began(at),
                Told::Ended(ended) => RunNews::Ended(ended, now()),
            };
            if let Err(error) = runtime.block_on(ledger.hear([(run_id.clone(), news)])) {
                tracing::warn!("run {run_id}: {}", error.sentence());
            }
        }));
    }

    /// Waits until everything is written.
    pub(super) fn finish(self) {
        drop(self.orders);
        let _ = self.thread.join();
    }
}

/// The present, in whole microseconds as planned instants are.
pub(super) fn now() -> Timestamp {
    Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap_or_default()
}

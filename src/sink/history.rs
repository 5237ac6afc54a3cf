//! Records runs in the state database while they happen, on a thread of its own: the run never waits for the database,
//! except at its end, until that is safely committed.
//!
//! It also answers what is usual for a project's scripts, which nobody has to wait for before the first one.
//!
//! One [`HistoryWriter`] serves all runs of a process. It opens the database when the first run begins, beside the first
//! script, and commits what has arrived together. A database that can't be used fails no run: what the thread gets is
//! discarded, the end of each run says so, and a later import reads the run folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::event::{EventKind, EventSink, RunEvent, SinkError};
use crate::model::RunId;
use crate::store::{Baselines, Batch, Durability, OpenOptions, Store, StoreError};

/// How long events wait for others to be committed with.
const GATHER: Duration = Duration::from_millis(100);

/// Scripts of which a run first learns what is usual: few, so that the first script to end is not kept waiting for what
/// is usual for hundreds. The following pieces grow.
const FIRST_PIECE: usize = 8;

/// So many ends of runs share a commit at most.
const TOGETHER: usize = 64;

/// What becomes of the open database when the writer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// It is closed, which syncs the disk: for processes that live on.
    Close,
    /// It is left to the end of the process, which must be near; see [`Store::leave_open`].
    LeaveOpen,
}

/// The thread that records runs, and the way to it. Dropping it commits what is left and ends the thread.
#[derive(Debug)]
pub struct HistoryWriter {
    /// `None` once it is being dropped, or if there is no thread.
    sender: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    not_started: Option<String>,
    state_dir: PathBuf,
    given_up: Arc<AtomicBool>,
}

/// Hands the events of one run to the [`HistoryWriter`].
#[derive(Debug)]
pub struct HistorySink {
    sender: Option<Sender<Message>>,
    run_id: Option<RunId>,
}

enum Message {
    Rows(Box<Batch>),
    Baselines { of: (PathBuf, Option<String>), scripts: Vec<String>, reply: Sender<Baselines> },
    Ask(When, Question),
    Finish(SyncSender<Result<(), String>>),
    End,
}

/// Gets the open database, or why there is none, and answers to whoever asked.
type Question = Box<dyn FnOnce(&Runtime, Result<&mut Store, String>) + Send>;

/// When something is asked of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At once.
    Now,
    /// When what the sinks got so far is committed.
    Recorded,
}

impl HistoryWriter {
    /// Starts the thread. The database in `state_dir` is not touched before the first run begins.
    #[must_use]
    pub fn start(state_dir: PathBuf, options: OpenOptions, at_end: AtEnd) -> Self {
        let (sender, receiver) = channel();
        let dir = state_dir.clone();
        let given_up = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&given_up);
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let worker = Worker { state_dir, options, store: None, pending: Batch::default(), broken: None, told };
            match runtime {
                Ok(runtime) => worker.work(&runtime, &receiver, at_end),
                Err(error) => refuse(&receiver, &error.to_string()),
            }
        };
        match std::thread::Builder::new().name("history".to_owned()).spawn(work) {
            Ok(thread) => {
                Self { sender: Some(sender), thread: Some(thread), not_started: None, state_dir: dir, given_up }
            }
            Err(error) => {
                Self { sender: None, thread: None, not_started: Some(error.to_string()), state_dir: dir, given_up }
            }
        }
    }

    /// The folder of the database.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Whether the database could not be used, and nothing is recorded any more. Another writer may fare better.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Ends the thread's gathering; see [`next`].
    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// Asks what is usual for scripts of a project that runs with this profile, named as the project file writes them. The answer comes in pieces, in
    /// the order of the scripts, as the database is read, which may be late; what can't be read doesn't come.
    #[must_use]
    pub fn baselines(&self, project_dir: &Path, profile: Option<&str>, scripts: Vec<String>) -> Receiver<Baselines> {
        let (reply, answer) = channel();
        if let Some(sender) = &self.sender {
            let of = (project_dir.to_owned(), profile.map(str::to_owned));
            let _ = sender.send(Message::Baselines { of, scripts, reply });
        }
        self.wake();
        answer
    }

    /// Asks the database something, or has it keep something, over the connection that is open. The answer comes as soon as
    /// that can be done; an error is a sentence. Nothing comes if there is no thread.
    #[must_use]
    pub fn ask<T: Send + 'static>(
        &self,
        when: When,
        question: impl AsyncFnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Receiver<Result<T, String>> {
        let (reply, answer) = channel();
        if let Some(sender) = &self.sender {
            let ask = move |runtime: &Runtime, store: Result<&mut Store, String>| {
                let told = store.and_then(|store| runtime.block_on(question(store)).map_err(|error| error.sentence()));
                // Whoever asked may be gone.
                let _ = reply.send(told);
            };
            let _ = sender.send(Message::Ask(when, Box::new(ask)));
        }
        self.wake();
        answer
    }

    /// A sink for one run's events.
    #[must_use]
    pub fn sink(&self) -> HistorySink {
        HistorySink { sender: self.sender.clone(), run_id: None }
    }

    /// Waits until everything that the sinks got so far is committed such that it survives a loss of power. Called
    /// once a run, after its last event.
    ///
    /// # Errors
    /// When the database can't be used. The run's folder has everything, and a later import records it.
    pub fn finish(&self) -> Result<(), SinkError> {
        let what = "the run is not in the history yet (it will be read from its folder later)";
        let (reply, answer) = sync_channel(1);
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send(Message::Finish(reply)).is_ok());
        self.wake();
        if !sent {
            let why = self.not_started.clone().unwrap_or_else(|| "the thread that records it ended".to_owned());
            return Err(SinkError::new(what, why));
        }
        match answer.recv() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(SinkError::new(what, why)),
            Err(_) => Err(SinkError::new(what, "the thread that records it ended")),
        }
    }
}

impl Drop for HistoryWriter {
    fn drop(&mut self) {
        // A message, since a sink that is still around would keep the channel open.
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(Message::End);
        }
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl EventSink for HistorySink {
    fn on_event(&mut self, event: &RunEvent) -> Result<(), SinkError> {
        if let EventKind::RunStarted { run_id, .. } = &event.kind {
            self.run_id = Some(run_id.clone());
        }
        if let (Some(run_id), Some(sender)) = (&self.run_id, &self.sender) {
            let mut rows = Batch::default();
            rows.apply(run_id, event);
            // A thread that is gone is told of at the run's end, once.
            let _ = sender.send(Message::Rows(Box::new(rows)));
        }
        Ok(())
    }
}

/// Without a runtime nothing can be recorded; whoever finishes is told so.
fn refuse(receiver: &Receiver<Message>, why: &str) {
    for message in receiver {
        match message {
            Message::Rows(_) | Message::Baselines { .. } | Message::Ask(..) => {}
            Message::Finish(reply) => drop(reply.send(Err(why.to_owned()))),
            Message::End => break,
        }
    }
}

/// The next message. While events gather, until `commit_at`, the thread is parked beside the channel rather than waiting
/// in it: whoever runs scripts then doesn't have to wake it for each event.
fn next(receiver: &Receiver<Message>, commit_at: Option<Instant>) -> Result<Message, RecvTimeoutError> {
    let Some(at) = commit_at else { return receiver.recv().map_err(|_| RecvTimeoutError::Disconnected) };
    loop {
        match receiver.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        let left = at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(RecvTimeoutError::Timeout);
        }
        std::thread::park_timeout(left);
    }
}

/// The thread's state.
struct Worker {
    state_dir: PathBuf,
    options: OpenOptions,
    store: Option<Store>,
    pending: Batch,
    /// Why the database can't be used. From then on everything is discarded: rows without those before them would
    /// tell a wrong story.
    broken: Option<String>,
    /// Tells the writer of that.
    told: Arc<AtomicBool>,
}

impl Worker {
    fn work(mut self, runtime: &Runtime, receiver: &Receiver<Message>, at_end: AtEnd) {
        let mut commit_at: Option<Instant> = None;
        // Who waits for the end of his run to be safe. Those that come together share the commit, and its sync.
        let mut finishing: Vec<SyncSender<Result<(), String>>> = Vec::new();
        loop {
            let message = match finishing.len() {
                0 => next(receiver, commit_at),
                1..TOGETHER => receiver.try_recv().map_err(|_| RecvTimeoutError::Timeout),
                _ => Err(RecvTimeoutError::Timeout),
            };
            match message {
                Ok(Message::Rows(rows)) => {
                    if self.broken.is_some() {
                        continue;
                    }
                    self.pending.append(*rows);
                    if commit_at.is_none() {
                        commit_at = Some(Instant::now() + GATHER);
                        if let Err(error) = runtime.block_on(self.open()) {
                            self.note(&error);
                        }
                    }
                }
                Ok(Message::Baselines { of: (project_dir, profile), scripts, reply }) => {
                    runtime.block_on(self.baselines((&project_dir, profile.as_deref()), &scripts, &reply));
                }
                Ok(Message::Ask(when, question)) => {
                    let ready = if when == When::Recorded {
                        commit_at = None;
                        runtime.block_on(self.commit(Durability::Process))
                    } else {
                        runtime.block_on(self.open()).map_err(|error| {
                            self.note(&error);
                            error.sentence()
                        })
                    };
                    let store = ready.and_then(|()| match (&mut self.store, &self.broken) {
                        (Some(store), None) => Ok(store),
                        (_, broken) => Err(broken.clone().unwrap_or_default()),
                    });
                    question(runtime, store);
                }
                Ok(Message::Finish(reply)) => finishing.push(reply),
                Err(RecvTimeoutError::Timeout) if !finishing.is_empty() => {
                    commit_at = None;
                    let safe = runtime.block_on(self.commit(Durability::PowerLoss));
                    finishing.drain(..).for_each(|reply| drop(reply.send(safe.clone())));
                }
                Err(RecvTimeoutError::Timeout) => {
                    commit_at = None;
                    // What a run's end can't wait for, as a slow mail server, must not keep the end from the disk.
                    let durability = if self.pending.has_ends() { Durability::PowerLoss } else { Durability::Process };
                    let _ = runtime.block_on(self.commit(durability));
                }
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let safe = runtime.block_on(self.commit(Durability::PowerLoss));
        finishing.drain(..).for_each(|reply| drop(reply.send(safe.clone())));
        match (self.store.take(), at_end) {
            (Some(store), AtEnd::LeaveOpen) => store.leave_open(),
            (Some(store), AtEnd::Close) => drop(runtime.block_on(store.close())),
            (None, _) => {}
        }
    }

    async fn open(&mut self) -> Result<(), StoreError> {
        if self.store.is_none() && self.broken.is_none() {
            let mut store = Store::open_with(&self.state_dir, self.options).await?;
            store.shrink_log().await;
            self.store = Some(store);
        }
        Ok(())
    }

    /// Tells what is usual. Of a database that can't be used nothing is said here: it is when a run is to be recorded.
    async fn baselines(&mut self, of: (&Path, Option<&str>), mut scripts: &[String], reply: &Sender<Baselines>) {
        if let Err(error) = self.open().await {
            self.note(&error);
        }
        let Some(store) = &mut self.store else { return };
        let mut piece = FIRST_PIECE;
        while !scripts.is_empty() {
            let (now, later) = scripts.split_at(piece.min(scripts.len()));
            let Ok(baselines) = store.baselines(of.0, of.1, now).await else { return };
            // Whoever asked may be gone.
            if reply.send(baselines).is_err() {
                return;
            }
            scripts = later;
            piece *= 4;
        }
    }

    /// Commits what is pending. If the database is locked, it stays pending for the next commit.
    async fn commit(&mut self, durability: Durability) -> Result<(), String> {
        if let Some(why) = &self.broken {
            return Err(why.clone());
        }
        let result = match self.open().await {
            Err(error) => Err(error),
            Ok(()) => match &mut self.store {
                Some(store) => store.write(&self.pending, durability).await,
                None => Ok(()),
            },
        };
        match result {
            Ok(()) => {
                self.pending = Batch::default();
                Ok(())
            }
            Err(error) => {
                self.note(&error);
                Err(error.sentence())
            }
        }
    }

    fn note(&mut self, error: &StoreError) {
        if !matches!(error, StoreError::Locked { .. }) {
            self.broken = Some(error.sentence());
            self.told.store(true, Ordering::Relaxed);
            self.pending = Batch::default();
        }
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;

//! The daemon's loop.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;
use tokio::runtime::Runtime;

use super::clock::{Happened, Seen};
use super::control::{Control, Message, Orders};
use super::gate::Gate;
use super::histories::Histories;
use super::loader::Loader;
use super::news::News;
use super::os::{Alarm, Rang, manager};
use super::post::{Errand, Post};
use super::projects::{Change, Projects};
use super::runs::{Launcher, Runs, Told};
use super::source::Source;
use super::times::{Times, after};
use super::watch::{Noticed, Watch};
use super::word::{Tell, Word, bad, plain};
use crate::exec::{self, Cancel, Spawn};
use crate::ledger::{Claim, Engine, Ledger};
use crate::model::{MailDelivery, RunId};
use crate::schedule::Presence;
use crate::store::{DaemonStay, RunEnded, RunNews, Store, StoreError};

/// How long one waits for further changes before one looks: an editor writes a file in several steps.
const SETTLE: SignedDuration = SignedDuration::from_millis(300);
/// How often one looks at folders that can't be watched.
pub(super) const LOOK: SignedDuration = SignedDuration::from_secs(60);
/// How long word of runs is gathered before the ledger hears all of it at once: where many begin together, they need the
/// time for themselves.
const GATHER: SignedDuration = SignedDuration::from_millis(50);
/// How often one leaves word that one is there.
const SEEN: SignedDuration = SignedDuration::from_mins(5);
/// When one tries again after the database couldn't be used.
const AFTER_TROUBLE: SignedDuration = SignedDuration::from_secs(10);

/// How a daemon works.
pub struct DaemonOptions {
    /// Which projects it looks after.
    pub source: Source,
    /// The profile with which they are read.
    pub profile: Option<String>,
    /// How many runs may be under way at once.
    pub max_runs: usize,
    /// How many may be on the whole machine, by hand too.
    pub max_runs_here: Option<u32>,
    /// What becomes of mails.
    pub mail: MailDelivery,
    /// How long runs may go on once it is asked to end; `None`: until they end.
    pub drain_timeout: Option<Duration>,
    /// Records the runs; its state folder has the ledger.
    pub history: Histories,
    /// Owns the scripts.
    pub spawner: Arc<dyn Spawn>,
}

/// Why a daemon could not work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// The system gave no timer or no thread.
    #[error("cannot start working: {0}")]
    System(#[from] std::io::Error),
    /// The state database can't be used.
    #[error("{}", .0.sentence())]
    Store(#[from] StoreError),
    /// The state database was moved or deleted while it worked.
    #[error(
        "the state database {} was moved or deleted under this daemon; start it again, and it works with what is there then",
        .0.display()
    )]
    Moved(PathBuf),
}

/// Starts runs as their schedules say, until it is told to end. Blocks, and needs a thread that no runtime has.
///
/// # Errors
/// When it can't begin at all. What goes wrong later is told, and tried again.
pub fn work(options: DaemonOptions, control: &Control, orders: &Orders, tell: Arc<Tell>) -> Result<(), DaemonError> {
    let mut daemon = Daemon::new(options, control, tell)?;
    daemon.look_around(true);
    daemon.settle(daemon.seen.at());
    daemon.greet();
    manager::ready();
    daemon.rounds(&orders.0);
    let failed = daemon.failed.take();
    daemon.leave();
    failed.map_or(Ok(()), Err)
}

/// A daemon at work.
pub(super) struct Daemon {
    pub(super) options: Arc<DaemonOptions>,
    pub(super) tell: Arc<Tell>,
    pub(super) runtime: Runtime,
    /// For the presence.
    pub(super) store: Store,
    presence_id: i64,
    pub(super) engine: Engine,
    /// What the ledger has to hear of projects, as soon as it can be used.
    pub(super) changes: VecDeque<Change>,
    /// What it has to hear of runs.
    pub(super) news: Vec<(RunId, RunNews)>,
    /// Projects that are gone, by the folders by which the ledger knows them, and of which something is due yet.
    pub(super) gone: HashMap<PathBuf, PathBuf>,
    /// Schedules that others keep, as far as that was said.
    pub(super) left_to_others: HashSet<(PathBuf, String)>,
    /// Why the ledger can't be used, once that was said.
    trouble: Option<String>,
    alarm: Alarm,
    pub(super) times: Times,
    pub(super) watch: Watch,
    pub(super) projects: Projects,
    /// What was noticed since one last looked.
    pub(super) noticed: Vec<Noticed>,
    /// What was asked for and couldn't be looked at, as it was said.
    pub(super) out_of_reach: Vec<(PathBuf, String)>,
    presence: Presence,
    pub(super) seen: Seen,
    pub(super) runs: Runs,
    post: Post,
    errand: Arc<Errand>,
    /// What asked it to end.
    pub(super) ends: Option<String>,
    /// Why it has to, if nobody asked.
    failed: Option<DaemonError>,
    pub(super) status: String,
}

impl Daemon {
    fn new(options: DaemonOptions, control: &Control, tell: Arc<Tell>) -> Result<Self, DaemonError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (options, seen) = (Arc::new(options), Seen::now());
        let state_dir = options.history.state_dir().to_owned();
        let (host, process) = (exec::host(), exec::of_this_process());
        let (store, engine, presence_id, earlier) = runtime.block_on(async {
            let mut store = Store::open(&state_dir).await?;
            let stays = store.daemon_stays().await?;
            let earlier = stays.iter().filter(|stay| stay.host == host).map(DaemonStay::stay).collect();
            let id = store.begin_presence(&host, &process, seen.at()).await?;
            Ok::<_, StoreError>((store, Engine::new(Ledger::open(&state_dir).await?), id, earlier))
        })?;
        let presence = Presence { booted: seen.booted(), since: Some(seen.at()), earlier, ..Presence::default() };
        let (rings, notices) = (control.0.clone(), control.0.clone());
        let loader = Loader::new(options.profile.as_deref());
        let launcher = Launcher {
            sender: control.0.clone(),
            options: Arc::clone(&options),
            loader: loader.clone(),
            tell: Arc::clone(&tell),
            gate: Arc::new(Gate::new()),
        };
        let errand = Errand {
            sender: control.0.clone(),
            options: Arc::clone(&options),
            cancel: Cancel::default(),
            tell: Arc::clone(&tell),
            news: News::default(),
        };
        Ok(Self {
            runs: Runs::new(options.max_runs, launcher),
            errand: Arc::new(errand),
            options,
            tell,
            runtime,
            store,
            presence_id,
            engine,
            changes: VecDeque::new(),
            news: Vec::new(),
            gone: HashMap::new(),
            left_to_others: HashSet::new(),
            trouble: None,
            alarm: Alarm::new(move |why| drop(rings.send(Message::Rang(why))))?,
            times: Times { seen: after(seen.at(), SEEN), alive: Some(seen.at()), ..Times::default() },
            watch: Watch::new(move |noticed| drop(notices.send(Message::Noticed(noticed)))),
            projects: Projects::new(loader),
            noticed: Vec::new(),
            out_of_reach: Vec::new(),
            presence,
            seen,
            post: Post::new(seen.at()),
            ends: None,
            failed: None,
            status: String::new(),
        })
    }

    pub(super) fn say(&self, word: Word) {
        (self.tell)(word);
    }

    fn rounds(&mut self, inbox: &Receiver<Message>) {
        loop {
            let now = self.look_at_the_clock();
            self.do_what_is_due(now);
            if self.ends.is_some() && self.runs.count() == 0 && self.news.is_empty() {
                return;
            }
            self.tell_status();
            if self.set_alarm() {
                continue;
            }
            // The loop has a way to itself, so that there is always somebody who may send.
            let Ok(message) = inbox.recv() else { return };
            // It may have been a long wait, and what is heard counts from now on.
            self.look_at_the_clock();
            self.hear(message);
            while let Ok(message) = inbox.try_recv() {
                self.hear(message);
            }
        }
    }

    /// The time. What was reckoned with a clock that was set meanwhile is looked at now.
    fn look_at_the_clock(&mut self) -> Timestamp {
        let happened = self.seen.look(&mut self.presence);
        let now = self.seen.at();
        let what = match happened {
            Happened::Nothing => return now,
            Happened::Slept => "the machine was asleep",
            Happened::SetForward => "the clock was set forward",
            Happened::SetBack => "the clock was set back",
        };
        self.say(plain(format!("{what}; looking what is due")));
        for time in self.times.all() {
            *time = time.map(|at| at.min(now));
        }
        // How long runs may go on is counted anew: that is no time of the day.
        self.times.interrupt = self.times.interrupt.and_then(|_| self.end_of_drain(now));
        self.times.settle = Some(now);
        self.post.ask(now);
        now
    }

    fn do_what_is_due(&mut self, now: Timestamp) {
        let is_due = |time: Option<Timestamp>| time.is_some_and(|at| at <= now);
        if is_due(self.times.peek) {
            self.noticed.extend(self.watch.look().into_iter().map(Noticed::In));
            self.times.look = Some(now).filter(|_| !self.noticed.is_empty() || !self.out_of_reach.is_empty());
            self.times.peek = after(now, LOOK);
        }
        if is_due(self.times.look) {
            self.look_around(false);
            self.times.settle = Some(now);
        }
        // What has ended makes room; nobody waits for the ledger to hear of it.
        self.start_runs();
        if is_due(self.times.settle) {
            self.settle(now);
        }
        if is_due(self.times.interrupt) {
            self.times.interrupt = None;
            self.runs.interrupt("the time for runs to end was over");
        }
        if is_due(self.times.seen) {
            self.times.seen = after(now, SEEN);
            // Word of it is worth no trouble.
            let _ = self.runtime.block_on(self.store.see_presence(self.presence_id, now));
        }
        if is_due(self.times.alive) {
            manager::alive();
            let pause = manager::patience().and_then(|patience| SignedDuration::try_from(patience / 2).ok());
            self.times.alive = pause.and_then(|pause| after(now, pause));
        }
        if self.ends.is_none() {
            let projects = &self.projects;
            self.post.start(now, &self.errand, || projects.all_in_force());
        }
    }

    /// Has the ledger hear what is new, and say what is to run.
    fn settle(&mut self, now: Timestamp) {
        if self.ends.is_none() && !self.store.is_in_place() {
            return self.end_without_database();
        }
        let settled = self.hand_on_news(now).and_then(|()| match self.ends {
            Some(_) => Ok(Vec::new()),
            None => self.runtime.block_on(self.engine.tick(now, &self.presence)),
        });
        self.times.settle = self.engine.next_wake().filter(|_| self.ends.is_none());
        match settled {
            Ok(claims) => {
                self.runs.take(claims);
                if let Ok(untold) = self.runtime.block_on(self.store.untold_mark()) {
                    self.post.heed(untold, now);
                }
                if self.trouble.take().is_some() {
                    self.say(plain("the state database can be used again"));
                }
            }
            Err(error) => self.in_trouble(&error, now),
        }
        self.start_runs();
    }

    /// All others see the database that is there now, if any, and not the one that this daemon has: with two of them everything
    /// would be run twice. What is under way is still written down where it began.
    fn end_without_database(&mut self) {
        self.failed = Some(DaemonError::Moved(self.store.path().to_owned()));
        self.stop("the state database was moved or deleted".to_owned());
    }

    fn in_trouble(&mut self, error: &StoreError, now: Timestamp) {
        let sentence = error.sentence();
        if self.trouble.as_ref() != Some(&sentence) {
            self.say(bad(format!("nothing new is started until the state database can be used: {sentence}")));
            self.trouble = Some(sentence);
        }
        self.times.settle = after(now, AFTER_TROUBLE);
    }

    fn start_runs(&mut self) {
        let (projects, gone, changes) = (&self.projects, &self.gone, &mut self.changes);
        let in_force = |claim: &Claim| {
            let known_as = &claim.project_dir;
            if let Some(project) = projects.in_force(known_as) {
                return Ok(Arc::clone(project));
            }
            let Some(root) = gone.get(known_as) else { return Err(projects.why_not(known_as)) };
            // Once the ledger has heard what became of it.
            changes.push_back(Change::Over(root.clone()));
            let then = "its schedules end with that, and begin anew once it is back";
            Err(format!("the project is gone from {}; {then}", root.display()))
        };
        for (run_id, ended) in self.runs.start(in_force) {
            self.note(run_id, RunNews::Ended(ended, self.seen.at()));
        }
    }

    /// Has the ledger hear of a run before long: that may let others go on.
    fn note(&mut self, run_id: RunId, news: RunNews) {
        self.news.push((run_id, news));
        let soon = after(self.seen.at(), GATHER);
        self.times.settle = self.times.settle.into_iter().chain(soon).min();
    }

    /// Sets the alarm for what comes first; true if the clock was set meanwhile.
    fn set_alarm(&mut self) -> bool {
        let post = self.post.at().filter(|_| self.ends.is_none());
        let first = self.times.all().iter().filter_map(|time| **time).chain(post).min();
        self.alarm.set(first).unwrap_or_else(|error| {
            self.say(bad(format!("the system sets no alarm, so that runs may begin late: {error}")));
            false
        })
    }

    fn hear(&mut self, message: Message) {
        let now = self.seen.at();
        match message {
            Message::Rang(Rang::Time) => {}
            // The clocks tell by themselves what has happened, unless it was less than can be noticed.
            Message::Rang(Rang::ClockSet) => self.times.settle = Some(now),
            Message::Noticed(noticed) => {
                self.noticed.push(noticed);
                self.times.look = self.times.look.or_else(|| after(Timestamp::now(), SETTLE));
            }
            Message::Run(told) => {
                self.runs.told(&told);
                match told {
                    Told::Waits(_) | Told::Done(_) => {}
                    Told::Began(run_id, at) => self.note(run_id, RunNews::Began(at)),
                    Told::Ended(run_id, ended) => {
                        self.note(run_id, RunNews::Ended(ended, Timestamp::now()));
                        self.post.ask(now);
                    }
                }
            }
            Message::Posted(next) => self.post.done(next, Timestamp::now()),
            Message::Reload => self.reload(),
            Message::Stop(by) => self.stop(by),
        }
    }

    fn reload(&mut self) {
        manager::reloading();
        self.say(plain("reading everything anew"));
        self.noticed.push(Noticed::Anything);
        self.look_around(false);
        self.times.settle = Some(self.seen.at());
        manager::ready();
    }

    fn end_of_drain(&self, from: Timestamp) -> Option<Timestamp> {
        after(from, SignedDuration::try_from(self.options.drain_timeout?).ok()?)
    }

    fn stop(&mut self, by: String) {
        if self.ends.is_some() {
            return self.runs.interrupt(&by);
        }
        manager::stopping();
        let given_back = self.runs.take_back(&by);
        let at = self.seen.at();
        let left = match self.runs.count() {
            0 => String::new(),
            1 => "; one run is under way, and goes on to its end".to_owned(),
            n => format!("; {n} runs are under way, and go on to their ends"),
        };
        self.say(plain(format!("{by}: nothing new is started{left}")));
        self.times = Times {
            interrupt: self.end_of_drain(at),
            // For what was told last.
            settle: Some(at),
            // Some service managers want to hear of it only from now on.
            alive: Some(at),
            seen: self.times.seen,
            ..Times::default()
        };
        for run_id in given_back {
            self.note(run_id, RunNews::Ended(RunEnded::GaveBack, at));
        }
        // What is being sent is over soon, or stays in the outbox.
        self.errand.cancel.cancel(&by);
        self.ends = Some(by);
    }

    fn leave(mut self) {
        let ended = self.runtime.block_on(async {
            self.store.end_presence(self.presence_id, Timestamp::now()).await?;
            self.store.close().await
        });
        if let Err(error) = ended {
            tracing::warn!("{}", error.sentence());
        }
    }
}

//! The runs of a daemon: those that wait for a place, and those under way, each on a thread of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::control::Message;
use super::gate::Gate;
use super::listener::{Listener, Stage};
use super::loader::Loader;
use super::standing::local;
use super::word::{Tell, bad, plain, warning};
use super::work::DaemonOptions;
use crate::exec::Cancel;
use crate::ledger::{self, Claim, carry_out};
use crate::model::{Project, RunId};
use crate::runner::{History, Notice, RunError, RunOptions, Runner};
use crate::store::RunEnded;

/// What a run tells the loop.
pub(super) enum Told {
    /// It waits for others, and hasn't begun.
    Waits(RunId),
    /// It has begun.
    Began(RunId, Timestamp),
    /// Its scripts have ended. What is left is to write that down, and to send it.
    Done(RunId),
    /// There is nothing left to do about its claim.
    Ended(RunId, RunEnded),
}

/// How many times as many may be under way as have a place: those whose scripts have ended, and whose mails may wait for a server.
const WITH_THOSE_DONE: usize = 4;

/// A claim whose run is under way.
struct UnderWay {
    cancel: Cancel,
    waits: bool,
    /// Whether its scripts have ended, so that another may have its place.
    is_done: bool,
}

/// All of them.
pub(super) struct Runs {
    waiting: VecDeque<Claim>,
    under_way: HashMap<RunId, UnderWay>,
    most: usize,
    launcher: Arc<Launcher>,
}

/// What each run needs of the daemon.
pub(super) struct Launcher {
    pub(super) sender: Sender<Message>,
    pub(super) options: Arc<DaemonOptions>,
    pub(super) loader: Loader,
    pub(super) tell: Arc<Tell>,
    pub(super) gate: Arc<Gate>,
}

impl Runs {
    pub(super) fn new(most: usize, launcher: Launcher) -> Self {
        Self { waiting: VecDeque::new(), under_way: HashMap::new(), most, launcher: Arc::new(launcher) }
    }

    /// Takes on claims, which run in this order.
    pub(super) fn take(&mut self, claims: impl IntoIterator<Item = Claim>) {
        self.waiting.extend(claims);
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.under_way.len()
    }

    fn has_place(&self) -> bool {
        let with_place = self.under_way.values().filter(|run| !run.is_done).count();
        with_place < self.most && self.under_way.len() < self.most.saturating_mul(WITH_THOSE_DONE)
    }

    /// Starts what there is a place for; returns those claims that come to nothing, and why.
    /// `project`: what is in force of it, or why nothing of it can be run.
    pub(super) fn start(
        &mut self,
        mut project: impl FnMut(&Claim) -> Result<Arc<Project>, String>,
    ) -> Vec<(RunId, RunEnded)> {
        let mut failed = Vec::new();
        while self.has_place()
            && let Some(claim) = self.waiting.pop_front()
        {
            let run_id = claim.run_id.clone();
            let project = match project(&claim) {
                Ok(project) => project,
                Err(detail) => {
                    let name = claim.project_dir.file_name().unwrap_or_default().to_string_lossy();
                    let planned = local(claim.planned);
                    (self.launcher.tell)(bad(format!("{name}: could not be run (planned {planned}): {detail}")));
                    failed.push((run_id, RunEnded::CouldNotRun { detail }));
                    continue;
                }
            };
            let cancel = Cancel::default();
            let (launcher, cancel_it) = (Arc::clone(&self.launcher), cancel.clone());
            let run = move || launcher.run(&claim, &project, cancel_it);
            match std::thread::Builder::new().name(format!("run-{run_id}")).spawn(run) {
                Ok(_) => drop(self.under_way.insert(run_id, UnderWay { cancel, waits: false, is_done: false })),
                Err(error) => {
                    (self.launcher.tell)(bad(format!("no thread for run {run_id}: {error}")));
                    failed.push((run_id, RunEnded::GaveBack));
                    break;
                }
            }
        }
        failed
    }

    /// Notes what a run told.
    pub(super) fn told(&mut self, told: &Told) {
        match told {
            Told::Waits(run_id) => self.wait(run_id, true),
            Told::Began(run_id, _) => self.wait(run_id, false),
            Told::Done(run_id) => self.under_way.get_mut(run_id).into_iter().for_each(|run| run.is_done = true),
            Told::Ended(run_id, _) => drop(self.under_way.remove(run_id)),
        }
    }

    fn wait(&mut self, run_id: &RunId, waits: bool) {
        if let Some(run) = self.under_way.get_mut(run_id) {
            run.waits = waits;
        }
    }

    /// Takes back what hasn't begun: the claims that have no place are returned; those that wait for others are interrupted.
    pub(super) fn take_back(&mut self, by: &str) -> Vec<RunId> {
        self.under_way.values().filter(|run| run.waits).for_each(|run| run.cancel.cancel(by));
        self.waiting.drain(..).map(|claim| claim.run_id).collect()
    }

    /// Interrupts what is under way; again, kills it.
    pub(super) fn interrupt(&self, by: &str) {
        for run in self.under_way.values() {
            if run.cancel.cancelled_by().is_some() {
                run.cancel.kill_now();
            }
            run.cancel.cancel(by);
        }
    }
}

/// The run's warning that it went by what is in the files no more.
fn outdated(problem: &str) -> String {
    format!("the project's files are broken, and what they said before is in force until they are mended: {problem}")
}

impl Launcher {
    /// Carries a claim out, on this thread.
    fn run(&self, claim: &Claim, in_force: &Arc<Project>, cancel: Cancel) {
        let run_id = &claim.run_id;
        let send = |told| drop(self.sender.send(Message::Run(told)));
        let turn = Mutex::new(Some(self.gate.pass()));
        let end_turn = || drop(turn.lock().unwrap_or_else(PoisonError::into_inner).take());
        let (project, broken) = self.loader.fresh(in_force);
        let notice = |notice: Notice| match notice {
            Notice::Waiting(text) => {
                end_turn();
                send(Told::Waits(run_id.clone()));
                (self.tell)(plain(text));
            }
            Notice::Recorded(text) | Notice::Trouble(text) => (self.tell)(warning(text)),
        };
        let runner = Runner::new(Arc::clone(&project));
        let heard = |stage| match stage {
            Stage::AtScripts => end_turn(),
            Stage::Done => send(Told::Done(run_id.clone())),
        };
        let listener = Box::new(Listener::new(&project.name, &*self.tell, &heard));
        let options = RunOptions {
            mail: self.options.mail.clone(),
            history: History::Shared(self.options.history.current()),
            spawner: Arc::clone(&self.options.spawner),
            cancel,
            max_runs: self.options.max_runs_here,
            warnings: broken.iter().map(|problem| outdated(problem)).collect(),
            ..RunOptions::default()
        };
        let told = |told| match told {
            ledger::Told::Began(at) => send(Told::Began(run_id.clone(), at)),
            ledger::Told::Ended(ended) => send(Told::Ended(run_id.clone(), ended)),
        };
        match carry_out(claim, &runner, options, listener, &notice, &told) {
            Ok(_) | Err(RunError::Interrupted { .. }) => {}
            Err(error @ RunError::AlreadyRunning { .. }) => (self.tell)(warning(format!("skipped: {error}"))),
            Err(error) => (self.tell)(bad(error.to_string())),
        }
        self.loader.renew(in_force);
    }
}

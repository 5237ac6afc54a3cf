//! How long the scripts of a run take beside what is usual for them.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::run::Run;
use super::script::micros;
use crate::model::{self, Baseline, Outcome, Project, Usual};
use crate::plan::{RunPlan, Step};
use crate::sink::HistoryWriter;
use crate::store::Baselines;

/// How long the ends of a run's scripts wait, all in all, to hear what is usual. The database is read beside the scripts, so that only
/// very short ones wait at all, and those for what their run's end would wait for anyway.
const PATIENCE: Duration = Duration::from_millis(250);

/// What is usual for the scripts of a run, as far as it is known.
#[derive(Default)]
pub(super) struct Paces(RefCell<Learning>);

#[derive(Default)]
struct Learning {
    known: Baselines,
    /// Where more comes from; `None` when all has come.
    more: Option<Receiver<Baselines>>,
    waited: Duration,
}

impl Paces {
    /// Asks, without waiting.
    pub(super) fn ask(&self, history: Option<&HistoryWriter>, project: &Project, plan: &RunPlan<'_>) {
        let Some(history) = history else { return };
        let scripts = plan.steps.iter().map(path).collect();
        self.0.borrow_mut().more = Some(history.baselines(&project.root, project.profile.as_deref(), scripts));
    }
}

impl Learning {
    /// What is usual for a script, if that is known by now.
    fn baseline(&mut self, script: &str) -> Option<Baseline> {
        while !self.known.contains_key(script) {
            let begin = Instant::now();
            let answer = self.more.as_ref()?.recv_timeout(PATIENCE.saturating_sub(self.waited));
            self.waited += begin.elapsed();
            match answer {
                Ok(baselines) => self.known.extend(baselines),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => self.more = None,
            }
        }
        self.known.get(script).copied().flatten()
    }
}

impl Run<'_> {
    /// How a script's attempt compares with what is usual for it; `None` where it failed, or nothing is known.
    pub(super) fn usual(&self, step: &Step<'_>, outcome: &Outcome, took: Duration) -> Option<Usual> {
        if !outcome.is_success() {
            return None;
        }
        let baseline = self.paces.0.borrow_mut().baseline(&path(step));
        model::usual(micros(took), baseline.as_ref(), step.script.settings.slow_after)
    }
}

/// The script as the run's events and the state database name it.
fn path(step: &Step<'_>) -> String {
    step.script.path.display().to_string()
}

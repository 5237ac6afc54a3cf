//! How long the scripts of a run take beside what is usual for them.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::run::Run;
use super::script::micros;
use crate::model::{self, Baseline, Outcome, Usual};
use crate::plan::Step;
use crate::sink::HistoryWriter;

/// How long the first script that ends waits to hear what is usual. The database is read beside the scripts, so that only
/// very short ones wait at all, and those for what their run's end would wait for anyway.
const PATIENCE: Duration = Duration::from_millis(250);

/// What is usual for the scripts of a run, as soon as it is known.
#[derive(Default)]
pub(super) struct Paces {
    answer: RefCell<Option<Asked>>,
    known: OnceCell<HashMap<String, Baseline>>,
}

/// An answer that is awaited.
struct Asked {
    answer: Receiver<HashMap<String, Baseline>>,
    waited: bool,
}

impl Paces {
    /// Asks, without waiting.
    pub(super) fn ask(&self, history: Option<&HistoryWriter>, project_dir: &Path) {
        let asked = history.map(|history| Asked { answer: history.baselines(project_dir), waited: false });
        self.answer.replace(asked);
    }

    /// What is usual for a script, if that is known by now.
    fn baseline(&self, script: &str) -> Option<Baseline> {
        if self.known.get().is_none() {
            let mut awaited = self.answer.borrow_mut();
            let asked = awaited.as_mut()?;
            let patience = if std::mem::replace(&mut asked.waited, true) { Duration::ZERO } else { PATIENCE };
            match asked.answer.recv_timeout(patience) {
                Ok(baselines) => drop(self.known.set(baselines)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => *awaited = None,
            }
        }
        self.known.get()?.get(script).copied()
    }
}

impl Run<'_> {
    /// How a script's attempt compares with what is usual for it; `None` where it failed, or nothing is known.
    pub(super) fn usual(&self, step: &Step<'_>, outcome: &Outcome, took: Duration) -> Option<Usual> {
        if !outcome.is_success() {
            return None;
        }
        let baseline = self.paces.baseline(&step.script.path.display().to_string());
        model::usual(micros(took), baseline.as_ref(), step.script.settings.slow_after)
    }
}

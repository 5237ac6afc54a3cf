//! What a run has to have before it may begin: a slot of its project, and the locks that it shares with other projects.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;

use super::options::{History, Notice, RunError, RunOptions, Tell};
use super::run::cannot;
use crate::event::{EventKind, read_events};
use crate::exec::{self, Holder, LockError, LockRequest, NamedLock, Place, ProjectLock};
use crate::model::{Project, RunId};
use crate::sink::EventsFile;
use crate::store;

/// How long a named lock is waited for, unless the project says how long its runs wait.
const NAMED_WAIT: Duration = Duration::from_secs(3600);

/// What a run holds, given back in the order opposite to that in which it was taken.
pub(super) struct Locks {
    /// The project's.
    pub(super) project: ProjectLock,
    named: Vec<NamedLock>,
    /// The machine's.
    place: Option<Place>,
}

impl Locks {
    /// Takes the project's lock, then the named ones in their order, which is everybody's, and last one of the machine's
    /// places: whoever has a place waits for nobody any more, so that a place always gets free, and none is taken up by waiting.
    ///
    /// # Errors
    /// When one of them can't be had. Those before are given back.
    pub(super) async fn take(
        project: &Project,
        run_id: &RunId,
        host: &str,
        options: &RunOptions,
        tell: Tell<'_>,
    ) -> Result<Self, RunError> {
        let logs = project.logs_dir();
        // Otherwise its folder would be made again, with nothing but the logs.
        if !project.root.is_dir() {
            return Err(RunError::Gone { project: project.name.clone(), root: project.root.clone() });
        }
        std::fs::create_dir_all(&logs).map_err(|source| cannot(project, "make the folder", logs.clone(), source))?;
        let holder = Holder {
            project: project.name.clone(),
            pid: std::process::id(),
            host: host.to_owned(),
            since: Utc::now(),
            run_id: run_id.clone(),
            process: exec::of_this_process(),
            mail: options.mail.clone(),
            earlier: Vec::new(),
        };
        let waiting = |other: &Holder| {
            let whom = format!("run {} (process {} on {})", other.run_id, other.pid, other.host);
            tell(Notice::Waiting(format!("{}: waiting for {whom} to end", project.name)));
        };
        let request = LockRequest {
            logs_dir: &logs,
            holder: holder.clone(),
            overlap: project.overlap,
            cancel: &options.cancel,
            waiting: &waiting,
        };
        let lock = ProjectLock::acquire(request).await.map_err(|error| refused(project, error))?;
        let mut locks = Self { project: lock, named: Vec::new(), place: None };
        let mut taken = locks.take_named(project, &holder, options, tell).await;
        if taken.is_ok() {
            taken = locks.take_place(project, &holder, options, tell).await;
        }
        match taken {
            Ok(()) => Ok(locks),
            Err(error) => {
                locks.release();
                Err(error)
            }
        }
    }

    /// Without a folder for the places the run goes on: it is worth more than the limit.
    async fn take_place(
        &mut self,
        project: &Project,
        holder: &Holder,
        options: &RunOptions,
        tell: Tell<'_>,
    ) -> Result<(), RunError> {
        let Some(most) = options.max_runs else { return Ok(()) };
        let said = Cell::new(false);
        let waiting = |other: &Holder| {
            if !said.replace(true) {
                let whom = format!("{} has one (run {}, process {})", other.project, other.run_id, other.pid);
                let what = format!("one of the {most} runs that may be under way at once to end");
                tell(Notice::Waiting(format!("{}: waiting for {what}; {whom}", project.name)));
            }
        };
        let dir = match state_dir(&options.history).map(|dir| dir.join("locks").join("runs")) {
            Ok(dir) => std::fs::create_dir_all(&dir).map(|()| dir).map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        let taken = match dir {
            Ok(dir) => Place::acquire(&dir, most, holder, &options.cancel, &waiting).await.map(Some),
            Err(why) => {
                tell(Notice::Trouble(places_unusable(project, &why)));
                return Ok(());
            }
        };
        self.place = match taken {
            Err(LockError::Io { path, source }) => {
                tell(Notice::Trouble(places_unusable(project, &format!("cannot lock {}: {source}", path.display()))));
                None
            }
            taken => taken.map_err(|error| refused(project, error))?,
        };
        Ok(())
    }

    async fn take_named(
        &mut self,
        project: &Project,
        holder: &Holder,
        options: &RunOptions,
        tell: Tell<'_>,
    ) -> Result<(), RunError> {
        if project.locks.is_empty() {
            return Ok(());
        }
        let no_place = |why| RunError::NoPlaceForLocks { project: project.name.clone(), why };
        let dir = state_dir(&options.history).map_err(no_place)?.join("locks");
        std::fs::create_dir_all(&dir).map_err(|error| {
            no_place(format!("cannot make the folder {}: {error}; name another with `--state-dir`", dir.display()))
        })?;
        let limit = project.overlap.wait.unwrap_or(NAMED_WAIT);
        for name in &project.locks {
            let waiting = |other: &Holder| {
                let whom = format!("{}, which has it (run {}, process {})", other.project, other.run_id, other.pid);
                tell(Notice::Waiting(format!("{}: waiting for the lock `{name}` of {whom}", project.name)));
            };
            let lock = NamedLock::acquire(&dir, name, holder, limit, &options.cancel, &waiting).await;
            self.named.push(lock.map_err(|error| match error {
                LockError::Io { path, source } => {
                    no_place(format!("cannot lock {}: {source}; make it writable for this account", path.display()))
                }
                error => refused(project, error),
            })?);
        }
        Ok(())
    }

    /// Gives them back, at the end of a run about which there is nothing left to do.
    pub(super) fn release(mut self) {
        if let Some(place) = self.place.take() {
            place.release();
        }
        while let Some(lock) = self.named.pop() {
            drop(lock);
        }
        self.project.release();
    }
}

fn places_unusable(project: &Project, why: &str) -> String {
    format!("{}: how many runs are under way can't be told, and this one doesn't wait: {why}", project.name)
}

fn refused(project: &Project, error: LockError) -> RunError {
    let project_name = project.name.clone();
    match error {
        LockError::Io { path, source } => cannot(project, "lock", path, source),
        LockError::Interrupted { by } => RunError::Interrupted { project: project_name, by },
        source => {
            let at = match &source {
                LockError::Running(held) => {
                    held.holder.as_ref().and_then(|holder| under_way(&project.runs_dir(), &holder.run_id))
                }
                _ => None,
            };
            RunError::AlreadyRunning { project: project_name, source, at }
        }
    }
}

/// The script that a run is at: `load.py (2 of 5)`.
fn under_way(runs_dir: &Path, run_id: &RunId) -> Option<String> {
    let mut told = store::BrokenOff::default();
    // What can't be read tells nothing; what was read before does.
    let _ = read_events(&runs_dir.join(run_id.as_str()).join(EventsFile::NAME), |event| {
        if !matches!(event.kind, EventKind::Warning { .. }) {
            told.apply(&event);
        }
    });
    let (index, _) = told.running()?;
    let scripts = &told.report()?.scripts;
    Some(format!("{} ({} of {})", scripts.get(index)?.name, index + 1, scripts.len()))
}

/// The folder of the state database; `Err` says why there is none.
pub(super) fn state_dir(history: &History) -> Result<PathBuf, String> {
    let flag = match history {
        History::Shared(writer) => return Ok(writer.state_dir().to_owned()),
        History::Dir(dir) => Some(dir.as_path()),
        History::Usual | History::Off => None,
    };
    store::state_dir(flag, &store::Surroundings::of_process()).map_err(|error| format!("{error}; {}", error.hint()))
}

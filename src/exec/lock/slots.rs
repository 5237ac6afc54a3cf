//! A project's slots: so many runs of it may be under way at once. Slot 1 is `.run.lock`, slot 2 `.run.2.lock`, and so on;
//! a slot's file stays once it was needed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::file::{self, is_held, try_take};
use super::holder::{DeadRun, Holder};
use super::waiting::{self, Attempt, Busy, InVain, LockError, Patience, Wanted};
use crate::exec::{Cancel, os::identity};
use crate::model::{Overlap, ProcessIdentity, RunId};

/// No project has more slots.
const MOST: usize = 10_000;

pub(super) fn lock_path(logs_dir: &Path, slot: usize) -> PathBuf {
    logs_dir.join(if slot == 1 { ".run.lock".to_owned() } else { format!(".run.{slot}.lock") })
}

pub(super) fn details_path(logs_dir: &Path, slot: usize) -> PathBuf {
    logs_dir.join(if slot == 1 { ".run.lock.json".to_owned() } else { format!(".run.{slot}.lock.json") })
}

/// The slots that there are: the first, and those after it that were ever needed.
fn slots(logs_dir: &Path) -> impl Iterator<Item = usize> + '_ {
    (1..=MOST).take_while(|&slot| slot == 1 || lock_path(logs_dir, slot).exists())
}

/// Which slot is wanted, by whom, and how patiently.
pub struct LockRequest<'a> {
    /// The project's folder for logs, which is there.
    pub logs_dir: &'a Path,
    /// Who asks.
    pub holder: Holder,
    /// How many runs may be under way, and how long one waits for one's turn.
    pub overlap: Overlap,
    /// Ends the wait.
    pub cancel: &'a Cancel,
    /// Hears for whom one waits.
    pub waiting: &'a dyn Fn(&Holder),
}

/// A project's lock, held until it is released or the process ends. A lock that is only dropped leaves word of its run, as
/// one that died.
#[derive(Debug)]
pub struct ProjectLock {
    /// `None` if a dead holder didn't let go of it.
    file: Option<File>,
    logs_dir: PathBuf,
    slot: usize,
    holder: Holder,
}

impl ProjectLock {
    /// Takes a free slot, waits for one, or says who has them. What runs that died in it left word of is taken over into
    /// [`ProjectLock::dead`].
    ///
    /// # Errors
    /// When others have the slots for longer than one waits, it was interrupted, or a file can't be opened or locked.
    pub async fn acquire(request: LockRequest<'_>) -> Result<Self, LockError> {
        let patience = Patience { limit: request.overlap.wait, cancel: request.cancel, told: request.waiting };
        let mut lock = waiting::acquire(&request, &patience).await.map_err(|error| match error {
            InVain::Held(held) => LockError::Running(held),
            InVain::Interrupted(by) => LockError::Interrupted { by },
            InVain::Io(source) => LockError::Io { path: lock_path(request.logs_dir, 1), source },
        })?;
        if let Some(left) = Holder::read(&lock.details()) {
            lock.holder.earlier = left.runs();
        }
        lock.leave_word();
        lock.take_over_from_others();
        Ok(lock)
    }

    /// Whether a run of the project is under way, and which as far as it left word. With several, the first.
    #[must_use]
    pub fn holder(logs_dir: &Path) -> Option<Option<Holder>> {
        let held = slots(logs_dir).find(|&slot| is_held(&lock_path(logs_dir, slot)))?;
        Some(Holder::read(&details_path(logs_dir, held)))
    }

    /// Runs that died before, and have to be seen to.
    #[must_use]
    pub fn dead(&self) -> &[DeadRun] {
        &self.holder.earlier
    }

    /// A run that died is seen to, and forgotten here.
    pub fn settled(&mut self, run_id: &RunId) {
        self.holder.earlier.retain(|run| run.run_id != *run_id);
        self.leave_word();
    }

    /// Whether the lock is not really had, because its holder is dead and the system hasn't released it.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.file.is_none()
    }

    /// Gives the lock back at the end of the run, about which there is nothing left to do.
    pub fn release(self) {
        // Before the lock: what is left without it tells of a death.
        if self.holder.earlier.is_empty() {
            let _ = std::fs::remove_file(self.details());
        } else {
            // Once more, should there have been no room for it before.
            self.leave_word();
        }
    }

    fn details(&self) -> PathBuf {
        details_path(&self.logs_dir, self.slot)
    }

    /// A lock without it is as good, but others must not read of somebody else.
    pub(super) fn leave_word(&self) {
        if self.holder.write(&self.details()).is_err() {
            let _ = std::fs::remove_file(self.details());
        }
    }

    /// What died in other slots. Their word goes once it stands in this slot's.
    fn take_over_from_others(&mut self) {
        let others: Vec<usize> = slots(&self.logs_dir).filter(|&slot| slot != self.slot).collect();
        for slot in others {
            let details = details_path(&self.logs_dir, slot);
            let Some(_lock) = details.exists().then(|| take(&self.logs_dir, slot)).flatten() else { continue };
            let Some(left) = Holder::read(&details) else { continue };
            self.holder.earlier.extend(left.runs());
            if self.holder.write(&self.details()).is_ok() {
                let _ = std::fs::remove_file(&details);
            }
        }
    }
}

fn take(logs_dir: &Path, slot: usize) -> Option<File> {
    let file = file::open(&lock_path(logs_dir, slot)).ok()?;
    try_take(&file).ok()?.then_some(file)
}

impl LockRequest<'_> {
    fn lock(&self, slot: usize, file: Option<File>) -> ProjectLock {
        ProjectLock { file, logs_dir: self.logs_dir.to_owned(), slot, holder: self.holder.clone() }
    }

    fn allowed(&self) -> usize {
        (self.overlap.allow as usize).clamp(1, MOST)
    }

    /// Whether with this slot no more runs are under way than may be. More slots than those were made when more runs
    /// were allowed.
    fn suffices(&self, slot: usize) -> bool {
        let others = slots(self.logs_dir).filter(|&other| other != slot && is_held(&lock_path(self.logs_dir, other)));
        others.count() < self.allowed()
    }

    /// Slots that one of has to get free.
    pub(super) fn in_the_way(&self) -> impl Iterator<Item = usize> + '_ {
        let needed = 1..=self.allowed();
        let surplus = slots(self.logs_dir).filter(|&slot| slot > self.allowed());
        needed.chain(surplus).filter(|&slot| is_held(&lock_path(self.logs_dir, slot)))
    }
}

impl Wanted for LockRequest<'_> {
    type Lock = ProjectLock;

    fn attempt(&self) -> io::Result<Attempt<ProjectLock>> {
        for slot in 1..=self.allowed() {
            let file = file::open(&lock_path(self.logs_dir, slot))?;
            if !try_take(&file)? {
                continue;
            }
            if let Some(lock) = self.granted(slot, file) {
                return Ok(Attempt::Taken(lock));
            }
            break;
        }
        Ok(Attempt::Busy(self.look()))
    }

    fn look(&self) -> Busy {
        let mut living = None;
        let mut unknown = false;
        for slot in self.in_the_way() {
            match Holder::read(&details_path(self.logs_dir, slot)) {
                Some(holder) if holder.is_gone(&self.holder.host) => return Busy::Gone(slot),
                Some(holder) => living = living.or(Some(Box::new(holder))),
                None => unknown = true,
            }
        }
        match living {
            Some(holder) if !unknown => Busy::Living(holder),
            _ => Busy::Unknown,
        }
    }

    fn files(&self) -> io::Result<Vec<(usize, File)>> {
        let open = |slot| file::open(&lock_path(self.logs_dir, slot)).map(|file| (slot, file));
        self.in_the_way().map(open).collect()
    }

    fn granted(&self, slot: usize, file: File) -> Option<ProjectLock> {
        (slot <= self.allowed() && self.suffices(slot)).then(|| self.lock(slot, Some(file)))
    }

    fn forced(&self, slot: usize) -> ProjectLock {
        self.lock(slot, None)
    }
}

/// The runs of a project that died, as far as they left word: a file of details whose lock nobody holds. Costs a look
/// for a file where there is none.
#[must_use]
pub fn dead_runs(logs_dir: &Path) -> Vec<DeadRun> {
    let left = slots(logs_dir).filter_map(|slot| {
        let holder = Holder::read(&details_path(logs_dir, slot))?;
        // Looked at after the word was read: whoever left it had the lock before.
        (!is_held(&lock_path(logs_dir, slot))).then_some(holder)
    });
    left.flat_map(|holder| holder.runs()).collect()
}

/// Takes back the word of runs that died and are seen to, wherever their slot is free. Others take it over themselves.
pub(crate) fn forget(logs_dir: &Path, settled: &[RunId]) {
    for slot in slots(logs_dir) {
        let details = details_path(logs_dir, slot);
        let Some(_lock) = details.exists().then(|| take(logs_dir, slot)).flatten() else { continue };
        let Some(mut holder) = Holder::read(&details) else { continue };
        let mut left = holder.runs();
        left.retain(|run| !settled.contains(&run.run_id));
        let Some(last) = left.pop() else {
            let _ = std::fs::remove_file(&details);
            continue;
        };
        (holder.run_id, holder.mail, holder.earlier) = (last.run_id, last.mail, left);
        let _ = holder.write(&details);
    }
}

/// Whether the runner of a run that has no end still lives: it does exactly if somebody holds the lock that the run left
/// word of. Without such a word, its process tells.
#[must_use]
pub fn lives(logs_dir: &Path, run_id: &RunId, process: Option<&ProcessIdentity>) -> bool {
    for slot in slots(logs_dir) {
        if Holder::read(&details_path(logs_dir, slot)).is_some_and(|holder| holder.run_id == *run_id) {
            return is_held(&lock_path(logs_dir, slot));
        }
    }
    process.is_some_and(identity::is_alive)
}

//! The machine's places for runs: so many runs of all projects may be under way at once. They lie in the state folder, so
//! they reach as far as that is shared.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::file;
use super::holder::Holder;
use super::slots::{self, LockRequest, ProjectLock};
use super::waiting::{self, Attempt, Busy, InVain, LockError, Patience, Wanted};
use crate::exec::Cancel;
use crate::model::Overlap;

/// A place, held until it is released or the process ends.
#[derive(Debug)]
pub struct Place(ProjectLock);

impl Place {
    /// Takes one of `most` places in the folder `dir`, which is there; waits for one as long as it takes. Whoever counts fewer
    /// waits until no more than that are taken, also of those that others count.
    ///
    /// # Errors
    /// When it was interrupted, or a file can't be opened or locked.
    pub async fn acquire(
        dir: &Path,
        most: u32,
        holder: &Holder,
        cancel: &Cancel,
        waiting: &dyn Fn(&Holder),
    ) -> Result<Self, LockError> {
        let overlap = Overlap { allow: most, wait: None };
        let wanted = Places(LockRequest { logs_dir: dir, holder: holder.clone(), overlap, cancel, waiting });
        let patience = Patience { limit: Some(Duration::MAX), cancel, told: waiting };
        match waiting::acquire(&wanted, &patience).await {
            Ok(lock) => {
                lock.leave_word();
                Ok(Self(lock))
            }
            Err(InVain::Held(held)) => Err(LockError::Running(held)),
            Err(InVain::Interrupted(by)) => Err(LockError::Interrupted { by }),
            Err(InVain::Io(source)) => Err(LockError::Io { path: slots::lock_path(dir, 1), source }),
        }
    }

    /// Gives it back.
    pub fn release(self) {
        self.0.release();
    }
}

/// Places are slots, but that the word of a dead holder is no reason to go on without one: whoever has the lock may
/// not have been able to leave his own, and more runs than there may be are worse than a later one.
struct Places<'a>(LockRequest<'a>);

impl Wanted for Places<'_> {
    type Lock = ProjectLock;

    fn attempt(&self) -> io::Result<Attempt<ProjectLock>> {
        Ok(match self.0.attempt()? {
            Attempt::Taken(lock) => Attempt::Taken(lock),
            Attempt::Busy(_) => Attempt::Busy(self.look()),
        })
    }

    fn look(&self) -> Busy {
        let holders =
            self.0.in_the_way().filter_map(|place| Holder::read(&slots::details_path(self.0.logs_dir, place)));
        let living = { holders }.find(|holder| !holder.is_gone(&self.0.holder.host));
        living.map_or(Busy::Unknown, |holder| Busy::Living(Box::new(holder)))
    }

    fn files(&self) -> io::Result<Vec<(usize, File)>> {
        let open = |place| file::open(&slots::lock_path(self.0.logs_dir, place)).map(|file| (place, file));
        self.0.in_the_way().map(open).collect()
    }

    fn granted(&self, place: usize, file: File) -> Option<ProjectLock> {
        self.0.granted(place, file)
    }

    fn forced(&self, place: usize) -> ProjectLock {
        self.0.forced(place)
    }
}

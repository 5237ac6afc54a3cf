//! Locks that projects share by name. They lie in the state folder, so they reach as far as that is shared.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{self, try_take};
use super::holder::Holder;
use super::waiting::{self, Attempt, Busy, InVain, LockError, Patience, Wanted};
use crate::exec::Cancel;

/// A named lock, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct NamedLock {
    _file: Option<File>,
    details: PathBuf,
}

impl Drop for NamedLock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.details);
    }
}

/// A named lock as it is asked for.
struct Named<'a> {
    path: PathBuf,
    details: PathBuf,
    holder: &'a Holder,
}

impl NamedLock {
    /// Takes the lock `name` of the folder `dir`, which is there, and waits for it at most `limit`.
    ///
    /// # Errors
    /// When another project has it for longer, it was interrupted, or the file can't be opened or locked.
    pub async fn acquire(
        dir: &Path,
        name: &str,
        holder: &Holder,
        limit: Duration,
        cancel: &Cancel,
        waiting: &dyn Fn(&Holder),
    ) -> Result<Self, LockError> {
        let path = dir.join(format!("{name}.lock"));
        let wanted = Named { details: dir.join(format!("{name}.lock.json")), path, holder };
        let patience = Patience { limit: Some(limit), cancel, told: waiting };
        let lock = waiting::acquire(&wanted, &patience).await.map_err(|error| match error {
            InVain::Held(held) => LockError::Named { name: name.to_owned(), held },
            InVain::Interrupted(by) => LockError::Interrupted { by },
            InVain::Io(source) => LockError::Io { path: wanted.path.clone(), source },
        })?;
        if holder.write(&lock.details).is_err() {
            let _ = std::fs::remove_file(&lock.details);
        }
        Ok(lock)
    }
}

impl Named<'_> {
    fn lock(&self, file: Option<File>) -> NamedLock {
        NamedLock { _file: file, details: self.details.clone() }
    }
}

impl Wanted for Named<'_> {
    type Lock = NamedLock;

    fn attempt(&self) -> io::Result<Attempt<NamedLock>> {
        let file = file::open(&self.path)?;
        Ok(if try_take(&file)? { Attempt::Taken(self.lock(Some(file))) } else { Attempt::Busy(self.look()) })
    }

    fn look(&self) -> Busy {
        match Holder::read(&self.details) {
            Some(holder) if holder.is_gone(&self.holder.host) => Busy::Gone(1),
            Some(holder) => Busy::Living(Box::new(holder)),
            None => Busy::Unknown,
        }
    }

    fn files(&self) -> io::Result<Vec<(usize, File)>> {
        Ok(vec![(1, file::open(&self.path)?)])
    }

    fn granted(&self, _number: usize, file: File) -> Option<NamedLock> {
        Some(self.lock(Some(file)))
    }

    fn forced(&self, _number: usize) -> NamedLock {
        self.lock(None)
    }
}

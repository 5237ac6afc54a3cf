//! Folders: whether they can be written and locked in, how much room there is, whose clock dates their files.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Finding;
use super::os;
use crate::model::{format_duration, format_size};

/// With less room than this a run may not be recorded.
const TOO_LITTLE: u64 = 64 * 1024 * 1024;
/// With less than this a chatty run, or a few days of runs, may fill the disk.
const LITTLE: u64 = 1024 * 1024 * 1024;
/// Fewer files than this may be made, however much room there is.
const FEW_FILES: u64 = 1000;
/// By how much the clock that dates files may differ from the machine's: file systems round, and servers drift a little.
const CLOCK_SLACK: Duration = Duration::from_secs(5);

/// A file of our own that is removed again, whatever happens.
pub(super) struct Probe {
    path: PathBuf,
    file: File,
}

impl Probe {
    /// Makes the folder if need be, and a file in it.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!(".doctor-{}", std::process::id()));
        // What a doctor with this process id left that was killed.
        let _ = std::fs::remove_file(&path);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let mut probe = Self { path, file };
        probe.file.write_all(b"This file is made by `runner doctor`, and may be deleted.\n")?;
        probe.file.sync_all()?;
        Ok(probe)
    }

    /// By how much the clock that dates files differs from the machine's, if by more than is usual.
    pub(super) fn clock_difference(&self) -> Option<Duration> {
        let dated = self.file.metadata().and_then(|metadata| metadata.modified()).ok()?;
        let now = SystemTime::now();
        let difference = now.duration_since(dated).unwrap_or_else(|error| error.duration());
        (difference > CLOCK_SLACK).then_some(difference)
    }

    /// Whether a lock on the file keeps others out.
    ///
    /// # Errors
    /// When the file can't be locked at all.
    fn locks(&self) -> io::Result<bool> {
        self.file.lock()?;
        let other = OpenOptions::new().write(true).open(&self.path)?;
        match other.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(false),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A folder that is written to, told after it was tried; with it what is odd about the clock that dates its files.
pub(super) fn writable(check: &'static str, folder: &Path) -> Vec<Finding> {
    let probe = match Probe::new(folder) {
        Ok(probe) => probe,
        Err(error) => return vec![not_writable(check, folder, &error)],
    };
    let mut findings = vec![Finding::ok(check, format!("{} can be written", folder.display()))];
    if let Some(difference) = probe.clock_difference() {
        let found =
            format!("files in {} are dated {} off this machine's clock", folder.display(), format_duration(difference));
        let remedy = "have both set by the same time server; until then `fresh` in `expect` can't be relied on";
        findings.push(Finding::warning(check, found, remedy));
    }
    findings
}

fn not_writable(check: &'static str, folder: &Path, error: &io::Error) -> Finding {
    // The first part of the path that is there and is no folder.
    let blocking = folder.ancestors().filter(|part| part.exists()).find(|part| !part.is_dir());
    let remedy = match blocking {
        Some(file) => format!("{} is a file where a folder should be: move it away", file.display()),
        None => "let this account write there; a run as another account needs the same".to_owned(),
    };
    Finding::broken(check, format!("{} can't be written: {error}", folder.display()), remedy)
}

/// Whether locks keep others out in a folder.
pub(super) fn lockable(check: &'static str, folder: &Path) -> Finding {
    const REMEDY: &str = "move the folder to a local disk: without locks two runs may mix";
    match Probe::new(folder).and_then(|probe| probe.locks()) {
        Ok(true) => Finding::ok(check, format!("locks work in {}", folder.display())),
        Ok(false) => Finding::broken(check, format!("locks in {} keep nobody out", folder.display()), REMEDY),
        Err(error) => Finding::broken(check, format!("cannot lock a file in {}: {error}", folder.display()), REMEDY),
    }
}

/// How much room is left on the disk that a folder is on, or will be.
pub(super) fn room(check: &'static str, folder: &Path) -> Finding {
    let there = folder.ancestors().find(|part| part.is_dir()).unwrap_or(folder);
    match os::room(there) {
        Ok(room) => judge_room(check, folder, room),
        Err(error) => {
            let found = format!("the free space of {} can't be told: {error}", there.display());
            Finding::warning(check, found, "look yourself whether there is room for logs and output")
        }
    }
}

fn judge_room(check: &'static str, folder: &Path, room: os::Room) -> Finding {
    const REMEDY: &str = "make room; `output` in the project file says how much of the scripts' output is kept";
    let found = format!("{} free for {}", format_size(room.free), folder.display());
    if room.files_left.is_some_and(|left| left < FEW_FILES) {
        let left = room.files_left.unwrap_or_default();
        Finding::broken(check, format!("{found}, but only {left} more files can be made"), "delete files (inodes)")
    } else if room.free < TOO_LITTLE {
        Finding::broken(check, found, REMEDY)
    } else if room.free < LITTLE {
        Finding::warning(check, found, REMEDY)
    } else {
        Finding::ok(check, found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cause, State};
    use super::*;

    #[test]
    fn room_is_judged() {
        let judged = |free, files_left| judge_room("disk space", Path::new("/p"), os::Room { free, files_left }).state;
        assert_eq!(judged(LITTLE, None), State::Ok);
        assert_eq!(judged(LITTLE - 1, Some(FEW_FILES)), State::Warning);
        assert_eq!(judged(TOO_LITTLE - 1, None), State::Problem(Cause::Environment));
        assert_eq!(judged(u64::MAX, Some(FEW_FILES - 1)), State::Problem(Cause::Environment));
        assert!(os::room(&std::env::temp_dir()).unwrap().free > 0);
    }

    #[test]
    fn a_folder_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a").join("b");
        assert_eq!(writable("logs", &deep).len(), 1);
        assert_eq!(lockable("locks", &deep).state, State::Ok);
        assert_eq!(std::fs::read_dir(&deep).unwrap().count(), 0);
        std::fs::write(dir.path().join("file"), "").unwrap();
        let found = writable("logs", &dir.path().join("file").join("logs")).remove(0);
        assert_eq!(found.state, State::Problem(Cause::Environment));
        assert!(found.remedy.unwrap().contains("is a file where a folder should be"));
    }

    #[test]
    fn a_clock_that_dates_files_otherwise_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let probe = Probe::new(dir.path()).unwrap();
        assert_eq!(probe.clock_difference(), None);
        probe.file.set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
        assert!(probe.clock_difference().is_some_and(|difference| difference > Duration::from_secs(3500)));
    }
}

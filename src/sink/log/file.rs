//! The log file: appending to it, archiving it, deleting archives that are too many. What to do is decided in
//! `rotation`; this does it.
//!
//! Several processes write the same log. Each line is one append under the lock, and the file is opened anew for it,
//! since another process may have archived it meanwhile. A line is never held back by anything around it: without a
//! lock or with an archive that can't be made it is appended all the same, and the trouble is returned.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDateTime, Utc};
use thiserror::Error;

use super::line::parse_time;
use super::lock::AppendLock;
use super::mend;
use super::rotation::{Archive, is_due, surplus};
use crate::model::{Clock, LogRotation};

/// How much of a log is searched for a record with a time, when its first line has none.
const SEARCHED: u64 = 64 * 1024;

/// How much of a log's end is searched for a line that a dead runner may have written.
const MENDED: u64 = 8 * 1024 * 1024;

/// What went wrong around an append.
#[derive(Debug, Error)]
pub(super) enum LogError {
    /// The line could not be written.
    #[error("cannot append to the log {}", path.display())]
    Append {
        /// The log.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The line was written without the lock.
    #[error("cannot lock the log by {}", path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The line was written to the old file.
    #[error("cannot archive the log {}", path.display())]
    Archive {
        /// The log.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The line was written, and an archive too many remains.
    #[error("cannot delete the old log {}", path.display())]
    Delete {
        /// The archive.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl LogError {
    /// What to do about it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Append { .. } => {
                "check that the folder can be written and the disk isn't full; the result stands in the run's events"
            }
            Self::Lock { .. } => {
                "lines are appended without it and the log isn't archived; make the folder writable, or end what holds it"
            }
            Self::Archive { .. } => "close the program that holds it; appending goes on, and the next run tries again",
            Self::Delete { .. } => "delete it by hand, or close the program that holds it",
        }
    }
}

type Rename = Box<dyn Fn(&Path, &Path) -> io::Result<()> + Send>;

/// The log of a project, for one run.
pub(super) struct LogFile {
    path: PathBuf,
    /// The file's name, from which those of the archives are made.
    name: String,
    rotation: LogRotation,
    backup_count: u32,
    lock: AppendLock,
    /// Whether the lack of a lock was told.
    told_of_lock: bool,
    /// `false` once archiving failed: the next run tries again.
    may_archive: bool,
    rename: Rename,
}

impl LogFile {
    /// The log at `path`. Nothing is opened or made yet.
    pub(super) fn new(path: PathBuf, rotation: LogRotation, backup_count: u32) -> Self {
        Self::with_rename(path, rotation, backup_count, Box::new(|from, to| fs::rename(from, to)))
    }

    /// The same, with another way to rename.
    pub(super) fn with_rename(path: PathBuf, rotation: LogRotation, backup_count: u32, rename: Rename) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let lock = AppendLock::new(path.with_file_name(format!(".{name}.lock")));
        Self { path, name, rotation, backup_count, lock, told_of_lock: false, may_archive: true, rename }
    }

    /// Appends `line`, which has no newline, after archiving the file if that is due.
    ///
    /// # Errors
    /// [`LogError::Append`] if the line is not in the log; with any other error it is. A missing lock and a failed
    /// archiving are told once.
    pub(super) fn append(&mut self, line: &str, clock: &dyn Clock) -> Result<(), LogError> {
        match self.acquire() {
            Ok(held) => {
                let result = self.append_and_archive(line, clock);
                self.lock.release(held);
                result
            }
            Err(source) => {
                self.write(line, false)?;
                if std::mem::replace(&mut self.told_of_lock, true) {
                    return Ok(());
                }
                Err(LogError::Lock { path: self.lock.path().clone(), source })
            }
        }
    }

    /// Whether the log, or the archive before it, has `line` already. A beginning of it that a runner left behind when it
    /// died is cut off.
    ///
    /// # Errors
    /// [`LogError::Append`] if the log can't be read or mended.
    pub(super) fn mend(&mut self, line: &str) -> Result<bool, LogError> {
        let held = self.acquire().ok();
        let mended = self.find(line).map_err(|source| self.not_appended(source));
        held.into_iter().for_each(|held| self.lock.release(held));
        mended
    }

    fn find(&self, line: &str) -> io::Result<bool> {
        let log = match File::options().read(true).write(true).open(&self.path) {
            Ok(log) => log,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let length = log.metadata()?.len();
        let (end, whole) = read_end(&log, length)?;
        if mend::has(&end, line) {
            return Ok(true);
        }
        if let Some(torn) = mend::torn(&end, line) {
            log.set_len(length - torn as u64)?;
        }
        let Some(archive) = self.archives()?.into_iter().max().filter(|_| whole) else { return Ok(false) };
        let archive = File::open(self.archive_path(archive))?;
        let length = archive.metadata()?.len();
        Ok(mend::has(&read_end(&archive, length)?.0, line))
    }

    fn acquire(&mut self) -> io::Result<File> {
        match self.lock.acquire() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_folder()?;
                self.lock.acquire()
            }
            result => result,
        }
    }

    fn append_and_archive(&mut self, line: &str, clock: &dyn Clock) -> Result<(), LogError> {
        if !self.may_archive {
            return self.write(line, true);
        }
        let mut log = self.open()?;
        if !self.is_due(&mut log, line.len() as u64 + 1, clock) {
            return self.write_to(log, line, true);
        }
        drop(log);
        let archived = self.archive(clock.now_local().naive_local());
        self.write(line, true)?;
        archived
    }

    fn write(&self, line: &str, locked: bool) -> Result<(), LogError> {
        self.write_to(self.open()?, line, locked)
    }

    fn write_to(&self, mut log: File, line: &str, locked: bool) -> Result<(), LogError> {
        let mut text = String::with_capacity(line.len() + 2);
        if ends_within_a_line(&mut log).unwrap_or(false) {
            // A crash or a full disk cut the last line short: it must not swallow this one.
            text.push('\n');
        }
        text.push_str(line);
        text.push('\n');
        let before = log.metadata().map(|metadata| metadata.len());
        log.write_all(text.as_bytes()).map_err(|source| {
            // A full disk may have taken a part of it. Without the lock what came meanwhile may be another's.
            if let (true, Ok(length)) = (locked, before) {
                // Opened anew, since a file that is open for appending can't be cut on Windows.
                let _ = File::options().write(true).open(&self.path).and_then(|log| log.set_len(length));
            }
            self.not_appended(source)
        })
    }

    fn open(&self) -> Result<File, LogError> {
        let mut options = File::options();
        options.read(true).append(true).create(true);
        match options.open(&self.path) {
            // The folder was deleted while the run went on.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_folder().and_then(|()| options.open(&self.path))
            }
            opened => opened,
        }
        .map_err(|source| self.not_appended(source))
    }

    fn make_folder(&self) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), fs::create_dir_all)
    }

    fn not_appended(&self, source: io::Error) -> LogError {
        LogError::Append { path: self.path.clone(), source }
    }

    /// Whether the file is archived before `adding` bytes are. What can't be found out is no reason to.
    fn is_due(&self, log: &mut File, adding: u64, clock: &dyn Clock) -> bool {
        let Ok(metadata) = log.metadata() else { return false };
        // A log that is a device or a pipe has nothing to archive.
        if !metadata.is_file() || metadata.len() == 0 {
            return false;
        }
        let now = clock.now_local().naive_local();
        let first = match self.rotation {
            LogRotation::Interval(_) => first_record(log, &metadata, now, clock),
            LogRotation::Size(_) => None,
        };
        is_due(self.rotation, first, now, metadata.len(), adding)
    }

    fn archive(&mut self, now: NaiveDateTime) -> Result<(), LogError> {
        let archives = self.archives().and_then(|mut archives| {
            let made = Archive::next(&archives, now);
            (self.rename)(&self.path, &self.archive_path(made))?;
            archives.push(made);
            Ok((archives, made))
        });
        let (archives, made) = archives.map_err(|source| {
            self.may_archive = false;
            LogError::Archive { path: self.path.clone(), source }
        })?;
        let mut result = Ok(());
        for old in surplus(&archives, made, self.backup_count) {
            let path = self.archive_path(old);
            match remove_regular_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    result = Err(LogError::Delete { path, source });
                }
                _ => {}
            }
        }
        result
    }

    /// The archives that are there, and whatever else has a name like one.
    fn archives(&self) -> io::Result<Vec<Archive>> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut archives = Vec::new();
        for entry in fs::read_dir(folder)? {
            if let Some(archive) = entry?.file_name().to_str().and_then(|name| Archive::parse(&self.name, name)) {
                archives.push(archive);
            }
        }
        Ok(archives)
    }

    fn archive_path(&self, archive: Archive) -> PathBuf {
        self.path.with_file_name(archive.file_name(&self.name))
    }
}

/// Folders and links that are called like an archive are not ours.
fn remove_regular_file(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_file() { fs::remove_file(path) } else { Ok(()) }
}

/// The end of a log, and whether that is all of it.
fn read_end(mut log: &File, length: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut end = Vec::new();
    log.seek(SeekFrom::Start(length.saturating_sub(MENDED)))?;
    log.take(MENDED).read_to_end(&mut end)?;
    Ok((end, length <= MENDED))
}

fn ends_within_a_line(log: &mut File) -> io::Result<bool> {
    if log.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    log.seek(SeekFrom::Current(-1))?;
    let mut last = [b'\n'];
    log.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}

/// When the file's first record was written, by the wall clock: the time its first line begins with, else the first
/// time that a line begins with, else the file's own. Times after `now` are not believed: they were written, or are
/// read, by a clock that is wrong. `None` if there is no believable one.
fn first_record(log: &mut File, metadata: &Metadata, now: NaiveDateTime, clock: &dyn Clock) -> Option<NaiveDateTime> {
    let past = |time: &NaiveDateTime| *time <= now;
    // A freshly opened file is read from its beginning, wherever it will be appended to.
    let mut beginning = [0; 32];
    let read = log.read(&mut beginning).unwrap_or(0);
    parse_time(&beginning[..read])
        .filter(past)
        .or_else(|| {
            let mut text = Vec::new();
            log.rewind().and_then(|()| log.take(SEARCHED).read_to_end(&mut text)).ok()?;
            text.split(|&byte| byte == b'\n').filter_map(parse_time).find(past)
        })
        .or_else(|| {
            let wall_clock = |time| clock.local_at(DateTime::<Utc>::from(time)).naive_local();
            [metadata.created(), metadata.modified()].into_iter().flatten().map(wall_clock).filter(past).min()
        })
}

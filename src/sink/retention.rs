//! Deleting run folders that have grown old: which, purely; and the sweep that does it, at most once an hour a project.
//!
//! Nothing but folders that are called like a run is ever touched, and no link is followed.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use thiserror::Error;

use super::EventsFile;
use crate::model::{OutputPolicy, RunId};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Time between two sweeps of the same folder.
const PAUSE: Duration = Duration::from_secs(3600);
/// The file whose age tells when the folder was swept last.
const STAMP: &str = ".swept";
/// What a folder is called, before its run's id, while it is deleted: a half-deleted run is no run any more.
const DOOMED: &str = ".deleting-";

/// Which runs' folders go: those that last changed more than `keep_days` days ago, except for the newest `keep_runs` of
/// all. One that changed in the future (the clock was put back) counts as new.
#[must_use]
pub fn which_to_delete(folders: &[(RunId, SystemTime)], now: SystemTime, keep_days: u32, keep_runs: u32) -> Vec<RunId> {
    let limit = DAY * keep_days;
    let mut newest_first: Vec<_> = folders.iter().collect();
    newest_first.sort_unstable_by(|(a, a_time), (b, b_time)| b_time.cmp(a_time).then_with(|| b.cmp(a)));
    newest_first
        .into_iter()
        .skip(keep_runs as usize)
        .filter(|(_, changed)| now.duration_since(*changed).is_ok_and(|age| age > limit))
        .map(|(run_id, _)| run_id.clone())
        .collect()
}

/// Something a sweep could not do.
#[derive(Debug, Error)]
#[error("cannot {verb} {}", path.display())]
pub struct SweepError {
    /// What it tried.
    pub verb: &'static str,
    /// With what.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl SweepError {
    fn new(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { verb, path: path.to_owned(), source }
    }
}

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Runs whose folders are gone.
    pub deleted: Vec<RunId>,
    /// What it could not do; the rest was done.
    pub errors: Vec<SweepError>,
}

/// Deletes the folders of old runs in `runs_dir`, by `policy`, unless that was done within the hour before `now`. The
/// folder of the run `keep` stays in any case. A folder that can't be deleted whole, because something in it is in use,
/// is left whole where the system allows it, and tried again by a later sweep.
#[must_use]
pub fn sweep(runs_dir: &Path, policy: &OutputPolicy, now: SystemTime, keep: &RunId) -> Swept {
    let mut swept = Swept::default();
    match claim(&runs_dir.join(STAMP), now) {
        Ok(true) => {}
        Ok(false) => return swept,
        Err(error) => swept.errors.push(error),
    }
    let folders = match list(runs_dir, &mut swept) {
        Ok(folders) => folders,
        Err(error) => {
            swept.errors.push(error);
            return swept;
        }
    };
    for run_id in which_to_delete(&folders, now, policy.keep_days, policy.keep_runs) {
        if run_id == *keep {
            continue;
        }
        match delete(runs_dir, &run_id) {
            Ok(()) => swept.deleted.push(run_id),
            Err(error) => swept.errors.push(error),
        }
    }
    swept
}

/// Whether it is this caller's turn; the stamp is renewed then.
fn claim(stamp: &Path, now: SystemTime) -> Result<bool, SweepError> {
    if let Ok(last) = fs::symlink_metadata(stamp).and_then(|metadata| metadata.modified()) {
        // A stamp from the future must not keep the folder from being swept until then.
        let apart = now.duration_since(last).unwrap_or_else(|error| error.duration());
        if apart < PAUSE {
            return Ok(false);
        }
    }
    // Removed rather than opened, since it might be a link by now.
    match fs::remove_file(stamp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(SweepError::new("renew", stamp)(error)),
        _ => {}
    }
    match File::create_new(stamp).and_then(|file| file.set_modified(now)) {
        Ok(()) => Ok(true),
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(SweepError::new("write", stamp)(error)),
    }
}

/// The run folders with the time of their last change. What an earlier sweep left half-deleted is deleted on the way.
fn list(runs_dir: &Path, swept: &mut Swept) -> Result<Vec<(RunId, SystemTime)>, SweepError> {
    let mut folders = Vec::new();
    let mut seen = HashSet::new();
    for entry in fs::read_dir(runs_dir).map_err(SweepError::new("list", runs_dir))? {
        let entry = entry.map_err(SweepError::new("list", runs_dir))?;
        // This doesn't follow links, and a junction is none of the folders either.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|_| is_folder) else { continue };
        if let Some(doomed) = name.strip_prefix(DOOMED).and_then(RunId::parse) {
            if let Err(error) = remove(&entry.path()) {
                swept.errors.push(error);
            } else if seen.insert(doomed.clone()) {
                swept.deleted.push(doomed);
            }
        } else if let Some(run_id) = RunId::parse(name) {
            match last_change(&entry.path()) {
                Ok(changed) => folders.push((run_id, changed)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => swept.errors.push(SweepError::new("read the age of", &entry.path())(error)),
            }
        }
    }
    Ok(folders)
}

/// A folder changes when files come and go in it, the events with everything that happens: a run that has been going
/// for weeks is not old.
fn last_change(folder: &Path) -> io::Result<SystemTime> {
    let changed = fs::symlink_metadata(folder)?.modified()?;
    let events = fs::symlink_metadata(folder.join(EventsFile::NAME)).and_then(|metadata| metadata.modified());
    Ok(events.map_or(changed, |events| events.max(changed)))
}

fn delete(runs_dir: &Path, run_id: &RunId) -> Result<(), SweepError> {
    let folder = runs_dir.join(run_id.as_str());
    let doomed = runs_dir.join(format!("{DOOMED}{run_id}"));
    match fs::rename(&folder, &doomed) {
        Ok(()) => remove(&doomed),
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(SweepError::new("delete the old run folder", &folder)(error)),
    }
}

fn remove(folder: &Path) -> Result<(), SweepError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(SweepError::new("delete the old run folder", folder)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEEP_ONE_DAY: OutputPolicy = OutputPolicy { first: 0, last: 0, keep_days: 1, keep_runs: 1 };

    fn id(number: u64) -> RunId {
        RunId::parse(&format!("{number:013x}")).unwrap()
    }

    fn make(runs_dir: &Path, number: u64) -> PathBuf {
        let folder = runs_dir.join(id(number).as_str());
        fs::create_dir_all(folder.join("deep")).unwrap();
        fs::write(folder.join("deep/0.out"), "output").unwrap();
        fs::write(folder.join(EventsFile::NAME), "").unwrap();
        folder
    }

    fn later(days: u32) -> SystemTime {
        SystemTime::now() + DAY * days
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn old_runs_go_and_whatever_else_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path();
        for number in 0..4 {
            make(runs, number);
        }
        fs::create_dir(runs.join("my notes")).unwrap();
        fs::write(runs.join("000000000000a"), "a file that is called like a run").unwrap();
        let swept = sweep(runs, &KEEP_ONE_DAY, later(3), &id(0));
        assert!(swept.errors.is_empty(), "{:?}", swept.errors);
        // The newest is kept by the policy, the first because it is the one that runs. Which is newest depends on how
        // finely the disk keeps time.
        assert!((2..=3).contains(&swept.deleted.len()), "{:?}", swept.deleted);
        let left = names(runs);
        assert!(left.contains(&id(0).to_string()));
        assert!(left.contains(&"my notes".to_owned()) && left.contains(&"000000000000a".to_owned()), "{left:?}");
        assert_eq!(left.len(), 3 + 4 - swept.deleted.len(), "{left:?}");
    }

    #[test]
    fn young_runs_stay() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..4 {
            make(folder.path(), number);
        }
        assert!(sweep(folder.path(), &KEEP_ONE_DAY, SystemTime::now(), &id(9)).deleted.is_empty());
    }

    #[test]
    fn a_run_that_still_writes_events_is_not_old() {
        let folder = tempfile::tempdir().unwrap();
        let events = make(folder.path(), 1).join(EventsFile::NAME);
        let now = later(9);
        File::options().append(true).open(events).unwrap().set_modified(now).unwrap();
        let policy = OutputPolicy { keep_runs: 0, ..KEEP_ONE_DAY };
        assert!(sweep(folder.path(), &policy, now, &id(9)).deleted.is_empty());
    }

    #[test]
    fn once_an_hour_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let policy = OutputPolicy { keep_runs: 0, ..KEEP_ONE_DAY };
        let sweep_at = |now| sweep(folder.path(), &policy, now, &id(9)).deleted.len();
        let start = later(3);
        assert_eq!(sweep_at(start), 0);
        make(folder.path(), 1);
        assert_eq!(sweep_at(start + PAUSE / 2), 0);
        assert_eq!(sweep_at(start + PAUSE), 1);
        make(folder.path(), 1);
        assert_eq!(sweep_at(start - PAUSE * 9), 1, "a stamp from the future doesn't stop it");
    }

    #[test]
    fn what_was_left_half_deleted_goes() {
        let folder = tempfile::tempdir().unwrap();
        let doomed = folder.path().join(format!("{DOOMED}{}", id(1)));
        fs::rename(make(folder.path(), 1), doomed).unwrap();
        fs::create_dir(folder.path().join(".deleting-mine")).unwrap();
        assert_eq!(sweep(folder.path(), &KEEP_ONE_DAY, SystemTime::now(), &id(9)).deleted, [id(1)]);
        assert_eq!(names(folder.path()), [".deleting-mine", STAMP]);
    }

    #[test]
    fn a_missing_folder_is_returned_not_fatal() {
        let folder = tempfile::tempdir().unwrap();
        let swept = sweep(&folder.path().join("nowhere"), &KEEP_ONE_DAY, SystemTime::now(), &id(9));
        assert!(swept.deleted.is_empty() && !swept.errors.is_empty());
        assert!(swept.errors[0].to_string().contains("nowhere"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let (runs, outside) = (folder.path().join("runs"), folder.path().join("outside"));
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("precious"), "").unwrap();
        symlink(&outside, make(&runs, 1).join("link")).unwrap();
        symlink(&outside, runs.join(id(2).as_str())).unwrap();
        symlink(outside.join("precious"), runs.join(STAMP)).unwrap();
        let policy = OutputPolicy { keep_runs: 0, ..KEEP_ONE_DAY };
        assert_eq!(sweep(&runs, &policy, later(3), &id(9)).deleted, [id(1)]);
        assert_eq!(names(&outside), ["precious"]);
        assert!(runs.join(id(2).as_str()).is_symlink());
        assert!(!runs.join(STAMP).is_symlink());
    }

    proptest! {
        #[test]
        fn what_goes_is_old_and_older_than_what_stays(
            ages in proptest::collection::vec(-100_000i64..10_000_000, 0..40), keep_days in 0u32..100, keep_runs in 0u32..50,
        ) {
            let now = SystemTime::UNIX_EPOCH + DAY * 10_000;
            let at = |age: i64| if age < 0 {
                now + Duration::from_secs(age.unsigned_abs())
            } else {
                now - Duration::from_secs(age.unsigned_abs())
            };
            let folders: Vec<_> = ages.iter().zip(0..).map(|(&age, number)| (id(number), at(age))).collect();
            let gone = which_to_delete(&folders, now, keep_days, keep_runs);
            let (gone, stays): (Vec<_>, Vec<_>) = folders.iter().partition(|(run_id, _)| gone.contains(run_id));
            prop_assert!(stays.len() >= folders.len().min(keep_runs as usize));
            prop_assert!(gone.iter().all(|(_, old)| now.duration_since(*old).unwrap() > DAY * keep_days));
            prop_assert!(gone.iter().all(|(_, old)| stays.iter().all(|(_, new)| old <= new)));
            let kept_young = stays.iter().filter(|(_, time)| now.duration_since(*time).is_ok_and(|age| age > DAY * keep_days));
            prop_assert!(kept_young.count() <= keep_runs as usize, "nothing old stays but the newest");
        }
    }
}

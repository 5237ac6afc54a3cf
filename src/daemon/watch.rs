//! Notices when files change that say what projects there are and how they are set up. Where the system can't watch a folder,
//! because it lies on another machine or there are too many, that folder is looked at every minute.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind};
use notify::{ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::config;
use crate::doctor;

/// Something that was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Noticed {
    /// Something about this file or folder.
    At(PathBuf),
    /// Something in this folder.
    In(PathBuf),
    /// The system has lost track: anything may have changed.
    Anything,
}

/// What of a folder is looked at when it can't be watched: names, times, sizes.
type Stamp = Vec<(String, Option<SystemTime>, u64)>;

/// Watches folders, not what lies below them.
pub(super) struct Watch {
    watcher: Result<RecommendedWatcher, String>,
    watched: BTreeSet<PathBuf>,
    looked_at: BTreeMap<PathBuf, Stamp>,
}

impl Watch {
    /// Watches nothing yet. `noticed` is called on a thread of the watcher's own.
    pub(super) fn new(noticed: impl Fn(Noticed) + Send + 'static) -> Self {
        let handle = move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => noticed(Noticed::Anything),
            Ok(event) => {
                for path in event.paths.into_iter().filter(|path| concerns(&event.kind, path)) {
                    noticed(Noticed::At(path));
                }
            }
            Err(_) => noticed(Noticed::Anything),
        };
        let watcher = notify::recommended_watcher(handle).map_err(|error| say(&error));
        Self { watcher, watched: BTreeSet::new(), looked_at: BTreeMap::new() }
    }

    /// From now on these folders are watched and no others. Returns those that can't be watched from now on, with the reason, and
    /// whether there are any that weren't watched before: what happened there until now has to be looked for.
    pub(super) fn set(&mut self, folders: &BTreeSet<PathBuf>) -> (Vec<(PathBuf, String)>, bool) {
        let surplus: Vec<PathBuf> = self.watched.difference(folders).cloned().collect();
        surplus.iter().for_each(|folder| self.unwatch(folder));
        self.looked_at.retain(|folder, _| folders.contains(folder));
        let (mut refused, mut any_new) = (Vec::new(), false);
        for folder in folders {
            if self.watched.contains(folder) || self.looked_at.contains_key(folder) {
                continue;
            }
            any_new = true;
            match self.watch(folder) {
                Ok(()) => drop(self.watched.insert(folder.clone())),
                Err(why) => {
                    self.looked_at.insert(folder.clone(), stamp(folder));
                    refused.push((folder.clone(), why));
                }
            }
        }
        (refused, any_new)
    }

    fn watch(&mut self, folder: &Path) -> Result<(), String> {
        if doctor::is_network_share(folder) {
            return Err("it is on another machine, which doesn't tell of changes".to_owned());
        }
        let watcher = self.watcher.as_mut().map_err(|why| why.clone())?;
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(|error| say(&error))
    }

    /// A watched folder was removed, moved or made anew: the next [`Watch::set`] watches what is there under its name then.
    pub(super) fn unwatch(&mut self, folder: &Path) {
        if self.watched.remove(folder)
            && let Ok(watcher) = &mut self.watcher
        {
            // Gone with the folder, often.
            let _ = watcher.unwatch(folder);
        }
    }

    /// Whether there are folders to [look at](Watch::look).
    pub(super) fn has_to_look(&self) -> bool {
        !self.looked_at.is_empty()
    }

    /// Looks at the folders that can't be watched; returns those in which something has changed.
    pub(super) fn look(&mut self) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for (folder, known) in &mut self.looked_at {
            let now = stamp(folder);
            if now != *known {
                *known = now;
                changed.push(folder.clone());
            }
        }
        changed
    }
}

/// Whether an event may concern projects: what happens to files that configure them, and folders that come and go.
fn concerns(kind: &EventKind, path: &Path) -> bool {
    let is_name = || {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        config::is_config_file(&name) || name == crate::store::KNOWN_PROJECTS
    };
    match kind {
        // Reading, as this program does it too.
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => is_name(),
        EventKind::Access(_) => false,
        EventKind::Create(CreateKind::Folder) | EventKind::Remove(RemoveKind::Folder) => true,
        EventKind::Modify(ModifyKind::Name(_)) => true,
        // Where the system doesn't say what came or went.
        EventKind::Create(CreateKind::Any) | EventKind::Remove(RemoveKind::Any) => true,
        _ => is_name(),
    }
}

fn say(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "the system watches no more files (on Linux: fs.inotify.max_user_watches)".to_owned()
        }
        ErrorKind::Io(error) => error.to_string(),
        ErrorKind::PathNotFound => "it isn't there".to_owned(),
        _ => error.to_string(),
    }
}

fn stamp(folder: &Path) -> Stamp {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut stamp: Stamp = entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let metadata = entry.metadata().ok()?;
            match config::is_config_file(&name) {
                true => Some((name, metadata.modified().ok(), metadata.len())),
                // Runs change the times of folders all the time.
                false => metadata.is_dir().then_some((name, None, 0)),
            }
        })
        .collect();
    stamp.sort();
    stamp
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;

    fn wait_for(receiver: &Receiver<Noticed>, path: &Path) {
        while receiver.recv_timeout(Duration::from_secs(60)).unwrap() != Noticed::At(path.to_owned()) {}
    }

    #[test]
    fn a_watched_folder_tells_of_what_concerns_projects() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let (sender, receiver) = channel();
        let mut watch = Watch::new(move |noticed| drop(sender.send(noticed)));
        assert_eq!(watch.set(&BTreeSet::from([dir.clone()])), (vec![], true));
        assert_eq!(watch.set(&BTreeSet::from([dir.clone()])), (vec![], false));
        std::fs::write(dir.join("result.csv"), "1").unwrap();
        std::fs::write(dir.join("exec_config.json"), "{}").unwrap();
        wait_for(&receiver, &dir.join("exec_config.json"));
        let before: Vec<Noticed> = receiver.try_iter().collect();
        std::fs::read(dir.join("exec_config.json")).unwrap();
        std::fs::create_dir(dir.join("new")).unwrap();
        wait_for(&receiver, &dir.join("new"));
        std::fs::remove_file(dir.join("exec_config.json")).unwrap();
        wait_for(&receiver, &dir.join("exec_config.json"));
        let csv = Noticed::At(dir.join("result.csv"));
        assert!(!before.contains(&csv) || cfg!(windows), "{before:?}");
        assert_eq!(watch.set(&BTreeSet::new()), (vec![], false));
        assert!(watch.watched.is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_watched_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch =
            Watch { watcher: Err("none left".into()), watched: BTreeSet::new(), looked_at: BTreeMap::new() };
        let folders = BTreeSet::from([dir.path().to_owned()]);
        assert_eq!(watch.set(&folders), (vec![(dir.path().to_owned(), "none left".to_owned())], true));
        assert_eq!(watch.set(&folders), (vec![], false), "it is said once");
        assert!(watch.has_to_look() && watch.look().is_empty());
        std::fs::write(dir.path().join("data.txt"), "x").unwrap();
        assert_eq!(watch.look(), Vec::<PathBuf>::new());
        std::fs::write(dir.path().join(".env"), "A=1").unwrap();
        assert_eq!(watch.look(), [dir.path()]);
        std::fs::create_dir(dir.path().join("project")).unwrap();
        assert_eq!(watch.look(), [dir.path()]);
    }
}

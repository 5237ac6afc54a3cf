//! Reading projects, and only as often as their files change.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::config::{self, ConfigError, Environment, LoadRequest, Loaded, Problem};
use crate::model::Project;

/// What a project depends on besides its files, as the programs on the PATH, counts after so long.
const TRUSTED: Duration = Duration::from_secs(60);
/// File systems round times, FAT to two seconds: a file that was as new as that when it was read may have changed since without a
/// sign of it.
const COARSEST: Duration = Duration::from_secs(2);

/// Reads projects as the daemon was told to.
#[derive(Debug, Clone)]
pub(super) struct Loader {
    env: Arc<Environment>,
    profile: Option<Arc<str>>,
    read: Arc<Mutex<HashMap<PathBuf, Read>>>,
}

/// What was read of a project's folder when.
#[derive(Debug, Clone)]
struct Read {
    project: Arc<Project>,
    stamp: Stamp,
    at: Instant,
}

impl Loader {
    pub(super) fn new(profile: Option<&str>) -> Self {
        Self { env: Arc::new(Environment::from_process()), profile: profile.map(Arc::from), read: Arc::default() }
    }

    /// Reads a project's files; what could be improved in them comes with the project.
    pub(super) fn load(&self, root: &Path) -> Result<(Arc<Project>, Vec<Problem>), ConfigError> {
        // Looked at before they are read: what changes meanwhile is seen the next time.
        let (mut stamp, at, began) = (Stamp::of(&config::config_folders(root)), Instant::now(), SystemTime::now());
        let request = LoadRequest { project: root, profile: self.profile.as_deref(), env: &self.env };
        let Loaded { project, env_files, warnings, .. } = config::load(&request)?;
        let project = Arc::new(project);
        // Which these are only the others tell. One that was written since is too new to be settled.
        stamp.add(env_files);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match stamp.is_settled(began) {
            true => drop(read.insert(root.to_owned(), Read { project: Arc::clone(&project), stamp, at })),
            false => drop(read.remove(root)),
        }
        Ok((project, warnings))
    }

    /// The project as its files have it now; if they are broken, as it was before, and what is wrong.
    pub(super) fn fresh(&self, before: &Arc<Project>) -> (Arc<Project>, Option<String>) {
        match self.known(&before.root) {
            Some(known) if known.at.elapsed() < TRUSTED && known.stamp.holds() => (known.project, None),
            _ => self.read_again(before),
        }
    }

    /// Reads a project that runs often again before it has to be: when a run of it has ended, which keeps no other from
    /// beginning. Not all of them at the same time.
    pub(super) fn renew(&self, project: &Arc<Project>) {
        let mut hasher = DefaultHasher::new();
        project.root.hash(&mut hasher);
        let share = u32::try_from(hasher.finish() % 16).unwrap_or_default();
        let after = TRUSTED / 4 + TRUSTED / 32 * share;
        if self.known(&project.root).is_some_and(|known| known.at.elapsed() > after) {
            self.read_again(project);
        }
    }

    /// The project is gone.
    pub(super) fn forget(&self, root: &Path) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).remove(root);
    }

    fn known(&self, root: &Path) -> Option<Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).get(root).cloned()
    }

    fn read_again(&self, before: &Arc<Project>) -> (Arc<Project>, Option<String>) {
        match self.load(&before.root) {
            Ok((project, _)) => (project, None),
            Err(error) => (Arc::clone(before), Some(error.first())),
        }
    }
}

/// By what one sees that nothing has changed: of the folders, in which files come and go, and of the files themselves.
#[derive(Debug, Clone)]
struct Stamp(Vec<(PathBuf, Option<(SystemTime, u64)>)>);

impl Stamp {
    fn of(folders: &[PathBuf]) -> Self {
        // The folder before what is in it.
        let mut all: Vec<_> = folders.iter().map(|folder| (folder.clone(), look(folder))).collect();
        for entry in folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten() {
            if config::is_config_file(&entry.file_name().to_string_lossy()) {
                let file = entry.path();
                let seen = look(&file);
                all.push((file, seen));
            }
        }
        Self(all)
    }

    fn holds(&self) -> bool {
        self.0.iter().all(|(path, seen)| look(path) == *seen)
    }

    fn add(&mut self, files: Vec<PathBuf>) {
        self.0.extend(files.into_iter().map(|file| {
            let seen = look(&file);
            (file, seen)
        }));
    }

    /// Whether a change since `began` would be seen.
    fn is_settled(&self, began: SystemTime) -> bool {
        let is_old = |time: &SystemTime| began.duration_since(*time).is_ok_and(|age| age > COARSEST);
        self.0.iter().all(|(_, seen)| seen.as_ref().is_some_and(|(time, _)| is_old(time)))
    }
}

/// Through links.
fn look(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_project_is_read_again_when_its_files_change_and_only_then() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("project");
        std::fs::create_dir(&root).unwrap();
        let file = root.join("exec_config.json");
        let age = |path: &Path, seconds| {
            let time = SystemTime::now() - Duration::from_secs(seconds);
            // Windows opens no folder like that, and a file's times only for writing.
            if cfg!(unix) || path.is_file() {
                let file = std::fs::File::options().read(true).write(path.is_file()).open(path).unwrap();
                file.set_modified(time).unwrap();
            }
        };
        let settle = || {
            let folders = config::config_folders(&root);
            folders.iter().filter(|folder| folder.starts_with(dir.path())).for_each(|folder| age(folder, 60));
        };
        std::fs::write(root.join("a.py"), "").unwrap();
        let values = root.join("values.env");
        std::fs::write(&values, "WHO=me\n").unwrap();
        let call_it = |name: &str| {
            let own = serde_json::json!({
                "scripts": ["a.py"], "python_command": std::env::current_exe().unwrap(), "log_filename": name, "recipients": [],
                "email_strategy": "none", "include_traceback": true, "logs_backup_count": 4,
                "env_file": "values.env",
            });
            std::fs::write(&file, own.to_string()).unwrap();
        };
        call_it("one");
        let loader = Loader::new(None);
        let before = loader.load(&root).unwrap().0;
        assert!(!Arc::ptr_eq(&loader.fresh(&before).0, &loader.fresh(&before).0), "what is new may change unseen");
        age(&file, 60);
        age(&values, 60);
        settle();
        let first = loader.fresh(&before).0;
        let is_settled = Stamp::of(&config::config_folders(&root)).is_settled(SystemTime::now());
        assert_eq!(Arc::ptr_eq(&first, &loader.fresh(&before).0), is_settled);
        std::fs::write(&values, "WHO=you\n").unwrap();
        let who = |project: &Project| project.scripts[0].settings.env_file["WHO"].expose_secret().to_owned();
        assert_eq!((who(&first), who(&loader.fresh(&before).0)), ("me".to_owned(), "you".to_owned()));
        age(&values, 60);
        loader.fresh(&before);
        call_it("other");
        assert_eq!(loader.fresh(&before).0.log_filename, "other");
        std::fs::write(&file, "{").unwrap();
        assert_eq!(loader.fresh(&before).0.log_filename, "one", "what is in force");
    }
}

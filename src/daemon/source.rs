//! Which projects a daemon looks after, and which folders tell when that changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::config::{self, PROJECT_FILE};
use crate::store;

/// Where the projects come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// These folders: each a project, or a folder of projects.
    Folders(Vec<PathBuf>),
    /// Whatever project has run on this machine, as the state folder remembers it.
    Known(PathBuf),
}

/// What is there now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// The folders of projects.
    pub(super) projects: BTreeSet<PathBuf>,
    /// Folders, and the list of known projects, that are watched because projects may come or go there.
    pub(super) grounds: BTreeSet<PathBuf>,
    /// Folders that were asked for and can't be looked at: what was in them is not gone for that.
    pub(super) out_of_reach: Vec<(PathBuf, String)>,
}

impl Survey {
    /// Whether a project that isn't found can't be taken to be gone, because the folder that it is in can't be looked at.
    pub(super) fn is_out_of_reach(&self, root: &Path) -> bool {
        self.out_of_reach.iter().any(|(folder, _)| root.starts_with(folder))
    }
}

impl Source {
    /// Whether a project in this folder would be looked after.
    pub(super) fn covers(&self, root: &Path) -> bool {
        match self {
            Self::Known(_) => true,
            Self::Folders(folders) => {
                let parents = [Some(root), root.parent()];
                let is_in = |folder: &PathBuf| parents.iter().flatten().any(|one| store::is_same_folder(one, folder));
                folders.iter().any(is_in)
            }
        }
    }

    /// Looks which projects there are.
    pub(super) fn survey(&self) -> Survey {
        let mut survey = Survey::default();
        match self {
            Self::Folders(folders) => folders.iter().for_each(|folder| survey.folder(folder)),
            Self::Known(state_dir) => {
                survey.grounds.insert(store::known_projects_file(state_dir));
                for root in store::remembered_projects(state_dir) {
                    survey.known(root);
                }
            }
        }
        survey
    }
}

impl Survey {
    fn folder(&mut self, folder: &Path) {
        let root = config::project_root(folder).unwrap_or_else(|_| folder.to_owned());
        let children = match std::fs::read_dir(&root) {
            Ok(children) => children,
            Err(error) => return self.out_of_reach.push((root, error.to_string())),
        };
        self.grounds.insert(root.clone());
        if is_project(&root) {
            self.projects.insert(root);
            return;
        }
        for child in children.flatten() {
            let is_hidden = child.file_name().to_string_lossy().starts_with('.');
            // Through links, too.
            if is_hidden || !child.path().is_dir() {
                continue;
            }
            let child = child.path();
            if is_project(&child) {
                self.projects.insert(child.clone());
            }
            self.grounds.insert(child);
        }
    }

    /// One that has run. Its folder may be gone for good, or be on a disk that is away for now.
    fn known(&mut self, root: PathBuf) {
        if is_project(&root) {
            self.grounds.insert(root.clone());
            self.projects.insert(root);
            return;
        }
        if root.is_dir() {
            self.grounds.insert(root);
            return;
        }
        // There its return is noticed.
        self.grounds.extend(root.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_owned));
        if let Some(parent) = root.parent().filter(|parent| !parent.is_dir()) {
            self.out_of_reach.push((root.clone(), format!("the folder {} isn't there", parent.display())));
        }
    }
}

fn is_project(folder: &Path) -> bool {
    // One that can't be looked at is there, and reading it will say what is wrong.
    !matches!(std::fs::symlink_metadata(folder.join(PROJECT_FILE)), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}

/// Whether a project is gone for good: not just its disk, for now.
pub(super) fn is_gone(root: &Path) -> bool {
    !is_project(root) && root.parent().is_some_and(Path::is_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(folder: &Path, file: &str) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(file), "{}").unwrap();
    }

    #[test]
    fn a_folder_is_a_project_or_has_some() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        make(&at("jobs/a"), PROJECT_FILE);
        make(&at("jobs/b"), "notes.txt");
        make(&at("jobs/.git"), PROJECT_FILE);
        make(&at("jobs/b/deeper"), PROJECT_FILE);
        make(&at("alone"), PROJECT_FILE);
        make(&at("alone/inner"), PROJECT_FILE);
        let survey = Source::Folders(vec![at("jobs"), at("alone"), at("absent")]).survey();
        assert_eq!(survey.projects, BTreeSet::from([at("jobs/a"), at("alone")]));
        assert_eq!(survey.grounds, BTreeSet::from([at("jobs"), at("jobs/a"), at("jobs/b"), at("alone")]));
        assert!(survey.is_out_of_reach(&at("absent/c")) && !survey.is_out_of_reach(&at("jobs/c")));
    }

    #[test]
    fn of_known_projects_those_count_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let (state, here) = (dir.path().join("state"), dir.path().join("here"));
        make(&here, PROJECT_FILE);
        make(&dir.path().join("no longer"), "x");
        let away = dir.path().join("disk/away");
        for root in [&here, &dir.path().join("no longer"), &dir.path().join("gone"), &away] {
            store::remember_project(&state, root);
        }
        let survey = Source::Known(state.clone()).survey();
        assert_eq!(survey.projects, BTreeSet::from([here.clone()]));
        assert!(survey.grounds.contains(&store::known_projects_file(&state)));
        assert!(survey.is_out_of_reach(&away) && !survey.is_out_of_reach(&dir.path().join("gone")));
    }
}

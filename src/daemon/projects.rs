//! The projects that a daemon looks after, each as it was when its files were last in order.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::loader::Loader;
use super::news::InForce;
use super::source::Survey;
use super::word::{Word, bad, plain, warning};
use crate::config::{self, Problem};
use crate::model::Project;
use crate::store;

/// What a look at projects has come to, for the ledger.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// It is in force from now on.
    InForce(Arc<Project>),
    /// Its files are broken, and were so when it was first looked at: nobody has said what is in force of it.
    Broken(PathBuf),
    /// It is gone: for good, or with a disk that comes back.
    Gone(PathBuf),
    /// It was gone when it was due, and somebody is told.
    Over(PathBuf),
}

/// A project's folder.
#[derive(Debug, Default)]
struct Known {
    in_force: Option<Arc<Project>>,
    /// What was last said to be wrong with its files; empty if they are in order.
    wrong: Vec<String>,
    /// How many schedules the ledger keeps of it although its files have been broken since it was first looked at.
    kept: usize,
}

/// All of them, by their folders.
#[derive(Debug)]
pub(super) struct Projects {
    known: BTreeMap<PathBuf, Known>,
    loader: Loader,
}

impl Projects {
    pub(super) fn new(loader: Loader) -> Self {
        Self { known: BTreeMap::new(), loader }
    }

    /// The project in a folder, as it is in force.
    pub(super) fn in_force(&self, root: &Path) -> Option<&Arc<Project>> {
        let known = self.known.get(root);
        // The ledger may know it by another path.
        let linked = || Some(self.known.iter().find(|(other, _)| store::is_same_folder(other, root))?.1);
        known.or_else(linked)?.in_force.as_ref()
    }

    /// Why nothing of the project in a folder can be run.
    pub(super) fn why_not(&self, root: &Path) -> String {
        let mut known = self.known.iter().filter(|(other, _)| store::is_same_folder(other, root));
        let wrong = known.find_map(|(_, known)| known.wrong.first().cloned());
        wrong.unwrap_or_else(|| "the project is gone".to_owned())
    }

    /// All that are in force, by their folders.
    pub(super) fn all_in_force(&self) -> InForce {
        let known = self.known.iter();
        known.filter_map(|(root, known)| Some((root.clone(), Arc::clone(known.in_force.as_ref()?)))).collect()
    }

    /// The ledger goes on with so many schedules of a broken project.
    pub(super) fn keeps(&mut self, root: &Path, schedules: usize) {
        if let Some(known) = self.known.get_mut(root) {
            known.kept = schedules;
        }
    }

    /// How many have schedules, in force or kept, and how many schedules.
    pub(super) fn count(&self) -> (usize, usize) {
        let schedules = |known: &Known| known.in_force.as_ref().map_or(known.kept, |project| project.schedules.len());
        let counts = self.known.values().map(schedules).filter(|count| *count > 0);
        counts.fold((0, 0), |(projects, schedules), count| (projects + 1, schedules + count))
    }

    /// The folders and files that tell of changes of what is there, or is out of reach for now.
    pub(super) fn to_watch(&self, survey: &Survey) -> BTreeSet<PathBuf> {
        let projects = self.one_path_each(&survey.projects);
        let out_of_reach = self.known.keys().filter(|root| survey.is_out_of_reach(root));
        let folders = projects.iter().chain(out_of_reach).flat_map(|root| config::config_folders(root));
        folders.chain(survey.grounds.iter().cloned()).collect()
    }

    /// Brings everything in line with what is there now. Of known projects only those are read anew whose
    /// files may have `changed`.
    pub(super) fn look(
        &mut self,
        survey: &Survey,
        changed: &dyn Fn(&Path) -> bool,
        is_first: bool,
        tell: &dyn Fn(Word),
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        let projects = self.one_path_each(&survey.projects);
        let gone = |root: &&PathBuf| !projects.contains(*root) && !survey.is_out_of_reach(root);
        for root in self.known.keys().filter(gone).cloned().collect::<Vec<_>>() {
            self.loader.forget(&root);
            // What the ledger keeps of one that is broken ends, too.
            if let Some(Known { in_force: Some(project), .. }) = self.known.remove(&root) {
                tell(plain(format!("{}: the project is gone from {}", project.name, root.display())));
            }
            changes.push(Change::Gone(root));
        }
        for root in &projects {
            if !self.known.contains_key(root) || changed(root) {
                changes.extend(self.read(root, is_first, tell));
            }
        }
        changes
    }

    /// Of several paths that links lead to one folder only one counts: first the one by which it is known already.
    fn one_path_each(&self, roots: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let (known, new): (Vec<_>, Vec<_>) = roots.iter().partition(|root| self.known.contains_key(*root));
        let mut real = HashSet::new();
        let is_first = |root: &&PathBuf| std::fs::canonicalize(root).map_or(true, |folder| real.insert(folder));
        known.into_iter().chain(new).filter(is_first).cloned().collect()
    }

    /// Reads one; `None` if what is in force stays so.
    fn read(&mut self, root: &Path, at_start: bool, tell: &dyn Fn(Word)) -> Option<Change> {
        let known = self.known.entry(root.to_owned()).or_default();
        match self.loader.load(root) {
            Ok((project, warnings)) => {
                let was_wrong = !known.wrong.is_empty();
                let is_first = known.in_force.is_none();
                let word = match &known.in_force {
                    None if at_start || project.schedules.is_empty() => None,
                    None => Some("it is looked after from now on"),
                    Some(_) if was_wrong => Some("its files are in order again"),
                    Some(before) if before.schedules != project.schedules => Some("its schedule has changed"),
                    Some(_) => Some("its files were read anew"),
                };
                if is_first {
                    warnings.iter().for_each(|problem| tell(warning(problem.plain())));
                }
                word.into_iter().for_each(|word| tell(plain(format!("{}: {word}", project.name))));
                *known = Known { in_force: Some(Arc::clone(&project)), ..Known::default() };
                Some(Change::InForce(project))
            }
            Err(error) => {
                let wrong: Vec<String> = error.problems.iter().map(Problem::plain).collect();
                let is_new = known.in_force.is_none() && known.wrong.is_empty();
                if known.wrong != wrong {
                    wrong.iter().for_each(|problem| tell(bad(problem)));
                    let name = root.file_name().unwrap_or_default().to_string_lossy();
                    tell(warning(match known.in_force {
                        Some(_) => format!("{name}: its files are broken; what they said before stays in force"),
                        None => format!("{name}: nothing of it runs until that is mended"),
                    }));
                    known.wrong = wrong;
                }
                is_new.then(|| Change::Broken(root.to_owned()))
            }
        }
    }
}

//! The projects that were ever recorded, in a plain file beside the database: when the database is lost, this says which
//! folders to fill it from again.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::os::create_dir;

/// One project folder a line, each a JSON text: paths may hold anything.
pub(crate) const KNOWN_FILE: &str = "projects.jsonl";

/// The list of the projects that a state folder knows, for whoever watches it: it is made if need be, and only ever grows.
pub(crate) fn known_projects_file(state_dir: &Path) -> PathBuf {
    let path = state_dir.join(KNOWN_FILE);
    let make = || std::fs::OpenOptions::new().create(true).append(true).open(&path);
    // Without it the next project that runs makes it.
    let _ = create_dir(state_dir).and_then(|()| make());
    path
}

/// The folders of projects that were recorded in the database of `state_dir` at some time, also in one that was lost
/// since. None where there is no list; what is no path in it is passed over.
pub fn remembered_projects(state_dir: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(state_dir.join(KNOWN_FILE)).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Whether two paths lead to one folder, as far as can be told.
pub(crate) fn is_same_folder(one: &Path, other: &Path) -> bool {
    let real = |path| std::fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

/// Adds a project to the list, and makes the folder if need be: for a run that begins, and may die before the database
/// knows of it.
pub(crate) fn remember_project(state_dir: &Path, root: &Path) {
    // Without the list only dead runs, and what was in a lost database, are harder to find.
    let _ = create_dir(state_dir).and_then(|()| remember(state_dir, [&*root.to_string_lossy()].into_iter()));
}

/// Adds to the list what it lacks.
///
/// # Errors
/// When the list can't be written.
pub(super) fn remember<'a>(state_dir: &Path, folders: impl Iterator<Item = &'a str>) -> std::io::Result<()> {
    let known = remembered_projects(state_dir);
    let mut new = String::new();
    for folder in folders.filter(|folder| !known.iter().any(|path| path == Path::new(folder))) {
        let line = format!("{}\n", serde_json::Value::from(folder));
        if !new.contains(&line) {
            new.push_str(&line);
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    // One write, so that two runners' lines don't mix. The same folder twice does no harm.
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(state_dir.join(KNOWN_FILE))?;
    file.write_all(new.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_is_remembered_once() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(remembered_projects(dir.path()), Vec::<PathBuf>::new());
        remember(dir.path(), ["/a", "/b\n", "/a"].into_iter()).unwrap();
        remember(dir.path(), ["/b\n", "/é"].into_iter()).unwrap();
        std::fs::OpenOptions::new()
            .append(true)
            .open(dir.path().join(KNOWN_FILE))
            .and_then(|mut file| file.write_all(b"torn\n\n\"/c\"\n"))
            .unwrap();
        assert_eq!(remembered_projects(dir.path()), ["/a", "/b\n", "/é", "/c"].map(PathBuf::from));
    }
}

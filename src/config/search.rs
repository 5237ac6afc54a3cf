//! Which of a project's parents may hold files that concern it: those above the first folder that others may write to
//! are passed over, because anybody could put a file there that then runs with the reader's rights.

use std::path::{Component, Path, PathBuf};

use super::os;

/// The parents that are searched, nearest first; the project's own folder isn't among them.
pub(super) fn trusted_parents(root: &Path) -> Vec<PathBuf> {
    // The parents of `a/..` aren't those its text suggests.
    let real = if root.components().any(|part| part == Component::ParentDir) {
        std::fs::canonicalize(root).unwrap_or_else(|_| root.to_path_buf())
    } else {
        root.to_path_buf()
    };
    let owner = os::owner(&real);
    real.ancestors().skip(1).take_while(|folder| !os::others_may_write(folder, owner)).map(Path::to_path_buf).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_search_stops_where_others_may_write() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("open/team/project");
        std::fs::create_dir_all(&project).unwrap();
        let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        mode(folder.path(), 0o755);
        mode(&folder.path().join("open"), 0o1777);
        mode(&folder.path().join("open/team"), 0o755);
        mode(&project, 0o777);
        assert_eq!(trusted_parents(&project), [folder.path().join("open/team")]);
        mode(&folder.path().join("open"), 0o755);
        let found = trusted_parents(&project);
        assert!(found.starts_with(&[
            folder.path().join("open/team"),
            folder.path().join("open"),
            folder.path().into()
        ]));
        assert!(!found.contains(&std::env::temp_dir()), "anybody may write there");
        let winding = project.join("..");
        assert_eq!(trusted_parents(&winding).first(), Some(&folder.path().canonicalize().unwrap().join("open")));
    }
}

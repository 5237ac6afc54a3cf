//! Which of a project's parents may hold files that concern it: those above the first folder that others may write to
//! are passed over, because anybody could put a file there that then runs with the reader's rights.

use std::path::{Component, Path, PathBuf};

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

#[cfg(unix)]
mod os {
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    pub(super) fn owner(folder: &Path) -> Option<u32> {
        std::fs::metadata(folder).ok().map(|metadata| metadata.uid())
    }

    /// Whether somebody may write who isn't this user, root, or the project's owner. Access lists aren't looked at:
    /// the group's bits bound them. The sticky bit changes nothing, as it doesn't keep anybody from adding files.
    pub(super) fn others_may_write(folder: &Path, project_owner: Option<u32>) -> bool {
        let Ok(metadata) = std::fs::metadata(folder) else { return true };
        let (owner, mode) = (metadata.uid(), metadata.mode());
        let me = rustix::process::geteuid().as_raw();
        if owner != 0 && owner != me && Some(owner) != project_owner {
            return true;
        }
        mode & 0o002 != 0 || (mode & 0o020 != 0 && !only_owner_in_group(owner, metadata.gid()))
    }

    /// Whether the group is the owner's own, as distributions make one for each user.
    fn only_owner_in_group(owner: u32, group: u32) -> bool {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        super::is_private_group(&read("/etc/passwd"), &read("/etc/group"), owner, group)
    }
}

#[cfg(windows)]
mod os {
    use std::path::{Component, Path};

    pub(super) fn owner(_folder: &Path) -> Option<u32> {
        None
    }

    /// Whether others may write there by what Windows sets up: in roots of drives and shares, `C:\ProgramData`,
    /// `C:\Users\Public` and folders for temporary files. Access lists aren't looked at.
    pub(super) fn others_may_write(folder: &Path, _project_owner: Option<u32>) -> bool {
        let names: Vec<String> = folder
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name.to_string_lossy().to_lowercase()),
                _ => None,
            })
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match names.as_slice() {
            [] | ["programdata" | "users" | "temp" | "tmp", ..] if names.len() < 2 => true,
            ["programdata", ..] | ["users", "public", ..] => true,
            [.., "temp" | "tmp"] => true,
            _ => false,
        }
    }
}

/// Whether a group has nobody in it but one user, by the texts of `/etc/passwd` and `/etc/group`. A user who isn't in
/// there (as in a directory service) has no group that is known to be private.
#[cfg_attr(not(unix), allow(dead_code))]
fn is_private_group(passwd: &str, groups: &str, owner: u32, group: u32) -> bool {
    let number = |field: Option<&&str>| field.and_then(|text| text.parse::<u32>().ok());
    let users: Vec<Vec<&str>> = passwd.lines().map(|line| line.split(':').collect()).collect();
    let with_primary: Vec<_> = users.iter().filter(|user| number(user.get(3)) == Some(group)).collect();
    let [user] = with_primary.as_slice() else { return false };
    if number(user.get(2)) != Some(owner) {
        return false;
    }
    let members = groups
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|entry| number(entry.get(2)) == Some(group))
        .and_then(|entry| entry.get(3).map(|members| (*members).to_owned()))
        .unwrap_or_default();
    members.split(',').all(|member| member.trim().is_empty() || Some(&member.trim()) == user.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_group_is_one_users_own() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:100::/:/bin/sh\neve:x:1002:100::/:/bin/sh\n";
        let groups = "ann:x:1000:\nusers:x:100:\nstaff:x:50:ann,bob\n";
        assert!(is_private_group(passwd, groups, 1000, 1000));
        assert!(is_private_group(passwd, "ann:x:1000:ann\n", 1000, 1000));
        assert!(!is_private_group(passwd, "ann:x:1000:bob\n", 1000, 1000), "bob is in it");
        assert!(!is_private_group(passwd, groups, 1001, 100), "eve shares it");
        assert!(!is_private_group(passwd, groups, 1000, 50), "not the primary one");
        assert!(!is_private_group(passwd, groups, 7, 7), "unknown");
    }

    #[cfg(unix)]
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

//! By owners and permission bits. Access lists aren't looked at.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether every account of the machine may read a file.
#[must_use]
pub fn everyone_may_read(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.mode() & 0o004 != 0)
}

pub(in crate::config) fn is_executable(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}

/// Names differ where their letters do.
pub(in crate::config) fn as_on_disk(folder: PathBuf) -> PathBuf {
    folder
}

pub(in crate::config) fn owner(folder: &Path) -> Option<u32> {
    std::fs::metadata(folder).ok().map(|metadata| metadata.uid())
}

/// Whether somebody may write who isn't this user, root, or the project's owner. An access list is bounded by the group's
/// bits. The sticky bit changes nothing, as it doesn't keep anybody from adding files.
pub(in crate::config) fn others_may_write(folder: &Path, project_owner: Option<u32>) -> bool {
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
    is_private_group(&read("/etc/passwd"), &read("/etc/group"), owner, group)
}

/// Whether a group has nobody in it but one user, by the texts of `/etc/passwd` and `/etc/group`. A user who isn't in
/// there (as in a directory service) has no group that is known to be private.
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
}

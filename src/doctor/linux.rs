//! What only Linux has: the guardian, and control groups.

use std::path::{Path, PathBuf};

use super::Finding;
use super::program;
use crate::exec::guardian::Guardian;

/// Whether scripts can be started through a guardian, which is what keeps them from outliving the runner.
pub(super) async fn guardian() -> Finding {
    const CHECK: &str = "guardian";
    let started = match std::env::current_exe() {
        Ok(program) => match Guardian::start(&program) {
            Ok(guardian) => program::version(&guardian, &program, Path::new("/")).await,
            Err(error) => Err(error.to_string()),
        },
        Err(error) => Err(format!("this program's own file can't be found: {error}")),
    };
    match started {
        Ok(_) => Finding::ok(CHECK, "starts, and starts programs: scripts never outlive the runner"),
        Err(why) => Finding::warning(
            CHECK,
            format!("can't be used: {why}; scripts may outlive a runner that is killed"),
            "it needs Linux 5.3 or newer, /proc, and a runner that was not replaced while it runs",
        ),
    }
}

/// Whether there is a control group of version 2 that may be used. Runs work without.
pub(super) fn control_group() -> Finding {
    const CHECK: &str = "control group";
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    match own_group(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup")) {
        None => Finding::info(CHECK, "none of version 2; scripts' processes are told by their group and environment"),
        Some(folder) => {
            let writable = rustix::fs::access(&folder, rustix::fs::Access::WRITE_OK).is_ok();
            let may = if writable { "may be used" } else { "may not be written by this account" };
            Finding::info(CHECK, format!("{} {may}", folder.display()))
        }
    }
}

/// The folder of this process's group of version 2: where that is mounted (proc_pid_mountinfo(5)) and which it is
/// (cgroups(7)).
fn own_group(mounts: &str, groups: &str) -> Option<PathBuf> {
    let mounted = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        kind.starts_with("cgroup2 ").then_some((root, place))
    })?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    // A container sees its own part of the tree.
    let below = group.strip_prefix(mounted.0.trim_end_matches('/')).unwrap_or(group);
    Some(Path::new(mounted.1).join(below.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_wherever_it_is_mounted() {
        let beside = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n30 23 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let groups = "3:cpu:/a\n0::/user.slice/x\n";
        assert_eq!(own_group(beside, groups), Some("/sys/fs/cgroup/unified/user.slice/x".into()));
        let within = "30 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(own_group(within, "0::/docker/1/b\n"), Some("/sys/fs/cgroup/b".into()));
        assert_eq!(own_group(within, "3:cpu:/a\n"), None);
        assert_eq!(own_group("", groups), None);
    }
}

//! Linux: scripts are owned by a guardian, a small process beside the runner.
//!
//! The runner's `Guardian` starts it and speaks with it; `serve` is its main function. It adopts every orphan
//! among the scripts' descendants (as a subreaper), so none can escape it, and it ends them all when the runner is gone,
//! by whatever means. It is small so that `wait4`'s peak memory, which is never less than the spawner's own size, tells
//! of the scripts.

mod birth;
mod calls;
mod cgroup;
pub mod guardian;
pub(super) mod identity;
mod pages;
mod procfs;
mod remains;
mod serve;
mod tree;
mod ward;
mod wire;

pub(in crate::exec) use remains::remains;

use crate::model::Leaked;

/// The living members of a process group.
pub(super) fn group_members(group: i32) -> Vec<Leaked> {
    procfs::processes()
        .into_values()
        .filter(|process| process.group == group && !process.zombie)
        .map(|process| Leaked {
            pid: u32::try_from(process.pid).unwrap_or_default(),
            command: procfs::command_line(process.pid),
            left: false,
        })
        .collect()
}

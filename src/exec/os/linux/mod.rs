//! Linux: scripts are owned by a guardian, a small process beside the runner.
//!
//! The runner's `Guardian` starts it and speaks with it; `serve` is its main function. It adopts every orphan
//! among the scripts' descendants (as a subreaper), so none can escape it, and it ends them all when the runner is gone,
//! by whatever means. It is small so that `wait4`'s peak memory, which is never less than the spawner's own size, tells
//! of the scripts.

mod calls;
pub mod guardian;
pub(super) mod identity;
mod pages;
mod procfs;
mod serve;
mod tree;
mod wire;

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

pub(in crate::exec) fn end_remains(marker: &str, patience: std::time::Duration) -> usize {
    let begin = std::time::Instant::now();
    loop {
        let left = tree::marked(marker);
        if left.is_empty() || begin.elapsed() >= patience {
            return left.len();
        }
        if begin.elapsed() >= patience / 2 {
            tree::end_marked(marker);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

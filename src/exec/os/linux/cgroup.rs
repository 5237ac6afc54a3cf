//! Cgroups (version 2; the kernel's `cgroup-v2.rst`): where the account may make them, each script is born in one of its
//! own, which nothing that descends from it can leave without the right to. Where it may not, `tree`'s rules have to do.
//!
//! They lie in the cgroup that the guardian itself is in, so that whatever holds for the runner holds for the scripts.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use super::{birth, procfs};

/// How the names of the guardians' cgroups begin.
const PREFIX: &str = "project_runner";
/// A cgroup in a script's own: it says that the script's processes were left to go on. Cgroups can't be renamed.
const LEFT: &str = "left";
const MEMBERS: &str = "cgroup.procs";
/// How long a cgroup without a living process is waited for.
const PATIENCE: Duration = Duration::from_millis(50);

/// Makes cgroups for scripts, and has those that are free for the next.
#[derive(Debug)]
pub(super) struct Cgroups {
    parent: PathBuf,
    /// Names this guardian for good: its pid namespace, its pid in it, and when it began.
    name: String,
    made: u32,
    free: Vec<Leaf>,
}

/// The cgroup of a script.
#[derive(Debug)]
pub(super) struct Leaf {
    path: PathBuf,
    dir: OwnedFd,
    /// It was killed once. Kernels (seen of 6.18) then kill whatever is born into it from outside, for good.
    killed: bool,
}

impl Cgroups {
    /// `None` where there are no cgroups of version 2, or none may be made.
    pub(super) fn new(me: i32) -> Option<Self> {
        let parent = own_folder()?;
        let name = format!("{PREFIX}-{}-{me}-{}", pid_namespace()?, procfs::process(me)?.started);
        let mut cgroups = Self { parent, name, made: 0, free: Vec::new() };
        let first = cgroups.make().ok()?;
        birth::works(first.dir()).then_some(())?;
        cgroups.free.push(first);
        Some(cgroups)
    }

    fn make(&mut self) -> io::Result<Leaf> {
        let path = self.path(self.made);
        self.made += 1;
        fs::create_dir(&path)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&path, flags, Mode::empty())?;
        Ok(Leaf { path, dir, killed: false })
    }

    /// One that nobody is in.
    pub(super) fn take(&mut self) -> io::Result<Leaf> {
        self.free.pop().map_or_else(|| self.make(), Ok)
    }

    /// Takes one back whose script is over, and gives it to another, unless something was killed in it.
    pub(super) fn give_back(&mut self, leaf: Leaf) {
        if leaf.killed {
            // If the kernel isn't done with it yet, it goes with the guardian.
            let _ = fs::remove_dir(&leaf.path);
        } else {
            self.free.push(leaf);
        }
    }

    /// Removes what guardians that are dead have left, and ends whatever still lives in it.
    pub(super) fn remove_stale(&self) {
        for path in dead_in(&self.parent) {
            if !path.join(LEFT).exists() {
                end(&path);
            }
            // What is dying now is left to the next guardian.
            if members(&path).is_empty() {
                remove(&path);
            }
        }
    }

    fn path(&self, number: u32) -> PathBuf {
        self.parent.join(format!("{}-{number}", self.name))
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for path in (0..self.made).map(|number| self.path(number)) {
            // Usually nothing is in it. What is left in one is to go on, or can't be ended.
            if fs::remove_dir(&path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
                && members(&path).is_empty()
            {
                remove(&path);
            }
        }
    }
}

impl Leaf {
    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The living processes in it and in cgroups that these have made in it.
    pub(super) fn members(&self) -> Vec<i32> {
        members(&self.path)
    }

    /// Kills all of them at once, also those that are just being born. Linux before 5.14 can't.
    pub(super) fn kill(&mut self) {
        self.killed = true;
        end(&self.path);
    }

    /// Says for good that what is in it is to go on.
    pub(super) fn mark_left(&self) -> io::Result<()> {
        fs::create_dir(self.path.join(LEFT))
    }
}

/// The processes that scripts of dead guardians have in this process's cgroup. Kills them first if `end`.
pub(super) fn remains(end: bool) -> Vec<i32> {
    let stale: Vec<PathBuf> = own_folder().map(|folder| stale_in(&folder)).unwrap_or_default();
    stale.iter().filter(|_| end).for_each(|path| self::end(path));
    stale.iter().flat_map(|path| members(path)).collect()
}

fn end(path: &Path) {
    let _ = fs::write(path.join("cgroup.kill"), "1");
}

fn members(path: &Path) -> Vec<i32> {
    let own = fs::read_to_string(path.join(MEMBERS)).unwrap_or_default();
    let mut found: Vec<i32> = own.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    found.extend(folders(path).iter().flat_map(|inner| members(inner)));
    found
}

/// With those in it, which guardians among the script's processes have made.
fn remove(path: &Path) {
    folders(path).iter().for_each(|inner| remove(inner));
    let begin = Instant::now();
    // The kernel takes a moment to let go of those who died in it.
    while fs::remove_dir(path).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy) {
        if begin.elapsed() > PATIENCE {
            return;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// The cgroups of dead guardians whose processes are not to go on.
fn stale_in(parent: &Path) -> Vec<PathBuf> {
    dead_in(parent).into_iter().filter(|path| !path.join(LEFT).exists()).collect()
}

/// The cgroups of dead guardians.
fn dead_in(parent: &Path) -> Vec<PathBuf> {
    let Some(namespace) = pid_namespace() else { return Vec::new() };
    let lives = |pid, started| procfs::process(pid).is_some_and(|p| p.started == started && !p.zombie);
    let is_dead = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        guardian_of(name, &namespace).is_some_and(|(pid, started)| !lives(pid, started))
    };
    folders(parent).into_iter().filter(is_dead).collect()
}

/// The guardian that made the cgroup of this name, by pid and start; `None` if none did whose pid means something here.
fn guardian_of(name: &str, namespace: &str) -> Option<(i32, u64)> {
    let mut fields = name.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-');
    let is_here = fields.next()? == namespace;
    let (pid, started) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    is_here.then_some((pid, started))
}

/// The number of the namespace in which this process's ids mean something (`man 7 namespaces`).
fn pid_namespace() -> Option<String> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    let text = link.to_str()?;
    Some(text.strip_prefix("pid:[")?.strip_suffix(']')?.to_owned())
}

fn own_folder() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    folder_of(&mounts, &fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// Where the cgroup of a process lies, by what its `mountinfo` and `cgroup` say (`man 5 proc_pid_mountinfo`, `man 7
/// cgroups`).
fn folder_of(mounts: &str, cgroup: &str) -> Option<PathBuf> {
    let own = Path::new(cgroup.lines().find_map(|line| line.strip_prefix("0::"))?);
    mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then_some(())?;
        let mut fields = fields.split(' ').skip(3);
        let (root, mounted_on) = (fields.next()?, fields.next()?);
        // Blanks and the like are written as \040; no distribution mounts it at such a place.
        Some(Path::new(mounted_on).join(own.strip_prefix(root).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_wherever_it_is_mounted() {
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        let inner = "41 31 0:38 /docker/ab /sys/fs/cgroup rw - cgroup2 cgroup rw";
        let folder = |mounts, cgroup| folder_of(mounts, cgroup).map(|path| path.display().to_string());
        assert_eq!(folder(unified, "0::/user.slice/a\n").unwrap(), "/sys/fs/cgroup/user.slice/a");
        assert_eq!(folder(hybrid, "4:memory:/x\n0::/\n").unwrap().trim_end_matches('/'), "/sys/fs/cgroup/unified");
        assert_eq!(folder(inner, "0::/docker/ab/c").unwrap(), "/sys/fs/cgroup/c");
        assert_eq!(folder(inner, "0::/../x"), None);
        assert_eq!(folder("32 31 0:29 / /c rw - cgroup cgroup rw,cpu", "4:cpu:/"), None);
    }

    #[test]
    fn a_cgroup_names_its_guardian() {
        assert_eq!(guardian_of("project_runner-4026531836-77-1234-0", "4026531836"), Some((77, 1234)));
        assert_eq!(guardian_of("project_runner-4026531836-77-1234-0", "4026532000"), None, "of another namespace");
        assert_eq!(guardian_of("session-1.scope", "4026531836"), None);
        assert!(pid_namespace().is_some());
    }
}

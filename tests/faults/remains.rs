//! What is left of scripts: their processes, recognised by the program they run and the folder they are in, by the run's id
//! in their environment, and by the process ids that they wrote to files, whatever they have done to their environment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::harness;

/// The process ids that scripts wrote to files `pid-…` in `folders`; the files are removed.
pub fn take_pid_files(folders: &[PathBuf]) -> BTreeSet<String> {
    let mut pids = BTreeSet::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("pid-") && !name.contains(".p") {
                pids.extend(std::fs::read_to_string(entry.path()).ok().map(|pid| pid.trim().to_owned()));
            }
            if name.starts_with("pid-") || name.starts_with("inner-") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
    pids
}

/// Waits until none of the processes that `find` finds lives. How long it took, or who is left.
pub fn wait_for_ends(find: impl Fn() -> BTreeSet<String>, patience: Duration) -> Result<Duration, BTreeSet<String>> {
    let begin = Instant::now();
    loop {
        // Looked at first: what is found late because this process had to wait is no fault of the runner's.
        let elapsed = begin.elapsed();
        let living = find();
        if living.is_empty() {
            return Ok(elapsed);
        }
        if elapsed > patience {
            return Err(living);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Ends processes that should have ended long ago, so that they outlive no test. Whoever multiplies is caught in time.
pub fn end(find: impl Fn() -> BTreeSet<String>) {
    let begin = Instant::now();
    loop {
        let found = find();
        if found.is_empty() || begin.elapsed() > Duration::from_secs(5) {
            return;
        }
        found.iter().for_each(|pid| kill(pid));
    }
}

#[cfg(unix)]
pub fn kill(pid: &str) {
    use rustix::process::{Pid, Signal};
    if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

#[cfg(not(unix))]
pub fn kill(_pid: &str) {}

/// The scripts' processes in the folder `root` and below, and those of `pids`, that live and whose run is of interest; it
/// is `None` if their environment has none.
#[cfg(target_os = "linux")]
pub fn find(root: &Path, pids: &BTreeSet<String>, is_of_interest: impl Fn(Option<&str>) -> bool) -> BTreeSet<String> {
    let subject = harness::subject();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = all.filter_map(|entry| entry.file_name().into_string().ok());
    let is_in_root = |pid: &String| {
        pids.contains(pid)
            || std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder.starts_with(root))
    };
    all.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        // Not another process that was given the id.
        .filter(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == subject))
        .filter(is_in_root)
        .filter(|pid| is_of_interest(run_of(pid).as_deref()) && harness::lives(pid))
        .collect()
}

/// By their process ids alone.
#[cfg(windows)]
pub fn find(_root: &Path, pids: &BTreeSet<String>, _is_of_interest: impl Fn(Option<&str>) -> bool) -> BTreeSet<String> {
    pids.iter().filter(|pid| harness::lives(pid)).cloned().collect()
}

/// The run that a process was started by, as its environment says.
#[cfg(target_os = "linux")]
fn run_of(pid: &str) -> Option<String> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut pairs = environ.split(|&byte| byte == 0);
    let run = pairs.find_map(|pair| pair.strip_prefix(b"RUNNER_RUN_ID="))?;
    Some(String::from_utf8_lossy(run).into_owned())
}

/// The children of a process that run the same program: a runner's guardian.
#[cfg(target_os = "linux")]
pub fn guardians(runner: u32) -> Vec<String> {
    let children = std::fs::read_dir(format!("/proc/{runner}/task")).into_iter().flatten().flatten();
    let lists = children.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<String> =
        lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    let own = harness::runner();
    pids.into_iter()
        .filter(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == own))
        .collect()
}

/// The largest resident memory of a process, in bytes, watched until it ends; `None` where that can't be read.
#[cfg(target_os = "linux")]
pub fn peak_memory(process: &mut std::process::Child) -> Option<u64> {
    let mut peak = None;
    while process.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.map(|kib| kib * 1024));
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}

#[cfg(windows)]
pub fn peak_memory(_process: &mut std::process::Child) -> Option<u64> {
    None
}

/// A process in words.
#[cfg(target_os = "linux")]
pub fn describe(pid: &str) -> String {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = String::from_utf8_lossy(&command)
        .split('\0')
        .filter(|word| !word.is_empty())
        .map(|word| word.rsplit('/').next().unwrap_or_default().to_owned())
        .collect();
    let marked = if run_of(pid).is_some() { "" } else { " without a mark" };
    format!("{pid} {}{marked}", words.join(" "))
}

#[cfg(windows)]
pub fn describe(pid: &str) -> String {
    pid.to_owned()
}

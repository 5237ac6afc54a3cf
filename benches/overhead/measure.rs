//! Taking turns, medians, and the peak memory of a process seen from outside.

use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::lanes::{Result, describe};

/// One way to do the work.
pub(super) struct Lane<'a> {
    pub(super) name: &'static str,
    work: Box<dyn FnMut() -> Result<()> + 'a>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(name: &'static str, work: impl FnMut() -> Result<()> + 'a) -> Self {
        Self { name, work: Box::new(work) }
    }
}

/// What the lanes took, a row a lane, a column a round.
pub(super) struct Times(Vec<Vec<f64>>);

impl Times {
    /// Lets every lane work once a round, in alternating order so that none always follows the same one. A first round,
    /// which fills caches and makes the state database, doesn't count.
    pub(super) fn take(rounds: usize, lanes: &mut [Lane<'_>]) -> Result<Self> {
        let mut times = vec![Vec::with_capacity(rounds); lanes.len()];
        for round in 0..=rounds {
            let mut order: Vec<usize> = (0..lanes.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for lane in order {
                let start = Instant::now();
                (lanes[lane].work)()?;
                if round > 0 {
                    times[lane].push(start.elapsed().as_secs_f64());
                }
            }
        }
        Ok(Self(times))
    }

    /// Seconds, the median over the rounds.
    pub(super) fn median(&self, lane: usize) -> f64 {
        median(self.0[lane].clone())
    }

    /// Seconds, the fastest and the slowest round.
    pub(super) fn range(&self, lane: usize) -> (f64, f64) {
        self.0[lane].iter().fold((f64::INFINITY, 0.0), |(low, high), &time| (low.min(time), high.max(time)))
    }

    /// The median of the rounds' own ratios of one lane to another: what disturbs a round disturbs both.
    pub(super) fn ratio(&self, lane: usize, floor: usize) -> f64 {
        median(self.0[lane].iter().zip(&self.0[floor]).map(|(time, floor)| time / floor).collect())
    }

    /// Seconds, the median of the rounds' own differences: a lane less the other ones.
    pub(super) fn excess(&self, lane: usize, less: &[usize]) -> f64 {
        let rounds = 0..self.0[lane].len();
        median(rounds.map(|r| self.0[lane][r] - less.iter().map(|&other| self.0[other][r]).sum::<f64>()).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The largest resident memory, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Peaks {
    pub(super) runner: u64,
    /// Of the process that starts the scripts for the runner; 0 if there was none.
    pub(super) helper: u64,
}

/// Runs the command and watches the high-water mark of its memory, and that of its child of the same executable.
///
/// The mark is read from /proc each millisecond. It only grows, so just a growth within the last millisecond is missed.
/// `wait4` would not do: its figure is at least the size of the process that started the command, and covers the
/// scripts too.
pub(super) fn peak_memory(command: &mut Command) -> Result<Peaks> {
    let executable = std::fs::canonicalize(command.get_program())?;
    let mut child = command.spawn().map_err(|error| format!("cannot start {}: {error}", describe(command)))?;
    let mut peaks = Peaks::default();
    let mut helper = None;
    for tick in 0_u64.. {
        peaks.runner = peaks.runner.max(high_water_mark(child.id()).unwrap_or(0));
        if helper.is_none() && tick.is_multiple_of(16) {
            helper = child_of(child.id(), &executable);
        }
        // Not the largest reading: between fork and exec the child still has the memory of its parent.
        if let Some(mark) = helper.and_then(high_water_mark) {
            peaks.helper = mark;
        }
        if let Some(status) = child.try_wait()? {
            return if status.success() {
                Ok(peaks)
            } else {
                Err(format!("{} ended with {status}", describe(command)).into())
            };
        }
        sleep(Duration::from_millis(1));
    }
    Ok(peaks)
}

/// `VmHWM` of /proc/PID/status (proc_pid_status(5)), in bytes; `None` once the process is gone.
fn high_water_mark(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1024)
}

/// A child of `parent` that runs the same executable.
fn child_of(parent: u32, executable: &PathBuf) -> Option<u32> {
    let folders = std::fs::read_dir("/proc").ok()?.flatten();
    let mut pids = folders.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|&pid| {
        parent_of(pid) == Some(parent)
            && std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path == *executable)
    })
}

/// The fourth field of /proc/PID/stat (proc_pid_stat(5)); the second, the name, may itself have blanks and brackets.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

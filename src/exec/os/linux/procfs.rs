//! Reading `/proc`: who is whose child. Format: `man 5 proc_pid_stat`.

use std::collections::HashMap;
use std::fs;

/// One process at the moment of the look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    /// When it began, in clock ticks since the machine's start.
    pub(super) started: u64,
    /// It has ended and waits to be reaped.
    pub(super) zombie: bool,
}

/// All processes.
pub(super) fn processes() -> HashMap<i32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| Some((pid, process(pid)?)))
        .collect()
}

/// One process.
pub(super) fn process(pid: i32) -> Option<Process> {
    parse_stat(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// This moment, as [`Process::started`] counts.
pub(super) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    let per_second = rustix::param::clock_ticks_per_second();
    seconds * per_second + nanos * per_second / 1_000_000_000
}

/// The program's name stands in parentheses and may itself contain them and blanks, so the fields are counted from the
/// last one.
fn parse_stat(pid: i32, stat: &[u8]) -> Option<Process> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let mut fields = std::str::from_utf8(stat.get(after_name..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // The 22nd field; the 6th is the next one here.
    let started = fields.nth(16)?.parse().ok()?;
    Some(Process { pid, parent, group, started, zombie: matches!(state, "Z" | "X") })
}

/// Whether `pid` was started with `marker` (`NAME=value`) in its environment.
pub(super) fn has_marker(pid: i32, marker: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|&byte| byte == 0).any(|pair| pair == marker.as_bytes()))
}

/// The command line of `pid`, its arguments separated by blanks, cut where nobody reads on.
pub(super) fn command_line(pid: i32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ");
    if text.is_empty() {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        return format!("[{}]", name.trim());
    }
    text.chars().take(16 * 1024).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_named_anything() {
        let process = Process { pid: 7, parent: 3, group: 5, started: 1234, zombie: false };
        let rest = b"3 5 5 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 1234 99 9";
        assert_eq!(parse_stat(7, &[b"7 (a) b) c) S ", &rest[..]].concat()), Some(process));
        assert_eq!(parse_stat(7, &[b"7 (sh) Z ", &rest[..]].concat()), Some(Process { zombie: true, ..process }));
        assert_eq!(parse_stat(7, b""), None);
    }

    #[test]
    fn this_process_is_there() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let (began, now) = (processes()[&pid].started, now());
        assert!(began > 0 && (began..began + 360_000).contains(&now), "{began} {now}");
        assert!(command_line(pid).contains("project_runner"));
    }
}

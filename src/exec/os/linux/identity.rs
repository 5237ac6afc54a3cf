//! Telling processes apart: `/proc/PID/stat` and the machine's boot id. Formats: `man 5 proc_pid_stat`, `proc_pid_status`.

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use super::super::identity::Life;
use crate::model::ProcessIdentity;

/// The kernel's flags of a process that is on its way out: `PF_EXITING` and `PF_SIGNALED` (`include/linux/sched.h`).
const ON_ITS_WAY_OUT: u32 = 0x0000_0004 | 0x0000_0400;
/// The bit of SIGKILL in a mask of signals.
const SIGKILL: u64 = 1 << 8;
/// The link of a process in the machine's first PID namespace (`PROC_PID_INIT_INO`).
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

struct Stat {
    zombie: bool,
    flags: u32,
    started: u64,
}

/// The program's name stands in parentheses and may itself contain them and blanks, so the fields are counted from the
/// last one: state is the third of all, flags the ninth, the start the twenty-second.
fn parse(stat: &[u8]) -> Option<Stat> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(stat.get(after_name..)?).ok()?.split_ascii_whitespace().collect();
    Some(Stat {
        zombie: matches!(*fields.first()?, "Z" | "X"),
        flags: fields.get(6)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The boot id and, where process ids count for a part of the machine only, that part: ids of another part say nothing
/// here.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        match namespace.to_str() {
            None | Some("" | FIRST_NAMESPACE) => boot.trim().to_owned(),
            Some(part) => format!("{} {part}", boot.trim()),
        }
    })
}

fn boot_id(boot: &str) -> &str {
    boot.split(' ').next().unwrap_or_default()
}

pub(in crate::exec) fn of_this_process() -> ProcessIdentity {
    let pid = std::process::id();
    ProcessIdentity { pid, started: stat(pid).map_or(0, |stat| stat.started), boot: boot().to_owned() }
}

pub(in crate::exec) fn life(process: &ProcessIdentity) -> Life {
    if restarted_since(process) {
        return Life::Gone;
    }
    if process.boot != boot() {
        return Life::Elsewhere;
    }
    match stat(process.pid) {
        Some(stat) if stat.started == process.started && !stat.zombie => {
            if stat.flags & ON_ITS_WAY_OUT != 0 || is_killed(process.pid) { Life::Ending } else { Life::Lives }
        }
        _ => Life::Gone,
    }
}

pub(in crate::exec) fn up_for() -> Option<Duration> {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Some(Duration::new(up.tv_sec.try_into().ok()?, up.tv_nsec.try_into().ok()?))
}

/// Whether a SIGKILL is on its way to a process.
fn is_killed(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let masks = status.lines().filter_map(|line| line.strip_prefix("SigPnd:").or(line.strip_prefix("ShdPnd:")));
    masks.filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok()).any(|mask| mask & SIGKILL != 0)
}

pub(in crate::exec) fn restarted_since(process: &ProcessIdentity) -> bool {
    boot_id(&process.boot) != boot_id(boot())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_others_with_its_id() {
        let here = of_this_process();
        assert_eq!((life(&here), here.pid), (Life::Lives, std::process::id()));
        assert!(here.started > 0 && !here.boot.is_empty());
        assert_eq!(life(&ProcessIdentity { started: here.started + 1, ..here.clone() }), Life::Gone);
        let before = ProcessIdentity { boot: "another".into(), ..here.clone() };
        assert_eq!((life(&before), restarted_since(&before), restarted_since(&here)), (Life::Gone, true, false));
        let part = format!("{} pid:[1]", boot_id(&here.boot));
        assert_eq!(life(&ProcessIdentity { boot: part, ..here }), Life::Elsewhere);
    }

    #[test]
    fn one_that_was_killed_does_not_live_even_before_it_is_gone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let started = stat(child.id()).unwrap().started;
        let identity = ProcessIdentity { pid: child.id(), started, boot: boot().to_owned() };
        assert_eq!(life(&identity), Life::Lives);
        child.kill().unwrap();
        assert_ne!(life(&identity), Life::Lives);
        child.wait().unwrap();
        assert_eq!(life(&identity), Life::Gone);
    }
}

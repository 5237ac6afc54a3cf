//! The signals of POSIX.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What has a daemon read everything anew.
pub(in crate::cli) const RELOAD: &str = "SIGHUP";

/// Whether the program was started with the signal ignored, as `nohup` does it with SIGHUP and a shell with SIGINT of
/// what it runs in the background: then it stays so. Format: `man 5 proc_pid_status`.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask & (1 << (kind.as_raw_value() - 1)) != 0
}

fn listen(kind: SignalKind) -> Option<Signal> {
    if is_ignored(kind) { None } else { signal(kind).ok() }
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whoever takes a signal on Unix has the time that it takes.
pub(in crate::cli) fn is_final(_by: &str) -> bool {
    false
}

pub(in crate::cli) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl Signals {
    pub(in crate::cli) fn new() -> Option<Self> {
        Some(Self {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
            hangup: listen(SignalKind::hangup()),
        })
    }

    pub(in crate::cli) async fn next(&mut self) -> &'static str {
        tokio::select! {
            () = next(&mut self.interrupt) => "Ctrl-C",
            () = next(&mut self.terminate) => "SIGTERM",
            () = next(&mut self.hangup) => RELOAD,
        }
    }
}

//! Ctrl-C and its relatives interrupt the runs.

use std::time::Duration;

use crate::daemon::Control;
use crate::exec::Cancel;

/// How long scripts may take to end when the system ends this process soon: Windows does it five seconds after it has
/// told of it ("HandlerRoutine callback function", timeouts), and what came of the run is to be written down before.
const FINAL_PATIENCE: Duration = Duration::from_secs(2);

/// From now on the signals that ask a program to end interrupt whatever holds `cancel`: SIGINT, SIGTERM and SIGHUP, or on
/// Windows Ctrl-C, Ctrl-Break, the closing of the console, log-off and shutdown.
pub(super) fn interrupt_on_signals(cancel: Cancel) {
    listen(move |by| {
        if cancel.cancelled_by().is_some() {
            cancel.kill_now();
        }
        cancel.cancel(by);
        if platform::is_final(by) {
            std::thread::sleep(FINAL_PATIENCE);
            cancel.kill_now();
        }
    });
}

/// From now on they steer a daemon: SIGHUP has it read everything anew; the others have it end once its runs have, when they come
/// again interrupt those, and then kill them. Where the system ends this process soon, the runs are interrupted at once.
pub(super) fn steer_on_signals(control: Control) {
    listen(move |by| match by {
        platform::RELOAD => control.reload(),
        by if platform::is_final(by) => {
            control.stop(by);
            control.stop(by);
            std::thread::sleep(FINAL_PATIENCE);
            control.stop(by);
        }
        by => control.stop(by),
    });
}

fn listen(heard: impl Fn(&'static str) + Send + 'static) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    // Not on the thread: a signal may come before that has begun.
    let signals = runtime.block_on(async { platform::Signals::new() });
    let listen = move || {
        let Some(mut signals) = signals else { return };
        runtime.block_on(async {
            loop {
                heard(signals.next().await);
            }
        });
    };
    // Without the thread the system's own way of ending a program stands, and the guardian sees to the scripts.
    let _ = std::thread::Builder::new().name("signals".into()).spawn(listen);
}

#[cfg(unix)]
mod platform {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// What has a daemon read everything anew.
    pub(super) const RELOAD: &str = "SIGHUP";

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
    pub(super) fn is_final(_by: &str) -> bool {
        false
    }

    pub(super) struct Signals {
        interrupt: Option<Signal>,
        terminate: Option<Signal>,
        hangup: Option<Signal>,
    }

    impl Signals {
        pub(super) fn new() -> Option<Self> {
            Some(Self {
                interrupt: listen(SignalKind::interrupt()),
                terminate: listen(SignalKind::terminate()),
                hangup: listen(SignalKind::hangup()),
            })
        }

        pub(super) async fn next(&mut self) -> &'static str {
            tokio::select! {
                () = next(&mut self.interrupt) => "Ctrl-C",
                () = next(&mut self.terminate) => "SIGTERM",
                () = next(&mut self.hangup) => RELOAD,
            }
        }
    }
}

#[cfg(windows)]
mod platform {
    use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown};
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};

    /// Nothing here has a daemon read everything anew.
    pub(super) const RELOAD: &str = "a reload";
    const CLOSED: &str = "the console was closed";
    const LOGOFF: &str = "log-off";
    const SHUTDOWN: &str = "shutdown";

    /// Whether the system ends this process soon. Scripts that share the console have been told by it as well.
    pub(super) fn is_final(by: &str) -> bool {
        [CLOSED, LOGOFF, SHUTDOWN].contains(&by)
    }

    pub(super) struct Signals {
        c: CtrlC,
        r#break: CtrlBreak,
        close: CtrlClose,
        logoff: CtrlLogoff,
        shutdown: CtrlShutdown,
    }

    impl Signals {
        pub(super) fn new() -> Option<Self> {
            Some(Self {
                c: ctrl_c().ok()?,
                r#break: ctrl_break().ok()?,
                close: ctrl_close().ok()?,
                logoff: ctrl_logoff().ok()?,
                shutdown: ctrl_shutdown().ok()?,
            })
        }

        pub(super) async fn next(&mut self) -> &'static str {
            tokio::select! {
                _ = self.c.recv() => "Ctrl-C",
                _ = self.r#break.recv() => "Ctrl-Break",
                _ = self.close.recv() => CLOSED,
                _ = self.logoff.recv() => LOGOFF,
                _ = self.shutdown.recv() => SHUTDOWN,
            }
        }
    }
}

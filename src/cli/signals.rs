//! Ctrl-C and its relatives interrupt the runs.

use std::time::Duration;

use super::os;
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
        if os::is_final(by) {
            std::thread::sleep(FINAL_PATIENCE);
            cancel.kill_now();
        }
    });
}

/// From now on they steer a daemon: SIGHUP has it read everything anew; the others have it end once its runs have, when they come
/// again interrupt those, and then kill them. Where the system ends this process soon, the runs are interrupted at once.
pub(super) fn steer_on_signals(control: Control) {
    listen(move |by| match by {
        os::RELOAD => control.reload(),
        by if os::is_final(by) => {
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
    let signals = runtime.block_on(async { os::Signals::new() });
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

//! The events of a console.

use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown};
use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};

/// Nothing here has a daemon read everything anew.
pub(in crate::cli) const RELOAD: &str = "a reload";
const CLOSED: &str = "the console was closed";
const LOGOFF: &str = "log-off";
const SHUTDOWN: &str = "shutdown";

/// Whether the system ends this process soon. Scripts that share the console have been told by it as well.
pub(in crate::cli) fn is_final(by: &str) -> bool {
    [CLOSED, LOGOFF, SHUTDOWN].contains(&by)
}

pub(in crate::cli) struct Signals {
    c: CtrlC,
    r#break: CtrlBreak,
    close: CtrlClose,
    logoff: CtrlLogoff,
    shutdown: CtrlShutdown,
}

impl Signals {
    pub(in crate::cli) fn new() -> Option<Self> {
        Some(Self {
            c: ctrl_c().ok()?,
            r#break: ctrl_break().ok()?,
            close: ctrl_close().ok()?,
            logoff: ctrl_logoff().ok()?,
            shutdown: ctrl_shutdown().ok()?,
        })
    }

    pub(in crate::cli) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.c.recv() => "Ctrl-C",
            _ = self.r#break.recv() => "Ctrl-Break",
            _ = self.close.recv() => CLOSED,
            _ = self.logoff.recv() => LOGOFF,
            _ = self.shutdown.recv() => SHUTDOWN,
        }
    }
}

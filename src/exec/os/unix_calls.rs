//! System calls on children and signals, some of which no safe library offers in the form needed here.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;

/// How a child ended and what it used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) code: Option<u32>,
    pub(super) signal: Option<i32>,
    pub(super) core_dumped: bool,
    pub(super) user_us: u64,
    pub(super) system_us: u64,
    pub(super) peak_bytes: u64,
}

/// Reaps `pid` if it has ended (`man 2 wait4`); `None` if it hasn't, or is no child.
pub(super) fn wait4(pid: i32) -> Option<Wait> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live memory of the right type for the whole call.
    let reaped = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    if reaped != pid {
        return None;
    }
    // SAFETY: all-zero bytes are a valid rusage, and the call has filled it.
    let usage = unsafe { usage.assume_init() };
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or_default() * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or_default()
    };
    Some(Wait {
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status).unsigned_abs()),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        core_dumped: libc::WIFSIGNALED(status) && libc::WCOREDUMP(status),
        user_us: micros(usage.ru_utime),
        system_us: micros(usage.ru_stime),
        // Linux counts kibibytes.
        peak_bytes: u64::try_from(usage.ru_maxrss).unwrap_or_default() * 1024,
    })
}

/// Whether this process has a child, living or not yet reaped.
pub(super) fn has_children() -> bool {
    let options = rustix::process::WaitIdOptions::EXITED
        | rustix::process::WaitIdOptions::NOHANG
        | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::All, options).is_ok()
}

/// Lets the usual requests to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT) pass without effect: a terminal or a service manager
/// sends them to every process at once, and it is the runner's to decide what becomes of the scripts. They are caught, not
/// ignored, since children would inherit ignoring them.
pub(super) fn outlive_requests_to_end() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        // SAFETY: the handler does nothing, so it is safe at any moment.
        let before = unsafe { libc::signal(signal, nothing as *const () as libc::sighandler_t) };
        if before == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

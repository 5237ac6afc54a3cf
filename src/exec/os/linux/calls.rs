//! System calls on children and signals, some of which no safe library offers in the form needed here.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

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

/// Starts a program in a process group of its own (`man 3 posix_spawn`, which doesn't copy this process's page tables), with
/// default handling of signals. `streams` become its standard input, output and error. The standard library can do the
/// same, but copies arguments and environment three times on the way.
pub(super) fn spawn(
    program: &CStr,
    args: &[&CStr],
    env: &[&CStr],
    working_dir: &CStr,
    streams: [BorrowedFd<'_>; 3],
) -> io::Result<i32> {
    fn check(result: libc::c_int) -> io::Result<()> {
        if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
    }
    let pointers = |texts: &mut dyn Iterator<Item = &&CStr>| -> Vec<*mut libc::c_char> {
        texts.map(|text| text.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect()
    };
    let args = pointers(&mut [program].iter().chain(args));
    let env = pointers(&mut env.iter());
    let mut actions = FileActions::new()?;
    let mut attributes = Attributes::new()?;
    let mut pid = 0;
    // SAFETY: both structures are initialised; all texts and both lists, each ended by a null pointer, outlive the call;
    // the system doesn't write to them.
    unsafe {
        for (stream, number) in streams.iter().zip(0..) {
            check(libc::posix_spawn_file_actions_adddup2(&raw mut actions.0, stream.as_raw_fd(), number))?;
        }
        check(libc::posix_spawn_file_actions_addchdir_np(&raw mut actions.0, working_dir.as_ptr()))?;
        let mut signals = MaybeUninit::<libc::sigset_t>::zeroed().assume_init();
        libc::sigemptyset(&raw mut signals);
        check(libc::posix_spawnattr_setsigmask(&raw mut attributes.0, &raw const signals))?;
        // Ignored by Rust's start-up code; what is caught is reset by the system.
        libc::sigaddset(&raw mut signals, libc::SIGPIPE);
        check(libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, &raw const signals))?;
        check(libc::posix_spawnattr_setpgroup(&raw mut attributes.0, 0))?;
        let flags = libc::POSIX_SPAWN_SETPGROUP | libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
        check(libc::posix_spawnattr_setflags(&raw mut attributes.0, i16::try_from(flags).unwrap_or_default()))?;
        check(libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            &raw const actions.0,
            &raw const attributes.0,
            args.as_ptr(),
            env.as_ptr(),
        ))?;
    }
    Ok(pid)
}

struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::zeroed();
        // SAFETY: initialises the structure, or says that it hasn't.
        match unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) } {
            // SAFETY: it is initialised.
            0 => Ok(Self(unsafe { actions.assume_init() })),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: it was initialised, and is not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut attributes = MaybeUninit::zeroed();
        // SAFETY: initialises the structure, or says that it hasn't.
        match unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) } {
            // SAFETY: it is initialised.
            0 => Ok(Self(unsafe { attributes.assume_init() })),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: it was initialised, and is not used again.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
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
/// ignored, since children would inherit ignoring them. SIGCHLD has no effect but to interrupt a wait.
pub(super) fn catch_signals() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGCHLD] {
        // SAFETY: the handler does nothing, so it is safe at any moment.
        let before = unsafe { libc::signal(signal, nothing as *const () as libc::sighandler_t) };
        if before == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

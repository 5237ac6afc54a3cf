//! Starting a program inside a cgroup: with `clone3` (`man 2 clone3`), since what `posix_spawn` starts would have to be moved
//! there afterwards, which takes the kernel milliseconds and comes too late for what the program starts at once.
//!
//! As `posix_spawn` does, the child begins on a stack of its own in this process's memory, and this process stands still until it has
//! executed the program or failed to.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::{Pid, WaitOptions};

use super::wire::Order;

/// `clone_args` (`linux/sched.h`), which not every C library's headers have whole.
#[repr(C)]
#[derive(Default)]
struct Arguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `CLONE_VM`, `CLONE_PIDFD`, `CLONE_VFORK`, `CLONE_INTO_CGROUP` (`linux/sched.h`).
const FLAGS: u64 = 0x100 | 0x1000 | 0x4000 | 0x2_0000_0000;
/// Bytes of the child's stack, of which a few calls use little.
const STACK: usize = 64 * 1024;

/// Why there is no child.
#[derive(Debug)]
pub(super) enum NotBorn {
    /// The program can't be executed.
    Program(io::Error),
    /// The system doesn't start programs in this cgroup, or in any.
    Cgroup,
}

/// What the child does before it is the program; without a program it ends at once.
struct Preparation {
    program: *const c_char,
    args: *const *const c_char,
    env: *const *const c_char,
    working_dir: *const c_char,
    streams: [c_int; 3],
    /// What failed; 0 if nothing did.
    errno: c_int,
}

/// Starts a program like [`calls::spawn`], in a cgroup. Gives its id and a descriptor of it.
pub(super) fn spawn(
    order: &Order<'_>,
    streams: [BorrowedFd<'_>; 3],
    cgroup: BorrowedFd<'_>,
) -> Result<(i32, OwnedFd), NotBorn> {
    let pointers = |texts: &mut dyn Iterator<Item = &&CStr>| -> Vec<*const c_char> {
        texts.map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let args = pointers(&mut [order.program].iter().chain(&order.args));
    let env = pointers(&mut order.env.iter());
    let mut preparation = Preparation {
        program: order.program.as_ptr(),
        args: args.as_ptr(),
        env: env.as_ptr(),
        working_dir: order.working_dir.as_ptr(),
        streams: streams.map(|stream| stream.as_raw_fd()),
        errno: 0,
    };
    let (pid, pidfd) = clone(&mut preparation, cgroup)?;
    if preparation.errno != 0 {
        reap(pid);
        return Err(NotBorn::Program(io::Error::from_raw_os_error(preparation.errno)));
    }
    Ok((pid, pidfd))
}

/// Whether a child can be born in this cgroup, and live: some kernels (seen of 6.18) kill it at once if the cgroup that this
/// process is in was killed before it came there.
pub(super) fn works(cgroup: BorrowedFd<'_>) -> bool {
    let none = std::ptr::null();
    let mut nothing = Preparation {
        program: none,
        args: none.cast(),
        env: none.cast(),
        working_dir: none,
        streams: [0; 3],
        errno: 0,
    };
    let Ok((pid, _)) = clone(&mut nothing, cgroup) else { return false };
    reap(pid) == Some(0)
}

/// Waits for a child that is ending: it gives back the memory a moment before it counts as ended. Its exit code, if it has one.
fn reap(pid: i32) -> Option<i32> {
    let (_, status) = rustix::process::waitpid(Pid::from_raw(pid), WaitOptions::empty()).ok().flatten()?;
    status.exit_status()
}

/// A child that does what is prepared, its id and a descriptor of it.
fn clone(preparation: &mut Preparation, cgroup: BorrowedFd<'_>) -> Result<(i32, OwnedFd), NotBorn> {
    let mut stack: Vec<MaybeUninit<u128>> = Vec::with_capacity(STACK / size_of::<u128>());
    let mut pidfd: c_int = -1;
    let arguments = Arguments {
        flags: FLAGS,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        stack: stack.as_mut_ptr().expose_provenance() as u64,
        stack_size: STACK as u64,
        cgroup: u64::from(cgroup.as_raw_fd().unsigned_abs()),
        ..Arguments::default()
    };
    // SAFETY: all that the structures point to lives until the call returns, which is when the child has its own memory or is gone.
    let pid = unsafe { system::clone3(&raw const arguments, preparation) };
    let pid = match i32::try_from(pid) {
        Ok(pid @ 1..) => pid,
        // Too many processes, or too little memory: no start would succeed.
        Ok(error) if [-libc::EAGAIN, -libc::ENOMEM].contains(&error) => {
            return Err(NotBorn::Program(io::Error::from_raw_os_error(-error)));
        }
        _ => return Err(NotBorn::Cgroup),
    };
    // SAFETY: the kernel has just made it for this process.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// The child, until it is the program: signals as they are by default, a process group of its own, the streams, the folder.
///
/// # Safety
/// Only to be called as the beginning of a child that shares this process's memory. It may allocate nothing and take no lock.
unsafe extern "C" fn begin(preparation: *mut Preparation) -> ! {
    // SAFETY: the parent stands still and keeps all that is pointed to; each call is safe after a fork (`man 7 signal-safety`).
    unsafe {
        if (*preparation).program.is_null() {
            libc::_exit(0);
        }
        let prepared = prepare(&*preparation);
        if prepared {
            libc::execve((*preparation).program, (*preparation).args, (*preparation).env);
        }
        (*preparation).errno = *libc::__errno_location();
        libc::_exit(127)
    }
}

/// # Safety
/// As for [`begin`].
unsafe fn prepare(preparation: &Preparation) -> bool {
    let mut none = MaybeUninit::<libc::sigset_t>::zeroed();
    let mut default = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all-zero bytes are valid values of both; `SIG_DFL` is zero. What is caught is reset by the system, and only
    // the child's handlers change, for these aren't shared. Rust's start-up code ignores SIGPIPE.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::setpgid(0, 0) == 0
            && libc::sigaction(libc::SIGPIPE, default.as_mut_ptr(), std::ptr::null_mut()) == 0
            && libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) == 0
            && preparation.streams.iter().zip(0..).all(|(&stream, number)| libc::dup2(stream, number) >= 0)
            && libc::chdir(preparation.working_dir) == 0
    }
}

#[cfg(target_arch = "x86_64")]
mod system {
    use super::{Arguments, Preparation, begin};

    /// The child's id, or a negative error code. The child calls [`begin`].
    ///
    /// # Safety
    /// The arguments must be right for `begin` on a stack of its own, and ask for `CLONE_VFORK`.
    pub(super) unsafe fn clone3(arguments: *const Arguments, preparation: *mut Preparation) -> i64 {
        let result;
        // SAFETY: the parent goes on after the label with only the named registers changed; the child, whose registers are
        // the same but for the stack, never leaves `begin`. The stack's end is aligned as a call needs it.
        unsafe {
            core::arch::asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "xor ebp, ebp",
                "mov rdi, {preparation}",
                "call {begin}",
                "ud2",
                "2:",
                preparation = in(reg) preparation,
                begin = sym begin,
                inlateout("rax") libc::SYS_clone3 => result,
                in("rdi") arguments,
                in("rsi") size_of::<Arguments>(),
                out("rcx") _,
                out("r11") _,
            );
        }
        result
    }
}

#[cfg(target_arch = "aarch64")]
mod system {
    use super::{Arguments, Preparation, begin};

    /// The child's id, or a negative error code. The child calls [`begin`].
    ///
    /// # Safety
    /// The arguments must be right for `begin` on a stack of its own, and ask for `CLONE_VFORK`.
    pub(super) unsafe fn clone3(arguments: *const Arguments, preparation: *mut Preparation) -> i64 {
        let result;
        // SAFETY: as on x86-64.
        unsafe {
            core::arch::asm!(
                "svc #0",
                "cbnz x0, 2f",
                "mov x29, xzr",
                "mov x0, {preparation}",
                "bl {begin}",
                "brk #1",
                "2:",
                preparation = in(reg) preparation,
                begin = sym begin,
                in("x8") libc::SYS_clone3,
                inlateout("x0") arguments => result,
                in("x1") size_of::<Arguments>(),
            );
        }
        result
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod system {
    use super::{Arguments, Preparation, begin};

    /// Elsewhere the call isn't spelled out: there are no cgroups then.
    ///
    /// # Safety
    /// None is needed.
    pub(super) unsafe fn clone3(_: *const Arguments, _: *mut Preparation) -> i64 {
        let _ = begin as unsafe extern "C" fn(*mut Preparation) -> !;
        -i64::from(libc::ENOSYS)
    }
}

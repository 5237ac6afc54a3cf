//! A script that misbehaves on request: `subject PROGRAM [ARGS…]`, where PROGRAM is a text file with a verb a line.
//!
//! The tests use it as the interpreter of their projects, on every system.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::exit,
    clippy::panic,
    clippy::zombie_processes,
    unreachable_pub
)]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn main() {
    let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    let program = std::fs::read_to_string(&args[0]).expect("a program to run");
    for line in program.lines().filter(|line| !line.trim().is_empty()) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        perform(verb, rest, &args);
    }
}

fn perform(verb: &str, rest: &str, args: &[std::ffi::OsString]) {
    match verb {
        "print" => println!("{rest}"),
        "eprint" => eprintln!("{rest}"),
        "write" => {
            print!("{rest}");
            std::io::stdout().flush().unwrap();
        }
        // The value of a variable, each byte by itself.
        "env-slowly" => {
            for byte in std::env::var(rest).unwrap().bytes().chain([b'\n']) {
                std::io::stdout().write_all(&[byte]).unwrap();
                std::io::stdout().flush().unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        // A file's name and its lines, parted by `|`.
        "put" => {
            let (file, text) = rest.split_once(' ').unwrap_or((rest, ""));
            std::fs::write(file, text.replace('|', "\n")).unwrap();
        }
        // Below a folder that a variable names.
        "put-below" => {
            let (variable, file) = rest.split_once(' ').unwrap();
            let file = Path::new(&std::env::var(variable).unwrap()).join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "attached").unwrap();
        }
        // Fails until it is tried for the nth time; the file counts.
        "succeed-at" => {
            let (file, time) = rest.split_once(' ').unwrap();
            let tries = std::fs::read_to_string(file).unwrap_or_default() + "x";
            std::fs::write(file, &tries).unwrap();
            if tries.len() < time.parse().unwrap() {
                std::process::exit(1);
            }
        }
        // Bytes in hexadecimal.
        "bytes" => {
            let bytes: Vec<u8> = rest.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            std::io::stdout().write_all(&bytes).unwrap();
        }
        // So many bytes, without an end of line.
        "flood" => flood(rest.parse().unwrap()),
        "lines" => (0..rest.parse::<u64>().unwrap()).for_each(|n| println!("line {n}")),
        "exit" => std::process::exit(rest.parse::<u32>().unwrap().cast_signed()),
        "abort" => std::process::abort(),
        "crash" => system::crash(),
        "sleep" => std::thread::sleep(seconds(rest)),
        "touch" => std::fs::write(rest, "").unwrap(),
        "append" => {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(rest).unwrap();
            writeln!(file, "x").unwrap();
        }
        "wait-for" => {
            while !Path::new(rest).exists() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        "pid" => write_whole(rest, &std::process::id().to_string()),
        "env" => println!("{rest}={}", std::env::var(rest).unwrap_or_else(|_| "(unset)".into())),
        // What is in the file that a variable names.
        "cat-named" => print!("{}", std::fs::read_to_string(std::env::var(rest).unwrap()).unwrap()),
        // Into a file, at once: a variable; the arguments and the inputs.
        "put-env" => {
            let (file, variable) = rest.split_once(' ').unwrap();
            write_whole(file, &format!("{variable}={}", std::env::var(variable).unwrap()));
        }
        "dump" => {
            let args: Vec<String> = args[1..].iter().map(|arg| arg.to_str().unwrap().to_owned()).collect();
            let inputs = std::env::vars().filter(|(name, _)| name.starts_with("RUNNER_PARAM_"));
            let inputs: std::collections::BTreeMap<_, _> = inputs.collect();
            write_whole(rest, &serde_json::json!({"args": args, "inputs": inputs}).to_string());
        }
        "args" => args[1..].iter().for_each(|arg| println!("<{}>", arg.to_string_lossy())),
        "cwd" => println!("{}", std::env::current_dir().unwrap().display()),
        "stdin" => {
            let mut all = Vec::new();
            std::io::stdin().read_to_end(&mut all).unwrap();
            println!("stdin: {} bytes", all.len());
        }
        // A child that lives on for a while: with this process's output, or without it.
        "leave-holding" => leave(rest, false, false),
        "leave" => leave(rest, true, false),
        "leave-detached" => leave(rest, true, true),
        // What such a child does: writes its process id to a file, then sleeps.
        "child" => {
            let (file, time) = rest.split_once(' ').unwrap();
            write_whole(file, &std::process::id().to_string());
            std::thread::sleep(seconds(time));
        }
        // The same by a parent that has ended, in another session, without this process's environment.
        "daemon" => daemon(rest),
        "ignore-requests-to-end" => system::ignore_requests_to_end(),
        // When asked to end, prints so many bytes and does so.
        #[cfg(unix)]
        "when-asked-flood" => system::when_asked_flood(rest.parse().unwrap()),
        #[cfg(unix)]
        "block-requests-to-end" => system::block_requests_to_end(),
        // So many processes; each that is asked to end hands over to a new one in a session of its own.
        #[cfg(unix)]
        "hand-over-when-asked" => system::hand_over_when_asked(rest.parse().unwrap()),
        // So many processes, each of which hands over without end, whatever it is asked.
        #[cfg(unix)]
        "keep-handing-over" => system::keep_handing_over(rest.parse().unwrap()),
        // When asked to end, writes a file and does so.
        #[cfg(windows)]
        "expect-request-to-end" => system::expect_request_to_end(rest.into()),
        // As if it was typed at the console that this process shares with others.
        #[cfg(windows)]
        "ctrl-c" => system::ctrl_c(),
        "signal" => system::signal_self(rest.parse().unwrap()),
        "memory" => {
            let block = vec![1_u8; rest.parse::<usize>().unwrap() * 1024 * 1024];
            println!("{}", block.iter().map(|&byte| u64::from(byte)).sum::<u64>());
        }
        // The rest of the line is done by a child, which is waited for.
        "inner" => inner(rest),
        // `MILLISECONDS SECONDS`: again and again the process forks and ends, and so is another one each time.
        #[cfg(unix)]
        "hydra" => system::hydra(rest),
        // `PIDFILE SECONDS`: waits a second to be asked to end; if it is, leaves such a child and ends.
        #[cfg(unix)]
        "fork-when-asked" => {
            if system::asked_to_end(Duration::from_secs(1)) {
                leave(rest, false, true);
                std::process::exit(0);
            }
        }
        // `FILE SECONDS`: keeps a file that nobody else may have meanwhile.
        "alone" => {
            let (file, time) = rest.split_once(' ').unwrap();
            std::fs::File::create_new(file).expect("to be alone");
            std::thread::sleep(seconds(time));
            std::fs::remove_file(file).unwrap();
        }
        // `SEED BYTES`: bytes of every value, the same ones for the same seed.
        "noise" => {
            let (seed, bytes) = rest.split_once(' ').unwrap();
            noise(seed.parse().unwrap(), bytes.parse().unwrap());
        }
        // `RATE SECONDS`: so many lines a second.
        "pour" => {
            let (rate, time) = rest.split_once(' ').unwrap();
            pour(rate.parse().unwrap(), time.parse().unwrap());
        }
        _ => panic!("unknown verb {verb}"),
    }
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs_f64(text.parse().unwrap())
}

/// So that a reader never sees half of it.
fn write_whole(file: &str, text: &str) {
    let part = format!("{file}.part");
    std::fs::write(&part, text).unwrap();
    std::fs::rename(part, file).unwrap();
}

fn flood(mut left: usize) {
    let block = [b'x'; 64 * 1024];
    let mut stdout = std::io::stdout().lock();
    while left > 0 {
        let piece = left.min(block.len());
        stdout.write_all(&block[..piece]).unwrap();
        left -= piece;
    }
}

/// The generator of xorshift64, eight bytes at a time.
fn noise(seed: u64, bytes: usize) {
    let mut state = seed.max(1);
    let mut all = Vec::with_capacity(bytes + 8);
    while all.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.extend_from_slice(&state.to_le_bytes());
    }
    std::io::stdout().write_all(&all[..bytes]).unwrap();
}

/// In pieces of a hundredth of a second.
fn pour(rate: u64, time: u64) {
    let begin = std::time::Instant::now();
    let mut stdout = std::io::stdout().lock();
    for tick in 0..time * 100 {
        let piece: String = (tick * rate / 100..(tick + 1) * rate / 100).map(|n| format!("line {n}\n")).collect();
        stdout.write_all(piece.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(10 * (tick + 1)).saturating_sub(begin.elapsed()));
    }
}

fn inner(line: &str) {
    let program = format!("inner-{}.program", std::process::id());
    std::fs::write(&program, line).unwrap();
    Command::new(std::env::current_exe().unwrap()).arg(&program).stdin(Stdio::null()).status().unwrap();
}

/// `PIDFILE SECONDS`
fn leave(rest: &str, without_output: bool, detached: bool) {
    let program = format!("{}.program", rest.split(' ').next().unwrap());
    std::fs::write(&program, format!("child {rest}\n")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(&program).stdin(Stdio::null());
    if without_output {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    if detached {
        command.env_clear();
        system::detach(&mut command);
    }
    command.spawn().unwrap();
    let file = rest.split(' ').next().unwrap();
    while !Path::new(file).exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `PIDFILE SECONDS`
fn daemon(rest: &str) {
    let file = rest.split(' ').next().unwrap();
    let program = format!("{file}.parent");
    std::fs::write(&program, format!("leave-detached {rest}\n")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(&program).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_clear();
    system::detach(&mut command);
    assert!(command.status().unwrap().success());
}

#[cfg(unix)]
#[allow(unsafe_code)]
mod system {
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    /// After this, what nobody has ended ends itself: a test that fails must not leave it for ever.
    const LONGEST: Duration = Duration::from_secs(60);

    pub fn block_requests_to_end() {
        // SAFETY: the set is initialised by the first call.
        unsafe {
            let mut signals = std::mem::zeroed();
            libc::sigemptyset(&mut signals);
            libc::sigaddset(&mut signals, libc::SIGTERM);
            libc::sigaddset(&mut signals, libc::SIGINT);
            libc::sigprocmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut());
        }
    }

    static BYTES: AtomicUsize = AtomicUsize::new(0);

    extern "C" fn flood(_: libc::c_int) {
        let mut left = BYTES.load(Ordering::Relaxed);
        let block = [b'x'; 4096];
        while left > 0 {
            // SAFETY: the block is live and as long as is said.
            let written = unsafe { libc::write(1, block.as_ptr().cast(), left.min(block.len())) };
            left -= usize::try_from(written).unwrap_or(left);
        }
        // SAFETY: no pointers.
        unsafe { libc::_exit(0) };
    }

    pub fn when_asked_flood(bytes: usize) {
        BYTES.store(bytes, Ordering::Relaxed);
        // SAFETY: the handler calls only what it may.
        unsafe { libc::signal(libc::SIGTERM, flood as *const () as libc::sighandler_t) };
    }

    extern "C" fn hand_over(_: libc::c_int) {
        // SAFETY: all three may be called in a handler; this process has one thread.
        unsafe {
            if libc::fork() == 0 {
                libc::setsid();
            } else {
                libc::_exit(0);
            }
        }
    }

    /// Starts so many processes that all do the same as this one; true in these.
    fn multiply(processes: u32) -> bool {
        // SAFETY: this process has one thread.
        (0..processes).any(|_| unsafe { libc::fork() } == 0)
    }

    pub fn hand_over_when_asked(processes: u32) {
        // SAFETY: the handler calls only what it may.
        unsafe { libc::signal(libc::SIGTERM, hand_over as *const () as libc::sighandler_t) };
        multiply(processes);
        let begin = Instant::now();
        while begin.elapsed() < LONGEST {
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    pub fn keep_handing_over(processes: u32) {
        ignore_requests_to_end();
        if multiply(processes) {
            let begin = Instant::now();
            while begin.elapsed() < LONGEST {
                std::thread::sleep(Duration::from_millis(3));
                hand_over(0);
            }
            std::process::exit(0);
        }
        std::thread::sleep(LONGEST);
    }

    pub fn ignore_requests_to_end() {
        // SAFETY: ignoring a signal runs no code.
        unsafe {
            libc::signal(libc::SIGTERM, libc::SIG_IGN);
            libc::signal(libc::SIGINT, libc::SIG_IGN);
        }
    }

    pub fn crash() {
        signal_self(libc::SIGSEGV);
    }

    /// Blocks SIGTERM and waits for it; whether it came.
    pub fn asked_to_end(patience: std::time::Duration) -> bool {
        // SAFETY: the set is made by `sigemptyset` before it is read, and both pointers are to locals.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGTERM);
            libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            let begin = std::time::Instant::now();
            while begin.elapsed() < patience {
                let mut pending = std::mem::zeroed();
                libc::sigpending(&mut pending);
                if libc::sigismember(&pending, libc::SIGTERM) == 1 {
                    return true;
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        false
    }

    pub fn hydra(rest: &str) {
        let (pause, time) = rest.split_once(' ').unwrap();
        let pause = std::time::Duration::from_millis(pause.parse().unwrap());
        let (begin, time) = (std::time::Instant::now(), super::seconds(time));
        while begin.elapsed() < time {
            // SAFETY: this process has one thread, so that its child may go on with everything.
            if unsafe { libc::fork() } > 0 {
                std::process::exit(0);
            }
            std::thread::sleep(pause);
        }
    }

    pub fn signal_self(signal: i32) {
        // SAFETY: no pointers.
        unsafe { libc::raise(signal) };
    }

    pub fn detach(command: &mut Command) {
        // SAFETY: setsid is safe between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                Ok(())
            });
        }
    }
}

#[cfg(windows)]
#[allow(unsafe_code)]
mod system {
    use std::os::windows::process::CommandExt;
    use std::path::PathBuf;
    use std::process::Command;

    use windows_sys::Win32::System::Console::{CTRL_C_EVENT, GenerateConsoleCtrlEvent};

    pub fn ignore_requests_to_end() {
        // What a console program does not handle ends it; the tests that need this are for Unix.
    }

    pub fn expect_request_to_end(file: PathBuf) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut asked = runtime.block_on(async { tokio::signal::windows::ctrl_break().unwrap() });
        std::thread::spawn(move || {
            runtime.block_on(asked.recv()).unwrap();
            std::fs::write(file, "").unwrap();
            std::process::exit(0);
        });
    }

    pub fn ctrl_c() {
        // SAFETY: no pointers.
        let sent = unsafe { GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0) };
        assert!(sent != 0, "{}", std::io::Error::last_os_error());
    }

    pub fn crash() {
        // SAFETY: it is not: this is what a broken extension module does.
        unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };
    }

    pub fn signal_self(signal: i32) {
        std::process::exit(signal);
    }

    pub fn detach(command: &mut Command) {
        const DETACHED_PROCESS: u32 = 8;
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
    }
}

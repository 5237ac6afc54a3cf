//! Windows: each script in a job object of its own, whose only handle this process holds. When the handle is closed,
//! also by this process's death, the system ends every process in the job.
//!
//! A script is started suspended and resumed once it is in its job, so that no descendant can be born outside of it.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::mem::size_of;
use std::os::windows::ffi::OsStringExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use windows_sys::Win32::Foundation::{
    ERROR_MORE_DATA, FILETIME, HANDLE, HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE, SetHandleInformation,
};
use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent, GetConsoleCP, GetStdHandle, STD_ERROR_HANDLE, STD_INPUT_HANDLE,
    STD_OUTPUT_HANDLE,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectBasicAccountingInformation,
    JobObjectBasicProcessIdList, JobObjectExtendedLimitInformation, OpenJobObjectW, QueryInformationJobObject,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW, CREATE_SUSPENDED, GetProcessTimes, OpenProcess, OpenThread,
    PROCESS_QUERY_LIMITED_INFORMATION, QueryFullProcessImageNameW, ResumeThread, THREAD_SUSPEND_RESUME,
};

use super::cmd_line::{Started, prepare};
use crate::exec::{Asked, BoxFuture, ChildHandle, Exit, ExitStatus, NoExit, Spawn, SpawnError, Spawned};
use crate::model::{Leaked, Usage};
use crate::plan::SpawnCommand;

/// How long terminated processes are waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Access rights to job objects (`winnt.h`).
const JOB_OBJECT_QUERY: u32 = 4;
const JOB_OBJECT_TERMINATE: u32 = 8;
/// The exit code that terminated processes get.
const TERMINATED: u32 = 1;

/// Starts scripts in job objects.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::exec::os) struct JobSpawner;

impl Spawn for JobSpawner {
    fn spawn<'a>(&'a self, command: &'a SpawnCommand) -> BoxFuture<'a, Result<Spawned, SpawnError>> {
        Box::pin(async move {
            let prepared = prepare(command).map_err(|message| SpawnError { message })?;
            let program = Path::new(prepared.program);
            start(command, &prepared).map_err(|error| SpawnError::explain(program, &command.working_dir, &error))
        })
    }
}

fn start(command: &SpawnCommand, prepared: &Started<'_>) -> io::Result<Spawned> {
    let job = Job::new(&command.marker)?;
    let shares_console = has_console();
    let window = if shares_console { 0 } else { CREATE_NO_WINDOW };
    let mut starting = Command::new(prepared.program);
    starting.args(prepared.args);
    if let Some(tail) = &prepared.tail {
        starting.raw_arg(tail);
    }
    let mut child = starting
        .env_clear()
        .envs(command.environment())
        .current_dir(&command.working_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .creation_flags(CREATE_SUSPENDED | CREATE_NEW_PROCESS_GROUP | window)
        .kill_on_drop(true)
        .spawn()?;
    let missing = || io::Error::other("the process has no pipe");
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let pid = child.id().ok_or_else(missing)?;
    job.assign(child.raw_handle().ok_or_else(missing)? as HANDLE)?;
    let times = open_process(pid);
    resume(pid)?;
    let handle = Box::new(InJob { child, job, pid, shares_console, process: times });
    Ok(Spawned { stdout: Box::new(stdout), stderr: Box::new(stderr), handle })
}

fn has_console() -> bool {
    // SAFETY: no arguments; 0 means that there is no console.
    unsafe { GetConsoleCP() != 0 }
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system has just made this handle for us alone.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn open_process(pid: u32) -> Option<OwnedHandle> {
    // SAFETY: no pointers.
    owned(unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) }).ok()
}

/// Resumes the only thread of a process that was started suspended.
fn resume(pid: u32) -> io::Result<()> {
    // SAFETY: no pointers.
    let snapshot = owned(unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) })?;
    let mut entry = THREADENTRY32 { dwSize: size_of::<THREADENTRY32>() as u32, ..Default::default() };
    // SAFETY: `entry` is live and says its size.
    let mut more = unsafe { Thread32First(snapshot.as_raw_handle(), &raw mut entry) };
    while more != 0 {
        if entry.th32OwnerProcessID == pid {
            // SAFETY: no pointers.
            let thread = owned(unsafe { OpenThread(THREAD_SUSPEND_RESUME, 0, entry.th32ThreadID) })?;
            // SAFETY: the handle is live.
            let before = unsafe { ResumeThread(thread.as_raw_handle()) };
            return if before == u32::MAX { Err(io::Error::last_os_error()) } else { Ok(()) };
        }
        // SAFETY: as above.
        more = unsafe { Thread32Next(snapshot.as_raw_handle(), &raw mut entry) };
    }
    Err(io::Error::other("the started process has no thread"))
}

/// For every session of the machine: a run may be cleared away by another account's session than it was started in.
fn job_name(marker: &str) -> Vec<u16> {
    format!(r"Global\project_runner {marker}").encode_utf16().chain([0]).collect()
}

/// How many processes live in the job that was made with this marker; has them ended if `end`. The job isn't held open
/// any longer than that, since the system ends its processes when nobody does.
pub(in crate::exec) fn remains(marker: &str, end: bool) -> usize {
    let Ok(job) = Job::find(marker) else { return 0 };
    if end {
        // What it couldn't end is still counted at the next look.
        let _ = job.terminate();
    }
    job.living().len()
}

/// Keeps this process's own standard streams from being inherited: on Windows a started program gets every handle that can
/// be, and one that is left to go on would hold them open, so that whoever reads them would wait for it.
pub fn keep_streams_to_itself() {
    for stream in [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE] {
        // SAFETY: no pointers. A stream that isn't there, or is a console that can't be told, is left as it is.
        unsafe { SetHandleInformation(GetStdHandle(stream), HANDLE_FLAG_INHERIT, 0) };
    }
}

/// A job object (Microsoft, "Job Objects").
struct Job(OwnedHandle);

impl Job {
    /// A new one, which is found by the marker as long as somebody holds it open.
    fn new(marker: &str) -> io::Result<Self> {
        let name = job_name(marker);
        // SAFETY: the name ends with a zero and lives through the call; null means: default security.
        let job = Self(owned(unsafe { CreateJobObjectW(std::ptr::null(), name.as_ptr()) })?);
        job.limit(JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE)?;
        Ok(job)
    }

    /// The one that was made with this marker and is still held open.
    fn find(marker: &str) -> io::Result<Self> {
        let name = job_name(marker);
        // SAFETY: the name ends with a zero and lives through the call.
        owned(unsafe { OpenJobObjectW(JOB_OBJECT_QUERY | JOB_OBJECT_TERMINATE, 0, name.as_ptr()) }).map(Self)
    }

    fn limit(&self, flags: JOB_OBJECT_LIMIT) -> io::Result<()> {
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = flags;
        // SAFETY: the structure belongs to the class and lives through the call.
        check(unsafe {
            SetInformationJobObject(
                self.raw(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>() as u32,
            )
        })
    }

    fn raw(&self) -> HANDLE {
        self.0.as_raw_handle()
    }

    fn assign(&self, process: HANDLE) -> io::Result<()> {
        // SAFETY: both handles are live.
        check(unsafe { AssignProcessToJobObject(self.raw(), process) })
    }

    fn terminate(&self) -> io::Result<()> {
        // SAFETY: the handle is live.
        check(unsafe { TerminateJobObject(self.raw(), TERMINATED) })
    }

    /// What the job tells of itself; of a list that is too long for `T`, its beginning.
    fn query<T: Default>(&self, class: i32) -> Option<T> {
        let mut information = T::default();
        // SAFETY: callers name the structure that belongs to the class; it lives through the call.
        let result = unsafe {
            QueryInformationJobObject(
                self.raw(),
                class,
                (&raw mut information).cast(),
                size_of::<T>() as u32,
                std::ptr::null_mut(),
            )
        };
        let is_cut = || io::Error::last_os_error().raw_os_error() == Some(ERROR_MORE_DATA as i32);
        (result != 0 || is_cut()).then_some(information)
    }

    /// Processes in the job that haven't ended.
    fn living(&self) -> Vec<u32> {
        #[repr(C)]
        struct List {
            assigned: u32,
            listed: u32,
            pids: [usize; 1024],
        }
        impl Default for List {
            fn default() -> Self {
                Self { assigned: 0, listed: 0, pids: [0; 1024] }
            }
        }
        let list: List = self.query(JobObjectBasicProcessIdList).unwrap_or_default();
        list.pids.iter().take(list.listed as usize).filter_map(|&pid| u32::try_from(pid).ok()).collect()
    }

    fn usage(&self, process: Option<&OwnedHandle>) -> Usage {
        let accounting: JOBOBJECT_BASIC_ACCOUNTING_INFORMATION =
            self.query(JobObjectBasicAccountingInformation).unwrap_or_default();
        let limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION =
            self.query(JobObjectExtendedLimitInformation).unwrap_or_default();
        // The system counts in units of 100 ns. Where the job's account is empty the process's own is taken.
        let micros = |time: i64| u64::try_from(time / 10).ok();
        let (user, system) = match (accounting.TotalUserTime, accounting.TotalKernelTime) {
            (0, 0) => process.and_then(process_times).unwrap_or((0, 0)),
            times => times,
        };
        Usage {
            cpu_user_us: micros(user),
            cpu_system_us: micros(system),
            peak_memory_bytes: Some(limits.PeakProcessMemoryUsed as u64).filter(|&bytes| bytes > 0),
        }
    }
}

/// User and kernel time of a process, in units of 100 ns.
fn process_times(process: &OwnedHandle) -> Option<(i64, i64)> {
    let mut times = [FILETIME::default(); 4];
    let [created, exited, kernel, user] = &mut times;
    // SAFETY: the handle and the four structures are live.
    let result = unsafe { GetProcessTimes(process.as_raw_handle(), created, exited, kernel, user) };
    let ticks = |time: &FILETIME| (i64::from(time.dwHighDateTime) << 32) | i64::from(time.dwLowDateTime);
    (result != 0).then(|| (ticks(user), ticks(kernel)))
}

/// The program that a process runs; the command lines of other processes can't be read.
fn program_of(pid: u32) -> String {
    let name = open_process(pid).and_then(|process| {
        let mut buffer = [0_u16; 1024];
        let mut length = buffer.len() as u32;
        // SAFETY: the buffer is live and `length` says its size.
        let result =
            unsafe { QueryFullProcessImageNameW(process.as_raw_handle(), 0, buffer.as_mut_ptr(), &raw mut length) };
        (result != 0).then(|| PathBuf::from(OsString::from_wide(&buffer[..length as usize])))
    });
    name.map_or_else(|| "[unknown]".to_owned(), |path| path.display().to_string())
}

struct InJob {
    child: Child,
    job: Job,
    pid: u32,
    shares_console: bool,
    process: Option<OwnedHandle>,
}

impl InJob {
    /// The script's descendants that live. A console's host ends by itself when nobody needs the console any more.
    fn descendants(&self) -> Vec<Leaked> {
        let others = self.job.living().into_iter().filter(|&pid| pid != self.pid);
        let named = others.map(|pid| Leaked { pid, command: program_of(pid), left: false });
        named.filter(|leaked| !is_console_host(&leaked.command)).collect()
    }
}

/// The system starts it for a program that has a console of its own, and it then belongs to that program's job.
fn is_console_host(program: &str) -> bool {
    program.to_ascii_lowercase().ends_with(r"\system32\conhost.exe")
}

impl ChildHandle for InJob {
    fn exited(&mut self) -> BoxFuture<'_, Result<Exit, NoExit>> {
        Box::pin(async move {
            let status = self.child.wait().await?;
            let code = status.code().unwrap_or_default().cast_unsigned();
            let usage = self.job.usage(self.process.as_ref());
            let left_behind = !self.descendants().is_empty();
            Ok(Exit { pid: self.pid, status: ExitStatus::Code(code), elapsed: None, usage, left_behind })
        })
    }

    fn ask(&mut self) -> io::Result<Asked> {
        if !self.shares_console {
            return Ok(Asked::NotPossible);
        }
        // SAFETY: no pointers; the child is the leader of its console process group.
        check(unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, self.pid) })?;
        Ok(Asked::Yes)
    }

    fn kill(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let begin = Instant::now();
            let mut pause = Duration::from_millis(1);
            self.job.terminate()?;
            while !self.job.living().is_empty() {
                if begin.elapsed() > PATIENCE {
                    return Err(io::Error::other("some of them could not be ended"));
                }
                // The system ends them in its own time and has no way to tell when a job is empty but a completion port.
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(20));
            }
            Ok(())
        })
    }

    fn survivors(&mut self) -> BoxFuture<'_, Vec<Leaked>> {
        Box::pin(async move { self.descendants() })
    }

    fn leave(&mut self) -> BoxFuture<'_, io::Result<Vec<Leaked>>> {
        Box::pin(async move {
            self.job.limit(0)?;
            Ok(self.descendants())
        })
    }
}

//! Telling processes apart: when they were created (Microsoft, "GetProcessTimes").
#![allow(unsafe_code)]

use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::time::Duration;

use windows_sys::Win32::Foundation::{FILETIME, HANDLE, STILL_ACTIVE, WAIT_TIMEOUT};
use windows_sys::Win32::System::SystemInformation::{GetSystemTimeAsFileTime, GetTickCount64};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetExitCodeProcess, GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION,
    PROCESS_SYNCHRONIZE, WaitForSingleObject,
};

use super::super::identity::Life;
use crate::model::ProcessIdentity;

/// The system counts time in units of 100 ns.
const UNITS_PER_MS: u64 = 10_000;
/// By how much the machine's start, reckoned from the clock, may be off: the clock may have been set meanwhile.
const SLACK: u64 = 60_000 * UNITS_PER_MS;

fn units(time: FILETIME) -> u64 {
    (u64::from(time.dwHighDateTime) << 32) | u64::from(time.dwLowDateTime)
}

fn created(process: HANDLE) -> Option<u64> {
    let mut times = [FILETIME::default(); 4];
    let [created, exited, kernel, user] = &mut times;
    // SAFETY: the handle and the four structures are live.
    let result = unsafe { GetProcessTimes(process, created, exited, kernel, user) };
    (result != 0).then(|| units(*created))
}

pub(in crate::exec) fn of_this_process() -> ProcessIdentity {
    // SAFETY: no arguments; the pseudo handle needs no closing.
    let this = unsafe { GetCurrentProcess() };
    ProcessIdentity { pid: std::process::id(), started: created(this).unwrap_or_default(), boot: String::new() }
}

pub(in crate::exec) fn up_for() -> Option<Duration> {
    // SAFETY: no arguments.
    Some(Duration::from_millis(unsafe { GetTickCount64() }))
}

pub(in crate::exec) fn life(process: &ProcessIdentity) -> Life {
    let rights = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
    // SAFETY: no pointers.
    let raw = unsafe { OpenProcess(rights, 0, process.pid) };
    if raw.is_null() {
        // It may be another account's, which can't be looked at; its lock then tells.
        let denied = std::io::Error::last_os_error().kind() == std::io::ErrorKind::PermissionDenied;
        return if denied { Life::Lives } else { Life::Gone };
    }
    // SAFETY: the system has just made this handle for us alone.
    let handle = unsafe { OwnedHandle::from_raw_handle(raw) };
    if created(handle.as_raw_handle()) != Some(process.started) {
        return Life::Gone;
    }
    // SAFETY: the handle is live.
    if unsafe { WaitForSingleObject(handle.as_raw_handle(), 0) } != WAIT_TIMEOUT {
        return Life::Gone;
    }
    let mut code = 0;
    // SAFETY: the handle and the number are live.
    let known = unsafe { GetExitCodeProcess(handle.as_raw_handle(), &raw mut code) } != 0;
    if known && code != STILL_ACTIVE.cast_unsigned() { Life::Ending } else { Life::Lives }
}

/// Whether the process began before the machine did.
pub(in crate::exec) fn restarted_since(process: &ProcessIdentity) -> bool {
    let mut now = FILETIME::default();
    // SAFETY: the structure is live.
    unsafe { GetSystemTimeAsFileTime(&raw mut now) };
    // SAFETY: no arguments.
    let up = unsafe { GetTickCount64() } * UNITS_PER_MS;
    process.started.saturating_add(SLACK) < units(now).saturating_sub(up)
}

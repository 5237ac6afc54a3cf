//! A waitable timer on the wall clock ("SetWaitableTimer": an absolute due time follows the system's clock when that is set).
//! It doesn't tell of clocks that were set; a service hears of them from its manager.
#![allow(unsafe_code)]

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use windows_sys::Win32::Foundation::{HANDLE, WAIT_OBJECT_0};
use windows_sys::Win32::System::SystemInformation::GetTickCount64;
use windows_sys::Win32::System::Threading::{
    CancelWaitableTimer, CreateWaitableTimerExW, INFINITE, SetWaitableTimer, TIMER_ALL_ACCESS, WaitForSingleObject,
};
use windows_sys::Win32::System::WindowsProgramming::QueryUnbiasedInterruptTime;

use crate::daemon::os::{Clocks, Rang};

/// From 1601, where Windows begins to count, to 1970, in tenths of microseconds ("FILETIME").
const EPOCH: i128 = 116_444_736_000_000_000;

/// What the clocks say now.
pub(in crate::daemon) fn clocks() -> Clocks {
    let mut tenths = 0;
    // SAFETY: it is written to live memory; the other takes nothing.
    let (_, up) = unsafe { (QueryUnbiasedInterruptTime(&raw mut tenths), GetTickCount64()) };
    Clocks { awake: Duration::from_nanos(tenths.saturating_mul(100)), up: Some(Duration::from_millis(up)) }
}

/// Rings at an instant of the wall clock.
pub(in crate::daemon) struct Alarm {
    timer: Arc<OwnedHandle>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Alarm {
    /// One that isn't set yet. `ring` is called on a thread of the alarm's own, which sleeps in between.
    ///
    /// # Errors
    /// When the system gives no timer or no thread.
    pub(in crate::daemon) fn new(ring: impl Fn(Rang) + Send + 'static) -> io::Result<Self> {
        let timer = Arc::new(timer()?);
        let over = Arc::new(AtomicBool::new(false));
        let (waits_for, ends) = (Arc::clone(&timer), Arc::clone(&over));
        let wait = move || {
            loop {
                // SAFETY: the handle lives as long as this thread has its share of it.
                if unsafe { WaitForSingleObject(waits_for.as_raw_handle(), INFINITE) } != WAIT_OBJECT_0
                    || ends.load(Ordering::Acquire)
                {
                    return;
                }
                ring(Rang::Time);
            }
        };
        let thread = std::thread::Builder::new().name("alarm".into()).spawn(wait)?;
        Ok(Self { timer, over, thread: Some(thread) })
    }

    /// From now on it rings at this instant, once, and no more at one that was set before; `None`: not at all. Always false: it
    /// can't tell whether the clock was set.
    ///
    /// # Errors
    /// When the system refuses, which it has no reason to.
    pub(in crate::daemon) fn set(&self, at: Option<Timestamp>) -> io::Result<bool> {
        let handle: HANDLE = self.timer.as_raw_handle();
        let done = match at {
            // SAFETY: the handle is that of a timer, and open.
            None => unsafe { CancelWaitableTimer(handle) },
            Some(at) => {
                // Zero and what is below would be relative to now. Rounded up: never too early.
                let ticks = (EPOCH + (at.as_nanosecond() + 99).div_euclid(100)).max(1);
                let due = i64::try_from(ticks).unwrap_or(i64::MAX);
                // SAFETY: the handle is that of a timer, and open; `due` lives for the call; no routine is called.
                unsafe { SetWaitableTimer(handle, &raw const due, 0, None, std::ptr::null(), 0) }
            }
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(false) }
    }
}

/// Within the tick of the system's clock, 15 ms. (Those of high resolution aren't documented to follow a clock that is set.)
fn timer() -> io::Result<OwnedHandle> {
    // SAFETY: neither attributes nor a name are given.
    let handle = unsafe { CreateWaitableTimerExW(std::ptr::null(), std::ptr::null(), 0, TIMER_ALL_ACCESS) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nobody else's.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if self.set(Some(Timestamp::UNIX_EPOCH)).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

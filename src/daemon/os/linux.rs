//! Linux: a timer of the kernel's on the wall clock (`man 2 timerfd_create`), which also tells when that clock is set, as it is
//! when the machine wakes up. By rustix: nothing here is unsafe.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime, timerfd_create, timerfd_settime};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::{Clocks, Rang};

/// Far enough away never to come, and near enough for every kernel: the year 2200.
const NEVER: i64 = 7_258_118_400;

/// What the clocks say now.
pub(in crate::daemon) fn clocks() -> Clocks {
    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    Clocks { awake: read(ClockId::Monotonic), up: Some(read(ClockId::Boottime)) }
}

/// Rings at an instant of the wall clock.
pub(in crate::daemon) struct Alarm {
    timer: Arc<OwnedFd>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Alarm {
    /// One that isn't set yet. `ring` is called on a thread of the alarm's own, which sleeps in between.
    ///
    /// # Errors
    /// When the system gives no timer or no thread.
    pub(in crate::daemon) fn new(ring: impl Fn(Rang) + Send + 'static) -> io::Result<Self> {
        let timer = Arc::new(timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC)?);
        let over = Arc::new(AtomicBool::new(false));
        let (waits_for, ends) = (Arc::clone(&timer), Arc::clone(&over));
        let wait = move || {
            let mut count = [0_u8; 8];
            loop {
                let why = match rustix::io::read(&*waits_for, &mut count) {
                    Ok(_) => Rang::Time,
                    Err(Errno::CANCELED) => Rang::ClockSet,
                    Err(Errno::INTR) => continue,
                    Err(_) => return,
                };
                if ends.load(Ordering::Acquire) {
                    return;
                }
                ring(why);
            }
        };
        let mut alarm = Self { timer, over, thread: None };
        // Before the thread reads: a timer that is not set never tells of the clock.
        alarm.arm(NEVER, 0)?;
        alarm.thread = Some(std::thread::Builder::new().name("alarm".into()).spawn(wait)?);
        Ok(alarm)
    }

    /// From now on it rings at this instant, once, and no more at one that was set before; `None`: only when the clock is set.
    /// True if the clock was set since it was last set itself.
    ///
    /// # Errors
    /// When the system refuses, which it has no reason to.
    pub(in crate::daemon) fn set(&self, at: Option<Timestamp>) -> io::Result<bool> {
        // Zero would switch it off.
        let (seconds, nanos) = at.map_or((NEVER, 0), |at| (at.as_second().max(1), at.subsec_nanosecond()));
        self.arm(seconds, nanos)
    }

    fn arm(&self, seconds: i64, nanos: i32) -> io::Result<bool> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        match timerfd_settime(&*self.timer, flags, &Itimerspec { it_interval: zero, it_value: at }) {
            Ok(_) => Ok(false),
            // It is set all the same; the kernel tells here of what the thread has not heard of yet.
            Err(Errno::CANCELED) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if self.arm(1, 0).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

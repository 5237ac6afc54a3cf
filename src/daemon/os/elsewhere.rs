//! Systems without a timer of the kernel's on the wall clock: a thread that looks at the clock at least once a minute.

use std::io;
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Clocks, Rang};

/// How long it sleeps at most: by so much a clock that was set, or a machine that slept, may delay it.
const LONGEST: Duration = Duration::from_secs(60);

/// What the clocks say now: reckoned from the first time that this was asked.
pub(in crate::daemon) fn clocks() -> Clocks {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    Clocks { awake: FIRST.elapsed(), up: None }
}

struct State {
    at: Option<Timestamp>,
    over: bool,
}

/// Rings at an instant of the wall clock.
pub(in crate::daemon) struct Alarm(Arc<(Mutex<State>, Condvar)>);

impl Alarm {
    /// One that isn't set yet. `ring` is called on a thread of the alarm's own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(in crate::daemon) fn new(ring: impl Fn(Rang) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new((Mutex::new(State { at: None, over: false }), Condvar::new()));
        let waits = Arc::clone(&shared);
        let wait = move || {
            let (state, changed) = &*waits;
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            while !state.over {
                let left =
                    state.at.map(|at| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default());
                if left == Some(Duration::ZERO) {
                    state.at = None;
                    drop(state);
                    ring(Rang::Time);
                    state = waits.0.lock().unwrap_or_else(PoisonError::into_inner);
                } else {
                    let pause = left.unwrap_or(LONGEST).min(LONGEST);
                    state = changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        };
        std::thread::Builder::new().name("alarm".into()).spawn(wait)?;
        Ok(Self(shared))
    }

    /// From now on it rings at this instant, once, and no more at one that was set before; `None`: not at all. Always false: it
    /// can't tell whether the clock was set.
    ///
    /// # Errors
    /// None; the other systems have some.
    pub(in crate::daemon) fn set(&self, at: Option<Timestamp>) -> io::Result<bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).at = at;
        self.0.1.notify_one();
        Ok(false)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.0.1.notify_one();
    }
}

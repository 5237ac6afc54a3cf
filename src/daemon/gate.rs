//! A gate for the beginnings of runs. Where many are due at the same time each would begin as late as the last, were they all
//! to share the processors; one after the other only the last ones do.

use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long one waits for others at most: a folder on a network that doesn't answer must not hold up what lies elsewhere.
const PATIENCE: Duration = Duration::from_millis(500);

/// Lets as many through at once as there are processors.
#[derive(Debug)]
pub(super) struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A turn, which ends when it is dropped; without one somebody goes on who has waited long enough.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Gate>>);

impl Gate {
    pub(super) fn new() -> Self {
        // At least two, so that one that waits for a disk leaves the processor to another.
        let width = std::thread::available_parallelism().map_or(2, NonZero::get).max(2);
        Self { free: Mutex::new(width), freed: Condvar::new() }
    }

    /// Waits for a turn.
    pub(super) fn pass(self: &Arc<Self>) -> Turn {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut free, _) =
            self.freed.wait_timeout_while(free, PATIENCE, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        let has_turn = *free > 0;
        *free -= usize::from(has_turn);
        Turn(has_turn.then(|| Arc::clone(self)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            *gate.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            gate.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_turn_goes_on_after_a_while() {
        let gate = Arc::new(Gate::new());
        let width = *gate.free.lock().unwrap();
        let mut turns: Vec<Turn> = (0..width).map(|_| gate.pass()).collect();
        assert!(turns.iter().all(|turn| turn.0.is_some()));
        assert!(gate.pass().0.is_none(), "goes on without a turn");
        turns.pop();
        assert!(gate.pass().0.is_some(), "a turn that ended is the next one's");
        assert_eq!(*gate.free.lock().unwrap(), 1);
    }
}

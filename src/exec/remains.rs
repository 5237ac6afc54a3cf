//! What a runner that died may have left running.

use std::time::Duration;

use super::os;

/// Waits until the processes of a dead run's attempt have ended: whoever owned them does that within moments. What is left
/// when half of the patience is over is ended. `marker` is [`attempt_marker`](crate::plan::attempt_marker)'s. Returns
/// how many are left.
#[must_use]
pub fn end_remains(marker: &str, patience: Duration) -> usize {
    os::end_remains(marker, patience)
}

//! What is left of an attempt whose runner died.

use std::time::{Duration, Instant};

use super::os;

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits for the end of all processes of an attempt whose runner is dead, and returns how many are left after `patience`.
///
/// They are recognised by the attempt's [marker](crate::plan::SpawnCommand::marker); on Linux whatever a dead guardian
/// left in its cgroups is ended along with them. Whoever owned them usually ends them: a guardian within two seconds of the
/// runner's death, Windows at once. When half of the patience is over they are ended here. Blocks.
#[must_use]
pub fn end_remains(marker: &str, patience: Duration) -> usize {
    let begin = Instant::now();
    let mut found_nothing = false;
    loop {
        let waited = begin.elapsed();
        let left = os::remains(marker, waited >= patience / 2);
        // A look isn't made at one moment: what forks and ends meanwhile is missed, but hardly twice.
        if left == 0 && found_nothing || waited >= patience {
            return left;
        }
        found_nothing = left == 0;
        std::thread::sleep(PAUSE.min(patience - waited));
    }
}

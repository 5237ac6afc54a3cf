//! Who owns processes on each system. Everything that differs between systems in this room is below here.

#[cfg(unix)]
mod direct_unix;
pub(super) mod identity;
#[cfg(all(unix, not(target_os = "linux")))]
mod identity_unix;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use direct_unix::DirectSpawner;
#[cfg(all(unix, not(target_os = "linux")))]
use identity_unix as identity_system;
#[cfg(target_os = "linux")]
pub use linux::guardian;
#[cfg(target_os = "linux")]
use linux::identity as identity_system;
#[cfg(windows)]
use windows::JobSpawner as DirectSpawner;
#[cfg(windows)]
use windows::identity as identity_system;

#[cfg(target_os = "linux")]
pub(super) use linux::remains;
#[cfg(windows)]
pub use windows::keep_streams_to_itself;
#[cfg(windows)]
pub(super) use windows::remains;

/// Elsewhere nobody can tell by its marker what a dead runner has left.
#[cfg(not(any(target_os = "linux", windows)))]
pub(super) fn remains(_marker: &str, _end: bool) -> usize {
    0
}

/// The spawner that changes nothing process-wide: what the library uses unless it is told otherwise.
///
/// On Unix each script gets a process group, and its memory isn't measured; on Windows it gets a job object that is
/// ended with the runner.
#[must_use]
pub fn default_spawner() -> std::sync::Arc<dyn super::Spawn> {
    std::sync::Arc::new(DirectSpawner)
}

/// The spawner of a program that is the runner itself: a guardian of this same program, so that a runner that is killed leaves
/// nothing behind; with a sentence if there is none.
#[cfg(target_os = "linux")]
#[must_use]
pub fn owning_spawner() -> (std::sync::Arc<dyn super::Spawn>, Option<String>) {
    match std::env::current_exe().and_then(|program| guardian::Guardian::start(&program)) {
        Ok(guardian) => (std::sync::Arc::new(guardian), None),
        Err(error) => {
            let what = "the scripts run without a guardian, and may outlive a runner that is killed";
            (default_spawner(), Some(format!("{what}: {error}")))
        }
    }
}

/// The spawner of a program that is the runner itself. The system does the guardian's work, as far as it is done; on Windows the
/// process's own streams are kept from its children from now on.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn owning_spawner() -> (std::sync::Arc<dyn super::Spawn>, Option<String>) {
    #[cfg(windows)]
    keep_streams_to_itself();
    (default_spawner(), None)
}

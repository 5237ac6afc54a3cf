//! Effects on processes: starting a script, owning it while it lives, keeping what it prints, ending all of its tree.
//!
//! Nothing here prints, decides whether a script should run, or knows of logs, mails and the state database.

mod attempt;
mod cancel;
mod capture;
mod expect;
mod kept;
mod lock;
mod mask;
mod os;
mod remains;
mod spawn;
mod traceback;

pub use attempt::{AttemptEnd, AttemptObserver, AttemptRequest, Buffers, run_attempt};
pub use cancel::Cancel;
pub use capture::Capture;
pub(crate) use kept::settle_output;
pub use lock::{DeadRun, Held, Holder, LockError, LockRequest, NamedLock, Place, ProjectLock, dead_runs, lives};
pub(crate) use lock::{RecoveryLock, forget};
pub use mask::Masker;
#[cfg(target_os = "linux")]
pub use os::guardian;
pub use os::identity::{host, is_alive, is_gone, of_this_process, restarted_since, up_for};
#[cfg(windows)]
pub use os::keep_streams_to_itself;
pub use os::{default_spawner, owning_spawner};
pub use remains::end_remains;
pub use spawn::{Asked, BoxFuture, ChildHandle, Exit, ExitStatus, NoExit, Spawn, SpawnError, Spawned};

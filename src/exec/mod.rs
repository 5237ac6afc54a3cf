//! Effects on processes: starting a script, owning it while it lives, keeping what it prints, ending all of its tree.
//!
//! Nothing here prints, decides whether a script should run, or knows of logs, mails and the state database.

mod attempt;
mod cancel;
mod capture;
mod lock;
mod os;
mod remains;
mod spawn;
mod traceback;

pub use attempt::{AttemptEnd, AttemptObserver, AttemptRequest, Buffers, run_attempt};
pub use cancel::Cancel;
pub use capture::Capture;
pub use lock::{Holder, LockError, ProjectLock};
pub use os::default_spawner;
#[cfg(target_os = "linux")]
pub use os::guardian;
#[cfg(windows)]
pub use os::keep_streams_to_itself;
pub use remains::end_remains;
pub use spawn::{Asked, BoxFuture, ChildHandle, Exit, ExitStatus, NoExit, Spawn, SpawnError, Spawned};

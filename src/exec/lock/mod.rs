//! Who may run: a project's slots, of which there is one unless its runs may overlap, and named locks that projects
//! share. The system releases a lock when its holder dies, however it dies; a file beside it tells who holds it.

mod file;
mod holder;
mod machine;
mod named;
mod slots;
mod waiting;

#[cfg(test)]
mod tests;

pub use holder::{DeadRun, Holder};
pub use machine::Place;
pub use named::NamedLock;
pub use slots::{LockRequest, ProjectLock, dead_runs, lives};
pub use waiting::{Held, LockError};

pub(crate) use file::RecoveryLock;
pub(crate) use slots::forget;

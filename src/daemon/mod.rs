//! The daemon: starts the runs of projects when their schedules say so, for as long as it lives.
//!
//! One loop that waits for whatever comes first: an instant of the wall clock, a file that changed, a run that began or ended,
//! a word from outside. What is due and what becomes of it, the ledger decides. It prints nothing.

mod clock;
mod control;
mod gate;
mod histories;
mod keeping;
mod listener;
mod loader;
mod look;
mod news;
mod os;
mod post;
mod projects;
mod runs;
mod source;
mod standing;
mod times;
#[cfg(unix)]
mod unit;
mod watch;
mod word;
mod work;

pub use control::{Control, Orders, control};
pub use histories::Histories;
#[cfg(windows)]
pub use os::windows::service::{RESTARTS, SERVICE, ServiceSetup, install_service, serve, uninstall_service};
pub use source::Source;
#[cfg(unix)]
pub use unit::{UNIT, Unit};
pub use word::{Tell, Weight, Word};
pub use work::{DaemonError, DaemonOptions, work};

//! The state database: an index over the runs' `events.jsonl`, which stay the truth. It answers what the run folders
//! could only answer slowly: which projects there are, how their runs went, how long a script usually takes.
//!
//! It stores and finds; it decides nothing about runs, never executes anything, and prints nothing. Whatever is in it
//! can be had again from the run folders ([`import_project`]). WAL, which it uses, needs a local disk.

mod alarms;
mod batch;
mod closing;
mod contacts;
mod digests;
mod durations;
mod enqueue;
mod entry;
mod error;
mod import;
mod inspect;
mod kept;
mod known;
mod location;
mod occurrences;
mod open;
mod os;
mod outbox;
mod past;
mod pauses;
mod presences;
mod query;
mod schedules;
mod schema;
mod senders;
mod settle;
mod write;

#[cfg(test)]
mod fixture_tests;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use alarms::{HeldInstant, MissedInstants, Quiet, ToldMarks, ToldSchedule, WatchedSchedule};
pub use batch::Batch;
pub use closing::{BrokenOff, Death};
pub use digests::Untold;
pub use durations::{Baselines, ScriptStats};
pub use enqueue::NewEntry;
pub use entry::{OutboxKind, OutboxRow, OutboxState, PutOff, RefusedRecipient, Tried};
pub use error::StoreError;
pub use import::{ImportReport, ImportWarning, import_project};
pub(crate) use kept::KEPT_MARKS;
pub use known::remembered_projects;
pub(crate) use known::{KNOWN_FILE as KNOWN_PROJECTS, is_same_folder, known_projects_file, remember_project};
pub use location::{STATE_DIR_VARIABLE, Surroundings, UnknownStateDir, state_dir};
pub use occurrences::{Claimant, OccurrenceRow, OccurrenceState, RunEnded, RunNews};
pub use open::{DATABASE_FILE, OpenOptions, Store};
pub use past::{PastOf, past_runs_in_folders};
pub use presences::DaemonStay;
pub use query::{Counts, FindRunError, Oddities, ProjectRow, RunFilter, RunRow};
pub use schedules::{Keeper, Registered, Registration, ScheduleFilter, ScheduleRow};
pub use schema::SCHEMA_VERSION;
pub use senders::{Hold, HoldKind};
pub use settle::{Fate, Held, Looker, Settled};
pub use write::Durability;

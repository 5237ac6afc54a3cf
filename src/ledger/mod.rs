//! Schedules' runs, from the planned instant to its answer: what the pure rules of `schedule` decide is claimed in the state
//! database, carried out, and answered.
//!
//! It decides nothing about when something is due, and reads no clock but that of files: whoever calls says what time it is.

mod book;
mod carry;
mod claim;
mod engine;
mod fate;

pub use book::{Ledger, Revive};
pub use carry::Told;
pub(crate) use carry::carry_out;
pub use claim::Claim;
pub use engine::{Engine, ScheduledProject};
pub use fate::Judge;

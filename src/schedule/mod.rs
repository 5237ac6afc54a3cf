//! When projects are due: triggers as pure functions over time zones. Reads no clock and no file.

mod answer;
#[cfg(test)]
mod bound_tests;
mod calendar;
mod cron;
mod entry;
mod fields;
mod ledger;
#[cfg(test)]
mod ledger_tests;
mod presence;
mod preview;
#[cfg(test)]
mod scan_tests;
#[cfg(test)]
mod tests;
mod trigger;
#[cfg(test)]
pub(crate) mod walk_tests;
mod zone;

pub use answer::{Answer, Hindrance, SkipCause};
pub use calendar::{CalendarStep, usual_first_day};
pub use cron::{ByField, CronError};
pub use entry::Schedule;
pub use fields::{DayRule, Fields, MonthDays, WeekDays};
pub use ledger::{AT_ONCE, Claimed, Look, PUNCTUAL, Pause, SET_BACK, Settlement, Span, Standing, Timing, latest};
pub use presence::{Presence, Stay};
pub use preview::{ClockChange, Habit, MOST_IN_A_SLOT, Planned, Play, clock_changes, merged, week};
pub use trigger::{Cron, Dst, Trigger, instants, next_after};
pub use zone::{Disturbed, Fold, Gap};

//! Plain data: what a project, a run and its ends are. No input or output happens here.

mod clock;
mod duration;
mod ids;
mod outcome;
mod policy;
mod project;
mod report;
mod size;

pub use clock::{Clock, SystemClock};
pub use duration::{InvalidDuration, format_duration, parse_duration};
pub use ids::RunId;
pub use outcome::{Outcome, RunStatus, SkipReason, signal_name, windows_status_name};
pub use policy::{EmailStrategy, LogRotation, OnFailure, OutputPolicy};
pub use project::{CommonSettings, Interpreter, Project, Script};
pub use report::{Leaked, MailState, OutputSummary, RunReport, ScriptReport, Usage};
pub use size::{InvalidSize, format_size, parse_size};

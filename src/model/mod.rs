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
pub use policy::{
    Backoff, EmailStrategy, Expectation, Freshness, Jitter, LogRotation, MailDelivery, OnFailure, OnLeak, OutputPolicy,
    Overlap, RetryOn, RetryPolicy,
};
pub use project::{CommonSettings, Interpreter, Project, Script};
pub use report::{
    AttachedFile, EarlierAttempt, Following, Leaked, MailState, OutputSummary, Pace, Parent, ProcessIdentity,
    RunReport, ScriptReport, Usage, Usual,
};
pub use size::{InvalidSize, format_size, parse_size};

//! Plain data: what a project, a run and its ends are. No input or output happens here.

mod baseline;
mod clock;
mod contact;
mod duration;
#[cfg(test)]
pub(crate) mod fuzz_tests;
mod ids;
mod likeness;
mod mail;
mod outcome;
mod param_number;
#[cfg(test)]
mod param_tests;
mod param_time;
mod params;
mod past;
mod policy;
mod project;
mod report;
mod secret_text;
mod size;
mod template;
mod web_address;

pub use baseline::{Baseline, LEARNED_FROM, median, percentile_95, suggested_timeout, usual};
pub use clock::{Clock, SystemClock, to_timestamp, to_utc};
pub use contact::Contact;
pub use duration::{InvalidDuration, format_duration, parse_duration};
pub use ids::RunId;
pub use likeness::did_you_mean;
pub use mail::{
    AttachOutput, EmailStrategy, Language, MailDelivery, MailOptions, Pings, WEBHOOK_PLACEHOLDERS, Webhook,
};
pub use outcome::{Outcome, RunStatus, SkipReason, signal_name, windows_status_name};
pub use param_time::{Day, Time};
pub use params::{
    BadValue, Param, ParamSource, ParamType, ParamValue, RunParam, param_variable, quoted_text, value_text,
};
pub(crate) use past::end_of;
pub use past::{PAST_RUNS, PAST_RUNS_ENOUGH, PAST_WORDS, PastByScript, PastRun, PastScript, Streak};
pub use policy::{
    Backoff, Expectation, Freshness, Jitter, LogRotation, OnFailure, OnLeak, OutputPolicy, Overlap, RetryOn,
    RetryPolicy,
};
pub use project::{CommonSettings, Interpreter, Project, Script, logs_dir, runs_dir};
pub use report::{
    AttachedFile, EarlierAttempt, Following, Leaked, MailState, Occasion, OutputSummary, Pace, Parent, ProcessIdentity,
    RunReport, ScriptReport, Usage, Usual,
};
pub use secret_text::{is_secret_name, passwords_within, without_passwords};
pub use size::{InvalidSize, format_size, parse_size};
pub use template::{LoneBrace, Piece, fill, is_param_name, pieces};
pub use web_address::{InvalidAddress, is_readable_on_the_way, resolve_address, shown_address};

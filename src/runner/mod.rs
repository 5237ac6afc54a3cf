//! The runner: wires the rooms together for one run of one project.
//!
//! Plan, lock, then one script after the other, each thing that happens becoming an event that all sinks get. What a
//! sink can't do becomes a warning of the run and never its failure.

mod alarm;
mod digest;
mod facade;
mod files;
mod locking;
mod mailing;
mod options;
mod os;
mod pace;
mod planning;
mod posting;
mod recorder;
mod recording;
mod recovery;
mod run;
mod script;
mod settings_file;

pub(crate) use alarm::{
    AGAIN, About, AlarmRequest, FindProject, Known, News, Overdue, is_here, load_as_it_is, news_in_words, overdue,
    raise_alarms, send_alarms, standing_alarm,
};
pub(crate) use digest::queue_due_digests;
pub use facade::Runner;
pub use options::{History, MailDelivery, RunError, RunOptions, RunOutput, ScriptResult};
pub(crate) use options::{Notice, Tell};
pub(crate) use planning::{When, inputs, plan};
pub(crate) use recording::{lives_or_record, never_began};
pub(crate) use recovery::recover_others;
pub(crate) use script::output_name;

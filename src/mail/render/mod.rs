//! The summary of a run as subject, plain text and HTML: a pure function of its report, so that it can be rebuilt from
//! the run's events at any time. Knows nothing of senders, servers or files.

mod alarm;
mod clean;
mod digest;
mod facts;
mod history;
mod page;
mod verdict;
mod view;
mod words;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use alarm::{Alarm, Missing, Trouble, render_alarm};
pub(crate) use clean::{lines, one_line, tail};
pub use view::{RenderContext, Rendered, render};

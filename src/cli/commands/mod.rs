//! What the verbs do, one a file. They take plain requests and write to whatever they are given; they read no arguments
//! and end no process.

mod error;
mod history;
mod list;
mod logs;
mod show;
mod table;
mod view;

#[cfg(test)]
mod tests;

pub use error::CommandError;
pub use history::{HistoryRequest, history};
pub use list::list;
pub use logs::{LogsRequest, logs};
pub use show::{ShowRequest, load_report, show};
pub use view::View;

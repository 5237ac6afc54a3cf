//! One verb, one file. The verbs that read the state database take plain requests and write to whatever they are given;
//! `reading` opens the database for them and brings it up to date.

pub(super) mod check;
pub(super) mod daemon;
mod delivery;
pub(super) mod doctor;
mod error;
pub(super) mod follow;
pub(super) mod generate;
mod history;
pub(super) mod init;
mod kept_output;
mod list;
mod logs;
pub(super) mod mail;
mod params;
pub(super) mod reading;
pub(super) mod run;
pub(super) mod schedule;
mod show;
mod state_dir;
mod stats;
mod table;
mod view;

#[cfg(test)]
mod tests;

use error::CommandError;
pub(super) use state_dir::StateDir;
use view::View;

//! `runner schedule …`: one verb, one file.

mod chart;
mod clerk;
mod entries;
mod history;
mod install;
mod pausing;
mod preview;
pub(super) mod scheduled;
mod status;
mod uninstall;
mod verbs;

pub(super) use scheduled::Wanted;
pub(in crate::cli) use verbs::schedule;

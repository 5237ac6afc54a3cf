//! `runner schedule …`: one verb, one file.

mod chart;
mod entries;
mod install;
mod preview;
mod status;
mod uninstall;
mod verbs;

pub(in crate::cli) use verbs::schedule;

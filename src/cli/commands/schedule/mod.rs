//! `runner schedule …`: one verb, one file.

mod chart;
mod preview;
mod verbs;

pub(in crate::cli) use verbs::schedule;

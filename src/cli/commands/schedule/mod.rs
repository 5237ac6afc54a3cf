//! `runner schedule …`: one verb, one file.

mod preview;
mod verbs;

pub(in crate::cli) use verbs::schedule;

//! `runner mail …`: one verb, one file.

mod flush;
mod preview;
mod status;
mod verbs;

pub(in crate::cli) use verbs::mail;

//! `runner mail …`: one verb, one file.

mod flush;
mod status;
mod verbs;

pub(in crate::cli) use verbs::mail;

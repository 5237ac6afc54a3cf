//! `runner mail …`: one verb, one file.

mod flush;
mod status;
mod login;
mod verbs;

pub(in crate::cli) use verbs::mail;

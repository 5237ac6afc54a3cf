//! `runner mail …`: one verb, one file.

mod flush;
mod login;
mod preview;
mod status;
mod test;
mod verbs;

pub(in crate::cli) use verbs::mail;

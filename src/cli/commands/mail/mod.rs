//! `runner mail …`: one verb, one file.

mod flush;
mod login;
mod status;
mod test;
mod verbs;

pub(in crate::cli) use verbs::mail;

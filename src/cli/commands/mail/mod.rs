//! `runner mail …`: one verb, one file.

mod login;
mod verbs;

pub(in crate::cli) use verbs::mail;

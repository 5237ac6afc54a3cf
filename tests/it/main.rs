//! Tests from outside: real processes, real files, a real mail server.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod architecture;
mod config;
mod documents;
mod examples;
mod follow;
mod generated;
mod harness;
mod history;
mod library;
mod mail;
mod overlap;
mod python;
mod recovery;
mod run;
mod smtp_server;
mod trouble;
#[cfg(windows)]
mod windows;

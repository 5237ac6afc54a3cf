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
mod context;
mod doctor;
mod documents;
mod examples;
mod expect;
mod follow;
mod generated;
mod harness;
mod history;
mod leaks;
mod library;
mod mail;
mod message;
mod overlap;
mod preview;
mod python;
mod recovery;
mod retries;
mod run;
mod secrets;
mod smtp_server;
mod stats;
mod trouble;
mod web;
mod web_server;
#[cfg(windows)]
mod windows;

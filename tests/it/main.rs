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

mod alarm;
mod architecture;
mod backlog;
mod broken;
mod browser;
mod changes;
mod config;
mod context;
mod courier;
mod daemon;
mod daemons;
mod doctor;
mod documents;
mod examples;
mod expect;
mod follow;
mod generated;
mod harness;
mod history;
#[cfg(unix)] // its stand-ins are shell scripts
mod host_entries;
#[cfg(unix)] // it starts what cron and systemd start
mod host_runs;
#[cfg(windows)] // it registers tasks in Windows' own scheduler
mod host_tasks;
mod init;
mod inputs;
mod inputs_followed;
mod leaks;
mod letters;
mod library;
#[cfg(unix)] // Links to folders take a privilege on Windows.
mod linked;
mod listener;
mod mail;
mod mail_lab;
mod max_runs;
mod message;
mod oracles;
mod outbox;
mod overlap;
mod post_office;
mod preview;
mod python;
mod real_server;
mod recovery;
mod retries;
mod round_trip;
mod run;
mod schedule_preview;
mod scheduled;
mod secrets;
mod settings;
mod sign_in;
mod simulated;
mod smtp;
mod smtp_server;
mod stats;
mod token_server;
mod trial;
mod trouble;
mod waiting;
mod web;
mod web_server;
#[cfg(windows)]
mod windows;

//! Runs folders of scripts unattended, and tells how they went: in a log, in a history, and by mail.
//!
//! A folder with an `exec_config.json` is a *project*. A run takes its scripts in order, each through the interpreter
//! that the file names, times them, keeps what they print, and records each end. The `runner` command is made of this
//! library; whatever it does, a program can do too.
//!
//! # Running a project
//!
//! [`load_config`] reads the project file, with all that lies under and over it, and either gives a checked
//! [`Project`](model::Project) or every problem at once. [`Runner::run`] runs it to its end. A script that fails is a
//! result, not an error.
//!
//! ```
//! use project_runner::{History, MailDelivery, RunOptions, Runner, load_config};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let state = folder.path().join("state");
//! # let folder = folder.path();
//! # let (python, name, text) = if cfg!(windows) {
//! #     (serde_json::json!(["cmd", "/d", "/c"]), "hello.cmd", "@echo hello\r\n")
//! # } else {
//! #     (serde_json::json!("sh"), "hello.sh", "echo hello\n")
//! # };
//! # std::fs::write(folder.join(name), text)?;
//! # let config = serde_json::json!({
//! #     "scripts": [name], "python_command": python, "recipients": [], "email_strategy": "none",
//! #     "include_traceback": true, "logs_backup_count": 4,
//! # });
//! # std::fs::write(folder.join("exec_config.json"), config.to_string())?;
//! let project = load_config(folder)?;
//! let options = RunOptions {
//!     mail: MailDelivery::Off,
//!     history: History::Dir(state), // the default is the history that `runner history` shows
//!     ..RunOptions::default()
//! };
//! let run = Runner::new(project).run(options)?;
//! for result in &run.results {
//!     println!("{}: {}, {:.2} minutes", result.script, result.success, result.execution_time);
//!     if let Some(traceback) = &result.traceback {
//!         println!("{traceback}");
//!     }
//! }
//! # assert!(run.results[0].success && run.results.len() == 1);
//! # Ok(())
//! # }
//! ```
//!
//! [`RunOutput::results`] has the four fields above for each script that was tried; [`RunOutput::report`] has all that is
//! known: how each script ended, what it used, what became of the mail.
//!
//! [`Runner::run`] blocks, and may be called from anywhere, also inside an asynchronous runtime;
//! [`Runner::run_async`] is there to be awaited, in any runtime.
//!
//! # Listening and interrupting
//!
//! Everything that happens is a [`RunEvent`](event::RunEvent). Give the run an [`EventSink`](event::EventSink) of your
//! own in [`RunOptions::sinks`] and it gets each of them, and the scripts' output, as they come. The same events are in
//! the run's folder; [`event::replay`] makes the report of them again.
//!
//! A [`Cancel`](exec::Cancel) in [`RunOptions::cancel`] interrupts the run from another thread: the running script and
//! all that it started are ended, and the run is recorded as interrupted.
//!
//! # What it leaves alone
//!
//! The process it runs in: no signal handler, no variable of the environment, no working folder, no subscriber of
//! `tracing` is changed. The price is that scripts outlive a program that is killed with SIGKILL on Linux; the `runner`
//! command has a guardian process that prevents that.
//!
//! # Where to look
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`model`] | plain data: projects, outcomes, reports |
//! | [`config`] | project files, their layers and their problems; every environment variable is in [`config::env_vars`] |
//! | [`plan`] | what would be run, and how |
//! | [`exec`] | processes: who starts, owns and ends them |
//! | [`event`] | what happens, who listens, the report |
//! | [`sink`] | listeners: the log and its rotation, the run's folder, the history |
//! | [`store`] | the state database |
//! | [`mail`] | the summary: strategy, text, delivery |
//! | [`outbox`] | mails, pings and chats on their way: kept until they are delivered |
//! | [`ledger`] | the answers to planned instants: which is to run, and what became of it |
//! | [`schedule`] | when something is due: cron expressions and other triggers, in time zones |
//! | [`host`] | entries for Task Scheduler, systemd and cron |
//! | [`doctor`] | whether the machine and a project are fit to run unattended |
//! | [`cli`] | the `runner` command |
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod cli;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod event;
pub mod exec;
pub mod host;
pub mod ledger;
pub mod mail;
pub mod model;
pub mod outbox;
pub mod plan;
pub mod runner;
pub mod schedule;
pub mod sink;
pub mod store;

pub use config::load_config;
pub use runner::{History, MailDelivery, RunError, RunOptions, RunOutput, Runner, ScriptResult};

/// So that the example of the README is compiled with those of the crate.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

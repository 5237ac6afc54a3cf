//! Runs folders of scripts unattended, and tells how they went: in a log, in a history, and by mail.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod cli;
pub mod config;
pub mod event;
pub mod exec;
pub mod mail;
pub mod model;
pub mod plan;
pub mod sink;
pub mod store;

//! What the runner costs, measured against the same work without it: `cargo bench`, or `cargo bench -- one output` for
//! some of the four parts (`many`, `one`, `output`, `large`).
//!
//! Each figure is taken beside its floor, in turns, in the same process, so that a busy machine disturbs both alike.
//! Memory is read in turns of its own, because reading it costs time. A missed target is printed and is no error.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

#[cfg(target_os = "linux")]
mod lanes;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod parts;

use std::process::ExitCode;

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("the benchmark reads /proc and compares with sh and xargs: it runs on Linux only");
    ExitCode::SUCCESS
}

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let (flags, chosen): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.starts_with('-'));
    // `cargo test --benches` starts this program too, without the flag that `cargo bench` adds.
    if !flags.iter().any(|flag| flag == "--bench") {
        println!("run it by `cargo bench`: unoptimised figures would mean nothing");
        return ExitCode::SUCCESS;
    }
    match parts::run(&chosen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benchmark: {error}");
            ExitCode::FAILURE
        }
    }
}

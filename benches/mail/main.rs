//! What it costs to mail: a thousand letters over one connection, by the courier, out of the outbox, and by Python's smtplib, to
//! the same server in the same run: `cargo bench --bench mail`.
//!
//! Each sends from a process of its own, in turns, so that a busy machine disturbs both alike, and tells how long it took from the
//! first byte to the last answer, and the peak of its memory. A missed target is printed and is no error.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr)]

#[cfg(target_os = "linux")]
mod courier;
#[cfg(target_os = "linux")]
mod lanes;
#[cfg(target_os = "linux")]
mod outbox;
// The tests' server, of which this program uses a part.
#[cfg(target_os = "linux")]
#[allow(dead_code, unreachable_pub, clippy::unwrap_used)]
#[path = "../../tests/it/listener.rs"]
mod listener;
#[cfg(target_os = "linux")]
#[allow(dead_code, unreachable_pub, clippy::unwrap_used)]
#[path = "../../tests/it/smtp_server.rs"]
mod smtp_server;

use std::process::ExitCode;

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("the benchmark reads /proc: it runs on Linux only");
    ExitCode::SUCCESS
}

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.as_slice() {
        [drain, state] if drain == lanes::DRAIN => outbox::drain(state.as_ref()),
        [send, port, ca, letter, count] if send == lanes::SEND => courier::send(port, ca, letter, count),
        // `cargo test --benches` starts this program too, without the flag that `cargo bench` adds.
        flags if !flags.iter().any(|flag| flag == "--bench") => {
            println!("run it by `cargo bench`: unoptimised figures would mean nothing");
            Ok(())
        }
        _ => lanes::compare(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benchmark: {error}");
            ExitCode::FAILURE
        }
    }
}

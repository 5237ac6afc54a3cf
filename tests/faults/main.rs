//! What becomes of runs when everything around them goes wrong: real runners are killed at random instants, disks are full,
//! the database is locked, the clock jumps. What was done and looked at is counted and printed.
//!
//! `cargo test --test faults` takes the short form, `cargo test --release --test faults -- --long` the long one. Names
//! choose parts, as in `-- kills race`, and `--seed N` takes the random instants of an earlier time.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod audit;
mod clock;
mod database;
mod dice;
mod disk;
mod flood;
mod guardian;
#[allow(dead_code)]
#[path = "../it/harness.rs"]
mod harness;
mod kills;
mod mail;
mod namespace;
#[allow(dead_code)]
#[path = "../it/post_office.rs"]
mod post_office;
mod race;
mod read_only;
mod remains;
mod scene;
mod tally;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use dice::Dice;
use tally::Tally;

/// What a part is given.
pub struct Faults {
    /// More of everything, and the large outputs.
    pub long: bool,
    /// Where its random numbers begin.
    pub seed: u64,
    /// What it does and finds is told to this.
    pub tally: Tally,
}

impl Faults {
    /// The random numbers of one lane of the part.
    pub fn dice(&self, lane: u64) -> Dice {
        Dice::new(self.seed ^ (lane << 48))
    }

    /// Does so many things in each lane, lanes side by side, each with dice of its own; `scene` does some of them, of which a
    /// new folder takes no more than `in_a_scene`.
    pub fn in_lanes(&self, lanes: u64, each: usize, in_a_scene: usize, scene: fn(&Self, &mut Dice, usize)) {
        std::thread::scope(|scope| {
            for lane in 0..lanes {
                scope.spawn(move || {
                    let mut dice = self.dice(lane);
                    let mut left = each;
                    while left > 0 {
                        let now = left.min(in_a_scene);
                        scene(self, &mut dice, now);
                        left -= now;
                    }
                });
            }
        });
    }

    /// One number for the short form, another for the long one.
    pub fn of<T>(&self, short: T, long: T) -> T {
        if self.long { long } else { short }
    }
}

/// A part's name, and what it does.
type Part = (&'static str, fn(&Faults));

/// First those that mostly wait, since several are taken side by side.
const PARTS: &[Part] = &[
    ("database", database::database),
    ("kills", kills::kills),
    ("mail", mail::mail),
    ("guardian", guardian::guardian),
    ("both", guardian::both),
    ("term", guardian::term),
    ("disk", disk::disk),
    ("read-only", read_only::read_only),
    ("clock", clock::clock),
    ("race", race::race),
    ("flood", flood::flood),
];

/// Those that mount file systems.
const MOUNTING: &[&str] = &["disk", "read-only"];

/// Parts taken side by side: they wait more than they work.
const LANES: usize = 3;

/// What the command line says. Whatever else `cargo test` hands to every test program is passed over.
#[derive(Default)]
struct Args {
    long: bool,
    list: bool,
    seed: Option<u64>,
    parts: Vec<String>,
}

fn args() -> Args {
    let mut found = Args::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--long" => found.long = true,
            "--list" => found.list = true,
            "--seed" => found.seed = words.next().and_then(|seed| seed.parse().ok()),
            "--test-threads" | "--color" | "--format" | "--skip" => drop(words.next()),
            flag if flag.starts_with('-') => {}
            // The databases' part was looked for under what happens to them, too.
            "locked" => found.parts.push("database".to_owned()),
            part => found.parts.push(part.to_owned()),
        }
    }
    found
}

fn main() -> ExitCode {
    let args = args();
    let chosen = |name: &str| args.parts.is_empty() || args.parts.iter().any(|part| name.contains(part.as_str()));
    let parts: Vec<&Part> = PARTS.iter().filter(|(name, _)| chosen(name)).collect();
    if args.list {
        parts.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if parts.is_empty() {
        return ExitCode::SUCCESS;
    }
    let seed = args.seed.unwrap_or_else(dice::fresh_seed);
    let form = if args.long { "long" } else { "short" };
    if !namespace::is_inside() {
        println!("\nfaults, {form} form; --seed {seed} takes the same random instants again");
    }
    // The subject is made now if it has to be, and not by several parts at once.
    harness::subject();
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..LANES.min(parts.len()) {
            scope.spawn(|| {
                while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !take(part, &args, seed) {
                        failed.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    if failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Takes one part; whether nothing failed.
fn take((name, part): &Part, args: &Args, seed: u64) -> bool {
    let of_its_own = name.bytes().fold(seed, |seed, byte| seed.rotate_left(8) ^ u64::from(byte));
    let faults = Faults { long: args.long, seed: of_its_own, tally: Tally::default() };
    let begin = Instant::now();
    if MOUNTING.contains(name) && !namespace::is_inside() {
        match namespace::hand_over(name, args.long, seed) {
            Ok(holds) => return holds,
            Err(why) => faults.tally.skip(why),
        }
        return faults.tally.print(name, begin.elapsed());
    }
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| part(&faults))) {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        faults.tally.fail(words.unwrap_or_else(|| "it panicked".to_owned()));
    }
    faults.tally.print(name, begin.elapsed())
}

//! What a part did and found, counted, and printed at its end.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

/// Failures that are printed; beyond them only their number is.
const SHOWN: usize = 12;

/// Filled from several threads.
#[derive(Default)]
pub struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// In the order in which they were first counted.
    counts: Vec<(&'static str, u64)>,
    notes: Vec<String>,
    longest: Vec<(&'static str, Duration)>,
    skipped: BTreeSet<String>,
    failures: Vec<String>,
}

impl Tally {
    fn with<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Counts so many more of `what`.
    pub fn count(&self, what: &'static str, more: usize) {
        self.with(|all| match all.counts.iter_mut().find(|(known, _)| *known == what) {
            Some((_, count)) => *count += more as u64,
            None => all.counts.push((what, more as u64)),
        });
    }

    /// Remembers the longest of the times for `what`.
    pub fn time(&self, what: &'static str, time: Duration) {
        self.with(|all| match all.longest.iter_mut().find(|(known, _)| *known == what) {
            Some((_, longest)) => *longest = time.max(*longest),
            None => all.longest.push((what, time)),
        });
    }

    /// Something to be told beside the counts.
    pub fn note(&self, text: String) {
        self.with(|all| all.notes.push(text));
    }

    /// Something that could not be done here, and why.
    pub fn skip(&self, why: impl Into<String>) {
        self.with(|all| all.skipped.insert(why.into()));
    }

    /// Something that does not hold.
    pub fn fail(&self, what: impl Into<String>) {
        self.with(|all| all.failures.push(what.into()));
    }

    /// Counts a check, and fails the part if it does not hold.
    pub fn check(&self, holds: bool, what: impl FnOnce() -> String) {
        self.count("checks", 1);
        if !holds {
            self.fail(what());
        }
    }

    pub fn failed(&self) -> bool {
        self.with(|all| !all.failures.is_empty())
    }

    /// Prints everything; whether nothing failed.
    pub fn print(&self, part: &str, took: Duration) -> bool {
        self.with(|all| {
            let counts = all.counts.iter().map(|(what, count)| format!("{count} {what}"));
            let times = all.longest.iter().map(|(what, time)| format!("{what} at most {} ms", time.as_millis()));
            let told: Vec<String> = counts.chain(times).chain(all.notes.iter().cloned()).collect();
            let verdict = if all.failures.is_empty() { "ok" } else { "FAILED" };
            let mut text = format!("{part}: {verdict} in {:.1} s: {}\n", took.as_secs_f64(), told.join(", "));
            for why in &all.skipped {
                text += &format!("    skipped: {why}\n");
            }
            for failure in all.failures.iter().take(SHOWN) {
                text += &format!("    failed: {}\n", failure.trim_end().replace('\n', "\n        "));
            }
            if all.failures.len() > SHOWN {
                text += &format!("    failed: {} more\n", all.failures.len() - SHOWN);
            }
            // At once, since other parts print too.
            print!("{text}");
            all.failures.is_empty()
        })
    }
}

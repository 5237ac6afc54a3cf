//! English.

use chrono::{DateTime, FixedOffset};

use super::dates::{Distance, Names, distance, exact_time, time_of_day};
use super::phrases::{Change, Digested, Headline, Item, Kind, Phrases, Planned, Wanted, Word};
use crate::model::Following;
use crate::schedule::Hindrance;

pub(super) struct English;

const NAMES: Names = Names {
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    short_months: ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"],
    days: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    short_days: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
};

/// `1 failure`, `3 failures`.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `1st`, `2nd`, `3rd`, `11th`.
fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (1, n) if n != 11 => "st",
        (2, n) if n != 12 => "nd",
        (3, n) if n != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

impl Phrases for English {
    fn code(&self) -> &'static str {
        "en"
    }
    fn fonts(&self) -> &'static str {
        "Segoe UI,Arial,sans-serif"
    }
    fn mono_fonts(&self) -> &'static str {
        "Consolas,Courier New,monospace"
    }
    fn stop(&self) -> &'static str {
        "."
    }
    fn space(&self) -> &'static str {
        " "
    }
    fn comma(&self) -> &'static str {
        ", "
    }
    fn colon(&self) -> &'static str {
        ": "
    }

    fn word(&self, word: Word) -> &'static str {
        match word {
            Word::Succeeded => "succeeded",
            Word::Failed => "failed",
            Word::TimedOut => "timed out",
            Word::NotStarted => "not started",
            Word::NotRun => "not run",
            Word::Interrupted => "interrupted",
            Word::Unfinished => "unfinished",
            Word::Missed => "missed",
            Word::Overdue => "overdue",
            Word::Scripts => "Scripts",
            Word::PlannedFor => "Planned for",
            Word::Inputs => "Inputs",
            Word::Started => "Started",
            Word::Ended => "Ended",
            Word::Duration => "Duration",
            Word::Host => "Host",
            Word::Project => "Project",
            Word::Log => "Log",
            Word::RunFolder => "Run folder",
            Word::Run => "Run",
            Word::Runner => "Runner",
            Word::NextRun => "Next run",
            Word::Noticed => "Noticed",
            Word::NoScripts => "none",
            Word::NotYet => "not yet",
            Word::Warnings => "Warnings",
            Word::LeftProcesses => "Processes that outlived their script",
            Word::Files => "Files of this run",
            Word::LatestRun => "Latest run",
            Word::ThisRun => "this run",
            Word::OldestFirst => "oldest first",
            Word::WholeOutput => "Whole output",
            Word::NeverRan => "It never ran.",
            Word::PrintedNothing => "It printed nothing.",
            Word::PrintedNoError => "It printed no error.",
            Word::RunReport => "run report",
            Word::Digest => "daily summary",
        }
    }

    fn count(&self, kind: Kind, count: usize) -> String {
        let word = match kind {
            Kind::Succeeded => "succeeded",
            Kind::Failed => "failed",
            Kind::Interrupted => "interrupted",
            Kind::NotRun => "not run",
        };
        format!("{count} {word}")
    }

    fn list(&self, members: &[String], more: usize) -> String {
        match (members, more) {
            ([most @ .., last], 0) if !most.is_empty() => format!("{} and {last}", most.join(", ")),
            (members, 0) => members.join(", "),
            (members, more) => format!("{} and {more} more", members.join(", ")),
        }
    }

    fn headline(&self, headline: &Headline) -> String {
        match headline {
            Headline::NoScripts => "there was no script to run".to_owned(),
            Headline::OneSucceeded { name } => format!("{name} succeeded"),
            Headline::OneFailed { name } => format!("{name} failed"),
            Headline::AllSucceeded { total } => format!("all {total} scripts succeeded"),
            Headline::SomeSucceeded { succeeded, total } if total - succeeded == 1 => {
                format!("{succeeded} of {total} scripts succeeded, the other was not run")
            }
            Headline::SomeSucceeded { succeeded, total } => {
                format!("{succeeded} of {total} scripts succeeded, the others were not run")
            }
            Headline::AllFailed { total } => format!("all {total} scripts failed"),
            Headline::SomeFailed { failed, total, not_run: 0 } => format!("{failed} of {total} scripts failed"),
            Headline::SomeFailed { failed, total, not_run } => {
                format!("{failed} of {total} scripts failed, {not_run} not run")
            }
            Headline::Interrupted { done, total, failed } => {
                let scripts = if *total == 1 { "script" } else { "scripts" };
                let failed = if *failed > 0 { format!(", {failed} failed") } else { String::new() };
                format!("interrupted after {done} of {total} {scripts}{failed}")
            }
            Headline::Missing { missed: 0, overdue: 1 } => "a planned run is overdue".to_owned(),
            Headline::Missing { missed: 0, overdue } => format!("{overdue} planned runs are overdue"),
            Headline::Missing { missed, overdue } => {
                let missed = match missed {
                    1 => "a planned run was missed".to_owned(),
                    missed => format!("{missed} planned runs were missed"),
                };
                match overdue {
                    0 => missed,
                    1 => format!("{missed}, another is overdue"),
                    overdue => format!("{missed}, {overdue} others are overdue"),
                }
            }
            Headline::Runs { failed, total, since } => {
                let since = since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
                match (failed, total) {
                    (0, 1) => format!("the only run{since} succeeded"),
                    (_, 1) => format!("the only run{since} failed"),
                    (0, total) => format!("all {total} runs{since} succeeded"),
                    (failed, total) if failed == total => format!("all {total} runs{since} failed"),
                    (failed, total) => format!("{failed} of {total} runs{since} failed"),
                }
            }
        }
    }

    fn change(&self, change: &Change) -> String {
        match change {
            Change::Failed { names, after: Some(successes), .. } => {
                format!("First failure of {names} after {}.", counted(*successes, "success", "successes"))
            }
            Change::Failed { names, .. } => format!("First failure of {names}."),
            Change::StillFails { names, since: Some((Some(times), since)), .. } => {
                format!("{names} is still failing, since {since}, for the {} time.", ordinal(*times))
            }
            Change::StillFails { names, since: Some((None, since)), .. } => {
                format!("{names} is still failing, at least since {since}.")
            }
            Change::StillFails { names, count: 1, .. } => format!("{names} is still failing."),
            Change::StillFails { names, .. } => format!("{names} are still failing."),
            Change::Recovered { names, after: Some(failures), .. } => {
                format!("{names} works again after {}.", counted(*failures, "failure", "failures"))
            }
            Change::Recovered { names, count: 1, .. } => format!("{names} works again."),
            Change::Recovered { names, .. } => format!("{names} work again."),
        }
    }

    fn planned(&self, planned: &Planned) -> String {
        match planned {
            Planned::Late { by, why } => format!("The run began {by} late: {}.", self.hindrance(*why)),
            Planned::Merged { count: 1, first } => format!("This run stands for one more planned time, {first}."),
            Planned::Merged { count, first } => {
                format!("This run stands for {count} more planned times, from {first} on.")
            }
            Planned::Missed { count: 1, first } => format!("One planned time before it was missed, {first}."),
            Planned::Missed { count, first } => {
                format!("{count} planned times before it were missed, from {first} on.")
            }
        }
    }
    fn numbered_schedule(&self, number: &str) -> String {
        format!("schedule {number}")
    }
    fn hindrance(&self, why: Hindrance) -> &'static str {
        why.reason()
    }

    fn digested(&self, digested: &Digested) -> String {
        let Digested { name, failed, runs, fails } = digested;
        match (runs, fails) {
            (1, true) => format!("{name} failed."),
            (runs, true) => format!("{name} failed in {failed} of {runs} runs, the last time too."),
            (runs, false) => format!("{name} failed in {failed} of {runs} runs and works again."),
        }
    }

    fn wanted(&self, wanted: &Wanted) -> String {
        match wanted {
            Wanted::Mend { why } => match why {
                Hindrance::MachineOff | Hindrance::MachineAsleep => {
                    "If the work is still needed, `runner run` does it now."
                }
                Hindrance::DaemonOff => "Please see why `runner daemon` is not running.",
                Hindrance::HostIdle => {
                    "Please see why the system’s scheduler does not start it; `runner schedule status` shows its entries."
                }
                Hindrance::Busy => "Please see what it has to wait for; `runner history` shows what ran.",
                Hindrance::CouldNotRun => "Please see what keeps it from being run; `runner check` says what is wrong.",
                Hindrance::ClockSet => "Please check the machine’s clock.",
                Hindrance::RunnerEnded => "Please see what ended the runner before it began the run.",
            }
            .to_owned(),
            Wanted::Nothing => "Nothing to do.".to_owned(),
            Wanted::ReadWarnings => "The scripts are fine, but please read the warnings below.".to_owned(),
            Wanted::WorthALook { list, warnings: false } => format!("Worth a look: {list}."),
            Wanted::WorthALook { list, warnings: true } => {
                format!("Worth a look: {list}. Please read the warnings below, too.")
            }
            Wanted::LookAt { list, not_run: 0 } => format!("Please look at {list}."),
            Wanted::LookAt { list, not_run: 1 } => {
                format!("Please look at {list}. One script was not run because of it.")
            }
            Wanted::LookAt { list, not_run } => {
                format!("Please look at {list}. {not_run} scripts were not run because of it.")
            }
            Wanted::CheckAndResume { name, end, run } => {
                format!("Please check how far {name} got ({end}), then go on with `runner resume {run}`.")
            }
            Wanted::Resume { run } => format!("Please go on with `runner resume {run}`: not all of it was run."),
        }
    }

    fn unit(&self, unit: &str) -> &'static str {
        match unit {
            "ms" => " ms",
            "s" => " s",
            "min" => " min",
            "h" => " h",
            _ => " d",
        }
    }

    fn date_time(&self, time: DateTime<FixedOffset>) -> String {
        let date = NAMES.of(time);
        format!("{} {} {} {}, {}", date.short_weekday, date.day, date.short_month, date.year, exact_time(time))
    }
    fn moment(&self, time: DateTime<FixedOffset>) -> String {
        let date = NAMES.of(time);
        format!("{} {} {}, {}", date.short_weekday, date.day, date.short_month, time_of_day(time))
    }
    fn since(&self, time: DateTime<FixedOffset>, now: DateTime<FixedOffset>) -> String {
        let date = NAMES.of(time);
        match distance(time, now) {
            Distance::SameDay => time_of_day(time),
            Distance::SameYear => format!("{} {} {}", date.weekday, date.day, date.month),
            Distance::Far => format!("{} {} {}", date.day, date.month, date.year),
        }
    }

    fn exit_code(&self, code: &str) -> String {
        format!("exit code {code}")
    }
    fn signal(&self, signal: &str, core_dumped: bool) -> String {
        format!("signal {signal}{}", if core_dumped { ", core dumped" } else { "" })
    }
    fn timeout(&self, after: &str, killed: bool) -> String {
        format!("timeout after {after}{}", if killed { ", had to be killed" } else { "" })
    }
    fn unmet(&self, what: &str) -> String {
        format!("expectation not met: {what}")
    }
    fn left_behind(&self, processes: usize) -> String {
        match processes {
            0 => "left its output held open".to_owned(),
            1 => "left a process behind".to_owned(),
            processes => format!("left {processes} processes behind"),
        }
    }
    fn could_not_start(&self, error: &str) -> String {
        format!("could not start: {error}")
    }
    fn skipped_after(&self, script: &str) -> String {
        format!("{script} failed before it")
    }
    fn skipped_interrupted(&self) -> String {
        "the run was interrupted before its turn".to_owned()
    }
    fn interrupter(&self, _by: &str) -> Option<&'static str> {
        None
    }

    fn pace(&self, took: &str, usual: &str) -> String {
        format!("took {took}, usually {usual}")
    }
    fn over_limit(&self, took: &str, limit: &str) -> String {
        format!("took {took}, more than the {limit} of slow_after")
    }
    fn usually(&self, duration: &str) -> String {
        format!("usually {duration}")
    }
    fn attempts(&self, last: u32, success: bool, before: Option<&str>) -> String {
        let before = before.map(|ends| format!("; before: {ends}")).unwrap_or_default();
        if success { format!("at attempt {last}{before}") } else { format!("{last} attempts{before}") }
    }
    fn times(&self, end: &str, count: usize) -> String {
        if count == 2 { format!("{end} (twice)") } else { format!("{end} ({count} times)") }
    }
    fn lines_before(&self, count: usize) -> String {
        if count == 1 {
            "(one line before this is left out)".to_owned()
        } else {
            format!("({count} lines before this are left out)")
        }
    }
    fn more_rows(&self, count: usize, counts: &str) -> String {
        format!("… and {count} more: {counts}")
    }
    fn more_failures(&self, count: usize) -> String {
        if count == 1 {
            "The output of one more failed script is in the run's folder.".to_owned()
        } else {
            format!("The output of {count} more failed scripts is in the run's folder.")
        }
    }
    fn more(&self, item: Item, count: usize) -> String {
        let (one, many) = match item {
            Item::Warnings => ("warning", "warnings"),
            Item::Processes => ("process", "processes"),
            Item::Files => ("file", "files"),
            Item::Runs => ("earlier run", "earlier runs"),
            Item::Schedules => ("schedule", "schedules"),
        };
        format!("… and {count} more {}", if count == 1 { one } else { many })
    }
    fn left_process(&self, name: &str, pid: u32, goes_on: bool, command: &str) -> String {
        let fate = if goes_on { "goes on" } else { "was ended" };
        format!("{name} left process {pid} behind, which {fate}: {command}")
    }
    fn follows(&self, how: Following, run: &str) -> String {
        match how {
            Following::Retry => format!("retry of {run}"),
            Following::Resume => format!("continuation of {run}"),
        }
    }
    fn last_runs(&self, count: usize) -> String {
        format!("Last {count} runs")
    }
    fn runs_since(&self, since: Option<&str>) -> String {
        since.map_or_else(|| "Runs".to_owned(), |since| format!("Runs since {since}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_have_their_endings() {
        let numbers = [2, 3, 4, 11, 12, 13, 21, 22, 23, 101, 111].map(ordinal);
        assert_eq!(numbers.join(" "), "2nd 3rd 4th 11th 12th 13th 21st 22nd 23rd 101st 111th");
    }
}

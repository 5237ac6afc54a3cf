//! What all projects of a machine share.

use std::path::Path;

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use super::{Finding, os, state, zone};
use crate::model::{Clock, SystemClock, format_duration};

/// Fewer open files than this may not do for several projects side by side.
const FEW_FILES: u64 = 256;

/// What is looked at.
pub struct Machine<'a> {
    /// The state folder, or a sentence that says why there is none.
    pub state_dir: Result<&'a Path, &'a str>,
    /// The variable `TZ`, if it is set.
    pub tz: Option<&'a str>,
}

/// Looks at the machine.
pub async fn examine_machine(machine: &Machine<'_>) -> Vec<Finding> {
    let (mut findings, newest) = match machine.state_dir {
        Ok(dir) => state::examine(dir).await,
        Err(why) => {
            let remedy = "name a folder with `--state-dir` or RUNNER_STATE_DIR";
            (vec![Finding::broken("state folder", why, remedy)], None)
        }
    };
    findings.push(clock(Utc::now(), newest));
    findings.push(zone::zone(machine.tz, &SystemClock.now_local().offset().to_string()));
    #[cfg(target_os = "linux")]
    findings.extend([super::linux::guardian().await, super::linux::control_group()]);
    findings.extend(os::open_files().map(open_files));
    findings
}

fn clock(now: DateTime<Utc>, newest_run: Option<DateTime<Utc>>) -> Finding {
    const CHECK: &str = "clock";
    const REMEDY: &str = "set the clock, and have it set by a time server from then on";
    /// When this was written; and where dates stop to be believed.
    const YEARS: std::ops::Range<i32> = 2026..2100;
    let shown = now.format("%Y-%m-%d %H:%M:%S UTC");
    let ahead = newest_run.map(|run| run - now).filter(|ahead| *ahead > TimeDelta::minutes(5));
    if !YEARS.contains(&now.year()) {
        return Finding::warning(CHECK, format!("it is {shown}, which can't be"), REMEDY);
    }
    match ahead.and_then(|ahead| ahead.to_std().ok()) {
        Some(ahead) => {
            let found = format!("it is {shown}, and the newest run began {} after that", format_duration(ahead));
            Finding::warning(CHECK, found, format!("{REMEDY}; or the clock was wrong when that run began"))
        }
        None => Finding::ok(CHECK, format!("it is {shown}")),
    }
}

fn open_files(limit: u64) -> Finding {
    const CHECK: &str = "open files";
    let found = format!("at most {limit}");
    if limit < FEW_FILES {
        Finding::warning(CHECK, found, "raise the limit (`ulimit -n`, systemd's LimitNOFILE) to 1024 or more")
    } else {
        Finding::ok(CHECK, found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_clock_that_cannot_be_right_is_noticed() {
        let at = |year| DateTime::parse_from_rfc3339(&format!("{year}-06-01T00:00:00Z")).unwrap().to_utc();
        assert_eq!(clock(at(2026), None).state, State::Ok);
        assert_eq!(clock(at(2027), Some(at(2026))).state, State::Ok);
        assert_eq!(clock(at(2027), Some(at(2027) + TimeDelta::minutes(4))).state, State::Ok);
        assert_eq!(clock(at(1970), None).state, State::Warning);
        let found = clock(at(2027), Some(at(2028)));
        assert!(found.state == State::Warning && found.found.contains("366 d"), "{found:?}");
    }

    #[test]
    fn few_open_files_are_noticed() {
        assert_eq!((open_files(255).state, open_files(256).state), (State::Warning, State::Ok));
    }
}

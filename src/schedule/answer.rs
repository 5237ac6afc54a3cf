//! What becomes of a planned instant. Each gets exactly one answer.

use serde::{Deserialize, Serialize};

/// What kept a run from beginning when it was planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hindrance {
    /// The machine was off.
    MachineOff,
    /// The machine was suspended.
    MachineAsleep,
    /// No daemon was running.
    DaemonOff,
    /// The system's own scheduler didn't start it.
    HostIdle,
    /// Other runs had to end first.
    Busy,
    /// It was tried, and the project couldn't be run at all.
    CouldNotRun,
    /// The clock was set forward over it.
    ClockSet,
    /// Whoever had taken it upon himself, a daemon or a runner that the system's scheduler had started, ended before he began it.
    RunnerEnded,
}

impl Hindrance {
    /// In words, as they follow a colon.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::MachineOff => "the machine was off",
            Self::MachineAsleep => "the machine was asleep",
            Self::DaemonOff => "no daemon was running",
            Self::HostIdle => "the system's scheduler didn't start it",
            Self::Busy => "other runs had to end first",
            Self::CouldNotRun => "it couldn't be run",
            Self::ClockSet => "the clock was set forward",
            Self::RunnerEnded => "the runner that was to run it ended first",
        }
    }
}

/// Why a planned instant was left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipCause {
    /// The project was running, and its `overlap` has it so.
    Overlap,
    /// The schedule was paused.
    Paused,
}

/// What became of a planned instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// A run began in time.
    Ran,
    /// A run began, but not in time.
    Late(Hindrance),
    /// It was left out on purpose.
    Skipped(SkipCause),
    /// It should have run, and didn't.
    Missed(Hindrance),
    /// A run for a later instant, or one that waited, stands for it too.
    Merged,
}

impl Hindrance {
    const ALL: [(Self, &'static str); 8] = [
        (Self::MachineOff, "machine_off"),
        (Self::MachineAsleep, "machine_asleep"),
        (Self::DaemonOff, "daemon_off"),
        (Self::HostIdle, "host_idle"),
        (Self::Busy, "busy"),
        (Self::CouldNotRun, "could_not_run"),
        (Self::ClockSet, "clock_set"),
        (Self::RunnerEnded, "runner_ended"),
    ];

    /// The word for it, in the database and for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(one, _)| *one == self).map_or("", |(_, name)| name)
    }

    /// What has this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(one, _)| *one)
    }
}

impl Answer {
    /// The words for it, in the database and for programs: what became of it, and why.
    #[must_use]
    pub fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Ran => ("ran", None),
            Self::Late(why) => ("late", Some(why.name())),
            Self::Skipped(SkipCause::Overlap) => ("skipped", Some("overlap")),
            Self::Skipped(SkipCause::Paused) => ("skipped", Some("paused")),
            Self::Missed(why) => ("missed", Some(why.name())),
            Self::Merged => ("merged", None),
        }
    }

    /// The answer that these words tell of.
    #[must_use]
    pub fn from_words(state: &str, reason: Option<&str>) -> Option<Self> {
        let why = reason.and_then(Hindrance::from_name);
        Some(match (state, reason) {
            ("ran", _) => Self::Ran,
            ("late", _) => Self::Late(why?),
            ("skipped", Some("overlap")) => Self::Skipped(SkipCause::Overlap),
            ("skipped", Some("paused")) => Self::Skipped(SkipCause::Paused),
            ("missed", _) => Self::Missed(why?),
            ("merged", _) => Self::Merged,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_tell_answers_apart_as_json_does() {
        for (why, name) in Hindrance::ALL {
            assert_eq!(serde_json::to_value(why).unwrap(), name);
            for answer in [Answer::Late(why), Answer::Missed(why)] {
                let (state, reason) = answer.words();
                assert_eq!(Answer::from_words(state, reason), Some(answer));
            }
        }
        for answer in
            [Answer::Ran, Answer::Merged, Answer::Skipped(SkipCause::Overlap), Answer::Skipped(SkipCause::Paused)]
        {
            let (state, reason) = answer.words();
            assert_eq!(Answer::from_words(state, reason), Some(answer));
        }
        assert_eq!(Answer::from_words("late", None), None);
    }
}

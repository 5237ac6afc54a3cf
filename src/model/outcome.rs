//! How scripts and runs end. Every end there is has its own form, so that no reader has to guess.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::format_duration;

/// How one script ended. Anything but [`Outcome::Success`] and [`Outcome::Skipped`] is a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// It exited with one of the project's `success_codes`.
    Success {
        /// The exit code, 0 unless the project allows others.
        code: u32,
    },
    /// It exited with another code. Windows' crash codes are exit codes too; see [`windows_status_name`].
    ExitCode {
        /// The exit code, as the system reports it.
        code: u32,
    },
    /// A signal ended it (Unix).
    Signal {
        /// The signal's number on the system it ran on.
        signal: i32,
        /// Whether a core file was written.
        core_dumped: bool,
    },
    /// It ran longer than its `timeout` and was ended.
    Timeout {
        /// The timeout, in seconds.
        seconds: f64,
        /// How it had to be ended: `true` if it, or a descendant, outlived the grace and was killed.
        killed: bool,
    },
    /// Its exit code says success, but something that it was to leave behind isn't there.
    ExpectationNotMet {
        /// What was expected and what was found.
        what: String,
        /// The exit code.
        code: u32,
    },
    /// Its exit code says success, but processes of its outlived it and `on_leak` is `fail`.
    LeftBehind {
        /// How many.
        processes: usize,
        /// The exit code.
        code: u32,
    },
    /// It never ran.
    CouldNotStart {
        /// What the system said.
        error: String,
    },
    /// It wasn't tried.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
    /// It was ended because the run was interrupted, or the runner or the machine died under it.
    Interrupted {
        /// What interrupted it: `Ctrl-C`, `SIGTERM`, …
        by: String,
    },
}

/// Why a script was not tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// An earlier script failed and `on_failure` is `stop`.
    EarlierFailure {
        /// That script.
        script: String,
    },
    /// The run was interrupted before its turn.
    RunInterrupted,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EarlierFailure { script } => write!(f, "{script} failed before it"),
            Self::RunInterrupted => f.write_str("the run was interrupted before its turn"),
        }
    }
}

impl Outcome {
    /// Whether the script did what it should.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Success { .. })
    }

    /// Whether the script was tried and did not do what it should.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Success { .. } | Self::Skipped { .. })
    }

    /// The one-word kind, as it stands in events and in the state database.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Success { .. } => "success",
            Self::ExitCode { .. } => "exit_code",
            Self::Signal { .. } => "signal",
            Self::Timeout { .. } => "timeout",
            Self::ExpectationNotMet { .. } => "expectation_not_met",
            Self::LeftBehind { .. } => "left_behind",
            Self::CouldNotStart { .. } => "could_not_start",
            Self::Skipped { .. } => "skipped",
            Self::Interrupted { .. } => "interrupted",
        }
    }
}

/// In a few words: `success`, `exit code 3`, `signal 9 (SIGKILL)`, `timeout after 60 s`, …
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success { code: 0 } => f.write_str("success"),
            Self::Success { code } => write!(f, "success (exit code {code})"),
            Self::ExitCode { code } => match windows_status_name(*code) {
                Some(name) => write!(f, "exit code 0x{code:08X} ({name})"),
                None => write!(f, "exit code {code}"),
            },
            Self::Signal { signal, core_dumped } => {
                write!(f, "signal {signal}")?;
                if let Some(name) = signal_name(*signal) {
                    write!(f, " ({name})")?;
                }
                if *core_dumped {
                    f.write_str(", core dumped")?;
                }
                Ok(())
            }
            Self::Timeout { seconds, killed } => {
                let limit = std::time::Duration::try_from_secs_f64(*seconds).unwrap_or_default();
                write!(f, "timeout after {}", format_duration(limit))?;
                if *killed {
                    f.write_str(", had to be killed")?;
                }
                Ok(())
            }
            Self::ExpectationNotMet { what, .. } => write!(f, "expectation not met: {what}"),
            Self::LeftBehind { processes: 0, .. } => f.write_str("left its output held open"),
            Self::LeftBehind { processes: 1, .. } => f.write_str("left a process behind"),
            Self::LeftBehind { processes, .. } => write!(f, "left {processes} processes behind"),
            Self::CouldNotStart { error } => write!(f, "could not start: {error}"),
            Self::Skipped { reason } => write!(f, "skipped: {reason}"),
            Self::Interrupted { by } => write!(f, "interrupted: {by}"),
        }
    }
}

/// How a run ended, or that it hasn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It has begun and not ended.
    Running,
    /// Every script succeeded.
    Success,
    /// At least one script failed.
    Failure,
    /// It was interrupted, or died with the runner or the machine.
    Interrupted,
}

impl RunStatus {
    /// The word that stands in events, listings and the state database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Interrupted => "interrupted",
        }
    }

    /// The status named by [`RunStatus::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Running, Self::Success, Self::Failure, Self::Interrupted]
            .into_iter()
            .find(|status| status.name() == name)
    }
}

/// The usual name of a signal on Linux, for the common ones (`man 7 signal`, x86 and ARM numbers).
#[must_use]
pub fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

/// What a Windows crash code means (Microsoft, "NTSTATUS Values", MS-ERREF 2.3.1), for those that users meet.
#[must_use]
pub fn windows_status_name(code: u32) -> Option<&'static str> {
    Some(match code {
        0xC000_0005 => "access violation",
        0xC000_0006 => "in-page error",
        0xC000_0017 => "not enough memory",
        0xC000_001D => "illegal instruction",
        0xC000_0094 => "integer division by zero",
        0xC000_00FD => "stack overflow",
        0xC000_0135 => "a DLL was not found",
        0xC000_0138 => "a DLL lacks a function it should have",
        0xC000_0139 => "an entry point was not found",
        0xC000_013A => "ended by Ctrl-C",
        0xC000_0142 => "a DLL could not be initialised",
        0xC000_0374 => "heap corruption",
        0xC000_0409 => "stack buffer overrun or abort",
        0xC000_0420 => "assertion failure",
        0x4001_0004 => "ended by a debugger or at log-off",
        0x8000_0003 => "breakpoint",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_read_as_a_person_would_say_them() {
        let cases = [
            (Outcome::Success { code: 0 }, "success"),
            (Outcome::Success { code: 7 }, "success (exit code 7)"),
            (Outcome::ExitCode { code: 3 }, "exit code 3"),
            (Outcome::ExitCode { code: 0xC000_0005 }, "exit code 0xC0000005 (access violation)"),
            (Outcome::Signal { signal: 9, core_dumped: false }, "signal 9 (SIGKILL)"),
            (Outcome::Signal { signal: 11, core_dumped: true }, "signal 11 (SIGSEGV), core dumped"),
            (Outcome::Signal { signal: 60, core_dumped: false }, "signal 60"),
            (Outcome::Timeout { seconds: 60.0, killed: false }, "timeout after 60 s"),
            (
                Outcome::ExpectationNotMet { what: "out.csv is empty".into(), code: 0 },
                "expectation not met: out.csv is empty",
            ),
            (Outcome::LeftBehind { processes: 1, code: 0 }, "left a process behind"),
            (Outcome::LeftBehind { processes: 2, code: 0 }, "left 2 processes behind"),
            (Outcome::CouldNotStart { error: "permission denied".into() }, "could not start: permission denied"),
            (
                Outcome::Skipped { reason: SkipReason::EarlierFailure { script: "a.py".into() } },
                "skipped: a.py failed before it",
            ),
            (Outcome::Interrupted { by: "Ctrl-C".into() }, "interrupted: Ctrl-C"),
        ];
        for (outcome, text) in cases {
            assert_eq!(outcome.to_string(), text);
        }
    }
}

//! The table of exit codes.

use crate::model::RunStatus;
use crate::runner::RunError;

/// What a command comes to. In the order in which they count when several projects ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitCode {
    /// 0: everything succeeded.
    Success,
    /// 3: nothing ran, because the project is already running, or another has a lock that it needs.
    AlreadyRunning,
    /// 1: a script failed.
    ScriptFailed,
    /// 2: the arguments or a project file are wrong.
    Usage,
    /// 4: the runner itself could not work.
    CannotWork,
    /// 130: interrupted, by Ctrl-C, SIGTERM or the like.
    Interrupted,
}

impl ExitCode {
    /// The number.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Success => 0,
            Self::ScriptFailed => 1,
            Self::Usage => 2,
            Self::AlreadyRunning => 3,
            Self::CannotWork => 4,
            Self::Interrupted => 130,
        }
    }
}

impl From<RunStatus> for ExitCode {
    fn from(status: RunStatus) -> Self {
        match status {
            RunStatus::Success => Self::Success,
            RunStatus::Failure | RunStatus::Running => Self::ScriptFailed,
            RunStatus::Interrupted => Self::Interrupted,
        }
    }
}

impl From<&RunError> for ExitCode {
    fn from(error: &RunError) -> Self {
        match error {
            RunError::Select(_) | RunError::Inputs { .. } | RunError::Mail(_) => Self::Usage,
            RunError::AlreadyRunning { .. } => Self::AlreadyRunning,
            RunError::Interrupted { .. } => Self::Interrupted,
            RunError::Gone { .. }
            | RunError::NothingCanBeWritten { .. }
            | RunError::NoPlaceForLocks { .. }
            | RunError::System(_) => Self::CannotWork,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_projects_the_worst_counts_in_the_documented_order() {
        let order = [130, 4, 2, 1, 3, 0];
        let mut all = [
            ExitCode::Success,
            ExitCode::Usage,
            ExitCode::Interrupted,
            ExitCode::AlreadyRunning,
            ExitCode::CannotWork,
            ExitCode::ScriptFailed,
        ];
        all.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(all.map(ExitCode::code), order);
    }
}

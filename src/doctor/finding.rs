//! What a check comes to.

/// How serious it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// Worth knowing, neither good nor bad.
    Info,
    /// Runs work, and something about them may surprise.
    Warning,
    /// A run would fail, or lose something.
    Problem(Cause),
}

/// What is to blame for a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// What the user wrote: a project file, `.env`, variables.
    Configuration,
    /// The machine: disks, permissions, programs.
    Environment,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Problem(_) => "problem",
        }
    }
}

/// The answer of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub check: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do about it; none where there is nothing to do.
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), remedy: None }
    }

    pub(super) fn info(check: &'static str, found: impl Into<String>) -> Self {
        Self { state: State::Info, ..Self::ok(check, found) }
    }

    pub(super) fn warning(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Warning, remedy: Some(remedy.into()), ..Self::ok(check, found) }
    }

    /// A problem with the machine.
    pub(super) fn broken(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        let state = State::Problem(Cause::Environment);
        Self { state, remedy: Some(remedy.into()), ..Self::ok(check, found) }
    }

    /// A problem with what the user wrote.
    pub(super) fn wrong(check: &'static str, found: impl Into<String>, remedy: Option<String>) -> Self {
        Self { state: State::Problem(Cause::Configuration), remedy, ..Self::ok(check, found) }
    }
}

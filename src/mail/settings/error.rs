//! What is wrong with the variables.

use std::fmt;

use thiserror::Error;

/// A variable whose value can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidVariable {
    /// Its name.
    pub variable: &'static str,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub hint: String,
}

impl fmt::Display for InvalidVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.variable, self.problem, self.hint)
    }
}

/// Why no mail could be sent with the variables as they are.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MailSettingsError {
    /// Variables without which nobody can sign in are not set.
    #[error("MissingEnvironmentVariable: {}; {}", self.message(), self.hint())]
    MissingEnvironmentVariable {
        /// All of them.
        names: Vec<&'static str>,
    },
    /// Variables have values that can't be used.
    #[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid {
        /// All of them.
        problems: Vec<InvalidVariable>,
    },
}

impl MailSettingsError {
    /// What is wrong, without what to do about it.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::MissingEnvironmentVariable { names } => {
                let verb = if names.len() == 1 { "is" } else { "are" };
                format!("{} {verb} not set, and mail is to be sent", names.join(" and "))
            }
            Self::Invalid { problems } => {
                problems.iter().map(|p| format!("{}: {}", p.variable, p.problem)).collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::MissingEnvironmentVariable { names } => {
                let them = if names.len() == 1 { "it" } else { "them" };
                format!(
                    "set {them} in a file named .env in the project's folder (.env.example shows how, also with MAIL_CLIENT_ID \
                     in place of a password: OAuth, as Microsoft's servers want it), or in the environment"
                )
            }
            Self::Invalid { problems } => problems.iter().map(|p| p.hint.clone()).collect::<Vec<_>>().join("; "),
        }
    }
}

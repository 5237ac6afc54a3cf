//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::source::{Origin, Span};

/// What kind of problem it is. Where the name is one that messages carry, [`ProblemKind::name`] gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A required key is missing.
    MissingConfigurationVariable,
    /// `recipients` is no list of addresses, or empty although mails are wanted.
    BadRecipientList,
    /// The interpreter isn't there, or can't be used.
    BadPythonInterpreter,
    /// A folder, a script or another file that is named isn't there.
    FileNotFound,
    /// A key that means nothing. A warning.
    UnknownKey,
    /// A key that stands twice. A warning.
    DuplicateKey,
    /// A value of the wrong type, or out of range.
    InvalidValue,
    /// The text is no JSON, or no `.env` file.
    Syntax,
    /// The file can't be read, or is no UTF-8.
    Unreadable,
    /// The profile doesn't exist.
    UnknownProfile,
    /// Something that is probably not meant. A warning.
    Suspicious,
    /// A file with secrets in it that everybody may read. A warning.
    Exposed,
}

impl ProblemKind {
    /// The name that begins the message, for the kinds that are known by a name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::MissingConfigurationVariable => Some("MissingConfigurationVariable"),
            Self::BadRecipientList => Some("BadRecipientList"),
            Self::BadPythonInterpreter => Some("BadPythonInterpreter"),
            Self::FileNotFound => Some("FileNotFoundError"),
            _ => None,
        }
    }
}

/// The text that a terminal shows with the place underlined. It may hold secrets, and so isn't shown by `Debug`.
#[derive(Clone)]
pub(super) struct Excerpt {
    pub(super) text: Arc<str>,
    pub(super) span: Span,
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Excerpt").field("span", &self.span).finish_non_exhaustive()
    }
}

/// One problem.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Problem {
    /// What kind.
    pub kind: ProblemKind,
    /// The file, or the name of the variable.
    pub file: PathBuf,
    /// The line, from 1; 0 when the problem isn't at a place in a file.
    pub line: usize,
    /// The column in characters, from 1; 0 when the problem isn't at a place in a file.
    pub column: usize,
    /// Where in the JSON, as `scripts[2].timeout`; empty for the whole.
    pub json_path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    pub(super) excerpt: Option<Box<Excerpt>>,
}

impl Problem {
    /// A problem with a file as a whole.
    pub(super) fn of_file(kind: ProblemKind, file: &Path, message: impl fmt::Display) -> Self {
        let message = match kind.name() {
            Some(name) => format!("{name}: {message}"),
            None => message.to_string(),
        };
        let file = file.to_path_buf();
        Self { kind, file, line: 0, column: 0, json_path: String::new(), message, hint: None, excerpt: None }
    }

    /// A problem at a place.
    pub(super) fn at(kind: ProblemKind, origin: &Origin, json_path: &str, message: impl fmt::Display) -> Self {
        let mut problem = Self::of_file(kind, &origin.source.name, message);
        json_path.clone_into(&mut problem.json_path);
        if origin.source.is_file {
            (problem.line, problem.column) = origin.source.position(origin.span.start);
            problem.excerpt =
                Some(Box::new(Excerpt { text: Arc::clone(&origin.source.text), span: origin.span.clone() }));
        }
        problem
    }

    /// The same with a line known but no text to show, as in files that hold secrets.
    pub(super) fn at_line(mut self, line: usize) -> Self {
        self.line = line;
        self.column = 1;
        self
    }

    /// The same with what to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with what to do about it, if that is known.
    #[must_use]
    pub(super) fn maybe_hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into);
        self
    }

    /// One unwrapped line: `FILE:LINE:COL: JSON.PATH: message; hint`. Control characters are escaped.
    #[must_use]
    pub fn plain(&self) -> String {
        let mut line = self.file.display().to_string();
        if self.line > 0 {
            line.push_str(&format!(":{}:{}", self.line, self.column));
        }
        if !self.json_path.is_empty() {
            line.push_str(": ");
            line.push_str(&self.json_path);
        }
        line.push_str(": ");
        line.push_str(&self.message);
        if let Some(hint) = &self.hint {
            line.push_str("; ");
            line.push_str(hint);
        }
        escape_controls(&line)
    }
}

/// Writes control characters visibly, so that no text of a file can move a terminal's cursor or break a line.
pub(super) fn escape_controls(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut out, c| {
        match c {
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
        out
    })
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plain())
    }
}

/// All that is wrong with a project's configuration; at least one problem. `Display` gives one plain line a problem.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConfigError {
    /// In the order of layers and, within a file, of places.
    pub problems: Vec<Problem>,
    /// What was noticed beside.
    pub warnings: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// What has to be mended first, and how much more there is, in one line.
    #[must_use]
    pub fn first(&self) -> String {
        let first = self.problems.first().map(Problem::plain).unwrap_or_default();
        match self.problems.len() {
            0 | 1 => first,
            2 => format!("{first} (and one more problem)"),
            more => format!("{first} (and {} more problems)", more - 1),
        }
    }
}

//! How answers look: colours, local times, words.

use anstyle::{AnsiColor, Style};
use chrono::{DateTime, Local, NaiveDateTime, SecondsFormat, Utc};

use super::table::Cell;
use crate::model::{MailState, Outcome, RunStatus, format_duration};
use crate::store::RunRow;

/// How an answer is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// One JSON object a line, for programs.
    pub json: bool,
    /// With colours, for a terminal.
    pub color: bool,
    /// The time, for runs that go on.
    pub now: DateTime<Utc>,
    /// The local time of an instant.
    pub local: fn(DateTime<Utc>) -> NaiveDateTime,
}

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const BETWEEN: Style = AnsiColor::Yellow.on_default();

impl View {
    /// A view at this moment, in this machine's time zone.
    #[must_use]
    pub(super) fn now(json: bool, color: bool) -> Self {
        Self { json, color, now: Utc::now(), local: |time| time.with_timezone(&Local).naive_local() }
    }

    /// `2024-11-27 09:51:58`, local time.
    pub(super) fn time(&self, time: DateTime<Utc>) -> String {
        (self.local)(time).format("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// How long a run took, or has been going on.
    pub(super) fn took(&self, run: &RunRow) -> String {
        match run.status {
            RunStatus::Running => format_duration((self.now - run.started).to_std().unwrap_or_default()),
            _ => format_duration(std::time::Duration::from_micros(run.duration_us)),
        }
    }

    /// `text` in a style, if colours are wanted.
    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// `2024-11-27T08:51:58.954Z`: RFC 3339.
pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Seconds as a number, to the millisecond.
pub(super) fn seconds(duration_us: u64) -> f64 {
    (duration_us / 1000) as f64 / 1000.0
}

pub(super) fn status_style(status: RunStatus) -> Style {
    match status {
        RunStatus::Success => GOOD,
        RunStatus::Failure => BAD,
        RunStatus::Interrupted | RunStatus::Running => BETWEEN,
    }
}

pub(super) fn status_cell(status: RunStatus) -> Cell {
    Cell::styled(status.name(), status_style(status))
}

pub(super) fn outcome_style(outcome: Option<&Outcome>) -> Style {
    match outcome {
        Some(outcome) if outcome.is_success() => GOOD,
        Some(Outcome::Skipped { .. }) => DIM,
        Some(_) => BAD,
        None => BETWEEN,
    }
}

/// A run's mail in a word or two; nothing where none was due.
pub(super) fn mail_word(mail: Option<&MailState>) -> &'static str {
    match mail {
        None | Some(MailState::NotDue | MailState::Off) => "",
        Some(MailState::Written { .. }) => "written",
        Some(MailState::Sent { .. }) => "sent",
        Some(MailState::Queued { .. } | MailState::Kept { .. }) => "queued",
        Some(MailState::Held { .. }) => "held",
        Some(MailState::Failed { .. }) => "not sent",
    }
}

/// Text of a script on its way to a terminal: escape sequences must not act there.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => '\u{FFFD}',
        c => c,
    };
    text.replace("\r\n", "\n").chars().map(shown).collect()
}

/// The same on one line.
pub(super) fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

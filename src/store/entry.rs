//! What the outbox holds: an entry, how far it has got, and what a try at it comes to. Plain data.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{MailState, RunId};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxKind {
    /// A mail about a run.
    Mail,
    /// A mail about planned runs that didn't begin.
    Alarm,
    /// A web address that is told how a run goes.
    Ping,
    /// A chat that is told of a run.
    Webhook,
}

impl OutboxKind {
    pub(super) const ALL: [Self; 4] = [Self::Mail, Self::Alarm, Self::Ping, Self::Webhook];

    /// The word for it, in the database and for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Alarm => "alarm",
            Self::Ping => "ping",
            Self::Webhook => "webhook",
        }
    }

    /// Whether it goes to a mail server, and not to a web address.
    #[must_use]
    pub fn is_mail(self) -> bool {
        matches!(self, Self::Mail | Self::Alarm)
    }
}

/// How far an entry has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxState {
    /// It waits to be tried, maybe again.
    Queued,
    /// It is being delivered, or whoever did that has died.
    Sending,
    /// It waits for somebody to mend what keeps its sender from sending.
    Held,
    /// It was delivered.
    Sent,
    /// It can't be delivered.
    Failed,
}

impl OutboxState {
    pub(super) const ALL: [Self; 5] = [Self::Queued, Self::Sending, Self::Held, Self::Sent, Self::Failed];

    /// The word for it, in the database and for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Held => "held",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Sent | Self::Failed)
    }
}

/// A recipient whom the server refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRecipient {
    /// The address.
    pub recipient: String,
    /// What the server said.
    pub reply: String,
}

/// An entry, without its message.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// Its number: older ones have smaller ones.
    pub id: i64,
    /// What it is.
    pub kind: OutboxKind,
    /// Which of a project's web addresses it goes to.
    pub slot: Option<String>,
    /// The run it tells of; `None` of an alarm.
    pub run_id: Option<RunId>,
    /// The project, by whose settings it is delivered.
    pub project_dir: PathBuf,
    /// The profile, likewise.
    pub profile: Option<String>,
    /// The run's folder.
    pub run_dir: Option<PathBuf>,
    /// What people know it by.
    pub subject: String,
    /// Who it is from.
    pub from: Option<String>,
    /// Those who are still to get it; all who got it, once it is sent.
    pub recipients: Vec<String>,
    /// Those who were refused for good.
    pub refused: Vec<RefusedRecipient>,
    /// The conversation that it belongs to.
    pub conversation: Option<String>,
    /// How far it has got.
    pub state: OutboxState,
    /// Whether nobody knows if the server had taken it at an earlier attempt.
    pub in_doubt: bool,
    /// Whether the run has recorded what had become of it: what happens from then on, whoever brings it about records.
    pub settled: bool,
    /// How many times it was tried.
    pub attempts: u32,
    /// How many of these it failed by itself, and not its server.
    pub failures: u32,
    /// When it was put here.
    pub queued_at: DateTime<Utc>,
    /// Before when it isn't tried again.
    pub next_at: Option<DateTime<Utc>>,
    /// When it was delivered or given up.
    pub ended_at: Option<DateTime<Utc>>,
    /// What kept it from being delivered.
    pub last_error: Option<String>,
    /// What the server said last.
    pub last_reply: Option<String>,
    /// By which settings it was tried last: their fingerprint.
    pub sender: Option<String>,
    /// Who would have signed in when it was made.
    pub login: Option<String>,
}

/// What a try has come to.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Which entry.
    pub id: i64,
    /// How far it has got.
    pub state: OutboxState,
    /// See [`OutboxRow::in_doubt`].
    pub in_doubt: bool,
    /// Those who are still to get it.
    pub recipients: Vec<String>,
    /// All who were refused for good.
    pub refused: Vec<RefusedRecipient>,
    /// Before when it isn't tried again.
    pub next_at: Option<DateTime<Utc>>,
    /// What kept it from being delivered.
    pub error: Option<String>,
    /// What the server said.
    pub reply: Option<String>,
    /// When that was.
    pub time: DateTime<Utc>,
    /// What the run's record says from now on, if the run has recorded something already.
    pub mail: Option<MailState>,
    /// Of a conversation that begins with it: the Message-ID that the server gave it.
    pub begins: Option<(String, String)>,
}

/// Why entries are not tried now.
#[derive(Debug, Clone, Copy)]
pub struct PutOff<'a> {
    /// How they wait.
    pub state: OutboxState,
    /// By which settings they would have been tried: their fingerprint.
    pub sender: Option<&'a str>,
    /// What they wait for.
    pub error: &'a str,
    /// What the server said.
    pub reply: Option<&'a str>,
}

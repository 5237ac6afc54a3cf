//! What a project's author decides about its mails, and the web addresses that are called beside them.

use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a summary is mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmailStrategy {
    /// After every run, with successes and failures of each script.
    All,
    /// Only after a run in which a script failed, and only those scripts are mentioned.
    FailureOnly,
    /// Never.
    None,
    /// When something has changed: a script fails that did not before, or works again; while it goes on failing, once a
    /// day.
    Changes,
    /// Once a day, about all runs since the last time.
    Digest,
}

impl EmailStrategy {
    /// Every strategy with the word that names it in a project file.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("all", Self::All),
        ("failure_only", Self::FailureOnly),
        ("none", Self::None),
        ("changes", Self::Changes),
        ("digest", Self::Digest),
    ];

    /// The word that names it in a project file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::FailureOnly => "failure_only",
            Self::None => "none",
            Self::Changes => "changes",
            Self::Digest => "digest",
        }
    }
}

/// What becomes of a run's mail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailDelivery {
    /// It is sent, by the settings in the environment and the `.env` files.
    #[default]
    Send,
    /// It is written to this folder, made if need be, and nothing is sent.
    Folder(PathBuf),
    /// There is none.
    Off,
}

/// The language of mails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// French.
    Fr,
    /// Japanese.
    Ja,
    /// Korean.
    Ko,
}

impl Language {
    /// Every language with the code that names it (ISO 639-1).
    pub const NAMES: [(&'static str, Self); 4] =
        [("en", Self::En), ("fr", Self::Fr), ("ja", Self::Ja), ("ko", Self::Ko)];

    /// The code that names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
            Self::Ja => "ja",
            Self::Ko => "ko",
        }
    }
}

/// Whether the whole output of scripts goes with the mail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttachOutput {
    /// Never.
    #[default]
    Never,
    /// That of the scripts that failed.
    Failure,
    /// That of all scripts.
    Always,
}

/// How a project's mails are made up, beside when and to whom they go.
#[derive(Debug, Clone, PartialEq)]
pub struct MailOptions {
    /// Further recipients whom everybody sees. Checked addresses.
    pub cc: Vec<String>,
    /// Further recipients whom nobody sees. Checked addresses.
    pub bcc: Vec<String>,
    /// Where answers go; the sender unless set. Checked addresses.
    pub reply_to: Vec<String>,
    /// Stands before the subject.
    pub subject_prefix: Option<String>,
    /// Whether the whole output goes with it.
    pub attach_output: AttachOutput,
    /// Whether all mails of the project are one conversation, for which their subject must stay the same. Otherwise the
    /// subject says how the run went.
    pub conversation: bool,
    /// By how much mail may delay the end of a run, all in all.
    pub deadline: Duration,
    /// From which time of the day on, by the machine's zone, a run sends the digest.
    pub digest_at: NaiveTime,
    /// Web addresses that are told how the run goes.
    pub pings: Pings,
    /// A chat that is told.
    pub webhook: Option<Webhook>,
}

impl Default for MailOptions {
    fn default() -> Self {
        Self {
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            subject_prefix: None,
            attach_output: AttachOutput::default(),
            conversation: true,
            deadline: Duration::from_secs(30),
            digest_at: NaiveTime::from_hms_opt(7, 0, 0).unwrap_or_default(),
            pings: Pings::default(),
            webhook: None,
        }
    }
}

/// Web addresses that are called when a run starts and ends, in the manner of healthchecks. As written: `${NAME}` in them
/// stands for a variable, so that what is secret in an address needn't stand in the project file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pings {
    /// When a run starts.
    pub start: Option<String>,
    /// When all of it succeeded.
    pub success: Option<String>,
    /// When it did not.
    pub failure: Option<String>,
}

/// A web address that takes a JSON body, as chats do.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// As written, with `${NAME}` for variables.
    pub url: String,
    /// After which runs it is called.
    pub when: EmailStrategy,
    /// What is sent, with placeholders; a text in the usual form unless set.
    pub body: Option<serde_json::Value>,
}

/// What stands for something in the texts of a webhook's body, between braces.
pub const WEBHOOK_PLACEHOLDERS: [&str; 11] = [
    "project",
    "status",
    "verdict",
    "summary",
    "run_id",
    "host",
    "duration",
    "failed",
    "exit_code",
    "last_lines",
    "profile",
];

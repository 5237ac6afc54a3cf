//! The schema of `mail` and `language`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::Duration;

/// How the mails are made up, and which web addresses are told how runs go.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
pub(super) struct Mail {
    /// Further addresses that get each mail, for all to see.
    cc: Option<Vec<String>>,
    /// Further addresses that get each mail, which nobody sees.
    bcc: Option<Vec<String>>,
    /// Where answers go; to the sender unless set.
    reply_to: Option<Vec<String>>,
    /// Stands before the subject.
    #[schemars(length(max = 80))]
    subject_prefix: Option<String>,
    /// Whether the whole output of scripts goes with the mail: never (unless set), that of scripts that failed
    /// (`failure`), or that of all (`always`, `true`).
    attach_output: Option<AttachOutput>,
    /// Whether all mails of the project are one conversation, with the same subject; they are unless set.
    conversation: Option<bool>,
    /// By how much mail may delay the end of a run; 30 seconds unless set. What isn't sent by then goes out later.
    deadline: Option<Duration>,
    /// From which time of the day on a run sends the digest, as in `07:00`, which it is unless set.
    #[schemars(regex(pattern = r"^\s*([01]?[0-9]|2[0-3]):[0-5]?[0-9](:[0-5]?[0-9])?\s*$"))]
    digest_at: Option<String>,
    /// Addresses that are called when a run starts and ends, for services that notice when nothing comes.
    pings: Option<Pings>,
    /// A chat that is told.
    webhook: Option<Webhook>,
}

/// Addresses that are called when a run starts and ends; `${NAME}` in them stands for a variable.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Pings {
    /// When a run starts.
    start: Option<WebAddress>,
    /// When it has ended and all of it succeeded.
    success: Option<WebAddress>,
    /// When it has ended otherwise.
    failure: Option<WebAddress>,
}

/// An address that takes JSON, as chats do.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Webhook {
    /// The address; `${NAME}` in it stands for a variable.
    url: WebAddress,
    /// After which runs it is called; after those with a failure (`failure_only`) unless set.
    when: Option<WebhookStrategy>,
    /// What is sent, with placeholders in its texts: `{project}`, `{status}`, `{verdict}`, `{summary}`, `{run_id}`,
    /// `{host}`, `{duration}`, `{failed}`, `{exit_code}`, `{last_lines}`, `{profile}`. `{"text": "{summary}"}` unless set.
    body: Option<Body>,
}

/// An address that begins with `https://`, or with `http://` on this machine, or with a variable.
struct WebAddress;

impl JsonSchema for WebAddress {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WebAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": r"^\s*([hH][tT][tT][pP][sS]?://|\$\{[A-Za-z0-9_]+\})"})
    }
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Body {
    Object(serde_json::Map<String, serde_json::Value>),
    List(Vec<serde_json::Value>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum AttachOutput {
    Always(bool),
    Word(AttachWord),
}

words!(
    AttachWord,
    "^([nN][eE][vV][eE][rR]|[fF][aA][iI][lL][uU][rR][eE]|[aA][lL][wW][aA][yY][sS])$",
    ["never", "failure", "always"]
);
words!(
    WebhookStrategy,
    "^([aA][lL][lL]|[fF][aA][iI][lL][uU][rR][eE]_[oO][nN][lL][yY]|[nN][oO][nN][eE]|[cC][hH][aA][nN][gG][eE][sS])$",
    ["all", "failure_only", "none", "changes"]
);
words!(pub(super) Language, "^([eE][nN]|[fF][rR]|[jJ][aA]|[kK][oO])$", ["en", "fr", "ja", "ko"]);

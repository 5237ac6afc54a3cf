//! Whom to tell of a project whose files can't be read, and how: what is kept of a project for that. No secret is in it.

use serde::{Deserialize, Serialize};

use super::web_address::shows_nothing_secret;
use super::{EmailStrategy, Language, MailOptions, Project, Webhook, is_secret_name};

/// The version of the form in which it is kept.
const VERSION: u32 = 1;

/// To whom a project's alarms go, and in which words. By what they are sent stands in `.env` files and the environment alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    version: u32,
    /// Who gets the mails.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// When mails are wanted; alarms go out unless it is never.
    pub email_strategy: EmailStrategy,
    /// The language of the mails.
    #[serde(default)]
    pub language: Language,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cc: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bcc: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reply_to: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    webhook: Option<KeptWebhook>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptWebhook {
    url: String,
    when: EmailStrategy,
    body: Option<serde_json::Value>,
}

impl Contact {
    /// What is kept of a project. A chat is among it only if variables have what is secret in its address.
    #[must_use]
    pub fn of(project: &Project) -> Self {
        let Project { recipients, email_strategy, language, mail, .. } = project;
        Self::new(recipients.clone(), *email_strategy, *language, mail.clone())
    }

    fn new(recipients: Vec<String>, email_strategy: EmailStrategy, language: Language, mail: MailOptions) -> Self {
        let MailOptions { cc, bcc, reply_to, subject_prefix, webhook, .. } = mail;
        let may_be_kept = |webhook: &Webhook| {
            shows_nothing_secret(&webhook.url) && webhook.body.as_ref().is_none_or(|body| !names_a_secret(body))
        };
        let kept = |Webhook { url, when, body }| KeptWebhook { url, when, body };
        Self {
            version: VERSION,
            recipients,
            email_strategy,
            language,
            cc,
            bcc,
            reply_to,
            subject_prefix,
            webhook: webhook.filter(may_be_kept).map(kept),
        }
    }

    /// The text that is kept.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What a kept text says; `None` if it can't be read, or a newer runner has written it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|contact: &Self| contact.version <= VERSION)
    }

    /// How mails are made up.
    #[must_use]
    pub fn mail(&self) -> MailOptions {
        let Self { cc, bcc, reply_to, subject_prefix, webhook, .. } = self.clone();
        let webhook = webhook.map(|KeptWebhook { url, when, body }| Webhook { url, when, body });
        MailOptions { cc, bcc, reply_to, subject_prefix, webhook, ..MailOptions::default() }
    }
}

/// Whether a name in it tells of a secret, however deep.
fn names_a_secret(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::Object(object) => {
            object.iter().any(|(name, value)| is_secret_name(name) || names_a_secret(value))
        }
        serde_json::Value::Array(list) => list.iter().any(names_a_secret),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(url: &str, body: &str) -> Contact {
        let webhook =
            Webhook { url: url.to_owned(), when: EmailStrategy::All, body: Some(serde_json::from_str(body).unwrap()) };
        let mail = MailOptions { webhook: Some(webhook), cc: vec!["b@example.com".into()], ..MailOptions::default() };
        Contact::new(vec!["a@example.com".into()], EmailStrategy::Changes, Language::Ko, mail)
    }

    #[test]
    fn what_is_kept_comes_back_and_has_no_secret() {
        let kept = contact("https://chat.example/${HOOK}", r#"{"text": "{summary}"}"#);
        assert_eq!(Contact::from_text(&kept.to_text()), Some(kept.clone()));
        assert_eq!(kept.mail().webhook.unwrap().url, "https://chat.example/${HOOK}");
        assert_eq!(kept.mail().cc, ["b@example.com"]);
        assert_eq!(contact("https://chat.example/s3cret", "{}").mail().webhook, None);
        assert_eq!(contact("${HOOK}", r#"{"a": [{"auth_token": "s3cret"}]}"#).mail().webhook, None);
        assert_eq!(Contact::from_text(&kept.to_text().replace("\"version\":1", "\"version\":2")), None);
        assert_eq!(Contact::from_text("{}"), None);
    }
}

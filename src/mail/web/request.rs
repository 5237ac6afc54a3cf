//! Which address is called, with what.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::mail::{DeliveryError, DeliveryFailure, Stage};
use crate::model::{MailOptions, RunReport, RunStatus, resolve_address, shown_address};

/// One of the addresses that a project may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebSlot {
    /// The ping when a run starts.
    Start,
    /// The ping when all of it succeeded.
    Success,
    /// The ping when it did not.
    Failure,
    /// The chat.
    Webhook,
}

impl WebSlot {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Start, Self::Success, Self::Failure, Self::Webhook];

    /// The word that stands in the outbox.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Webhook => "webhook",
        }
    }

    /// The slot named by [`WebSlot::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.name() == name)
    }

    /// The ping that tells how a run ended.
    #[must_use]
    pub fn of_end(report: &RunReport) -> Self {
        if report.status == RunStatus::Success { Self::Success } else { Self::Failure }
    }

    /// The address as the project writes it; `None` if it names none.
    #[must_use]
    pub fn address(self, options: &MailOptions) -> Option<&str> {
        let pings = &options.pings;
        match self {
            Self::Start => pings.start.as_deref(),
            Self::Success => pings.success.as_deref(),
            Self::Failure => pings.failure.as_deref(),
            Self::Webhook => options.webhook.as_ref().map(|webhook| webhook.url.as_str()),
        }
    }

    /// Where that stands in the project file.
    fn key(self) -> &'static str {
        match self {
            Self::Start => "mail.pings.start",
            Self::Success => "mail.pings.success",
            Self::Failure => "mail.pings.failure",
            Self::Webhook => "mail.webhook.url",
        }
    }
}

/// A call that is ready to be made.
#[derive(Clone)]
pub struct WebRequest {
    pub(super) slot: WebSlot,
    /// With its secrets.
    pub(super) url: SecretString,
    /// What may be shown of it.
    pub(super) shown: String,
    pub(super) body: String,
    /// Certificates to trust beside the system's, in PEM.
    pub(super) ca: Option<Vec<u8>>,
}

impl fmt::Debug for WebRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, shown, body, .. } = self;
        f.debug_struct("WebRequest").field("slot", slot).field("url", shown).field("body", body).finish_non_exhaustive()
    }
}

impl WebRequest {
    /// The call of one of a project's addresses; `None` if it doesn't name that one (any more). `dotenv` are the values of
    /// the project's `.env` files; `env` looks up the process environment, which wins.
    ///
    /// # Errors
    /// When a variable isn't set that the address needs, what comes out is no address, or the file that `MAIL_CA_FILE`
    /// names can't be read. Trying again helps once somebody has mended it.
    pub fn of(
        options: &MailOptions,
        slot: WebSlot,
        body: String,
        dotenv: &BTreeMap<String, SecretString>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, DeliveryError> {
        let Some(written) = slot.address(options) else { return Ok(None) };
        let from_dotenv = |name: &str| dotenv.get(name).map(|value| value.expose_secret().to_owned());
        let variable = |name: &str| env(name).filter(|value| !value.is_empty()).or_else(|| from_dotenv(name));
        let unfit = |sentence: String| DeliveryError {
            failure: DeliveryFailure::Temporary,
            stage: Stage::Lookup,
            sentence,
            reply: None,
        };
        let shown = shown_address(written);
        let url = resolve_address(written, &variable).map_err(|error| {
            let hint = "set it in a file named .env in the project's folder, or in the environment of whoever runs it";
            unfit(format!("cannot call {shown} ({}): {error}; {hint}", slot.key()))
        })?;
        let ca = match variable("MAIL_CA_FILE").filter(|file| !file.is_empty()) {
            Some(file) => Some(std::fs::read(&file).map_err(|error| {
                unfit(format!("cannot call {shown}: cannot read {file}, which MAIL_CA_FILE names: {error}"))
            })?),
            None => None,
        };
        // Of a variable's value no more is shown than of an address that stands in the file.
        let shown = shown_address(&url);
        Ok(Some(Self { slot, url: url.into(), shown, body, ca }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EmailStrategy, Pings, Webhook};

    #[test]
    fn variables_are_filled_in_and_never_shown() {
        let options = MailOptions {
            pings: Pings { success: Some("${HC}/done".to_owned()), failure: Some("${NOPE}/x".to_owned()), start: None },
            webhook: Some(Webhook {
                url: "https://chat.example/s3cret".to_owned(),
                when: EmailStrategy::All,
                body: None,
            }),
            ..MailOptions::default()
        };
        let dotenv = [("HC".to_owned(), SecretString::from("https://hc.example/s3cret"))].into();
        let of =
            |slot, env: &dyn Fn(&str) -> Option<String>| WebRequest::of(&options, slot, "b".to_owned(), &dotenv, env);
        let none = |_: &str| None;
        let request = of(WebSlot::Success, &none).unwrap().unwrap();
        assert_eq!(request.url.expose_secret(), "https://hc.example/s3cret/done");
        assert!(of(WebSlot::Start, &none).unwrap().is_none());
        let env = |name: &str| (name == "HC").then(|| "https://other.example".to_owned());
        assert_eq!(of(WebSlot::Success, &env).unwrap().unwrap().url.expose_secret(), "https://other.example/done");
        let webhook = of(WebSlot::Webhook, &none).unwrap().unwrap();
        for request in [&request, &webhook] {
            assert!(!format!("{request:?} {}", request.shown).contains("s3cret"), "{request:?}");
        }
        let error = of(WebSlot::Failure, &none).unwrap_err();
        assert_eq!(
            error.sentence,
            "cannot call ${NOPE} (mail.pings.failure): the variable NOPE is not set; set it in a file named .env in the \
             project's folder, or in the environment of whoever runs it"
        );
        let env = |name: &str| (name == "MAIL_CA_FILE").then(|| "/nowhere/ca.pem".to_owned());
        assert!(of(WebSlot::Success, &env).unwrap_err().sentence.contains("cannot read /nowhere/ca.pem"));
    }

    #[test]
    fn slots_have_names() {
        for slot in WebSlot::ALL {
            assert_eq!(WebSlot::from_name(slot.name()), Some(slot));
        }
        assert_eq!(WebSlot::from_name("end"), None);
    }
}

//! Requests to whoever issues tokens (RFC 6749, RFC 8628, and the forms that Microsoft's identity platform gives them).

use std::time::Duration;

use serde_json::Value;

use super::explain::{self, Refusal};
use crate::mail::http;
use crate::mail::{DeliveryError, MailSettings};

/// What an application asks for: whatever was granted to it at Exchange Online.
const APP_SCOPE: &str = "https://outlook.office365.com/.default";
/// What a person is asked to grant: sending mail, and that it holds on when nobody is there.
const DELEGATED_SCOPE: &str = "https://outlook.office.com/SMTP.Send offline_access";
/// What a token lives where its issuer doesn't say; Microsoft's live longer.
const USUAL_LIFETIME: u64 = 600;
/// Replies are a few kilobytes.
const LONGEST: u64 = 1024 * 1024;

/// Where requests go.
pub(super) struct Endpoint<'a> {
    settings: &'a MailSettings,
    tenant: &'a str,
    client_id: &'a str,
    limit: Duration,
}

/// A token was issued.
pub(super) struct Granted {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    /// Seconds.
    pub(super) lifetime: u64,
}

/// What a person needs to sign in on another device.
#[derive(Clone)]
pub struct DeviceCode {
    /// What to type there.
    pub user_code: String,
    /// The address to open.
    pub verification_uri: String,
    /// How long that may take.
    pub lifetime: Duration,
    pub(super) device_code: String,
    pub(super) interval: Duration,
}

/// No token was issued.
pub(super) enum Trouble {
    /// The issuer says why.
    Refused(Refusal),
    /// It couldn't be asked, or is in no state to answer.
    Failed(DeliveryError),
}

impl Trouble {
    /// In words.
    pub(super) fn explained(self, settings: &MailSettings) -> DeliveryError {
        match self {
            Self::Refused(refusal) => explain::refusal(&refusal, settings),
            Self::Failed(error) => error,
        }
    }
}

impl<'a> Endpoint<'a> {
    /// `limit` is the time that a request may take.
    pub(super) fn new(settings: &'a MailSettings, tenant: &'a str, client_id: &'a str, limit: Duration) -> Self {
        Self { settings, tenant, client_id, limit }
    }

    /// A token for the application itself (RFC 6749, section 4.4).
    pub(super) fn for_app(&self, secret: &str) -> Result<Granted, Trouble> {
        self.token(&[("grant_type", "client_credentials"), ("client_secret", secret), ("scope", APP_SCOPE)])
    }

    /// A new token for a person who has signed in before (RFC 6749, section 6).
    pub(super) fn renew(&self, refresh_token: &str) -> Result<Granted, Trouble> {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("scope", DELEGATED_SCOPE)])
    }

    /// The token for a person who is signing in, if that is done (RFC 8628, section 3.4).
    pub(super) fn after_device_code(&self, code: &DeviceCode) -> Result<Granted, Trouble> {
        const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
        self.token(&[("grant_type", GRANT), ("device_code", &code.device_code)])
    }

    /// Begins to sign a person in (RFC 8628, section 3.1).
    pub(super) fn device_code(&self) -> Result<DeviceCode, Trouble> {
        let answer = self.ask("devicecode", &[("scope", DELEGATED_SCOPE)])?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        let seconds = |name: &str, usual: u64| {
            Duration::from_secs(answer.get(name).and_then(number).unwrap_or(usual).clamp(1, 24 * 3600))
        };
        // Some name the address as they did before there was a standard.
        let address = text("verification_uri").or_else(|| text("verification_url"));
        match (text("user_code"), address, text("device_code")) {
            (Some(user_code), Some(verification_uri), Some(device_code)) => {
                let (lifetime, interval) = (seconds("expires_in", 900), seconds("interval", 5));
                Ok(DeviceCode { user_code, verification_uri, lifetime, device_code, interval })
            }
            _ => Err(Trouble::Failed(explain::strange_answer(200, self.settings))),
        }
    }

    fn token(&self, form: &[(&str, &str)]) -> Result<Granted, Trouble> {
        let answer = self.ask("token", form)?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let Some(access_token) = text("access_token").map(str::to_owned) else {
            return Err(Trouble::Failed(explain::strange_answer(200, self.settings)));
        };
        let lifetime = answer.get("expires_in").and_then(number).unwrap_or(USUAL_LIFETIME);
        Ok(Granted { access_token, refresh_token: text("refresh_token").map(str::to_owned), lifetime })
    }

    fn ask(&self, verb: &str, form: &[(&str, &str)]) -> Result<Value, Trouble> {
        let MailSettings { authority, ca, .. } = self.settings;
        let address = format!("{authority}/{}/oauth2/v2.0/{verb}", self.tenant);
        let agent = http::agent(ca.as_deref(), self.limit);
        // Secrets go to whom the settings name, and to nobody to whom that one would send them on.
        let mut request = agent.post(&address).config().max_redirects(0);
        // Only a place on this machine may be asked in the clear, which a proxy would look for on its own.
        if authority.starts_with("http:") {
            request = request.proxy(None);
        }
        let form = form.iter().copied().chain([("client_id", self.client_id)]);
        let failed = |error: &ureq::Error| Trouble::Failed(explain::unanswered(error, self.settings, self.limit));
        let mut response = request.build().send_form(form).map_err(|error| failed(&error))?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(LONGEST).read_to_vec().map_err(|error| failed(&error))?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        match (status, Refusal::of(&answer)) {
            (200, None) if answer.is_object() => Ok(answer),
            (408 | 429 | 500.., refusal) => {
                Err(Trouble::Failed(explain::in_trouble(status, refusal.as_ref(), self.settings)))
            }
            (_, Some(refusal)) => Err(Trouble::Refused(refusal)),
            _ => Err(Trouble::Failed(explain::strange_answer(status, self.settings))),
        }
    }
}

/// A number, also one in quotes, as older endpoints give it.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

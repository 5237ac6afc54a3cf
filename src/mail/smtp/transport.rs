//! One mail to a server, for whoever has no outbox.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::SmtpCourier;
use crate::mail::explain::explain_no_token;
use crate::mail::{
    Accepted, Courier, Deadline, DeliveryError, FinishedMessage, MailSettings, Outgoing, TokenSource, Transport,
};

/// Delivers to the server that the settings name, each message over a connection of its own, signing in with a password.
#[derive(Debug)]
pub struct SmtpTransport {
    settings: MailSettings,
}

impl SmtpTransport {
    /// Over these settings. Nothing is connected yet.
    #[must_use]
    pub fn new(settings: MailSettings) -> Self {
        Self { settings }
    }
}

impl Transport for SmtpTransport {
    fn send(&self, message: &FinishedMessage, deadline: Duration) -> Result<Accepted, DeliveryError> {
        let outgoing = Outgoing { bytes: message.bytes.clone(), envelope: message.envelope.clone() };
        let mut courier = SmtpCourier::new(self.settings.clone(), Arc::new(NoTokens));
        courier.send(&outgoing, &Deadline::after(deadline), &mut || ())
    }
}

/// Where nobody could have signed in.
#[derive(Debug)]
pub(crate) struct NoTokens;

impl TokenSource for NoTokens {
    fn token(&self, settings: &MailSettings, _renew: bool) -> Result<SecretString, DeliveryError> {
        Err(explain_no_token(settings))
    }
}

//! Nobody to have tokens from.

use secrecy::SecretString;

use crate::mail::explain::explain_no_token;
use crate::mail::{DeliveryError, MailSettings, TokenSource};

/// Where nobody could have signed in.
#[derive(Debug)]
pub(crate) struct NoTokens;

impl TokenSource for NoTokens {
    fn token(&self, settings: &MailSettings, _renew: bool) -> Result<SecretString, DeliveryError> {
        Err(explain_no_token(settings))
    }
}

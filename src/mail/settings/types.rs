//! Where mails go out and who signs in: what is known once the variables are read.

use lettre::message::Mailbox;
use secrecy::SecretString;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// It begins in the clear and must be upgraded before anything is said.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// Not at all; only to this very machine.
    None,
}

/// What is needed to send a mail.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// Who signs in.
    pub login: String,
    /// With what.
    pub sign_in: SignIn,
    /// Who the mails are from.
    pub from: Mailbox,
    /// Certificates to trust beside the system's, in PEM.
    pub ca: Option<Vec<u8>>,
    /// Who issues tokens: the beginning of the token endpoint's address, without a slash at its end.
    pub authority: String,
    /// Messages that may go out in a minute; `None`: any number.
    pub rate: Option<u32>,
}

impl MailSettings {
    /// Whether the server is one of Microsoft's, whose ways and limits are known.
    #[must_use]
    pub fn is_microsoft(&self) -> bool {
        is_microsoft(&self.host)
    }
}

/// Whether a server for submission is one of Microsoft's (their "POP, IMAP, and SMTP settings for Outlook.com" and
/// "Client SMTP submission").
pub(super) fn is_microsoft(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host.ends_with(".office365.com") || host.ends_with(".outlook.com")
}

/// With what one signs in.
#[derive(Debug, Clone)]
pub enum SignIn {
    /// With a password: basic authentication.
    Password(SecretString),
    /// As an application, with a secret of its own (OAuth 2.0 client credentials, RFC 6749, section 4.4).
    App {
        /// The directory.
        tenant: String,
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
    /// As a person who has signed in once with `runner mail login` (OAuth 2.0 device authorization, RFC 8628).
    Delegated {
        /// The directory, `consumers` for personal accounts.
        tenant: String,
        /// The application.
        client_id: String,
    },
}

/// Has the tokens to sign in with, from a cache or from who issues them.
pub trait TokenSource: Send + Sync + std::fmt::Debug {
    /// An access token for these settings; with `renew` a new one even if the one at hand has not expired, because a
    /// server has refused it.
    ///
    /// # Errors
    /// When there is none to be had.
    fn token(&self, settings: &MailSettings, renew: bool) -> Result<SecretString, crate::mail::DeliveryError>;
}

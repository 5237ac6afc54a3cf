//! What comes of a message: whoever took it, who was refused, or what kept it, and when.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::NextStep;

/// The message was taken, for one recipient at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What the server said, as in `250 2.0.0 OK <ID@host>`.
    pub reply: String,
    /// Recipients who don't get it.
    pub refused: Vec<Refused>,
    /// The Message-ID that the server gave it, with its angle brackets, as Exchange tells it in its reply.
    pub message_id: Option<String>,
}

/// A recipient whom the server refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The address.
    pub recipient: String,
    /// What the server said.
    pub reply: String,
}

impl Refused {
    /// Whether the server may take the mail for this recipient later (4yz; RFC 5321, section 4.2.1).
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.reply.starts_with('4')
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.recipient, self.reply)
    }
}

/// How far a delivery had got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Looking the server up.
    Lookup,
    /// Connecting, and the server's greeting.
    Connect,
    /// Agreeing on TLS.
    StartTls,
    /// Having a token issued to sign in with.
    Token,
    /// Signing in.
    SignIn,
    /// Naming the sender.
    Sender,
    /// Naming the recipients.
    Recipients,
    /// Announcing the message.
    Data,
    /// Handing the message over: if this fails, nobody knows whether the server has it.
    Message,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lookup => "looking up the server",
            Self::Connect => "connecting",
            Self::StartTls => "agreeing on encryption",
            Self::Token => "having a token issued",
            Self::SignIn => "signing in",
            Self::Sender => "naming the sender",
            Self::Recipients => "naming the recipients",
            Self::Data => "announcing the message",
            Self::Message => "handing the message over",
        })
    }
}

/// What kept a message from being delivered; decides whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryFailure {
    /// It took too long.
    Deadline,
    /// The server's name is unknown.
    NoSuchHost,
    /// Nobody could be reached there.
    Unreachable,
    /// The connection broke.
    ConnectionLost,
    /// The server's certificate is not to be trusted.
    Certificate,
    /// No encryption could be agreed on.
    Tls,
    /// Nobody has signed in for this account yet, or the sign-in has expired or was withdrawn.
    NotSignedIn,
    /// The token endpoint refuses the application or its secret.
    TokenRefused,
    /// The token endpoint can't be reached or has trouble.
    TokenUnavailable,
    /// The server refuses the token.
    TokenNotAccepted,
    /// The server takes no password.
    NoPasswordSignIn,
    /// The server has stopped taking passwords for this mailbox.
    BasicAuthenticationOff,
    /// The login or the password is wrong.
    WrongCredentials,
    /// The login may not send in this sender's name.
    SenderRefused,
    /// No recipient was accepted.
    RecipientsRefused,
    /// The mailbox has sent too much.
    QuotaExceeded,
    /// The message is larger than the server takes.
    TooLarge,
    /// The server asks to try later.
    Temporary,
    /// The server refuses for good.
    Permanent,
    /// A file could not be written.
    File,
}

/// A message was not delivered: what happened, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{sentence}{}", reply.as_ref().map_or_else(String::new, |reply| format!(" (the server said: {reply})")))]
pub struct DeliveryError {
    /// What kept it.
    pub failure: DeliveryFailure,
    /// When.
    pub stage: Stage,
    /// What happened and what to do about it, in plain words.
    pub sentence: String,
    /// What the server said, on one line.
    pub reply: Option<String>,
}

impl DeliveryError {
    /// What is to be done about the message.
    #[must_use]
    pub fn next_step(&self) -> NextStep {
        use DeliveryFailure as F;
        match self.failure {
            F::Deadline
            | F::NoSuchHost
            | F::Unreachable
            | F::ConnectionLost
            | F::Certificate
            | F::Tls
            | F::TokenUnavailable
            | F::Temporary
            | F::File => NextStep::Retry,
            F::QuotaExceeded => NextStep::Pause,
            F::NotSignedIn
            | F::TokenRefused
            | F::TokenNotAccepted
            | F::NoPasswordSignIn
            | F::BasicAuthenticationOff
            | F::WrongCredentials
            | F::SenderRefused => NextStep::Hold,
            // One of them who may be taken later is reason enough; the reply is then that one's.
            F::RecipientsRefused if self.reply.as_ref().is_some_and(|reply| reply.starts_with('4')) => NextStep::Retry,
            F::RecipientsRefused | F::TooLarge => NextStep::Fail,
            // Before the sender is named, a refusal is none of this message.
            F::Permanent if matches!(self.stage, Stage::Connect | Stage::StartTls | Stage::SignIn) => NextStep::Hold,
            F::Permanent => NextStep::Fail,
        }
    }

    /// Whether the server may have the message: it was being handed over, and there was no answer.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.stage == Stage::Message && self.reply.is_none()
    }
}

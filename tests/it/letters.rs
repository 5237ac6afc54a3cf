//! What tests of the wire share: a letter, settings for a server, tokens from a drawer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lettre::address::Envelope;
use project_runner::mail::{
    Accepted, Courier, Deadline, DeliveryError, DeliveryFailure, MailSettings, MailTls, Outgoing, SignIn, SmtpCourier,
    Stage, TokenSource,
};
use secrecy::SecretString;

use crate::smtp_server::{LOGIN, PASSWORD, SmtpServer};

/// Long enough for a busy machine.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);
pub(crate) const EVERYBODY: [&str; 3] = ["ann@example.test", "bob@example.test", "cho@example.test"];

/// A letter with everything in it that a careless client harms.
pub(crate) fn letter(subject: &str) -> Outgoing {
    letter_to(subject, &EVERYBODY)
}

pub(crate) fn letter_to(subject: &str, recipients: &[&str]) -> Outgoing {
    let text = format!(
        "From: {LOGIN}\r\nTo: {}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@runner>\r\n\r\n.\r\n..\r\n. dots\r\nend.\r\n\r\n",
        recipients.join(", ")
    );
    let to = recipients.iter().map(|one| one.parse().unwrap()).collect();
    Outgoing { bytes: text.into_bytes(), envelope: Envelope::new(Some(LOGIN.parse().unwrap()), to).unwrap() }
}

pub(crate) fn settings(server: &SmtpServer) -> MailSettings {
    settings_of(server.port, &server.ca)
}

/// For a server on this machine, with the password.
pub(crate) fn settings_of(port: u16, ca: &str) -> MailSettings {
    MailSettings {
        host: "127.0.0.1".to_owned(),
        port,
        tls: MailTls::StartTls,
        login: LOGIN.to_owned(),
        sign_in: SignIn::Password(PASSWORD.into()),
        from: LOGIN.parse().unwrap(),
        ca: Some(ca.as_bytes().to_vec()),
        authority: String::new(),
        rate: None,
    }
}

pub(crate) fn with_token(server: &SmtpServer) -> MailSettings {
    let sign_in = SignIn::Delegated { tenant: "consumers".into(), client_id: "app".into() };
    MailSettings { sign_in, ..settings(server) }
}

/// The token at hand, and the one that comes when that was refused.
#[derive(Debug)]
pub(crate) struct Drawer {
    tokens: Option<[&'static str; 2]>,
    /// What was asked for: whether another one was wanted.
    asked: Mutex<Vec<bool>>,
}

impl Drawer {
    pub(crate) fn of(first: &'static str, second: &'static str) -> Arc<Self> {
        Arc::new(Self { tokens: Some([first, second]), asked: Mutex::default() })
    }

    pub(crate) fn empty() -> Arc<Self> {
        Arc::new(Self { tokens: None, asked: Mutex::default() })
    }

    pub(crate) fn asked(&self) -> Vec<bool> {
        self.asked.lock().unwrap().clone()
    }
}

impl TokenSource for Drawer {
    fn token(&self, _settings: &MailSettings, renew: bool) -> Result<SecretString, DeliveryError> {
        self.asked.lock().unwrap().push(renew);
        let none = || DeliveryError {
            failure: DeliveryFailure::NotSignedIn,
            stage: Stage::Token,
            sentence: "nobody has signed in".to_owned(),
            reply: None,
        };
        self.tokens.map(|tokens| tokens[usize::from(renew)].into()).ok_or_else(none)
    }
}

pub(crate) fn courier(settings: MailSettings) -> SmtpCourier {
    SmtpCourier::new(settings, Drawer::empty())
}

/// Sends it within a minute; the number says how often the message was about to be handed over.
pub(crate) fn send(courier: &mut SmtpCourier, letter: &Outgoing) -> (Result<Accepted, DeliveryError>, usize) {
    send_within(courier, letter, PATIENT)
}

pub(crate) fn send_within(
    courier: &mut SmtpCourier,
    letter: &Outgoing,
    time: Duration,
) -> (Result<Accepted, DeliveryError>, usize) {
    let mut handed = 0;
    let result = courier.send(letter, &Deadline::after(time), &mut || handed += 1);
    (result, handed)
}

//! The courier's lane, in a process of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lettre::address::Envelope;
use project_runner::mail::{
    Courier, Deadline, DeliveryError, DeliveryFailure, MailSettings, MailTls, Outgoing, SignIn, SmtpCourier, Stage,
    TokenSource,
};
use secrecy::SecretString;

use super::lanes::{RECIPIENT, Result, report};
use super::smtp_server::{LOGIN, PASSWORD};

/// Sends the letter so many times, and prints seconds and peak memory in KiB.
pub(super) fn send(port: &str, ca: &str, letter: &str, count: &str) -> Result<()> {
    let settings = MailSettings {
        host: "127.0.0.1".to_owned(),
        port: port.parse()?,
        tls: MailTls::StartTls,
        login: LOGIN.to_owned(),
        sign_in: SignIn::Password(PASSWORD.into()),
        from: LOGIN.parse()?,
        ca: Some(std::fs::read(ca)?),
        authority: String::new(),
        rate: None,
    };
    let envelope = Envelope::new(Some(LOGIN.parse()?), vec![RECIPIENT.parse()?])?;
    let letter = Outgoing { bytes: std::fs::read(letter)?, envelope };
    let count: u32 = count.parse()?;
    let begin = Instant::now();
    let mut courier = SmtpCourier::new(settings, Arc::new(NoTokens));
    for _ in 0..count {
        courier.send(&letter, &Deadline::after(Duration::from_secs(60)), &mut || ())?;
    }
    report(begin.elapsed())
}

/// Nobody asks for one where a password signs in.
#[derive(Debug)]
struct NoTokens;

impl TokenSource for NoTokens {
    fn token(&self, _settings: &MailSettings, _renew: bool) -> std::result::Result<SecretString, DeliveryError> {
        let sentence = "there are no tokens here".to_owned();
        Err(DeliveryError { failure: DeliveryFailure::NotSignedIn, stage: Stage::Token, sentence, reply: None })
    }
}

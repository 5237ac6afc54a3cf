//! The conversation with a server, over a connection of lettre's. It is driven command by command, because lettre's own
//! `send` gives everybody's mail up when one recipient is refused, and its timeout is one for each read.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use secrecy::{ExposeSecret, SecretString};

use super::Transcript;
use super::job::Job;
use super::stuffed::Stuffed;
use crate::mail::explain::{
    explain, explain_lookup, explain_lost, explain_no_password, explain_no_xoauth2, explain_refused, explain_too_large,
};
use crate::mail::message::host_label;
use crate::mail::render::one_line;
use crate::mail::{Accepted, DeliveryError, DeliveryFailure, MailTls, Refused, SignIn, Stage, TokenSource};

/// How long a server is given for its greeting when it has further addresses.
const PATIENCE_PER_ADDRESS: Duration = Duration::from_secs(10);
/// How long the farewell may take when another connection is to follow.
const QUIT: Duration = Duration::from_secs(1);

/// From so many bytes on a server is asked how large a message may be: each takes smaller ones.
const LARGE: u64 = 1024 * 1024;

/// A connection, as long as there is one, and what it takes to make another.
pub(super) struct Session {
    tokens: Arc<dyn TokenSource>,
    transcript: Option<Transcript>,
    connection: Option<SmtpConnection>,
    /// Made once: it takes the system's certificates, which may be many.
    tls: Option<TlsParameters>,
    /// Whether the connection is in the midst of a message that was given up.
    dirty: bool,
    /// Messages that went out over this connection.
    sent: u32,
    /// So many the server takes over one connection, as it has shown.
    limit: Option<u32>,
}

type Step<T> = Result<T, DeliveryError>;

impl Session {
    pub(super) fn new(tokens: Arc<dyn TokenSource>, transcript: Option<Transcript>) -> Self {
        Self { tokens, transcript, connection: None, tls: None, dirty: false, sent: 0, limit: None }
    }

    /// Delivers one message, over the connection at hand if it still works.
    pub(super) fn deliver(&mut self, job: &Job) -> Step<Accepted> {
        if self.limit.is_some_and(|limit| self.sent >= limit) {
            self.quit(QUIT.min(job.enter(Stage::Connect)?));
        }
        if self.connection.is_some() {
            match self.attempt(job) {
                Err(error) if self.is_over(&error) => self.quit(QUIT.min(job.enter(Stage::Connect)?)),
                result => return result,
            }
        }
        self.open(job).inspect_err(|_| self.connection = None)?;
        self.attempt(job)
    }

    /// Whether an error over a connection that was in use already tells of this connection alone: the server has closed
    /// it, or wants another one for further messages.
    fn is_over(&mut self, error: &DeliveryError) -> bool {
        let wants_another = |reply: &String| reply.starts_with("421") || reply.starts_with("432");
        let enough = error.reply.as_ref().is_some_and(wants_another);
        if enough && self.sent > 0 {
            self.limit = Some(self.sent);
        }
        error.stage != Stage::Message && (enough || error.failure == DeliveryFailure::ConnectionLost)
    }

    fn attempt(&mut self, job: &Job) -> Step<Accepted> {
        let result = self.transact(job);
        match &result {
            Ok(_) => self.sent += 1,
            // After a refusal the connection is still good (RFC 5321, section 4.1.1.5), unless the server closes it.
            Err(error) if error.reply.as_ref().is_some_and(|reply| !reply.starts_with("421")) => self.dirty = true,
            Err(_) => self.connection = None,
        }
        result
    }

    fn transact(&mut self, job: &Job) -> Step<Accepted> {
        if std::mem::take(&mut self.dirty) {
            self.say(job, Stage::Sender, "RSET\r\n")?;
        }
        self.check_size(job)?;
        let refused = self.announce(job)?;
        self.say(job, Stage::Data, Data)?;
        job.ask_to_hand_over()?;
        let bytes = &job.message.bytes;
        let shown = format!("the message, {} bytes", bytes.len());
        let response = self.exchange(job, Stage::Message, &shown, |connection| match std::str::from_utf8(bytes) {
            Ok(text) => connection.command(Stuffed(text)),
            // lettre adds the line break before the final dot always.
            Err(_) => connection.message(bytes.strip_suffix(b"\r\n").unwrap_or(bytes)),
        })?;
        let reply = said(&response);
        Ok(Accepted { message_id: message_id(&reply), reply, refused })
    }

    /// Says good-bye.
    pub(super) fn quit(&mut self, patience: Duration) {
        if let Some(mut connection) = self.connection.take()
            && connection.set_timeout(Some(patience)).is_ok()
        {
            self.tell("> QUIT");
            let _ = connection.quit();
        }
    }

    /// Connects and signs in. A token that is refused may have been withdrawn before its time: another one is tried, once.
    fn open(&mut self, job: &Job) -> Step<()> {
        (self.dirty, self.sent) = (false, 0);
        if let SignIn::Password(password) = &job.settings.sign_in {
            self.connect(job)?;
            return self.sign_in_by_password(job, password);
        }
        let token = self.token(job, false)?;
        self.connect(job)?;
        match self.sign_in_by_token(job, &token) {
            Err(error) if error.failure == DeliveryFailure::TokenNotAccepted && error.reply.is_some() => {
                self.connection = None;
                let token = self.token(job, true)?;
                self.connect(job)?;
                self.sign_in_by_token(job, &token)
            }
            result => result,
        }
    }

    fn token(&mut self, job: &Job, renew: bool) -> Step<SecretString> {
        job.enter(Stage::Token)?;
        self.tell(if renew { "* asking for another token" } else { "* asking for a token" });
        self.tokens.token(&job.settings, renew).inspect_err(|error| self.tell(&format!("* {error}")))
    }

    fn connect(&mut self, job: &Job) -> Step<()> {
        job.enter(Stage::Lookup)?;
        let settings = &job.settings;
        let addresses: Vec<SocketAddr> = (settings.host.as_str(), settings.port)
            .to_socket_addrs()
            .map_err(|error| explain_lookup(&error.to_string(), settings))?
            .collect();
        let tls = match settings.tls {
            MailTls::None => None,
            MailTls::StartTls | MailTls::Implicit => Some(self.tls(job)?),
        };
        let wrapper = tls.as_ref().filter(|_| settings.tls == MailTls::Implicit);
        let hello = hello();
        let mut last = explain_lookup("it has no address", settings);
        for (index, address) in addresses.iter().enumerate() {
            let left = job.enter(Stage::Connect)?;
            let patience = if index + 1 < addresses.len() { left.min(PATIENCE_PER_ADDRESS) } else { left };
            self.tell(&format!("* connecting to {} at {address}", settings.host));
            match SmtpConnection::connect(address, Some(patience), &hello, wrapper, None) {
                Ok(connection) => {
                    self.greeted(&connection, &hello);
                    self.connection = Some(connection);
                    return match tls.as_ref().filter(|_| settings.tls == MailTls::StartTls) {
                        Some(tls) => self.encrypt(job, tls, &hello),
                        None => Ok(()),
                    };
                }
                Err(error) => {
                    last = explain(&error, Stage::Connect, settings, job.took());
                    self.tell(&format!("* {last}"));
                }
            }
        }
        Err(last)
    }

    fn encrypt(&mut self, job: &Job, tls: &TlsParameters, hello: &ClientId) -> Step<()> {
        self.tell("> STARTTLS");
        self.quietly(job, Stage::StartTls, |connection| connection.starttls(tls, hello))
            .inspect_err(|error| self.tell(&format!("* {error}")))?;
        if let Some(connection) = &self.connection {
            self.greeted(connection, hello);
        }
        Ok(())
    }

    /// The system's certificates, and those of `MAIL_CA_FILE`. There is no way to leave the check out.
    fn tls(&mut self, job: &Job) -> Step<TlsParameters> {
        if let Some(tls) = &self.tls {
            return Ok(tls.clone());
        }
        let explained = |error: SmtpError| explain(&error, Stage::StartTls, &job.settings, job.took());
        let mut builder = TlsParameters::builder(job.settings.host.clone());
        if let Some(pem) = &job.settings.ca {
            builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(explained)?);
        }
        Ok(self.tls.insert(builder.build().map_err(explained)?).clone())
    }

    fn offers(&self, feature: Extension) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.server_info().supports_feature(feature))
    }

    fn sign_in_by_password(&mut self, job: &Job, password: &SecretString) -> Step<()> {
        job.enter(Stage::SignIn)?;
        // Exchange offers no PLAIN; LOGIN was never more than a draft.
        let offered = [Mechanism::Plain, Mechanism::Login];
        let offered = offered.into_iter().find(|mechanism| self.offers(Extension::Authentication(*mechanism)));
        let mechanism = offered.ok_or_else(|| explain_no_password(&job.settings))?;
        let credentials = Credentials::new(job.settings.login.clone(), password.expose_secret().to_owned());
        let shown = format!("AUTH {mechanism} (as {}, with a password)", job.settings.login);
        self.exchange(job, Stage::SignIn, &shown, |connection| connection.auth(&[mechanism], &credentials))?;
        Ok(())
    }

    /// By the mechanism that Google described and Microsoft took over. Not by lettre's, which has no answer to a challenge:
    /// a server may tell of a refusal by one, which an empty line is the answer to.
    fn sign_in_by_token(&mut self, job: &Job, token: &SecretString) -> Step<()> {
        use base64::Engine;
        job.enter(Stage::SignIn)?;
        let login = &job.settings.login;
        if !self.offers(Extension::Authentication(Mechanism::Xoauth2)) {
            return Err(explain_no_xoauth2(&job.settings));
        }
        let response = SecretString::from(format!("user={login}\u{1}auth=Bearer {}\u{1}\u{1}", token.expose_secret()));
        let line = base64::engine::general_purpose::STANDARD.encode(response.expose_secret());
        let line = SecretString::from(format!("AUTH XOAUTH2 {line}\r\n"));
        let shown = format!("AUTH XOAUTH2 (as {login}, with a token)");
        let answer =
            self.exchange(job, Stage::SignIn, &shown, |connection| connection.command(line.expose_secret()))?;
        if answer.has_code(334) {
            self.exchange(job, Stage::SignIn, "(an empty line)", |connection| connection.command("\r\n"))?;
        }
        Ok(())
    }

    /// Whether the server says that it takes no message of this size. Asked anew (RFC 5321, section 4.1.4), since lettre keeps
    /// to itself what it was told.
    fn check_size(&mut self, job: &Job) -> Step<()> {
        let size = job.message.bytes.len() as u64;
        if size < LARGE {
            return Ok(());
        }
        match self.say(job, Stage::Sender, Ehlo::new(hello())) {
            Ok(answer) => match size_limit(&answer).filter(|limit| *limit < size) {
                Some(limit) => Err(explain_too_large(Some(limit), None, Stage::Sender)),
                None => Ok(()),
            },
            // Who doesn't like to be asked twice says what is too large when it comes.
            Err(DeliveryError { reply: Some(reply), .. }) if !reply.starts_with("421") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Names sender and recipients; returns the recipients who were refused.
    fn announce(&mut self, job: &Job) -> Step<Vec<Refused>> {
        let envelope = &job.message.envelope;
        let utf8 = self.offers(Extension::SmtpUtfEight);
        let mut parameters = Vec::new();
        let addresses = envelope.to().iter().chain(envelope.from());
        if utf8 && addresses.map(AsRef::<str>::as_ref).any(|address| !address.is_ascii()) {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !job.message.bytes.is_ascii() && self.offers(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        self.say(job, Stage::Sender, Mail::new(envelope.from().cloned(), parameters))?;

        let mut refused = Vec::new();
        for recipient in envelope.to() {
            let address: &str = recipient.as_ref();
            let refuse = |reply: String| Refused { recipient: address.to_owned(), reply };
            if !utf8 && !address.is_ascii() {
                refused.push(refuse("the server takes no addresses with other than ASCII letters".to_owned()));
                continue;
            }
            match self.say(job, Stage::Recipients, Rcpt::new(recipient.clone(), Vec::new())) {
                Ok(_) => {}
                // 421 closes the connection (RFC 5321, section 3.8): that concerns everybody.
                Err(DeliveryError { reply: Some(reply), .. }) if !reply.starts_with("421") => {
                    refused.push(refuse(reply));
                }
                Err(error) => return Err(error),
            }
        }
        if refused.len() == envelope.to().len() { Err(explain_refused(&refused, &job.settings)) } else { Ok(refused) }
    }

    /// One command that has no secrets in it.
    fn say(&mut self, job: &Job, stage: Stage, command: impl std::fmt::Display) -> Step<Response> {
        let command = command.to_string();
        self.exchange(job, stage, command.trim_end(), |connection| connection.command(&command))
    }

    /// One exchange with the server, within the time that is left, of which `shown` may be told.
    fn exchange(
        &mut self,
        job: &Job,
        stage: Stage,
        shown: &str,
        exchange: impl FnOnce(&mut SmtpConnection) -> Result<Response, SmtpError>,
    ) -> Step<Response> {
        self.tell(&format!("> {shown}"));
        let result = self.quietly(job, stage, exchange);
        match &result {
            Ok(response) => self.tell(&format!("< {}", said(response))),
            Err(DeliveryError { reply: Some(reply), .. }) => self.tell(&format!("< {reply}")),
            Err(error) => self.tell(&format!("* {error}")),
        }
        result
    }

    fn quietly<T>(
        &mut self,
        job: &Job,
        stage: Stage,
        exchange: impl FnOnce(&mut SmtpConnection) -> Result<T, SmtpError>,
    ) -> Step<T> {
        let left = job.enter(stage)?;
        let lost = |what: &str| explain_lost(what, stage, &job.settings);
        let Some(connection) = &mut self.connection else { return Err(lost("there is no connection")) };
        connection.set_timeout(Some(left)).map_err(|error| lost(&error.to_string()))?;
        exchange(connection).map_err(|error| explain(&error, stage, &job.settings, job.took()))
    }

    fn tell(&self, line: &str) {
        if let Some(transcript) = &self.transcript {
            transcript(line);
        }
    }

    /// lettre keeps the greeting to itself, and of the answer to EHLO only what it understands.
    fn greeted(&self, connection: &SmtpConnection, hello: &ClientId) {
        let info = connection.server_info();
        let offers = [
            Extension::StartTls,
            Extension::Authentication(Mechanism::Login),
            Extension::Authentication(Mechanism::Plain),
            Extension::Authentication(Mechanism::Xoauth2),
            Extension::EightBitMime,
            Extension::SmtpUtfEight,
        ];
        let offers = offers.into_iter().filter(|offer| info.supports_feature(*offer)).map(|offer| offer.to_string());
        let offers = offers.collect::<Vec<_>>().join(", ");
        let how = if connection.is_encrypted() { "encrypted, certificate verified" } else { "not encrypted" };
        self.tell(&format!("> EHLO {hello} ({how})"));
        self.tell(&format!("< 250 {}, which offers {offers}", one_line(info.name(), 200)));
    }
}

fn hello() -> ClientId {
    let host = hostname::get().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    ClientId::Domain(host_label(&host))
}

/// How large a message may be (RFC 1870, section 4); 0 means that there is no fixed limit.
fn size_limit(answer: &Response) -> Option<u64> {
    let limit = |line: &str| line.strip_prefix("SIZE ").and_then(|size| size.trim().parse().ok());
    answer.message().find_map(limit).filter(|limit| *limit > 0)
}

fn said(response: &Response) -> String {
    let text = response.message().collect::<Vec<_>>().join(" ");
    one_line(&format!("{} {text}", response.code()), 400)
}

/// The Message-ID in a reply as `250 2.0.0 OK <ID@host> [Hostname=…]`, with its angle brackets.
fn message_id(reply: &str) -> Option<String> {
    let (_, rest) = reply.split_once('<')?;
    let (id, _) = rest.split_once('>')?;
    let plausible = id.contains('@') && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<');
    plausible.then(|| format!("<{id}>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_s_message_id_is_found_where_there_is_one() {
        let exchange = "250 2.0.0 OK <AM0PR01MB1234@eurprd01.prod.outlook.com> [Hostname=AM0PR01MB1234]";
        assert_eq!(message_id(exchange).as_deref(), Some("<AM0PR01MB1234@eurprd01.prod.outlook.com>"));
        for other in ["250 2.0.0 Ok: queued as 4XyZ", "250 OK <queued>", "250 <a b@c>", "250 <a@b", "250 <a\u{e9}@b>"] {
            assert_eq!(message_id(other), None, "{other}");
        }
    }
}

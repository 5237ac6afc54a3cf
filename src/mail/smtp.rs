//! Delivery to a mail server, over a connection of lettre's. It is driven command by command, because lettre's own
//! `send` gives everybody's mail up when one recipient is refused, and its timeout is one for each read.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use secrecy::ExposeSecret;

use super::explain::{explain, explain_deadline, explain_lookup, explain_no_sign_in, explain_refused, reply_of};
use super::message::host_label;
use super::render::one_line;
use super::{
    Accepted, DeliveryError, DeliveryFailure, FinishedMessage, MailSettings, MailTls, Refused, SignIn, Stage, Transport,
};

/// How long a server is given for its greeting when it has further addresses.
const PATIENCE_PER_ADDRESS: Duration = Duration::from_secs(10);
/// How long the farewell may take. Nobody waits for it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Delivers to the server that the settings name.
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
    /// The delivery happens on a thread of its own, so that `deadline` holds however the server stalls. What doesn't
    /// answer in time is left behind: that thread sends nothing more and ends by its own timeouts.
    fn send(&self, message: &FinishedMessage, deadline: Duration) -> Result<Accepted, DeliveryError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let stage = Arc::new(Mutex::new(Stage::Lookup));
        let delivery = Delivery {
            settings: self.settings.clone(),
            message: message.clone(),
            deadline,
            until: Instant::now() + deadline,
            stage: Arc::clone(&stage),
        };
        let spawned = std::thread::Builder::new().name("mail delivery".to_owned()).spawn(move || {
            let mut connection = None;
            let result = delivery.run(&mut connection);
            // Nobody listens any more after the deadline.
            let _ = sender.send(result);
            if let Some(mut connection) = connection
                && !connection.has_broken()
                && connection.set_timeout(Some(FAREWELL)).is_ok()
            {
                let _ = connection.quit();
            }
        });
        let stage = || *stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = spawned {
            return Err(lost(format!("cannot start a thread to send the mail on: {error}"), stage()));
        }
        match receiver.recv_timeout(deadline) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(explain_deadline(stage(), &self.settings, deadline)),
            Err(RecvTimeoutError::Disconnected) => Err(lost("the delivery broke off".to_owned(), stage())),
        }
    }
}

fn lost(sentence: String, stage: Stage) -> DeliveryError {
    DeliveryError { failure: DeliveryFailure::ConnectionLost, stage, sentence, reply: None }
}

/// One delivery.
struct Delivery {
    settings: MailSettings,
    message: FinishedMessage,
    deadline: Duration,
    until: Instant,
    stage: Arc<Mutex<Stage>>,
}

impl Delivery {
    fn run(&self, slot: &mut Option<SmtpConnection>) -> Result<Accepted, DeliveryError> {
        let connection = slot.insert(self.connect()?);
        self.sign_in(connection)?;
        let refused = self.announce(connection)?;
        self.step(connection, Stage::Data, |connection| connection.command(Data))?;
        // The line break before the final dot belongs to the message (RFC 5321, section 4.1.1.4); lettre adds one always.
        let bytes = self.message.bytes.strip_suffix(b"\r\n").unwrap_or(&self.message.bytes);
        let response = self.step(connection, Stage::Message, |connection| connection.message(bytes))?;
        Ok(Accepted { reply: said(&response), refused, message_id: None })
    }

    /// Notes how far the delivery is.
    ///
    /// # Errors
    /// When its time is up: then nothing more may be said to the server.
    fn enter(&self, stage: Stage) -> Result<Duration, DeliveryError> {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(explain_deadline(stage, &self.settings, self.deadline)) } else { Ok(left) }
    }

    fn explain(&self, error: &SmtpError, stage: Stage) -> DeliveryError {
        explain(error, stage, &self.settings, self.deadline)
    }

    /// One exchange with the server, within the time that is left.
    fn step<T>(
        &self,
        connection: &mut SmtpConnection,
        stage: Stage,
        exchange: impl FnOnce(&mut SmtpConnection) -> Result<T, SmtpError>,
    ) -> Result<T, DeliveryError> {
        let left = self.enter(stage)?;
        if let Err(error) = connection.set_timeout(Some(left)) {
            return Err(lost(format!("the connection broke while {stage}: {error}"), stage));
        }
        exchange(connection).map_err(|error| self.explain(&error, stage))
    }

    fn connect(&self) -> Result<SmtpConnection, DeliveryError> {
        self.enter(Stage::Lookup)?;
        let addresses: Vec<SocketAddr> = (self.settings.host.as_str(), self.settings.port)
            .to_socket_addrs()
            .map_err(|error| explain_lookup(&error.to_string(), &self.settings))?
            .collect();
        let tls = match self.settings.tls {
            MailTls::None => None,
            MailTls::StartTls | MailTls::Implicit => Some(self.tls()?),
        };
        let wrapper = tls.as_ref().filter(|_| self.settings.tls == MailTls::Implicit);
        let hello = self.hello();
        let mut last = explain_lookup("it has no address", &self.settings);
        for (index, address) in addresses.iter().enumerate() {
            let left = self.enter(Stage::Connect)?;
            let patience = if index + 1 < addresses.len() { left.min(PATIENCE_PER_ADDRESS) } else { left };
            match SmtpConnection::connect(address, Some(patience), &hello, wrapper, None) {
                Ok(mut connection) => {
                    if let Some(tls) = tls.as_ref().filter(|_| self.settings.tls == MailTls::StartTls) {
                        self.step(&mut connection, Stage::StartTls, |connection| connection.starttls(tls, &hello))?;
                    }
                    return Ok(connection);
                }
                Err(error) => last = self.explain(&error, Stage::Connect),
            }
        }
        Err(last)
    }

    /// The system's certificates, and those of `MAIL_CA_FILE`. There is no way to leave the check out.
    fn tls(&self) -> Result<TlsParameters, DeliveryError> {
        let mut builder = TlsParameters::builder(self.settings.host.clone());
        if let Some(pem) = &self.settings.ca {
            let certificate = Certificate::from_pem(pem).map_err(|error| self.explain(&error, Stage::StartTls))?;
            builder = builder.add_root_certificate(certificate);
        }
        builder.build().map_err(|error| self.explain(&error, Stage::StartTls))
    }

    fn hello(&self) -> ClientId {
        let host = hostname::get().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        ClientId::Domain(host_label(&host))
    }

    fn sign_in(&self, connection: &mut SmtpConnection) -> Result<(), DeliveryError> {
        const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];
        self.enter(Stage::SignIn)?;
        if connection.server_info().get_auth_mechanism(&MECHANISMS).is_none() {
            return Err(explain_no_sign_in(&self.settings));
        }
        let SignIn::Password(password) = &self.settings.sign_in else {
            return Err(explain_no_sign_in(&self.settings));
        };
        let password = password.expose_secret().to_owned();
        let credentials = Credentials::new(self.settings.login.clone(), password);
        self.step(connection, Stage::SignIn, |connection| connection.auth(&MECHANISMS, &credentials))?;
        Ok(())
    }

    /// Names sender and recipients; returns the recipients who were refused.
    fn announce(&self, connection: &mut SmtpConnection) -> Result<Vec<Refused>, DeliveryError> {
        let envelope = &self.message.envelope;
        let utf8 = connection.server_info().supports_feature(Extension::SmtpUtfEight);
        let mut parameters = Vec::new();
        let addresses = envelope.to().iter().chain(envelope.from());
        if utf8 && addresses.map(AsRef::<str>::as_ref).any(|address| !address.is_ascii()) {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !self.message.bytes.is_ascii() && connection.server_info().supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let mail = Mail::new(envelope.from().cloned(), parameters);
        self.step(connection, Stage::Sender, |connection| connection.command(mail))?;

        let mut refused = Vec::new();
        for recipient in envelope.to() {
            let address: &str = recipient.as_ref();
            let refuse = |reply: String| Refused { recipient: address.to_owned(), reply };
            if !utf8 && !address.is_ascii() {
                refused.push(refuse("the server takes no addresses with other than ASCII letters".to_owned()));
                continue;
            }
            let rcpt = Rcpt::new(recipient.clone(), Vec::new());
            let answer = self.step(connection, Stage::Recipients, |connection| match connection.command(rcpt) {
                Ok(_) => Ok(None),
                // 421 closes the connection (RFC 5321, section 3.8): that concerns everybody.
                Err(error) => match reply_of(&error).filter(|reply| !reply.starts_with("421")) {
                    Some(reply) => Ok(Some(reply)),
                    None => Err(error),
                },
            })?;
            refused.extend(answer.map(refuse));
        }
        if refused.len() == envelope.to().len() { Err(explain_refused(&refused)) } else { Ok(refused) }
    }
}

fn said(response: &Response) -> String {
    let text = response.message().collect::<Vec<_>>().join(" ");
    one_line(&format!("{} {text}", response.code()), 400)
}

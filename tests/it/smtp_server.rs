//! A mail server for the tests: real SMTP over real TLS on a free loopback port, with the manners of Exchange Online
//! (`AUTH` only under TLS, `250 2.0.0 OK <ID@…>`) and a fault on request at every step, for so many times as wanted.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::listener::Listener;

/// The only user.
pub(crate) const LOGIN: &str = "runs@example.test";
/// With letters that a careless encoding breaks.
pub(crate) const PASSWORD: &str = "pässw0rd$#";

/// Where in the conversation something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Connect,
    Ehlo,
    StartTls,
    Handshake,
    Auth,
    Password,
    Mail,
    Rcpt,
    Data,
    Message,
    /// The server has the mail, and has not said so yet.
    Stored,
}

/// What goes wrong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server answers this, and closes the connection after a 421.
    Reply(&'static str),
    /// It hangs up.
    Drop,
    /// It never answers.
    Stall,
    /// Its answer never ends.
    Endless,
    /// Its answer comes letter by letter, and never ends either.
    Trickle,
    /// It answers as it should, after two seconds.
    Late,
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// After STARTTLS.
    Upgraded,
    Implicit,
    Never,
}

/// How the server behaves.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) tls: Tls,
    pub(crate) mechanisms: &'static str,
    pub(crate) fault: Option<(Step, Fault)>,
    /// How often it happens; `None`: always.
    pub(crate) times: Option<u32>,
    /// The tokens that XOAUTH2 accepts.
    pub(crate) tokens: &'static [&'static str],
    /// Whether a token is refused by a challenge first, as Google and Dovecot do it.
    pub(crate) challenge: bool,
    /// After so many mails over one connection, what MAIL is answered with.
    pub(crate) enough: Option<(usize, &'static str)>,
    /// Recipients that are refused, and how.
    pub(crate) refused: Vec<(&'static str, &'static str)>,
    /// The name in the certificate.
    pub(crate) name: &'static str,
    /// How large a message may be.
    pub(crate) size: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: Tls::Upgraded,
            mechanisms: "LOGIN XOAUTH2",
            fault: None,
            times: None,
            tokens: &[],
            challenge: false,
            enough: None,
            refused: Vec::new(),
            name: "127.0.0.1",
            size: 157_286_400,
        }
    }
}

/// A mail that the server took.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) data: Vec<u8>,
    pub(crate) login: Option<String>,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    /// Each line the client said, with `TLS ` before it where it was protected.
    said: Mutex<Vec<String>>,
    /// How often the fault has happened.
    faults: Mutex<u32>,
    /// How many conversations are over.
    ended: Mutex<usize>,
}

/// Runs until dropped.
pub(crate) struct SmtpServer {
    pub(crate) port: u16,
    /// The certificate authority's certificate, in PEM.
    pub(crate) ca: String,
    shared: Arc<Shared>,
    listener: Listener,
}

impl SmtpServer {
    pub(crate) fn start(options: Options) -> Self {
        let (ca, config) = certificates(options.name);
        let shared = Arc::new(Shared::default());
        let of_listener = Arc::clone(&shared);
        let listener = Listener::start(move |stream| {
            let session = Session {
                tcp: stream,
                stream: Box::new(stream),
                protected: false,
                ahead: Vec::new(),
                shared: &of_listener,
                options: &options,
                login: None,
                from: None,
                to: Vec::new(),
                taken: 0,
            };
            let _ = session.serve(Arc::clone(&config));
            *of_listener.ended.lock().unwrap() += 1;
        });
        Self { port: listener.port, ca, shared, listener }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.shared.said.lock().unwrap().clone()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.listener.connections()
    }

    /// How many of them the client, or a fault, has ended.
    pub(crate) fn ended(&self) -> usize {
        *self.shared.ended.lock().unwrap()
    }

    /// Closes all connections, as a server does that starts anew.
    pub(crate) fn hang_up(&self) {
        self.listener.hang_up();
    }
}

/// A certificate authority's certificate, and the certificate and key that it gave a server of this name.
pub(crate) fn issue(name: &str) -> (String, rcgen::Certificate, KeyPair) {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate whose issuer has its own name for one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate().unwrap();
    let ca = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let mut of_server = CertificateParams::new(vec![name.to_owned()]).unwrap();
    of_server.use_authority_key_identifier_extension = true;
    let certificate = of_server.signed_by(&key, &issuer).unwrap();
    (ca, certificate, key)
}

pub(crate) fn certificates(name: &str) -> (String, Arc<ServerConfig>) {
    let (ca, certificate, key) = issue(name);
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    (ca, Arc::new(config))
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

struct Session<'a> {
    tcp: &'a TcpStream,
    stream: Box<dyn Stream + 'a>,
    protected: bool,
    /// What has been read and not looked at, from its end to its beginning.
    ahead: Vec<u8>,
    shared: &'a Shared,
    options: &'a Options,
    login: Option<String>,
    from: Option<String>,
    to: Vec<String>,
    /// Mails of this connection.
    taken: usize,
}

impl Session<'_> {
    fn serve(mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        if self.options.tls == Tls::Implicit {
            self.handshake(&config)?;
        }
        self.answer(Step::Connect, "220 test.example.test Microsoft ESMTP MAIL Service ready")?;
        loop {
            let line = self.line()?;
            let upper = line.to_ascii_uppercase();
            let safe = self.protected || self.options.tls == Tls::Never;
            match upper.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => self.ehlo(safe)?,
                "STARTTLS" if self.options.tls == Tls::Upgraded && !safe => {
                    if self.answer(Step::StartTls, "220 2.0.0 SMTP server ready")? {
                        self.handshake(&config)?;
                    }
                }
                "QUIT" => return self.say("221 2.0.0 Service closing transmission channel"),
                "AUTH" if safe => self.auth(&line)?,
                "MAIL" if self.login.is_none() => {
                    self.say("530 5.7.57 Client not authenticated to send mail. [TEST]")?;
                }
                "MAIL" if self.from.is_some() => self.say("503 5.5.1 Nested MAIL command")?,
                "MAIL" => self.mail(&line)?,
                "RSET" => {
                    self.from = None;
                    self.to.clear();
                    self.say("250 2.0.0 Resetting")?;
                }
                "RCPT" => self.rcpt(&line)?,
                "DATA" if self.to.is_empty() => self.say("503 5.5.2 Need rcpt command")?,
                "DATA" => self.data()?,
                _ => self.say("500 5.3.3 Unrecognized command")?,
            }
        }
    }

    fn mail(&mut self, line: &str) -> io::Result<()> {
        if let Some((_, reply)) = self.options.enough.filter(|(enough, _)| self.taken >= *enough) {
            return self.reply(reply);
        }
        if self.answer(Step::Mail, "250 2.1.0 Sender OK")? {
            self.from = Some(path(line));
            self.to.clear();
        }
        Ok(())
    }

    fn handshake(&mut self, config: &Arc<ServerConfig>) -> io::Result<()> {
        self.fault(Step::Handshake)?;
        let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        self.stream = Box::new(StreamOwned::new(connection, self.tcp));
        self.protected = true;
        Ok(())
    }

    fn ehlo(&mut self, safe: bool) -> io::Result<()> {
        if self.fault(Step::Ehlo)? {
            return Ok(());
        }
        self.say("250-test.example.test Hello [127.0.0.1]")?;
        self.say(&format!("250-SIZE {}", self.options.size))?;
        if !safe && self.options.tls == Tls::Upgraded {
            self.say("250-STARTTLS")?;
        }
        if safe && !self.options.mechanisms.is_empty() {
            self.say(&format!("250-AUTH {}", self.options.mechanisms))?;
        }
        self.say("250-8BITMIME")?;
        self.say("250 SMTPUTF8")
    }

    fn auth(&mut self, line: &str) -> io::Result<()> {
        if self.fault(Step::Auth)? {
            return Ok(());
        }
        let mut words = line.split(' ').skip(1);
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        let (login, password) = match mechanism.as_str() {
            offered if !self.options.mechanisms.split(' ').any(|one| one == offered) => {
                return self.say("504 5.7.4 Unrecognized authentication type");
            }
            "LOGIN" => {
                self.say("334 VXNlcm5hbWU6")?;
                let login = text(&self.line()?);
                self.say("334 UGFzc3dvcmQ6")?;
                (login, text(&self.line()?))
            }
            "PLAIN" => {
                let all = text(words.next().unwrap_or_default());
                let mut parts = all.split('\0').skip(1);
                (parts.next().unwrap_or_default().to_owned(), parts.next().unwrap_or_default().to_owned())
            }
            _ => return self.xoauth2(&text(words.next().unwrap_or_default())),
        };
        if (login.as_str(), password.as_str()) == (LOGIN, PASSWORD) {
            self.welcome(login)
        } else {
            self.say("535 5.7.3 Authentication unsuccessful [TEST]")
        }
    }

    fn xoauth2(&mut self, response: &str) -> io::Result<()> {
        let token = response.strip_prefix(&format!("user={LOGIN}\u{1}auth=Bearer "));
        let token = token.and_then(|token| token.strip_suffix("\u{1}\u{1}"));
        if token.is_some_and(|token| self.options.tokens.contains(&token)) {
            return self.welcome(LOGIN.to_owned());
        }
        if self.options.challenge {
            self.say(&format!("334 {}", BASE64.encode(r#"{"status":"401","schemes":"bearer"}"#)))?;
            self.line()?;
        }
        self.say("535 5.7.3 Authentication unsuccessful [TEST]")
    }

    fn welcome(&mut self, login: String) -> io::Result<()> {
        if self.answer(Step::Password, "235 2.7.0 Authentication successful")? {
            self.login = Some(login);
        }
        Ok(())
    }

    fn rcpt(&mut self, line: &str) -> io::Result<()> {
        let recipient = path(line);
        if let Some((_, reply)) = self.options.refused.iter().find(|(refused, _)| *refused == recipient) {
            return self.say(reply);
        }
        if self.answer(Step::Rcpt, "250 2.1.5 Recipient OK")? {
            self.to.push(recipient);
        }
        Ok(())
    }

    fn data(&mut self) -> io::Result<()> {
        if !self.answer(Step::Data, "354 Start mail input; end with <CRLF>.<CRLF>")? {
            return Ok(());
        }
        let mut data = Vec::new();
        while !data.ends_with(b"\r\n.\r\n") {
            data.push(self.read_byte()?);
        }
        let (from, to) = (self.from.take().unwrap_or_default(), std::mem::take(&mut self.to));
        if self.fault(Step::Message)? {
            return Ok(());
        }
        data.truncate(data.len() - 3);
        let received = Received { from, to, data: unstuffed(&data), login: self.login.clone() };
        self.shared.received.lock().unwrap().push(received);
        self.taken += 1;
        self.fault(Step::Stored)?;
        self.say("250 2.0.0 OK <AM0PR01MB1234@test.example.test> [Hostname=AM0PR01MB1234]")
    }

    /// The fault of this step, if it has one, else `reply`, which is told.
    fn answer(&mut self, step: Step, reply: &str) -> io::Result<bool> {
        if self.fault(step)? {
            return Ok(false);
        }
        self.say(reply)?;
        Ok(true)
    }

    /// Whether the step has been answered by a fault. One that ends the conversation is an error.
    fn fault(&mut self, step: Step) -> io::Result<bool> {
        let Some((_, fault)) = self.options.fault.filter(|(at, _)| *at == step) else { return Ok(false) };
        {
            let mut faults = self.shared.faults.lock().unwrap();
            if self.options.times.is_some_and(|times| *faults >= times) {
                return Ok(false);
            }
            *faults += 1;
        }
        match fault {
            Fault::Reply(reply) => return self.reply(reply).map(|()| true),
            Fault::Drop => {}
            Fault::Late => {
                std::thread::sleep(Duration::from_secs(2));
                return Ok(false);
            }
            // Until the client, or the end of the test, closes the connection.
            Fault::Stall => while self.read_byte().is_ok() {},
            Fault::Endless => {
                let line = format!("250-{}", "and so on ".repeat(40));
                while self.say(&line).is_ok() {}
            }
            Fault::Trickle => {
                while self.write(b"2").is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    fn reply(&mut self, reply: &str) -> io::Result<()> {
        self.say(reply)?;
        if reply.starts_with("421") { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    fn read_byte(&mut self) -> io::Result<u8> {
        if self.ahead.is_empty() {
            let mut buffer = [0; 8192];
            let count = self.stream.read(&mut buffer)?;
            self.ahead.extend(buffer[..count].iter().rev());
        }
        self.ahead.pop().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.write(format!("{line}\r\n").as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.read_byte()?);
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let protected = if self.protected { "TLS " } else { "" };
        self.shared.said.lock().unwrap().push(format!("{protected}{line}"));
        Ok(line)
    }
}

fn path(line: &str) -> String {
    line.split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or_else(String::new, |(path, _)| path.to_owned())
}

/// Takes the dots away that SMTP puts before dots (RFC 5321, section 4.5.2).
fn unstuffed(data: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(data.len());
    let mut at_start = true;
    for &byte in data {
        if !(at_start && byte == b'.') {
            plain.push(byte);
        }
        at_start = byte == b'\n';
    }
    plain
}

fn text(base64: &str) -> String {
    String::from_utf8(BASE64.decode(base64).unwrap_or_default()).unwrap_or_default()
}

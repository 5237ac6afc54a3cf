//! A mail server for the tests: real SMTP over real TLS on a free loopback port, with the manners of Exchange Online
//! (`AUTH` only under TLS, `250 2.0.0 OK <ID@…>`) and a fault on request at every step.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

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
}

/// What goes wrong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server answers this.
    Reply(&'static str),
    /// It hangs up.
    Drop,
    /// It never answers.
    Stall,
    /// Its answer never ends.
    Endless,
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
    /// Recipients that are refused, and how.
    pub(crate) refused: Vec<(&'static str, &'static str)>,
    /// The name in the certificate.
    pub(crate) name: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self { tls: Tls::Upgraded, mechanisms: "LOGIN XOAUTH2", fault: None, refused: Vec::new(), name: "127.0.0.1" }
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
    open: Mutex<Vec<TcpStream>>,
    closing: Mutex<bool>,
}

/// Runs until dropped.
pub(crate) struct SmtpServer {
    pub(crate) port: u16,
    /// The certificate authority's certificate, in PEM.
    pub(crate) ca: String,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl SmtpServer {
    pub(crate) fn start(options: Options) -> Self {
        let (ca, config) = certificates(options.name);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let (of_acceptor, options) = (Arc::clone(&shared), Arc::new(options));
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                if *of_acceptor.closing.lock().unwrap() {
                    break;
                }
                of_acceptor.open.lock().unwrap().push(stream.try_clone().unwrap());
                let (shared, options, config) = (Arc::clone(&of_acceptor), Arc::clone(&options), Arc::clone(&config));
                std::thread::spawn(move || {
                    let closer = stream.try_clone();
                    let session = Session {
                        stream: Stream::Plain(stream),
                        shared: &shared,
                        options: &options,
                        login: None,
                        from: None,
                        to: Vec::new(),
                    };
                    let _ = session.serve(config);
                    if let Ok(stream) = closer {
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                });
            }
        });
        Self { port, ca, shared, acceptor: Some(acceptor) }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.shared.said.lock().unwrap().clone()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        *self.shared.closing.lock().unwrap() = true;
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for stream in self.shared.open.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

pub(crate) fn certificates(name: &str) -> (String, Arc<ServerConfig>) {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let ca = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    (ca, Arc::new(config))
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
    Gone,
}

impl Stream {
    fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    fn read_byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        match self {
            Self::Plain(stream) => stream.read_exact(&mut byte)?,
            Self::Tls(stream) => stream.read_exact(&mut byte)?,
            Self::Gone => return Err(io::ErrorKind::NotConnected.into()),
        }
        Ok(byte[0])
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

struct Session<'a> {
    stream: Stream,
    shared: &'a Shared,
    options: &'a Options,
    login: Option<String>,
    from: Option<String>,
    to: Vec<String>,
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
            let safe = self.stream.is_tls() || self.options.tls == Tls::Never;
            match upper.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => self.ehlo(safe)?,
                "STARTTLS" if self.options.tls == Tls::Upgraded && !safe => {
                    self.answer(Step::StartTls, "220 2.0.0 SMTP server ready")?;
                    self.handshake(&config)?;
                }
                "QUIT" => return self.say("221 2.0.0 Service closing transmission channel"),
                "AUTH" if safe => self.auth(&line)?,
                "MAIL" if self.login.is_none() => {
                    self.say("530 5.7.57 Client not authenticated to send mail. [TEST]")?;
                }
                "MAIL" => {
                    self.from = Some(path(&line));
                    self.to.clear();
                    self.answer(Step::Mail, "250 2.1.0 Sender OK")?;
                }
                "RCPT" => self.rcpt(&line)?,
                "DATA" if self.to.is_empty() => self.say("503 5.5.2 Need rcpt command")?,
                "DATA" => self.data()?,
                _ => self.say("500 5.3.3 Unrecognized command")?,
            }
        }
    }

    fn handshake(&mut self, config: &Arc<ServerConfig>) -> io::Result<()> {
        self.fault(Step::Handshake)?;
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else { return Ok(()) };
        let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        self.stream = Stream::Tls(Box::new(StreamOwned::new(connection, stream)));
        Ok(())
    }

    fn ehlo(&mut self, safe: bool) -> io::Result<()> {
        self.fault(Step::Ehlo)?;
        self.say("250-test.example.test Hello [127.0.0.1]")?;
        self.say("250-SIZE 157286400")?;
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
        self.fault(Step::Auth)?;
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
            _ => return self.say("535 5.7.3 Authentication unsuccessful [TEST]"),
        };
        if (login.as_str(), password.as_str()) == (LOGIN, PASSWORD) {
            self.login = Some(login);
            self.answer(Step::Password, "235 2.7.0 Authentication successful")
        } else {
            self.say("535 5.7.3 Authentication unsuccessful [TEST]")
        }
    }

    fn rcpt(&mut self, line: &str) -> io::Result<()> {
        let recipient = path(line);
        if let Some((_, reply)) = self.options.refused.iter().find(|(refused, _)| *refused == recipient) {
            return self.say(reply);
        }
        self.to.push(recipient);
        self.answer(Step::Rcpt, "250 2.1.5 Recipient OK")
    }

    fn data(&mut self) -> io::Result<()> {
        self.answer(Step::Data, "354 Start mail input; end with <CRLF>.<CRLF>")?;
        let mut data = Vec::new();
        while !data.ends_with(b"\r\n.\r\n") {
            data.push(self.stream.read_byte()?);
        }
        self.fault(Step::Message)?;
        data.truncate(data.len() - 3);
        let received = Received {
            from: self.from.take().unwrap_or_default(),
            to: std::mem::take(&mut self.to),
            data: unstuffed(&data),
            login: self.login.clone(),
        };
        self.shared.received.lock().unwrap().push(received);
        self.say("250 2.0.0 OK <AM0PR01MB1234@test.example.test> [Hostname=AM0PR01MB1234]")
    }

    /// The fault of this step, if it has one, else `reply`.
    fn answer(&mut self, step: Step, reply: &str) -> io::Result<()> {
        self.fault(step)?;
        self.say(reply)
    }

    fn fault(&mut self, step: Step) -> io::Result<()> {
        let Some((_, fault)) = self.options.fault.filter(|(at, _)| *at == step) else { return Ok(()) };
        match fault {
            Fault::Reply(reply) => self.say(reply)?,
            Fault::Drop => {}
            // Until the client, or the end of the test, closes the connection.
            Fault::Stall => while self.stream.read_byte().is_ok() {},
            Fault::Endless => {
                let line = format!("250-{}", "and so on ".repeat(40));
                while self.say(&line).is_ok() {}
            }
        }
        if matches!(fault, Fault::Reply(_)) {
            while !self.line()?.eq_ignore_ascii_case("QUIT") {
                self.say("503 5.5.1 That is over")?;
            }
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.write(format!("{line}\r\n").as_bytes())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.stream.read_byte()?);
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let protected = if self.stream.is_tls() { "TLS " } else { "" };
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
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for value in base64.bytes().filter_map(|byte| ALPHABET.iter().position(|letter| *letter == byte)) {
        bits = bits << 6 | u32::try_from(value).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    String::from_utf8(bytes).unwrap()
}

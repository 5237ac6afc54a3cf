//! An issuer of tokens for the tests, on a free loopback port: the forms of Microsoft's identity platform (`/token`,
//! `/devicecode`, Entra's error bodies, rotated refresh tokens), and trouble on request. What it answers is a queue: each
//! request for a token takes the next [`Answer`], and when there is none left, tokens are issued.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use base64::Engine as _;
use serde_json::{Value, json};

/// The application's secret.
pub(crate) const SECRET: &str = "app~s3cret";

/// An answer out of turn.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Tokens after all: for a request before others that are not.
    Tokens,
    /// An error body: the standard's word, and Entra's number.
    Error(&'static str, u64),
    /// A status and a body that are none of a token endpoint's.
    Other(u16, &'static str),
    /// No answer until the server is dropped.
    Silence,
    /// An answer that is held back until [`TokenServer::release`].
    Held,
}

/// A request: its path, and the form that it carried.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) form: BTreeMap<String, String>,
}

impl Asked {
    pub(crate) fn get(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }
}

struct State {
    answers: VecDeque<Answer>,
    asked: Vec<Asked>,
    issued: u64,
    /// The only refresh token that is taken; the one before it was used up.
    refresh: Option<String>,
    lifetime: u64,
    account: &'static str,
    released: bool,
    closing: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Runs until dropped.
pub(crate) struct TokenServer {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl TokenServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            answers: VecDeque::new(),
            asked: Vec::new(),
            issued: 0,
            refresh: None,
            lifetime: 3600,
            account: "runs@example.test",
            released: false,
            closing: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let of_acceptor = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_acceptor.state.lock().unwrap().closing {
                    break;
                }
                let shared = Arc::clone(&of_acceptor);
                std::thread::spawn(move || drop(serve(stream.unwrap(), &shared)));
            }
        });
        Self { port, shared, acceptor: Some(acceptor) }
    }

    /// What `MAIL_AUTHORITY` is to be.
    pub(crate) fn authority(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What the next requests for tokens are answered.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.state.lock().unwrap().answers.extend(answers);
    }

    /// How many seconds tokens serve from now on.
    pub(crate) fn set_lifetime(&self, seconds: u64) {
        self.shared.state.lock().unwrap().lifetime = seconds;
    }

    /// Who signs in from now on, as the access tokens tell.
    pub(crate) fn set_account(&self, account: &'static str) {
        self.shared.state.lock().unwrap().account = account;
    }

    /// Sends the answers that are held back.
    pub(crate) fn release(&self) {
        self.shared.state.lock().unwrap().released = true;
        self.shared.changed.notify_all();
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.state.lock().unwrap().asked.clone()
    }

    /// The grant types that were asked for so far.
    pub(crate) fn grants(&self) -> Vec<String> {
        let asked = self.asked();
        let grants = asked.iter().filter(|asked| asked.path.ends_with("/token")).map(|asked| asked.get("grant_type"));
        grants.map(|grant| grant.rsplit(':').next().unwrap().to_owned()).collect()
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap().closing = true;
        self.shared.changed.notify_all();
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let form = String::from_utf8(body).unwrap();
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let form = pairs.map(|(name, value)| (decoded(name), decoded(value))).collect();
    let Some((status, body)) = answer(&Asked { path, form }, shared) else { return Ok(()) };
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n")?;
    write!(stream, "content-length: {}\r\n\r\n{body}", body.len())
}

fn answer(asked: &Asked, shared: &Shared) -> Option<(u16, String)> {
    let mut state = shared.state.lock().unwrap();
    state.asked.push(asked.clone());
    shared.changed.notify_all();
    if asked.path.ends_with("/devicecode") {
        let code = json!({
            "device_code": "dev-1", "user_code": "ABCD-1234", "verification_uri": "https://login.example.test/device",
            "expires_in": 900, "interval": 1, "message": "…",
        });
        return Some((200, code.to_string()));
    }
    match state.answers.pop_front().unwrap_or(Answer::Tokens) {
        Answer::Tokens => {}
        Answer::Error(word, number) => return Some((400, error(word, number).to_string())),
        Answer::Other(status, body) => return Some((status, body.to_owned())),
        Answer::Silence => {
            drop(shared.changed.wait_while(state, |state| !state.closing).unwrap());
            return None;
        }
        Answer::Held => state = shared.changed.wait_while(state, |state| !state.closing && !state.released).unwrap(),
    }
    let right = match asked.get("grant_type") {
        "client_credentials" if asked.get("client_secret") != SECRET => Err(("invalid_client", 7_000_215)),
        "client_credentials" => Ok(false),
        "refresh_token" if state.refresh.as_deref() != Some(asked.get("refresh_token")) => {
            Err(("invalid_grant", 700_082))
        }
        "refresh_token" | "urn:ietf:params:oauth:grant-type:device_code" => Ok(true),
        _ => Err(("unsupported_grant_type", 70_003)),
    };
    match right {
        Err((word, number)) => Some((400, error(word, number).to_string())),
        Ok(of_a_person) => Some((200, issue(&mut state, of_a_person).to_string())),
    }
}

fn issue(state: &mut State, of_a_person: bool) -> Value {
    state.issued += 1;
    let encode = |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "upn": state.account, "number": state.issued });
    let token = format!("{}.{}.signature", encode(&json!({ "alg": "none" })), encode(&claims));
    let mut answer = json!({ "token_type": "Bearer", "expires_in": state.lifetime, "access_token": token });
    if of_a_person {
        let refresh = format!("refresh-{}", state.issued);
        answer["refresh_token"] = json!(refresh);
        state.refresh = Some(refresh);
    }
    answer
}

/// As Entra ID words it.
fn error(word: &str, number: u64) -> Value {
    json!({
        "error": word,
        "error_description": format!("AADSTS{number}: Injected. Trace ID: 0 Correlation ID: 1 Timestamp: 2026-11-01"),
        "error_codes": [number],
        "trace_id": "0",
    })
}

/// What `application/x-www-form-urlencoded` stands for.
fn decoded(text: &str) -> String {
    let bytes = text.replace('+', " ").into_bytes();
    let mut out = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        let coded = hex.filter(|_| *first == b'%');
        out.push(coded.unwrap_or(*first));
        rest = if coded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(out).unwrap()
}

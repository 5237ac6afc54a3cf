//! A web server for the tests, on a free loopback port, in the clear or under TLS: it keeps what it was told, and
//! answers as the test has it, also not at all.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::listener::Listener;
use crate::smtp_server::certificates;

/// How a call is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// With a status, further header lines (each ended by CR LF) and a body.
    Reply(u16, &'static str, &'static str),
    /// The connection ends.
    Drop,
    /// Not at all.
    Stall,
    /// By a body that never ends.
    Endless,
    /// By something that is no answer.
    Garbage,
}

/// What a client asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The header's lines, as sent.
    pub(crate) head: Vec<String>,
    pub(crate) body: String,
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Request>>,
    /// What is answered next; the last answer goes on for ever.
    answers: Mutex<Vec<Answer>>,
}

pub(crate) struct WebServer {
    pub(crate) port: u16,
    /// The certificate of who issued the server's, in PEM; empty without TLS.
    pub(crate) ca: String,
    shared: Arc<Shared>,
    _listener: Listener,
}

impl WebServer {
    /// In the clear. The answers are given in turn.
    pub(crate) fn start(answers: &[Answer]) -> Self {
        Self::serve(answers, None, String::new())
    }

    /// Under TLS, with a certificate for this name.
    pub(crate) fn start_tls(name: &str, answers: &[Answer]) -> Self {
        let (ca, config) = certificates(name);
        Self::serve(answers, Some(config), ca)
    }

    fn serve(answers: &[Answer], config: Option<Arc<ServerConfig>>, ca: String) -> Self {
        let shared = Arc::new(Shared { answers: Mutex::new(answers.to_vec()), ..Shared::default() });
        let of_listener = Arc::clone(&shared);
        let listener = Listener::start(move |stream| {
            let _ = match config.clone() {
                None => converse(stream, &of_listener),
                Some(config) => match ServerConnection::new(config) {
                    Ok(tls) => converse(StreamOwned::new(tls, stream), &of_listener),
                    Err(error) => Err(io::Error::other(error)),
                },
            };
        });
        Self { port: listener.port, ca, shared, _listener: listener }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.ca.is_empty() { "http" } else { "https" };
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }
}

/// One request and its answer; then the connection is closed.
fn converse(stream: impl Read + Write, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = || -> io::Result<String> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut head = Vec::new();
    loop {
        match line()? {
            end if end.is_empty() => break,
            header => head.push(header),
        }
    }
    let length = head.iter().find_map(|header| {
        let (name, value) = header.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).unwrap();
    let answer = {
        let mut answers = shared.answers.lock().unwrap();
        if answers.len() > 1 { answers.remove(0) } else { answers[0] }
    };
    shared.requests.lock().unwrap().push(Request { method, path, head, body });
    let stream = reader.get_mut();
    match answer {
        Answer::Reply(status, head, body) => {
            write!(
                stream,
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{head}\r\n{body}",
                body.len()
            )?;
            stream.flush()
        }
        Answer::Drop => Ok(()),
        // Until the client, or the end of the test, closes the connection.
        Answer::Stall => stream.read(&mut [0]).map(|_| ()),
        Answer::Endless => {
            write!(stream, "HTTP/1.1 200 X\r\n\r\n")?;
            loop {
                stream.write_all(b"and so on\n")?;
                stream.flush()?;
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        Answer::Garbage => stream.write_all(b"220 mail.example ESMTP\r\n\r\n"),
    }
}

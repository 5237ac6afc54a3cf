//! A mail server that only counts: it speaks plain SMTP on a free loopback port, stays there while its manners change, and
//! remembers which runs' mails it took, from whom, for whom, and over which connection.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// Where something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Instead of the greeting.
    Greeting,
    /// Instead of taking the password.
    SignIn,
    /// Instead of taking the sender.
    Sender,
    /// Instead of taking a recipient.
    Recipient,
    /// Once it has the message.
    Message,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It answers so.
    Says(&'static str),
    /// It hangs up, and has taken nothing.
    HangsUp,
    /// It has taken the message, and hangs up without a word.
    TakesAndHangsUp,
    /// It says nothing any more, and doesn't hang up.
    Stalls,
}

/// A mail that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub run_id: String,
    pub from: String,
    pub to: Vec<String>,
    pub connection: usize,
    pub data: String,
}

#[derive(Default)]
struct Office {
    taken: Vec<Taken>,
    connections: usize,
    /// How many times still.
    manner: Option<(At, Manner, usize)>,
}

pub struct PostOffice {
    pub port: u16,
    office: Arc<Mutex<Office>>,
}

impl PostOffice {
    pub fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let office = Arc::new(Mutex::new(Office::default()));
        let of_thread = Arc::clone(&office);
        // Until the process ends: a test program ends soon.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let office = Arc::clone(&of_thread);
                std::thread::spawn(move || serve(stream, &office));
            }
        });
        Self { port, office }
    }

    /// Misbehaves from now on, so many times.
    pub fn misbehave(&self, at: At, manner: Manner, times: usize) {
        self.office.lock().unwrap().manner = Some((at, manner, times));
    }

    pub fn behave(&self) {
        self.office.lock().unwrap().manner = None;
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.office.lock().unwrap().taken.clone()
    }

    /// The runs whose mails it took, one for each mail.
    pub fn runs(&self) -> Vec<String> {
        self.taken().into_iter().map(|mail| mail.run_id).collect()
    }

    pub fn connections(&self) -> usize {
        self.office.lock().unwrap().connections
    }

    /// Has a runner send its mails here.
    pub fn of<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("LOGIN_MAIL", "runs@example.test")
            .env("PASSWORD_MAIL", "of-the-mailbox")
            .env("MAIL_HOST", "127.0.0.1")
            .env("MAIL_PORT", self.port.to_string())
            .env("MAIL_TLS", "none")
    }
}

fn serve(stream: TcpStream, office: &Mutex<Office>) -> Option<()> {
    let connection = {
        let mut office = office.lock().unwrap();
        office.connections += 1;
        office.connections
    };
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    let mut say = move |text: &str| writer.write_all(format!("{text}\r\n").as_bytes()).ok();
    answer(office, At::Greeting, "220 counting", &mut say)?;
    let (mut from, mut to) = (String::new(), Vec::new());
    loop {
        let line = line(&mut reader).ok()?;
        match line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" => say("250-here\r\n250-AUTH PLAIN\r\n250 8BITMIME")?,
            "AUTH" => answer(office, At::SignIn, "235 2.7.0 come in", &mut say)?,
            "MAIL" => {
                to.clear();
                from = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                answer(office, At::Sender, "250 2.1.0 fine", &mut say)?;
            }
            "RCPT" => match manner_at(office, At::Recipient) {
                None => {
                    to.push(line.split(['<', '>']).nth(1).unwrap_or_default().to_owned());
                    say("250 2.1.5 fine")?;
                }
                Some(Manner::Says(reply)) => say(reply)?,
                Some(_) => return None,
            },
            "DATA" => {
                say("354 go on")?;
                let data = message(&mut reader).ok()?;
                let run_id =
                    data.lines().find_map(|line| line.strip_prefix("X-Run-Id: ")).unwrap_or_default().to_owned();
                let taken = Taken { run_id, from: from.clone(), to: to.clone(), connection, data };
                let manner = manner_at(office, At::Message);
                if matches!(manner, None | Some(Manner::TakesAndHangsUp)) {
                    office.lock().unwrap().taken.push(taken);
                }
                let id = office.lock().unwrap().taken.len();
                match manner {
                    None => say(&format!("250 2.0.0 OK <{id}@counted.example>"))?,
                    Some(Manner::Says(reply)) => say(reply)?,
                    Some(Manner::Stalls) => stall()?,
                    Some(Manner::HangsUp | Manner::TakesAndHangsUp) => return None,
                }
            }
            "QUIT" => {
                say("221 2.0.0 bye");
                return None;
            }
            _ => say("250 2.0.0 fine")?,
        }
    }
}

/// Until the test program ends.
fn stall() -> Option<()> {
    loop {
        std::thread::park();
    }
}

/// Says what is due at a step; `None` if it hangs up.
fn answer(office: &Mutex<Office>, at: At, usual: &str, say: &mut impl FnMut(&str) -> Option<()>) -> Option<()> {
    match manner_at(office, at) {
        None => say(usual),
        Some(Manner::Says(reply)) => say(reply),
        Some(Manner::Stalls) => stall(),
        Some(_) => None,
    }
}

fn manner_at(office: &Mutex<Office>, at: At) -> Option<Manner> {
    let mut office = office.lock().unwrap();
    let (_, manner, times) = office.manner.as_mut().filter(|(step, _, times)| *step == at && *times > 0)?;
    *times -= 1;
    Some(*manner)
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn message(reader: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let line = line(reader)?;
        if line == "." {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
        text.push('\n');
    }
}

//! The lanes in turns, and what comes out.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

use super::smtp_server::{LOGIN, Options, PASSWORD, SmtpServer};

pub(super) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The argument that makes this program a lane.
pub(super) const SEND: &str = "--send";
pub(super) const RECIPIENT: &str = "ann@example.test";

const LETTERS: usize = 1000;
const ROUNDS: usize = 5;
/// As fast as smtplib at least, in half its memory.
const SPEED: f64 = 1.0;
const MEMORY: f64 = 0.5;

/// Letters a second, and the peak of memory in KiB.
struct Figures {
    rate: f64,
    peak: f64,
}

pub(super) fn compare() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (ca, letter) = (folder.path().join("ca.pem"), folder.path().join("letter.eml"));
    let server = SmtpServer::start(Options::default());
    std::fs::write(&ca, &server.ca)?;
    let text = a_letter();
    std::fs::write(&letter, &text)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first round, which fills caches, doesn't count.
    for round in 0..=ROUNDS {
        let one = || -> Result<Figures> { run(&mut courier(server.port, &ca, &letter)?) };
        let other = || run(&mut smtplib(server.port, &ca, &letter));
        let (our, their) = if round % 2 == 0 {
            let first = one()?;
            (first, other()?)
        } else {
            let first = other()?;
            (one()?, first)
        };
        if round > 0 {
            ours.push(our);
            theirs.push(their);
        }
    }
    let arrived = server.received().len();
    if arrived != 2 * LETTERS * (ROUNDS + 1) {
        return Err(format!("{arrived} letters have arrived instead of {}", 2 * LETTERS * (ROUNDS + 1)).into());
    }
    println!(
        "{LETTERS} letters of {} KiB over one connection under STARTTLS, {ROUNDS} rounds in turns: the median and its range",
        text.len() / 1024
    );
    show("courier", &ours);
    show("Python's smtplib", &theirs);
    let ratio = |of: fn(&Figures) -> f64| median(ours.iter().zip(&theirs).map(|(a, b)| of(a) / of(b)).collect());
    let verdict = |met: bool| if met { "met" } else { "MISSED" };
    let (speed, memory) = (ratio(|figures| figures.rate), ratio(|figures| figures.peak));
    println!("  speed  {speed:.2} x smtplib's  (target: at least {SPEED} x: {})", verdict(speed >= SPEED));
    println!("  memory {memory:.2} x smtplib's  (target: at most {MEMORY} x: {})", verdict(memory <= MEMORY));
    Ok(())
}

/// About as long as the mail of a failed run.
fn a_letter() -> String {
    let head = format!("From: {LOGIN}\r\nTo: {RECIPIENT}\r\nSubject: 1 of 12 scripts failed\r\n\r\n");
    head + &"<td style=\"padding:4px 8px\">load.py</td><td>failure</td><td>12.3 s</td>\r\n".repeat(280)
}

fn courier(port: u16, ca: &Path, letter: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(SEND).arg(port.to_string()).args([ca, letter]).arg(LETTERS.to_string());
    Ok(command)
}

fn smtplib(port: u16, ca: &Path, letter: &Path) -> Command {
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/mail/smtplib.py"));
    command.arg(port.to_string()).args([ca, letter]).args([&LETTERS.to_string(), LOGIN, PASSWORD, RECIPIENT]);
    command
}

fn run(command: &mut Command) -> Result<Figures> {
    let output = command.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let (seconds, peak) =
        text.trim().split_once(' ').ok_or_else(|| format!("{command:?} ended with {}", output.status))?;
    Ok(Figures { rate: LETTERS as f64 / seconds.parse::<f64>()?, peak: peak.parse()? })
}

fn show(name: &str, figures: &[Figures]) {
    let rates = || figures.iter().map(|one| one.rate);
    let (low, high) = rates().fold((f64::INFINITY, 0.0_f64), |(low, high), rate| (low.min(rate), high.max(rate)));
    let peak = median(figures.iter().map(|one| one.peak).collect()) / 1024.0;
    println!("  {name:<18} {:>6.0} letters/s ({low:.0} to {high:.0})  {peak:>6.1} MiB", median(rates().collect()));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

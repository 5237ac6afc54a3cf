//! The lanes in turns, and what comes out.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::outbox;
use super::smtp_server::{LOGIN, Options, PASSWORD, SmtpServer};

pub(super) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The arguments that make this program a lane.
pub(super) const SEND: &str = "--send";
pub(super) const DRAIN: &str = "--drain";
pub(super) const RECIPIENT: &str = "ann@example.test";

const LETTERS: usize = 1000;
const ROUNDS: usize = 5;
/// The least speed and the most memory, in smtplib's. The outbox keeps each letter durably, and has a database in its memory.
const TARGETS: [(&str, f64, f64); 2] = [("courier", 1.0, 0.5), ("outbox", 0.5, 1.0)];

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
    let mut figures: [Vec<Figures>; 3] = Default::default();
    // The first round, which fills caches, doesn't count.
    for round in 0..=ROUNDS {
        let home = folder.path().join(format!("round {round}"));
        outbox::fill(&home, server.port, &ca, text.as_bytes(), LETTERS)?;
        let mut lanes =
            [courier(server.port, &ca, &letter)?, drain(&home.join("state"))?, smtplib(server.port, &ca, &letter)];
        // Each lane comes first, second and last in turn.
        for turn in 0..lanes.len() {
            let lane = (round + turn) % lanes.len();
            let measured = run(&mut lanes[lane])?;
            if round > 0 {
                figures[lane].push(measured);
            }
        }
    }
    let (arrived, wanted) = (server.received().len(), figures.len() * LETTERS * (ROUNDS + 1));
    if arrived != wanted {
        return Err(format!("{arrived} letters have arrived instead of {wanted}").into());
    }
    let (connections, wanted) = (server.connections(), figures.len() * (ROUNDS + 1));
    if connections != wanted {
        return Err(format!("they took {connections} connections instead of {wanted}").into());
    }
    println!(
        "{LETTERS} letters of {} KiB over one connection under STARTTLS, {ROUNDS} rounds in turns: the median and its range",
        text.len() / 1024
    );
    let [.., smtplib] = &figures;
    for ((name, speed, memory), ours) in TARGETS.iter().zip(&figures) {
        show(name, ours);
        let ratio = |of: fn(&Figures) -> f64| median(ours.iter().zip(smtplib).map(|(a, b)| of(a) / of(b)).collect());
        let verdict = |met: bool| if met { "met" } else { "MISSED" };
        let (rate, peak) = (ratio(|figures| figures.rate), ratio(|figures| figures.peak));
        println!("    {rate:.2} x smtplib's speed (target: at least {speed} x: {})", verdict(rate >= *speed));
        println!("    {peak:.2} x smtplib's memory (target: at most {memory} x: {})", verdict(peak <= *memory));
    }
    show("Python's smtplib", smtplib);
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

fn drain(state: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(DRAIN).arg(state);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["MAIL_", "LOGIN_MAIL", "PASSWORD_MAIL", "RUNNER_"].iter().any(|start| name.starts_with(start)) {
            command.env_remove(name);
        }
    }
    Ok(command)
}

fn smtplib(port: u16, ca: &Path, letter: &Path) -> Command {
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/mail/smtplib.py"));
    command.arg(port.to_string()).args([ca, letter]).args([&LETTERS.to_string(), LOGIN, PASSWORD, RECIPIENT]);
    command
}

/// Tells the program that started this lane how long it took, in seconds, and the peak of its memory in KiB.
pub(super) fn report(took: Duration) -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    println!("{} {}", took.as_secs_f64(), peak.trim().trim_end_matches(" kB"));
    Ok(())
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

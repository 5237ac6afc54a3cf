//! What it costs to keep very many schedules: `cargo bench --bench schedule`, with numbers behind `--` for other sizes.
//!
//! Each size has a process of its own, so that its memory is its own. *Register* puts all schedules into an empty
//! database, *load* is what a daemon does that starts again with them: registering and the first look, at which nothing is due. A
//! *tick* is one look at what is due at an instant, with its claims, their beginnings and their ends, each of them written.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use project_runner::ledger::{Engine, Ledger, ScheduledProject};
use project_runner::schedule::{Cron, Dst, Presence, Schedule, Trigger};
use project_runner::store::RunEnded;

/// Schedules of a project.
const EACH: usize = 10;
/// How many ticks are taken the mean of.
const TICKS: u32 = 300;

/// Seconds, mebibytes, milliseconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    register: f64,
    load: f64,
    memory: f64,
    tick: f64,
    runs: f64,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = args.iter().position(|arg| arg == "--one") {
        let cost = measure(args[at + 1].parse().unwrap());
        println!("{} {} {} {} {}", cost.register, cost.load, cost.memory, cost.tick, cost.runs);
        return;
    }
    // `cargo test --benches` starts this program too, without the flag that `cargo bench` adds.
    if !args.iter().any(|arg| arg == "--bench") {
        println!("run it by `cargo bench`: unoptimised figures would mean nothing");
        return;
    }
    let mut sizes: Vec<usize> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 100_000];
    }
    println!("schedules  register      load    memory  a tick  runs begun in it");
    let mut before: Option<(usize, Cost)> = None;
    for size in sizes {
        let cost = in_a_process(size);
        println!(
            "{size:>9} {:>7.2} s {:>7.2} s {:>5.0} MiB {:>4.2} ms {:>6.2}",
            cost.register, cost.load, cost.memory, cost.tick, cost.runs
        );
        if let Some((smaller, less)) = before {
            let times = size as f64 / smaller as f64;
            println!(
                "   {times:.1} times as many: register {:.1}, load {:.1}, memory {:.1}, a run {:.1} times as much",
                cost.register / less.register,
                cost.load / less.load,
                cost.memory / less.memory,
                (cost.tick / cost.runs) / (less.tick / less.runs),
            );
        }
        before = Some((size, cost));
    }
}

fn in_a_process(size: usize) -> Cost {
    let output = Command::new(std::env::current_exe().unwrap()).args(["--one", &size.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    Cost { register: numbers[0], load: numbers[1], memory: numbers[2], tick: numbers[3], runs: numbers[4] }
}

fn projects(size: usize) -> Vec<ScheduledProject> {
    let zones = ["Europe/Paris", "America/Chicago", "Asia/Tokyo", "UTC"].map(|name| TimeZone::get(name).unwrap());
    let schedule = |number: usize| {
        // Spread over the day.
        let minute = number * 7919 % 1440;
        let zone = zones[number % zones.len()].clone();
        let text = match number % 10 {
            0..6 => format!("{} {} * * *", minute % 60, minute / 60),
            6..9 => format!("{} {} * * mon-fri", minute % 60, minute / 60),
            _ => format!("{} {} 1 * *", minute % 60, minute / 60),
        };
        Schedule {
            name: (number % EACH + 1).to_string(),
            definition: format!("{{\"cron\":\"{text}\"}}"),
            trigger: Trigger::Cron(Cron::parse(&text, zone.clone(), Dst::default()).unwrap()),
            zone,
            jitter: SignedDuration::ZERO,
            misfire_grace: None,
            coalesce: true,
        }
    };
    (0..size.div_ceil(EACH))
        .map(|project| ScheduledProject {
            dir: format!("/srv/projects/p{project}").into(),
            name: format!("p{project}"),
            schedules: (project * EACH..size.min((project + 1) * EACH)).map(schedule).collect(),
            ..ScheduledProject::default()
        })
        .collect()
}

/// What this process takes up, in mebibytes; nothing where that can't be read.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

async fn load(state: &Path, projects: &[ScheduledProject], now: Timestamp) -> (Engine, f64) {
    let begin = Instant::now();
    let mut engine = Engine::new(Ledger::open(state).await.unwrap());
    engine.put_all(projects, now).await.unwrap();
    let claims = engine.tick(now, &Presence::default()).await.unwrap();
    assert!(claims.is_empty(), "nothing is due yet");
    (engine, begin.elapsed().as_secs_f64())
}

fn measure(size: usize) -> Cost {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let now: Timestamp = "2026-11-23T03:00:30Z".parse().unwrap();
        let (engine, register) = load(dir.path(), &projects(size), now).await;
        drop(engine);
        let before = resident();
        let projects = projects(size);
        let (mut engine, load) = load(dir.path(), &projects, now).await;
        let memory = resident() - before;
        let presence = Presence { since: Some(now), ..Presence::default() };
        let (begin, mut runs) = (Instant::now(), 0_u32);
        for _ in 0..TICKS {
            let now = engine.next_wake().unwrap();
            for claim in engine.tick(now, &presence).await.unwrap() {
                engine.began(&claim.run_id, now).await.unwrap();
                engine.ended(&claim.run_id, RunEnded::Ran, now).await.unwrap();
                runs += 1;
            }
        }
        let ticks = f64::from(TICKS);
        let tick = begin.elapsed().as_secs_f64() * 1000.0 / ticks;
        Cost { register, load, memory, tick, runs: f64::from(runs) / ticks }
    })
}

//! How punctual the daemon is, and what it costs: 10,000 schedules of which 50 a second are due, for a minute, each starting
//! a program that does nothing; and what it costs while none of them is due. APScheduler's background scheduler does the same
//! beside it where its module can be imported.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Projects, and schedules of each.
const PROJECTS: usize = 100;
const EACH: usize = 100;
/// Every schedule is due once in so many seconds: 10,000 / 200 = 50 a second.
const PERIOD: usize = 200;

fn main() {
    let seconds = std::env::var("DAEMON_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let dir = tempfile::tempdir().unwrap();
    println!("{} schedules, {} starts a second, {seconds} s", PROJECTS * EACH, PROJECTS * EACH / PERIOD);
    let busy = daemon(&dir.path().join("busy"), seconds, PERIOD);
    println!("none of them due:");
    let idle = daemon(&dir.path().join("idle"), seconds, IDLE_PERIOD);
    if let Some(peer) = peer(dir.path(), seconds) {
        println!(
            "runner daemon : APScheduler: late {:.2} (median), {:.2} (99th percentile), processor {:.2}, memory {:.2}",
            busy.late.0 / peer.late.0,
            busy.late.1 / peer.late.1,
            busy.processor / peer.processor,
            busy.memory / peer.memory
        );
    }
    println!("runner daemon, none due : busy: processor {:.4}", idle.processor / busy.processor);
}

/// What a scheduler has cost, and how late it was in milliseconds: median, and 99th percentile.
struct Cost {
    processor: f64,
    memory: f64,
    late: (f64, f64),
}

/// With this period the schedules are due in the year 2051 for the first time after 2020.
const IDLE_PERIOD: usize = 1_000_000_000;

fn daemon(dir: &Path, seconds: u64, period: usize) -> Cost {
    let jobs = dir.join("jobs");
    for project in 0..PROJECTS {
        let root = jobs.join(format!("p{project}"));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("a.sh"), "").unwrap();
        let schedules: Vec<_> = (0..EACH)
            .map(|n| {
                let second = (project * EACH + n) % PERIOD;
                let start = format!("2020-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
                serde_json::json!({ "interval": format!("{period}s"), "start": start, "timezone": "UTC" })
            })
            .collect();
        let config = serde_json::json!({
            "scripts": ["a.sh"], "python_command": "true", "recipients": [], "email_strategy": "none",
            "include_traceback": false, "logs_backup_count": 1, "overlap": { "allow": 20 }, "schedule": schedules,
        });
        std::fs::write(root.join("exec_config.json"), config.to_string()).unwrap();
    }
    // Of files that are as new as this a change might not show, so that they would be read again for each run.
    std::thread::sleep(Duration::from_secs(3));
    let begin = Instant::now();
    let log = std::fs::File::create(dir.join("daemon.log")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(["daemon", "jobs"])
        .current_dir(dir)
        .env("RUNNER_STATE_DIR", dir.join("state"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    while !std::fs::read_to_string(dir.join("daemon.log")).unwrap_or_default().contains("looking after") {
        std::thread::sleep(Duration::from_millis(10));
        assert!(begin.elapsed() < Duration::from_secs(300), "the daemon doesn't begin");
    }
    // What was due before it had read everything is late by that.
    let ready = jiff::Timestamp::now();
    println!("runner daemon: ready after {:.2} s", begin.elapsed().as_secs_f64());
    let (processor, memory) = watch(child, seconds);
    let mut late = Vec::new();
    for project in 0..PROJECTS {
        let runs = std::fs::read_dir(jobs.join(format!("p{project}/logs/runs")));
        for run in runs.into_iter().flatten().flatten() {
            late.extend(lateness(&run.path(), ready));
        }
    }
    Cost { processor, memory, late: print_lateness(&mut late) }
}

/// How long after it was planned a run's first script began, in milliseconds; of those that were planned after `since`.
fn lateness(run: &Path, since: jiff::Timestamp) -> Option<f64> {
    let events = std::fs::read_to_string(run.join("events.jsonl")).ok()?;
    let mut events = events.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let started = events.next()?;
    let script = events.find(|event| event["event"] == "script_started")?;
    let at = |value: &serde_json::Value| value.as_str()?.parse::<jiff::Timestamp>().ok();
    let planned = at(&started["planned"]).filter(|planned| *planned > since)?;
    let waited = at(&script["time"])?.duration_since(planned);
    Some(waited.as_secs_f64() * 1000.0)
}

/// Lets a scheduler work, and says what it cost.
fn watch(mut child: Child, seconds: u64) -> (f64, f64) {
    let pid = child.id();
    let before = processor_time(pid);
    std::thread::sleep(Duration::from_secs(seconds));
    let spent = processor_time(pid) - before;
    let kib = memory(pid);
    println!("  processor {:.2} % of one core, memory {:.1} MiB", spent * 100.0 / seconds as f64, kib / 1024.0);
    let _ = Command::new("kill").arg(pid.to_string()).status();
    child.wait().unwrap();
    (spent / seconds as f64, kib)
}

/// Of the process itself, without its children, in seconds; `man 5 proc_pid_stat`, with the usual 100 ticks a second.
fn processor_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit_once(") ")
        .map(|(_, rest)| rest.split(' ').filter_map(|field| field.parse().ok()).collect())
        .unwrap_or_default();
    // The letter of the state isn't a number: user time is the 11th that is left, then the system's.
    fields.get(10).copied().unwrap_or_default() / 100.0 + fields.get(11).copied().unwrap_or_default() / 100.0
}

fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").trim().parse().unwrap_or_default()
}

fn print_lateness(late: &mut [f64]) -> (f64, f64) {
    late.sort_by(f64::total_cmp);
    let at = |part: f64| late.get(((late.len() as f64 - 1.0) * part) as usize).copied().unwrap_or(f64::NAN);
    if late.is_empty() {
        println!("  no starts");
        return (f64::NAN, f64::NAN);
    }
    println!(
        "  {} starts, late by: median {:.1} ms, 99th percentile {:.1} ms, most {:.1} ms",
        late.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    (at(0.5), at(0.99))
}

const PEER: &str = r#"
import datetime, subprocess, sys, time, threading
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger
from apscheduler.executors.pool import ThreadPoolExecutor
projects, each, period, seconds, out = *map(int, sys.argv[1:5]), sys.argv[5]
utc = datetime.timezone.utc
late, lock = [], threading.Lock()
def work(second):
    now = time.time()
    planned = second + period * ((now - second) // period)
    with lock:
        late.append((now - planned) * 1000)
    subprocess.run(["true"])
scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(32)}, timezone=utc)
begin = time.time()
for n in range(projects * each):
    second = n % period
    start = datetime.datetime.fromtimestamp(1577836800 + second, utc)
    scheduler.add_job(work, IntervalTrigger(seconds=period, start_date=start, timezone=utc), args=[1577836800 + second], misfire_grace_time=None, max_instances=20)
scheduler.start()
print(f"APScheduler: ready after {time.time() - begin:.2f} s", flush=True)
time.sleep(seconds + 2)
with open(out, "w") as file:
    file.write("\n".join(map(str, late)))
time.sleep(600)
"#;

fn peer(dir: &Path, seconds: u64) -> Option<Cost> {
    let venv = std::env::var_os("RUNNER_ORACLES").map(PathBuf::from);
    let python = venv.map_or_else(|| PathBuf::from("python3"), |venv| venv.join("bin/python"));
    let probe =
        Command::new(&python).args(["-c", "import apscheduler.schedulers.background"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("APScheduler: skipped, {} can't import it (RUNNER_ORACLES names a venv that can)", python.display());
        return None;
    }
    let out = dir.join("late");
    let child = Command::new(&python)
        .args(["-c", PEER])
        .args([PROJECTS, EACH, PERIOD].map(|number| number.to_string()))
        .arg(seconds.to_string())
        .arg(&out)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let (processor, memory) = watch(child, seconds + 5);
    let text = std::fs::read_to_string(&out).unwrap_or_default();
    let mut late: Vec<f64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    Some(Cost { processor, memory, late: print_lateness(&mut late) })
}

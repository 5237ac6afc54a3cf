//! The four parts, their targets, and how they are printed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::lanes::{Project, Result, on_path, succeed};
use super::measure::{Lane, Peaks, Times, peak_memory};

const MIB: f64 = 1024.0 * 1024.0;
/// Bytes of output in the part `output`.
const FLOOD: u64 = 1 << 30;

/// The smallest honest no-ops: a program that ignores its argument, and a shell that reads an empty script.
const NO_OPS: [&str; 2] = ["true", "sh"];

/// A part's name, what is measured, and how.
type Part = (&'static str, fn(&Path) -> Result<()>);

/// Runs the chosen parts, or all of them.
pub(super) fn run(chosen: &[String]) -> Result<()> {
    let parts: [Part; 4] = [("many", many), ("one", one), ("output", output), ("large", large)];
    if let Some(unknown) = chosen.iter().find(|name| parts.iter().all(|(part, _)| part != name)) {
        return Err(format!("no part is called `{unknown}`; there are many, one, output and large").into());
    }
    println!("runner: {}", env!("CARGO_BIN_EXE_runner"));
    println!("cores: {}", std::thread::available_parallelism().map_or(0, usize::from));
    for (name, part) in parts {
        if chosen.is_empty() || chosen.iter().any(|wanted| wanted == name) {
            // In the target folder: on a disk, where /tmp may be memory.
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
            part(folder.path())?;
        }
    }
    Ok(())
}

/// 500 no-op scripts: log, history and capture on, at most 1.25 times the bare loop.
fn many(folder: &Path) -> Result<()> {
    for interpreter in NO_OPS {
        let project = Project::make(folder, interpreter, interpreter, "", 500)?;
        let mut lanes = vec![project.lane_bare(), project.lane_runner()];
        lanes.extend(project.lane_python());
        lanes.extend(project.lane_xargs()?);
        let times = Times::take(9, &mut lanes)?;
        heading(&format!("many: a project of 500 scripts, `{interpreter}` each"));
        table(&lanes, &times);
        target("ratio to the bare loop", times.ratio(1, 0), Limit::AtMost(1.25), "");
    }
    Ok(())
}

/// One no-op script: the whole command takes at most 10 ms more than the bare one, net of one fsync.
fn one(folder: &Path) -> Result<()> {
    for interpreter in NO_OPS {
        let project = Project::make(folder, interpreter, interpreter, "", 1)?;
        let synced = folder.join(format!("{interpreter}.synced"));
        let fsync = Lane::new("append and fsync, same disk", move || {
            let mut file = OpenOptions::new().create(true).append(true).open(&synced)?;
            file.write_all(&[b'.'; 200])?;
            Ok(file.sync_all()?)
        });
        let mut lanes = vec![project.lane_bare(), project.lane_runner(), fsync];
        lanes.extend(project.lane_python());
        lanes.extend(project.lane_xargs()?);
        let times = Times::take(50, &mut lanes)?;
        heading(&format!("one: the whole command for one script, `{interpreter}`"));
        table(&lanes, &times);
        println!("  more than the bare command: {:.2} ms", 1000.0 * times.excess(1, &[0]));
        target("the same, net of one fsync", 1000.0 * times.excess(1, &[0, 2]), Limit::AtMost(10.0), " ms");
    }
    Ok(())
}

/// 1 GiB of output: at least 0.7 times the speed of a pipe into `cat`, in less than 32 MiB.
fn output(folder: &Path) -> Result<()> {
    let producer = format!("head -c {FLOOD} /dev/zero");
    let project = Project::make(folder, "flood", "sh", &format!("exec {producer}\n"), 1)?;
    let shell = on_path("sh").ok_or("`sh` is not on PATH")?;
    let pipe = Lane::new("producer | cat >/dev/null", move || {
        let mut command = Command::new(&shell);
        command.arg("-c").arg(format!("{producer} | cat >/dev/null"));
        succeed(command.stdin(Stdio::null()))
    });
    let mut lanes = vec![pipe, project.lane_runner()];
    lanes.extend(project.lane_python());
    let times = Times::take(7, &mut lanes)?;
    heading("output: one script that prints 1 GiB");
    table(&lanes, &times);
    for (index, lane) in lanes.iter().enumerate() {
        println!("  {:<36} {:>8.0} MiB/s", lane.name, FLOOD as f64 / MIB / times.median(index));
    }
    target("speed, as a part of the pipe's", times.ratio(0, 1), Limit::AtLeast(0.7), "");
    memory(peak_memory(&mut project.runner())?, 32.0);
    Ok(())
}

/// 10,000 no-op scripts in less than 48 MiB.
fn large(folder: &Path) -> Result<()> {
    let project = Project::make(folder, "large", "true", "", 10_000)?;
    println!("\nlarge: a project of 10,000 scripts, `true` each");
    memory(peak_memory(&mut project.runner())?, 48.0);
    // Once more, with a state database and a log that are already long.
    memory(peak_memory(&mut project.runner())?, 48.0);
    Ok(())
}

fn memory(peaks: Peaks, limit: f64) {
    let (runner, helper) = (peaks.runner as f64 / MIB, peaks.helper as f64 / MIB);
    println!("  peak memory: runner {runner:.1} MiB, its helper process {helper:.1} MiB");
    // The sum counts the pages that both share, the program's own, twice: it is never too small.
    target("peak memory of both together", runner + helper, Limit::Under(limit), " MiB");
}

enum Limit {
    AtMost(f64),
    AtLeast(f64),
    Under(f64),
}

fn target(what: &str, value: f64, limit: Limit, unit: &str) {
    let (met, sign, bound) = match limit {
        Limit::AtMost(bound) => (value <= bound, "≤", bound),
        Limit::AtLeast(bound) => (value >= bound, "≥", bound),
        Limit::Under(bound) => (value < bound, "<", bound),
    };
    let verdict = if met { "pass" } else { "MISS" };
    println!("  {verdict}  {what}: {value:.2}{unit} (target {sign} {bound}{unit})");
}

fn heading(text: &str) {
    println!("\n{text}\n  {:<36} {:>10} {:>10} {:>10} {:>7}", "", "median", "fastest", "slowest", "ratio");
}

fn table(lanes: &[Lane<'_>], times: &Times) {
    for (index, lane) in lanes.iter().enumerate() {
        let (low, high) = times.range(index);
        let [median, low, high] = [times.median(index), low, high].map(|seconds| format!("{:.2} ms", 1000.0 * seconds));
        println!("  {:<36} {median:>10} {low:>10} {high:>10} {:>6.2}×", lane.name, times.ratio(index, 0));
    }
}

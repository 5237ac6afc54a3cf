//! Output without measure: gigabytes without an end of line, a hundred thousand lines a second, bytes that are no text; and
//! scripts that read. What it costs the runner in memory is told, and bounded.

use std::process::{Child, Stdio};

use serde_json::Value;

use crate::harness::{Finished, Project, Test, finish};
use crate::{Faults, remains};

/// Bytes that a runner may need, whatever scripts print: twice what it keeps of an output, and itself.
const MEMORY: u64 = 64 << 20;

/// Lines a second.
const RATE: usize = 100_000;

pub fn flood(faults: &Faults) {
    std::thread::scope(|scope| {
        scope.spawn(|| one_line(faults));
        scope.spawn(|| many_lines(faults));
        scope.spawn(|| no_text(faults));
        scope.spawn(|| nothing_to_read(faults));
    });
    if cfg!(not(target_os = "linux")) {
        faults.tally.skip("the runner's memory isn't read: there is no /proc");
    }
}

/// Waits for a runner, and watches the largest memory that it needs.
fn watched(faults: &Faults, mut runner: Child, what: &str) -> Finished {
    let peak = remains::peak_memory(&mut runner).unwrap_or(0);
    faults.tally.count("runs", 1);
    faults.tally.check(peak < MEMORY, || format!("{what}: the runner needed {} MiB", peak >> 20));
    if peak > 0 {
        faults.tally.note(format!("{:.1} MiB of memory for {what}", peak as f64 / f64::from(1 << 20)));
    }
    finish(runner)
}

fn start(test: &Test, args: &[&str]) -> Child {
    // A pipe would fill before anyone reads it.
    test.command(args).stdout(Stdio::null()).spawn().unwrap()
}

/// Checks how many bytes the only script of the project printed, as the runner counted them.
fn expect_bytes(faults: &Faults, project: &Project, bytes: usize, what: &str) {
    let end = &project.ends()[0];
    let counted = end["output"]["bytes"].as_u64();
    faults.tally.check(counted == Some(bytes as u64), || format!("{what}: {counted:?} bytes of {bytes}"));
    let kept = project.output(0).len();
    faults.tally.check(kept < 6 << 20 && kept >= bytes.min(5 << 20), || format!("{what}: {kept} bytes were kept"));
    faults.tally.check(project.log_ends() == ["a.txt - success"], || format!("{what}: {:?}", project.log_ends()));
    faults.tally.count("MiB of output", bytes >> 20);
}

fn one_line(faults: &Faults) {
    for (args, mebibytes) in [(&["run", "-q", "p"][..], faults.of(64, 2048)), (&["run", "-v", "p"], faults.of(8, 256))]
    {
        let bytes = mebibytes << 20;
        let what = format!("{mebibytes} MiB on one line");
        let test = Test::new();
        let project = test.project("p").script("a.txt", &format!("flood {bytes}"));
        watched(faults, start(&test, args), &what).expect(0);
        expect_bytes(faults, &project, bytes, &what);
    }
}

fn many_lines(faults: &Faults) {
    let test = Test::new();
    let seconds = faults.of(2, 20);
    let what = format!("{seconds} s of {RATE} lines a second");
    let project = test.project("p").script("a.txt", &format!("pour {RATE} {seconds}"));
    watched(faults, start(&test, &["run", "-q", "p"]), &what).expect(0);
    let bytes: usize = (0..RATE * seconds).map(|n| format!("line {n}\n").len()).sum();
    expect_bytes(faults, &project, bytes, &what);
    let took = project.ends()[0]["duration_us"].as_u64().unwrap();
    faults.tally.count("lines of output", RATE * seconds);
    faults.tally.note(format!("{:.0} lines a second arrived", (RATE * seconds) as f64 / (took as f64 / 1e6)));
}

/// What the subject's verb of this name prints.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let mut all = Vec::new();
    while all.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.extend_from_slice(&state.to_le_bytes());
    }
    all.truncate(bytes);
    all
}

/// What is no text arrives as it is, and harms nothing that is made of it.
fn no_text(faults: &Faults) {
    let test = Test::new();
    let seed = faults.seed % 1_000_000 + 1;
    let bytes = 3 << 20;
    let project = test
        .project("p")
        .script("a.txt", &format!("noise {seed} {bytes}"))
        .script("b.txt", &format!("noise {seed} 5000\nexit 3"))
        .script("c.txt", "bytes 00 00 ff fe 0a 0d 1b 5b 32 4a c3 28 e2 80 a8 00\nexit 3");
    let run = test.runner(["run", "--json", "p"]).expect(1);
    let events: Vec<Value> = run.json();
    faults.tally.check(events.iter().any(|event| event["event"] == "run_finished"), || "no end in the JSON".into());
    faults.tally.check(project.output(0) == noise(seed, bytes), || "noise of 3 MiB did not arrive as it was".into());
    faults
        .tally
        .check(project.output(1) == noise(seed, 5000), || "noise of 5000 bytes did not arrive as it was".into());
    faults.tally.check(project.output(2).len() == 16, || "NULs and the like did not arrive as they were".into());
    let (_, wrong) = crate::audit::read_log(&project);
    faults.tally.check(wrong.is_empty() && project.log().len() == 3, || format!("the log after noise: {wrong:?}"));
    for flags in [&["-q"][..], &["-v"], &[]] {
        let run = test.runner([&["run", "p"], flags].concat()).expect(1);
        faults.tally.check(!run.stderr.contains("warning"), || format!("noise made it warn: {}", run.stderr));
    }
    faults.tally.count("runs", 4);
    let id = project.run_dirs()[0].file_name().unwrap().to_string_lossy().into_owned();
    for verb in ["show", "logs"] {
        for json in [false, true] {
            let args: Vec<&str> = [verb, &id].into_iter().chain(json.then_some("--json")).collect();
            let answer = test.runner(args).expect(0);
            if json {
                faults.tally.count("JSON lines", answer.json().len());
            }
        }
    }
}

/// A script that reads sees the end at once, whatever the runner itself could read.
fn nothing_to_read(faults: &Faults) {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "stdin").set("timeout", 30);
    let mut runner = test.command(["run", "-q", "p"]).stdin(Stdio::piped()).spawn().unwrap();
    // Held open: a script that read it would wait for ever.
    let held = runner.stdin.take();
    let run = finish(runner);
    drop(held);
    faults.tally.count("runs", 1);
    faults.tally.check(run.code == 0 && project.output_text(0) == "stdin: 0 bytes\n", || {
        format!("a script that reads: {} {:?}", run.code, project.output_text(0))
    });
}

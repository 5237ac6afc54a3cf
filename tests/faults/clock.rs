//! The machine's clock is put forward and back while runs go on. The machine's own stays as it is: a small library, loaded
//! before the runner, adds to what it is told of the time of day.

#[cfg(target_os = "linux")]
pub use on_linux::clock;

#[cfg(not(target_os = "linux"))]
pub fn clock(faults: &crate::Faults) {
    faults.tally.skip("the clock can't be shifted for one program on this system");
}

#[cfg(target_os = "linux")]
mod on_linux {
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    use chrono::{DateTime, Utc};

    use crate::Faults;
    use crate::audit;
    use crate::harness::{Finished, Project, Test, finish, wait_for_file};

    const DAY: i64 = 24 * 3600;

    /// A folder in which runners read another clock.
    struct Shifted {
        test: Test,
        library: PathBuf,
    }

    impl Shifted {
        fn new() -> Result<Self, String> {
            let test = Test::new();
            let library = build(&test.path("clock.so"))?;
            let shifted = Self { test, library };
            shifted.set(0);
            Ok(shifted)
        }

        /// Puts the clock so many seconds beside the machine's, for runners that run and for those to come. In place, so
        /// that whoever has mapped the file sees it.
        fn set(&self, seconds: i64) {
            use std::os::unix::fs::FileExt;
            let mut options = std::fs::File::options();
            let file = options.write(true).create(true).truncate(false).open(self.test.path("shift"));
            file.unwrap().write_all_at(&seconds.to_le_bytes(), 0).unwrap();
        }

        fn command(&self, args: &[&str]) -> Command {
            let mut command = self.test.command(args);
            command.env("LD_PRELOAD", &self.library).env("SHIFTED_CLOCK", self.test.path("shift"));
            command
        }

        fn start(&self) -> Child {
            self.command(&["run", "-q", "p"]).spawn().unwrap()
        }

        fn run(&self) -> Finished {
            finish(self.start())
        }
    }

    fn build(library: &Path) -> Result<PathBuf, String> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/clock.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut command = Command::new(&compiler);
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(library).arg(source);
        match command.output() {
            Err(error) => Err(format!("no C compiler for the library that shifts the clock: {compiler}: {error}")),
            Ok(built) if !built.status.success() => {
                Err(format!("{compiler} cannot build a library: {}", String::from_utf8_lossy(&built.stderr).trim()))
            }
            Ok(_) => Ok(library.to_owned()),
        }
    }

    /// When the newest run began, as its events have it.
    fn began(dir: &Path) -> DateTime<Utc> {
        let events = std::fs::read_to_string(dir.join("events.jsonl")).unwrap();
        let first: serde_json::Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
        first["time"].as_str().unwrap().parse().unwrap()
    }

    pub fn clock(faults: &Faults) {
        match Shifted::new().and_then(|shifted| takes_effect(&shifted)) {
            Ok(()) => {
                jumps_in_a_script(faults);
                jumps_between_runs(faults);
            }
            Err(why) => faults.tally.skip(why),
        }
    }

    fn takes_effect(shifted: &Shifted) -> Result<(), String> {
        let project = shifted.test.project("p").script("a.txt", "");
        shifted.set(DAY);
        shifted.run().expect(0);
        let ahead = (began(&project.run_dir()) - Utc::now()).num_seconds();
        if ahead > DAY / 2 { Ok(()) } else { Err("the runner doesn't ask the C library for the time".to_owned()) }
    }

    /// While a script waits the clock jumps. Its duration, its timeout and those of the run must not notice.
    fn jumps_in_a_script(faults: &Faults) {
        for jump in [3 * DAY, -3 * DAY, 3600, -3600, 400 * DAY, -400 * DAY] {
            let shifted = Shifted::new().unwrap();
            let what = format!("a clock that jumps by {jump} s");
            let slow = serde_json::json!({"timeout": "40s"});
            let project = shifted
                .test
                .project("p")
                .script_with("a.txt", "touch begun\nwait-for go", slow)
                .script_with("b.txt", "sleep 60", serde_json::json!({"timeout": "300ms", "kill_grace": "1s"}))
                .script("c.txt", "print on");
            let begin = Instant::now();
            let runner = shifted.start();
            wait_for_file(&project.root.join("begun"));
            let before = begin.elapsed();
            shifted.set(jump);
            std::thread::sleep(Duration::from_millis(300));
            std::fs::write(project.root.join("go"), "").unwrap();
            let run = finish(runner);
            let all = begin.elapsed();
            faults.tally.count("jumps", 1);
            faults.tally.check(run.code == 1, || format!("{what}: exit code {}\n{}", run.code, run.stderr));
            faults.tally.check(run.stderr.is_empty(), || format!("{what}: it says {}", run.stderr));
            let ends = project.ends();
            let took = |at: usize| Duration::from_micros(ends[at]["duration_us"].as_u64().unwrap());
            let holds = took(0) >= Duration::from_millis(300) && took(0) <= all.saturating_sub(took(1)).max(before);
            faults.tally.check(holds, || format!("{what}: the script took {:?} of {all:?}", took(0)));
            // Measured from the script's own beginning, which is a little after the order to begin it.
            faults.tally.check(took(1) >= Duration::from_millis(150) && took(1) < Duration::from_secs(30), || {
                format!("{what}: a script with a timeout of 300 ms was given {:?}", took(1))
            });
            let kinds: Vec<&str> = ends.iter().filter_map(|end| end["outcome"]["kind"].as_str()).collect();
            faults.tally.check(kinds == ["success", "timeout", "success"], || format!("{what}: {kinds:?}"));
            let run = audit::read_run(&project.run_dir());
            let whole = Duration::from_micros(run.duration_us);
            faults.tally.check(whole >= took(0) + took(1) && whole <= all, || {
                format!("{what}: the run took {whole:?} of {all:?}")
            });
            let (history, _) = audit::history(&shifted.test);
            let told = history.get(&run.id).and_then(|run| run["duration_seconds"].as_f64()).unwrap_or(-1.0);
            faults.tally.check((told - whole.as_secs_f64()).abs() < 0.01, || {
                format!("{what}: the history says {told} s, the events {whole:?}")
            });
            audit::audit(faults, &shifted.test, &[project], &Default::default(), &what).count(faults);
        }
    }

    /// Runs before, after and between jumps: all of them are found, no log is archived that isn't old, none is lost.
    fn jumps_between_runs(faults: &Faults) {
        let shifted = Shifted::new().unwrap();
        let project = shifted.test.project("p").script("a.txt", "print a").script("b.txt", "print b");
        let what = "runs between jumps";
        // Beside the machine's clock, and how many archives there may be afterwards: one is due once the log's first
        // line is three days old, and a line from the future says nothing about that.
        let times = [
            (0, 0),
            (DAY, 0),
            (0, 0),
            (10 * DAY, 1),
            (10 * DAY, 1),
            (0, 1),
            (0, 1),
            (-10 * DAY, 1),
            (-10 * DAY, 1),
            (0, 1),
            (10 * DAY + 60, 1),
            (400 * DAY, 2),
            (0, 2),
            (0, 2),
        ];
        for (at, (shift, archives)) in times.into_iter().enumerate() {
            shifted.set(shift);
            let run = shifted.run();
            faults.tally.count("shifted runs", 1);
            let said = format!("{what}: run {at}, at {} days", shift / DAY);
            faults
                .tally
                .check(run.code == 0 && run.stderr.is_empty(), || format!("{said}: {} {}", run.code, run.stderr));
            let found = archives_of(&project);
            faults.tally.check(found <= archives, || format!("{said}: {found} archives, not {archives}"));
        }
        let audited = audit::audit(faults, &shifted.test, std::slice::from_ref(&project), &Default::default(), what);
        audited.count(faults);
        let runs = times.len();
        faults.tally.check(audited.runs == runs && audited.lines == 2 * runs, || {
            format!("{what}: {} runs and {} lines of {runs} runs", audited.runs, audited.lines)
        });
        for id in audit::history(&shifted.test).0.keys() {
            let shown = finish(shifted.command(&["show", id, "--json"]).spawn().unwrap());
            faults.tally.check(shown.code == 0, || format!("{what}: show {id}: {} {}", shown.code, shown.stderr));
        }
    }

    fn archives_of(project: &Project) -> usize {
        audit::log_files(project).len() - 1
    }
}

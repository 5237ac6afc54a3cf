//! A temporary folder with projects whose scripts behave as badly as scripts can, and the runner on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::Faults;
use crate::audit::{self, Audit};
use crate::dice::Dice;
use crate::harness::{Project, Test};
use crate::remains;

/// The longest that a script's process may outlive its runner.
pub const TO_END: Duration = Duration::from_secs(2);

/// Scripts that behave well, and that each project has.
const DECENT: &[(&str, &str)] = &[("quick.txt", "print quick"), ("work.txt", "print begun\nsleep 0.05\nprint done")];

/// Those that don't. Each sleeps for minutes somewhere: whoever lives on is found.
const NASTY: &[(&str, &str)] = &[
    ("fork.txt", "leave pid-fork 300\nsleep 0.1"),
    ("holding.txt", "print held\nleave-holding pid-holding 300"),
    ("setsid.txt", "leave-detached pid-setsid 300\nsleep 0.1"),
    ("double.txt", "inner leave-detached pid-double 300\nsleep 0.1"),
    ("stubborn.txt", "ignore-requests-to-end\nleave pid-stubborn 300\nsleep 0.2"),
    ("fail.txt", "eprint trouble\nexit 3"),
    ("chatty.txt", "lines 3000"),
    ("family.txt", "leave pid-one 300\nleave-holding pid-two 300\nleave-detached pid-three 300\nsleep 0.05"),
    #[cfg(unix)]
    ("hydra.txt", "hydra 25 120"),
    #[cfg(unix)]
    ("asked.txt", "fork-when-asked pid-asked 300"),
    #[cfg(unix)]
    ("signal.txt", "print before\nsignal 9"),
];

pub struct Scene {
    pub test: Test,
    pub names: Vec<String>,
    /// What each run's events were when its runner was killed; they may only grow.
    pub before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Scene {
    pub fn new(projects: usize) -> Self {
        let test = Test::new();
        let names: Vec<String> = (0..projects).map(|n| format!("p{n}")).collect();
        for name in &names {
            for (script, program) in DECENT.iter().chain(NASTY) {
                std::fs::create_dir_all(test.path(name)).unwrap();
                std::fs::write(test.path(name).join(script), program).unwrap();
            }
        }
        let scene = Self { test, names, before: BTreeMap::new() };
        scene.choose(&mut Dice::new(0), 0);
        scene
    }

    /// Gives each project its decent scripts and some of the others, in random order.
    pub fn choose(&self, dice: &mut Dice, nasty: usize) {
        for name in &self.names {
            let mut scripts: Vec<&str> = NASTY.iter().map(|(script, _)| *script).collect();
            dice.shuffle(&mut scripts);
            scripts.truncate(nasty);
            scripts.extend(DECENT.iter().map(|(script, _)| *script));
            dice.shuffle(&mut scripts);
            let project = self.test.project(name).set("scripts", scripts).set("kill_grace", "200ms");
            let project = project.set("leak_timeout", "150ms");
            project.set("retries", json!({"count": 1, "delay": "60ms", "on": {"exit_codes": [3]}}));
        }
    }

    pub fn projects(&self) -> Vec<Project> {
        self.names.iter().map(|name| self.test.existing(name)).collect()
    }

    pub fn folders(&self) -> Vec<PathBuf> {
        self.names.iter().map(|name| self.test.path(name)).collect()
    }

    /// The runner on all projects at once, side by side, what it prints in a file.
    pub fn command(&self, more: &[&str]) -> Command {
        let jobs = self.names.len().to_string();
        let mut args = vec!["run", "--jobs", &jobs];
        args.extend(self.names.iter().map(String::as_str));
        args.extend(more);
        let mut command = self.test.command(args);
        command.stdout(Stdio::null()).stderr(File::create(self.test.path("stderr")).unwrap());
        command
    }

    pub fn start(&self) -> Child {
        self.command(&[]).spawn().unwrap()
    }

    /// What the last runner said.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.test.path("stderr")).unwrap_or_default()
    }

    /// The ids of the runs that there are.
    pub fn run_ids(&self) -> BTreeSet<String> {
        let dirs = self.projects().into_iter().flat_map(|project| project.run_dirs());
        dirs.map(|dir| dir.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    /// Remembers what the events of each run are now, unless they are remembered from an earlier time. To be called while
    /// no runner lives.
    pub fn remember(&mut self) {
        for dir in self.projects().into_iter().flat_map(|project| project.run_dirs()) {
            let events = std::fs::read(dir.join("events.jsonl")).unwrap_or_default();
            self.before.entry(dir).or_insert(events);
        }
    }

    /// Checks that soon no process lives whose run is of interest (`None` for one that cleared its environment). The
    /// process ids in files are used up.
    pub fn expect_ends(&self, faults: &Faults, what: &str, is_of_interest: impl Fn(Option<&str>) -> bool) {
        let root = self.test.path("").canonicalize().unwrap();
        let pids = remains::take_pid_files(&self.folders());
        let find = || remains::find(&root, &pids, &is_of_interest);
        let mut looked_for = find();
        looked_for.extend(pids.iter().cloned());
        faults.tally.count("descendants looked for", looked_for.len());
        match remains::wait_for_ends(find, TO_END) {
            Ok(took) => faults.tally.time("to their end", took),
            Err(left) => {
                let told: Vec<String> = left.iter().map(|pid| remains::describe(pid)).collect();
                let told = told.join("; ");
                faults.tally.fail(format!("{what}: {} processes of scripts live on: {told}", left.len()));
                remains::end(find);
            }
        }
    }

    /// Ends what is left and was not looked for.
    #[cfg(target_os = "linux")]
    pub fn end_the_rest(&self) {
        let root = self.test.path("").canonicalize().unwrap();
        remains::end(|| remains::find(&root, &BTreeSet::new(), |_| true));
    }

    /// Runs one quick script of each project: it has to work, whatever happened before.
    pub fn expect_to_work(&self, faults: &Faults, what: &str) {
        let status = self.command(&["--only", "quick.txt"]).status().unwrap();
        faults.tally.count("runs after it", self.names.len());
        faults.tally.check(status.code() == Some(0), || {
            format!("{what}: the next run ended with {:?}\n{}", status.code(), self.stderr())
        });
    }

    /// Compares log, events and history of everything that ran so far.
    pub fn audit(&self, faults: &Faults, what: &str) -> Audit {
        audit::audit(faults, &self.test, &self.projects(), &self.before, what)
    }
}

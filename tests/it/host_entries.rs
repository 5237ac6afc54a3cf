//! Entries in the system's own schedulers, with stand-ins for `systemctl` and `crontab`: nothing of the machine is changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test};

/// A home of its own, and in front of PATH the stand-ins, which keep in a folder what they are asked for.
pub struct Machine {
    pub test: Test,
}

impl Machine {
    pub fn new() -> Self {
        let test = Test::new();
        std::fs::create_dir(test.path("fakes")).unwrap();
        Self { test }
    }

    fn project(&self, schedule: Value) -> Project {
        self.test.project("reports").script("a.txt", "print a").set("schedule", schedule)
    }

    fn path(&self) -> String {
        let fakes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/host/fakes");
        format!("{}:/usr/bin:/bin", fakes.display())
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.test.command(args);
        command
            .env("PATH", self.path())
            .env("FAKES", self.test.path("fakes"))
            .env("HOME", self.test.path("home"))
            .env("XDG_CONFIG_HOME", self.test.path("home/config"))
            .env("USER", "nobody-of-this-name");
        command
    }

    pub fn runner(&self, args: &[&str]) -> Finished {
        Finished::of(self.command(args).output().unwrap())
    }

    pub fn units(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.test.path("home/config/systemd/user")).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        files.sort();
        files
    }

    pub fn crontab(&self) -> String {
        std::fs::read_to_string(self.test.path("fakes/table")).unwrap_or_default()
    }

    /// What `schedule status` says: keeper and entry of each schedule.
    fn status(&self) -> Vec<(String, Value, Value)> {
        let standing = self.runner(&["schedule", "status", "reports", "--json"]).expect(0).json();
        let field = |standing: &Value, key: &str| standing[key].clone();
        let name = |standing: &Value| standing["schedule"].as_str().unwrap().to_owned();
        standing.iter().map(|one| (name(one), field(one, "keeper"), field(one, "entry"))).collect()
    }
}

/// By the machine's clock, which cron and Task Scheduler go by.
pub fn daily(time: &str) -> Value {
    let rules = std::fs::canonicalize("/etc/localtime").unwrap_or_default();
    daily_in(rules.to_str().unwrap().split_once("zoneinfo/").map_or("UTC", |(_, name)| name), time)
}

fn daily_in(zone: &str, time: &str) -> Value {
    let (hour, minute) = time.split_once(':').unwrap();
    json!({"cron": format!("{minute} {hour} * * *"), "timezone": zone})
}

fn stood(name: &str, keeper: impl Into<Value>, entry: impl Into<Value>) -> (String, Value, Value) {
    (name.to_owned(), keeper.into(), entry.into())
}

#[test]
fn a_timer_is_installed_seen_to_drift_made_anew_and_taken_away() {
    let machine = Machine::new();
    let project = machine.project(daily_in("Europe/Paris", "6:00"));
    assert_eq!(machine.status(), [stood("1", Value::Null, Value::Null)], "nobody keeps it");
    let install = ["schedule", "install", "reports", "--with", "systemd", "--user"];
    let done = machine.runner(&install).expect(0);
    assert!(
        done.stdout.starts_with("installed reports, schedule 1: systemd entry runner-reports-1-"),
        "{}",
        done.stdout
    );
    assert!(done.stderr.contains("loginctl enable-linger"), "{}", done.stderr);
    let units = machine.units();
    assert_eq!(units.len(), 2, "{units:?}");
    let timer = std::fs::read_to_string(&units[1]).unwrap();
    assert!(timer.contains("\nOnCalendar=*-*-* 06:00:00 Europe/Paris\n"), "{timer}");
    let log = std::fs::read_to_string(machine.test.path("fakes/systemctl.log")).unwrap();
    let name = units[1].file_name().unwrap().to_str().unwrap();
    let asked = ["daemon-reload".to_owned(), format!("enable {name}"), format!("restart {name}")];
    assert_eq!(log, asked.map(|words| format!("--user {words}\n")).concat());
    assert_eq!(machine.status(), [stood("1", "systemd", "ok")]);

    let project = project.set("schedule", daily_in("Europe/Paris", "7:00"));
    assert_eq!(machine.status(), [stood("1", "systemd", "drifted")]);
    machine.runner(&install).expect(0);
    assert_eq!(machine.status(), [stood("1", "systemd", "ok")]);
    assert_eq!(machine.units(), units, "in the place of the one before");

    let timer = std::fs::read_to_string(&units[1]).unwrap();
    std::fs::write(&units[1], timer.replace("07:00:00", "08:00:00")).unwrap();
    assert_eq!(machine.status(), [stood("1", "systemd", "edited")]);
    std::fs::remove_file(&units[0]).unwrap();
    std::fs::write(&units[1], &timer).unwrap();
    assert_eq!(machine.status(), [stood("1", "systemd", "edited")], "half of it is gone");
    machine.runner(&install).expect(0);
    let link = machine.test.path("home/config/systemd/user/timers.target.wants").join(name);
    std::fs::remove_file(link).unwrap();
    assert_eq!(machine.status(), [stood("1", "systemd", "off")]);

    let _renamed = project.set("schedule", json!({"cron": "0 7 * * *", "timezone": "Europe/Paris", "name": "morning"}));
    assert_eq!(machine.status(), [stood("morning", Value::Null, Value::Null), stood("1", "systemd", "left_over")]);
    let gone = machine.runner(&["schedule", "uninstall", "reports"]).expect(0);
    assert!(gone.stdout.starts_with("removed systemd entry runner-reports-1-"), "{}", gone.stdout);
    assert!(machine.units().is_empty());
    assert_eq!(machine.status(), [stood("morning", Value::Null, Value::Null)]);
    let again = machine.runner(&["schedule", "uninstall", "reports"]).expect(0);
    assert!(again.stdout.contains("has no entry"), "{}", again.stdout);
}

#[test]
fn a_crontab_keeps_its_other_lines() {
    let machine = Machine::new();
    let _project = machine.project(json!([daily("6:00"), {"interval": "15m"}]));
    let others = "MAILTO=me@example.com\n5 4 * * * backup\n";
    std::fs::write(machine.test.path("fakes/table"), others).unwrap();
    machine.runner(&["schedule", "install", "reports", "--with", "cron"]).expect(0);
    let crontab = machine.crontab();
    assert!(crontab.starts_with(others), "{crontab}");
    assert!(crontab.contains("\n0 6 * * * PATH=") && crontab.contains("\n*/15 * * * * PATH="), "{crontab}");
    assert_eq!(machine.status(), [stood("1", "cron", "ok"), stood("2", "cron", "ok")]);
    std::fs::write(machine.test.path("fakes/table"), crontab.replace("0 6 * * *", "0 5 * * *")).unwrap();
    assert_eq!(machine.status(), [stood("1", "cron", "edited"), stood("2", "cron", "ok")]);
    machine.runner(&["schedule", "uninstall", "reports", "--schedule", "1"]).expect(0);
    assert_eq!(machine.status(), [stood("1", Value::Null, Value::Null), stood("2", "cron", "ok")]);
    std::fs::write(machine.test.path("fakes/table"), others).unwrap();
    // Somebody took it away, or it is another account's, whose crontab only root may see.
    let (word, code) = if is_root() { ("unseen", 1) } else { ("missing", 0) };
    assert_eq!(machine.status()[1], stood("2", "cron", word));
    let shown = machine.runner(&["schedule", "status", "reports"]).expect(0).stdout;
    let second = shown.lines().last().unwrap();
    assert_eq!(second.ends_with(')'), word == "missing", "nobody starts what is missing: {shown}");
    machine.runner(&["schedule", "uninstall", "reports"]).expect(code);
    if is_root() {
        assert_eq!(machine.status()[1], stood("2", "cron", word));
        machine.runner(&["schedule", "uninstall", "reports", "--account", "root"]).expect(0);
    }
    assert_eq!(machine.status()[1], stood("2", Value::Null, Value::Null));
    assert_eq!(machine.crontab(), others);
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn what_may_still_start_a_schedule_is_not_forgotten() {
    let machine = Machine::new();
    let _project = machine.project(daily("6:00"));
    machine.runner(&["schedule", "install", "reports", "--with", "cron"]).expect(0);
    std::fs::write(machine.test.path("fakes/deny"), "").unwrap();
    assert_eq!(machine.status(), [stood("1", "cron", "unseen")]);
    let denied = machine.runner(&["schedule", "uninstall", "reports"]).expect(1);
    assert!(
        denied.stderr.contains("Permission denied") && !denied.stdout.contains("has no entry"),
        "{}",
        denied.stderr
    );
    assert!(denied.stderr.contains("for schedule `1`, which counts as kept by it still"), "{}", denied.stderr);
    std::fs::remove_file(machine.test.path("fakes/deny")).unwrap();
    assert_eq!(machine.status(), [stood("1", "cron", "ok")]);
    machine.runner(&["schedule", "uninstall", "reports"]).expect(0);
    assert_eq!(machine.status(), [stood("1", Value::Null, Value::Null)]);

    machine.runner(&["schedule", "install", "reports", "--with", "cron", "--account", "bob"]).expect(0);
    if is_root() {
        let elsewhere = machine.runner(&["schedule", "uninstall", "reports"]).expect(1);
        assert!(elsewhere.stderr.contains("another account's crontab"), "{}", elsewhere.stderr);
        assert_eq!(machine.status(), [stood("1", "cron", "unseen")]);
    }
    let gone = machine.runner(&["schedule", "uninstall", "reports", "--account", "bob"]).expect(0);
    assert!(gone.stdout.starts_with("removed cron entry"), "{}", gone.stdout);
    assert_eq!(machine.status(), [stood("1", Value::Null, Value::Null)]);
}

#[test]
fn an_entry_is_taken_away_by_whichever_path_leads_to_the_project() {
    let machine = Machine::new();
    let _project = machine.project(daily("6:00"));
    std::os::unix::fs::symlink(machine.test.path(""), machine.test.path("link")).unwrap();
    let kept = |machine: &Machine| machine.status()[0].1.clone();
    for (installed, taken) in [("reports", "link/reports"), ("link/reports", "reports")] {
        machine.runner(&["schedule", "install", installed, "--with", "cron"]).expect(0);
        assert_eq!(kept(&machine), "cron");
        let gone = machine.runner(&["schedule", "uninstall", taken]).expect(0);
        assert!(gone.stdout.starts_with("removed cron entry"), "{}", gone.stdout);
        assert_eq!((machine.crontab().as_str(), kept(&machine)), ("", Value::Null));
    }
}

#[test]
fn what_is_printed_changes_nothing() {
    let machine = Machine::new();
    let _project = machine.project(daily("6:00"));
    for (with, holds) in
        [("systemd", "OnCalendar="), ("cron", "0 6 * * * PATH="), ("task-scheduler", "<ScheduleByDay>")]
    {
        let printed = machine.runner(&["schedule", "install", "reports", "--with", with, "--print"]).expect(0);
        assert!(printed.stdout.contains(holds) && printed.stdout.contains("--scheduled"), "{}", printed.stdout);
    }
    let warned =
        machine.runner(&["schedule", "install", "reports", "--with", "systemd", "--user", "--print"]).expect(0);
    assert!(warned.stderr.contains("loginctl enable-linger"), "{}", warned.stderr);
    assert!(machine.units().is_empty() && machine.crontab().is_empty());
    assert!(!machine.test.path("fakes/systemctl.log").exists());
    assert_eq!(machine.status(), [stood("1", Value::Null, Value::Null)]);
}

#[test]
fn what_cannot_be_told_exactly_is_refused_and_the_rest_is_installed() {
    let machine = Machine::new();
    let _project = machine.project(
        json!([daily("6:00"), {"all": [daily("6:00"), {"cron": "0 6 * * mon"}]}, daily_in("Europe/Paris", "2:30")]),
    );
    let done = machine.runner(&["schedule", "install", "reports", "--with", "systemd", "--user"]).expect(2);
    assert!(done.stdout.contains("installed reports, schedule 1"), "{}", done.stdout);
    assert!(
        done.stderr.contains("refused: reports, schedule 2: no scheduler of a system knows `all`"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("schedule 3:") && done.stderr.contains("02:30:00 doesn't exist in Europe/Paris"));
    let unknown = machine.runner(&["schedule", "install", "reports", "--schedule", "evening"]).expect(2);
    assert!(unknown.stderr.contains("has no schedule `evening`, only 1, 2, 3"), "{}", unknown.stderr);
}

#[test]
fn two_schedulers_never_keep_one_schedule() {
    let machine = Machine::new();
    let _project = machine.project(daily("6:00"));
    machine.runner(&["schedule", "install", "reports", "--with", "cron"]).expect(0);
    let second = machine.runner(&["schedule", "install", "reports", "--with", "systemd", "--user"]).expect(2);
    assert!(second.stderr.contains("is kept by cron; `runner schedule uninstall"), "{}", second.stderr);
    assert!(machine.units().is_empty());
}

#[test]
fn a_scheduler_that_says_no_keeps_nothing() {
    let machine = Machine::new();
    let _project = machine.project(daily("6:00"));
    std::fs::write(machine.test.path("fakes/refuse"), "").unwrap();
    let refused = machine.runner(&["schedule", "install", "reports", "--with", "systemd", "--user"]).expect(1);
    assert!(refused.stderr.contains("Failed to connect to bus; sign in as that account"), "{}", refused.stderr);
    assert_eq!(machine.status()[0].1, Value::Null, "the ledger doesn't wait for it");
}

#[test]
fn cron_goes_by_the_machines_time_zone_whatever_that_of_the_shell_is() {
    let machine = Machine::new();
    // No machine of these tests is there.
    let zone = "Asia/Kathmandu";
    let install = ["schedule", "install", "reports", "--with", "cron"];
    let by = |args: &[&str]| Finished::of(machine.command(args).env("TZ", zone).output().unwrap());
    // Without a time zone of its own it is planned by that of the shell.
    for schedule in [daily_in(zone, "6:00"), json!({"cron": "0 6 * * *"})] {
        machine.project(schedule);
        let refused = by(&install).expect(2);
        assert!(
            refused.stderr.contains("refused: reports, schedule 1: cron goes by the system's"),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains("and the schedule by Asia/Kathmandu; "), "{}", refused.stderr);
        assert_eq!(machine.crontab(), "");
    }
    machine.project(daily("6:00"));
    by(&install).expect(0);
    assert!(machine.crontab().contains("\n0 6 * * * PATH="), "{}", machine.crontab());
    assert_eq!(machine.status(), [stood("1", "cron", "ok")]);
    let there = by(&["schedule", "status", "reports", "--json"]).expect(0).json();
    assert_eq!(there[0]["entry"], "ok", "{there:?}");
}

#[test]
fn a_daemon_that_is_installed_anew_starts_anew_with_its_new_command_line() {
    let machine = Machine::new();
    let _project = machine.project(daily("6:00"));
    let unit = machine.test.path("home/config/systemd/user/project-runner.service");
    for most in ["3", "4"] {
        machine.runner(&["daemon", "install", "--user", "--max-runs", most, "reports"]).expect(0);
        let text = std::fs::read_to_string(&unit).unwrap();
        assert!(text.contains(&format!("--max-runs {most} ")) || text.contains(&format!("\"{most}\"")), "{text}");
    }
    machine.runner(&["daemon", "uninstall", "--user"]).expect(0);
    assert!(!unit.exists());
    let log = std::fs::read_to_string(machine.test.path("fakes/systemctl.log")).unwrap();
    let name = unit.file_name().unwrap().to_str().unwrap();
    let installed = format!("--user daemon-reload\n--user enable {name}\n--user restart {name}\n");
    let gone = format!("--user disable --now {name}\n--user daemon-reload\n");
    assert_eq!(log, [&*installed, &installed, &gone].concat());

    std::fs::write(machine.test.path("fakes/refuse"), "").unwrap();
    let refused = machine.runner(&["daemon", "install", "--user", "reports"]).expect(4).stderr;
    assert!(refused.contains("Failed to connect to bus; sign in as that account"), "{refused}");
}

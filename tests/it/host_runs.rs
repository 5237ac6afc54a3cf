//! What entries of the system's own schedulers start, started as those do: with next to no environment, in the folder that they
//! start in.

use std::process::Command;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::{Finished, Project};
use crate::host_entries::Machine;

/// A name with everything that shells, cron and systemd take for theirs.
const NAME: &str = "a b%c$HOME'd\"e";

/// A minute of each hour, which has come less than a minute ago: that has words in each scheduler at any time of the year.
fn just_now(zone: &str) -> Value {
    let now = Timestamp::now().to_zoned(TimeZone::get(zone).unwrap());
    json!({"cron": format!("{} * * * *", now.minute()), "timezone": zone, "name": "now"})
}

/// A project in a folder with an odd name, due just now, with a profile.
fn project(machine: &Machine, zone: &str) -> Project {
    let project = machine.test.project(NAME).script("a.txt", "print a").set("schedule", just_now(zone));
    project.file("exec_config.night.json", "{}")
}

fn install(machine: &Machine, with: &[&str]) {
    machine.runner(&[&["schedule", "install", NAME, "--profile", "night", "--with"], with].concat()).expect(0);
    // As if it had been installed before the instant came.
    machine.test.database("UPDATE schedules SET since = since - 120000000, covered = covered - 120000000");
}

/// The command of the one line of a crontab that is no comment.
fn cron_command(crontab: &str) -> String {
    let lines: Vec<&str> = crontab.lines().filter(|line| !line.starts_with('#')).collect();
    let [line] = lines[..] else { panic!("{crontab}") };
    let command = line.splitn(6, ' ').nth(5).unwrap();
    command.replace("\\%", "%")
}

/// As cron starts it (crontab(5)).
fn by_cron(machine: &Machine) -> Finished {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(cron_command(&machine.crontab())).env_clear();
    command.envs([("SHELL", "/bin/sh"), ("PATH", "/usr/bin:/bin"), ("LOGNAME", "somebody")]);
    command.env("HOME", machine.test.path("")).current_dir("/");
    Finished::of(command.output().unwrap())
}

/// The words of a command line as systemd reads it (systemd.service(5)).
fn systemd_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut in_quotes) = (Vec::new(), String::new(), false);
    let mut letters = line.replace("%%", "%").replace("$$", "$").chars().collect::<Vec<_>>().into_iter();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => in_quotes = !in_quotes,
            '\\' => word.extend(letters.next()),
            ' ' if !in_quotes => words.push(std::mem::take(&mut word)),
            _ => word.push(letter),
        }
    }
    words.push(word);
    words
}

/// As systemd starts it (systemd.exec(5)).
fn by_systemd(machine: &Machine) -> Finished {
    let service = machine.units().into_iter().find(|path| path.extension() == Some("service".as_ref())).unwrap();
    let text = std::fs::read_to_string(service).unwrap();
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
    let words = systemd_words(&value("ExecStart="));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_clear().current_dir(value("WorkingDirectory=").replace("%%", "%"));
    command.envs([("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"), ("LANG", "C.UTF-8")]);
    Finished::of(command.output().unwrap())
}

/// What `schedule status` says of the one schedule.
fn status(machine: &Machine) -> Value {
    let told = machine.runner(&["schedule", "status", NAME, "--profile", "night", "--json"]).expect(0).json();
    let [one] = &told[..] else { panic!("{told:?}") };
    one.clone()
}

/// Starts an entry twice: it runs once, and everybody knows of it.
#[track_caller]
fn check(machine: &Machine, project: &Project, keeper: &str, start: &dyn Fn(&Machine) -> Finished) -> Finished {
    let first = start(machine).expect(0);
    assert_eq!(first.stderr, "");
    let [run] = &project.run_dirs()[..] else { panic!("{:?}", project.run_dirs()) };
    let run = run.file_name().unwrap().to_str().unwrap().to_owned();
    let standing = status(machine);
    assert_eq!((standing["keeper"].as_str(), standing["entry"].as_str()), (Some(keeper), Some("ok")), "{standing}");
    assert!(["ran", "late"].contains(&standing["last"]["answer"].as_str().unwrap()), "{standing}");
    assert_eq!(standing["last"]["run_id"], *run);
    let history = machine.runner(&["history", "--json"]).expect(0).json();
    let [told] = &history[..] else { panic!("{history:?}") };
    assert_eq!((told["run_id"].as_str(), told["profile"].as_str()), (Some(&*run), Some("night")), "{told}");

    let second = start(machine).expect(0);
    assert!(second.stderr.contains("nothing of the schedule `now` is to run now: "), "{}", second.stderr);
    assert!(second.stderr.contains(&run), "{}", second.stderr);
    assert_eq!(project.run_dirs().len(), 1);
    first
}

#[test]
fn the_line_of_a_crontab_runs_the_project_once() {
    let machine = Machine::new();
    let project = project(&machine, "Europe/Paris");
    install(&machine, &["cron"]);
    let first = check(&machine, &project, "cron", &by_cron);
    assert_eq!(first.stdout, "", "what is printed is mailed");
}

#[test]
fn the_service_of_a_timer_runs_the_project_once() {
    let machine = Machine::new();
    let project = project(&machine, "UTC");
    install(&machine, &["systemd", "--user"]);
    let first = check(&machine, &project, "systemd", &by_systemd);
    assert!(first.stdout.contains("a.txt"), "the journal has it: {}", first.stdout);
}

#[test]
fn an_entry_that_has_drifted_says_so_with_the_run_and_without() {
    let machine = Machine::new();
    let project = project(&machine, "Europe/Paris");
    install(&machine, &["cron"]);
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(20);
    let then = tomorrow.to_zoned(TimeZone::UTC);
    let schedule = json!({"cron": format!("0 {} * * *", then.hour()), "timezone": "UTC", "name": "now"});
    let project = project.set("schedule", schedule);
    assert_eq!(status(&machine)["entry"], "drifted");

    // What was due before the project file was changed is run for, by this entry; who reads the run knows.
    let told =
        "the entry of cron that started this was made before exec_config.json, or the machine's time zone, was changed";
    let first = by_cron(&machine).expect(0);
    assert!(first.stderr.contains(told) && first.stderr.contains("`runner schedule install /"), "{}", first.stderr);
    let warned = project.events().into_iter().find(|event| event["event"] == "warning").unwrap();
    assert!(warned["message"].as_str().unwrap().contains(told), "{warned}");
    // From now on nothing is, until the new time comes.
    let second = by_cron(&machine).expect(0);
    assert!(second.stderr.contains(told) && second.stderr.contains("is to run now"), "{}", second.stderr);
    assert_eq!(project.run_dirs().len(), 1);

    let renamed = json!({"cron": "0 6 * * *", "timezone": "Europe/Paris", "name": "morning"});
    let project = project.set("schedule", renamed);
    let third = by_cron(&machine).expect(2);
    assert!(third.stderr.contains("there is no schedule `now`, only `morning`"), "{}", third.stderr);
    assert_eq!(project.run_dirs().len(), 1);
}

/// Busybox's cron takes a folder of crontabs, so that nothing of the machine is touched. It takes up to a minute.
#[test]
fn a_real_cron_runs_the_project() {
    if std::env::var_os("RUNNER_SLOW_TESTS").is_none() {
        println!("skipped: it takes a minute, and RUNNER_SLOW_TESTS is not set");
        return;
    }
    let applets = Command::new("busybox").arg("--list").output();
    if !applets.is_ok_and(|listed| String::from_utf8_lossy(&listed.stdout).lines().any(|name| name == "crond")) {
        println!("skipped: there is no busybox with a cron, as Debian's busybox-static is");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: cron starts nothing unless it is root");
        return;
    }
    let machine = Machine::new();
    let minutely = json!({"interval": "1m", "timezone": "UTC", "name": "now"});
    let project = project(&machine, "UTC").set("schedule", minutely);
    machine.runner(&["schedule", "install", NAME, "--profile", "night", "--with", "cron"]).expect(0);
    let tables = machine.test.path("tables");
    std::fs::create_dir(&tables).unwrap();
    // Busybox takes the backslash before a % as it stands, which cron doesn't.
    std::fs::write(tables.join("root"), machine.crontab().replace("\\%", "%")).unwrap();
    let log = std::fs::File::create(machine.test.path("cron.log")).unwrap();
    let mut cron = Command::new("busybox");
    cron.args(["crond", "-f", "-l", "0", "-c"]).arg(&tables).stderr(log.try_clone().unwrap()).stdout(log);
    let mut cron = cron.env_remove("RUNNER_SLOW_TESTS").spawn().unwrap();
    let begin = Instant::now();
    let standing = loop {
        let standing = status(&machine);
        if standing["last"]["answer"] == "ran" || begin.elapsed() > Duration::from_secs(150) {
            break standing;
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    cron.kill().unwrap();
    cron.wait().unwrap();
    let said = std::fs::read_to_string(machine.test.path("cron.log")).unwrap();
    assert_eq!(standing["last"]["answer"], "ran", "{standing}\n{said}");
    assert_eq!((standing["keeper"].as_str(), standing["entry"].as_str()), (Some("cron"), Some("ok")));
    assert!(!project.run_dirs().is_empty());
}

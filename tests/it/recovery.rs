//! What becomes of runs whose runner was killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test, finish, wait_for, wait_for_file};
use crate::post_office::PostOffice;
use crate::web_server::{Answer, WebServer};

/// The whole events of a run.
fn events(run_dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run_dir.join("events.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

fn id(run_dir: &Path) -> String {
    run_dir.file_name().unwrap().to_string_lossy().into_owned()
}

fn kill(mut runner: Child) {
    runner.kill().unwrap();
    runner.wait().unwrap();
}

/// A project that mails each run, and whose script waits for the file `go`.
fn waiting(test: &Test, name: &str) -> Project {
    test.project(name)
        .set("email_strategy", "all")
        .script("first.txt", "print first")
        .script("wait.txt", "print before\ntouch started\nwait-for go\nprint after")
}

/// A run of it that was killed while its second script ran; what it could have signed in with is gone since. Returns the
/// run's id.
fn killed(test: &Test, project: &Project, args: &[&str]) -> String {
    let name = project.name();
    let dotenv = project.root.join(".env");
    std::fs::write(&dotenv, "LOGIN_MAIL=reports@example.com\nPASSWORD_MAIL=of-the-mailbox\n").unwrap();
    let runner = test.start(["run", &name].iter().chain(args));
    wait_for_file(&project.root.join("started"));
    let dir = project.run_dirs().into_iter().find(|dir| of_kind(&events(dir), "run_finished").is_empty()).unwrap();
    // What the runner hasn't read by its death is lost.
    wait_for("the script's output", || {
        std::fs::read(dir.join("002-wait.txt.out")).ok().filter(|text| !text.is_empty())
    });
    let run = id(&dir);
    kill(runner);
    std::fs::remove_file(dotenv).unwrap();
    std::fs::write(project.root.join("go"), "").unwrap();
    std::fs::remove_file(project.root.join("started")).unwrap();
    run
}

fn details(project: &Project) -> PathBuf {
    project.root.join("logs").join(".run.lock.json")
}

fn status(test: &Test, run: &str) -> String {
    let history = test.runner(["history", "--json"]).expect(0).json();
    let row = history.iter().find(|row| row["run_id"] == run).unwrap_or_else(|| panic!("{run} is unknown"));
    row["status"].as_str().unwrap().to_owned()
}

/// Holds what is promised of every run, however it ended: its events are whole, each script that was tried has one line in
/// the log, its mail was written once, and nothing is left to do.
fn check_all_runs(project: &Project, mails: &Path) {
    let mut lines: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in project.log() {
        let parsed = project_runner::sink::parse_line(&line).unwrap_or_else(|| panic!("torn: {line}"));
        *lines.entry((parsed.run_id.to_string(), parsed.file_name.into_owned())).or_default() += 1;
    }
    let mut expected = BTreeMap::new();
    for run_dir in project.run_dirs() {
        let (run, events) = (id(&run_dir), events(&run_dir));
        assert!(!events.is_empty(), "{run} tells of nothing");
        assert_eq!(of_kind(&events, "run_finished").len(), 1, "{run}: {events:?}");
        assert_eq!(of_kind(&events, "mail").len(), 1, "{run}: {events:?}");
        assert!(mails.join(format!("{}-{run}.eml", project.name())).exists(), "{run} has no mail");
        let started = of_kind(&events, "script_started");
        assert_eq!(of_kind(&events, "script_finished").len(), started.len(), "{run}");
        for start in started {
            let index = usize::try_from(start["index"].as_u64().unwrap()).unwrap();
            let file = events[0]["scripts"][index]["file_name"].as_str().unwrap().to_owned();
            *expected.entry((run.clone(), file)).or_default() += 1;
        }
        let leftovers = std::fs::read_dir(&run_dir).unwrap().flatten().map(|entry| entry.file_name());
        let tails: Vec<_> = leftovers.filter(|name| name.to_string_lossy().contains(".tail")).collect();
        assert!(tails.is_empty(), "{run}: {tails:?}");
    }
    assert_eq!(lines, expected);
    assert!(!details(project).exists(), "{:?}", std::fs::read_to_string(details(project)));
}

#[test]
fn a_runner_may_be_killed_at_any_instant() {
    let test = Test::new();
    let mails = test.path("mails");
    let args = ["run", "p", "--mail-dir", "mails"];
    let project = ["a.txt", "b.txt", "c.txt"].into_iter().fold(
        test.project("p").set("email_strategy", "all").set("output", json!({"first": 100, "last": 100})),
        |project, name| project.script(name, "lines 100\nsleep 0.01\nprint done"),
    );
    let begin = Instant::now();
    test.runner(args).expect(0);
    let whole = begin.elapsed();
    let rounds = 24;
    for round in 0..rounds {
        // The instant is what is varied here; nothing is waited for. What recovers is killed as well.
        for share in [round, (round * 7) % rounds].into_iter().take(1 + round as usize % 2) {
            let runner = test.start(args);
            std::thread::sleep(whole * share / rounds);
            kill(runner);
        }
        test.runner(args).expect(0);
        check_all_runs(&project, &mails);
    }
    let history = test.runner(["history", "-n", "1000", "--json"]).expect(0).json();
    for run_dir in project.run_dirs() {
        let row = history.iter().find(|row| row["run_id"] == id(&run_dir).as_str()).unwrap();
        assert_eq!(row["status"], of_kind(&events(&run_dir), "run_finished")[0]["status"], "{row}");
        assert_eq!(row["mail"], "written");
    }
    assert_eq!(history.len(), project.run_dirs().len());
}

#[test]
fn the_next_run_records_a_dead_one_and_mails_about_it() {
    let test = Test::new();
    let project = waiting(&test, "p");
    let run = killed(&test, &project, &["--mail-dir", "mails"]);
    let next = test.runner(["run", "p", "--mail-dir", "mails"]).expect(0);
    let told = format!("p: run {run} of ");
    assert!(
        next.stderr.contains(&told) && next.stderr.contains("broke off at wait.txt (the runner died)"),
        "{}",
        next.stderr
    );
    check_all_runs(&project, &test.path("mails"));
    assert_eq!(project.log_ends()[..2], ["first.txt - success", "wait.txt - failure - interrupted: the runner died"]);
    assert_eq!(status(&test, &run), "interrupted");
    let events = events(&project.root.join("logs/runs").join(&run));
    let end = of_kind(&events, "script_finished")[1];
    assert_eq!((&end["output"]["bytes"], &end["last_lines"]), (&json!(7), &json!("before")), "{end}");
    assert_eq!(of_kind(&events, "run_started")[0]["process"]["pid"], of_kind(&events, "run_started")[0]["pid"]);
}

#[test]
fn a_reading_verb_records_a_dead_run_and_leaves_its_mail_to_the_next_run() {
    let test = Test::new();
    let project = waiting(&test, "p");
    let run = killed(&test, &project, &["--mail-dir", "mails"]);
    for _ in 0..2 {
        assert_eq!(status(&test, &run), "interrupted");
    }
    assert_eq!(project.log_ends()[1..], ["wait.txt - failure - interrupted: the runner died"]);
    assert!(details(&project).exists() && !test.path("mails").exists());
    test.runner(["run", "p", "--mail-dir", "mails"]).expect(0);
    check_all_runs(&project, &test.path("mails"));
}

#[test]
fn the_run_of_another_project_sees_to_it_too() {
    let test = Test::new();
    let dead = waiting(&test, "dead");
    let run = killed(&test, &dead, &[]);
    test.project("other").script("a.txt", "print a");
    test.runner(["run", "other", "--dry-run"]).expect(0);
    assert!(of_kind(&events(&dead.run_dir()), "run_finished").is_empty(), "a dry run does nothing");

    let other = test.runner(["run", "other"]).expect(0);
    let waits = format!("dead: the mail about run {run} waits for the next run: MissingEnvironmentVariable");
    assert!(other.stderr.contains(&waits), "{}", other.stderr);
    assert!(details(&dead).exists());
    for args in [&["run", "other", "--no-mail"][..], &["run", "other", "--mail-dir", "mails"]] {
        test.runner(args).expect(0);
        assert!(
            details(&dead).exists() && of_kind(&events(&dead.run_dir()), "mail").is_empty(),
            "it waits for one that sends"
        );
    }
    assert!(!test.path("mails").exists(), "nobody looks there for the mails of others");
    let office = PostOffice::open();
    for _ in 0..2 {
        Finished::of(office.of(&mut test.command(["run", "other"])).output().unwrap()).expect(0);
        assert_eq!(office.runs(), [run.as_str()], "once is enough");
    }
    assert!(!details(&dead).exists());
}

#[test]
fn the_next_run_of_the_project_keeps_a_mail_that_has_to_wait() {
    let test = Test::new();
    let project = waiting(&test, "p");
    let run = killed(&test, &project, &[]);
    for args in [&["run", "p", "--no-mail"][..], &["run", "p", "--mail-dir", "mails"]] {
        test.runner(args).expect(0);
        assert!(details(&project).exists(), "somebody has to send the mail");
    }
    assert!(!test.path("mails").join(format!("p-{run}.eml")).exists());
    assert_eq!(status(&test, &run), "interrupted");
    let office = PostOffice::open();
    Finished::of(office.of(&mut test.command(["run", "p"])).output().unwrap()).expect(0);
    assert!(office.runs().contains(&run));
    assert!(!details(&project).exists());
}

#[test]
fn a_watchdog_is_told_of_no_death_after_a_newer_run_has_ended() {
    let test = Test::new();
    let web = WebServer::start(&[Answer::Reply(200, "", "OK")]);
    let pings = json!({"success": web.url("/ok"), "failure": web.url("/fail")});
    let project = waiting(&test, "p").set("email_strategy", "none").set("mail", json!({"pings": pings}));
    killed(&test, &project, &[]);
    test.runner(["run", "p"]).expect(0);
    assert!(!details(&project).exists());
    let told: Vec<String> = web.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(told, ["/ok"]);
    // Where no run of its own came after it, the other project's tells it.
    for file in ["go", "started"] {
        std::fs::remove_file(project.root.join(file)).unwrap();
    }
    killed(&test, &project, &[]);
    test.project("other").script("a.txt", "print a");
    test.runner(["run", "other"]).expect(0);
    let told: Vec<String> = web.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(told, ["/ok", "/fail"]);
}

/// A port at which nobody ever answers, though connections are made.
fn dead_end() -> std::net::TcpListener {
    std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap()
}

#[test]
fn the_mails_of_many_dead_runs_delay_the_end_of_a_run_no_longer_than_its_own() {
    let test = Test::new();
    let limit = Duration::from_secs(3);
    let project = waiting(&test, "p").set("mail", json!({"deadline": "3s"}));
    let mut dead = Vec::new();
    for _ in 0..6 {
        let _ = std::fs::remove_file(project.root.join("go"));
        dead.push(killed(&test, &project, &[]));
    }
    let other = waiting(&test, "q").set("mail", json!({"deadline": "3s"}));
    dead.push(killed(&test, &other, &[]));
    let nobody = dead_end();
    let mut command = test.command(["run", "p"]);
    let command = command
        .env("LOGIN_MAIL", "runs@example.test")
        .env("PASSWORD_MAIL", "of-the-mailbox")
        .env("MAIL_HOST", "127.0.0.1")
        .env("MAIL_PORT", nobody.local_addr().unwrap().port().to_string());
    let begin = Instant::now();
    Finished::of(command.output().unwrap()).expect(0);
    let took = begin.elapsed();
    assert!(took < limit * u32::try_from(dead.len()).unwrap(), "{took:?} for {} mails", dead.len() + 1);
    let waits = test.runner(["mail", "status", "--json"]).expect(0).json();
    assert_eq!(waits.len(), dead.len() + 1, "all are in the outbox: {waits:?}");
    assert!(!details(&project).exists() && !details(&other).exists());
}

#[test]
fn whoever_else_sees_to_dead_runs_delays_the_end_of_a_run_no_longer_than_its_mail_may() {
    let test = Test::new();
    let project = waiting(&test, "p").set("mail", json!({"deadline": "1s"}));
    killed(&test, &project, &["--no-mail"]);
    let lock =
        std::fs::File::options().create(true).append(true).open(project.root.join("logs/.recovery.lock")).unwrap();
    lock.lock().unwrap();
    let begin = Instant::now();
    let run = test.runner(["run", "p", "--no-mail"]).expect(0);
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert!(run.stderr.contains("they are looked at the next time"), "{}", run.stderr);
}

#[test]
fn a_run_that_was_to_mail_nothing_mails_nothing_when_it_died() {
    let test = Test::new();
    let project = waiting(&test, "p");
    let run = killed(&test, &project, &["--no-mail"]);
    test.runner(["run", "p", "--mail-dir", "mails"]).expect(0);
    assert!(!test.path("mails").join(format!("p-{run}.eml")).exists());
    let events = events(&project.root.join("logs/runs").join(&run));
    assert_eq!(of_kind(&events, "mail")[0]["mail"]["state"], "off");
    assert!(!details(&project).exists());
}

#[test]
fn a_mail_that_can_not_be_sent_for_a_week_is_given_up() {
    let test = Test::new();
    let project = waiting(&test, "p");
    killed(&test, &project, &[]);
    let path = project.run_dir().join("events.jsonl");
    let aged: String = events(&project.run_dir())
        .iter_mut()
        .map(|event| {
            event["time"] = json!("2020-01-01T00:00:00Z");
            format!("{event}\n")
        })
        .collect();
    std::fs::write(&path, aged).unwrap();
    let entries = std::fs::read_dir(project.run_dir()).unwrap().flatten();
    for entry in entries.filter(|entry| entry.path().is_file()) {
        let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800);
        std::fs::File::options().append(true).open(entry.path()).unwrap().set_modified(old).unwrap();
    }
    test.project("other").script("a.txt", "print a");
    test.runner(["run", "other"]).expect(0);
    let events = events(&project.run_dir());
    let mail = &of_kind(&events, "mail")[0]["mail"];
    assert_eq!(mail["state"], "failed");
    assert!(mail["error"].as_str().unwrap().starts_with("given up after 7 days: "), "{mail}");
    assert!(!details(&project).exists());
}

#[test]
fn a_broken_project_file_loses_nothing() {
    let test = Test::new();
    let project = waiting(&test, "p");
    let run = killed(&test, &project, &["--mail-dir", "mails"]);
    let file = project.root.join("exec_config.json");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, "{").unwrap();
    test.project("other").script("a.txt", "print a");
    let other = test.runner(["run", "other", "--mail-dir", "mails"]).expect(0);
    assert!(other.stderr.contains("waits for the next run: the project can't be loaded"), "{}", other.stderr);
    assert_eq!(status(&test, &run), "interrupted");
    assert_eq!(project.log_ends()[1], "wait.txt - failure");
    std::fs::write(&file, whole).unwrap();
    test.runner(["run", "other", "--mail-dir", "mails"]).expect(0);
    check_all_runs(&project, &test.path("mails"));
}

#[test]
fn a_dead_run_whose_folder_is_gone_keeps_nobody_from_running() {
    let test = Test::new();
    let project = waiting(&test, "p");
    killed(&test, &project, &["--mail-dir", "mails"]);
    std::fs::remove_dir_all(project.run_dir()).unwrap();
    test.runner(["run", "p", "--mail-dir", "mails"]).expect(0);
    assert!(!details(&project).exists());
    let history = test.runner(["history", "--json"]).expect(0).json();
    assert!(history.iter().all(|row| row["status"] != "running"), "{history:?}");
}

#[test]
fn of_two_runners_after_a_death_one_sees_to_it() {
    let test = Test::new();
    let project = waiting(&test, "p");
    let args = ["run", "p", "--mail-dir", "mails"];
    for _ in 0..3 {
        let _ = std::fs::remove_file(project.root.join("go"));
        killed(&test, &project, &args[2..]);
        std::fs::remove_file(project.root.join("go")).unwrap();
        let mut runners = [test.start(args), test.start(args)];
        // One of them gets to the script; the other is refused.
        wait_for_file(&project.root.join("started"));
        let refused =
            wait_for("the other's end", || runners.iter_mut().position(|one| one.try_wait().unwrap().is_some()));
        std::fs::write(project.root.join("go"), "").unwrap();
        let [a, b] = runners.map(finish);
        let (first, second) = if refused == 0 { (a, b) } else { (b, a) };
        assert!(first.expect(3).stderr.contains("already running"));
        second.expect(0);
        std::fs::remove_file(project.root.join("started")).unwrap();
        check_all_runs(&project, &test.path("mails"));
    }
}

#[test]
fn the_end_of_a_long_output_is_put_behind_its_beginning() {
    let test = Test::new();
    let project = test
        .project("p")
        .set("output", json!({"first": 200, "last": 300}))
        .script("a.txt", "lines 5000\ntouch started\nwait-for go");
    let runner = test.start(["run", "p"]);
    wait_for_file(&project.root.join("started"));
    let tail = project.run_dir().join("001-a.txt.out.tail");
    wait_for("the saved end", || std::fs::read_to_string(&tail).ok()?.trim_end().ends_with("line 4999").then_some(()));
    kill(runner);
    assert_eq!(status(&test, &id(&project.run_dir())), "interrupted");
    assert!(!tail.exists());
    let output = project.output_text(0);
    assert!(output.starts_with("line 0\n") && output.contains("left out here …]"), "{output}");
    assert!(output.trim_end().ends_with("line 4999"));
    assert!(project.ends()[0]["last_lines"].as_str().unwrap().ends_with("line 4999"));
    let logs = test.runner(["logs", &id(&project.run_dir())]).expect(0).stdout;
    assert!(logs.contains("line 0") && logs.contains("line 4999"), "{logs}");
}

#[test]
fn a_torn_line_of_the_log_is_made_whole() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a").script("b.txt", "touch started\nwait-for go");
    let runner = test.start(["run", "p"]);
    wait_for_file(&project.root.join("started"));
    kill(runner);
    // As if it had died while it wrote the first script's line, which is the last thing that it did.
    let events_file = project.run_dir().join("events.jsonl");
    let text = std::fs::read_to_string(&events_file).unwrap();
    let kept: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
    assert!(kept.lines().last().unwrap().contains("script_finished"), "{kept}");
    let log = project.root.join("logs/p.log");
    let line = std::fs::read_to_string(&log).unwrap();
    for cut in [0, 1, 30, line.len() - 1, line.len()] {
        std::fs::write(&events_file, format!("{kept}{}", &text.lines().nth(3).unwrap()[..20])).unwrap();
        std::fs::write(&log, &line[..cut]).unwrap();
        for name in ["state.db", "state.db-wal", "state.db-shm"] {
            let _ = std::fs::remove_file(test.path("state").join(name));
        }
        assert_eq!(status(&test, &id(&project.run_dir())), "interrupted");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), line, "{cut}");
    }
}

#[cfg(target_os = "linux")]
mod on_linux {
    use super::*;
    use crate::harness::lives;

    #[test]
    fn the_machines_death_is_told_from_the_runners() {
        let test = Test::new();
        let project = waiting(&test, "p");
        let run = killed(&test, &project, &[]);
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        for file in [project.run_dir().join("events.jsonl"), details(&project)] {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.contains(boot.trim()), "{text}");
            std::fs::write(&file, text.replace(boot.trim(), "0f2ab6a8-another-boot")).unwrap();
        }
        let shown = test.runner(["show", &run]).expect(0).stdout;
        assert!(shown.contains("interrupted: the machine was restarted"), "{shown}");
    }

    /// The runner and its guardian, together.
    #[test]
    fn what_a_dead_run_left_running_is_ended_before_the_next_one_begins() {
        for read_first in [false, true] {
            let test = Test::new();
            let project = test.project("p").script("a.txt", "pid pid1\nwait-for go");
            let runner = test.start(["run", "p"]);
            let pid = wait_for_file(&project.root.join("pid1"));
            let parent = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let guardian = parent.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().to_owned();
            // Stopped first, so that neither sees the other's end.
            for (signal, of) in [("-STOP", runner.id().to_string()), ("-9", guardian), ("-9", runner.id().to_string())]
            {
                assert!(std::process::Command::new("kill").args([signal, &of]).status().unwrap().success());
            }
            finish(runner);
            // Nobody of this run is left to end it; where control groups are used, any other runner that starts may.
            std::fs::write(project.root.join("exec_config.json"), {
                let text = std::fs::read_to_string(project.root.join("exec_config.json")).unwrap();
                text.replace("a.txt", "b.txt")
            })
            .unwrap();
            std::fs::write(project.root.join("b.txt"), "print b").unwrap();
            if read_first {
                // Whoever only reads records the death, and ends nothing.
                test.runner(["history", "p"]).expect(0);
            }
            test.runner(["run", "p"]).expect(0);
            assert!(!lives(&pid));
        }
    }

    /// Killed, and not waited for: the process is on its way out while the next runner asks for the lock.
    #[test]
    fn a_runner_that_is_just_being_killed_counts_as_dead() {
        let test = Test::new();
        let project = waiting(&test, "p");
        for _ in 0..10 {
            let _ = std::fs::remove_file(project.root.join("go"));
            let _ = std::fs::remove_file(project.root.join("started"));
            let mut runner = test.start(["run", "p", "--no-mail"]);
            wait_for_file(&project.root.join("started"));
            std::fs::write(project.root.join("go2"), "").unwrap();
            runner.kill().unwrap();
            // The script that was killed with it must not be let go before.
            let next = test.start(["run", "p", "--no-mail", "--only", "first.txt"]);
            finish(next).expect(0);
            runner.wait().unwrap();
        }
    }
}

//! The daemon at work on real projects, by the real clock.

#[cfg(unix)]
use std::collections::HashSet;
use std::path::Path;
#[cfg(unix)]
use std::time::Instant;

use serde_json::{Value, json};

use crate::daemons::Daemon;
#[cfg(unix)]
use crate::harness::wait_for_file;
use crate::harness::{Project, Test, wait_for};
#[cfg(unix)]
use crate::post_office::{At, Manner, PostOffice};

fn each_second(test: &Test, name: &str, program: &str) -> Project {
    test.project(name).script("a.txt", program).set("schedule", json!({ "interval": "1s" }))
}

/// The planned instants of a project's runs, in whole seconds.
#[cfg(unix)]
fn planned(project: &Project) -> Vec<i64> {
    let begun = |dir: &std::path::PathBuf| {
        let events = std::fs::read_to_string(dir.join("events.jsonl")).ok()?;
        let started: Value = serde_json::from_str(events.lines().next()?).ok()?;
        let planned = started["planned"].as_str()?.parse::<jiff::Timestamp>().unwrap();
        assert_eq!(planned.subsec_nanosecond(), 0);
        Some(planned.as_second())
    };
    let mut planned: Vec<i64> = project.run_dirs().iter().filter_map(begun).collect();
    planned.sort_unstable();
    planned
}

/// Checks that each second since the first of the ledger has exactly one answer, and that what is said to have run has.
#[track_caller]
#[cfg(unix)]
fn check_ledger(test: &Test, project: &Project) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(test.path("state").join("state.db"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let root = project.root.to_str().unwrap();
    let (schedules, answers) = runtime.block_on(async {
        use sqlx::{ConnectOptions, Connection};
        let mut connection = options.connect().await.unwrap();
        let schedules: Vec<(i64, i64, i64)> =
            sqlx::query_as("SELECT id, since, covered FROM schedules WHERE project_dir = ?1")
                .bind(root)
                .fetch_all(&mut connection)
                .await
                .unwrap();
        let answers: Vec<(i64, i64, i64, i64, String)> = sqlx::query_as(
            "SELECT schedule_id, first, last, count, state FROM occurrences JOIN schedules ON id = schedule_id
            WHERE project_dir = ?1 ORDER BY schedule_id, first",
        )
        .bind(root)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        connection.close().await.unwrap();
        (schedules, answers)
    });
    let mut ran = HashSet::new();
    for (id, since, covered) in schedules {
        let mut next = since.div_euclid(1_000_000) + 1;
        for (_, first, last, count, state) in answers.iter().filter(|answer| answer.0 == id) {
            assert_eq!(*first, next * 1_000_000, "a gap or double: {answers:?}");
            assert_eq!(*last, (next + count - 1) * 1_000_000, "{answers:?}");
            assert!(["ran", "late", "merged", "skipped", "missed"].contains(&state.as_str()), "{answers:?}");
            if state == "ran" || state == "late" {
                ran.insert(*first / 1_000_000);
            }
            next += count;
        }
        assert_eq!(next, covered.div_euclid(1_000_000) + 1, "{answers:?}");
    }
    let planned = planned(project);
    assert_eq!(planned.len(), ran.len(), "{planned:?} {answers:?}");
    assert_eq!(planned.into_iter().collect::<HashSet<_>>(), ran);
}

fn write_config(project: &Project, change: impl FnOnce(&mut Value)) {
    let file = project.root.join("exec_config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    change(&mut config);
    std::fs::write(file, config.to_string()).unwrap();
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

#[cfg(unix)]
#[test]
fn runs_begin_when_they_are_planned_and_a_signal_ends_the_daemon() {
    let test = Test::new();
    let project = each_second(&test, "jobs/p", "print hello");
    test.project("jobs/idle").script("a.txt", "print never");
    let daemon = Daemon::start(&test, &["jobs"]);
    daemon.wait_for("p: the script succeeded", 3);
    assert_eq!(daemon.count("looking after 1 project with 1 schedule"), 1, "{:?}", daemon.said());
    daemon.stop();
    check_ledger(&test, &project);
    let history = test.runner(["history", "--json"]).expect(0).json();
    assert_eq!(history.len(), project.run_dirs().len());
    assert!(history.iter().all(|run| run["status"] == "success"), "{history:?}");
}

#[cfg(unix)]
#[test]
fn a_killed_daemon_loses_nothing_and_does_nothing_twice() {
    let test = Test::new();
    let project = each_second(&test, "p", "print begun\nsleep 0.7");
    for kills in 1..=2 {
        let mut daemon = Daemon::start(&test, &["p"]);
        daemon.wait_for("p: begins", 1 + kills % 2);
        daemon.child.kill().unwrap();
        daemon.child.wait().unwrap();
    }
    let daemon = Daemon::start(&test, &["p"]);
    daemon.wait_for("p: the script succeeded", 2);
    daemon.stop();
    check_ledger(&test, &project);
    // A run that was killed before its script was started has attempted none, and no line.
    let has_attempted = |run: &&std::path::PathBuf| {
        let events = std::fs::read_to_string(run.join("events.jsonl"));
        events.is_ok_and(|events| events.contains("script_started"))
    };
    let (ends, runs) = (project.log_ends(), project.run_dirs());
    assert_eq!(ends.len(), runs.iter().filter(has_attempted).count(), "{ends:?}");
}

#[test]
fn changes_of_projects_are_in_force_at_once_and_broken_files_are_not() {
    let test = Test::new();
    let project = each_second(&test, "jobs/p", "print hello");
    let daemon = Daemon::start(&test, &["jobs"]);
    daemon.wait_for("p: begins", 1);
    write_config(&project, |config| config["scripts"] = json!("nonsense"));
    daemon.wait_for("its files are broken; what they said before stays in force", 1);
    daemon.wait_for("exec_config.json:1:", 1);
    let before = daemon.count("p: the script succeeded");
    daemon.wait_for("p: the script succeeded", before + 2);
    write_config(&project, |config| {
        config["scripts"] = json!(["a.txt"]);
        config["schedule"] = json!({ "at": "2100-01-01T00:00" });
    });
    daemon.wait_for("p: its files are in order again", 1);
    // In one step: it is not looked at before it has its schedule.
    each_second(&test, "new", "print hello");
    std::fs::rename(test.path("new"), test.path("jobs/new")).unwrap();
    let other = test.existing("jobs/new");
    daemon.wait_for("new: it is looked after from now on", 1);
    daemon.wait_for("new: the script succeeded", 2);
    assert_eq!(daemon.count("its files are broken"), 1, "it is said once: {:?}", daemon.said());
    // Windows moves no folder in which a run has files open.
    #[cfg(unix)]
    {
        std::fs::rename(&other.root, test.path("elsewhere")).unwrap();
        daemon.wait_for("new: the project is gone from", 1);
        let runs = daemon.count("begins");
        daemon.signal(rustix::process::Signal::HUP);
        daemon.wait_for("p: its files were read anew", 1);
        assert_eq!(daemon.count("begins"), runs, "nothing is due any more");
    }
    drop(other);
    daemon.stop();
}

#[cfg(unix)]
#[test]
fn of_two_daemons_one_starts_each_run() {
    let test = Test::new();
    let project = each_second(&test, "p", "print hello");
    let daemons = [Daemon::start(&test, &["p"]), Daemon::start(&test, &["p"])];
    wait_for("runs", || (planned(&project).len() >= 4).then_some(()));
    daemons.into_iter().for_each(Daemon::stop);
    check_ledger(&test, &project);
}

/// Windows moves no file that is open.
#[cfg(unix)]
#[test]
fn a_daemon_whose_state_database_is_moved_away_ends_so_that_no_other_runs_everything_again() {
    let test = Test::new();
    let project = each_second(&test, "p", "print a");
    let first = Daemon::start(&test, &["p"]);
    wait_for("two runs", || (planned(&project).len() > 1).then_some(()));
    std::fs::create_dir(test.path("aside")).unwrap();
    // The log before what it belongs to, which is missed.
    for name in ["state.db-shm", "state.db-wal", "state.db"] {
        std::fs::rename(test.path("state").join(name), test.path("aside").join(name)).unwrap();
    }
    first.wait_for("the state database was moved or deleted: nothing new is started", 1);
    first.wait_for("start it again, and it works with what is there then", 1);
    assert_eq!(first.end(), 4, "a service manager starts it again");
    let before = planned(&project).len();
    let _second = Daemon::start(&test, &["p"]);
    wait_for("more runs", || (planned(&project).len() > before + 2).then_some(()));
    let all = planned(&project);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{all:?}");
}

#[cfg(unix)]
#[test]
fn runs_end_before_the_daemon_does_unless_it_is_asked_twice() {
    let test = Test::new();
    let at = |name: &str| test.path(name).display().to_string();
    let patient = each_second(&test, "patient", &format!("put {} x\nwait-for {}", at("begun"), at("go")));
    let daemon = Daemon::start(&test, &["patient"]);
    wait_for_file(&test.path("begun"));
    daemon.signal(rustix::process::Signal::TERM);
    // Another may just be refused since the first goes on.
    daemon.wait_for("under way, and go", 1);
    std::fs::write(test.path("go"), "").unwrap();
    assert_eq!(daemon.end(), 0);
    assert_eq!(patient.log_ends(), ["a.txt - success"]);
    check_ledger(&test, &patient);

    let endless = each_second(&test, "endless", &format!("put {} x\nsleep 1000", at("endless-begun")));
    let daemon = Daemon::start(&test, &["endless"]);
    wait_for_file(&test.path("endless-begun"));
    daemon.signal(rustix::process::Signal::TERM);
    // Another may just be refused since the first goes on.
    daemon.wait_for("under way, and go", 1);
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.end(), 0);
    assert!(endless.log_ends()[0].contains("interrupted"), "{:?}", endless.log_ends());

    // Nothing wakes this daemon before it is asked to end.
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(6)).strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let limited = each_second(&test, "limited", &format!("put {} x\nsleep 1000", at("limited-begun")));
    let limited = limited.set("schedule", json!({ "at": soon, "timezone": "UTC" }));
    let daemon = Daemon::start(&test, &["limited", "--drain-timeout", "2s"]);
    wait_for_file(&test.path("limited-begun"));
    let begun = Instant::now();
    wait_for("a sleep that is longer than that", || (begun.elapsed().as_secs() > 2).then_some(()));
    let asked = Instant::now();
    daemon.signal(rustix::process::Signal::TERM);
    daemon.wait_for("SIGTERM: nothing new is started; one run is under way, and goes on", 1);
    assert_eq!(daemon.end(), 0);
    assert!(asked.elapsed().as_secs() >= 2, "{:?}", asked.elapsed());
    assert!(limited.log_ends()[0].contains("interrupted"), "{:?}", limited.log_ends());
}

#[cfg(unix)]
#[test]
fn a_pause_is_heeded_and_ends() {
    let test = Test::new();
    let project = each_second(&test, "p", "print hello");
    let daemon = Daemon::start(&test, &["p"]);
    daemon.wait_for("p: begins", 1);
    test.database("UPDATE schedules SET paused = 1");
    let is_skipped = || {
        let rows = test.count("SELECT coalesce(sum(count), 0) FROM occurrences WHERE reason = 'paused'");
        (rows >= 2).then_some(())
    };
    wait_for("skipped instants", is_skipped);
    let runs = planned(&project).len();
    test.database("UPDATE schedules SET paused = NULL");
    wait_for("runs", || (planned(&project).len() >= runs + 2).then_some(()));
    daemon.stop();
    check_ledger(&test, &project);
}

#[cfg(unix)]
#[test]
fn what_was_due_before_a_pause_runs_once_a_daemon_is_there() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print hello").set("schedule", json!({ "interval": "1h" }));
    let daemon = Daemon::start(&test, &["p"]);
    daemon.wait_for("looking after 1 project", 1);
    daemon.stop();
    test.database("UPDATE schedules SET since = since - 20000000000, covered = covered - 20000000000");
    test.runner(["schedule", "pause", "p"]).expect(0);
    test.database("UPDATE schedules SET paused = paused - 9000000000");
    let since = jiff::Timestamp::now().as_second() - 9000;
    let daemon = Daemon::start(&test, &["p"]);
    daemon.wait_for("p: the script succeeded", 1);
    daemon.stop();
    assert!(planned(&project)[..].iter().all(|planned| *planned <= since) && planned(&project).len() == 1);
    let skipped = test.count("SELECT sum(count) FROM occurrences WHERE reason = 'paused'");
    assert!((2..=3).contains(&skipped), "{skipped}");
    assert_eq!(test.count("SELECT count(*) FROM occurrences WHERE reason <> 'paused' AND state = 'skipped'"), 0);
}

#[cfg(unix)]
#[test]
fn what_waits_in_the_outbox_goes_out_without_a_run() {
    let test = Test::new();
    let project = test.project("p").set("email_strategy", "all").script("a.txt", "print a");
    let office = PostOffice::open();
    office.misbehave(At::Greeting, Manner::HangsUp, usize::MAX);
    office.of(&mut test.command(["run", "p"])).output().unwrap();
    assert!(office.runs().is_empty());
    office.behave();
    test.database("UPDATE outbox SET next_at = 0; UPDATE holds SET until = 0");
    let mut command = test.command(["daemon"]);
    office.of(&mut command);
    let daemon = Daemon::of(command);
    wait_for("the mail", || (!office.runs().is_empty()).then_some(()));
    daemon.stop();
    assert_eq!(office.runs(), [project.run_dir().file_name().unwrap().to_string_lossy()]);
}

#[cfg(target_os = "linux")]
#[test]
fn systemd_hears_how_it_fares() {
    let test = Test::new();
    each_second(&test, "p", "print hello");
    let path = test.path("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let mut command = test.command(["daemon", "p"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
    let daemon = Daemon::of(command);
    let heard = std::cell::RefCell::new(String::new());
    let hear_until = |text: &str| {
        while !heard.borrow().contains(text) {
            let mut buffer = [0; 4096];
            let length = socket.recv(&mut buffer).unwrap();
            heard.borrow_mut().push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    };
    hear_until("READY=1");
    hear_until("STATUS=next at ");
    hear_until("WATCHDOG=1\n");
    heard.borrow_mut().clear();
    hear_until("WATCHDOG=1\n");
    daemon.signal(rustix::process::Signal::HUP);
    hear_until("RELOADING=1\nMONOTONIC_USEC=");
    heard.borrow_mut().clear();
    hear_until("READY=1");
    daemon.signal(rustix::process::Signal::TERM);
    hear_until("STOPPING=1");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_project_is_run_as_it_is_when_it_is_due() {
    let test = Test::new();
    let file = test.path("seen");
    let project = each_second(&test, "p", "print hello");
    let daemon = Daemon::start(&test, &["p", "--max-runs", "1"]);
    daemon.wait_for("p: the script succeeded", 1);
    std::fs::write(project.root.join("a.txt"), format!("put {} x", file.display())).unwrap();
    wait_for("the script as it is now", || (lines(&file) == 1).then_some(()));
}

#[cfg(windows)]
#[test]
fn a_service_is_shown_before_it_is_made_and_nobody_else_starts_its_entry() {
    let test = Test::new();
    test.project("my jobs/p").script("a.txt", "print a");
    let shown = test.runner(["daemon", "install", "--print", "--max-runs", "3", "my jobs"]).expect(0).stdout;
    for part in
        ["project-runner", "\"--service\"", "\"--state-dir\"", "\"--max-runs\" \"3\"", "my jobs\"", "LocalSystem"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let entry = test.runner(["daemon", "--service", "my jobs"]).expect(4).stderr;
    assert!(entry.contains("only the service control manager starts it like this"), "{entry}");
}

#[test]
fn what_is_kept_is_listed_before_it_has_ever_run() {
    let test = Test::new();
    test.project("p").script("a.txt", "print a").set("schedule", json!({"at": "2100-01-01T00:00"}));
    let daemon = Daemon::start(&test, &["p"]);
    daemon.wait_for("looking after 1 project", 1);
    for verb in ["status", "preview"] {
        let shown = test.runner(["schedule", verb, "--json"]).expect(0);
        assert_eq!(shown.json().iter().map(|line| &line["project"]).collect::<Vec<_>>(), ["p"], "{verb}");
    }
    daemon.stop();
}

#[cfg(unix)]
#[test]
fn a_known_project_that_was_away_for_a_moment_is_looked_after_again() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a").set("schedule", json!({"at": "2100-01-01T00:00"}));
    test.runner(["run", "p"]).expect(0);
    let daemon = Daemon::start(&test, &[]);
    daemon.wait_for("looking after 1 project", 1);
    std::fs::rename(&project.root, test.path("away")).unwrap();
    daemon.wait_for("p: the project is gone from", 1);
    std::fs::rename(test.path("away"), &project.root).unwrap();
    daemon.wait_for("p: it is looked after from now on", 1);
    daemon.wait_for("p: it is due next at 2100-01-01 00:00:00; unless the project is back by then, that is missed", 1);
    assert_eq!(test.count("SELECT count(*) FROM schedules WHERE ended IS NULL"), 1);
    assert_eq!(test.count("SELECT count(*) FROM schedules"), 1, "it went on as it was");
    daemon.stop();
}

/// It returns as soon as the daemon has noticed that it is gone, and nothing happens after that.
#[cfg(unix)]
#[test]
fn a_project_that_returns_at_any_moment_is_looked_after_again() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a").set("schedule", json!({"at": "2100-01-01T00:00"}));
    test.runner(["run", "p"]).expect(0);
    let daemon = Daemon::start(&test, &[]);
    daemon.wait_for("looking after 1 project", 1);
    for times in 1..=10 {
        std::fs::rename(&project.root, test.path("away")).unwrap();
        // Without a pause, so that it returns within what the daemon does just then.
        let begin = std::time::Instant::now();
        while daemon.count("p: the project is gone from") < times {
            assert!(begin.elapsed().as_secs() < 60, "{:#?}", daemon.said());
            std::thread::yield_now();
        }
        std::fs::rename(test.path("away"), &project.root).unwrap();
        daemon.wait_for("p: it is looked after from now on", times);
    }
    daemon.stop();
}

#[cfg(unix)]
#[test]
fn a_folder_that_two_paths_lead_to_is_kept_once() {
    let test = Test::new();
    let project = each_second(&test, "p", "print hello");
    std::os::unix::fs::symlink(&project.root, test.path("link")).unwrap();
    let one = Daemon::start(&test, &["p", "link"]);
    one.wait_for("looking after 1 project with 1 schedule", 1);
    let other = Daemon::start(&test, &["link"]);
    other.wait_for("looking after 1 project with 1 schedule", 1);
    wait_for("runs", || (planned(&project).len() >= 3).then_some(()));
    one.stop();
    other.stop();
    assert_eq!(test.count("SELECT count(*) FROM schedules"), 1);
    // Known by the path that came first.
    check_ledger(&test, &test.existing("link"));
}

#[cfg(unix)]
#[test]
fn what_somebody_else_ends_is_kept_on() {
    let test = Test::new();
    let _project = each_second(&test, "p", "print hello");
    let daemon = Daemon::start(&test, &["p"]);
    daemon.wait_for("p: begins", 1);
    test.database("UPDATE schedules SET ended = covered + 1 WHERE ended IS NULL");
    let before = daemon.count("p: begins");
    daemon.wait_for("p: begins", before + 3);
    daemon.stop();
}

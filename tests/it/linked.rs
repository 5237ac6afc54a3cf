//! A project's folder that several paths lead to, and what `schedule status` says of what is overdue.

use chrono::{TimeDelta, Utc};
use serde_json::json;

use crate::daemons::Daemon;
use crate::harness::{Project, Test, is_up_for, wait_for};
use crate::post_office::PostOffice;

/// A project that is due each hour, in a folder to which a link leads too.
fn hourly(test: &Test) -> Project {
    let project = test.project("jobs/p").script("a.txt", "print a").set("schedule", json!({"cron": "0 * * * *"}));
    std::os::unix::fs::symlink(test.path("jobs"), test.path("link")).unwrap();
    project
}

fn back(test: &Test, minutes: i64) {
    let at = (Utc::now() - TimeDelta::minutes(minutes)).timestamp_micros();
    let back = format!("UPDATE schedules SET since = {at}, covered = {at}, quiet_until = 0; DELETE FROM occurrences");
    test.database(Box::leak(back.into_boxed_str()));
}

#[test]
fn what_is_overdue_is_shown_at_once_by_either_path_with_who_is_there() {
    let test = Test::new();
    let project = hourly(&test);
    test.runner(["run", "link/p", "--scheduled", "1", "--keeper", "cron"]).expect(0);
    let status = |path: &str, code| test.runner(["schedule", "status", path, "--json"]).expect(code).json()[0].clone();
    assert_eq!(status("jobs/p", 0)["overdue_since_utc"], json!(null));
    back(&test, 63);
    for path in ["jobs/p", "link/p"] {
        let late = status(path, 0);
        assert!(late["overdue_since_utc"].is_string(), "{late}");
        assert_eq!((&late["daemon"], &late["broken"]), (&json!(null), &json!(null)), "{late}");
    }
    std::fs::write(project.root.join("exec_config.json"), "{\n oops").unwrap();
    for path in ["jobs/p", "link/p"] {
        let broken = status(path, 2);
        assert!(broken["overdue_since_utc"].is_string(), "{broken}");
        assert!(broken["broken"].as_str().unwrap().contains("exec_config.json:2:2"), "{broken}");
    }
    let shown = test.runner(["schedule", "status", "jobs/p"]).expect(2);
    assert!(shown.stdout.contains("overdue: the project file is broken"), "{}", shown.stdout);
    assert!(!shown.stdout.contains("A daemon is there"), "{}", shown.stdout);

    std::fs::create_dir(test.path("empty")).unwrap();
    let daemon = Daemon::start(&test, &["-q", "empty"]);
    let pid = daemon.child.id();
    wait_for("word of the daemon", || (status("jobs/p", 2)["daemon"]["pid"] == pid).then_some(()));
    let said = status("jobs/p", 2);
    assert_eq!(said["daemon"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(said["daemon"]["since_utc"].as_str().unwrap().ends_with('Z'), "{said}");
    let shown = test.runner(["schedule", "status", "jobs/p"]).expect(2);
    assert!(shown.stdout.contains(&format!("A daemon is there: process {pid}, since ")), "{}", shown.stdout);

    // As if one before it had kept the project: this one doesn't see to it.
    test.database("UPDATE schedules SET keeper = 'daemon'");
    let late = status("jobs/p", 2);
    assert!(late["overdue_since_utc"].is_string() && late["daemon"]["pid"] == pid, "{late}");
}

#[test]
fn an_alarm_of_what_is_known_by_another_path_goes_out_with_the_settings_of_its_own_run() {
    if !is_up_for(5) {
        return;
    }
    let test = Test::new();
    let office = PostOffice::open();
    let project = hourly(&test).set("email_strategy", "failure_only");
    office.of(&mut test.command(["run", "link/p", "--scheduled", "1", "--keeper", "cron"])).output().unwrap();
    // Told without the environment that has its account, it waits for the project's own run.
    back(&test, 200);
    test.project("other").script("a.txt", "print a");
    test.runner(["run", "other"]).expect(0);
    assert!(office.taken().is_empty());
    office.of(&mut test.command(["run", "jobs/p"])).output().unwrap();
    assert_eq!(office.taken().len(), 1, "{:?}", test.runner(["mail", "status"]).stdout);
    assert_eq!(project.run_dirs().len(), 2);
}

#[test]
fn the_account_of_one_project_sends_no_alarm_of_another_though_the_one_is_broken() {
    if !is_up_for(5) {
        return;
    }
    let test = Test::new();
    let office = PostOffice::open();
    let _due = hourly(&test).set("email_strategy", "failure_only");
    office.of(&mut test.command(["run", "jobs/p", "--scheduled", "1", "--keeper", "cron"])).output().unwrap();
    back(&test, 200);
    let other = test.project("other").script("a.txt", "print a").set("email_strategy", "failure_only");
    std::fs::write(other.root.join("exec_config.json"), "{").unwrap();
    let mut entry = test.command(["run", "other", "--scheduled", "1", "--keeper", "cron"]);
    assert_eq!(office.of(&mut entry).output().unwrap().status.code(), Some(2));
    assert!(office.taken().is_empty(), "{:?}", office.taken());
    assert!(test.runner(["mail", "status"]).expect(0).stdout.contains("team@example.com"), "it waits");
}

#[test]
fn a_project_that_is_gone_is_forgotten_by_whichever_path_it_was_known() {
    let test = Test::new();
    let project = hourly(&test);
    drop(kept(&test, "link"));
    std::fs::remove_dir_all(&project.root).unwrap();
    // It was due meanwhile.
    test.database("UPDATE schedules SET since = since - 7200000000, covered = covered - 7200000000, quiet_until = 0");
    let _daemon = Daemon::start(&test, &["-q", "jobs"]);
    wait_for("the schedule's end", || {
        let status = "SELECT count(*) FROM schedules WHERE ended IS NULL";
        (test.count(status) == 0).then_some(())
    });
}

/// A daemon that has the ledger keep the project.
fn kept(test: &Test, folder: &str) -> Daemon {
    let daemon = Daemon::start(test, &["-q", folder]);
    wait_for("the schedule", || {
        let is_there = test.path("state/state.db").exists();
        (is_there
            && test.count("SELECT count(*) FROM sqlite_master WHERE name = 'contacts'") == 1
            && test.count("SELECT count(*) FROM contacts") == 1)
            .then_some(())
    });
    daemon
}

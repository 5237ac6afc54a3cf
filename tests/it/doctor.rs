//! `runner doctor` on things that are really broken.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Finished, Test, finish, subject, wait_for_file};

/// The findings of a check.
fn of<'a>(findings: &'a [Value], check: &str) -> Vec<&'a Value> {
    findings.iter().filter(|finding| finding["check"] == check).collect()
}

/// The one finding of a check.
#[track_caller]
fn one<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    let found = of(findings, check);
    assert_eq!(found.len(), 1, "{check}: {findings:#?}");
    found[0]
}

/// The one finding of a check has this state, and its text and remedy hold these words.
#[track_caller]
fn holds(findings: &[Value], check: &str, state: &str, found: &str, remedy: &str) {
    let finding = one(findings, check);
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(finding["state"], state, "{finding}");
    assert!(text("found").contains(found) && text("remedy").contains(remedy), "{finding}");
}

fn doctor(test: &Test, args: &[&str], code: i32) -> Vec<Value> {
    test.runner(["doctor", "--json"].iter().chain(args)).expect(code).json()
}

#[test]
fn a_sound_machine_and_project_are_found_sound() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a").script("b.txt", "print b");
    let findings = doctor(&test, &["p"], 0);
    for finding in &findings {
        // What this machine is like is not for the test to say, but for its disk, clock and limits.
        let of_this_machine = ["disk space", "clock", "time zone", "open files", "guardian"];
        let check = finding["check"].as_str().unwrap();
        assert!(
            finding["state"] == "ok" || finding["state"] == "info" || of_this_machine.contains(&check),
            "{finding}"
        );
        assert_eq!(finding["project"].is_null(), finding["project"] != "p", "{finding}");
    }
    for check in ["state folder", "database", "clock", "time zone"] {
        assert!(one(&findings, check)["project"].is_null());
    }
    for check in
        ["configuration", "interpreter", "scripts", "logs folder", "locks", "running", "unfinished runs", "mail"]
    {
        assert_eq!(one(&findings, check)["project"], "p");
    }
    assert_eq!(of(&findings, "disk space").len(), 2);
    #[cfg(target_os = "linux")]
    holds(&findings, "guardian", "ok", "scripts never outlive the runner", "");
    // It left nothing behind but the folder of the logs, and ran nothing.
    let left: Vec<_> = std::fs::read_dir(project.root.join("logs")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");

    // For people, a line a check.
    let shown = test.runner(["doctor", "p"]).expect(0);
    assert_eq!(shown.stdout.lines().count(), findings.len(), "{}", shown.stdout);
    assert!(shown.stdout.contains("ok      p: scripts: all can be read\n"), "{}", shown.stdout);
    // Where one stands in a project, it is meant; elsewhere only the machine is looked at.
    let here = Finished::of(test.command(["doctor"]).current_dir(&project.root).output().unwrap()).expect(0);
    assert!(here.stdout.contains("scripts: all can be read"), "{}", here.stdout);
    assert!(!test.runner(["doctor"]).expect(0).stdout.contains("configuration"));
}

#[test]
fn a_file_where_the_logs_should_be_is_named() {
    let test = Test::new();
    test.project("p").script("a.txt", "print a").file("logs", "");
    let findings = doctor(&test, &["p"], 4);
    holds(&findings, "logs folder", "problem", "can't be written", "is a file where a folder should be: move it away");
    // A run agrees.
    test.runner(["run", "p"]).expect(4);
}

#[test]
fn a_folder_where_the_log_should_be_is_named() {
    let test = Test::new();
    test.project("p").script("a.txt", "print a");
    std::fs::create_dir_all(test.path("p/logs/p.log")).unwrap();
    holds(&doctor(&test, &["p"], 4), "log", "problem", "can't be written", "it is a folder");
}

#[test]
fn a_damaged_database_is_told_with_the_way_out() {
    let test = Test::new();
    test.project("p").script("a.txt", "print a");
    test.runner(["run", "p"]).expect(0);
    let path = test.path("state/state.db");
    let sound = std::fs::read(&path).unwrap();
    holds(&doctor(&test, &[], 0), "database", "ok", "is sound: version", "");
    let remedy = "move it away together with its `-wal` and `-shm` files";
    // The beginning, without which it is no database; and all but the beginning, which only reading all of it shows.
    for damaged in [0..100, sound.len() / 2..sound.len()] {
        let mut bytes = sound.clone();
        bytes[damaged].fill(b'x');
        let _ = std::fs::remove_file(test.path("state/state.db-wal"));
        let _ = std::fs::remove_file(test.path("state/state.db-shm"));
        std::fs::write(&path, bytes).unwrap();
        holds(&doctor(&test, &[], 4), "database", "problem", "is damaged", remedy);
    }
    // And it is the way out.
    std::fs::rename(&path, test.path("state/away.db")).unwrap();
    holds(&doctor(&test, &[], 0), "database", "ok", "is sound", "");
    assert_eq!(test.runner(["history", "--json"]).expect(0).json().len(), 1);
}

#[test]
fn a_database_of_a_newer_runner_is_left_alone() {
    let test = Test::new();
    test.runner(["doctor"]).expect(0);
    // The version stands in the header, in the bytes from 60: <https://www.sqlite.org/fileformat.html#user_version_number>.
    let path = test.path("state/state.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&999_u32.to_be_bytes());
    std::fs::write(&path, &bytes).unwrap();
    for name in ["state/state.db-wal", "state/state.db-shm"] {
        let _ = std::fs::remove_file(test.path(name));
    }
    let findings = doctor(&test, &[], 4);
    holds(&findings, "database", "problem", "was written by a newer runner (version 999", "update this runner");
}

#[test]
fn a_file_where_the_state_folder_should_be_is_named() {
    let test = Test::new();
    std::fs::write(test.path("file"), "").unwrap();
    let findings = doctor(&test, &["--state-dir", "file"], 4);
    holds(&findings, "state folder", "problem", "can't be written", "is a file where a folder should be");
    assert_eq!(one(&findings, "database")["state"], "problem");
}

#[test]
fn an_interpreter_that_is_missing_or_cannot_start_is_named() {
    let test = Test::new();
    test.project("p").script("a.txt", "print a").set("python_command", "no-such-program");
    holds(&doctor(&test, &["p"], 2), "configuration", "problem", "`no-such-program` isn't found", "install it");
    // One that is there and was never a program.
    let name = if cfg!(windows) { "broken.exe" } else { "broken" };
    let broken = test.path(name);
    std::fs::write(&broken, "\u{0}no program\n").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    test.existing("p").set("python_command", broken.to_str().unwrap());
    holds(&doctor(&test, &["p"], 4), "interpreter", "problem", name, "install it anew");
}

#[test]
fn all_that_is_wrong_with_a_project_file_is_told() {
    let test = Test::new();
    test.project("p").script("a.txt", "print a").set("timeout", "soon").set("retires", 1);
    let findings = doctor(&test, &["p"], 2);
    holds(&findings, "configuration", "problem", "exec_config.json:", "write seconds (90)");
    let missing = doctor(&test, &["nowhere"], 2);
    holds(&missing, "configuration", "problem", "FileNotFoundError", "");
    // What is only odd keeps nobody from running.
    test.existing("p").set("timeout", 5);
    let findings = doctor(&test, &["p"], 0);
    let states: Vec<&Value> = of(&findings, "configuration").into_iter().map(|finding| &finding["state"]).collect();
    assert_eq!(states, ["ok", "warning"]);
}

#[test]
fn who_holds_the_lock_is_told() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch began\nwait-for go");
    let run = test.start(["run", "p"]);
    wait_for_file(&project.root.join("began"));
    let id = project.run_dir().file_name().unwrap().to_string_lossy().into_owned();
    let findings = doctor(&test, &["p"], 0);
    holds(&findings, "running", "info", &format!("run {id} since "), "");
    holds(&findings, "unfinished runs", "ok", "none", "");
    std::fs::write(project.root.join("go"), "").unwrap();
    finish(run).expect(0);
    holds(&doctor(&test, &["p"], 0), "running", "ok", "isn't running", "");
}

#[test]
fn a_run_whose_runner_was_killed_is_named() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch began\nwait-for never");
    let mut run = test.start(["run", "p"]);
    wait_for_file(&project.root.join("began"));
    run.kill().unwrap();
    run.wait().unwrap();
    let id = project.run_dir().file_name().unwrap().to_string_lossy().into_owned();
    let findings = doctor(&test, &["p"], 0);
    holds(&findings, "unfinished runs", "warning", &format!("the runner of run {id} died"), "runner run");
}

#[test]
fn mail_that_could_not_be_sent_is_told() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a").set("email_strategy", "all");
    let unset = "MissingEnvironmentVariable: LOGIN_MAIL and PASSWORD_MAIL are not set";
    holds(&doctor(&test, &["p"], 2), "mail", "problem", unset, "set them in a file named .env");
    let project = project.file(".env", "LOGIN_MAIL=a@example.com\nPASSWORD_MAIL=hunter2\nMAIL_PORT=many\n");
    holds(&doctor(&test, &["p"], 2), "mail", "problem", "MAIL_PORT", "");
    let project = project.file(".env", "LOGIN_MAIL=a@example.com\nPASSWORD_MAIL=hunter2\n");
    let run = test.runner(["doctor", "--json", "p"]).expect(0);
    assert!(!run.stdout.contains("hunter2"), "{}", run.stdout);
    let findings = run.json();
    holds(&findings, "mail", "ok", "a@example.com signs in to smtp.office365.com:587", "");
    holds(&findings, "recipients", "ok", "team@example.com (all)", "");
    let _ = project.file(".env", "LOGIN_MAIL=\"a@example.com\nnot a line\n");
    let findings = doctor(&test, &["p"], 2);
    assert!(of(&findings, "configuration").iter().all(|finding| finding["state"] == "problem"), "{findings:#?}");
}

/// Access lists aren't looked at on Windows.
#[cfg(unix)]
#[test]
fn a_dotenv_file_that_everybody_may_read_is_named() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a").file(".env", "A=1\n");
    let open = |mode| {
        std::fs::set_permissions(project.root.join(".env"), std::os::unix::fs::PermissionsExt::from_mode(mode))
            .unwrap();
    };
    open(0o644);
    holds(&doctor(&test, &["p"], 0), ".env", "warning", "can be read by every account", "chmod 600");
    open(0o600);
    assert!(of(&doctor(&test, &["p"], 0), ".env").is_empty());
}

/// Access lists aren't looked at on Windows.
#[cfg(unix)]
#[test]
fn secrets_that_everybody_may_read_are_warned_of_once() {
    let test = Test::new();
    for name in ["p", "q"] {
        test.project(name).script("a.txt", "print a");
    }
    let file = test.path(".env");
    let open = |text: &str, mode| {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let warning = format!(
        "{}:2:1: every account of this machine may read the file, and PASSWORD_MAIL is in it; chmod 600 {0}\n",
        file.display()
    );
    open("LOGIN_MAIL=a@example.com\nPASSWORD_MAIL=hunter2\n", 0o644);
    for args in [["run", "p", "q"], ["check", "p", "q"]] {
        let told = test.runner(args).expect(0);
        assert_eq!(told.stderr.matches(&warning).count(), 1, "{}", told.stderr);
        assert!(!told.stderr.contains("hunter2"), "{}", told.stderr);
    }
    // Doctor tells it in its own way.
    let findings = doctor(&test, &["p"], 0);
    assert_eq!((of(&findings, ".env").len(), of(&findings, "configuration").len()), (1, 1), "{findings:#?}");
    open("LOGIN_MAIL=a@example.com\nPASSWORD_MAIL=hunter2\n", 0o600);
    assert!(!test.runner(["check", "p"]).expect(0).stderr.contains("may read"));
    open("LOGIN_MAIL=a@example.com\nPASSWORD_MAIL=\n", 0o644);
    assert!(!test.runner(["check", "p"]).expect(0).stderr.contains("may read"));
}

/// Windows doesn't read the variable.
#[cfg(unix)]
#[test]
fn a_time_zone_that_is_none_is_named() {
    let test = Test::new();
    let with =
        |tz: &str| Finished::of(test.command(["doctor", "--json"]).env("TZ", tz).output().unwrap()).expect(0).json();
    holds(&with("Nonsense"), "time zone", "warning", "`Nonsense`, which no zone is called here", "tzdata");
    holds(&with("CET-1CEST,M3.5.0,M10.5.0"), "time zone", "ok", "TZ=CET-1CEST", "");
}

#[test]
fn the_interpreters_own_words_are_shown_once() {
    let test = Test::new();
    test.project("p").script("a.txt", "print a").script("b.txt", "print b");
    let findings = doctor(&test, &["p"], 0);
    let found = one(&findings, "interpreter")["found"].as_str().unwrap();
    assert!(Path::new(found.split(" starts").next().unwrap()) == subject(), "{found}");
}

/// Its stand-ins for the machine's own cron are shell scripts.
#[cfg(unix)]
mod schedules {
    use serde_json::Value;

    use super::of;
    use crate::harness::{is_up_for, wait_for};
    use crate::host_entries::{Machine, daily};

    /// The findings about schedules: state, and text with remedy.
    fn told(machine: &Machine) -> Vec<(String, String)> {
        let findings = machine.runner(&["doctor", "reports", "--json"]).expect(0).json();
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let told = |finding: &&Value| {
            (text(finding, "state"), format!("{}; {}", text(finding, "found"), text(finding, "remedy")))
        };
        of(&findings, "schedule").iter().map(told).collect()
    }

    /// One of them has this state, and its text holds these words.
    #[track_caller]
    fn holds(machine: &Machine, state: &str, words: &[&str]) {
        let told = told(machine);
        let found = told.iter().any(|(its, text)| its == state && words.iter().all(|word| text.contains(word)));
        assert!(found, "{words:?}: {told:#?}");
    }

    #[test]
    fn an_entry_that_nobody_has_or_that_drifted_is_named() {
        let machine = Machine::new();
        let project = machine.test.project("reports").script("a.txt", "print a").set("schedule", daily("6:00"));
        holds(&machine, "warning", &["nobody starts the runs of schedule 1", "`runner schedule install`"]);
        machine.runner(&["schedule", "install", "reports", "--with", "cron"]).expect(0);
        holds(&machine, "ok", &["1 is kept by cron, entry runner-reports-1-"]);
        let crontab = std::fs::read_to_string(machine.test.path("fakes/table")).unwrap();
        std::fs::write(machine.test.path("fakes/table"), crontab.replace("--quiet", "--verbose")).unwrap();
        holds(&machine, "warning", &["1: somebody has changed the entry runner-reports-1-", "makes it anew"]);
        std::fs::write(machine.test.path("fakes/table"), "").unwrap();
        holds(&machine, "warning", &["1 is kept by cron, which has no entry for it"]);
        std::fs::write(machine.test.path("fakes/table"), crontab).unwrap();
        let _project = project.set("schedule", daily("7:00"));
        holds(
            &machine,
            "warning",
            &["1: the project file, or the machine's time zone, is another than when the entry runner-reports-1-"],
        );
    }

    /// Only Linux shows what runs.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_cron_that_does_not_run_is_named() {
        let names = || std::fs::read_dir("/proc").unwrap().flatten();
        let runs = |name: &str| ["cron", "crond", "fcron", "busybox"].contains(&name.trim());
        let comm = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if names().any(|entry| runs(&comm(entry))) {
            println!("skipped: a cron runs on this machine");
            return;
        }
        let machine = Machine::new();
        machine.test.project("reports").script("a.txt", "print a").set("schedule", daily("6:00"));
        machine.runner(&["schedule", "install", "reports", "--with", "cron"]).expect(0);
        let told = told(&machine);
        if names().any(|entry| runs(&comm(entry))) {
            return; // that of another test
        }
        assert!(told.iter().any(|(_, text)| text.contains("no cron daemon is running")), "{told:#?}");
    }

    #[test]
    fn a_daemon_that_died_and_what_it_left_undone_are_named() {
        if !is_up_for(2) {
            return;
        }
        let machine = Machine::new();
        machine.test.project("reports").script("a.txt", "print a").set("schedule", daily("6:00"));
        let mut daemon = machine.command(&["daemon", "reports"]).spawn().unwrap();
        wait_for("the daemon to keep the schedule", || {
            told(&machine)
                .iter()
                .any(|(state, text)| state == "ok" && text.contains("kept by the daemon"))
                .then_some(())
        });
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        holds(&machine, "warning", &["1 is kept by the daemon, but none is running", "start `runner daemon`"]);
        assert!(told(&machine).iter().all(|(_, text)| !text.contains("overdue")));
        machine.test.database(
            "UPDATE schedules SET since = since - 172800000000, covered = covered - 172800000000, quiet_until = 0",
        );
        let words = ["1 is overdue: its run planned for ", "`runner schedule run-now /", "reports 1`"];
        holds(&machine, "warning", &words);
        let status = machine.runner(&["schedule", "status", "reports"]).expect(0);
        assert!(status.stdout.contains(" overdue: ") && status.stderr.contains("has not begun"), "{}", status.stdout);
        let standing = machine.runner(&["schedule", "status", "reports", "--json"]).expect(0).json().remove(0);
        assert!(standing["overdue_since_utc"].as_str().unwrap().ends_with('Z'), "{standing}");
        // What the remedy says helps.
        machine.runner(&["schedule", "run-now", "reports", "1"]).expect(0);
        assert!(told(&machine).iter().all(|(_, text)| !text.contains("overdue")), "{:#?}", told(&machine));
    }
}

//! Who is told when a project whose file is broken should run.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::daemons::Daemon;
use crate::harness::{Project, Test, is_up_for, wait_for};
use crate::post_office::{At, Manner, PostOffice, Taken};
use crate::web_server::{Answer, WebServer};

const LOGIN: &str = "runs@example.test";

/// A project that is due each second, whose mails are French and go to the office.
fn each_second(test: &Test, office: &PostOffice) -> Project {
    let settings = format!(
        "LOGIN_MAIL={LOGIN}\nPASSWORD_MAIL=of-the-mailbox\nMAIL_HOST=127.0.0.1\nMAIL_PORT={}\nMAIL_TLS=none\n",
        office.port
    );
    test.project("p")
        .script("a.txt", "print a")
        .set("schedule", json!({"interval": "1s", "name": "often"}))
        .set("language", "fr")
        .set("email_strategy", "failure_only")
        .set("mail", json!({"subject_prefix": "[jobs]", "cc": ["boss@example.com"]}))
        .file(".env", settings)
}

/// Has a daemon keep the project for a moment, and then nobody.
fn keep(test: &Test, project: &Project) {
    let daemon = Daemon::start(test, &["p"]);
    wait_for("a run", || (!project.run_dirs().is_empty()).then_some(()));
    wait_for("word of it", || (test.count("SELECT count(*) FROM contacts") == 1).then_some(()));
    drop(daemon);
}

/// Harms the project file in its second line; returns the file as it was.
fn harm(project: &Project) -> Vec<u8> {
    let file = project.root.join("exec_config.json");
    let before = std::fs::read(&file).unwrap();
    let mut config: Value = serde_json::from_slice(&before).unwrap();
    config.as_object_mut().unwrap().remove("scripts");
    let rest = config.to_string();
    std::fs::write(file, format!("{{\n \"scripts\": 7,{}", &rest[1..])).unwrap();
    before
}

fn text(taken: &Taken) -> (String, String) {
    let mail = mail_parser::MessageParser::default().parse(taken.data.as_bytes()).unwrap();
    (mail.subject().unwrap().to_owned(), mail.body_text(0).unwrap().into_owned())
}

/// What the office has taken that is of no run.
fn alarms(office: &PostOffice) -> Vec<Taken> {
    office.taken().into_iter().filter(|taken| taken.run_id.is_empty()).collect()
}

/// A daemon that is ended before it has written down that the server has the alarm sends it again.
#[track_caller]
fn wait_for_its_record(test: &Test) {
    let sent = "SELECT count(*) FROM outbox WHERE kind = 'alarm' AND state = 'sent'";
    wait_for("word that the alarm is sent", || (test.count(sent) == 1).then_some(()));
}

#[track_caller]
fn check_alarm(taken: &Taken) {
    let (subject, text) = text(taken);
    assert!(subject.starts_with("[jobs] ✗ p : "), "{subject}");
    assert!(text.contains("exec_config.json:2:13: scripts"), "{text}");
    assert!(text.contains("n’a pas pu être exécuté"), "{text}");
    assert_eq!(taken.to, ["team@example.com", "boss@example.com"]);
    assert!(taken.data.contains(LOGIN), "{}", taken.data);
}

#[test]
fn a_daemon_that_starts_with_a_broken_file_has_somebody_mailed_once() {
    let test = Test::new();
    let office = PostOffice::open();
    let project = each_second(&test, &office);
    keep(&test, &project);
    let mended = harm(&project);
    let daemon = Daemon::start(&test, &["p"]);
    let alarm = wait_for("the alarm", || alarms(&office).first().cloned());
    check_alarm(&alarm);
    daemon.wait_for("p: could not be run (planned ", 1);
    let planned = daemon.count("p: its schedule stays planned; what is due meanwhile is missed");
    assert!(planned > 0, "{:?}", daemon.said());

    // Whatever is planned has its answer, and goes on when the file is in order.
    let missed = "SELECT count(*) FROM occurrences WHERE state = 'missed' AND reason = 'could_not_run'";
    wait_for("missed instants", || (test.count(missed) > 2).then_some(()));
    let nowhere =
        "SELECT count(*) FROM occurrences m JOIN occurrences i ON i.first = m.into_planned WHERE i.state = 'missed'";
    assert_eq!(test.count(nowhere), 0, "what is merged into nothing that ran is missed");
    assert_eq!(test.count("SELECT count(*) FROM schedules"), 1, "it is the same schedule as before");
    std::fs::write(project.root.join("exec_config.json"), mended).unwrap();
    let runs = project.run_dirs().len();
    wait_for("a run", || (project.run_dirs().len() > runs + 1).then_some(()));
    assert!(test.count(missed) > 2, "what was missed stays so");
    wait_for_its_record(&test);
    drop(daemon);
    test.runner(["mail", "flush"]).expect(0);
    // The run that was killed with the first daemon may have its own mail now.
    assert_eq!(alarms(&office).len(), 1, "{:?}", alarms(&office));
}

#[test]
fn a_project_that_stays_broken_counts_as_looked_after_until_it_is_deleted() {
    let test = Test::new();
    let office = PostOffice::open();
    let project = each_second(&test, &office);
    keep(&test, &project);
    harm(&project);
    // Of all that have run: one that is named and isn't there is out of reach, and not gone.
    let daemon = Daemon::start(&test, &[]);
    daemon.wait_for("looking after 1 project with 1 schedule, the next at", 1);
    std::fs::write(project.root.join("exec_config.json"), "{").unwrap();
    daemon.wait_for("p: nothing of it runs until that is mended", 2);
    std::fs::remove_dir_all(&project.root).unwrap();
    wait_for("the schedule's end", || {
        (test.count("SELECT count(*) FROM schedules WHERE ended IS NULL") == 0).then_some(())
    });
    assert_eq!(daemon.count("its schedule stays planned"), 1, "{:?}", daemon.said());
}

/// Something else has to be done about it than what was told, so that it is told although somebody was told not long ago.
#[test]
fn a_broken_file_is_told_also_after_an_alarm_for_another_reason() {
    let test = Test::new();
    let office = PostOffice::open();
    let schedule = json!({"interval": "1s", "name": "often", "misfire_grace": "20s"});
    let project = each_second(&test, &office).set("schedule", schedule);
    keep(&test, &project);
    let back = "UPDATE schedules SET since = since - 60000000, covered = covered - 60000000, quiet_until = 0";
    test.database(back);
    test.database("DELETE FROM occurrences");
    let daemon = Daemon::start(&test, &["p"]);
    wait_for_its_record(&test);
    assert_eq!(alarms(&office).len(), 1, "{:?}", alarms(&office));
    drop(daemon);
    harm(&project);
    // What was missed up to then isn't told again, for whatever reason; that doesn't make the reason known.
    test.database("UPDATE schedules SET overdue_told = overdue_told + 3000000");
    let _daemon = Daemon::start(&test, &["p"]);
    let second = wait_for("the second", || alarms(&office).get(1).cloned());
    check_alarm(&second);
}

#[test]
fn a_daemon_that_writes_its_mails_into_a_folder_alarms_once_too() {
    let test = Test::new();
    let office = PostOffice::open();
    let project = each_second(&test, &office);
    keep(&test, &project);
    harm(&project);
    let _daemon = Daemon::start(&test, &["p", "--mail-dir", "mails"]);
    let written = || std::fs::read_dir(test.path("mails")).map_or(0, Iterator::count);
    wait_for("the alarm", || (written() > 0).then_some(()));
    wait_for("that it is marked as told", || {
        (test.count("SELECT count(*) FROM schedules WHERE overdue_told IS NOT NULL") == 1).then_some(())
    });
    assert!(alarms(&office).is_empty(), "{:?}", office.taken());
}

/// Deleted, or on a disk that isn't there: when it should have run somebody hears of it, once, and it goes on when it is back.
fn check_gone(test: &Test, office: &PostOffice, project: &Project) {
    let alarm = wait_for("the alarm", || alarms(office).first().cloned());
    assert!(text(&alarm).1.contains("the project is gone from "), "{}", text(&alarm).1);
    let kept = "SELECT count(*) FROM schedules WHERE ended IS NULL";
    wait_for("the schedule's end", || (test.count(kept) == 0).then_some(()));
    let gone = "SELECT count(*) FROM occurrences WHERE state = 'missed' AND detail LIKE 'the project is gone from %'";
    assert!(test.count(gone) > 0);
    std::fs::rename(test.path("away"), &project.root).unwrap();
    let runs = project.run_dirs().len();
    wait_for("runs", || (project.run_dirs().len() > runs + 1).then_some(()));
    assert_eq!((alarms(office).len(), test.count(kept)), (1, 1));
}

#[test]
fn a_project_that_is_gone_when_a_daemon_starts_is_missed_once() {
    let test = Test::new();
    let office = PostOffice::open();
    let project = each_second(&test, &office);
    // The settings are those of the folder above.
    std::fs::rename(project.root.join(".env"), test.path(".env")).unwrap();
    keep(&test, &project);
    std::fs::rename(&project.root, test.path("away")).unwrap();
    // Of all that have run: one that is named and isn't there is out of reach.
    let _daemon = Daemon::start(&test, &[]);
    check_gone(&test, &office, &project);
}

// Windows moves no folder in which a run has files open.
#[cfg(unix)]
#[test]
fn a_project_that_goes_under_a_daemon_is_missed_once() {
    let test = Test::new();
    let office = PostOffice::open();
    let project = each_second(&test, &office).set("schedule", json!({"interval": "6s"}));
    std::fs::rename(project.root.join(".env"), test.path(".env")).unwrap();
    test.runner(["run", "p"]).expect(0);
    let _daemon = Daemon::start(&test, &[]);
    // A run that is under way would write its line into a new folder.
    let over = "SELECT count(*) FROM occurrences WHERE state = 'ran' AND holder IS NULL";
    wait_for("the end of a run", || (test.count(over) > 0).then_some(()));
    std::fs::rename(&project.root, test.path("away")).unwrap();
    check_gone(&test, &office, &project);
}

#[test]
fn an_alarm_of_a_broken_project_outlives_who_raised_it() {
    let test = Test::new();
    let office = PostOffice::open();
    let project = each_second(&test, &office);
    keep(&test, &project);
    harm(&project);
    office.misbehave(At::Greeting, Manner::Stalls, usize::MAX);
    let mut daemon = Daemon::start(&test, &["p"]);
    wait_for("the alarm in the outbox", || {
        (test.count("SELECT count(*) FROM outbox WHERE kind = 'alarm'") == 1).then_some(())
    });
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    assert!(office.taken().is_empty());
    office.behave();
    let _daemon = Daemon::start(&test, &["p"]);
    let alarm = wait_for("the alarm", || alarms(&office).first().cloned());
    check_alarm(&alarm);
    wait_for("word of that", || (test.count("SELECT count(*) FROM outbox WHERE state = 'sent'") == 1).then_some(()));
    test.runner(["mail", "flush"]).expect(0);
    assert_eq!(office.taken().len(), 1);
}

#[test]
fn an_entry_of_the_host_has_somebody_mailed_though_the_folder_is_gone() {
    let test = Test::new();
    let office = PostOffice::open();
    let schedule = json!({"cron": "* * * * * *", "timezone": "UTC", "name": "often"});
    let project = each_second(&test, &office).set("schedule", schedule);
    let entry = |code| test.runner(["run", "p", "--scheduled", "often", "--keeper", "cron"]).expect(code);
    entry(0);
    let mended = harm(&project);
    // The run before may have been for an instant that was just coming.
    let called = wait_for("a call for an instant", || {
        let called = entry(2);
        (!office.taken().is_empty()).then_some(called)
    });
    assert!(called.stderr.contains("exec_config.json:2:13"), "{}", called.stderr);
    assert!(called.stderr.contains("the mail about that is on its way"), "{}", called.stderr);
    check_alarm(&office.taken()[0]);
    entry(2);
    assert_eq!(office.taken().len(), 1, "once until it has run again");

    std::fs::write(project.root.join("exec_config.json"), mended).unwrap();
    entry(0);
    // As if all that had been yesterday, and told: of what was missed after the mail nobody was yet.
    test.database(
        "UPDATE schedules SET overdue_told = overdue_told - 86400000000;
        UPDATE occurrences SET began = began - 3600000000, told = 1",
    );
    // The settings are those of the folder above.
    std::fs::rename(project.root.join(".env"), test.path(".env")).unwrap();
    std::fs::remove_dir_all(&project.root).unwrap();
    let alarm = wait_for("another alarm", || {
        entry(2);
        office.taken().get(1).cloned()
    });
    assert!(text(&alarm).1.contains("the project's folder isn't there"), "{}", text(&alarm).1);
}

#[test]
fn a_missing_interpreter_is_told_by_mail_and_by_the_chat_whose_address_a_variable_has() {
    let test = Test::new();
    let office = PostOffice::open();
    let chat = WebServer::start(&[Answer::Reply(200, "", "")]);
    let project = each_second(&test, &office).set("mail", json!({"webhook": {"url": "${CHAT}"}}));
    let env = std::fs::read_to_string(project.root.join(".env")).unwrap() + &format!("CHAT={}\n", chat.url("/s3cret"));
    let project = project.file(".env", env);
    keep(&test, &project);
    let project = project.set("python_command", "no-such-interpreter");
    let _daemon = Daemon::start(&test, &["p"]);
    let alarm = wait_for("the alarm", || alarms(&office).first().cloned());
    assert!(text(&alarm).1.contains("no-such-interpreter"), "{}", text(&alarm).1);
    let told = wait_for("the call", || chat.requests().first().cloned());
    assert!(told.body.contains("no-such-interpreter"), "{}", told.body);
    assert_eq!(test.count("SELECT count(*) FROM contacts WHERE contact LIKE '%s3cret%'"), 0);
    drop(project);
}

#[test]
fn nobody_is_kept_who_could_be_told_by_a_secret_address() {
    let test = Test::new();
    let office = PostOffice::open();
    let project = each_second(&test, &office).set("mail", json!({"webhook": {"url": "https://127.0.0.1:1/s3cret"}}));
    keep(&test, &project);
    assert_eq!(test.count("SELECT count(*) FROM contacts WHERE contact LIKE '%s3cret%'"), 0);
    assert_eq!(test.count("SELECT count(*) FROM contacts WHERE contact LIKE '%of-the-mailbox%'"), 0);
}

#[test]
fn a_run_by_what_broken_files_said_before_has_that_in_its_mail() {
    let test = Test::new();
    let office = PostOffice::open();
    let project = each_second(&test, &office).set("email_strategy", "all").set("overlap", "skip");
    let _daemon = Daemon::start(&test, &["p"]);
    wait_for("a run", || (!project.run_dirs().is_empty()).then_some(()));
    harm(&project);
    let warned = wait_for("a mail with the warning", || {
        office.taken().into_iter().find(|taken| text(taken).1.contains("exec_config.json:2:13"))
    });
    assert!(text(&warned).1.contains("what they said before is in force until they are mended"), "{}", text(&warned).1);
    assert_eq!(test.count("SELECT count(*) FROM occurrences WHERE state = 'missed'"), 0);
}

#[test]
fn a_disk_that_is_away_when_the_daemon_starts_is_told_of() {
    if !is_up_for(4) {
        return;
    }
    let test = Test::new();
    let office = PostOffice::open();
    let project = each_second(&test, &office);
    keep(&test, &project);
    // As if the project were in a folder of a disk that isn't there now.
    let root = project.root.display().to_string();
    let away = test.path("disk/p").display().to_string();
    let covered = (Utc::now() - TimeDelta::hours(2)).timestamp_micros();
    let moved = format!(
        "UPDATE schedules SET project_dir = '{away}', covered = {covered}, quiet_until = 0, definition =
            replace(definition, '1s', '1h') WHERE project_dir = '{root}';
        UPDATE contacts SET project_dir = '{away}'; DELETE FROM occurrences"
    );
    test.database(Box::leak(moved.into_boxed_str()));
    std::fs::remove_dir_all(&project.root).unwrap();
    let flushed = office.of(&mut test.command(["mail", "flush"])).output().unwrap();
    assert!(flushed.status.success(), "{flushed:?}");
    let [alarm] = &office.taken()[..] else { panic!("{:?}", office.taken()) };
    let (subject, text) = text(alarm);
    assert!(subject.contains("en retard") || text.contains("retard"), "{subject} {text}");
    assert!(text.contains("the project's folder isn't there"), "{text}");
}

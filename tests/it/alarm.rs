//! Who is told when a project should have run and didn't.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::daemons::Daemon;
use crate::harness::{Finished, Project, Test, is_up_for, wait_for};
use crate::post_office::{At, Manner, PostOffice, Taken};
use crate::web_server::{Answer, WebServer};

/// A project that is due each hour, and one that is run by hand.
fn projects() -> (Test, Project, PostOffice) {
    let test = Test::new();
    let office = PostOffice::open();
    let due = test.project("due").set("schedule", json!({"interval": "1h", "name": "hourly"})).script("a.txt", "");
    let due = mailing(due, &office);
    mailing(test.project("other").script("a.txt", ""), &office).set("email_strategy", "none");
    test.runner(["list"]).expect(0);
    (test, due, office)
}

/// Has a project's mails go to the office, whoever sends them.
fn mailing(project: Project, office: &PostOffice) -> Project {
    let settings = format!(
        "LOGIN_MAIL=runs@example.test\nPASSWORD_MAIL=of-the-mailbox\nMAIL_HOST=127.0.0.1\nMAIL_PORT={}\nMAIL_TLS=none\n",
        office.port
    );
    project.set("email_strategy", "failure_only").file(".env", settings)
}

fn ago(hours: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::hours(hours)
}

/// Has the ledger know the project's schedule, all of it answered up to some time ago.
fn keep(test: &Test, project: &Project, keeper: &str, covered: DateTime<Utc>) {
    let loaded = project_runner::load_config(&project.root).unwrap();
    let [schedule] = &loaded.schedules[..] else { panic!("one schedule") };
    let (dir, definition) = (project.root.display().to_string(), &schedule.definition);
    let quoted = |text: &str| text.replace('\'', "''");
    run(
        test,
        format!(
            "INSERT INTO schedules (id, project_dir, project, name, definition, keeper, since, covered)
            VALUES (1, '{}', 'due', '{}', '{}', '{keeper}', 0, {})",
            quoted(&dir),
            schedule.name,
            quoted(definition),
            covered.timestamp_micros()
        ),
    );
}

/// Has so many of its instants be missed, the last of them some hours ago.
fn miss(test: &Test, count: i64, last: i64, reason: &str, detail: &str) {
    let (first, last) = (ago(last + count - 1).timestamp_micros(), ago(last).timestamp_micros());
    run(
        test,
        format!(
            "INSERT INTO occurrences (schedule_id, first, last, count, state, reason, detail, told)
            VALUES (1, {first}, {last}, {count}, 'missed', '{reason}', '{detail}', 0)"
        ),
    );
}

fn run(test: &Test, sql: String) {
    // The harness takes what is written in tests; of these there are a few.
    test.database(Box::leak(sql.into_boxed_str()));
}

/// The text of a mail, and its subject.
fn read(taken: &Taken) -> (String, String) {
    let mail = mail_parser::MessageParser::default().parse(taken.data.as_bytes()).unwrap();
    (mail.subject().unwrap().to_owned(), mail.body_text(0).unwrap().into_owned())
}

#[test]
fn the_next_run_of_any_project_tells_what_was_missed_and_does_so_once() {
    let (test, due, office) = projects();
    keep(&test, &due, "daemon", Utc::now());
    miss(&test, 3, 20, "daemon_off", "");
    miss(&test, 1, 2, "could_not_run", "exec_config.json:7:3: no such key");
    let warned = test.runner(["history"]).expect(0);
    assert!(warned.stderr.contains("warning: due: 3 planned runs since"), "{}", warned.stderr);
    assert!(warned.stderr.contains("no daemon was running") && warned.stderr.contains("one more alarm"));
    assert_eq!(warned.stderr.lines().count(), 1, "{}", warned.stderr);
    assert!(office.taken().is_empty(), "who reads sends nothing");
    test.runner(["run", "other", "--no-mail"]).expect(0);
    assert!(office.taken().is_empty(), "nor who is to send nothing");

    let ran = test.runner(["run", "other"]).expect(0);
    assert!(ran.stderr.contains("due: 3 planned runs since"), "{}", ran.stderr);
    let [alarm] = &office.taken()[..] else { panic!("{:?}", office.taken()) };
    let (subject, text) = read(alarm);
    assert_eq!(subject, "✗ due: 4 planned runs were missed");
    assert!(text.contains("`runner check` says what is wrong"), "{text}");
    assert!(text.contains("hourly") && text.contains("3×") && text.contains("no such key"), "{text}");
    assert!(text.contains("Next run"), "{text}");
    assert_eq!(alarm.to, ["team@example.com"]);
    assert!(alarm.data.contains("Importance: high") && !alarm.data.contains("X-Run-Id"), "{}", alarm.data);

    test.runner(["run", "other"]).expect(0);
    test.runner(["mail", "flush"]).expect(0);
    assert_eq!(office.taken().len(), 1);
    assert_eq!(test.runner(["history"]).expect(0).stderr, "");
}

#[test]
fn a_schedule_that_nobody_runs_is_told_of_once_until_it_runs_again() {
    if !is_up_for(6) {
        return;
    }
    let (test, due, office) = projects();
    keep(&test, &due, "systemd", ago(5));
    let warned = test.runner(["list", "--json"]).expect(0);
    assert!(warned.stderr.contains("has not begun (schedule `hourly`: the system's scheduler didn't start it)"));
    assert!(warned.json().is_empty());
    let flush = test.runner(["mail", "flush"]).expect(0);
    assert_eq!(flush.stdout, "1 sent; nothing is left.\n", "{}", flush.stderr);
    let (subject, text) = read(&office.taken()[0]);
    assert_eq!(subject, "✗ due: a planned run is overdue");
    assert!(text.contains("overdue") && text.contains("`runner schedule status`"), "{text}");
    test.runner(["mail", "flush"]).expect(0);
    test.runner(["run", "due"]).expect(0);
    assert_eq!(office.taken().len(), 1);
    assert!(test.runner(["stats"]).expect(0).stderr.contains("has not begun"), "it is so still");

    // What was told of is not told again once it is known that it was missed.
    miss(&test, 4, 1, "host_idle", "");
    test.runner(["mail", "flush"]).expect(0);
    assert_eq!(office.taken().len(), 1);
    assert_eq!(test.runner(["stats"]).expect(0).stderr.matches("were missed").count(), 0);

    // It has run since, and is overdue again.
    let (told, ran) = (ago(9).timestamp_micros(), ago(8).timestamp_micros());
    run(&test, format!("UPDATE schedules SET overdue_told = {told}"));
    run(
        &test,
        format!(
            "INSERT INTO occurrences (schedule_id, first, last, count, state, began) VALUES (1, {ran}, {ran}, 1, 'ran', {ran})"
        ),
    );
    test.runner(["mail", "flush"]).expect(0);
    assert_eq!(office.taken().len(), 2);
}

#[test]
fn nobody_is_alarmed_about_what_is_paused_or_ended_or_has_time_left() {
    let (test, due, office) = projects();
    keep(&test, &due, "cron", ago(5));
    for (set, unset) in [
        ("UPDATE schedules SET paused = 1", "UPDATE schedules SET paused = NULL"),
        ("UPDATE schedules SET ended = covered + 1", "UPDATE schedules SET ended = NULL"),
    ] {
        test.database(set);
        test.runner(["mail", "flush"]).expect(0);
        assert_eq!(test.runner(["list"]).expect(0).stderr, "");
        test.database(unset);
    }
    run(&test, format!("UPDATE schedules SET covered = {}", (Utc::now() - TimeDelta::minutes(30)).timestamp_micros()));
    test.runner(["mail", "flush"]).expect(0);
    assert!(office.taken().is_empty());
}

#[test]
fn an_alarm_waits_for_a_server_that_is_down() {
    if !is_up_for(6) {
        return;
    }
    let (test, due, office) = projects();
    keep(&test, &due, "daemon", ago(5));
    office.misbehave(At::Greeting, Manner::HangsUp, usize::MAX);
    test.runner(["run", "other"]).expect(0);
    let waiting = test.runner(["mail", "status", "--json"]).expect(0).json();
    assert_eq!((&waiting[0]["kind"], &waiting[0]["run_id"]), (&json!("alarm"), &json!(null)));
    assert_eq!(waiting[0]["recipients"], json!(["team@example.com"]));
    assert!(test.runner(["mail", "status"]).expect(0).stdout.contains("team@example.com"));
    office.behave();
    test.runner(["mail", "flush"]).expect(0);
    assert_eq!(office.taken().len(), 1);
}

#[test]
fn a_project_without_mail_tells_its_chat_alone() {
    if !is_up_for(6) {
        return;
    }
    let (test, due, office) = projects();
    let chat = WebServer::start(&[Answer::Reply(200, "", "")]);
    let due = due
        .set("email_strategy", "none")
        .set("mail", json!({"webhook": {"url": chat.url("/chat"), "body": {"t": "{status}: {verdict}{run_id}"}}}));
    keep(&test, &due, "daemon", ago(5));
    test.runner(["run", "other"]).expect(0);
    assert!(office.taken().is_empty());
    let told = chat.requests();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].body.contains("missed: ✗ due: a planned run is overdue."), "{told:?}");
    test.runner(["mail", "flush"]).expect(0);
    assert_eq!(chat.requests().len(), 1);
}

#[test]
fn an_alarm_in_a_folder_keeps_no_real_one_from_going_out() {
    if !is_up_for(6) {
        return;
    }
    let (test, due, office) = projects();
    keep(&test, &due, "daemon", ago(5));
    for _ in 0..2 {
        let ran = test.command(["run", "other", "--mail-dir", "mails"]).output().unwrap();
        Finished::of(ran).expect(0);
    }
    let files: Vec<String> = std::fs::read_dir(test.path("mails"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].starts_with("due-alarm-"), "{files:?}");
    assert!(office.taken().is_empty());
    test.runner(["mail", "flush"]).expect(0);
    assert_eq!(office.taken().len(), 1);
}

#[test]
fn the_daemon_tells_what_was_missed_while_none_was_there() {
    if !is_up_for(6) {
        return;
    }
    let (test, due, office) = projects();
    let due = due.set("schedule", json!({"interval": "1h", "name": "hourly", "misfire_grace": "10m"}));
    test.runner(["run", "due"]).expect(0);
    keep(&test, &due, "daemon", ago(5));
    let first = Daemon::start(&test, &["-q"]);
    let taken = wait_for("the alarm", || office.taken().first().cloned());
    let (subject, text) = read(&taken);
    assert!(subject.contains("planned runs were missed"), "{subject}");
    assert!(text.contains("no daemon was running") && text.contains("`runner daemon`"), "{text}");
    // One that is killed between handing a mail over and knowing that would send it again.
    wait_for("word of that", || test.runner(["mail", "status", "--json"]).expect(0).json().is_empty().then_some(()));
    drop(first);
    let _second = Daemon::start(&test, &["-q"]);
    wait_for("the second daemon", || {
        let runs = test.runner(["list"]).expect(0);
        (!runs.stderr.contains("missed")).then_some(())
    });
    test.runner(["run", "other"]).expect(0);
    assert_eq!(office.taken().len(), 1);
}

#[test]
fn a_daemon_that_may_look_after_other_folders_is_named_beside_what_is_overdue() {
    if !is_up_for(6) {
        return;
    }
    let (test, due, _office) = projects();
    keep(&test, &due, "daemon", ago(5));
    let status = || test.runner(["schedule", "status", "due"]).expect(0).stdout;
    assert!(status().contains("overdue: no daemon was running"), "{}", status());
    let _daemon = Daemon::start(&test, &["-q", "other"]);
    wait_for("word of the daemon", || status().contains("A daemon is there").then_some(()));
    assert!(status().contains("overdue: no daemon was running"), "it came later: {}", status());
    test.database("UPDATE presences SET began = began - 36000000000");
    let reason = "overdue: a daemon is running that has not begun it; it may look after other folders";
    assert!(status().contains(reason), "{}", status());
}

#[test]
fn a_digest_goes_out_at_its_time_although_nothing_runs_then() {
    let test = Test::new();
    let office = PostOffice::open();
    let due = chrono::Local::now() - TimeDelta::minutes(5);
    let project = mailing(test.project("p").script("a.txt", ""), &office).set("email_strategy", "digest");
    let project = project.set("mail", json!({"digest_at": due.format("%H:%M").to_string()}));
    let run_id = || test.runner(["run", "p", "--json"]).expect(0).json()[0]["run_id"].as_str().unwrap().to_owned();
    let first = run_id();
    assert_eq!(office.runs(), std::slice::from_ref(&first), "the first sends one");
    // As if that had been the day before yesterday, and the second an hour ago.
    let day = 86_400_000_000_i64;
    run(&test, format!("UPDATE runs SET started = started - {}, finished = finished - {}", 2 * day, 2 * day));
    run(&test, format!("UPDATE outbox SET queued_at = queued_at - {}", 2 * day));
    project.set("mail", json!({"digest_at": (due + TimeDelta::minutes(30)).format("%H:%M").to_string()}));
    run(&test, format!("UPDATE outbox SET queued_at = queued_at + {}", 2 * day));
    let second = run_id();
    assert_eq!(office.runs().len(), 1, "that day's was told");
    run(&test, format!("UPDATE outbox SET queued_at = queued_at - {}", 2 * day));
    run(
        &test,
        format!(
            "UPDATE runs SET started = started - {h}, finished = finished - {h} WHERE run_id = '{second}'",
            h = day / 24
        ),
    );
    test.existing("p").set("mail", json!({"digest_at": due.format("%H:%M").to_string()}));

    let clock = Daemon::start(&test, &["-q"]);
    wait_for("the digest", || (office.runs().len() == 2).then_some(()));
    assert_eq!(office.runs()[1], second);
    let (subject, text) = read(&office.taken()[1]);
    assert_eq!(subject, "p: daily summary");
    assert!(text.contains("the only run since"), "{text}");
    let history = test.runner(["history", "--json"]).expect(0).json();
    wait_for("word of it in the run's events", || {
        let events = std::fs::read_to_string(test.path("p/logs/runs").join(&second).join("events.jsonl")).unwrap();
        events.contains("\"state\":\"sent\"").then_some(())
    });
    assert!(history.iter().all(|run| run["mail"] == "sent" || run["mail"] == "queued"), "{history:?}");
    drop(clock);
    // Neither a run nor another daemon tells that day again.
    let third = run_id();
    let _clock = Daemon::start(&test, &["-q"]);
    let shown = test.runner(["history", "--json", "-n", "1"]).expect(0).json();
    assert_eq!((&shown[0]["run_id"], &shown[0]["mail"]), (&json!(third), &json!("not_due")));
    assert_eq!(office.runs().len(), 2);
}

#[test]
fn a_run_that_stands_for_others_says_so_everywhere() {
    let (test, due, office) = projects();
    let due = due.set("email_strategy", "all");
    keep(&test, &due, "daemon", ago(3));
    let _daemon = Daemon::start(&test, &["-q", "due"]);
    let taken = wait_for("the mail", || office.taken().first().cloned());
    let (_, text) = read(&taken);
    assert!(text.contains("This run stands for 2 more planned times, from "), "{text}");
    assert!(text.contains("\nPlanned for  ") && text.contains(", hourly\n") && text.contains("\nNext run  "), "{text}");
    let shown = test.runner(["show", &taken.run_id]).expect(0).stdout;
    assert!(shown.contains("by schedule `hourly`") && shown.contains("stands for 2 more planned times"), "{shown}");
    let history = test.runner(["history", "due"]).expect(0).stdout;
    assert!(history.contains("2 merged"), "{history}");
}

/// Whatever an input is by mistake: where that it could not be run is kept and told, its value may be a password.
#[test]
fn why_a_planned_run_could_not_be_run_is_told_without_the_secrets_of_its_inputs() {
    let (test, due, office) = projects();
    let params = json!({
        "db": {"type": "choice", "choices": ["test", "live"]}, "rows": "int", "api_token": "int", "days": {"type": "list", "of": "date"}
    });
    let mut settings = std::fs::read_to_string(due.root.join(".env")).unwrap();
    settings.push_str("RUNNER_PARAM_DB=postgres://u:s3cr3tpw@h/db\nRUNNER_PARAM_API_TOKEN=hunter2-api\n");
    settings.push_str(
        "SERVICE_TOKEN=hunter2-service\nRUNNER_PARAM_ROWS=hunter2-service\nRUNNER_PARAM_DAYS=pwd=s3cr3tday\n",
    );
    let due = due.set("params", params).file(".env", settings);
    keep(&test, &due, "cron", ago(5));
    let ran = test.runner(["run", "due", "--scheduled", "hourly", "--keeper", "cron"]).expect(2).stderr;
    for line in [
        "error: due: RUNNER_PARAM_DB: `db` is not one of `test`, `live`: `postgres://u:***@h/db`; write one of them, as in test",
        "error: due: RUNNER_PARAM_ROWS: `rows` is not a whole number: `***`; write a whole number of at most 64 bits, as in 42",
        "error: due: RUNNER_PARAM_API_TOKEN: `api_token` is not a whole number: `***`; write a whole number of at most 64 bits, as in 42",
    ] {
        assert!(ran.lines().any(|said| said == line), "{line}\n{ran}");
    }
    let mut said = test.runner(["schedule", "history"]).expect(0).stdout;
    let alarm = read(&office.taken()[0]).1;
    assert!(said.contains("is not one of") && alarm.contains("is not one of"), "{said}\n{alarm}");
    said.push_str(&alarm);
    for entry in std::fs::read_dir(test.path("state")).unwrap() {
        let file = entry.unwrap().path();
        said.push_str(&String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()));
    }
    for secret in ["s3cr3tpw", "hunter2", "s3cr3tday"] {
        assert!(!said.contains(secret), "{secret}");
    }

    // Neither is a default of the project file that is wrong.
    let due = due.set("params", json!({"db": {"type": "int", "default": "postgres://u:s3cr3tpw@h/db"}}));
    let checked = test.runner(["check", "due"]).expect(2);
    let said = format!("{}{}", checked.stdout, checked.stderr);
    assert!(said.contains("is not a whole number: `postgres://u:***@h/db`") && !said.contains("s3cr3tpw"), "{said}");
    drop(due);
}

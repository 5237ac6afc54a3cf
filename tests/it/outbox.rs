//! Mails that can't be sent at once wait, survive, and go out later.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test, wait_for};
use crate::post_office::{At, Manner, PostOffice};
use crate::web_server::{Answer, WebServer};

/// A test with a project that mails each run.
fn mailing() -> (Test, Project, PostOffice) {
    let test = Test::new();
    let project = test.project("p").set("email_strategy", "all").script("a.txt", "print a");
    (test, project, PostOffice::open())
}

/// Runs the runner with the settings of the office.
fn runner(test: &Test, office: &PostOffice, args: &[&str]) -> Finished {
    Finished::of(office.of(&mut test.command(args)).output().unwrap())
}

fn status(test: &Test) -> Vec<Value> {
    test.runner(["mail", "status", "--json"]).expect(0).json()
}

/// What the events of a run say of its mail, in order.
fn mail_events(run_dir: &Path) -> Vec<String> {
    let events = std::fs::read_to_string(run_dir.join("events.jsonl")).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let states = events.filter(|event| event["event"] == "mail");
    states.map(|event| event["mail"]["state"].as_str().unwrap().to_owned()).collect()
}

fn history(test: &Test) -> Vec<String> {
    let rows = test.runner(["history", "--json"]).expect(0).json();
    rows.iter().map(|row| row["mail"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_mail_goes_out_by_way_of_the_outbox() {
    let (test, project, office) = mailing();
    let run = runner(&test, &office, &["run", "p"]).expect(0);
    assert!(run.stdout.contains("mail sent"), "{}", run.stdout);
    let run_dir = project.run_dir();
    assert_eq!(office.runs(), [run_dir.file_name().unwrap().to_string_lossy()]);
    assert_eq!(mail_events(&run_dir), ["sent"]);
    assert_eq!(history(&test), ["sent"]);
    assert!(status(&test).is_empty());
    let kept = std::fs::read_to_string(run_dir.join("mail.eml")).unwrap();
    assert_eq!(kept.replace("\r\n", "\n").trim_end(), office.taken()[0].data.trim_end());
}

#[test]
fn what_a_server_that_is_down_does_not_take_the_next_run_sends() {
    let (test, project, office) = mailing();
    office.misbehave(At::Greeting, Manner::HangsUp, usize::MAX);
    let run = runner(&test, &office, &["run", "p"]).expect(0);
    assert!(run.stderr.contains("the mail waits to be sent"), "{}", run.stderr);
    let first = project.run_dir();
    assert_eq!(mail_events(&first), ["queued"]);
    let waiting = status(&test);
    assert_eq!(waiting.len(), 1);
    assert_eq!((&waiting[0]["state"], &waiting[0]["attempts"]), (&"queued".into(), &1.into()));
    assert!(waiting[0]["next_at"].is_string() && waiting[0]["error"].is_string(), "{waiting:?}");
    let shown = test.runner(["show", waiting[0]["run_id"].as_str().unwrap()]).expect(0).stdout;
    assert!(shown.contains("the server hung up") && shown.contains("tried once, next at "), "{shown}");

    office.behave();
    runner(&test, &office, &["run", "p"]).expect(0);
    let sent = office.taken();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].run_id, first.file_name().unwrap().to_string_lossy(), "a run's own mail comes first");
    assert_eq!(sent[0].connection, sent[1].connection);
    assert_eq!(mail_events(&first), ["queued", "sent"]);
    assert_eq!(history(&test), ["sent", "sent"]);
    assert!(status(&test).is_empty());
}

#[test]
fn a_recipient_who_is_refused_is_told_of_at_once() {
    let (test, project, office) = mailing();
    let project = project.set("recipients", json!(["ann@example.com", "bob@example.com"]));
    office.misbehave(At::Recipient, Manner::Says("550 5.1.1 User unknown"), 1);
    let run = runner(&test, &office, &["run", "p"]).expect(0);
    assert!(run.stdout.contains("mail sent"), "{}", run.stdout);
    assert!(run.stderr.contains("refused the mail for ann@example.com (550 5.1.1 User unknown)"), "{}", run.stderr);
    assert_eq!(office.taken()[0].to, ["bob@example.com"]);
    assert_eq!(mail_events(&project.run_dir()), ["sent"]);
    let shown = test.runner(["show", &office.taken()[0].run_id]).expect(0).stdout;
    assert!(shown.contains("refused for ann@example.com"), "{shown}");
}

/// Starts the runner with the settings of the office.
fn start(test: &Test, office: &PostOffice, args: &[&str]) -> std::process::Child {
    office.of(&mut test.command(args)).spawn().unwrap()
}

/// Leaves so many mails in the outbox; returns their runs, oldest first.
fn leave_waiting(test: &Test, office: &PostOffice, mails: usize) -> Vec<String> {
    office.misbehave(At::Greeting, Manner::HangsUp, usize::MAX);
    for _ in 0..mails {
        runner(test, office, &["run", "p"]).expect(0);
    }
    office.behave();
    let runs: Vec<String> = status(test).iter().map(|row| row["run_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(runs.len(), mails);
    runs
}

#[test]
fn all_that_waits_goes_out_oldest_first_over_one_connection() {
    let (test, _project, office) = mailing();
    let runs = leave_waiting(&test, &office, 5);
    let before = office.connections();
    let flush = runner(&test, &office, &["mail", "flush"]).expect(0);
    assert_eq!(flush.stdout, "5 sent; nothing is left.\n");
    assert_eq!(office.runs(), runs);
    assert_eq!(office.connections(), before + 1);
    assert_eq!(history(&test), ["sent"; 5]);
    assert_eq!(runner(&test, &office, &["mail", "flush"]).expect(0).stdout, "Nothing waits to be sent.\n");
}

#[test]
fn what_waits_goes_out_while_the_scripts_run() {
    let (test, project, office) = mailing();
    let first = leave_waiting(&test, &office, 1);
    // So that the server is not left alone any longer.
    forget_holds(&test);
    let _project = project.script("b.txt", "touch started\nwait-for go");
    let child = start(&test, &office, &["run", "p"]);
    wait_for("the mail that waited", || (office.runs() == first).then_some(()));
    std::fs::write(test.path("p").join("go"), "").unwrap();
    Finished::of(child.wait_with_output().unwrap()).expect(0);
    assert_eq!(office.taken().len(), 2);
}

/// As if the time for which senders are left alone were over.
fn forget_holds(test: &Test) {
    test.database("UPDATE holds SET until = 0");
}

#[test]
fn a_sender_that_may_not_sign_in_is_left_alone_until_somebody_mends_it() {
    let (test, project, office) = mailing();
    office.misbehave(
        At::SignIn,
        Manner::Says("535 5.7.139 Authentication unsuccessful, basic authentication is disabled."),
        99,
    );
    let run = runner(&test, &office, &["run", "p"]).expect(0);
    assert!(run.stderr.contains("the mail is held") && run.stderr.contains("runner mail login"), "{}", run.stderr);
    assert_eq!(mail_events(&project.run_dir()), ["held"]);
    let before = office.connections();
    runner(&test, &office, &["run", "p"]).expect(0);
    assert_eq!(office.connections(), before, "nobody knocks at a door that is closed");
    assert_eq!(history(&test), ["held", "held"]);
    let told = test.runner(["mail", "status"]).expect(0).stdout;
    assert!(told.contains("2 mails held since"), "{told}");
    assert_eq!(told.matches("trying again won't help").count(), 1, "it is told once: {told}");

    // Somebody asks for it, in vain: exit code 1, and one attempt.
    runner(&test, &office, &["mail", "flush"]).expect(1);
    assert_eq!(office.connections(), before + 1);
    // Another password is another sender, which is tried by the next run.
    office.behave();
    let mut command = test.command(["run", "p"]);
    let mended = office.of(&mut command).env("PASSWORD_MAIL", "another").output().unwrap();
    Finished::of(mended).expect(0);
    assert_eq!(office.taken().len(), 3);
    assert_eq!(history(&test), ["sent"; 3]);
}

#[test]
fn a_mail_that_is_refused_for_good_is_kept_among_the_failed_and_can_be_sent_again() {
    let (test, project, office) = mailing();
    office.misbehave(At::Message, Manner::Says("554 5.6.0 Not such a thing"), 1);
    let run = runner(&test, &office, &["run", "p"]).expect(0);
    assert!(run.stderr.contains("554 5.6.0"), "{}", run.stderr);
    assert_eq!(mail_events(&project.run_dir()), ["failed"]);
    let told = test.runner(["mail", "status"]).expect(0).stdout;
    assert!(told.contains("failed") && told.contains("--failed"), "{told}");
    assert_eq!(runner(&test, &office, &["mail", "flush"]).expect(0).stdout, "Nothing waits to be sent.\n");
    runner(&test, &office, &["mail", "flush", "--failed"]).expect(0);
    assert_eq!(mail_events(&project.run_dir()), ["failed", "sent"]);
    assert_eq!((office.taken().len(), history(&test)), (1, vec!["sent".to_owned()]));
}

#[test]
fn a_mail_that_the_server_may_have_is_sent_again_and_says_so() {
    let (test, project, office) = mailing();
    office.misbehave(At::Message, Manner::TakesAndHangsUp, 1);
    runner(&test, &office, &["run", "p"]).expect(0);
    assert_eq!(status(&test)[0]["in_doubt"], true);
    runner(&test, &office, &["mail", "flush"]).expect(0);
    let runs = office.runs();
    assert_eq!((runs.len(), &runs[0]), (2, &runs[1]), "rather twice than never, by the same id");
    let events = std::fs::read_to_string(project.run_dir().join("events.jsonl")).unwrap();
    assert!(events.contains("sent again"), "{events}");
}

#[test]
fn one_message_that_is_not_taken_keeps_no_other_waiting() {
    let (test, _project, office) = mailing();
    let runs = leave_waiting(&test, &office, 3);
    office.misbehave(At::Message, Manner::Says("451 4.3.0 not this one now"), 1);
    runner(&test, &office, &["mail", "flush"]).expect(1);
    assert_eq!(office.runs(), runs[1..]);
    let left = status(&test);
    assert_eq!((left.len(), left[0]["last_reply"].as_str()), (1, Some("451 4.3.0 not this one now")));
    // Not by the next run, since its time has not come; by whoever asks for it.
    runner(&test, &office, &["run", "p"]).expect(0);
    assert_eq!(status(&test).len(), 1);
    runner(&test, &office, &["mail", "flush"]).expect(0);
    assert_eq!(office.runs().last(), Some(&runs[0]));
}

#[test]
fn without_a_database_a_mail_is_sent_or_kept_until_there_is_one() {
    let (test, project, office) = mailing();
    std::fs::create_dir_all(test.path("state")).unwrap();
    std::fs::write(test.path("state").join("state.db"), "no database at all, but something of a length").unwrap();
    let run = runner(&test, &office, &["run", "p"]).expect(0);
    assert!(run.stdout.contains("mail sent"), "{}", run.stdout);
    office.misbehave(At::Greeting, Manner::HangsUp, 1);
    let run = runner(&test, &office, &["run", "p"]).expect(0);
    assert!(run.stderr.contains("the mail waits in"), "{}", run.stderr);
    let kept: Vec<_> = project.run_dirs().into_iter().filter(|dir| dir.join("mail.json").exists()).collect();
    let [kept] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!(mail_events(kept), ["kept"]);
    assert_eq!(office.taken().len(), 1);

    std::fs::remove_file(test.path("state").join("state.db")).unwrap();
    assert_eq!(history(&test).iter().filter(|state| *state == "kept").count(), 1);
    runner(&test, &office, &["run", "p"]).expect(0);
    assert_eq!(office.taken().len(), 3, "the next run takes it along");
    assert_eq!(mail_events(kept), ["kept", "queued", "sent"]);
    assert!(!kept.join("mail.json").exists() && status(&test).is_empty());
    assert_eq!(history(&test), ["sent"; 3]);
}

/// A run that could neither send its mail nor put it into the outbox, whose database is of use again by now. Returns its folder.
fn keeping(test: &Test, project: &Project, office: &PostOffice) -> std::path::PathBuf {
    let database = test.path("state").join("state.db");
    std::fs::create_dir_all(test.path("state")).unwrap();
    std::fs::write(&database, "no database at all, but something of a length").unwrap();
    office.misbehave(At::Greeting, Manner::HangsUp, 1);
    runner(test, office, &["run", "p"]).expect(0);
    std::fs::remove_file(database).unwrap();
    let kept = project.run_dir();
    assert_eq!(mail_events(&kept), ["kept"]);
    kept
}

#[test]
fn a_kept_mail_is_found_by_whoever_sends_next() {
    for next in [["run", "p"], ["run", "q"]] {
        let (test, project, office) = mailing();
        let _other = test.project("q").set("email_strategy", "all").script("a.txt", "print a");
        let kept = keeping(&test, &project, &office);
        // Not looked at in between: the database learns of it by nobody else.
        runner(&test, &office, &next).expect(0);
        assert_eq!(office.taken().len(), 2, "{next:?}");
        assert_eq!(mail_events(&kept), ["kept", "queued", "sent"]);
        assert!(std::fs::read_dir(project.root.join("logs/.kept")).unwrap().next().is_none());
    }
}

#[test]
fn a_kept_mail_is_shown_and_flushed_like_one_of_the_outbox() {
    let (test, project, office) = mailing();
    let kept = keeping(&test, &project, &office);
    let shown = status(&test);
    assert_eq!((shown.len(), &shown[0]["state"]), (1, &"kept".into()), "{shown:?}");
    assert!(test.runner(["mail", "status"]).expect(0).stdout.contains(&*kept.to_string_lossy()));
    assert_eq!(runner(&test, &office, &["mail", "flush"]).expect(0).stdout, "1 sent; nothing is left.\n");
    assert!(status(&test).is_empty());
}

#[test]
fn a_kept_mail_whose_drive_is_away_waits_for_it() {
    let (test, project, office) = mailing();
    keeping(&test, &project, &office);
    assert_eq!(history(&test), ["kept"]);
    let _other = test.project("q").set("email_strategy", "all").script("a.txt", "print a");
    std::fs::rename(&project.root, test.path("away")).unwrap();
    runner(&test, &office, &["run", "q"]).expect(0);
    assert_eq!(office.taken().len(), 1);
    std::fs::rename(test.path("away"), &project.root).unwrap();
    runner(&test, &office, &["run", "q"]).expect(0);
    assert_eq!(office.taken().len(), 3);
    assert_eq!(mail_events(&project.run_dir()), ["kept", "queued", "sent"]);
}

#[test]
fn a_mail_waits_for_its_project_to_be_mended() {
    let (test, project, office) = mailing();
    let other = test.project("q").set("email_strategy", "all").script("a.txt", "print a");
    leave_waiting(&test, &office, 1);
    let config = project.root.join("exec_config.json");
    let good = std::fs::read(&config).unwrap();
    std::fs::write(&config, "{").unwrap();
    runner(&test, &office, &["run", "q"]).expect(0);
    assert_eq!(office.taken().len(), 1);
    let waiting = status(&test);
    assert_eq!(waiting[0]["state"], "held");
    assert!(waiting[0]["error"].as_str().unwrap().contains("runner check"), "{waiting:?}");
    std::fs::write(&config, good).unwrap();
    runner(&test, &office, &["run", "q"]).expect(0);
    assert_eq!(office.taken().len(), 3);
    assert_eq!(mail_events(&project.run_dir()), ["queued", "sent"]);
    drop(other);
}

#[test]
fn the_rate_is_kept_to_and_delays_no_run_beyond_its_deadline() {
    let (test, project, office) = mailing();
    let _project = project.set("mail", json!({"deadline": "8s"}));
    let run = || {
        let mut command = test.command(["run", "p"]);
        Finished::of(office.of(&mut command).env("MAIL_RATE", "1").output().unwrap()).expect(0)
    };
    run();
    let second = run();
    assert_eq!(office.taken().len(), 1);
    assert!(second.stderr.contains("MAIL_RATE"), "{}", second.stderr);
    assert_eq!(status(&test)[0]["attempts"], 0);
}

#[test]
fn mails_of_a_project_belong_to_one_conversation_by_the_servers_own_id() {
    let (test, _project, office) = mailing();
    runner(&test, &office, &["run", "p"]).expect(0);
    runner(&test, &office, &["run", "p"]).expect(0);
    let taken = office.taken();
    assert!(!taken[0].data.contains("In-Reply-To:"), "{}", taken[0].data);
    assert!(taken[1].data.contains("In-Reply-To: <1@counted.example>"), "{}", taken[1].data);
}

#[test]
fn without_mail_the_outbox_is_left_alone() {
    let (test, _project, office) = mailing();
    leave_waiting(&test, &office, 1);
    runner(&test, &office, &["run", "p", "--no-mail"]).expect(0);
    runner(&test, &office, &["run", "p", "--mail-dir", "mails"]).expect(0);
    assert!(office.taken().is_empty());
    assert_eq!(status(&test).len(), 1);
}

#[test]
fn watchdogs_and_chats_are_told_by_way_of_the_outbox_too() {
    let test = Test::new();
    let web = WebServer::start(&[Answer::Reply(200, "", "OK")]);
    let pings = json!({"start": web.url("/${HC_UUID}/start"), "success": web.url("/ok"), "failure": web.url("/fail")});
    let webhook = json!({"url": web.url("/chat"), "when": "failure_only"});
    let project =
        test.project("p").set("mail", json!({"pings": pings, "webhook": webhook})).file(".env", "HC_UUID=1-2-3\n");
    let project = project.script("a.txt", "wait-for go");
    let paths = || web.requests().into_iter().map(|request| request.path).collect::<Vec<_>>();
    let child = test.start(["run", "p"]);
    wait_for("the word of the start", || (paths() == ["/1-2-3/start"]).then_some(()));
    std::fs::write(project.root.join("go"), "").unwrap();
    Finished::of(child.wait_with_output().unwrap()).expect(0);
    assert_eq!(paths(), ["/1-2-3/start", "/ok"]);
    let _project = project.script("b.txt", "exit 3");
    let run = test.runner(["run", "p"]).expect(1);
    assert_eq!(run.stderr.matches("warning").count(), 0, "{}", run.stderr);
    // The start of a run that is over already may not be told.
    let mut now: Vec<String> = paths().split_off(2).into_iter().filter(|path| path != "/1-2-3/start").collect();
    now.sort();
    assert_eq!(now, ["/chat", "/fail"]);
    assert!(status(&test).is_empty());
    let before = paths().len();
    test.runner(["run", "p", "--no-mail"]).expect(1);
    test.runner(["run", "p", "--mail-dir", "mails"]).expect(1);
    assert_eq!(paths().len(), before, "nothing is sent");
}

#[test]
fn a_call_that_was_not_heard_is_made_again_and_a_start_no_longer_after_the_end() {
    let test = Test::new();
    let web = WebServer::start(&[Answer::Drop]);
    let pings = json!({"start": web.url("/secret/start"), "success": web.url("/secret/ok")});
    let project = test.project("p").script("a.txt", "print a").set("mail", json!({"pings": pings, "deadline": "5s"}));
    let run = test.runner(["run", "p"]).expect(0);
    assert!(run.stderr.contains("127.0.0.1") && !run.stderr.contains("secret"), "{}", run.stderr);
    let waiting = status(&test);
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!((&waiting[0]["kind"], &waiting[0]["slot"]), (&json!("ping"), &json!("success")));
    drop(web);

    let web = WebServer::start(&[Answer::Reply(200, "", "OK")]);
    let _project = project.set("mail", json!({"pings": {"success": web.url("/secret/ok")}}));
    test.runner(["mail", "flush"]).expect(0);
    let [told] = web.requests().try_into().unwrap();
    assert_eq!(told.path, "/secret/ok");
}

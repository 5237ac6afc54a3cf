//! Whose turn it is in the outbox: what one project's mails and calls mean for those of others.

use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test, wait_for};
use crate::post_office::{At, Manner, PostOffice};
use crate::web_server::{Answer, WebServer};

/// A project that mails each run by settings of its own, from `.env`.
fn mailing(test: &Test, name: &str, office: &PostOffice) -> Project {
    let project = test.project(name).set("email_strategy", "all").set("mail", json!({"deadline": "8s"}));
    project.script("a.txt", "print a").file(".env", dotenv(name, office))
}

fn dotenv(login: &str, office: &PostOffice) -> String {
    let port = office.port;
    format!(
        "LOGIN_MAIL={login}@example.test\nPASSWORD_MAIL=secret\nMAIL_HOST=127.0.0.1\nMAIL_PORT={port}\nMAIL_TLS=none\n"
    )
}

fn status(test: &Test) -> Vec<Value> {
    test.runner(["mail", "status", "--json"]).expect(0).json()
}

/// Has a project leave a mail in the outbox that its next chance is taken to send.
fn leave_one(test: &Test, name: &str, office: &PostOffice) {
    office.misbehave(At::Greeting, Manner::HangsUp, usize::MAX);
    test.runner(["run", name]).expect(0);
    office.behave();
    test.database("UPDATE holds SET until = 0");
}

#[test]
fn a_stalled_server_of_another_project_leaves_a_run_the_time_for_its_own_mail() {
    let (test, own, others) = (Test::new(), PostOffice::open(), PostOffice::open());
    let _other = mailing(&test, "q", &others);
    leave_one(&test, "q", &others);
    let project = mailing(&test, "p", &own).script("b.txt", "wait-for go");
    others.misbehave(At::Greeting, Manner::Stalls, usize::MAX);
    let before = others.connections();
    let child = test.start(["run", "p"]);
    wait_for("the mail of the other project", || (others.connections() > before).then_some(()));
    std::fs::write(project.root.join("go"), "").unwrap();
    let run = Finished::of(child.wait_with_output().unwrap()).expect(0);
    assert!(run.stdout.contains("mail sent"), "{} {}", run.stdout, run.stderr);
    assert_eq!(own.taken().len(), 1);
}

#[test]
fn a_watchdog_that_is_dead_keeps_no_mail_waiting() {
    let (test, office) = (Test::new(), PostOffice::open());
    let web = WebServer::start(&[Answer::Stall]);
    let pings = json!({"start": web.url("/start"), "success": web.url("/ok")});
    let _project = mailing(&test, "p", &office).set("mail", json!({"deadline": "8s", "pings": pings}));
    let run = test.runner(["run", "p"]).expect(0);
    assert!(run.stdout.contains("mail sent"), "{} {}", run.stdout, run.stderr);
    assert_eq!(office.taken().len(), 1);
}

#[test]
fn a_mail_that_had_no_turn_says_so() {
    let (test, office) = (Test::new(), PostOffice::open());
    let project = mailing(&test, "p", &office).set("mail", json!({"deadline": "1s"}));
    std::fs::create_dir_all(test.path("state")).unwrap();
    let lock = std::fs::File::create(test.path("state").join("outbox.lock")).unwrap();
    lock.lock().unwrap();
    let run = test.runner(["run", "p"]).expect(0);
    assert!(run.stderr.contains("waits to be sent: there was no time left"), "{}", run.stderr);
    let waiting = status(&test);
    assert!(waiting[0]["error"].as_str().unwrap().contains("no time left"), "{waiting:?}");
    drop(lock);
    let _project = project.set("mail", json!({"deadline": "30s"}));
    test.runner(["run", "p"]).expect(0);
    assert_eq!(office.taken().len(), 2);
}

#[test]
fn a_sender_that_was_mended_is_the_sender_of_what_waited_too() {
    let (test, office) = (Test::new(), PostOffice::open());
    let project = mailing(&test, "p", &office);
    let from = |sender: &str| format!("{}MAIL_FROM='{sender}'\n", dotenv("p", &office));
    let project = project.file(".env", from("Wrong <wrong@example.test>"));
    office.misbehave(At::Message, Manner::Says("554 5.2.252 SendAsDenied; p not allowed to send as wrong"), 1);
    let run = test.runner(["run", "p"]).expect(0);
    assert!(run.stderr.contains("the mail is held"), "{}", run.stderr);
    let _project = project.file(".env", from("R\u{fc}na <right@example.test>"));
    test.runner(["run", "p"]).expect(0);
    let taken = office.taken();
    assert_eq!(taken.len(), 2);
    for mail in taken {
        assert_eq!(mail.from, "right@example.test");
        assert!(mail.data.contains("<right@example.test>") && !mail.data.contains("wrong@"), "{}", mail.data);
    }
    assert!(status(&test).is_empty());
}

#[test]
fn a_mail_never_goes_out_by_the_account_of_another_project() {
    let (test, own, others) = (Test::new(), PostOffice::open(), PostOffice::open());
    // Its account stands in the environment of its runs alone.
    let _other = test.project("q").set("email_strategy", "all").script("a.txt", "print a");
    others.misbehave(At::Greeting, Manner::HangsUp, usize::MAX);
    Finished::of(others.of(&mut test.command(["run", "q"])).output().unwrap()).expect(0);
    test.database("UPDATE holds SET until = 0");
    let _project = test.project("p").set("email_strategy", "all").script("a.txt", "print a");
    let run = |office: &PostOffice, login: &str| {
        let mut command = test.command(["run", "p"]);
        Finished::of(office.of(&mut command).env("LOGIN_MAIL", login).output().unwrap()).expect(0)
    };
    run(&own, "another@example.test");
    assert_eq!(own.taken().len(), 1, "only its own");
    let waiting = status(&test);
    assert_eq!((waiting.len(), &waiting[0]["state"]), (1, &json!("queued")));
    assert!(waiting[0]["error"].as_str().unwrap().contains("itself sends it"), "{waiting:?}");
    // By the account that it was made with it may go.
    run(&own, "runs@example.test");
    assert_eq!((own.taken().len(), status(&test).len()), (3, 0));

    // What stands in its `.env` is what counts, whatever stands in the environment.
    let _other = mailing(&test, "q", &others);
    leave_one(&test, "q", &others);
    run(&own, "q@example.test");
    assert_eq!((own.taken().len(), others.taken().len()), (4, 1));
}

#[test]
fn a_run_sends_its_own_mail_once_when_the_outbox_cannot_be_locked() {
    let (test, office) = (Test::new(), PostOffice::open());
    let _project = mailing(&test, "p", &office);
    let lock = test.path("state").join("outbox.lock");
    std::fs::create_dir_all(&lock).unwrap();
    let run = test.runner(["run", "p"]).expect(0);
    assert!(run.stdout.contains("mail sent"), "{} {}", run.stdout, run.stderr);
    office.misbehave(At::Greeting, Manner::HangsUp, 1);
    test.runner(["run", "p"]).expect(0);
    assert_eq!((office.taken().len(), &status(&test)[0]["state"]), (1, &json!("queued")));
    std::fs::remove_dir(&lock).unwrap();
    test.runner(["mail", "flush"]).expect(0);
    assert_eq!(office.taken().len(), 2);
    assert!(status(&test).is_empty());
}

#[test]
fn a_mail_that_cannot_be_read_fails_alone() {
    let (test, office) = (Test::new(), PostOffice::open());
    let project = mailing(&test, "p", &office);
    leave_one(&test, "p", &office);
    test.database("UPDATE outbox SET recipients = 'nobody knows'");
    let run = test.runner(["run", "p"]).expect(0);
    assert!(run.stdout.contains("mail sent"), "{} {}", run.stdout, run.stderr);
    assert_eq!(office.taken().len(), 1);
    let runs = project.run_dirs();
    let events = runs.iter().map(|run| std::fs::read_to_string(run.join("events.jsonl")).unwrap());
    let told: Vec<String> = events.filter(|events| events.contains("can't be read")).collect();
    assert!(told.len() == 1 && told[0].contains("failed"), "{told:?}");
}

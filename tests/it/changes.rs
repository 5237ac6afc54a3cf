//! When the strategies `changes` and `digest` mail, and what they say of the runs before.

use mail_parser::MessageParser;
use serde_json::json;

use crate::harness::{Finished, Project, Test, finish, wait_for, wait_for_file};
use crate::post_office::{At, Manner, PostOffice};
use crate::web_server::{Answer, WebServer};

/// Runs the project; the text of the mail, if there was one.
fn mailed(test: &Test, code: i32) -> Option<String> {
    let events = test.runner(["run", "p", "--json", "--mail-dir", "mails"]).expect(code).json();
    let run = events[0]["run_id"].as_str().unwrap();
    let bytes = std::fs::read(test.path("mails").join(format!("p-{run}.eml"))).ok()?;
    Some(MessageParser::default().parse(&bytes).unwrap().body_text(0).unwrap().replace("\r\n", "\n"))
}

fn project(test: &Test, strategy: &str) -> Project {
    test.project("p").script("fine.txt", "").script("load.txt", "").set("email_strategy", strategy)
}

/// The first line of a mail that must be there.
#[track_caller]
fn verdict(mail: Option<String>) -> String {
    mail.expect("no mail").lines().next().unwrap().to_owned()
}

#[test]
fn changes_tells_what_fails_and_what_works_again() {
    let test = Test::new();
    let project = project(&test, "changes");
    assert_eq!(mailed(&test, 0), None);
    let project = project.file("load.txt", "exit 3");
    assert_eq!(
        verdict(mailed(&test, 1)),
        "✗ p: 1 of 2 scripts failed. First failure of load.txt after 1 success. Please look at load.txt (exit code 3)."
    );
    assert_eq!(mailed(&test, 1), None, "nothing has changed");
    let project = project.file("fine.txt", "exit 4");
    let both = verdict(mailed(&test, 1));
    assert!(both.contains("First failure of fine.txt after 3 successes. load.txt is still failing, since "), "{both}");
    assert!(both.contains(", for the 3rd time. "), "{both}");
    // Nobody hears of a run without mail, so what it changed is told by the next.
    let project = project.file("fine.txt", "").file("load.txt", "");
    test.runner(["run", "p", "--no-mail"]).expect(0);
    let again = mailed(&test, 0).unwrap();
    assert!(
        again.starts_with("✓ p: all 2 scripts succeeded. fine.txt and load.txt work again. Nothing to do.\n"),
        "{again}"
    );
    assert!(again.contains("Last 5 runs: ✓✗✗✗✓ (oldest first), 2 succeeded, 3 failed\n"), "{again}");
    assert_eq!(mailed(&test, 0), None);
    drop(project);
}

#[test]
fn changes_of_one_profile_are_not_those_of_another() {
    let test = Test::new();
    let project = project(&test, "changes").file("load.txt", "exit 3").file("exec_config.dev.json", "{}");
    assert!(mailed(&test, 1).is_some());
    test.runner(["run", "p", "--profile", "dev", "--mail-dir", "dev"]).expect(1);
    assert_eq!(std::fs::read_dir(test.path("dev")).unwrap().count(), 1, "the first failure with this profile");
    test.runner(["run", "p", "--profile", "dev", "--mail-dir", "dev"]).expect(1);
    assert_eq!(std::fs::read_dir(test.path("dev")).unwrap().count(), 1);
    drop(project);
}

#[test]
fn without_a_database_the_run_folders_tell_what_was_before() {
    let test = Test::new();
    let project = project(&test, "changes").file("load.txt", "exit 3");
    assert!(mailed(&test, 1).is_some());
    // A folder can't be one any more once a file is in its place.
    std::fs::remove_dir_all(test.path("state")).unwrap();
    std::fs::write(test.path("state"), "").unwrap();
    assert_eq!(mailed(&test, 1), None, "nothing has changed");
    let _project = project.file("load.txt", "");
    let again = verdict(mailed(&test, 0));
    assert!(again.contains("load.txt works again after 2 failures."), "{again}");
}

#[test]
fn a_digest_tells_of_all_runs_since_the_last() {
    let test = Test::new();
    // From midnight on, so that the second run of a day is never one too many; and told of in French.
    let project = project(&test, "digest").set("language", "fr").set("mail", json!({"digest_at": "00:00"}));
    assert!(verdict(mailed(&test, 0)).starts_with("✓ p\u{a0}: la seule exécution a réussi. Rien à faire."));
    let project = project.file("load.txt", "eprint no space left\nexit 3");
    let second = mailed(&test, 1);
    if second.is_some() {
        eprintln!("skipped the rest: midnight came between the runs");
        return;
    }
    let project = project.file("load.txt", "");
    assert_eq!(mailed(&test, 0), None);
    // As if the first had not been told: all of them are.
    let project = project.set("email_strategy", "all");
    let events = test.runner(["run", "p", "--json", "--mail-dir", "mails"]).expect(0).json();
    project.set("email_strategy", "digest");
    let run = events[0]["run_id"].as_str().unwrap();
    let page = test.runner(["mail", "preview", run, "--html", "-"]).expect(0).stdout;
    for words in
        ["1 exécution sur 3 depuis ", "load.txt a échoué 1 fois sur 3 et fonctionne de nouveau.", "no space left"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
}

/// A time of the day that is hours away, in the past and in the future.
fn long_past() -> String {
    (chrono::Local::now() - chrono::TimeDelta::hours(12)).format("%H:%M").to_string()
}

/// Runs the project with real mails; what history says of its mail.
fn told(test: &Test, office: &PostOffice, code: i32) -> String {
    Finished::of(office.of(&mut test.command(["run", "p"])).output().unwrap()).expect(code);
    last_mail(test)
}

fn last_mail(test: &Test) -> String {
    test.runner(["history", "--json"]).expect(0).json()[0]["mail"].as_str().unwrap().to_owned()
}

#[test]
fn who_only_looked_at_a_mail_keeps_it_from_nobody() {
    for strategy in ["changes", "digest"] {
        let (test, office) = (Test::new(), PostOffice::open());
        let _project =
            project(&test, strategy).file("load.txt", "exit 3").set("mail", json!({"digest_at": long_past()}));
        assert!(mailed(&test, 1).is_some());
        assert_eq!(mailed(&test, 1), None, "{strategy}: where mails are written to a folder, those are the mails");
        assert_eq!(told(&test, &office, 1), "sent", "{strategy}");
        let mail = &office.taken()[0].data;
        assert_eq!(told(&test, &office, 1), "not_due", "{strategy}: {mail}");
        assert_eq!(mailed(&test, 1), None, "{strategy}: a mail that was sent counts for all");
    }
}

#[test]
fn a_mail_that_failed_for_good_told_nobody() {
    for strategy in ["changes", "digest"] {
        let (test, office) = (Test::new(), PostOffice::open());
        let _project =
            project(&test, strategy).file("load.txt", "exit 3").set("mail", json!({"digest_at": long_past()}));
        office.misbehave(At::Message, Manner::Says("554 5.6.0 no such mails here"), 1);
        assert_eq!(told(&test, &office, 1), "failed", "{strategy}");
        assert_eq!(told(&test, &office, 1), "sent", "{strategy}");
        assert_eq!(told(&test, &office, 1), "not_due", "{strategy}");
    }
}

#[test]
fn a_run_without_mail_is_left_out_whatever_would_have_been_due() {
    let test = Test::new();
    let project = project(&test, "failure_only");
    test.runner(["run", "p", "--no-mail"]).expect(0);
    assert_eq!(last_mail(&test), "off");
    let _project = project.set("email_strategy", "none");
    test.runner(["run", "p", "--no-mail"]).expect(0);
    assert_eq!(last_mail(&test), "off");
    test.runner(["run", "p"]).expect(0);
    assert_eq!(last_mail(&test), "not_due");
}

#[test]
fn a_chat_hears_of_changes_whatever_is_mailed() {
    for strategy in ["none", "digest"] {
        let (test, office) = (Test::new(), PostOffice::open());
        let web = WebServer::start(&[Answer::Reply(200, "", "OK")]);
        let webhook = json!({"url": web.url("/chat"), "when": "changes", "body": {"text": "{failed}."}});
        let project = project(&test, strategy).set("mail", json!({"digest_at": long_past(), "webhook": webhook}));
        let posts = |times: usize| {
            (0..times).for_each(|_| drop(office.of(&mut test.command(["run", "p"])).output().unwrap()));
            web.requests().len()
        };
        let today = chrono::Local::now().date_naive();
        assert_eq!(posts(2), 0, "{strategy}: nothing has changed");
        let project = project.file("load.txt", "exit 3");
        let failing = posts(3);
        if chrono::Local::now().date_naive() != today {
            eprintln!("skipped the rest: midnight came between the runs");
            return;
        }
        assert_eq!(failing, 1, "{strategy}: it fails");
        let _project = project.file("load.txt", "");
        assert_eq!(posts(3), 2, "{strategy}: it works again");
        let bodies: Vec<String> = web.requests().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, [r#"{"text":"load.txt."}"#, r#"{"text":"."}"#]);
    }
}

#[test]
fn a_run_that_died_before_the_digest_of_the_day_adds_no_second_one() {
    let test = Test::new();
    let project = project(&test, "digest").set("mail", json!({"digest_at": long_past()}));
    let project = project.file("fine.txt", "touch started\nwait-for go");
    let mut runner = test.start(["run", "p", "--mail-dir", "mails"]);
    wait_for_file(&project.root.join("started"));
    runner.kill().unwrap();
    runner.wait().unwrap();
    let project = project.file("go", "");
    let digest = mailed(&test, 0).expect("no digest");
    assert_eq!(std::fs::read_dir(test.path("mails")).unwrap().count(), 1, "{digest}");
    drop(project);
}

#[test]
fn a_mail_is_said_to_be_kept_where_it_is_kept() {
    for is_kept in [true, false] {
        let test = Test::new();
        let project = project(&test, "all").script("load.txt", "wait-for go");
        let project = project.file("mails", "a file, so that there can be no such folder");
        let child = test.start(["run", "p", "--mail-dir", "p/mails"]);
        let run_dir = wait_for("the run", || project.run_dirs().pop());
        if !is_kept {
            std::fs::create_dir(run_dir.join("mail.eml")).unwrap();
        }
        std::fs::write(project.root.join("go"), "").unwrap();
        let stderr = finish(child).expect(0).stderr;
        assert!(stderr.contains("the mail was not sent: "), "{stderr}");
        assert_eq!(stderr.contains("it is kept in"), is_kept, "{stderr}");
    }
}

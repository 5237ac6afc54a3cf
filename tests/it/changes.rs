//! When the strategies `changes` and `digest` mail, and what they say of the runs before.

use mail_parser::MessageParser;
use serde_json::json;

use crate::harness::{Project, Test};

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
    let project = project.set("email_strategy", "none");
    let events = test.runner(["run", "p", "--json"]).expect(0).json();
    project.set("email_strategy", "digest");
    let run = events[0]["run_id"].as_str().unwrap();
    let page = test.runner(["mail", "preview", run, "--html", "-"]).expect(0).stdout;
    for words in
        ["1 exécution sur 3 depuis ", "load.txt a échoué 1 fois sur 3 et fonctionne de nouveau.", "no space left"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
}

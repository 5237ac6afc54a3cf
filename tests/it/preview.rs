//! `runner mail preview`: the mail about a past run, as it would be sent.

use std::path::Path;

use mail_parser::MessageParser;

use crate::harness::{Project, Test};

/// The subject and the text of a message in a file.
fn mail(file: &Path) -> (String, String) {
    let bytes = std::fs::read(file).unwrap();
    let mail = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!((mail.text_body_count(), mail.html_body_count()), (1, 1));
    (mail.subject().unwrap().to_owned(), mail.body_text(0).unwrap().into_owned())
}

/// Runs the project, and says with which id.
fn run(test: &Test, code: i32) -> String {
    let events = test.runner(["run", "p", "--json"]).expect(code).json();
    events[0]["run_id"].as_str().unwrap().to_owned()
}

/// A project whose runs nobody was told of: one that succeeded, and two that failed.
fn three_runs(test: &Test) -> (Project, [String; 3]) {
    let project = test.project("p").script("fine.txt", "").script("load.txt", "");
    let first = run(test, 0);
    let project = project.file("load.txt", "eprint disk full\nexit 3");
    (project, [first, run(test, 1), run(test, 1)])
}

#[test]
fn the_mail_about_a_past_run_tells_what_was_known_then() {
    let test = Test::new();
    let (project, [first, second, third]) = three_runs(&test);
    project.set("email_strategy", "changes").set("mail", serde_json::json!({"conversation": false}));
    for (run, verdict) in [
        (
            &second,
            "✗ p: 1 of 2 scripts failed. First failure of load.txt after 1 success. Please look at load.txt (exit code 3).",
        ),
        (&third, "✗ p: 1 of 2 scripts failed. load.txt is still failing, since "),
    ] {
        let shown = test.runner(["mail", "preview", &run[..10], "--dir", "previews"]).expect(0);
        let file = test.path("previews").join(format!("p-{run}.eml"));
        assert_eq!(shown.stdout.trim(), Path::new("previews").join(format!("p-{run}.eml")).display().to_string());
        let (subject, text) = mail(&file);
        assert_eq!(subject, "✗ p: 1 of 2 scripts failed");
        assert!(text.starts_with(verdict), "{text}");
        assert!(text.contains("disk full"), "{text}");
    }
    let quiet = test.runner(["mail", "preview", &first, "--dir", "previews"]).expect(0);
    assert!(quiet.stderr.contains("`changes` has no mail about this run"), "{}", quiet.stderr);
    assert!(!test.path("p/logs/runs").join(&first).join("mail.eml").exists(), "nothing is left beside the run");
}

#[test]
fn a_preview_in_every_language_is_a_file_for_each() {
    let test = Test::new();
    let (_, [_, second, _]) = three_runs(&test);
    let shown = test.runner(["mail", "preview", &second, "--language", "all"]).expect(0);
    assert_eq!(shown.stdout.lines().count(), 4, "{}", shown.stdout);
    for (code, subject, verdict) in [
        ("en", "p: run report", "✗ p: 1 of 2 scripts failed. "),
        ("fr", "p : compte rendu", "✗ p\u{a0}: 1 script sur 2 a échoué. "),
        ("ja", "p：実行結果", "✗ p：2件中1件のスクリプトが失敗しました。"),
        ("ko", "p: 실행 결과", "✗ p: 스크립트 2개 중 1개가 실패했습니다. "),
    ] {
        let (found, text) = mail(&test.path(&format!("p-{second}.{code}.eml")));
        assert_eq!(found, subject);
        assert!(text.starts_with(verdict), "{text}");
    }
}

#[test]
fn the_page_alone_is_printed_or_written() {
    let test = Test::new();
    let (_, [_, second, _]) = three_runs(&test);
    let page = test.runner(["mail", "preview", &second, "--html", "-", "--language", "ko"]).expect(0).stdout;
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"ko\">") && page.contains("스크립트 2개 중 1개"), "{page}");
    let shown = test.runner(["mail", "preview", &second, "--html", "page.html"]).expect(0);
    assert_eq!(shown.stdout.trim(), "page.html");
    assert!(std::fs::read_to_string(test.path("page.html")).unwrap().contains("<html lang=\"en\">"));
    let refused = test.runner(["mail", "preview", &second, "--html", "gone/page.html"]).expect(4);
    assert!(refused.stderr.contains("cannot write gone"), "{}", refused.stderr);
    test.runner(["mail", "preview", "fffffffffffff"]).expect(2);
}

#[test]
fn a_project_that_is_gone_can_still_be_told_of() {
    let test = Test::new();
    let (project, [_, second, _]) = three_runs(&test);
    std::fs::remove_file(project.root.join("exec_config.json")).unwrap();
    let shown = test.runner(["mail", "preview", &second]).expect(0);
    assert!(shown.stderr.contains("can't be loaded"), "{}", shown.stderr);
    let (_, text) = mail(&test.path(&format!("p-{second}.eml")));
    assert!(text.starts_with("✗ p: 1 of 2 scripts failed. "), "{text}");
}

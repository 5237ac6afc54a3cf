//! `runner mail test`: a person sees whether mail works, and if not, why.

use std::collections::BTreeMap;

use mail_parser::MessageParser;

use crate::harness::{Finished, Test};
use crate::smtp_server::{Fault, LOGIN, Options, PASSWORD, SmtpServer, Step};

fn mail_test(server: &SmtpServer, args: &[&str], more: &[(&str, &str)]) -> Finished {
    let test = Test::new();
    let ca = test.path("ca.pem");
    std::fs::write(&ca, &server.ca).unwrap();
    let project = test.project("reports").script("a.py", "").set("email_strategy", "all");
    let _project = project.file(".env", format!("LOGIN_MAIL={LOGIN}\nMAIL_HOST=127.0.0.1\n"));
    let port = server.port.to_string();
    let mut variables = BTreeMap::from([
        ("PASSWORD_MAIL", PASSWORD),
        ("MAIL_PORT", port.as_str()),
        ("MAIL_CA_FILE", ca.to_str().unwrap()),
    ]);
    variables.extend(more.iter().copied());
    let mut command = test.command(["mail", "test", "reports"]);
    Finished::of(command.args(args).envs(variables).output().unwrap())
}

#[test]
fn it_shows_each_step_and_no_secret() {
    let server = SmtpServer::start(Options::default());
    let shown = mail_test(&server, &[], &[]).expect(0);
    let steps = [
        "A test mail from runs@example.test to runs@example.test, over 127.0.0.1:",
        "* connecting to 127.0.0.1",
        "> STARTTLS",
        "(encrypted, certificate verified)",
        "> AUTH LOGIN (as runs@example.test, with a password)",
        "< 235 2.7.0 Authentication successful",
        "> RCPT TO:<runs@example.test>",
        "< 250 2.0.0 OK <AM0PR01MB1234@test.example.test>",
        "> QUIT",
        "ok  the server has taken the mail",
    ];
    let mut rest = shown.stdout.as_str();
    for step in steps {
        let (_, after) = rest.split_once(step).unwrap_or_else(|| panic!("{step}\n{}", shown.stdout));
        rest = after;
    }
    assert!(!shown.stdout.contains(PASSWORD) && shown.stderr.is_empty(), "{}", shown.stderr);
    let [received] = server.received().try_into().unwrap();
    assert_eq!(received.to, [LOGIN]);
    let mail = MessageParser::default().parse(&received.data).unwrap();
    assert_eq!(mail.subject(), Some("reports: test of the mail settings"));
    assert!(mail.date().is_some() && mail.message_id().is_some());
    assert!(mail.body_text(0).unwrap().contains("they work"));

    mail_test(&server, &["--to", "ann@example.test"], &[("MAIL_FROM", "Runs <other@example.test>")]).expect(0);
    let other = server.received().pop().unwrap();
    assert_eq!((other.from.as_str(), other.to), ("other@example.test", vec!["ann@example.test".to_owned()]));
}

#[test]
fn it_says_what_to_do_when_the_server_refuses() {
    let off = "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.";
    let fault = Some((Step::Password, Fault::Reply(off)));
    let server = SmtpServer::start(Options { fault, ..Options::default() });
    let shown = mail_test(&server, &[], &[]).expect(1);
    assert!(shown.stdout.contains(&format!("< {off}")), "{}", shown.stdout);
    assert!(shown.stderr.contains("runner mail login") && shown.stderr.contains("December 2026"), "{}", shown.stderr);
    assert!(shown.stderr.contains("would be kept until this is mended"), "{}", shown.stderr);

    let shown = mail_test(&server, &[], &[("MAIL_CA_FILE", "")]).expect(1);
    assert!(shown.stderr.contains("NOT TO BE TRUSTED") && shown.stderr.contains("MAIL_CA_FILE"), "{}", shown.stderr);
    assert!(shown.stderr.contains("tried again later"), "{}", shown.stderr);
    assert!(server.received().is_empty());
}

#[test]
fn it_names_what_is_not_set_and_what_is_wrong() {
    let test = Test::new();
    let _project = test.project("reports").script("a.py", "");
    let shown = test.runner(["mail", "test", "reports"]).expect(2);
    assert!(shown.stderr.contains("MissingEnvironmentVariable: LOGIN_MAIL and PASSWORD_MAIL"), "{}", shown.stderr);
    test.runner(["mail", "test", "reports", "--to", "nobody"]).expect(2);
    test.runner(["mail", "test", "no-such-folder"]).expect(2);
}

//! Many letters and one server: what is sent over which connection, and as whom.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use project_runner::mail::{DeliveryFailure, NextStep, SmtpCourier, Stage};

use crate::harness::{under_wine, wait_for};
use crate::letters::{Drawer, PATIENT, courier, letter, letter_to, send, send_within, settings, with_token};
use crate::smtp_server::{Fault, Options, PASSWORD, SmtpServer, Step};

fn subjects(server: &SmtpServer) -> Vec<String> {
    let subject = |data: Vec<u8>| {
        let text = String::from_utf8(data).unwrap();
        text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned()
    };
    server.received().into_iter().map(|mail| subject(mail.data)).collect()
}

fn send_all(courier: &mut SmtpCourier, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|index| format!("letter {index}")).collect();
    for name in &names {
        send(courier, &letter(name)).0.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    names
}

#[test]
fn a_hundred_letters_take_one_connection() {
    let server = SmtpServer::start(Options::default());
    let mut courier = courier(settings(&server));
    assert_eq!(send_all(&mut courier, 100), subjects(&server));
    assert_eq!(server.connections(), 1);
    assert_eq!(server.said().iter().filter(|line| line.starts_with("TLS AUTH")).count(), 1);
}

/// The server refuses a second MAIL until the first was taken back.
#[test]
fn after_a_refusal_the_next_letter_goes_over_the_same_connection() {
    for (step, said) in [
        (Step::Mail, "550 5.1.8 Bad sender"),
        (Step::Rcpt, "550 5.1.10 Recipient not found"),
        (Step::Data, "554 5.5.1 No"),
        (Step::Message, "552 5.3.4 Too large"),
    ] {
        let fault = Some((step, Fault::Reply(said)));
        let server = SmtpServer::start(Options { fault, times: Some(1), ..Options::default() });
        let mut courier = courier(settings(&server));
        let error = send(&mut courier, &letter_to("refused", &["ann@example.test"])).0.unwrap_err();
        assert_eq!(error.next_step(), NextStep::Fail, "{error}");
        send(&mut courier, &letter("taken")).0.unwrap();
        assert_eq!((subjects(&server), server.connections()), (vec!["taken".to_owned()], 1), "{step:?}");
    }
}

#[test]
fn a_connection_that_was_closed_between_two_letters_costs_nothing() {
    let server = SmtpServer::start(Options::default());
    let mut courier = courier(settings(&server));
    send(&mut courier, &letter("one")).0.unwrap();
    server.hang_up();
    let (result, handed) = send(&mut courier, &letter("two"));
    result.unwrap();
    assert_eq!((subjects(&server), server.connections(), handed), (vec!["one".into(), "two".into()], 2, 1));
}

#[test]
fn a_server_that_wants_few_letters_a_connection_gets_them_so() {
    for reply in ["421 4.4.2 Too many messages on this connection", "432 4.3.2 Enough on this one"] {
        let server = SmtpServer::start(Options { enough: Some((3, reply)), ..Options::default() });
        let mut courier = courier(settings(&server));
        assert_eq!(send_all(&mut courier, 10), subjects(&server));
        assert_eq!(server.connections(), 4, "{reply}");
        let asked = server.said().iter().filter(|line| line.starts_with("TLS MAIL")).count();
        assert_eq!(asked, 11, "the limit is asked for once: {reply}");
    }
}

/// A duplicate beats a loss, but only whoever keeps the letter may decide that.
#[test]
fn a_letter_in_doubt_is_not_sent_again_by_the_courier() {
    for over_a_used_connection in [false, true] {
        let (fault, refused) = (Some((Step::Stored, Fault::Drop)), vec![("nobody@example.test", "550 5.1.10 Unknown")]);
        let server = SmtpServer::start(Options { fault, times: Some(1), refused, ..Options::default() });
        let mut courier = courier(settings(&server));
        if over_a_used_connection {
            send(&mut courier, &letter_to("refused", &["nobody@example.test"])).0.unwrap_err();
        }
        let (result, handed) = send(&mut courier, &letter("doubtful"));
        assert!(result.unwrap_err().is_in_doubt());
        assert_eq!((subjects(&server), server.connections(), handed), (vec!["doubtful".to_owned()], 1, 1));
        send(&mut courier, &letter("next")).0.unwrap();
        assert_eq!((subjects(&server).pop().as_deref(), server.connections()), (Some("next"), 2));
    }
}

#[test]
fn after_a_delivery_that_was_too_late_the_next_one_gets_another_connection() {
    let fault = Some((Step::Mail, Fault::Stall));
    let server = SmtpServer::start(Options { fault, times: Some(1), ..Options::default() });
    let mut courier = courier(settings(&server));
    // Wine takes seconds before anything is said to a server.
    let deadline = Duration::from_secs(if under_wine() { 15 } else { 3 });
    let error = send_within(&mut courier, &letter("late"), deadline).0.unwrap_err();
    assert_eq!(error.failure, DeliveryFailure::Deadline, "{error}");
    send(&mut courier, &letter("in time")).0.unwrap();
    assert_eq!((subjects(&server), server.connections()), (vec!["in time".to_owned()], 2));
    wait_for("the end of the first connection", || (server.ended() >= 1).then_some(()));
}

#[test]
fn a_token_signs_in() {
    let server = SmtpServer::start(Options { tokens: &["good"], ..Options::default() });
    let drawer = Drawer::of("good", "other");
    let mut courier = SmtpCourier::new(with_token(&server), drawer.clone());
    send_all(&mut courier, 3);
    assert_eq!((drawer.asked(), server.connections()), (vec![false], 1));
}

#[test]
fn a_token_that_is_refused_is_renewed_once() {
    for challenge in [false, true] {
        let options = || Options { tokens: &["good"], challenge, ..Options::default() };
        let server = SmtpServer::start(options());
        let drawer = Drawer::of("withdrawn", "good");
        send(&mut SmtpCourier::new(with_token(&server), drawer.clone()), &letter("renewed")).0.unwrap();
        assert_eq!((drawer.asked(), server.received().len()), (vec![false, true], 1));

        let server = SmtpServer::start(options());
        let drawer = Drawer::of("withdrawn", "withdrawn too");
        let error = send(&mut SmtpCourier::new(with_token(&server), drawer.clone()), &letter("held")).0.unwrap_err();
        assert_eq!((error.failure, error.next_step()), (DeliveryFailure::TokenNotAccepted, NextStep::Hold), "{error}");
        assert!(error.to_string().contains("535 5.7.3") && !error.to_string().contains("withdrawn"), "{error}");
        assert_eq!((drawer.asked(), server.connections()), (vec![false, true], 2));
    }
}

#[test]
fn without_a_token_nothing_is_connected() {
    let server = SmtpServer::start(Options::default());
    let error = send(&mut SmtpCourier::new(with_token(&server), Drawer::empty()), &letter("x")).0.unwrap_err();
    assert_eq!((error.failure, error.stage), (DeliveryFailure::NotSignedIn, Stage::Token));
    assert_eq!(server.connections(), 0);

    let basic = SmtpServer::start(Options { mechanisms: "PLAIN LOGIN", ..Options::default() });
    let drawer = Drawer::of("good", "good");
    let error = send(&mut SmtpCourier::new(with_token(&basic), drawer), &letter("x")).0.unwrap_err();
    assert_eq!((error.failure, error.next_step()), (DeliveryFailure::TokenNotAccepted, NextStep::Hold));
    assert!(error.sentence.contains("XOAUTH2") && !basic.said().iter().any(|line| line.contains("AUTH")), "{error}");
}

/// As for `runner mail test`, which shows it.
#[test]
fn a_transcript_tells_each_step_and_no_secret() {
    let encoded = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let server = SmtpServer::start(Options { tokens: &["good"], challenge: true, ..Options::default() });
    for settings in [settings(&server), with_token(&server)] {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let transcript = Arc::new(move |line: &str| heard.lock().unwrap().push(line.to_owned()));
        let mut courier = SmtpCourier::new(settings, Drawer::of("withdrawn", "good")).observed_by(transcript);
        send_within(&mut courier, &letter("shown"), PATIENT).0.unwrap();
        drop(courier);
        let lines = lines.lock().unwrap().join("\n");
        for step in [
            "* connecting to 127.0.0.1",
            "> STARTTLS",
            "> AUTH",
            "< 235 ",
            "> MAIL FROM:<runs@",
            "< 250 2.0.0 OK <",
            "> QUIT",
        ] {
            assert!(lines.contains(step), "{step}: {lines}");
        }
        for secret in [PASSWORD, &encoded(PASSWORD), "withdrawn", "good", "Bearer", &encoded("user=runs")[..10]] {
            assert!(!lines.contains(secret), "{secret}: {lines}");
        }
    }
}

//! Web addresses that are told how runs go, as a real server hears them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use project_runner::mail::{Accepted, Deadline, DeliveryError, DeliveryFailure, Stage, WebRequest, WebSlot, call};
use project_runner::model::{EmailStrategy, MailOptions, Pings, Webhook};

use crate::web_server::{Answer, WebServer};

/// Long enough for a busy machine.
const PATIENT: Duration = Duration::from_secs(20);
const OK: Answer = Answer::Reply(200, "", "OK\n");

/// A request to this address, with these variables.
fn request(slot: WebSlot, url: &str, body: &str, variables: &[(&str, &str)]) -> WebRequest {
    let pings = Pings { start: Some(url.to_owned()), success: Some(url.to_owned()), failure: Some(url.to_owned()) };
    let webhook = Webhook { url: url.to_owned(), when: EmailStrategy::All, body: None };
    let options = MailOptions { pings, webhook: Some(webhook), ..MailOptions::default() };
    let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    WebRequest::of(&options, slot, body.to_owned(), &BTreeMap::new(), &env).unwrap().unwrap()
}

fn ping(server: &WebServer) -> Result<Accepted, DeliveryError> {
    call(&request(WebSlot::Success, &server.url("/ping/s3cret-id"), "all well é\n", &[]), &Deadline::after(PATIENT))
}

fn post(server: &WebServer) -> Result<Accepted, DeliveryError> {
    let request = request(WebSlot::Webhook, &server.url("/hooks/s3cret-id"), r#"{"text":"x"}"#, &[]);
    call(&request, &Deadline::after(PATIENT))
}

#[test]
fn pings_and_webhooks_are_posted() {
    let server = WebServer::start(&[OK]);
    let accepted = ping(&server).unwrap();
    assert_eq!((accepted.reply.as_str(), accepted.refused.len(), accepted.message_id), ("200 OK", 0, None));
    post(&server).unwrap();
    let requests = server.requests();
    let lines: Vec<(&str, &str, &str)> =
        requests.iter().map(|asked| (asked.method.as_str(), asked.path.as_str(), asked.body.as_str())).collect();
    assert_eq!(lines, [("POST", "/ping/s3cret-id", "all well é\n"), ("POST", "/hooks/s3cret-id", r#"{"text":"x"}"#)]);
    for (asked, media_type) in requests.iter().zip(["text/plain; charset=utf-8", "application/json"]) {
        let head = asked.head.join("\n").to_ascii_lowercase();
        assert!(head.contains(&format!("content-type: {media_type}")), "{head}");
        assert!(head.contains("user-agent: project-runner/"), "{head}");
    }
}

#[test]
fn a_watchdog_that_takes_no_post_is_looked_at() {
    for status in [404, 405] {
        let server = WebServer::start(&[Answer::Reply(status, "", "Cannot POST"), OK]);
        ping(&server).unwrap();
        let methods: Vec<String> = server.requests().into_iter().map(|asked| asked.method).collect();
        assert_eq!(methods, ["POST", "GET"]);
    }
    let server = WebServer::start(&[Answer::Reply(405, "", ""), OK]);
    assert_eq!(post(&server).unwrap_err().failure, DeliveryFailure::Permanent, "a webhook needs its body");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn each_answer_says_whether_to_try_again() {
    use DeliveryFailure::{Permanent, Temporary};
    for (answer, failure, words) in [
        (Answer::Reply(500, "", "oops"), Temporary, "has trouble; it is tried again later"),
        (Answer::Reply(503, "", ""), Temporary, "has trouble"),
        (Answer::Reply(429, "Retry-After: 90\r\n", ""), Temporary, "asks to be left alone for 90 s"),
        (Answer::Reply(408, "", ""), Temporary, "asks to be left alone; it is tried"),
        (Answer::Reply(410, "", "gone"), Permanent, "there is nothing at the address"),
        (Answer::Reply(404, "", "no /hooks/s3cret-id here"), Permanent, "there is nothing at the address"),
        (Answer::Reply(403, "", ""), Permanent, "doesn't allow the call"),
        (Answer::Reply(400, "", "invalid_payload"), Permanent, "each chat wants a form of its own"),
        (Answer::Reply(302, "Location: /sign-in\r\n", ""), Permanent, "sends callers elsewhere"),
    ] {
        let server = WebServer::start(&[answer]);
        let error = post(&server).unwrap_err();
        assert_eq!((error.failure, error.stage), (failure, Stage::Message), "{answer:?}: {error}");
        assert!(error.sentence.contains(words), "{answer:?}: {error}");
        let told = error.to_string();
        assert!(told.contains(&format!("http://127.0.0.1:{}/…", server.port)) && !told.contains("s3cret"), "{told}");
        let Answer::Reply(status, ..) = answer else { continue };
        assert!(error.reply.unwrap().starts_with(&status.to_string()));
    }
}

#[test]
fn a_ping_follows_a_few_redirects() {
    let moved = Answer::Reply(302, "Location: /elsewhere\r\n", "");
    let server = WebServer::start(&[moved, OK]);
    ping(&server).unwrap();
    assert_eq!(server.requests()[1].path, "/elsewhere");
    let server = WebServer::start(&[moved]);
    assert_eq!(ping(&server).unwrap_err().failure, DeliveryFailure::Permanent);
    assert!(server.requests().len() <= 5, "{}", server.requests().len());
}

#[test]
fn trouble_with_the_connection_is_told_apart() {
    let server = WebServer::start(&[Answer::Drop]);
    let error = ping(&server).unwrap_err();
    assert_eq!((error.failure, error.stage), (DeliveryFailure::ConnectionLost, Stage::Message), "{error}");
    let server = WebServer::start(&[Answer::Garbage]);
    assert_eq!(ping(&server).unwrap_err().failure, DeliveryFailure::ConnectionLost);

    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let request = request(WebSlot::Start, &format!("http://127.0.0.1:{free}/s3cret-id"), "", &[]);
    let error = call(&request, &Deadline::after(PATIENT)).unwrap_err();
    assert_eq!((error.failure, error.stage), (DeliveryFailure::Unreachable, Stage::Connect), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[test]
fn a_server_that_never_answers_holds_nobody_up() {
    let of = |server: &WebServer| request(WebSlot::Failure, &server.url("/x"), "", &[]);
    let server = WebServer::start(&[Answer::Stall]);
    let begun = Instant::now();
    let error = call(&of(&server), &Deadline::after(Duration::from_millis(400))).unwrap_err();
    assert!(begun.elapsed() < PATIENT, "{:?}", begun.elapsed());
    assert_eq!(error.failure, DeliveryFailure::Deadline);
    // Its status has come, and that is the answer, whatever follows.
    let server = WebServer::start(&[Answer::Endless]);
    let begun = Instant::now();
    let accepted = call(&of(&server), &Deadline::after(PATIENT)).unwrap();
    assert!(begun.elapsed() < PATIENT, "{:?}", begun.elapsed());
    assert_eq!(accepted.reply.split(' ').next(), Some("200"));
    // A deadline that is brought forward meanwhile holds.
    let server = WebServer::start(&[Answer::Stall]);
    let deadline = Deadline::after(Duration::from_secs(3600));
    let own = deadline.clone();
    let request = request(WebSlot::Webhook, &server.url("/x"), "{}", &[]);
    let caller = std::thread::spawn(move || call(&request, &own));
    crate::harness::wait_for("the call", || (!server.requests().is_empty()).then_some(()));
    let begun = Instant::now();
    deadline.bring_forward(Duration::ZERO);
    assert_eq!(caller.join().unwrap().unwrap_err().failure, DeliveryFailure::Deadline);
    // Without it the call would go on for its own 20 seconds.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn certificates_are_verified() {
    let server = WebServer::start_tls("127.0.0.1", &[OK]);
    let error = ping(&server).unwrap_err();
    assert_eq!((error.failure, error.stage), (DeliveryFailure::Certificate, Stage::StartTls), "{error}");
    assert!(error.sentence.contains("IS NOT TO BE TRUSTED") && error.sentence.contains("MAIL_CA_FILE"), "{error}");
    assert!(server.requests().is_empty());

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &server.ca).unwrap();
    let ca = [("MAIL_CA_FILE", file.to_str().unwrap())];
    let trusting =
        |server: &WebServer| call(&request(WebSlot::Success, &server.url("/x"), "b", &ca), &Deadline::after(PATIENT));
    assert_eq!(trusting(&server).unwrap().reply, "200 OK");

    // One that is issued for another, by somebody who is trusted.
    let other = WebServer::start_tls("other.example", &[OK]);
    std::fs::write(&file, &other.ca).unwrap();
    assert_eq!(trusting(&other).unwrap_err().failure, DeliveryFailure::Certificate);

    // What is secret in an address isn't sent on in the clear.
    let plain = WebServer::start(&[OK]);
    let location: &'static str = format!("Location: {}\r\n", plain.url("/s3cret")).leak();
    let server = WebServer::start_tls("127.0.0.1", &[Answer::Reply(302, location, "")]);
    std::fs::write(&file, &server.ca).unwrap();
    assert_eq!(trusting(&server).unwrap_err().failure, DeliveryFailure::Permanent);
    assert!(plain.requests().is_empty());
}

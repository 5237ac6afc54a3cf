//! One letter and one server: what works, and what each thing that goes wrong comes to.

use std::time::{Duration, Instant};

use project_runner::mail::{
    Courier, Deadline, DeliveryError, DeliveryFailure, MailSettings, MailTls, NextStep, SignIn, Stage,
};

use crate::harness::{under_wine, wait_for};
use crate::letters::{EVERYBODY, PATIENT, courier, letter, send, send_within, settings};
use crate::smtp_server::{Fault, LOGIN, Options, PASSWORD, SmtpServer, Step, Tls};

fn failure(settings: MailSettings) -> (DeliveryError, usize) {
    let (result, handed) = send(&mut courier(settings), &letter("lost"));
    (result.unwrap_err(), handed)
}

fn with_fault(step: Step, fault: Fault) -> SmtpServer {
    SmtpServer::start(Options { fault: Some((step, fault)), ..Options::default() })
}

#[test]
fn a_letter_goes_out_under_starttls_with_a_login() {
    let server = SmtpServer::start(Options::default());
    let letter = letter("plain");
    let (result, handed) = send(&mut courier(settings(&server)), &letter);
    let accepted = result.unwrap();
    assert!(accepted.reply.starts_with("250 2.0.0 OK <AM0PR01MB1234@test.example.test>"), "{accepted:?}");
    assert_eq!(accepted.message_id.as_deref(), Some("<AM0PR01MB1234@test.example.test>"));
    assert_eq!((accepted.refused, handed), (vec![], 1));
    let [mail] = server.received().try_into().unwrap();
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), (LOGIN, EVERYBODY.map(str::to_owned).as_slice()));
    assert_eq!(mail.login.as_deref(), Some(LOGIN));
    assert_eq!(String::from_utf8(mail.data), String::from_utf8(letter.bytes), "what was sent is what arrives");
    let in_the_clear: Vec<String> = server.said().into_iter().filter(|line| !line.starts_with("TLS ")).collect();
    assert!(in_the_clear.iter().all(|line| line.starts_with("EHLO ") || line == "STARTTLS"), "{in_the_clear:?}");
    wait_for("the farewell", || server.said().last().filter(|line| *line == "TLS QUIT").cloned());
}

#[test]
fn other_ways_to_connect_and_sign_in_work_too() {
    for (tls, of_server, mechanisms) in [
        (MailTls::StartTls, Tls::Upgraded, "PLAIN"),
        (MailTls::StartTls, Tls::Upgraded, "XOAUTH2 PLAIN LOGIN"),
        (MailTls::Implicit, Tls::Implicit, "LOGIN XOAUTH2"),
        (MailTls::None, Tls::Never, "LOGIN"),
    ] {
        let server = SmtpServer::start(Options { tls: of_server, mechanisms, ..Options::default() });
        let (result, _) = send(&mut courier(MailSettings { tls, ..settings(&server) }), &letter("other"));
        result.unwrap_or_else(|error| panic!("{tls:?} {mechanisms}: {error}"));
        assert_eq!(server.received().len(), 1);
    }
}

#[test]
fn a_refusal_at_any_step_is_explained_and_leads_to_the_right_step() {
    use DeliveryFailure::*;
    use NextStep::{Fail, Hold, Pause, Retry};
    let no_basic = "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.";
    let no_submission = "550 5.7.30 Basic authentication is not supported for Client Submission.";
    let send_as = "554 5.2.252 SendAsDenied; runs@example.test not allowed to send as x";
    let quota = "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException";
    let logon = "430 4.2.0 STOREDRV.Submission.Exception:MapiExceptionLogonFailed";
    let cases = [
        (Step::Connect, "421 4.3.2 Service not available", Temporary, Retry, "later"),
        (Step::Connect, "554 5.7.1 Your address is on a list", Permanent, Hold, "5.7.1"),
        (Step::Ehlo, "501 5.5.4 Invalid domain name", Permanent, Hold, "5.5.4"),
        (Step::StartTls, "454 4.7.0 TLS not available", Temporary, Retry, "agreeing on encryption"),
        (Step::Auth, no_basic, BasicAuthenticationOff, Hold, "no longer accepts passwords"),
        (Step::Auth, no_submission, BasicAuthenticationOff, Hold, "runner mail login"),
        (Step::Password, "535 5.7.3 Authentication unsuccessful", WrongCredentials, Hold, "PASSWORD_MAIL"),
        (Step::Password, "454 4.7.0 Temporary authentication failure", Temporary, Retry, "signing in"),
        (Step::Mail, "432 4.3.2 Concurrent connections limit exceeded.", Temporary, Retry, "later"),
        (
            Step::Mail,
            "550 5.7.60 Client does not have permissions to send as this sender",
            SenderRefused,
            Hold,
            "MAIL_FROM",
        ),
        (Step::Rcpt, "421 4.4.2 Connection timed out", Temporary, Retry, "4.4.2"),
        (Step::Data, "554 5.6.0 Corrupt message content", Permanent, Fail, "5.6.0"),
        (Step::Message, send_as, SenderRefused, Hold, "MAIL_FROM"),
        (Step::Message, quota, QuotaExceeded, Pause, "10,000 recipients"),
        (Step::Message, logon, Temporary, Retry, "permission"),
        (Step::Message, "552 5.3.4 Message size exceeds fixed limit", TooLarge, Fail, "attach_output"),
        (Step::Mail, "550 5.4.5 Daily user sending limit exceeded.", QuotaExceeded, Pause, "sent too much"),
        (
            Step::Rcpt,
            "550 5.1.90 You've reached your daily limit for message recipients",
            QuotaExceeded,
            Pause,
            "5.1.90",
        ),
    ];
    for (step, said, kind, next, remedy) in cases {
        let server = with_fault(step, Fault::Reply(said));
        let (error, handed) = failure(settings(&server));
        assert_eq!((error.failure, error.next_step()), (kind, next), "{step:?} {said}");
        assert_eq!((handed, error.is_in_doubt()), (usize::from(step == Step::Message), false), "{step:?} {said}");
        let text = error.to_string();
        assert!(text.contains(said) && text.contains(remedy) && !text.contains(PASSWORD), "{text}");
        assert!(server.received().is_empty());
    }
}

#[test]
fn what_the_server_says_is_too_large_is_not_even_begun() {
    let mut large = letter("large");
    large.bytes.extend(b"as long as a line of a mail may well be, and longer than this one\r\n".repeat(20_000));
    let server = SmtpServer::start(Options { size: 1_000_000, ..Options::default() });
    let mut courier = courier(settings(&server));
    let (result, handed) = send(&mut courier, &large);
    let error = result.unwrap_err();
    assert_eq!((error.failure, error.next_step(), handed), (DeliveryFailure::TooLarge, NextStep::Fail, 0), "{error}");
    assert!(error.to_string().contains("976.6 KiB at most") && error.to_string().contains("attach_output"), "{error}");
    assert!(!server.said().iter().any(|line| line.contains("MAIL FROM")), "{:?}", server.said());
    send(&mut courier, &letter("small")).0.unwrap();

    let server = SmtpServer::start(Options::default());
    send(&mut crate::letters::courier(settings(&server)), &large).0.unwrap();
    assert_eq!(server.received()[0].data.len(), large.bytes.len());
}

const STEPS: [(Step, Stage); 11] = [
    (Step::Connect, Stage::Connect),
    (Step::Ehlo, Stage::Connect),
    (Step::StartTls, Stage::StartTls),
    (Step::Handshake, Stage::StartTls),
    (Step::Auth, Stage::SignIn),
    (Step::Password, Stage::SignIn),
    (Step::Mail, Stage::Sender),
    (Step::Rcpt, Stage::Recipients),
    (Step::Data, Stage::Data),
    (Step::Message, Stage::Message),
    (Step::Stored, Stage::Message),
];

#[track_caller]
fn is_in_doubt_from_the_message_on(error: &DeliveryError, handed: usize) {
    let begun = error.stage == Stage::Message;
    assert_eq!((error.is_in_doubt(), handed), (begun, usize::from(begun)), "{error}");
    assert_eq!(error.to_string().contains("nobody knows"), begun, "{error}");
    assert_eq!(error.next_step(), NextStep::Retry, "{error}");
}

#[test]
fn a_connection_that_breaks_at_any_step_is_an_error_at_once() {
    for (step, stage) in STEPS {
        for fault in [Fault::Drop, Fault::Endless] {
            let server = with_fault(step, fault);
            let begun = Instant::now();
            let (result, handed) = send_within(&mut courier(settings(&server)), &letter("broken"), 2 * PATIENT);
            let error = result.unwrap_err();
            assert!(begun.elapsed() < PATIENT, "{step:?} {fault:?} took {:?}", begun.elapsed());
            assert_ne!(error.failure, DeliveryFailure::Deadline, "{step:?}: {error}");
            assert_eq!(error.stage, stage, "{step:?}: {error}");
            is_in_doubt_from_the_message_on(&error, handed);
        }
    }
}

#[test]
fn a_server_that_stalls_or_trickles_delays_a_run_by_the_deadline_and_no_more() {
    // Wine takes seconds to list the system's certificates, which has to be done before anything is said to a server.
    let deadline = Duration::from_secs(if under_wine() { 15 } else { 3 });
    for fault in [Fault::Stall, Fault::Trickle] {
        std::thread::scope(|scope| {
            for (step, stage) in STEPS {
                scope.spawn(move || {
                    let server = with_fault(step, fault);
                    let begun = Instant::now();
                    let mut courier = courier(settings(&server));
                    let (result, handed) = send_within(&mut courier, &letter("late"), deadline);
                    let (took, error) = (begun.elapsed(), result.unwrap_err());
                    assert!(took < deadline * 2, "{step:?} took {took:?}");
                    if (step, fault) == (Step::Handshake, Fault::Trickle) {
                        // What isn't TLS is found out at once.
                        return;
                    }
                    assert_eq!((error.failure, error.stage), (DeliveryFailure::Deadline, stage), "{step:?}: {error}");
                    assert!(error.sentence.contains(&format!("within {} s", deadline.as_secs())), "{error}");
                    is_in_doubt_from_the_message_on(&error, handed);
                });
            }
        });
    }
}

#[test]
fn a_deadline_that_is_brought_forward_meanwhile_holds() {
    let server = with_fault(Step::Mail, Fault::Stall);
    let deadline = Deadline::after(PATIENT);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for("the sender's name", || server.said().iter().any(|line| line.contains("MAIL FROM")).then_some(()));
            deadline.bring_forward(Duration::from_millis(100));
        });
        let error = courier(settings(&server)).send(&letter("urgent"), &deadline, &mut || ()).unwrap_err();
        assert_eq!((error.failure, error.stage), (DeliveryFailure::Deadline, Stage::Sender), "{error}");
    });
    assert!(begun.elapsed() < PATIENT / 2, "{:?}", begun.elapsed());
}

#[test]
fn a_delivery_that_was_given_up_sends_nothing_more() {
    for step in [Step::Mail, Step::Data] {
        let server = with_fault(step, Fault::Late);
        let deadline = Deadline::after(PATIENT);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let command = if step == Step::Mail { "TLS MAIL" } else { "TLS DATA" };
                wait_for("the step", || server.said().iter().any(|line| line.starts_with(command)).then_some(()));
                deadline.bring_forward(Duration::ZERO);
            });
            let mut handed = 0;
            let error =
                courier(settings(&server)).send(&letter("given up"), &deadline, &mut || handed += 1).unwrap_err();
            assert_eq!((error.is_in_doubt(), handed), (false, 0), "{error}");
        });
        wait_for("the end of the conversation", || (server.ended() == 1).then_some(()));
        assert!(server.received().is_empty());
        let last = server.said().pop().unwrap();
        assert!(last.starts_with("TLS MAIL") || last == "TLS DATA" || last == "TLS QUIT", "{last}");
    }
}

#[test]
fn one_refused_recipient_costs_nobody_else_the_mail() {
    let refused = vec![
        ("bob@example.test", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found"),
        ("cho@example.test", "450 4.2.1 Mailbox busy"),
    ];
    let server = SmtpServer::start(Options { refused, ..Options::default() });
    let accepted = send(&mut courier(settings(&server)), &letter("most")).0.unwrap();
    assert_eq!(server.received()[0].to, ["ann@example.test"]);
    let [bob, cho] = accepted.refused.try_into().unwrap();
    assert!(bob.to_string().starts_with("bob@example.test (550 5.1.10") && !bob.is_temporary(), "{bob}");
    assert!(cho.to_string().starts_with("cho@example.test (450 4.2.1") && cho.is_temporary(), "{cho}");
}

#[test]
fn when_every_recipient_is_refused_nobody_gets_it() {
    for (reply, next) in [("550 5.7.1 Unable to relay", NextStep::Fail), ("451 4.3.0 Try again", NextStep::Retry)] {
        let refused = EVERYBODY.map(|one| (one, reply)).to_vec();
        let server = SmtpServer::start(Options { refused, ..Options::default() });
        let (error, handed) = failure(settings(&server));
        assert_eq!((error.failure, error.next_step(), handed), (DeliveryFailure::RecipientsRefused, next, 0));
        let text = error.to_string();
        assert!(text.contains(reply) && text.contains("cho@example.test"), "{text}");
        assert!(server.received().is_empty());
    }
}

#[test]
fn a_certificate_that_is_not_to_be_trusted_is_refused_loudly() {
    let other = SmtpServer::start(Options::default());
    for (tls, of_client) in [(Tls::Upgraded, MailTls::StartTls), (Tls::Implicit, MailTls::Implicit)] {
        let server = SmtpServer::start(Options { tls, ..Options::default() });
        let misnamed = SmtpServer::start(Options { tls, name: "mail.example.test", ..Options::default() });
        for settings in [
            MailSettings { ca: None, tls: of_client, ..settings(&server) },
            MailSettings { ca: Some(other.ca.clone().into_bytes()), tls: of_client, ..settings(&server) },
            MailSettings { tls: of_client, ..settings(&misnamed) },
        ] {
            let (error, _) = failure(settings);
            assert_eq!((error.failure, error.next_step()), (DeliveryFailure::Certificate, NextStep::Retry), "{error}");
            let text = error.to_string();
            assert!(text.contains("NOT TO BE TRUSTED") && text.contains("MAIL_CA_FILE"), "{text}");
        }
        for server in [server, misnamed] {
            assert!(!server.said().iter().any(|line| line.contains("AUTH")), "{:?}", server.said());
        }
    }
}

#[test]
fn nothing_is_said_in_the_clear_when_encryption_fails() {
    let plain = SmtpServer::start(Options { tls: Tls::Never, ..Options::default() });
    let (error, _) = failure(settings(&plain));
    assert_eq!(error.failure, DeliveryFailure::Tls, "{error}");
    assert!(!plain.said().iter().any(|line| line.contains("AUTH")), "{:?}", plain.said());
    let plain = SmtpServer::start(Options::default());
    let (error, _) = failure(MailSettings { tls: MailTls::Implicit, ..settings(&plain) });
    assert_eq!(error.failure, DeliveryFailure::Tls, "{error}");
    assert!(error.sentence.contains("MAIL_TLS=starttls"), "{error}");
}

#[test]
fn servers_that_can_not_be_used_are_told_apart() {
    let modern = SmtpServer::start(Options { mechanisms: "XOAUTH2", ..Options::default() });
    let (error, _) = failure(settings(&modern));
    assert_eq!((error.failure, error.next_step()), (DeliveryFailure::NoPasswordSignIn, NextStep::Hold), "{error}");
    assert!(error.sentence.contains("runner mail login"), "{error}");
    let server = SmtpServer::start(Options::default());
    let (error, _) = failure(MailSettings { sign_in: SignIn::Password("guess".into()), ..settings(&server) });
    assert_eq!(error.failure, DeliveryFailure::WrongCredentials, "{error}");

    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let (error, _) = failure(MailSettings { port: gone, ..settings(&server) });
    assert_eq!(error.failure, DeliveryFailure::Unreachable, "{error}");
    assert!(error.sentence.contains("MAIL_PORT"), "{error}");
    let (error, _) = failure(MailSettings { host: "no..such.host".into(), ..settings(&server) });
    assert_eq!(error.failure, DeliveryFailure::NoSuchHost, "{error}");
}

//! The mail, as it leaves for a server or a folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use chrono::DateTime;
use mail_parser::{MessageParser, MimeHeaders};
use project_runner::mail::{
    Addressing, Delivery, DeliveryFailure, KEPT_MAIL, MailMode, MailSettings, MailTls, RenderContext, SignIn,
    SmtpTransport, Stage, Transport, deliver, finish, render,
};
use project_runner::model::{
    EmailStrategy, MailOptions, MailState, Outcome, OutputSummary, RunId, RunReport, RunStatus, ScriptReport, Usage,
};

use crate::harness::under_wine;
use crate::smtp_server::{Fault, LOGIN, Options, PASSWORD, SmtpServer, Step, Tls};

/// Long enough for a busy machine.
const PATIENT: Duration = Duration::from_secs(20);
const EVERYBODY: [&str; 3] = ["ann@example.test", "bob@example.test", "cho@example.test"];

fn script(index: usize, name: &str, outcome: Outcome, traceback: Option<&str>) -> ScriptReport {
    ScriptReport {
        index,
        name: name.to_owned(),
        script: name.to_owned(),
        started: None,
        duration_us: 1_500_000,
        attempts: 1,
        outcome: Some(outcome),
        usage: Usage::default(),
        output: OutputSummary::default(),
        traceback: traceback.map(str::to_owned),
        last_lines: None,
        leaked: Vec::new(),
        earlier: Vec::new(),
        retry_pending: false,
        usual: None,
    }
}

/// A run of two scripts, one of which failed. The folder is the run's.
fn report(folder: &Path) -> RunReport {
    let started = DateTime::from_timestamp(1_732_697_518, 954_000_000).unwrap();
    RunReport {
        run_id: RunId::parse("39be3d37aed64").unwrap(),
        project: "P2".to_owned(),
        project_dir: folder.to_owned(),
        profile: None,
        host: "LAPTOP-BS85JNP7".to_owned(),
        pid: 4242,
        process: None,
        version: "0.1.0".to_owned(),
        parent: None,
        planned: None,
        started,
        finished: Some(started),
        duration_us: 3_000_000,
        status: RunStatus::Failure,
        scripts: vec![
            script(0, "main.py", Outcome::Success { code: 0 }, None),
            script(1, "load.py", Outcome::ExitCode { code: 3 }, Some(".\n..\n. dots\nValueError: größer\n")),
        ],
        files: Vec::new(),
        mail: None,
        warnings: Vec::new(),
        log_file: folder.join("p2.log"),
        run_dir: folder.join("run"),
    }
}

fn settings(server: &SmtpServer) -> MailSettings {
    MailSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port,
        tls: MailTls::StartTls,
        login: LOGIN.to_owned(),
        sign_in: SignIn::Password(PASSWORD.into()),
        from: LOGIN.parse().unwrap(),
        ca: Some(server.ca.clone().into_bytes()),
        authority: String::new(),
        rate: None,
    }
}

fn send_to(report: &RunReport, settings: MailSettings, recipients: &[&str]) -> MailState {
    let recipients: Vec<String> = recipients.iter().map(|one| (*one).to_owned()).collect();
    deliver(
        report,
        &Delivery {
            strategy: EmailStrategy::All,
            from: None,
            recipients: &recipients,
            mode: &MailMode::Smtp(Box::new(settings)),
            context: &RenderContext::default(),
            deadline: PATIENT,
        },
    )
}

/// Sends by the transport itself, to see what kind of failure it is.
fn failure(settings: MailSettings, deadline: Duration) -> (DeliveryFailure, Stage, String) {
    let folder = tempfile::tempdir().unwrap();
    let report = report(folder.path());
    let rendered = render(&report, EmailStrategy::All, &RenderContext::default());
    let recipients = EVERYBODY.map(str::to_owned);
    let options = MailOptions::default();
    let addressing =
        Addressing { from: &settings.from, recipients: &recipients, options: &options, conversation: None };
    let message = finish(&report, &rendered, &addressing, &[], std::time::SystemTime::now()).unwrap();
    let error = SmtpTransport::new(settings).send(&message, deadline).unwrap_err();
    (error.failure, error.stage, error.to_string())
}

#[track_caller]
fn reply(state: &MailState) -> &str {
    match state {
        MailState::Sent { reply } => reply,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_mail_goes_out_under_starttls_with_a_login() {
    let folder = tempfile::tempdir().unwrap();
    let report = report(folder.path());
    let server = SmtpServer::start(Options::default());
    let state = send_to(&report, settings(&server), &EVERYBODY);
    assert!(reply(&state).starts_with("250 2.0.0 OK <AM0PR01MB1234@test.example.test>"), "{state:?}");
    let [mail] = server.received().try_into().unwrap();
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), (LOGIN, EVERYBODY.map(str::to_owned).as_slice()));
    assert_eq!(mail.login.as_deref(), Some(LOGIN));
    let kept = std::fs::read(report.run_dir.join(KEPT_MAIL)).unwrap();
    assert_eq!(String::from_utf8(kept), String::from_utf8(mail.data), "what is kept is what was sent");
    let in_the_clear: Vec<String> = server.said().into_iter().filter(|line| !line.starts_with("TLS ")).collect();
    assert!(in_the_clear.iter().all(|line| line.starts_with("EHLO ") || line == "STARTTLS"), "{in_the_clear:?}");
}

#[test]
fn other_ways_to_connect_and_sign_in_work_too() {
    for (tls, of_server, mechanisms) in [
        (MailTls::StartTls, Tls::Upgraded, "PLAIN"),
        (MailTls::StartTls, Tls::Upgraded, "XOAUTH2 PLAIN LOGIN"),
        (MailTls::Implicit, Tls::Implicit, "LOGIN XOAUTH2"),
        (MailTls::None, Tls::Never, "LOGIN"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = SmtpServer::start(Options { tls: of_server, mechanisms, ..Options::default() });
        let state = send_to(&report(folder.path()), MailSettings { tls, ..settings(&server) }, &EVERYBODY);
        assert!(reply(&state).starts_with("250 2.0.0 OK"), "{tls:?} {mechanisms}: {state:?}");
        assert_eq!(server.received().len(), 1);
    }
}

#[test]
fn a_refusal_at_any_step_is_explained_and_the_mail_is_kept() {
    use DeliveryFailure::*;
    let cases = [
        (Step::Connect, "421 4.3.2 Service not available", Temporary, "later"),
        (Step::Connect, "554 5.7.1 Your address is on a list", Permanent, "5.7.1"),
        (Step::Ehlo, "501 5.5.4 Invalid domain name", Permanent, "5.5.4"),
        (Step::StartTls, "454 4.7.0 TLS not available", Temporary, "agreeing on encryption"),
        (
            Step::Auth,
            "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
            BasicAuthenticationOff,
            "no longer accepts passwords",
        ),
        (
            Step::Auth,
            "550 5.7.30 Basic authentication is not supported for Client Submission.",
            BasicAuthenticationOff,
            "basic authentication is switched off",
        ),
        (Step::Password, "535 5.7.3 Authentication unsuccessful", WrongCredentials, "PASSWORD_MAIL"),
        (Step::Password, "454 4.7.0 Temporary authentication failure", Temporary, "signing in"),
        (Step::Mail, "432 4.3.2 Concurrent connections limit exceeded.", Temporary, "later"),
        (Step::Rcpt, "421 4.4.2 Connection timed out", Temporary, "4.4.2"),
        (Step::Data, "554 5.6.0 Corrupt message content", Permanent, "5.6.0"),
        (
            Step::Message,
            "554 5.2.252 SendAsDenied; runs@example.test not allowed to send as x",
            SenderRefused,
            "MAIL_FROM",
        ),
        (
            Step::Message,
            "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
            QuotaExceeded,
            "10,000 recipients",
        ),
    ];
    for (step, said, kind, remedy) in cases {
        let server = SmtpServer::start(Options { fault: Some((step, Fault::Reply(said))), ..Options::default() });
        let (failure, _, _) = failure(settings(&server), PATIENT);
        assert_eq!(failure, kind, "{step:?} {said}");
        let folder = tempfile::tempdir().unwrap();
        let report = report(folder.path());
        let MailState::Failed { error } = send_to(&report, settings(&server), &EVERYBODY) else { panic!("{said}") };
        assert!(error.contains(said) && error.contains(remedy) && error.contains(KEPT_MAIL), "{error}");
        assert!(!error.contains(PASSWORD), "{error}");
        assert!(report.run_dir.join(KEPT_MAIL).is_file());
        assert!(server.received().is_empty());
    }
}

const STEPS: [(Step, Stage); 10] = [
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
];

#[test]
fn a_connection_that_breaks_at_any_step_is_an_error_at_once() {
    for (step, stage) in STEPS {
        for fault in [Fault::Drop, Fault::Endless] {
            let server = SmtpServer::start(Options { fault: Some((step, fault)), ..Options::default() });
            let begun = Instant::now();
            let (failure, at, sentence) = failure(settings(&server), Duration::from_secs(60));
            assert!(begun.elapsed() < PATIENT, "{step:?} {fault:?} took {:?}", begun.elapsed());
            assert_ne!(failure, DeliveryFailure::Deadline, "{step:?}: {sentence}");
            assert_eq!(at, stage, "{step:?}: {sentence}");
            assert_eq!(sentence.contains("nobody knows"), step == Step::Message, "{sentence}");
        }
    }
}

#[test]
fn a_server_that_stalls_delays_a_run_by_the_deadline_and_no_more() {
    // Wine takes seconds to list the system's certificates, which has to be done before anything is said to a server.
    let deadline = Duration::from_secs(if under_wine() { 15 } else { 2 });
    std::thread::scope(|scope| {
        for (step, stage) in STEPS {
            scope.spawn(move || {
                let server = SmtpServer::start(Options { fault: Some((step, Fault::Stall)), ..Options::default() });
                let begun = Instant::now();
                let (failure, at, sentence) = failure(settings(&server), deadline);
                let took = begun.elapsed();
                assert!(took < deadline + Duration::from_millis(1500), "{step:?} took {took:?}");
                assert_eq!((failure, at), (DeliveryFailure::Deadline, stage), "{step:?}: {sentence}");
                assert!(sentence.contains(&format!("within {} s", deadline.as_secs())), "{sentence}");
                assert_eq!(sentence.contains("nobody knows"), step == Step::Message, "{sentence}");
            });
        }
    });
}

#[test]
fn one_refused_recipient_costs_nobody_else_the_mail() {
    let folder = tempfile::tempdir().unwrap();
    let refused = vec![("bob@example.test", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found")];
    let server = SmtpServer::start(Options { refused, ..Options::default() });
    let state = send_to(&report(folder.path()), settings(&server), &EVERYBODY);
    assert_eq!(server.received()[0].to, ["ann@example.test", "cho@example.test"]);
    let reply = reply(&state);
    assert!(reply.contains("250 2.0.0 OK") && reply.contains("bob@example.test (550 5.1.10"), "{reply}");
}

#[test]
fn when_every_recipient_is_refused_the_mail_has_failed() {
    let refused = EVERYBODY.map(|one| (one, "550 5.7.1 Unable to relay")).to_vec();
    let server = SmtpServer::start(Options { refused, ..Options::default() });
    let (failure, _, sentence) = failure(settings(&server), PATIENT);
    assert_eq!(failure, DeliveryFailure::RecipientsRefused);
    assert!(sentence.contains("Unable to relay") && sentence.contains("cho@example.test"), "{sentence}");
    assert!(server.received().is_empty());
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
            let (failure, _, sentence) = failure(settings, PATIENT);
            assert_eq!(failure, DeliveryFailure::Certificate, "{sentence}");
            assert!(sentence.contains("NOT TO BE TRUSTED") && sentence.contains("MAIL_CA_FILE"), "{sentence}");
        }
        for server in [server, misnamed] {
            assert!(!server.said().iter().any(|line| line.contains("AUTH")), "{:?}", server.said());
        }
    }
}

#[test]
fn nothing_is_said_in_the_clear_when_encryption_fails() {
    let plain = SmtpServer::start(Options { tls: Tls::Never, ..Options::default() });
    let (failure_kind, _, sentence) = failure(settings(&plain), PATIENT);
    assert_eq!(failure_kind, DeliveryFailure::Tls, "{sentence}");
    assert!(!plain.said().iter().any(|line| line.contains("AUTH")), "{:?}", plain.said());
    let plain = SmtpServer::start(Options::default());
    let (failure_kind, _, sentence) = failure(MailSettings { tls: MailTls::Implicit, ..settings(&plain) }, PATIENT);
    assert_eq!(failure_kind, DeliveryFailure::Tls, "{sentence}");
    assert!(sentence.contains("MAIL_TLS=starttls"), "{sentence}");
}

#[test]
fn servers_that_can_not_be_used_are_told_apart() {
    let modern = SmtpServer::start(Options { mechanisms: "XOAUTH2", ..Options::default() });
    let (kind, _, sentence) = failure(settings(&modern), PATIENT);
    assert_eq!(kind, DeliveryFailure::NoPasswordSignIn, "{sentence}");
    let wrong =
        MailSettings { sign_in: SignIn::Password("guess".into()), ..settings(&SmtpServer::start(Options::default())) };
    let server = SmtpServer::start(Options::default());
    let (kind, _, sentence) = failure(MailSettings { port: server.port, ca: settings(&server).ca, ..wrong }, PATIENT);
    assert_eq!(kind, DeliveryFailure::WrongCredentials, "{sentence}");

    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let (kind, _, sentence) = failure(MailSettings { port: gone, ..settings(&server) }, PATIENT);
    assert_eq!(kind, DeliveryFailure::Unreachable, "{sentence}");
    assert!(sentence.contains("MAIL_PORT"), "{sentence}");
    let unknown = MailSettings { host: "no..such.host".into(), ..settings(&server) };
    let (kind, _, sentence) = failure(unknown, PATIENT);
    assert_eq!(kind, DeliveryFailure::NoSuchHost, "{sentence}");
}

fn delivered(report: &RunReport, strategy: EmailStrategy, mode: &MailMode) -> MailState {
    let recipients = EVERYBODY.map(str::to_owned);
    let context = RenderContext::default();
    deliver(
        report,
        &Delivery { strategy, from: None, recipients: &recipients, mode, context: &context, deadline: PATIENT },
    )
}

#[test]
fn a_folder_gets_a_file_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let mails = folder.path().join("new").join("mails");
    let report = report(folder.path());
    let state = delivered(&report, EmailStrategy::All, &MailMode::Folder(mails.clone()));
    let file = mails.join("P2-39be3d37aed64.eml");
    assert_eq!(state, MailState::Written { file: file.clone() });
    let names: Vec<PathBuf> = std::fs::read_dir(&mails).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names, std::slice::from_ref(&file));
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(bytes, std::fs::read(report.run_dir.join(KEPT_MAIL)).unwrap());
    let mail = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(mail.from().unwrap().first().unwrap().address(), Some("runner@laptop-bs85jnp7.invalid"));
}

#[test]
fn a_folder_that_can_not_be_written_is_no_more_than_a_failed_mail() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "a file").unwrap();
    let state = delivered(&report(folder.path()), EmailStrategy::All, &MailMode::Folder(taken));
    assert!(matches!(&state, MailState::Failed { error } if error.contains("taken")), "{state:?}");
}

#[test]
fn no_mail_is_sent_that_nobody_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = report(folder.path());
    let mode = MailMode::Folder(folder.path().join("mails"));
    assert_eq!(delivered(&report, EmailStrategy::None, &mode), MailState::NotDue);
    assert_eq!(delivered(&report, EmailStrategy::All, &MailMode::Off), MailState::Off);
    report.scripts.truncate(1);
    report.status = RunStatus::Success;
    assert_eq!(delivered(&report, EmailStrategy::FailureOnly, &mode), MailState::NotDue);
    assert!(!folder.path().join("mails").exists() && !report.run_dir.exists());
    report.status = RunStatus::Interrupted;
    assert!(matches!(delivered(&report, EmailStrategy::FailureOnly, &mode), MailState::Written { .. }));
}

/// A mail that makes it hard for encoders: names from hell, and lines longer than SMTP allows.
fn hard_mail(folder: &Path) -> (RunReport, Vec<u8>) {
    let mut report = report(folder);
    report.project = "Täglicher Export\r\nBcc: thief@example.test\u{0}日本語のプロジェクト名".to_owned();
    report.scripts[1].name = "<b>&\"'.py".to_owned();
    report.scripts[1].traceback =
        Some(format!("{}\n=20 .\n.\nFrom here\n\u{1b}[31mred\u{1b}[0m 🎉\n", "x".repeat(5000)));
    let mode = MailMode::Folder(folder.join("mails"));
    let MailState::Written { file } = delivered(&report, EmailStrategy::All, &mode) else { panic!("not written") };
    let bytes = std::fs::read(file).unwrap();
    (report, bytes)
}

#[test]
fn a_mail_is_a_well_formed_message() {
    let folder = tempfile::tempdir().unwrap();
    let (report, bytes) = hard_mail(folder.path());
    assert!(bytes.is_ascii());
    for line in bytes.split(|byte| *byte == b'\n') {
        assert!(line.len() < 998 && (line.is_empty() || line.ends_with(b"\r")), "{}", line.len());
    }
    let mail = MessageParser::default().parse(&bytes).unwrap();
    let rendered = render(&report, EmailStrategy::All, &RenderContext::default());
    assert_eq!(mail.subject().map(str::to_owned), Some(rendered.subject.clone()));
    assert!(rendered.subject.starts_with("Täglicher Export Bcc: thief@example.test日本語"), "{}", rendered.subject);
    assert!(mail.bcc().is_none() && mail.date().is_some());
    assert_eq!(mail.to().unwrap().iter().count(), 3);
    let header = |name: &str| mail.header_raw(name).map(|value| value.trim().to_owned());
    assert_eq!(header("Auto-Submitted").as_deref(), Some("auto-generated"));
    assert_eq!(header("X-Auto-Response-Suppress").as_deref(), Some("DR, RN, NRN, OOF, AutoReply"));
    assert_eq!(header("Importance").as_deref(), Some("high"));
    assert_eq!(header("X-Run-Id").as_deref(), Some("39be3d37aed64"));
    let id = header("Message-ID").unwrap();
    assert!(id.starts_with("<39be3d37aed64.") && id.ends_with("@laptop-bs85jnp7>"), "{id}");
    assert!(
        mail.content_type().unwrap().ctype() == "multipart"
            && mail.content_type().unwrap().subtype() == Some("alternative")
    );
    let unix = |text: &str| text.replace("\r\n", "\n").trim_end().to_owned();
    assert_eq!(unix(&mail.body_text(0).unwrap()), unix(&rendered.text));
    assert_eq!(unix(&mail.body_html(0).unwrap()), unix(&rendered.html));
    assert!(mail.body_html(0).unwrap().contains("&#60;b&#62;&#38;&#34;&#39;.py"));
}

/// A second reader, which is strict, and shares no code with the first.
#[test]
fn python_reads_the_mail_as_it_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let (report, bytes) = hard_mail(folder.path());
    let file = folder.path().join("hard.eml");
    std::fs::write(&file, &bytes).unwrap();
    let program = "
import sys
from email import policy, message_from_binary_file
strict = policy.SMTP.clone(raise_on_defect=True)
with open(sys.argv[1], 'rb') as file:
    mail = message_from_binary_file(file, policy=strict)
assert mail.get_content_type() == 'multipart/alternative', mail.get_content_type()
defects = [defect for part in mail.walk() for defect in part.defects]
defects += [defect for part in mail.walk() for value in part.values() for defect in getattr(value, 'defects', ())]
assert not defects, defects
text, html = [part.get_content() for part in mail.iter_parts()]
assert mail['Date'].datetime and mail['Message-ID'] and mail['Bcc'] is None
assert [address.addr_spec for address in mail['To'].addresses][2] == 'cho@example.test'
assert 'x' * 1000 in text.replace('\\n', '') and '🎉' in text and '🎉' in html
assert '\\x1b' not in text + html
sys.stdout.buffer.write(str(mail['Subject']).encode())
";
    let Some(python) = ["python3", "python"].into_iter().find(|name| {
        Command::new(name)
            .args(["-c", "import sys; sys.exit(sys.version_info < (3, 6))"])
            .output()
            .is_ok_and(|o| o.status.success())
    }) else {
        eprintln!("skipped: there is no python3 here");
        return;
    };
    let output = Command::new(python).args(["-X", "utf8", "-c", program]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let subject = render(&report, EmailStrategy::All, &RenderContext::default()).subject;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), subject);
}

/// Ends the laboratory however the test ends.
struct Lab {
    scripts: PathBuf,
    folder: tempfile::TempDir,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = Command::new(self.scripts.join("down")).arg(self.folder.path()).status();
    }
}

#[test]
fn another_server_with_exchange_s_manners_takes_it_too() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/mail-lab");
    if !cfg!(target_os = "linux") || !scripts.join("up").is_file() {
        eprintln!("skipped: the mail laboratory is not here ({})", scripts.display());
        return;
    }
    let lab = Lab { scripts, folder: tempfile::tempdir().unwrap() };
    let up = Command::new(lab.scripts.join("up")).arg(lab.folder.path()).output().unwrap();
    if !up.status.success() {
        eprintln!("skipped: the mail laboratory does not start: {}", String::from_utf8_lossy(&up.stderr));
        return;
    }
    let env = std::fs::read_to_string(lab.folder.path().join("env")).unwrap();
    let variable = |name: &str| {
        let words = env.split_whitespace().filter_map(|word| word.split_once('='));
        words.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('\'').to_owned())
    };
    let settings = MailSettings::resolve(&std::collections::BTreeMap::new(), &|name| match name {
        "LOGIN_MAIL" => variable("LAB_USER"),
        "PASSWORD_MAIL" => variable("LAB_PASSWORD"),
        "MAIL_HOST" => variable("LAB_SMTP_HOST"),
        "MAIL_PORT" => variable("LAB_SMTP_PORT"),
        "MAIL_CA_FILE" => variable("LAB_CA"),
        _ => None,
    })
    .unwrap_or_else(|error| panic!("{error}\n{env}"));
    let report = report(lab.folder.path());
    let state = send_to(&report, settings, &EVERYBODY);
    assert!(reply(&state).starts_with("250 2.0.0 OK <"), "{state:?}");
    let [mail] = std::fs::read_dir(lab.folder.path().join("mail/new"))
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let mail = MessageParser::default().parse(&mail).unwrap();
    assert_eq!(mail.subject(), Some("P2: run report"));
    assert!(mail.body_text(0).unwrap().contains("ValueError: größer"));
}

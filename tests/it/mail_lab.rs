//! A second server with Exchange's manners, which shares no code with the first, and an issuer of tokens with Entra's: the
//! laboratory beside the sources, where there is one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mail_parser::MessageParser;
use project_runner::mail::{
    DeliveryError, DeliveryFailure, MailSettings, NextStep, SignIn, SmtpCourier, Stage, TokenSource, Tokens,
};
use secrecy::SecretString;

use crate::harness::{Finished, Test};
use crate::letters::{Drawer, courier, letter, send, send_within};

/// One laboratory, ended however the test ends.
struct Lab {
    scripts: PathBuf,
    folder: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = Command::new(self.scripts.join("down")).arg(self.folder.path()).status();
    }
}

/// Starts one with these further variables, or says why there is none.
fn lab(variables: &[(&str, &str)]) -> Option<Lab> {
    // The first one installs what it needs into a place that all share.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/mail-lab");
    if !cfg!(target_os = "linux") || !scripts.join("up").is_file() {
        println!("skipped: the mail laboratory is not here ({})", scripts.display());
        return None;
    }
    let mut lab = Lab { scripts, folder: tempfile::tempdir().unwrap(), env: BTreeMap::new() };
    // Somebody may take a port between its choice and its use.
    for _ in 0..3 {
        let mut up = Command::new(lab.scripts.join("up"));
        let up = up.arg(lab.folder.path()).envs(variables.iter().copied()).output().unwrap();
        if !up.status.success() {
            println!("skipped: the mail laboratory does not start: {}", String::from_utf8_lossy(&up.stderr));
            return None;
        }
        let ready = |name: &str| std::fs::read_to_string(lab.folder.path().join(name)).unwrap_or_default();
        if ready("smtpd.log").contains("ready") && !ready("token.log").contains("Error") {
            let env = std::fs::read_to_string(lab.folder.path().join("env")).unwrap();
            let words = env.split_whitespace().filter_map(|word| word.split_once('='));
            lab.env = words.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect();
            return Some(lab);
        }
        let _ = Command::new(lab.scripts.join("down")).arg(lab.folder.path()).status();
    }
    panic!("the mail laboratory does not get ready");
}

const BY_PASSWORD: [(&str, &str); 1] = [("PASSWORD_MAIL", "LAB_PASSWORD")];
const AS_PERSON: [(&str, &str); 2] = [("MAIL_CLIENT_ID", "=app"), ("MAIL_TENANT_ID", "=tenant")];
const AS_APP: [(&str, &str); 3] =
    [("MAIL_CLIENT_ID", "=app"), ("MAIL_TENANT_ID", "=tenant"), ("MAIL_CLIENT_SECRET", "=s3cret")];

impl Lab {
    /// The variables that lead to it; `more` with names of its variables, or values after a `=`.
    fn variables(&self, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let all = [
            ("LOGIN_MAIL", "LAB_USER"),
            ("MAIL_HOST", "LAB_SMTP_HOST"),
            ("MAIL_PORT", "LAB_SMTP_PORT"),
            ("MAIL_CA_FILE", "LAB_CA"),
            ("MAIL_AUTHORITY", "LAB_TOKEN_URL"),
        ];
        let value = |text: &str| text.strip_prefix('=').map_or_else(|| self.env[text].clone(), str::to_owned);
        all.iter().chain(more).map(|(name, text)| ((*name).to_owned(), value(text))).collect()
    }

    fn settings(&self, more: &[(&str, &str)]) -> MailSettings {
        let variables = self.variables(more);
        MailSettings::resolve(&BTreeMap::new(), &|name| variables.get(name).cloned(), &|_| false).unwrap()
    }

    fn faults(&self, json: &str) {
        std::fs::write(&self.env["LAB_FAULTS"], json).unwrap();
    }

    fn token_mode(&self, mode: &str) {
        std::fs::write(self.folder.path().join("token.mode"), mode).unwrap();
    }

    fn mails(&self) -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(Path::new(&self.env["LAB_MAIL_DIR"]).join("new")).into_iter().flatten();
        entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    fn runner(&self, test: &Test, args: &[&str], more: &[(&str, &str)]) -> Finished {
        Finished::of(test.command(args).envs(self.variables(more)).output().unwrap())
    }

    fn tokens(&self) -> Arc<Tokens> {
        Arc::new(Tokens::new(self.folder.path().join("state")))
    }
}

#[track_caller]
fn refusal(courier: &mut SmtpCourier, failure: DeliveryFailure, step: NextStep) -> DeliveryError {
    let error = send_within(courier, &letter("refused"), Duration::from_secs(30)).0.unwrap_err();
    assert_eq!((error.failure, error.next_step()), (failure, step), "{error}");
    error
}

#[test]
fn it_takes_letters_by_password_by_application_and_by_person() {
    let Some(lab) = lab(&[]) else { return };
    let accepted = send(&mut courier(lab.settings(&BY_PASSWORD)), &letter("password")).0.unwrap();
    let [mail] = lab.mails().try_into().unwrap();
    let mail = MessageParser::default().parse(&mail).unwrap();
    assert_eq!(accepted.message_id, mail.message_id().map(|id| format!("<{id}>")), "the server's own");
    let ours = mail.header_raw("X-Microsoft-Original-Message-ID").unwrap();
    assert_eq!(ours.trim(), "<password@runner>");
    assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n").trim_end(), ".\n..\n. dots\nend.");

    let mut app = SmtpCourier::new(lab.settings(&AS_APP), lab.tokens());
    for _ in 0..3 {
        send(&mut app, &letter("application")).0.unwrap();
    }
    drop(app);
    assert_eq!(lab.mails().len(), 4);

    let test = Test::new();
    let _project = test.project("p").script("a.py", "").set("email_strategy", "all");
    let untested = lab.runner(&test, &["mail", "test", "p"], &AS_PERSON).expect(1);
    assert!(untested.stderr.contains("runner mail login"), "{}", untested.stderr);
    let login = lab.runner(&test, &["mail", "login", "p"], &AS_PERSON).expect(0);
    assert!(login.stdout.contains("ABCD1234"), "{}", login.stdout);
    let tested = lab.runner(&test, &["mail", "test", "p", "--to", "ann@example.test"], &AS_PERSON).expect(0);
    assert!(tested.stdout.contains("> AUTH XOAUTH2 (as runs@example.test, with a token)"), "{}", tested.stdout);
    assert!(tested.stdout.contains("ok  the server has taken the mail"), "{}", tested.stdout);
    assert_eq!(lab.mails().len(), 5);
}

/// Hands out what no server accepts first.
#[derive(Debug)]
struct Stale(Arc<Tokens>);

impl TokenSource for Stale {
    fn token(&self, settings: &MailSettings, renew: bool) -> Result<SecretString, DeliveryError> {
        if renew { self.0.token(settings, true) } else { Ok("stale".into()) }
    }
}

#[test]
fn a_refused_token_is_renewed_once_however_it_is_refused() {
    for manners in [[("XO_FAIL", "535"), ("TOKEN_TTL", "3599")], [("XO_FAIL", "334"), ("TOKEN_TTL", "5")]] {
        let Some(lab) = lab(&manners) else { return };
        let settings = lab.settings(&AS_APP);
        let stale = Arc::new(Stale(lab.tokens()));
        send(&mut SmtpCourier::new(settings.clone(), stale), &letter("renewed")).0.unwrap();
        assert_eq!(lab.mails().len(), 1);
        let mut never = SmtpCourier::new(settings.clone(), Drawer::of("stale", "stale"));
        let error = refusal(&mut never, DeliveryFailure::TokenNotAccepted, NextStep::Hold);
        assert!(error.to_string().contains("535 5.7.3"), "{error}");

        // Each with its own token while tokens live for seconds only.
        let tokens = lab.tokens();
        for _ in 0..2 {
            send(&mut SmtpCourier::new(settings.clone(), tokens.clone()), &letter("short-lived")).0.unwrap();
        }
        assert_eq!(lab.mails().len(), 3);
    }
}

#[test]
fn what_it_refuses_is_understood() {
    use DeliveryFailure::*;
    use NextStep::{Fail, Hold, Pause, Retry};
    let Some(lab) = lab(&[]) else { return };
    let settings = lab.settings(&BY_PASSWORD);
    let mut one = courier(settings.clone());
    let cases = [
        (
            r#"{"auth": "535 5.7.139 Authentication unsuccessful, basic authentication is disabled."}"#,
            BasicAuthenticationOff,
            Hold,
        ),
        (r#"{"mail": "432 4.3.2 Concurrent connections limit exceeded."}"#, Temporary, Retry),
        (r#"{"mail": "drop"}"#, ConnectionLost, Retry),
        (r#"{"rcpt": "550 5.1.10 Recipient not found"}"#, RecipientsRefused, Fail),
        (r#"{"rcpt": "451 4.7.500 Server busy"}"#, RecipientsRefused, Retry),
        (
            r#"{"data": "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"}"#,
            QuotaExceeded,
            Pause,
        ),
        (r#"{"data": "430 4.2.0 STOREDRV; mailbox logon failure; MapiExceptionLogonFailed"}"#, Temporary, Retry),
        (r#"{"data": "554 5.6.0 Corrupt message content"}"#, Permanent, Fail),
    ];
    for (fault, failure, step) in cases {
        lab.faults(fault);
        let error = refusal(&mut one, failure, step);
        assert!(!error.is_in_doubt(), "{fault}: {error}");
    }
    lab.faults(r#"{"data": "drop"}"#);
    assert!(refusal(&mut one, ConnectionLost, Retry).is_in_doubt());
    lab.faults(r#"{"rcpt": "delay:30"}"#);
    let error = send_within(&mut one, &letter("late"), Duration::from_secs(3)).0.unwrap_err();
    assert_eq!((error.failure, error.stage), (Deadline, Stage::Recipients), "{error}");
    assert_eq!(lab.mails().len(), 0);
    lab.faults(r#"{"stored": "drop", "times": 1}"#);
    assert!(refusal(&mut one, ConnectionLost, Retry).is_in_doubt());
    assert_eq!(lab.mails().len(), 1, "the server has it, and nobody knows");
    lab.faults(r#"{"mail": "drop", "times": 1}"#);
    send(&mut one, &letter("a new connection each time")).0.unwrap_err();
    send(&mut one, &letter("taken")).0.unwrap();
    assert_eq!(lab.mails().len(), 2);

    let wrong = MailSettings { sign_in: SignIn::Password("wrong".into()), ..settings.clone() };
    refusal(&mut courier(wrong), WrongCredentials, Hold);
    let mut foreign = letter("foreign");
    let to = foreign.envelope.to().to_vec();
    foreign.envelope = lettre::address::Envelope::new(Some("boss@example.test".parse().unwrap()), to).unwrap();
    let error = send(&mut one, &foreign).0.unwrap_err();
    assert_eq!((error.failure, error.next_step()), (SenderRefused, Hold), "{error}");
}

#[test]
fn what_the_issuer_refuses_is_understood() {
    use DeliveryFailure::{Deadline, TokenRefused, TokenUnavailable};
    let Some(lab) = lab(&[]) else { return };
    let mut app = SmtpCourier::new(lab.settings(&AS_APP), lab.tokens());
    lab.token_mode("503");
    refusal(&mut app, TokenUnavailable, NextStep::Retry);
    lab.token_mode("slow");
    let error = send_within(&mut app, &letter("late"), Duration::from_secs(3)).0.unwrap_err();
    assert_eq!((error.failure, error.stage, error.next_step()), (Deadline, Stage::Token, NextStep::Retry), "{error}");
    lab.token_mode("ok");
    send(&mut app, &letter("better")).0.unwrap();
    let wrong = [AS_APP[0], AS_APP[1], ("MAIL_CLIENT_SECRET", "=wrong")];
    let error = refusal(&mut SmtpCourier::new(lab.settings(&wrong), lab.tokens()), TokenRefused, NextStep::Hold);
    assert!(!error.to_string().contains("wrong)"), "{error}");
}

#[test]
fn other_manners_make_no_difference_and_a_bad_certificate_does() {
    let Some(plain) = lab(&[("NOMECH", "LOGIN")]) else { return };
    send(&mut courier(plain.settings(&BY_PASSWORD)), &letter("plain")).0.unwrap();
    assert_eq!(plain.mails().len(), 1);
    let Some(bad) = lab(&[("CERT", "bad")]) else { return };
    let error = refusal(&mut courier(bad.settings(&BY_PASSWORD)), DeliveryFailure::Certificate, NextStep::Retry);
    assert!(error.sentence.contains("NOT TO BE TRUSTED"), "{error}");
}

/// What becomes of a run's mail for each kind of answer, as its user sees it; and that it goes out once that is over.
#[test]
fn what_it_refuses_a_run_waits_is_held_or_has_failed_and_goes_out_in_the_end() {
    let Some(lab) = lab(&[]) else { return };
    let cases = [
        (r#"{"auth": "535 5.7.139 Authentication unsuccessful, basic authentication is disabled."}"#, "held", "OAuth"),
        (r#"{"auth": "550 5.7.30 Basic authentication is not supported."}"#, "held", "runner mail login"),
        (r#"{"mail": "432 4.3.2 Concurrent connections limit exceeded."}"#, "queued", "432 4.3.2"),
        (r#"{"mail": "550 5.7.60 Client does not have permissions to send as this sender"}"#, "held", "MAIL_FROM"),
        (r#"{"data": "430 4.2.0 STOREDRV; MapiExceptionLogonFailed"}"#, "queued", "permission"),
        (
            r#"{"data": "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"}"#,
            "queued",
            "too much",
        ),
        (r#"{"data": "554 5.6.0 Corrupt message content"}"#, "failed", "5.6.0"),
        (r#"{"rcpt": "550 5.1.10 Recipient not found"}"#, "failed", "recipients"),
        (r#"{"mail": "drop"}"#, "queued", "hung up"),
        (r#"{"data": "drop"}"#, "queued", "nobody knows"),
    ];
    for (fault, state, remedy) in cases {
        let test = Test::new();
        let _project = test.project("p").set("email_strategy", "all").script("a.txt", "print a");
        let before = lab.mails().len();
        lab.faults(fault);
        let run = lab.runner(&test, &["run", "p"], &BY_PASSWORD).expect(0);
        assert!(run.stderr.contains(remedy), "{fault}: {}", run.stderr);
        let mail = || test.runner(["history", "--json"]).expect(0).json()[0]["mail"].clone();
        assert_eq!(mail(), state, "{fault}");
        assert_eq!(test.runner(["mail", "status", "--json"]).expect(0).json()[0]["state"], state, "{fault}");
        assert_eq!(lab.mails().len(), before, "{fault}");
        lab.faults("{}");
        let flush: &[&str] = if state == "failed" { &["mail", "flush", "--failed"] } else { &["mail", "flush"] };
        lab.runner(&test, flush, &BY_PASSWORD).expect(0);
        assert_eq!((mail(), lab.mails().len()), ("sent".into(), before + 1), "{fault}");
    }
}

#[test]
fn of_a_run_s_mail_that_it_has_taken_without_a_word_it_gets_the_same_once_more() {
    let Some(lab) = lab(&[]) else { return };
    let test = Test::new();
    let project = test.project("p").set("email_strategy", "all").script("a.txt", "print a");
    let _project = project.set("recipients", serde_json::json!(["ann@example.test", "bob@example.test"]));
    lab.faults(r#"{"stored": "drop", "times": 1}"#);
    lab.runner(&test, &["run", "p"], &BY_PASSWORD).expect(0);
    lab.runner(&test, &["mail", "flush"], &BY_PASSWORD).expect(0);
    let runs: Vec<String> = lab.mails().iter().map(|mail| header(mail, "X-Run-Id")).collect();
    assert!(runs.len() == 2 && runs[0] == runs[1] && runs[0].len() == 13, "{runs:?}");
    // One recipient who is refused keeps nobody else from getting it.
    lab.faults(r#"{"rcpt": "550 5.1.10 Recipient not found", "times": 1}"#);
    let run = lab.runner(&test, &["run", "p"], &BY_PASSWORD).expect(0);
    assert!(run.stdout.contains("mail sent") && run.stderr.contains("for ann@example.test"), "{}", run.stderr);
    assert_eq!(lab.mails().len(), 3);
}

fn header(mail: &[u8], name: &str) -> String {
    let mail = MessageParser::default().parse(mail).unwrap();
    mail.header_raw(name).unwrap_or_default().trim().to_owned()
}

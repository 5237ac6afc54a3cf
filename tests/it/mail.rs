//! The mail, as it leaves for a server or a folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::DateTime;
use mail_parser::{MessageParser, MimeHeaders};
use project_runner::mail::{Delivery, Details, EmlFolder, KEPT_MAIL, MailMode, RenderContext, is_due, make, render};
use project_runner::model::{
    EmailStrategy, MailState, Outcome, OutputSummary, RunId, RunReport, RunStatus, ScriptReport, Usage,
};

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
        occasion: None,
        params: Vec::new(),
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

fn delivered(report: &RunReport, strategy: EmailStrategy, mode: &MailMode) -> MailState {
    let recipients = EVERYBODY.map(str::to_owned);
    let context = RenderContext::default();
    if !is_due(strategy, report, &context) {
        return MailState::NotDue;
    }
    let MailMode::Folder(folder) = mode else { return MailState::Off };
    let delivery = Delivery { strategy, from: None, recipients: &recipients, mode, context: &context };
    let (message, _) = make(report, &delivery, &Details::default()).unwrap();
    EmlFolder::new(folder.clone()).deliver(report, &message)
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

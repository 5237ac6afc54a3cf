//! What a finished message says to readers that know nothing of the one who wrote it: Python's and another parser.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use lettre::message::Mailbox;
use mail_parser::{Address, MessageParser, MimeHeaders, PartType};
use project_runner::mail::{
    Addressing, Attachment, FinishedMessage, RenderContext, attached_output, conversation_key, finish, render,
};
use project_runner::model::{
    AttachOutput, EmailStrategy, MailOptions, Outcome, OutputSummary, RunId, RunReport, RunStatus, ScriptReport, Usage,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::python;

/// Reads with the strict policy, which takes a defect for an error, and prints what it saw as JSON.
const READ: &str = r#"
import email, email.policy, glob, hashlib, json, sys
policy = email.policy.SMTP.clone(raise_on_defect=True)
def people(header):
    return [] if header is None else [[a.display_name, a.addr_spec] for a in header.addresses]
for file in sorted(glob.glob(sys.argv[1] + "/*.eml")):
    with open(file, "rb") as f:
        message = email.message_from_bytes(f.read(), policy=policy)
    for part in message.walk():
        assert not part.defects, (file, part.defects)
        for name, value in part.items():
            assert not value.defects, (file, name, value.defects)
    files = [[p.get_filename(), p.get_content_type(), hashlib.sha256(p.get_payload(decode=True)).hexdigest()]
             for p in message.iter_attachments()]
    print(json.dumps({
        "subject": message["subject"], "from": people(message["from"]), "to": people(message["to"]), "cc": people(message["cc"]),
        "reply_to": people(message["reply-to"]), "bcc": people(message["bcc"]),
        "run_id": message["x-run-id"], "references": (message["references"] or "").split(), "in_reply_to": message["in-reply-to"],
        "topic": message["thread-topic"], "importance": message["importance"], "date": message["date"].datetime.timestamp(),
        "text": message.get_body(("plain",)).get_content().replace("\r\n", "\n").rstrip("\n"),
        "html": message.get_body(("html",)).get_content().replace("\r\n", "\n").rstrip("\n"), "files": files}))
"#;

fn script(index: usize, name: &str, outcome: Outcome, traceback: Option<String>) -> ScriptReport {
    ScriptReport {
        index,
        name: name.to_owned(),
        script: name.to_owned(),
        started: None,
        duration_us: 1_500_000,
        attempts: 1,
        outcome: Some(outcome),
        usage: Usage::default(),
        output: OutputSummary { file: Some(format!("{index:04}.out")), bytes: 12, cut: 0 },
        traceback,
        last_lines: None,
        leaked: Vec::new(),
        earlier: Vec::new(),
        retry_pending: false,
        usual: None,
    }
}

fn report(project: &str, scripts: Vec<ScriptReport>) -> RunReport {
    let started = DateTime::from_timestamp(1_732_697_518, 954_000_000).unwrap();
    let failed = scripts.iter().any(|script| script.outcome.as_ref().is_some_and(Outcome::is_failure));
    RunReport {
        run_id: RunId::parse("39be3d37aed64").unwrap(),
        project: project.to_owned(),
        project_dir: "/srv/jobs/p".into(),
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
        status: if failed { RunStatus::Failure } else { RunStatus::Success },
        scripts,
        files: Vec::new(),
        mail: None,
        warnings: Vec::new(),
        log_file: "/srv/jobs/p/logs/p.log".into(),
        run_dir: "/srv/jobs/p/logs/runs/39be3d37aed64".into(),
    }
}

fn message(
    report: &RunReport,
    from: &str,
    recipients: &[String],
    options: &MailOptions,
    conversation: Option<&str>,
    attachments: &[Attachment],
) -> (FinishedMessage, Value) {
    let context = RenderContext { subject_prefix: options.subject_prefix.clone(), ..RenderContext::default() };
    let rendered = render(report, EmailStrategy::All, &context);
    let from: Mailbox = from.parse().unwrap();
    let addressing = Addressing { from: &from, recipients, options, conversation };
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_732_697_600);
    let finished = finish(report, &rendered, &addressing, attachments, date).unwrap();
    let people = |list: &[String]| -> Vec<Value> {
        let read = |one: &String| one.trim().parse::<Mailbox>().unwrap();
        list.iter().map(read).map(|one| json!([clean(one.name.as_deref()), one.email.to_string()])).collect()
    };
    let root = format!("<{}@laptop-bs85jnp7>", conversation_key(&report.project_dir, None));
    let references: Vec<&str> =
        if options.conversation { [Some(root.as_str()), conversation].into_iter().flatten().collect() } else { vec![] };
    let seen = json!({
        "subject": rendered.subject, "from": people(&[from.to_string()]), "to": people(recipients), "cc": people(&options.cc),
        "reply_to": people(&options.reply_to), "bcc": [], "run_id": "39be3d37aed64", "references": references,
        "in_reply_to": conversation.filter(|_| options.conversation),
        "topic": options.conversation.then_some(&rendered.subject),
        "importance": (report.status != RunStatus::Success).then_some("high"), "date": 1_732_697_600.0,
        "text": rendered.text.trim_end_matches('\n'), "html": rendered.html.trim_end_matches('\n'),
        "files": attachments.iter().map(|file| json!([file.name, file.media_type.split(';').next(), digest(&file.bytes)])).collect::<Vec<_>>(),
    });
    (finished, seen)
}

fn clean(name: Option<&str>) -> String {
    name.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// SHA-256, of the library that TLS has anyway.
fn digest(bytes: &[u8]) -> String {
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
    suite.common.hash_provider.hash(bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the other parser sees, in the same form.
fn seen_by_mail_parser(bytes: &[u8]) -> Value {
    let message = MessageParser::default().parse(bytes).unwrap();
    // It decodes the headers that it knows, and others when told.
    let topic = MessageParser::new().header_text("Thread-Topic").parse(bytes).unwrap();
    let topic = topic.header("Thread-Topic").and_then(|topic| topic.as_text()).map(str::to_owned);
    let people = |address: Option<&Address<'_>>| -> Vec<Value> {
        let all = address.into_iter().flat_map(|address| address.iter());
        all.map(|one| json!([one.name().unwrap_or_default(), one.address().unwrap()])).collect()
    };
    let ids = |value: &mail_parser::HeaderValue<'_>| -> Vec<String> {
        value.as_text_list().into_iter().flatten().map(|id| format!("<{id}>")).collect()
    };
    let plain = |name: &str| message.header(name).and_then(|value| value.as_text()).map(str::to_owned);
    let files: Vec<Value> = message
        .attachments()
        .map(|part| {
            let bytes = match &part.body {
                PartType::Text(text) => text.as_bytes(),
                _ => part.contents(),
            };
            let kind = part.content_type().unwrap();
            let kind = format!("{}/{}", kind.ctype(), kind.subtype().unwrap());
            json!([part.attachment_name().unwrap(), kind, digest(bytes)])
        })
        .collect();
    let body =
        |text: Option<std::borrow::Cow<'_, str>>| text.unwrap().replace("\r\n", "\n").trim_end_matches('\n').to_owned();
    json!({
        "subject": message.subject(), "from": people(message.from()), "to": people(message.to()), "cc": people(message.cc()),
        "reply_to": people(message.reply_to()), "bcc": people(message.bcc()), "run_id": plain("X-Run-Id"),
        "references": ids(message.references()), "in_reply_to": ids(message.in_reply_to()).first(),
        "topic": topic,
        "importance": plain("Importance"), "date": message.date().unwrap().to_timestamp() as f64,
        "text": body(message.body_text(0)), "html": body(message.body_html(0)), "files": files,
    })
}

/// What SMTP (RFC 5321, section 4.5.3.1.6) and the form of messages (RFC 5322, section 2.1.1) demand of every line.
fn well_formed(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.is_ascii(), "{text}");
    assert_eq!(text.matches('\r').count(), text.matches("\r\n").count(), "a bare CR");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "a bare LF");
    for line in text.split("\r\n") {
        assert!(line.len() <= 998, "{} octets: {line}", line.len());
    }
    let head = text.split("\r\n\r\n").next().unwrap();
    assert!(!head.chars().any(|c| c.is_control() && c != '\r' && c != '\n'), "{head:?}");
}

#[track_caller]
fn same(seen: &Value, expected: &Value, by: &str) {
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&seen[key], value, "{key}, by {by}");
    }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|one| (*one).to_owned()).collect()
}

/// Messages with all that makes messages hard, and what is to be seen in them.
fn hard_ones(folder: &Path) -> Vec<(FinishedMessage, Value)> {
    let traceback = format!("Traceback\n{}\n.\n..\nFrom me\n=3D é\u{1f600}\n", "a long line ".repeat(500));
    let names = ["<b>&\"'.py", "été à 日本.py", "two\nlines\r\nBcc: x@y.example.py", &"long_".repeat(60)];
    let scripts = names.iter().enumerate().map(|(index, name)| {
        let outcome = if index == 0 { Outcome::Success { code: 0 } } else { Outcome::ExitCode { code: 3 } };
        script(index, name, outcome, (index > 0).then(|| traceback.clone()))
    });
    let mut hard = report("nightly\r\nBcc: thief@example.com\r\n\r\n日本", scripts.collect());
    hard.run_dir = folder.to_path_buf();
    std::fs::write(folder.join("0000.out"), "dots\r\n.\r\n..\n\u{1f600} no end").unwrap();
    std::fs::write(folder.join("0001.out"), "x".repeat(5000)).unwrap();
    std::fs::write(folder.join("0002.out"), b"\xff\0\x01").unwrap();
    std::fs::write(folder.join("0003.out"), "0123456789\n".repeat(120_000)).unwrap();
    let attached = attached_output(&hard, AttachOutput::Always);
    assert_eq!((attached.attachments.len(), &attached.left_out), (4, &vec![]));
    let options = MailOptions {
        cc: strings(&["José Núñez <jose@example.com>", "plain@example.com"]),
        bcc: strings(&["Hidden <hidden@example.com>"]),
        reply_to: strings(&["\"Data, Team\" <data@example.com>"]),
        subject_prefix: Some("[été]".to_owned()),
        ..MailOptions::default()
    };
    let first = "<DB9PR01MB1234567890ABCDEF@DB9PR01MB1234.eurprd01.prod.exchangelabs.com>";
    let many: Vec<String> =
        (0..60).map(|n| format!("Person Número {n} of a Rather Long Department <person{n}@example.com>")).collect();
    let plain = report("plain", vec![script(0, "a.py", Outcome::Success { code: 0 }, None)]);
    let alone = MailOptions { conversation: false, ..MailOptions::default() };
    vec![
        message(&hard, "Läufer <runs@example.com>", &many, &options, Some(first), &attached.attachments),
        message(&plain, "runs@example.com", &strings(&["a@example.com"]), &MailOptions::default(), None, &[]),
        message(&plain, "runs@example.com", &strings(&["a@example.com"]), &alone, Some(first), &[]),
    ]
}

#[test]
fn two_parsers_see_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let messages = hard_ones(folder.path());
    for (index, (message, expected)) in messages.iter().enumerate() {
        well_formed(&message.bytes);
        same(&seen_by_mail_parser(&message.bytes), expected, "mail-parser");
        std::fs::write(folder.path().join(format!("{index}.eml")), &message.bytes).unwrap();
    }
    let Some(python) = python() else { return };
    let read = Command::new(python).args(["-c", READ]).arg(folder.path()).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let seen: Vec<Value> =
        read.stdout.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert_eq!(seen.len(), messages.len());
    for (seen, (_, expected)) in seen.iter().zip(&messages) {
        // In names Python keeps the blanks between encoded words, which RFC 2047 (section 6.2) has removed.
        same(&without_blanks(seen), &without_blanks(expected), "Python");
    }
}

/// With the names of people closed up.
fn without_blanks(seen: &Value) -> Value {
    let mut seen = seen.clone();
    for key in ["from", "to", "cc", "reply_to"] {
        for person in seen[key].as_array_mut().unwrap() {
            person[0] = person[0].as_str().unwrap().split_whitespace().collect::<String>().into();
        }
    }
    seen
}

#[test]
fn who_is_hidden_is_told_to_the_server_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (message, _) = hard_ones(folder.path()).remove(0);
    let recipients: Vec<String> = message.envelope.to().iter().map(ToString::to_string).collect();
    assert_eq!(recipients.len(), 63);
    assert_eq!(recipients[60..], ["jose@example.com", "plain@example.com", "hidden@example.com"]);
    let text = String::from_utf8(message.bytes).unwrap();
    assert!(!text.contains("hidden@") && !text.contains("Hidden"));
    assert!(!text.to_ascii_lowercase().contains("\r\nbcc:"));
}

#[test]
fn everybody_gets_it_once() {
    let options = MailOptions {
        cc: strings(&["A@example.com", "b@example.com", "c@example.com"]),
        bcc: strings(&["a@example.com", "d@example.com"]),
        ..MailOptions::default()
    };
    let plain = report("plain", vec![]);
    let to = strings(&["a@example.com", "b@example.com"]);
    let (finished, _) = message(&plain, "runs@example.com", &to, &MailOptions::default(), None, &[]);
    assert_eq!(finished.envelope.to().len(), 2);
    let from: Mailbox = "runs@example.com".parse().unwrap();
    let rendered = render(&plain, EmailStrategy::All, &RenderContext::default());
    let addressing = Addressing { from: &from, recipients: &to, options: &options, conversation: None };
    let finished = finish(&plain, &rendered, &addressing, &[], SystemTime::UNIX_EPOCH).unwrap();
    let seen = seen_by_mail_parser(&finished.bytes);
    assert_eq!(seen["cc"], json!([["", "c@example.com"]]));
    let recipients: Vec<String> = finished.envelope.to().iter().map(ToString::to_string).collect();
    assert_eq!(recipients, ["a@example.com", "b@example.com", "c@example.com", "d@example.com"]);
    // Hidden recipients are enough.
    let addressing = Addressing {
        recipients: &[],
        options: &MailOptions { bcc: to.clone(), ..MailOptions::default() },
        ..addressing
    };
    let finished = finish(&plain, &rendered, &addressing, &[], SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(finished.envelope.to().len(), 2);
}

#[test]
fn a_conversation_is_the_folders_and_the_profiles() {
    let key = |folder: &str, profile| conversation_key(Path::new(folder), profile);
    assert_eq!(key("/srv/jobs/p", None), "project.65d8e902079cc8e9", "the same on every machine and in every version");
    assert_ne!(key("/srv/jobs/p", None), key("/srv/jobs/q", None));
    assert_ne!(key("/srv/jobs/p", None), key("/srv/jobs/p", Some("dev")));
    assert_ne!(key("/srv/jobs/p", Some("dev")), key("/srv/jobs/pdev", None));
    // A server's reply is no header: what is no identifier doesn't get in.
    let plain = report("plain", vec![]);
    for id in ["<a@b>\r\nBcc: x@y.example", "a@b", "<a b@c>", "<>", "<é@b>", "<a><b@c>"] {
        let to = strings(&["a@example.com"]);
        let (finished, _) = message(&plain, "runs@example.com", &to, &MailOptions::default(), Some(id), &[]);
        assert_eq!(seen_by_mail_parser(&finished.bytes)["in_reply_to"], json!(null), "{id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever projects, scripts and outputs are called and print.
    #[test]
    fn any_words_make_a_well_formed_message(
        project in "\\PC{0,30}|[\\x00-\\x7f]{0,30}|[a-zé日\u{1f600}]{100,120}",
        name in "\\PC{1,30}|[\\x00-\\x7f]{1,30}",
        output in "(\\PC{0,60}\n?){0,4}|[\\x00-\\x7f]{0,2000}",
        prefix in prop::option::of("\\PC{1,20}"),
    ) {
        let mut report = report(&project, vec![script(0, &name, Outcome::ExitCode { code: 1 }, Some(output.clone()))]);
        report.host = name.clone();
        let options = MailOptions { subject_prefix: prefix, ..MailOptions::default() };
        let attached = [Attachment { name: one(&name), media_type: "text/plain; charset=utf-8", bytes: output.into_bytes() }];
        let to = strings(&["a@example.com"]);
        let (message, expected) = message(&report, "runs@example.com", &to, &options, None, &attached);
        well_formed(&message.bytes);
        let seen = seen_by_mail_parser(&message.bytes);
        for key in ["from", "to", "cc", "bcc", "run_id", "importance", "text", "html", "files"] {
            prop_assert_eq!(&seen[key], &expected[key], "{}", key);
        }
        // An encoded word may begin or end with blanks, and parsers differ in what they make of them.
        let words = |value: &Value| clean(value.as_str());
        prop_assert_eq!(words(&seen["subject"]), words(&expected["subject"]));
    }
}

/// A name as attachments get it.
fn one(name: &str) -> String {
    let fit: String = name.chars().filter(|c| !c.is_control() && !"\"\\/".contains(*c)).collect();
    format!("x{}x", clean(Some(&fit)))
}

//! The keys that say how mails are made up, and which web addresses are told.

use chrono::NaiveTime;

use crate::model::{AttachOutput, Language, MailOptions, Pings, Webhook};

use super::*;

fn options(house: &House, written: &str) -> MailOptions {
    let Loaded { project, warnings, .. } = house.with(&format!("\"mail\": {written}")).loaded();
    assert!(warnings.is_empty(), "{written}: {warnings:?}");
    project.mail
}

fn warning(house: &House, written: &str) -> String {
    let warnings = house.with(&format!("\"mail\": {written}")).loaded().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    house.lines(&warnings).remove(0)
}

#[test]
fn nothing_said_is_english_and_the_defaults() {
    let house = House::new();
    for more in ["", r#""language": null, "mail": null"#, r#""mail": {}"#, r#""mail": {"cc": null, "webhook": null}"#] {
        let project = house.with(more).loaded().project;
        assert_eq!((project.language, project.mail), (Language::En, MailOptions::default()), "{more}");
    }
}

#[test]
fn every_key_of_mail_is_read() {
    let house = House::new().env("HC", "https://hc.example.com/1");
    let found = options(
        &house,
        r#"{"cc": [" Ann <ann@example.com>"], "bcc": ["b@example.com"], "reply_to": ["r@example.com"],
        "subject_prefix": " [x] ", "attach_output": "Always", "conversation": false, "deadline": "1m 5s", "digest_at": "6:05",
        "pings": {"start": "${HC}/start", "success": "http://127.0.0.1:8000/x", "failure": null},
        "webhook": {"url": " https://chat.example.com/x ", "when": "ALL", "body": {"text": ["{summary}", 1, null, "{}"]}}}"#,
    );
    let expected = MailOptions {
        cc: vec!["Ann <ann@example.com>".to_owned()],
        bcc: vec!["b@example.com".to_owned()],
        reply_to: vec!["r@example.com".to_owned()],
        subject_prefix: Some("[x]".to_owned()),
        attach_output: AttachOutput::Always,
        conversation: false,
        deadline: Duration::from_secs(65),
        digest_at: NaiveTime::from_hms_opt(6, 5, 0).unwrap(),
        pings: Pings {
            start: Some("${HC}/start".to_owned()),
            success: Some("http://127.0.0.1:8000/x".to_owned()),
            failure: None,
        },
        webhook: Some(Webhook {
            url: "https://chat.example.com/x".to_owned(),
            when: EmailStrategy::All,
            body: Some(serde_json::json!({"text": ["{summary}", 1, null, "{}"]})),
        }),
    };
    assert_eq!(found, expected);
    assert_eq!(house.with(r#""language": "KO""#).loaded().project.language, Language::Ko);
    for (written, attach) in [("true", AttachOutput::Always), ("false", AttachOutput::Never)] {
        assert_eq!(options(&house, &format!("{{\"attach_output\": {written}}}")).attach_output, attach);
    }
    let webhook = options(&house, r#"{"webhook": {"url": "https://chat.example.com"}}"#).webhook.unwrap();
    assert_eq!((webhook.when, webhook.body), (EmailStrategy::FailureOnly, None));
}

#[test]
fn what_is_wrong_is_named_with_what_would_be_right() {
    let house = House::new();
    for (pair, expected) in [
        (r#""language": "de""#, "language: `de` is not one of `en`, `fr`, `ja`, `ko`"),
        (r#""mail": "x""#, "mail: expected an object, found the text `x`; as in"),
        (
            r#""mail": {"cc": "a@example.com"}"#,
            r#"mail.cc: BadRecipientList: expected a list of addresses, found the text `a@example.com`; write ["a@example.com"]"#,
        ),
        (
            r#""mail": {"bcc": ["nobody"]}"#,
            "mail.bcc[0]: BadRecipientList: expected an address, found the text `nobody`",
        ),
        (r#""mail": {"subject_prefix": "a\nb"}"#, "mail.subject_prefix: a subject has no line breaks"),
        (r#""mail": {"attach_output": "yes"}"#, "mail.attach_output: `yes` is not one of `never`, `failure`, `always`"),
        (
            r#""mail": {"conversation": "no"}"#,
            "mail.conversation: expected true or false, found the text `no`; write false",
        ),
        (r#""mail": {"deadline": "soon"}"#, "mail.deadline: `soon` is not a duration"),
        (
            r#""mail": {"digest_at": "24:00"}"#,
            "mail.digest_at: `24:00` is not a time of the day; write hours and minutes",
        ),
        (r#""mail": {"digest_at": 7}"#, "mail.digest_at: expected a text, found the number 7"),
        (r#""mail": {"pings": "https://a.example"}"#, "mail.pings: expected an object"),
        (
            r#""mail": {"pings": {"start": "a.example/s3cret"}}"#,
            "mail.pings.start: …: not an address that begins with `https://`",
        ),
        (
            r#""mail": {"pings": {"start": "https://a.example/s3cret x"}}"#,
            "mail.pings.start: https://a.example/…: not an address",
        ),
        (
            r#""mail": {"pings": {"start": "https://a.example/${s3cret"}}"#,
            "https://a.example/…: a `${` that names no variable; write",
        ),
        (r#""mail": {"webhook": {}}"#, "mail.webhook: `url` is missing; as in"),
        (
            r#""mail": {"webhook": {"url": 3}}"#,
            "mail.webhook.url: expected the address of a web page, found the number 3",
        ),
        (
            r#""mail": {"webhook": {"url": "https://a.example", "when": "digest"}}"#,
            "mail.webhook.when: `digest` is not one of",
        ),
        (
            r#""mail": {"webhook": {"url": "https://a.example", "body": "x"}}"#,
            "mail.webhook.body: expected an object, found the text `x`",
        ),
    ] {
        let problem = house.problem_with(pair);
        assert!(problem.contains(expected), "{pair}: {problem}");
        assert!(!problem.contains("s3cret"), "{pair}: {problem}");
    }
}

#[test]
fn what_is_doubtful_is_warned_of() {
    let house = House::new();
    for (written, expected) in [
        (
            r#"{"pings": {"start": "${NOPE}"}}"#,
            "mail.pings.start: the variable NOPE is not set, and without it this address can't be called; set it in",
        ),
        (
            r#"{"webhook": {"url": "http://chat.example.com/s3cret"}}"#,
            "mail.webhook.url: http://chat.example.com/… is not encrypted: what is sent can be read on the way; write",
        ),
        (
            r#"{"webhook": {"url": "https://a.example", "body": {"a": ["{projct}"]}}}"#,
            "mail.webhook.body.a[0]: `{projct}` stands for nothing; it is sent as it is; did you mean `{project}`?",
        ),
        (r#"{"cc": ["a@example.com", "A@example.com"]}"#, "mail.cc[1]: the address stands here twice"),
        (r#"{"ping": {}}"#, "mail.ping: unknown key `ping`; it does nothing; did you mean `pings`?"),
        (r#"{"pings": {"fail": "x"}}"#, "mail.pings.fail: unknown key `fail`; it does nothing"),
    ] {
        let line = warning(&house, written);
        assert!(line.contains(expected) && !line.contains("s3cret"), "{written}: {line}");
    }
}

#[test]
fn a_variable_may_come_from_a_dotenv_file() {
    let house = House::new();
    house.file("p/.env", "HC=https://hc.example.com/s3cret\n");
    assert_eq!(options(&house, r#"{"pings": {"success": "${HC}"}}"#).pings.success.as_deref(), Some("${HC}"));
}

#[test]
fn layers_are_merged_and_explained_without_what_is_secret_in_an_address() {
    let house = House::new().env("RUNNER_SET_MAIL", r#"{"deadline": "5s"}"#);
    house.file(
        "exec_config.common.json",
        r#"{"mail": {"cc": ["a@example.com"], "pings": {"start": "https://a.example/s3cret"}}}"#,
    );
    let loaded = house
        .with(r#""mail": {"pings": {"success": "${S3}/s3cret"}, "webhook": {"url": "https://u:s3cret@b.example/s3cret"}}"#)
        .loaded();
    assert_eq!(loaded.project.mail.cc, ["a@example.com"]);
    assert_eq!(loaded.project.mail.pings.start.as_deref(), Some("https://a.example/s3cret"));
    assert_eq!(loaded.project.mail.deadline, Duration::from_secs(5));
    let shown = render_explain(&loaded.explain);
    assert!(!shown.contains("s3cret"), "{shown}");
    for (path, value, origin) in [
        ("mail.cc", r#"["a@example.com"]"#, "common.json"),
        ("mail.deadline", r#""5s""#, "RUNNER_SET_MAIL"),
        ("mail.digest_at", r#""07:00""#, "built-in default"),
        ("mail.pings", r#"{"start":"https://a.example/…","success":"${S3}"}"#, "exec_config.json"),
        ("mail.webhook", r#"{"url":"https://b.example/…"}"#, "exec_config.json"),
        ("language", r#""en""#, "built-in default"),
    ] {
        let row = loaded.explain.iter().find(|row| row.path == path).unwrap_or_else(|| panic!("{path} in {shown}"));
        assert_eq!(row.value.to_string(), value, "{path}");
        assert!(row.origin.contains(origin), "{path}: {}", row.origin);
    }
}

//! A summary made into a message: bytes that are finished once and then sent, kept and sent again as they are.

use std::path::Path;
use std::time::SystemTime;

use lettre::Message;
use lettre::address::{Address, AddressError, Envelope};
use lettre::message::header::{ContentDisposition, ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MessageBuilder, MultiPart, SinglePart};
use thiserror::Error;

use super::render::one_line;
use super::{Alarm, Rendered};
use crate::model::{MailOptions, RunId, RunReport, RunStatus};

/// Why a message could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// A recipient is no address.
    #[error("recipient `{}` is not an address", one_line(.recipient, 80))]
    Recipient {
        /// As configured.
        recipient: String,
        /// What is wrong with it.
        source: AddressError,
    },
    /// There is nobody to send it to.
    #[error("there are no recipients")]
    NoRecipients,
    /// The parts don't make a message.
    #[error("cannot build the message")]
    Build {
        /// What is wrong.
        source: lettre::error::Error,
    },
}

/// A message as it goes over the wire, and who it is for.
#[derive(Debug, Clone)]
pub struct FinishedMessage {
    /// Headers and body, lines ended by CR LF.
    pub bytes: Vec<u8>,
    /// Sender and recipients, as SMTP is told them.
    pub envelope: Envelope,
    /// The Message-ID, with its angle brackets. Exchange puts its own in its place.
    pub message_id: String,
    /// `PROJECT-RUNID.eml`, or what else it is about: a name that is one on every system.
    pub file_name: String,
}

/// Who a message is from and for, and to what it belongs.
#[derive(Debug, Clone, Copy)]
pub struct Addressing<'a> {
    /// Who it is from.
    pub from: &'a Mailbox,
    /// Who it is for, named in `To`.
    pub recipients: &'a [String],
    /// Who gets it beside, where answers go, and whether it belongs to a conversation.
    pub options: &'a MailOptions,
    /// The Message-ID that the server gave to the conversation's first message, if one was sent and the server told.
    pub conversation: Option<&'a str>,
}

/// A file that goes with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name, without a folder.
    pub name: String,
    /// Its media type, as in `text/plain; charset=utf-8`.
    pub media_type: &'static str,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Makes the message. `date` goes into its Date header; everything else depends on what is given alone, but for the boundary
/// between its parts. Who is told of in `bcc` stands in the envelope and nowhere else.
///
/// # Errors
/// When a recipient is no address, or there is none.
pub fn finish(
    report: &RunReport,
    rendered: &Rendered,
    addressing: &Addressing<'_>,
    attachments: &[Attachment],
    date: SystemTime,
) -> Result<FinishedMessage, MessageError> {
    let about = About {
        id: format!("{}.{}", report.run_id, report.started.timestamp_micros()),
        host: &report.host,
        run_id: Some(&report.run_id),
        important: report.status == RunStatus::Interrupted || report.failures().next().is_some(),
        conversation: addressing
            .options
            .conversation
            .then(|| conversation_key(&report.project_dir, report.profile.as_deref())),
        file_name: file_name(&report.project, report.run_id.as_str()),
    };
    compose(&about, rendered, addressing, attachments, date)
}

/// Makes the message of an alarm, likewise. It belongs to no conversation, so that it stands out. `name` tells it from others of
/// the project: whoever writes it to a folder twice finds one file.
///
/// # Errors
/// As [`finish`].
pub fn finish_alarm(
    alarm: &Alarm,
    name: &str,
    rendered: &Rendered,
    addressing: &Addressing<'_>,
    date: SystemTime,
) -> Result<FinishedMessage, MessageError> {
    let key = conversation_key(&alarm.project_dir, alarm.profile.as_deref());
    let about = About {
        id: format!("{key}.{}", alarm.time.timestamp_micros()),
        host: &alarm.host,
        run_id: None,
        important: true,
        conversation: None,
        file_name: file_name(&alarm.project, name),
    };
    compose(&about, rendered, addressing, &[], date)
}

/// What a message is about, as far as its headers go.
struct About<'a> {
    /// The part of its Message-ID before the machine.
    id: String,
    host: &'a str,
    run_id: Option<&'a RunId>,
    important: bool,
    /// The key of the conversation that it belongs to.
    conversation: Option<String>,
    file_name: String,
}

fn compose(
    about: &About<'_>,
    rendered: &Rendered,
    addressing: &Addressing<'_>,
    attachments: &[Attachment],
    date: SystemTime,
) -> Result<FinishedMessage, MessageError> {
    let Addressing { from, recipients, options, conversation } = *addressing;
    let host = host_label(about.host);
    let message_id = format!("<{}@{host}>", about.id);
    let mut builder = Message::builder()
        .from(clean(from.clone()))
        .subject(one_line(&rendered.subject, 200))
        .date(date)
        .message_id(Some(message_id.clone()))
        .raw_header(header("Auto-Submitted", "auto-generated"))
        // Not `All`, which would suppress the bounces that tell of a wrong address.
        .raw_header(header("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply"));
    if let Some(run_id) = about.run_id {
        builder = builder.raw_header(header("X-Run-Id", run_id.as_str()));
    }
    if about.important {
        builder = builder.raw_header(header("Importance", "high"));
    }
    if let Some(key) = &about.conversation {
        builder = in_conversation(builder, key, &host, conversation)
            // By this Outlook and Exchange group, whatever a subject begins with.
            .raw_header(header("Thread-Topic", &one_line(&rendered.subject, 200)));
    }
    let mut addresses: Vec<Address> = Vec::new();
    for mailbox in once_each(recipients, &mut addresses)? {
        builder = builder.to(mailbox);
    }
    for mailbox in once_each(&options.cc, &mut addresses)? {
        builder = builder.cc(mailbox);
    }
    once_each(&options.bcc, &mut addresses)?;
    for mailbox in once_each(&options.reply_to, &mut Vec::new())? {
        builder = builder.reply_to(mailbox);
    }
    let build = |source| MessageError::Build { source };
    let envelope = Envelope::new(Some(from.email.clone()), addresses).map_err(|error| match error {
        lettre::error::Error::MissingTo => MessageError::NoRecipients,
        source => build(source),
    })?;
    // Else it would be made of the headers, of which there may be none.
    let builder = builder.envelope(envelope.clone());
    let body = MultiPart::alternative_plain_html(rendered.text.clone(), rendered.html.clone());
    let body = attachments
        .iter()
        .fold(None, |mixed: Option<MultiPart>, attachment| {
            let mixed = mixed.unwrap_or_else(|| MultiPart::mixed().multipart(body.clone()));
            Some(mixed.singlepart(part(attachment)))
        })
        .unwrap_or(body);
    let message = builder.multipart(body).map_err(build)?;
    let file_name = about.file_name.clone();
    Ok(FinishedMessage { bytes: message.formatted(), envelope, message_id, file_name })
}

/// Puts the message into the project's conversation. An identifier of ours stands first in each, and so holds it together where
/// servers leave identifiers alone. Exchange replaces ours, so that only the first message's own identifier there is one that
/// Outlook knows.
fn in_conversation(builder: MessageBuilder, key: &str, host: &str, first: Option<&str>) -> MessageBuilder {
    let root = format!("<{key}@{host}>");
    match first.filter(|id| is_message_id(id)) {
        Some(first) => builder.in_reply_to(first.to_owned()).references(format!("{root} {first}")),
        None => builder.references(root),
    }
}

/// What tells a project's conversation from all others of its machine: the same as long as its folder and its profile are.
#[must_use]
pub fn conversation_key(project_dir: &Path, profile: Option<&str>) -> String {
    // FNV-1a of 64 bits: the standard library's hashes may change with its version.
    let bytes = [project_dir.to_string_lossy().as_bytes(), b"\0", profile.unwrap_or_default().as_bytes()].concat();
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("project.{hash:016x}")
}

/// Whether it is an identifier that may stand in a header (RFC 5322, section 3.6.4), and not too long for a line there.
fn is_message_id(id: &str) -> bool {
    let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
    id.len() <= 250
        && inner.is_some_and(|id| id.contains('@') && id.bytes().all(|b| b.is_ascii_graphic() && !b"<>".contains(&b)))
}

/// Those of the list that are not among the addresses yet; they are put there.
fn once_each(list: &[String], addresses: &mut Vec<Address>) -> Result<Vec<Mailbox>, MessageError> {
    let mut mailboxes = Vec::with_capacity(list.len());
    for recipient in list {
        let parsed: Result<Mailbox, _> = recipient.trim().parse();
        let mailbox = parsed.map_err(|source| MessageError::Recipient { recipient: recipient.clone(), source })?;
        // No server that anyone uses tells `Ann` from `ann`.
        let same = |other: &Address| other.to_string().eq_ignore_ascii_case(mailbox.email.as_ref());
        if !addresses.iter().any(same) {
            addresses.push(mailbox.email.clone());
            mailboxes.push(clean(mailbox));
        }
    }
    Ok(mailboxes)
}

/// The same with a name that is fit for a header.
fn clean(mailbox: Mailbox) -> Mailbox {
    let name = mailbox.name.map(|name| one_line(&name, 100)).filter(|name| !name.is_empty());
    Mailbox { name, ..mailbox }
}

/// Always in base64: byte for byte what it was, whatever its line ends are.
fn part(attachment: &Attachment) -> SinglePart {
    let name = one_line(&attachment.name, 150);
    let builder = SinglePart::builder().header(ContentDisposition::attachment(&name));
    let builder = match ContentType::parse(attachment.media_type) {
        Ok(media_type) => builder.header(media_type),
        Err(_) => builder,
    };
    let encoded = Body::new_with_encoding(attachment.bytes.clone(), ContentTransferEncoding::Base64);
    builder.body(encoded.unwrap_or_else(Body::new))
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// The machine's name as the domain of a Message-ID, of a sender that has none, and of a greeting: letters, digits,
/// dots and hyphens (RFC 1123, section 2.1).
pub(super) fn host_label(host: &str) -> String {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else if c == '.' {
            '.'
        } else {
            '-'
        }
    };
    let mapped: String = host.chars().map(fit).collect();
    let labels = mapped.split('.').map(|label| label.trim_matches('-')).filter(|label| !label.is_empty());
    let name = labels.map(|label| &label[..label.len().min(63)]).collect::<Vec<_>>().join(".");
    if name.is_empty() || name.len() > 200 { "localhost".to_owned() } else { name }
}

fn file_name(project: &str, what: &str) -> String {
    let fit = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let name: String = project.chars().take(60).map(fit).collect();
    let name = name.trim_start_matches('.');
    format!("{}-{what}.eml", if name.is_empty() { "project" } else { name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::render::samples::{exit, report, success};
    use crate::mail::{RenderContext, render};
    use crate::model::{EmailStrategy, Outcome};

    fn message(outcomes: Vec<Outcome>, recipients: &[&str]) -> Result<FinishedMessage, MessageError> {
        let report = report("P", outcomes);
        let rendered = render(&report, EmailStrategy::All, &RenderContext::default());
        let recipients: Vec<String> = recipients.iter().map(|text| (*text).to_owned()).collect();
        let from = "r@example.com".parse().unwrap();
        let options = MailOptions::default();
        let addressing = Addressing { from: &from, recipients: &recipients, options: &options, conversation: None };
        finish(&report, &rendered, &addressing, &[], SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn only_a_failure_is_important() {
        let text = |outcomes| String::from_utf8(message(outcomes, &["a@example.com"]).unwrap().bytes).unwrap();
        assert!(!text(vec![success()]).contains("Importance"));
        assert!(text(vec![success(), exit(1)]).contains("\r\nImportance: high\r\n"));
    }

    #[test]
    fn everybody_gets_it_once() {
        let message = message(vec![success()], &["a@example.com", " B <b@example.com>", "a@example.com"]).unwrap();
        let to: Vec<String> = message.envelope.to().iter().map(ToString::to_string).collect();
        assert_eq!(to, ["a@example.com", "b@example.com"]);
    }

    #[test]
    fn what_is_no_recipient_is_an_error() {
        assert!(message(vec![], &["nobody"]).unwrap_err().to_string().contains("`nobody`"));
        assert!(matches!(message(vec![], &[]), Err(MessageError::NoRecipients)));
    }

    #[test]
    fn hosts_and_file_names_are_made_fit() {
        for (host, label) in [
            ("LAPTOP-1", "laptop-1"),
            ("a b\r\nc", "a-b--c"),
            ("büro.lan", "b-ro.lan"),
            ("..", "localhost"),
            ("", "localhost"),
        ] {
            assert_eq!(host_label(host), label);
        }
        assert_eq!(file_name("..\\a/b: c\n", "39be3d37aed64"), "_a_b__c_-39be3d37aed64.eml");
        assert_eq!(file_name("日本 ?", "39be3d37aed64"), "日本__-39be3d37aed64.eml");
    }
}

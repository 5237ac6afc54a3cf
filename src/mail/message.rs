//! A summary made into a message: bytes that are finished once and then sent, kept and sent again as they are.

use std::time::SystemTime;

use lettre::Message;
use lettre::address::{Address, AddressError, Envelope};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use thiserror::Error;

use super::Rendered;
use super::render::one_line;
use crate::model::{RunReport, RunStatus};

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
    /// `PROJECT-RUNID.eml`: a name that is one on every system.
    pub file_name: String,
}

/// Makes the message. `date` goes into its Date header; everything else depends on the report alone, but for the boundary
/// between its parts.
///
/// # Errors
/// When a recipient is no address, or there is none.
pub fn finish(
    report: &RunReport,
    rendered: &Rendered,
    from: &Mailbox,
    recipients: &[String],
    date: SystemTime,
) -> Result<FinishedMessage, MessageError> {
    let message_id = format!("<{}.{}@{}>", report.run_id, report.started.timestamp_micros(), host_label(&report.host));
    let mut builder = Message::builder()
        .from(from.clone())
        .subject(one_line(&rendered.subject, 200))
        .date(date)
        .message_id(Some(message_id.clone()))
        .raw_header(header("Auto-Submitted", "auto-generated"))
        // Not `All`, which would suppress the bounces that tell of a wrong address.
        .raw_header(header("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply"))
        .raw_header(header("X-Run-Id", report.run_id.as_str()));
    if report.status == RunStatus::Interrupted || report.failures().next().is_some() {
        builder = builder.raw_header(header("Importance", "high"));
    }
    let mut addresses: Vec<Address> = Vec::new();
    for recipient in recipients {
        let parsed: Result<Mailbox, _> = recipient.trim().parse();
        let mailbox = parsed.map_err(|source| MessageError::Recipient { recipient: recipient.clone(), source })?;
        if !addresses.contains(&mailbox.email) {
            addresses.push(mailbox.email.clone());
            builder = builder.to(mailbox);
        }
    }
    let build = |source| MessageError::Build { source };
    let envelope = Envelope::new(Some(from.email.clone()), addresses).map_err(|error| match error {
        lettre::error::Error::MissingTo => MessageError::NoRecipients,
        source => build(source),
    })?;
    let body = MultiPart::alternative_plain_html(rendered.text.clone(), rendered.html.clone());
    let message = builder.multipart(body).map_err(build)?;
    Ok(FinishedMessage { bytes: message.formatted(), envelope, message_id, file_name: file_name(report) })
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

fn file_name(report: &RunReport) -> String {
    let fit = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    let name: String = report.project.chars().take(60).map(fit).collect();
    let name = name.trim_start_matches('.');
    format!("{}-{}.eml", if name.is_empty() { "project" } else { name }, report.run_id)
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
        finish(&report, &rendered, &"r@example.com".parse().unwrap(), &recipients, SystemTime::UNIX_EPOCH)
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
        let mut report = report("..\\a/b: c\n", vec![]);
        assert_eq!(file_name(&report), "_a_b__c_-39be3d37aed64.eml");
        report.project = "日本 ?".into();
        assert_eq!(file_name(&report), "日本__-39be3d37aed64.eml");
    }
}

//! The message of `runner mail test`.

use std::time::SystemTime;

use lettre::address::{Address, Envelope};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};

use super::message::host_label;
use super::{MailSettings, MessageError, Outgoing};

/// A short mail by which people see that mails arrive.
///
/// # Errors
/// When no message can be made of the addresses.
pub fn trial(
    settings: &MailSettings,
    to: &Address,
    project: &str,
    host: &str,
    date: SystemTime,
) -> Result<Outgoing, MessageError> {
    let build = |source| MessageError::Build { source };
    let micros = date.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros());
    let text = format!(
        "This is a test of the mail settings of {project} on {host}: they work.\r\n\r\n\
         It was sent by {} over {}:{}, by the command `runner mail test`. There is nothing to do.\r\n",
        settings.login, settings.host, settings.port
    );
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    let message = Message::builder()
        .from(settings.from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(format!("{project}: test of the mail settings"))
        .date(date)
        .message_id(Some(format!("<test.{micros}@{}>", host_label(host))))
        .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
        .header(ContentType::TEXT_PLAIN)
        .body(text)
        .map_err(build)?;
    let envelope = Envelope::new(Some(settings.from.email.clone()), vec![to.clone()]).map_err(build)?;
    Ok(Outgoing { bytes: message.formatted(), envelope })
}

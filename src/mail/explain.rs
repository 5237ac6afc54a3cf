//! What a failed delivery means, and what to do about it, in plain words. Pure.

use std::time::Duration;

use lettre::transport::smtp::Error as SmtpError;

use super::render::one_line;
use super::transport::{DeliveryError, DeliveryFailure, Refused, Stage};
use super::{MailSettings, MailTls};
use crate::model::format_duration;

/// Characters of a server's reply that are kept.
const REPLY: usize = 400;

/// The server's reply: its code and its text on one line; `None` when the error is none of the server's.
pub(super) fn reply_of(error: &SmtpError) -> Option<String> {
    let code = error.status()?;
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    Some(one_line(&format!("{code} {text}"), REPLY))
}

/// What an error of the connection means.
pub(super) fn explain(error: &SmtpError, stage: Stage, settings: &MailSettings, deadline: Duration) -> DeliveryError {
    if let Some(reply) = reply_of(error) {
        return explain_reply(reply, stage, settings);
    }
    let cause = one_line(&causes(error), REPLY);
    let server = server(settings);
    let lower = cause.to_ascii_lowercase();
    let (failure, sentence) = if lower.contains("invalid peer certificate") {
        let hint = "nothing was sent, since anybody could be listening there; check MAIL_HOST and this machine's clock, \
                    and if the server's certificate is issued by your own organisation, name that issuer's in MAIL_CA_FILE";
        (DeliveryFailure::Certificate, format!("THE CERTIFICATE OF {server} IS NOT TO BE TRUSTED: {cause}; {hint}"))
    } else if is_timeout(error) {
        return explain_deadline(stage, settings, deadline);
    } else if lower.contains("starttls is not supported") {
        let hint = "nothing was sent in the clear; if the server speaks TLS from the first byte, set MAIL_TLS=tls and its port";
        (DeliveryFailure::Tls, format!("{server} offers no encryption (STARTTLS); {hint}"))
    } else if lower.contains("corrupt message") || lower.contains("fatal alert") || lower.contains("tls error") {
        let hint = "MAIL_TLS=starttls goes with port 587, MAIL_TLS=tls with port 465";
        (DeliveryFailure::Tls, format!("no encryption could be agreed on with {server}: {cause}; {hint}"))
    } else if stage == Stage::Connect && is_io(error) {
        let hint = "check MAIL_HOST and MAIL_PORT, and that the network lets this machine out to that port";
        (DeliveryFailure::Unreachable, format!("cannot connect to {server}: {cause}; {hint}"))
    } else {
        let unknown = if stage == Stage::Message { ", so nobody knows whether it has the mail" } else { "" };
        let sentence = format!("the connection to {server} broke while {stage}{unknown}: {cause}");
        (DeliveryFailure::ConnectionLost, sentence)
    };
    DeliveryError { failure, stage, sentence, reply: None }
}

/// The server doesn't answer.
pub(super) fn explain_deadline(stage: Stage, settings: &MailSettings, deadline: Duration) -> DeliveryError {
    let server = server(settings);
    let hint = match (stage, settings.tls) {
        (Stage::Connect, MailTls::StartTls) if settings.port == 465 => "; port 465 needs MAIL_TLS=tls",
        (Stage::Lookup, _) => "; check the network and MAIL_HOST",
        (Stage::Connect, _) => {
            "; check MAIL_HOST and MAIL_PORT, and that the network lets this machine out to that port"
        }
        (Stage::Message, _) => "; nobody knows whether it has the mail",
        _ => "; the server may be overloaded: try again later",
    };
    let within = format_duration(deadline);
    let sentence = format!("{server} did not take the mail within {within}, and got stuck while {stage}{hint}");
    DeliveryError { failure: DeliveryFailure::Deadline, stage, sentence, reply: None }
}

/// The server's name can't be looked up.
pub(super) fn explain_lookup(cause: &str, settings: &MailSettings) -> DeliveryError {
    let sentence = format!(
        "cannot find the mail server {}: {}; check MAIL_HOST and the network",
        settings.host,
        one_line(cause, REPLY)
    );
    DeliveryError { failure: DeliveryFailure::NoSuchHost, stage: Stage::Lookup, sentence, reply: None }
}

/// The server offers no way to sign in with a password.
pub(super) fn explain_no_sign_in(settings: &MailSettings) -> DeliveryError {
    let sentence = format!(
        "{} takes no password (it offers neither AUTH LOGIN nor AUTH PLAIN); ask its administrator to allow it for {}, \
         or send through another server (MAIL_HOST)",
        server(settings),
        settings.login
    );
    DeliveryError { failure: DeliveryFailure::NoPasswordSignIn, stage: Stage::SignIn, sentence, reply: None }
}

/// The server accepted none of the recipients.
pub(super) fn explain_refused(refused: &[Refused]) -> DeliveryError {
    let who = refused.iter().map(|one| one.recipient.as_str()).collect::<Vec<_>>().join(", ");
    let sentence = format!("the server refused every recipient ({}); check `recipients`", one_line(&who, REPLY));
    let reply = refused.first().map(|one| one.reply.clone());
    DeliveryError { failure: DeliveryFailure::RecipientsRefused, stage: Stage::Recipients, sentence, reply }
}

/// What a refusal means. The texts are Exchange Online's, as Microsoft's "Fix issues with printers, scanners, and LOB
/// applications that send email" and "NDR error codes in Exchange Online" give them; other servers share the codes.
pub(super) fn explain_reply(reply: String, stage: Stage, settings: &MailSettings) -> DeliveryError {
    let says = |text: &str| reply.to_ascii_lowercase().contains(&text.to_ascii_lowercase());
    let login = &settings.login;
    let from = &settings.from.email;
    let credentials = || {
        let hint = "check LOGIN_MAIL and PASSWORD_MAIL (in .env, a password with $ or # stands in single quotes); an account \
                    with a second factor needs an app password";
        (DeliveryFailure::WrongCredentials, format!("the server refused the login or the password of {login}; {hint}"))
    };
    let (failure, sentence) = if says("credentials were incorrect") {
        credentials()
    } else if says("5.7.139") || says("5.7.30") || says("SmtpClientAuthentication is disabled") {
        let hint = "trying again won't help: ask the administrator to allow authenticated SMTP for it, \
                    or send through another server (MAIL_HOST)";
        let what = format!("the server no longer accepts passwords for the mailbox {login}");
        (DeliveryFailure::BasicAuthenticationOff, format!("{what} (basic authentication is switched off); {hint}"))
    } else if says("SendAsDenied") || says("5.7.60") || says("5.2.252") {
        let hint = "set MAIL_FROM to the login, or have the right to send as that address granted";
        (DeliveryFailure::SenderRefused, format!("{login} may not send mail in the name of {from}; {hint}"))
    } else if says("QuotaExceeded") || says("5.2.122") {
        let hint = "it may send again later (Exchange Online allows 30 messages a minute and 10,000 recipients a day)";
        (DeliveryFailure::QuotaExceeded, format!("the mailbox {login} has sent too much for now; {hint}"))
    } else if says("MapiExceptionLogonFailed") {
        let hint = "the permission to send from this mailbox is probably missing: check that the login is its owner";
        (DeliveryFailure::Temporary, format!("the server could not open the mailbox {login}; {hint}"))
    } else if says("5.7.57") || reply.starts_with("530") {
        let hint = "check that MAIL_HOST is the server for submission, and MAIL_TLS";
        (DeliveryFailure::NoPasswordSignIn, format!("the server wants a sign-in that it did not offer; {hint}"))
    } else if stage == Stage::SignIn && (reply.starts_with("535") || reply.starts_with("534")) {
        credentials()
    } else if reply.starts_with('4') {
        (DeliveryFailure::Temporary, format!("the server can't take the mail now (while {stage}); try again later"))
    } else {
        (DeliveryFailure::Permanent, format!("the server refused the mail while {stage}"))
    };
    DeliveryError { failure, stage, sentence, reply: Some(reply) }
}

fn server(settings: &MailSettings) -> String {
    format!("{}:{}", settings.host, settings.port)
}

/// On Linux a read that timed out is `WouldBlock`, which the library's own `is_timeout` doesn't count.
fn is_timeout(error: &SmtpError) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    io_kind(error).is_some_and(|kind| matches!(kind, TimedOut | WouldBlock))
}

fn is_io(error: &SmtpError) -> bool {
    io_kind(error).is_some()
}

fn io_kind(error: &SmtpError) -> Option<std::io::ErrorKind> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        source = cause.source();
    }
    None
}

/// The causes alone: the library's own words for the kind say nothing to a reader.
fn causes(error: &SmtpError) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        source = cause.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> MailSettings {
        MailSettings {
            host: "smtp.example.com".into(),
            port: 587,
            tls: MailTls::StartTls,
            login: "runs@example.com".into(),
            sign_in: crate::mail::SignIn::Password("s3cret".into()),
            from: "other@example.com".parse().unwrap(),
            ca: None,
            authority: String::new(),
            rate: None,
        }
    }

    #[test]
    fn each_reply_is_explained_with_its_remedy() {
        use DeliveryFailure::*;
        let cases = [
            (
                "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
                BasicAuthenticationOff,
                "no longer accepts passwords",
            ),
            (
                "550 5.7.30 Basic authentication is not supported for Client Submission.",
                BasicAuthenticationOff,
                "MAIL_HOST",
            ),
            (
                "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
                WrongCredentials,
                "PASSWORD_MAIL",
            ),
            ("535 5.7.3 Authentication unsuccessful [XX]", WrongCredentials, "single quotes"),
            ("554 5.2.252 SendAsDenied; runs@x not allowed to send as other@x", SenderRefused, "MAIL_FROM"),
            (
                "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
                SenderRefused,
                "other@example.com",
            ),
            ("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", QuotaExceeded, "later"),
            ("430 4.2.0 STOREDRV; mailbox logon failure; MapiExceptionLogonFailed", Temporary, "permission"),
            ("530 5.7.57 Client not authenticated to send mail.", NoPasswordSignIn, "MAIL_TLS"),
            ("432 4.3.2 Concurrent connections limit exceeded.", Temporary, "later"),
            ("552 5.3.4 Message size exceeds fixed maximum message size", Permanent, "refused"),
        ];
        for (reply, failure, remedy) in cases {
            let error = explain_reply(reply.to_owned(), Stage::SignIn, &settings());
            assert_eq!(error.failure, failure, "{reply}");
            let text = error.to_string();
            assert!(text.contains(remedy) && text.contains(reply) && !text.contains("s3cret"), "{text}");
        }
    }
}

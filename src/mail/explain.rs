//! What a failed delivery means, and what to do about it, in plain words. Pure.

use std::time::Duration;

use lettre::transport::smtp::Error as SmtpError;

use super::delivery::{DeliveryError, DeliveryFailure, Refused, Stage};
use super::render::one_line;
use super::{MailSettings, MailTls, SignIn};
use crate::model::{format_duration, format_size};

/// Characters of a server's reply that are kept.
const REPLY: usize = 400;

/// The server's reply: its code and its text on one line; `None` when the error is none of the server's.
pub(super) fn reply_of(error: &SmtpError) -> Option<String> {
    let code = error.status()?;
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    Some(one_line(&format!("{code} {text}"), REPLY))
}

/// What an error of the connection means, after so long.
pub(super) fn explain(error: &SmtpError, stage: Stage, settings: &MailSettings, took: Duration) -> DeliveryError {
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
        return explain_deadline(stage, settings, took);
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
        return explain_lost(&cause, stage, settings);
    };
    DeliveryError { failure, stage, sentence, reply: None }
}

/// The connection is gone, or whoever had it.
pub(super) fn explain_lost(cause: &str, stage: Stage, settings: &MailSettings) -> DeliveryError {
    let unknown = if stage == Stage::Message { ", so nobody knows whether it has the mail" } else { "" };
    let sentence = format!("the connection to {} broke while {stage}{unknown}: {cause}", server(settings));
    DeliveryError { failure: DeliveryFailure::ConnectionLost, stage, sentence, reply: None }
}

/// The server doesn't answer, and that for so long.
pub(super) fn explain_deadline(stage: Stage, settings: &MailSettings, took: Duration) -> DeliveryError {
    let server = server(settings);
    let hint = match (stage, settings.tls) {
        (Stage::Connect, MailTls::StartTls) if settings.port == 465 => "; port 465 needs MAIL_TLS=tls",
        (Stage::Lookup, _) => "; check the network and MAIL_HOST",
        (Stage::Token, _) => "; check that the network lets this machine out to MAIL_AUTHORITY",
        (Stage::Connect, _) => {
            "; check MAIL_HOST and MAIL_PORT, and that the network lets this machine out to that port"
        }
        (Stage::Message, _) => "; nobody knows whether it has the mail",
        _ => "; the server may be overloaded: try again later",
    };
    // Whole seconds: nobody has set a limit of 30 s and 412 µs.
    let within = format_duration(Duration::from_secs(took.as_secs_f64().round().max(1.0) as u64));
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

/// What to do where passwords are of no use.
const USE_OAUTH: &str = "sign in with OAuth: set MAIL_CLIENT_ID, and either MAIL_CLIENT_SECRET and MAIL_TENANT_ID for an application, \
                         or run `runner mail login` once as the mailbox's owner";

/// The server offers no way to sign in with a password.
pub(super) fn explain_no_password(settings: &MailSettings) -> DeliveryError {
    let sentence = format!(
        "{} takes no password (it offers neither AUTH LOGIN nor AUTH PLAIN); {USE_OAUTH}, or send through another server (MAIL_HOST)",
        server(settings),
    );
    DeliveryError { failure: DeliveryFailure::NoPasswordSignIn, stage: Stage::SignIn, sentence, reply: None }
}

/// The server offers no way to sign in with a token.
pub(super) fn explain_no_xoauth2(settings: &MailSettings) -> DeliveryError {
    let sentence = format!(
        "{} takes no tokens (it doesn't offer AUTH XOAUTH2); check MAIL_HOST, or take MAIL_CLIENT_ID away and set PASSWORD_MAIL",
        server(settings),
    );
    DeliveryError { failure: DeliveryFailure::TokenNotAccepted, stage: Stage::SignIn, sentence, reply: None }
}

/// Nobody here has tokens.
pub(super) fn explain_no_token(settings: &MailSettings) -> DeliveryError {
    let sentence = format!("there is no token for {}; run `runner mail login`", settings.login);
    DeliveryError { failure: DeliveryFailure::NotSignedIn, stage: Stage::Token, sentence, reply: None }
}

/// The server accepted none of the recipients.
pub(super) fn explain_refused(refused: &[Refused], settings: &MailSettings) -> DeliveryError {
    // What all were answered may say nothing of them.
    for concerns_all in [is_about_sender, is_too_large] {
        if let Some(one) = refused.first().filter(|_| refused.iter().all(|one| concerns_all(&one.reply))) {
            return explain_reply(one.reply.clone(), Stage::Recipients, settings);
        }
    }
    // The others are refused again when it may send again.
    if let Some(one) = refused.iter().find(|one| is_about_quota(&one.reply)) {
        return explain_reply(one.reply.clone(), Stage::Recipients, settings);
    }
    let who = refused.iter().map(|one| one.recipient.as_str()).collect::<Vec<_>>().join(", ");
    let sentence = format!("the server refused every recipient ({}); check `recipients`", one_line(&who, REPLY));
    // If one may be taken later, that decides what is done next.
    let first = refused.iter().find(|one| one.is_temporary()).or(refused.first());
    let reply = first.map(|one| one.reply.clone());
    DeliveryError { failure: DeliveryFailure::RecipientsRefused, stage: Stage::Recipients, sentence, reply }
}

/// What a refusal means. The texts are Exchange Online's, as Microsoft's "Fix issues with printers, scanners, and LOB
/// applications that send email" and "NDR error codes in Exchange Online" give them; other servers share the codes.
pub(super) fn explain_reply(reply: String, stage: Stage, settings: &MailSettings) -> DeliveryError {
    let says = |text: &str| reply.to_ascii_lowercase().contains(&text.to_ascii_lowercase());
    let login = &settings.login;
    let from = &settings.from.email;
    let by_token = !matches!(settings.sign_in, SignIn::Password(_));
    let credentials = || {
        let hint = "check LOGIN_MAIL and PASSWORD_MAIL (in .env, a password with $ or # stands in single quotes); an account \
                    with a second factor needs an app password";
        (DeliveryFailure::WrongCredentials, format!("the server refused the login or the password of {login}; {hint}"))
    };
    let switched_off = says("SmtpClientAuthentication is disabled");
    let (failure, sentence) = if by_token && (switched_off || says("5.7.139")) {
        let hint = "ask the administrator to switch it on for this mailbox (Set-CASMailbox -SmtpClientAuthenticationDisabled $false)";
        let what = format!("the mailbox {login} may not send by authenticated SMTP, although its token was understood");
        (DeliveryFailure::TokenNotAccepted, format!("{what}; {hint}"))
    } else if by_token && stage == Stage::SignIn && (reply.starts_with("535") || reply.starts_with("534")) {
        let hint = match settings.sign_in {
            SignIn::App { .. } => {
                "check that LOGIN_MAIL is the mailbox, that the application has the permission SMTP.SendAsApp with an \
                 administrator's consent, and that it is registered in Exchange with full access to the mailbox"
            }
            _ => {
                "check that LOGIN_MAIL is the account that has signed in; if so, run `runner mail login` again, and have \
                 authenticated SMTP switched on for the mailbox"
            }
        };
        (DeliveryFailure::TokenNotAccepted, format!("the server refused a new token for {login}; {hint}"))
    } else if says("credentials were incorrect") {
        credentials()
    } else if says("5.7.139") || says("5.7.30") || switched_off {
        let what = format!("the server no longer accepts passwords for the mailbox {login}");
        let why = "basic authentication is switched off; Microsoft switches it off for everybody, by default at the end of December 2026";
        let hint = format!("trying again won't help: {USE_OAUTH}");
        (DeliveryFailure::BasicAuthenticationOff, format!("{what} ({why}); {hint}"))
    } else if is_about_sender(&reply) {
        let hint = "set MAIL_FROM to the login, or have the right to send as that address granted";
        (DeliveryFailure::SenderRefused, format!("{login} may not send mail in the name of {from}; {hint}"))
    } else if is_too_large(&reply) {
        return explain_too_large(None, Some(reply), stage);
    } else if is_about_quota(&reply) {
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

/// Whether the login may not send in the sender's name. Postfix says so to each recipient.
fn is_about_sender(reply: &str) -> bool {
    ["SendAsDenied", "5.7.60", "5.2.252", "not owned by user"].iter().any(|words| reply.contains(words))
}

/// Whether the login has sent too much. 5.1.90 is Exchange Online's word for the recipients of a day, 5.4.5 Gmail's for its
/// limit of a day.
fn is_about_quota(reply: &str) -> bool {
    let codes = ["5.2.122", "5.1.90", "5.4.5"];
    reply.to_ascii_lowercase().contains("quotaexceeded") || codes.iter().any(|code| enhanced(reply) == Some(code))
}

/// Whether the message is larger than the server takes (RFC 3463, section 3.4; RFC 1870, section 6.1). A 552 without such a code
/// may also tell of a mailbox that is full.
fn is_too_large(reply: &str) -> bool {
    let says_so = ["size", "large", "big"].iter().any(|word| reply.to_ascii_lowercase().contains(word));
    enhanced(reply) == Some("5.3.4") || enhanced(reply).is_none() && reply.starts_with("552") && says_so
}

/// The status code that follows the three digits (RFC 2034).
fn enhanced(reply: &str) -> Option<&str> {
    let word = reply.split([' ', '-']).nth(1)?;
    let is_code = word.split('.').count() == 3 && word.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
    is_code.then_some(word)
}

/// The message is larger than the server takes: than `limit`, in bytes, if it has told that.
pub(super) fn explain_too_large(limit: Option<u64>, reply: Option<String>, stage: Stage) -> DeliveryError {
    let hint = "if it is so by attached outputs, set `attach_output` of `mail` to \"never\"";
    let takes = limit.map(|limit| format!(", which takes {} at most", format_size(limit))).unwrap_or_default();
    let sentence = format!("the mail is too large for the server{takes}; {hint}");
    DeliveryError { failure: DeliveryFailure::TooLarge, stage, sentence, reply }
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
        let mut text = cause.to_string();
        // The libraries explain themselves to programmers.
        if text == "incomplete response" || text.starts_with("peer closed connection without sending TLS close_notify")
        {
            "the server hung up".clone_into(&mut text);
        }
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
    use crate::mail::NextStep;

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

    fn with_token() -> MailSettings {
        let sign_in = SignIn::Delegated { tenant: "consumers".into(), client_id: "app".into() };
        MailSettings { sign_in, ..settings() }
    }

    #[test]
    fn each_reply_is_explained_with_its_remedy_and_leads_to_the_right_step() {
        use DeliveryFailure::*;
        use NextStep::{Fail, Hold, Pause, Retry};
        use Stage::{Connect, Message, Sender};
        let signing = Stage::SignIn;
        let (basic, token) = (settings(), with_token());
        let disabled = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.";
        let unsuccessful = "535 5.7.3 Authentication unsuccessful [LAB]";
        let logon = "430 4.2.0 STOREDRV; mailbox logon failure; MapiExceptionLogonFailed";
        let cases = [
            (
                "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
                (signing, &basic),
                (BasicAuthenticationOff, Hold),
                "runner mail login",
            ),
            (
                "550 5.7.30 Basic authentication is not supported for Client Submission.",
                (signing, &basic),
                (BasicAuthenticationOff, Hold),
                "MAIL_CLIENT_ID",
            ),
            (disabled, (signing, &basic), (BasicAuthenticationOff, Hold), "December 2026"),
            (disabled, (signing, &token), (TokenNotAccepted, Hold), "Set-CASMailbox"),
            (
                "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
                (signing, &basic),
                (WrongCredentials, Hold),
                "PASSWORD_MAIL",
            ),
            (unsuccessful, (signing, &basic), (WrongCredentials, Hold), "single quotes"),
            (unsuccessful, (signing, &token), (TokenNotAccepted, Hold), "the account that has signed in"),
            ("454 4.7.0 Temporary authentication failure", (signing, &token), (Temporary, Retry), "later"),
            (
                "554 5.2.252 SendAsDenied; runs@x not allowed to send as other@x",
                (Message, &token),
                (SenderRefused, Hold),
                "MAIL_FROM",
            ),
            (
                "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
                (Sender, &basic),
                (SenderRefused, Hold),
                "other@example.com",
            ),
            (
                "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
                (Message, &basic),
                (QuotaExceeded, Pause),
                "later",
            ),
            (logon, (Message, &basic), (Temporary, Retry), "permission"),
            (logon, (signing, &token), (Temporary, Retry), "permission"),
            (
                "530 5.7.57 Client not authenticated to send mail.",
                (Sender, &basic),
                (NoPasswordSignIn, Hold),
                "MAIL_TLS",
            ),
            ("432 4.3.2 Concurrent connections limit exceeded.", (Sender, &basic), (Temporary, Retry), "later"),
            ("421 4.3.2 Service not available", (Connect, &basic), (Temporary, Retry), "later"),
            ("451 4.7.500 Server busy", (Message, &token), (Temporary, Retry), "later"),
            (
                "552 5.3.4 Message size exceeds fixed maximum message size",
                (Message, &basic),
                (TooLarge, Fail),
                "attach_output",
            ),
            ("552 message is too big", (Message, &basic), (TooLarge, Fail), "attach_output"),
            ("552 5.2.2 Mailbox full", (Message, &basic), (Permanent, Fail), "refused"),
            (
                "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
                (Message, &token),
                (QuotaExceeded, Pause),
                "10,000 recipients",
            ),
            ("550 5.4.5 Daily user sending limit exceeded.", (Message, &basic), (QuotaExceeded, Pause), "later"),
            ("550 5.1.8 Access denied, bad outbound sender", (Sender, &basic), (Permanent, Fail), "refused"),
            ("554 5.7.1 Your address is on a list", (Connect, &basic), (Permanent, Hold), "refused"),
        ];
        for (reply, (stage, settings), (failure, step), remedy) in cases {
            let error = explain_reply(reply.to_owned(), stage, settings);
            assert_eq!((error.failure, error.next_step()), (failure, step), "{reply}");
            assert!(!error.is_in_doubt(), "there was an answer: {reply}");
            let text = error.to_string();
            assert!(text.contains(remedy) && text.contains(reply) && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn of_refused_recipients_one_who_may_be_taken_later_decides() {
        let refused = |replies: &[&str]| {
            let one = |reply: &&str| Refused { recipient: "ann@example.com".into(), reply: (*reply).to_owned() };
            explain_refused(&replies.iter().map(one).collect::<Vec<_>>(), &settings()).next_step()
        };
        assert_eq!(refused(&["550 5.1.10 Not found", "450 4.2.0 Busy"]), NextStep::Retry);
        assert_eq!(refused(&["550 5.1.10 Not found", "550 5.7.1 No relaying"]), NextStep::Fail);
        let not_yours = "553 5.7.1 <other@example.com>: Sender address rejected: not owned by user runs@example.com";
        assert_eq!(refused(&[not_yours, not_yours]), NextStep::Hold);
        let quota =
            "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients";
        assert_eq!(refused(&[quota, quota]), NextStep::Pause);
        assert_eq!(refused(&[quota, "550 5.1.10 Not found"]), NextStep::Pause, "who may get it later decides");
        assert_eq!(refused(&["the server takes no addresses with other than ASCII letters"]), NextStep::Fail);
    }

    #[test]
    fn a_message_is_in_doubt_while_it_is_handed_over_and_at_no_other_time() {
        let stages = [Stage::Lookup, Stage::Connect, Stage::SignIn, Stage::Sender, Stage::Data, Stage::Message];
        for stage in stages {
            let errors = [
                explain_deadline(stage, &settings(), Duration::from_secs(30)),
                explain_lost("connection reset", stage, &settings()),
            ];
            for error in errors {
                assert_eq!(error.next_step(), NextStep::Retry);
                assert_eq!(error.is_in_doubt(), stage == Stage::Message);
                assert_eq!(error.to_string().contains("nobody knows"), error.is_in_doubt(), "{error}");
            }
        }
    }
}

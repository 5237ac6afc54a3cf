//! The variables one by one: what each may be.

use std::net::IpAddr;
use std::path::PathBuf;

use lettre::Address;
use lettre::message::Mailbox;

use super::types::is_microsoft;
use super::{InvalidVariable, MailTls};

/// Submission at Microsoft (the host that "POP, IMAP, and SMTP settings for Outlook" names).
pub(super) const DEFAULT_HOST: &str = "smtp.office365.com";
/// Submission (RFC 6409), which begins in the clear and goes on under STARTTLS.
const SUBMISSION_PORT: u16 = 587;
/// Submission under TLS from the first byte (RFC 8314, section 3.3).
const SUBMISSIONS_PORT: u16 = 465;
/// Who issues tokens for Microsoft's servers.
const DEFAULT_AUTHORITY: &str = "https://login.microsoftonline.com";
/// Messages a minute that Exchange Online takes from a mailbox ("Exchange Online limits", message rate limit).
const MICROSOFT_RATE: u32 = 30;

pub(super) fn check<T>(result: Result<T, InvalidVariable>, problems: &mut Vec<InvalidVariable>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

fn invalid<T>(variable: &'static str, problem: String, hint: &str) -> Result<T, InvalidVariable> {
    Err(InvalidVariable { variable, problem, hint: hint.to_owned() })
}

pub(super) fn host(value: Option<String>) -> Result<String, InvalidVariable> {
    let Some(value) = value else { return Ok(DEFAULT_HOST.to_owned()) };
    let bare = value.strip_prefix('[').and_then(|v| v.strip_suffix(']')).unwrap_or(&value);
    let is_name = bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_');
    if is_name || bare.parse::<IpAddr>().is_ok() {
        Ok(bare.to_owned())
    } else {
        invalid(
            "MAIL_HOST",
            format!("`{}` is not the name of a host", value.escape_debug()),
            "give the mail server's name alone, as in smtp.office365.com; the port goes into MAIL_PORT",
        )
    }
}

pub(super) fn tls(value: Option<String>, host: Option<&str>) -> Result<MailTls, InvalidVariable> {
    match value.map(|value| value.to_ascii_lowercase()).as_deref() {
        None | Some("starttls") => Ok(MailTls::StartTls),
        Some("tls") => Ok(MailTls::Implicit),
        Some("none") if host.is_none_or(is_loopback) => Ok(MailTls::None),
        Some("none") => invalid(
            "MAIL_TLS",
            "`none` would send the password in the clear".to_owned(),
            "use starttls or tls; none is only for a server on this machine (localhost)",
        ),
        Some(other) => invalid(
            "MAIL_TLS",
            format!("`{}` is not a way to protect a connection", other.escape_debug()),
            "use starttls (the default) or tls; none is only for a server on this machine (localhost)",
        ),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(super) fn port(value: Option<String>, tls: Option<MailTls>) -> Result<u16, InvalidVariable> {
    match value {
        None if tls == Some(MailTls::Implicit) => Ok(SUBMISSIONS_PORT),
        None => Ok(SUBMISSION_PORT),
        Some(value) => match value.parse() {
            Ok(port) if port != 0 => Ok(port),
            _ => invalid(
                "MAIL_PORT",
                format!("`{}` is not a port", value.escape_debug()),
                "give a number from 1 to 65535; 587 is usual with starttls, 465 with tls",
            ),
        },
    }
}

pub(super) fn sender(value: Option<String>, login: &str) -> Result<Mailbox, InvalidVariable> {
    match value {
        Some(value) => value.parse().or_else(|_| {
            let problem = format!("`{}` is not an address", value.escape_debug());
            invalid(
                "MAIL_FROM",
                problem,
                "give one address, as in reports@example.com or Reports <reports@example.com>",
            )
        }),
        None => match login.parse::<Address>() {
            Ok(address) => Ok(Mailbox::new(None, address)),
            Err(_) => invalid(
                "LOGIN_MAIL",
                format!("`{}` is not an address, so mails have no sender", login.escape_debug()),
                "give the mailbox's whole address, or say in MAIL_FROM who mails are from",
            ),
        },
    }
}

/// A login or password that no protocol could carry. The value is not repeated: it may be the password.
pub(super) fn speakable(variable: &'static str, value: &str) -> Result<(), InvalidVariable> {
    if value.contains(['\0', '\r', '\n']) {
        return invalid(
            variable,
            "it contains a line break or a NUL".to_owned(),
            "put it on one line; in .env, a value with $ or # stands in single quotes",
        );
    }
    Ok(())
}

pub(super) fn certificates(file: Option<String>) -> Result<Option<Vec<u8>>, InvalidVariable> {
    let Some(file) = file else { return Ok(None) };
    let path = PathBuf::from(&file);
    let hint = if path.is_absolute() {
        "give the path of a file of certificates in PEM (-----BEGIN CERTIFICATE-----)"
    } else {
        "give the whole path: a relative one is looked up from where the runner was started"
    };
    match std::fs::read(&path) {
        Err(error) => invalid("MAIL_CA_FILE", format!("cannot read {}: {error}", path.display()), hint),
        Ok(pem) => {
            let begins = pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----");
            if begins && lettre::transport::smtp::client::Certificate::from_pem(&pem).is_ok() {
                Ok(Some(pem))
            } else {
                invalid("MAIL_CA_FILE", format!("{} has no certificate in it", path.display()), hint)
            }
        }
    }
}

/// Who issues tokens: an address without a slash at its end. Secrets go there, so it must be protected, unless it is this
/// machine.
pub(super) fn authority(value: Option<String>) -> Result<String, InvalidVariable> {
    const HINT: &str = "give the address that the directory and `/oauth2/v2.0/token` are put after, as in \
                        https://login.microsoftonline.com; plain http is only for a server on this machine (localhost)";
    let Some(value) = value else { return Ok(DEFAULT_AUTHORITY.to_owned()) };
    let bare = value.trim_end_matches('/');
    let not_one = || format!("`{}` is not the address of who issues tokens", value.escape_debug());
    let Ok(uri) = bare.parse::<ureq::http::Uri>() else { return invalid("MAIL_AUTHORITY", not_one(), HINT) };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match uri.scheme_str() {
        _ if host.is_empty() || uri.query().is_some() || bare.contains(['@', '#']) => {
            invalid("MAIL_AUTHORITY", not_one(), HINT)
        }
        Some("https") => Ok(bare.to_owned()),
        Some("http") if is_loopback(host) => Ok(bare.to_owned()),
        Some("http") => invalid("MAIL_AUTHORITY", "http would send secrets in the clear".to_owned(), HINT),
        _ => invalid("MAIL_AUTHORITY", not_one(), HINT),
    }
}

/// Messages a minute.
pub(super) fn rate(value: Option<String>, host: Option<&str>) -> Result<Option<u32>, InvalidVariable> {
    let Some(value) = value else { return Ok(host.is_some_and(is_microsoft).then_some(MICROSOFT_RATE)) };
    match value.parse::<u32>() {
        Ok(0) => Ok(None),
        Ok(rate) => Ok(Some(rate)),
        Err(_) if value.eq_ignore_ascii_case("none") => Ok(None),
        Err(_) => invalid(
            "MAIL_RATE",
            format!("`{}` is not a number of messages a minute", value.escape_debug()),
            "give a whole number, 30 for Microsoft's servers; 0 or none for as many as there are",
        ),
    }
}

/// A directory becomes a part of an address.
pub(super) fn directory(tenant: Option<&str>) -> Result<(), InvalidVariable> {
    match tenant {
        Some(tenant) if !tenant.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) => invalid(
            "MAIL_TENANT_ID",
            format!("`{}` is not a directory", tenant.escape_debug()),
            "give the directory's (tenant's) id or its domain, as in contoso.onmicrosoft.com; consumers for Outlook.com",
        ),
        _ => Ok(()),
    }
}

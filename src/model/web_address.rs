//! Web addresses as project files write them: `${NAME}` in them stands for a variable, so that what is secret in an
//! address needn't stand in the file. Pure.

use thiserror::Error;
use ureq::http::Uri;

/// Why an address can't be called.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// A `${` that begins no variable.
    #[error("a `${{` that names no variable; write `${{NAME}}`, with letters, digits and `_`")]
    Placeholder,
    /// A variable that isn't set.
    #[error("the variable {0} is not set")]
    Unset(String),
    /// It is no address of the web, once its variables have their values.
    #[error("not an address that begins with `https://` and a host")]
    NoWebAddress,
}

/// The address with its variables replaced.
///
/// # Errors
/// When a variable isn't set, or what comes out is no address of the web. The error repeats no value.
pub fn resolve_address(written: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, InvalidAddress> {
    let mut address = String::with_capacity(written.len());
    let mut rest = written.trim();
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or(InvalidAddress::Placeholder)?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(InvalidAddress::Placeholder);
        }
        let value = variable(name).filter(|value| !value.trim().is_empty());
        address.push_str(before);
        address.push_str(value.ok_or_else(|| InvalidAddress::Unset(name.to_owned()))?.trim());
        rest = after;
    }
    address.push_str(rest);
    if parse(&address).is_some() { Ok(address) } else { Err(InvalidAddress::NoWebAddress) }
}

/// Its scheme, and its host with the port. The parser of addresses drops what follows a `#` unread; a line's end there
/// is no less a slip.
fn parse(address: &str) -> Option<(bool, Uri)> {
    if address.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return None;
    }
    let uri: Uri = address.parse().ok()?;
    let encrypted = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    uri.host().filter(|host| !host.is_empty())?;
    Some((encrypted, uri))
}

/// As much of an address as may be shown: what follows the host is often all that a caller has to know. A variable in
/// its beginning is shown by its name.
#[must_use]
pub fn shown_address(address: &str) -> String {
    let address = address.trim();
    if let Some((name, _)) = address.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
        return format!("${{{name}}}");
    }
    let Some((scheme, rest)) = address.split_once("://") else { return "…".to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let more = if rest.len() > authority.len() + 1 { "/…" } else { "" };
    format!("{scheme}://{host}{more}")
}

/// Whether an address as it is written gives nothing away that may be secret: beside variables it has nothing but a scheme and a
/// host.
#[must_use]
pub(super) fn shows_nothing_secret(written: &str) -> bool {
    let mut rest = written.trim();
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        let Some((_, after)) = after.split_once('}') else { return false };
        plain.push_str(before);
        plain.push('/');
        rest = after;
    }
    plain.push_str(rest);
    let beyond = match plain.split_once("://") {
        Some((_, rest)) if rest.contains('@') => return false,
        Some((_, rest)) => rest.split_once(['/', '?', '#']).map_or("", |(_, path)| path),
        None => plain.as_str(),
    };
    beyond.bytes().all(|byte| byte == b'/')
}

/// Whether what is sent there could be read on the way: plain `http`, and not to this very machine.
#[must_use]
pub fn is_readable_on_the_way(address: &str) -> bool {
    let Some((encrypted, uri)) = parse(address) else { return false };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let loopback = host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    !encrypted && !loopback
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "HC" => Some("https://hc-ping.com/s3cret".to_owned()),
            "ID" => Some(" 123 ".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_and_named_when_they_are_not_set() {
        for (written, expected) in [
            ("https://a.example/x?y=1", Ok("https://a.example/x?y=1")),
            ("${HC}/start", Ok("https://hc-ping.com/s3cret/start")),
            (" http://localhost:8000/${ID}/${ID}", Ok("http://localhost:8000/123/123")),
            ("https://a.example/$x{y}", Ok("https://a.example/$x{y}")),
            ("${NOPE}/x", Err(InvalidAddress::Unset("NOPE".to_owned()))),
            ("${EMPTY}", Err(InvalidAddress::Unset("EMPTY".to_owned()))),
            ("https://a/${", Err(InvalidAddress::Placeholder)),
            ("https://a/${}", Err(InvalidAddress::Placeholder)),
            ("https://a/${A B}", Err(InvalidAddress::Placeholder)),
            ("ftp://a.example", Err(InvalidAddress::NoWebAddress)),
            ("/x", Err(InvalidAddress::NoWebAddress)),
            ("a.example", Err(InvalidAddress::NoWebAddress)),
            ("https://", Err(InvalidAddress::NoWebAddress)),
            ("https:///x", Err(InvalidAddress::NoWebAddress)),
            ("https://a.example/a b", Err(InvalidAddress::NoWebAddress)),
            ("https://a.example/\r\nX: y", Err(InvalidAddress::NoWebAddress)),
            ("https://a.example/x#\ny", Err(InvalidAddress::NoWebAddress)),
            ("", Err(InvalidAddress::NoWebAddress)),
        ] {
            assert_eq!(resolve_address(written, &variable), expected.map(str::to_owned), "{written}");
        }
    }

    #[test]
    fn only_scheme_and_host_are_shown() {
        for (address, shown) in [
            ("https://hc-ping.com/s3cret/start", "https://hc-ping.com/…"),
            ("https://u:s3cret@hc-ping.com:8443?s3cret", "https://hc-ping.com:8443/…"),
            ("http://localhost:80/", "http://localhost:80"),
            ("${HC}/s3cret", "${HC}"),
            ("https://a.example/${HC}", "https://a.example/…"),
            ("s3cret", "…"),
        ] {
            assert_eq!(shown_address(address), shown);
        }
    }

    #[test]
    fn an_address_whose_secrets_are_in_variables_shows_none() {
        for (written, nothing) in [
            ("${HOOK}", true),
            ("${HOOK}/", true),
            ("https://chat.example/${HOOK}", true),
            ("https://chat.example:8443/${A}/${B}", true),
            ("https://chat.example", true),
            ("https://chat.example/s3cret", false),
            ("https://chat.example/${A}/s3cret", false),
            ("https://chat.example?s3cret", false),
            ("https://u:s3cret@chat.example/${A}", false),
            ("${HOOK}/s3cret", false),
            ("${HOOK", false),
            ("s3cret", false),
        ] {
            assert_eq!(shows_nothing_secret(written), nothing, "{written}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        for (address, readable) in [
            ("http://a.example/x", true),
            ("https://a.example/x", false),
            ("http://127.0.0.1:1/x", false),
            ("http://[::1]/x", false),
            ("http://LOCALHOST", false),
            ("http://127.0.0.1.example", true),
            ("nonsense", false),
        ] {
            assert_eq!(is_readable_on_the_way(address), readable, "{address}");
        }
    }

    proptest! {
        #[test]
        fn fuzz_addresses(written in "(https?://|\\$\\{|\\}|HC|ID|[a-z.:/@?#\\[\\] é\\n]){0,12}") {
            if let Ok(address) = resolve_address(&written, &variable) {
                prop_assert!(address.parse::<Uri>().is_ok());
                prop_assert!(!address.chars().any(char::is_control));
            }
            let _ = (shown_address(&written), shows_nothing_secret(&written), is_readable_on_the_way(&written));
        }
    }
}

//! From variables to settings, and back to what is wrong with them.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use super::values::DEFAULT_HOST;
use super::*;

fn resolve(dotenv: &[(&str, &str)], env: &[(&str, &str)]) -> Result<MailSettings, MailSettingsError> {
    let dotenv = dotenv.iter().map(|(k, v)| ((*k).to_owned(), SecretString::from(*v))).collect();
    let env: BTreeMap<String, String> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    MailSettings::resolve(&dotenv, &|name| env.get(name).cloned(), &|_| false)
}

const SIGN_IN: [(&str, &str); 2] = [("LOGIN_MAIL", "runs@example.com"), ("PASSWORD_MAIL", "s3cret-pass")];

fn password(settings: &MailSettings) -> &str {
    let SignIn::Password(password) = &settings.sign_in else { panic!("{settings:?}") };
    password.expose_secret()
}

fn problem(extra: &[(&str, &str)]) -> String {
    let mut values = SIGN_IN.to_vec();
    values.extend_from_slice(extra);
    resolve(&values, &[]).unwrap_err().to_string()
}

#[test]
fn a_login_and_a_password_are_enough() {
    let settings = resolve(&SIGN_IN, &[]).unwrap();
    assert_eq!((settings.host.as_str(), settings.port, settings.tls), (DEFAULT_HOST, 587, MailTls::StartTls));
    assert_eq!(settings.from.to_string(), "runs@example.com");
    assert_eq!(password(&settings), "s3cret-pass");
}

#[test]
fn the_environment_wins_unless_it_is_empty() {
    let settings = resolve(&SIGN_IN, &[("LOGIN_MAIL", "other@example.com"), ("PASSWORD_MAIL", "")]).unwrap();
    assert_eq!(settings.login, "other@example.com");
    assert_eq!(password(&settings), "s3cret-pass");
}

#[test]
fn everything_that_is_missing_is_named_with_where_to_set_it() {
    let error = resolve(&[], &[("LOGIN_MAIL", " ")]).unwrap_err();
    assert_eq!(error, MailSettingsError::MissingEnvironmentVariable { names: vec!["LOGIN_MAIL", "PASSWORD_MAIL"] });
    let text = error.to_string();
    assert!(text.starts_with("MissingEnvironmentVariable: LOGIN_MAIL and PASSWORD_MAIL are not set"), "{text}");
    assert!(text.contains(".env in the project's folder") && text.contains(".env.example"), "{text}");
    let text = resolve(&SIGN_IN[..1], &[]).unwrap_err().to_string();
    assert!(text.starts_with("MissingEnvironmentVariable: PASSWORD_MAIL is not set"), "{text}");
}

#[test]
fn bad_values_are_all_named_at_once() {
    let text = problem(&[("MAIL_PORT", "many"), ("MAIL_TLS", "ssl"), ("MAIL_FROM", "me"), ("MAIL_HOST", "a b")]);
    for name in ["MAIL_PORT: `many`", "MAIL_TLS: `ssl`", "MAIL_FROM: `me`", "MAIL_HOST: `a b`"] {
        assert!(text.contains(name), "{text}");
    }
    assert!(problem(&[("MAIL_PORT", "0")]).contains("MAIL_PORT"));
    assert!(problem(&[("MAIL_PORT", "65536")]).contains("65535"));
    assert!(problem(&[("MAIL_HOST", "smtp://x:25")]).contains("MAIL_PORT"));
    assert!(problem(&[("LOGIN_MAIL", "domain\\me")]).contains("MAIL_FROM"));
}

#[test]
fn no_protection_is_for_this_machine_alone() {
    assert!(problem(&[("MAIL_TLS", "none")]).contains("in the clear"));
    assert!(problem(&[("MAIL_TLS", "none"), ("MAIL_HOST", "10.0.0.1")]).contains("in the clear"));
    for host in ["localhost", "127.0.0.1", "::1", "[::1]"] {
        let extra = [("MAIL_TLS", "NONE"), ("MAIL_HOST", host)];
        assert_eq!(resolve(&SIGN_IN, &extra).unwrap().tls, MailTls::None, "{host}");
    }
}

#[test]
fn tls_from_the_first_byte_has_its_own_port() {
    assert_eq!(resolve(&SIGN_IN, &[("MAIL_TLS", "tls")]).unwrap().port, 465);
    assert_eq!(resolve(&SIGN_IN, &[("MAIL_TLS", "tls"), ("MAIL_PORT", "587")]).unwrap().port, 587);
}

#[test]
fn a_login_that_is_no_address_will_do_with_a_sender() {
    let settings = resolve(&SIGN_IN, &[("LOGIN_MAIL", "smtp-user"), ("MAIL_FROM", "Runs <r@example.com>")]).unwrap();
    assert_eq!((settings.login.as_str(), settings.from.email.to_string().as_str()), ("smtp-user", "r@example.com"));
}

#[test]
fn a_certificate_file_must_be_one() {
    let missing = problem(&[("MAIL_CA_FILE", "no/such.pem")]);
    assert!(missing.contains("such.pem") && missing.contains("whole path"), "{missing}");
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(problem(&[("MAIL_CA_FILE", file.path().to_str().unwrap())]).contains("no certificate"));
}

#[test]
fn the_password_is_never_shown() {
    assert!(!format!("{:?}", resolve(&SIGN_IN, &[]).unwrap()).contains("s3cret"));
    let text = problem(&[("PASSWORD_MAIL", "s3cret\npass")]);
    assert!(text.contains("PASSWORD_MAIL") && !text.contains("s3cret"), "{text}");
    assert!(!problem(&[("MAIL_PORT", "x")]).contains("s3cret"));
}

/// With an application of one's own.
const OAUTH: [(&str, &str); 2] = [("LOGIN_MAIL", "runs@example.com"), ("MAIL_CLIENT_ID", "client-1")];

fn resolve_with(values: &[(&str, &str)], stored: bool) -> MailSettings {
    let dotenv = values.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
    MailSettings::resolve(&dotenv, &|_| None, &|settings| {
        assert!(matches!(settings.sign_in, SignIn::Delegated { .. }), "{settings:?}");
        stored
    })
    .unwrap()
}

#[test]
fn a_secret_comes_before_a_stored_token_and_that_before_a_password() {
    let all =
        [&OAUTH[..], &[("PASSWORD_MAIL", "s3cret"), ("MAIL_TENANT_ID", "t"), ("MAIL_CLIENT_SECRET", "c")]].concat();
    for stored in [false, true] {
        let SignIn::App { tenant, client_id, client_secret } = resolve_with(&all, stored).sign_in else { panic!() };
        assert_eq!((tenant.as_str(), client_id.as_str(), client_secret.expose_secret()), ("t", "client-1", "c"));
    }
    let without_secret = &all[..3];
    assert!(matches!(resolve_with(without_secret, true).sign_in, SignIn::Delegated { .. }));
    assert!(matches!(resolve_with(without_secret, false).sign_in, SignIn::Password(_)));
    // Somebody has yet to sign in.
    let SignIn::Delegated { tenant, .. } = resolve_with(&OAUTH, false).sign_in else { panic!() };
    assert_eq!(tenant, "common");
    let named = [&OAUTH[..], &[("MAIL_TENANT_ID", "consumers")]].concat();
    let SignIn::Delegated { tenant, .. } = resolve_with(&named, true).sign_in else { panic!() };
    assert_eq!(tenant, "consumers");
    // Whoever signs in is asked for only where it decides something.
    assert_eq!(password(&resolve_with(&SIGN_IN, false)), "s3cret-pass");
}

#[test]
fn what_a_secret_needs_beside_it_is_named() {
    let missing = |values: &[(&str, &str)]| resolve(values, &[]).unwrap_err().to_string();
    let text = missing(&[("LOGIN_MAIL", "a@b.c"), ("MAIL_CLIENT_SECRET", "s3cret")]);
    assert!(text.starts_with("MissingEnvironmentVariable: MAIL_CLIENT_ID and MAIL_TENANT_ID are not set"), "{text}");
    let text = missing(&[&OAUTH[..], &[("MAIL_CLIENT_SECRET", "s3cret")]].concat());
    assert!(text.starts_with("MissingEnvironmentVariable: MAIL_TENANT_ID is not set"), "{text}");
    let text = missing(&OAUTH[1..]);
    assert!(text.starts_with("MissingEnvironmentVariable: LOGIN_MAIL is not set"), "{text}");
    let text = missing(&SIGN_IN[..1]);
    assert!(
        text.starts_with("MissingEnvironmentVariable: PASSWORD_MAIL is not set") && text.contains("OAuth"),
        "{text}"
    );
}

#[test]
fn tokens_are_asked_for_where_nobody_listens() {
    let authority = |value| resolve(&[&SIGN_IN[..], &[("MAIL_AUTHORITY", value)]].concat(), &[]).map(|it| it.authority);
    assert_eq!(resolve(&SIGN_IN, &[]).unwrap().authority, "https://login.microsoftonline.com");
    for (given, expected) in [
        ("https://login.example.com/", "https://login.example.com"),
        ("https://example.com:8443/oauth//", "https://example.com:8443/oauth"),
        ("http://127.0.0.1:4000", "http://127.0.0.1:4000"),
        ("http://[::1]:4000/", "http://[::1]:4000"),
        ("http://localhost", "http://localhost"),
    ] {
        assert_eq!(authority(given).unwrap(), expected);
    }
    for given in [
        "login.example.com",
        "http://login.example.com",
        "ftp://x",
        "https://",
        "https://a b",
        "https://u:p@x",
        "https://x/?a",
    ] {
        let text = authority(given).unwrap_err().to_string();
        assert!(text.contains("MAIL_AUTHORITY"), "{given}: {text}");
    }
    assert!(authority("http://login.example.com").unwrap_err().to_string().contains("in the clear"));
    assert!(problem(&[("MAIL_TENANT_ID", "a/../b")]).contains("MAIL_TENANT_ID"));
}

#[test]
fn microsofts_servers_get_what_they_take_a_minute() {
    let rate = |extra: &[(&str, &str)]| resolve(&[&SIGN_IN[..], extra].concat(), &[]).unwrap().rate;
    assert_eq!(rate(&[]), Some(30));
    assert_eq!(rate(&[("MAIL_HOST", "smtp-mail.Outlook.com")]), Some(30));
    assert_eq!(rate(&[("MAIL_HOST", "mail.example.com")]), None);
    assert_eq!(rate(&[("MAIL_HOST", "notoutlook.com")]), None);
    for (value, expected) in [("12", Some(12)), ("0", None), ("None", None)] {
        assert_eq!(rate(&[("MAIL_RATE", value)]), expected);
    }
    for value in ["-1", "many", "1.5"] {
        assert!(problem(&[("MAIL_RATE", value)]).contains("MAIL_RATE"), "{value}");
    }
}

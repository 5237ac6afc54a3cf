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

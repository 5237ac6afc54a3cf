//! Where mails go out and who signs in: read from the environment and the `.env` files, checked, never shown.
//!
//! This is the only place that knows the variables' names. It reads one file, `MAIL_CA_FILE`, and connects to nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use lettre::Address;
use lettre::message::Mailbox;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

/// Submission at Microsoft (the host that "POP, IMAP, and SMTP settings for Outlook" names).
const DEFAULT_HOST: &str = "smtp.office365.com";
/// Submission (RFC 6409), which begins in the clear and goes on under STARTTLS.
const SUBMISSION_PORT: u16 = 587;
/// Submission under TLS from the first byte (RFC 8314, section 3.3).
const SUBMISSIONS_PORT: u16 = 465;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// It begins in the clear and must be upgraded before anything is said.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// Not at all; only to this very machine.
    None,
}

/// What is needed to send a mail.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// Who signs in.
    pub login: String,
    /// With what.
    pub sign_in: SignIn,
    /// Who the mails are from.
    pub from: Mailbox,
    /// Certificates to trust beside the system's, in PEM.
    pub ca: Option<Vec<u8>>,
    /// Who issues tokens: the beginning of the token endpoint's address, without a slash at its end.
    pub authority: String,
    /// Messages that may go out in a minute; `None`: any number.
    pub rate: Option<u32>,
}

/// With what one signs in.
#[derive(Debug, Clone)]
pub enum SignIn {
    /// With a password: basic authentication.
    Password(SecretString),
    /// As an application, with a secret of its own (OAuth 2.0 client credentials, RFC 6749, section 4.4).
    App {
        /// The directory.
        tenant: String,
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
    /// As a person who has signed in once with `runner mail login` (OAuth 2.0 device authorization, RFC 8628).
    Delegated {
        /// The directory, `consumers` for personal accounts.
        tenant: String,
        /// The application.
        client_id: String,
    },
}

/// Has the tokens to sign in with, from a cache or from who issues them.
pub trait TokenSource: Send + Sync + std::fmt::Debug {
    /// An access token for these settings; with `renew` a new one even if the one at hand has not expired, because a
    /// server has refused it.
    ///
    /// # Errors
    /// When there is none to be had.
    fn token(&self, settings: &MailSettings, renew: bool) -> Result<SecretString, super::DeliveryError>;
}

/// A variable whose value can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidVariable {
    /// Its name.
    pub variable: &'static str,
    /// What is wrong with it.
    pub problem: String,
    /// What would be right.
    pub hint: String,
}

impl fmt::Display for InvalidVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.variable, self.problem, self.hint)
    }
}

/// Why no mail could be sent with the variables as they are.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MailSettingsError {
    /// Variables without which nobody can sign in are not set.
    #[error("MissingEnvironmentVariable: {}; {}", self.message(), self.hint())]
    MissingEnvironmentVariable {
        /// All of them.
        names: Vec<&'static str>,
    },
    /// Variables have values that can't be used.
    #[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid {
        /// All of them.
        problems: Vec<InvalidVariable>,
    },
}

impl MailSettingsError {
    /// What is wrong, without what to do about it.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::MissingEnvironmentVariable { names } => {
                let verb = if names.len() == 1 { "is" } else { "are" };
                format!("{} {verb} not set, and mail is to be sent", names.join(" and "))
            }
            Self::Invalid { problems } => {
                problems.iter().map(|p| format!("{}: {}", p.variable, p.problem)).collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::MissingEnvironmentVariable { names } => {
                let them = if names.len() == 1 { "it" } else { "them" };
                format!(
                    "set {them} in a file named .env in the project's folder (.env.example shows how), or in the environment"
                )
            }
            Self::Invalid { problems } => problems.iter().map(|p| p.hint.clone()).collect::<Vec<_>>().join("; "),
        }
    }
}

/// Looks variables up: the process environment wins over `.env`, and an empty value is no value.
struct Lookup<'a> {
    dotenv: &'a BTreeMap<String, SecretString>,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Lookup<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let from_dotenv = || self.dotenv.get(name).map(|value| value.expose_secret().to_owned());
        (self.env)(name).filter(|value| !value.is_empty()).or_else(from_dotenv).filter(|value| !value.is_empty())
    }

    fn trimmed(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }
}

impl MailSettings {
    /// Reads and checks them. `dotenv` are the values of the `.env` files; `env` looks up the process environment, which
    /// wins. Without `MAIL_PORT`, `MAIL_TLS=tls` means port 465 (RFC 8314), anything else 587.
    ///
    /// # Errors
    /// When a variable that is needed is not set (all of them are named), or values can't be used (all of them).
    pub fn resolve(
        dotenv: &BTreeMap<String, SecretString>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, MailSettingsError> {
        let lookup = Lookup { dotenv, env };
        let login = lookup.trimmed("LOGIN_MAIL");
        let password = lookup.get("PASSWORD_MAIL");
        let (Some(login), Some(password)) = (&login, password) else {
            let unset = [("LOGIN_MAIL", login.is_none()), ("PASSWORD_MAIL", lookup.get("PASSWORD_MAIL").is_none())];
            let names = unset.into_iter().filter_map(|(name, unset)| unset.then_some(name)).collect();
            return Err(MailSettingsError::MissingEnvironmentVariable { names });
        };

        let mut problems = Vec::new();
        let host = check(host(lookup.trimmed("MAIL_HOST")), &mut problems);
        let tls = check(tls(lookup.trimmed("MAIL_TLS"), host.as_deref()), &mut problems);
        let port = check(port(lookup.trimmed("MAIL_PORT"), tls), &mut problems);
        let from = check(sender(lookup.trimmed("MAIL_FROM"), login), &mut problems);
        let ca = check(certificates(lookup.get("MAIL_CA_FILE")), &mut problems);
        check(speakable("LOGIN_MAIL", login), &mut problems);
        check(speakable("PASSWORD_MAIL", &password), &mut problems);
        match (host, tls, port, from, ca) {
            (Some(host), Some(tls), Some(port), Some(from), Some(ca)) if problems.is_empty() => {
                let sign_in = SignIn::Password(password.into());
                let authority = "https://login.microsoftonline.com".to_owned();
                Ok(Self { host, port, tls, login: login.clone(), sign_in, from, ca, authority, rate: None })
            }
            _ => Err(MailSettingsError::Invalid { problems }),
        }
    }
}

/// Who mails would be from, as far as that is configured: for mails that are written to a folder, which nobody needs to
/// sign in for.
#[must_use]
pub fn configured_sender(
    dotenv: &BTreeMap<String, SecretString>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<Mailbox> {
    let lookup = Lookup { dotenv, env };
    ["MAIL_FROM", "LOGIN_MAIL"].into_iter().find_map(|name| lookup.trimmed(name)?.parse().ok())
}

fn check<T>(result: Result<T, InvalidVariable>, problems: &mut Vec<InvalidVariable>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

fn invalid<T>(variable: &'static str, problem: String, hint: &str) -> Result<T, InvalidVariable> {
    Err(InvalidVariable { variable, problem, hint: hint.to_owned() })
}

fn host(value: Option<String>) -> Result<String, InvalidVariable> {
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

fn tls(value: Option<String>, host: Option<&str>) -> Result<MailTls, InvalidVariable> {
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

fn port(value: Option<String>, tls: Option<MailTls>) -> Result<u16, InvalidVariable> {
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

fn sender(value: Option<String>, login: &str) -> Result<Mailbox, InvalidVariable> {
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
fn speakable(variable: &'static str, value: &str) -> Result<(), InvalidVariable> {
    if value.contains(['\0', '\r', '\n']) {
        return invalid(
            variable,
            "it contains a line break or a NUL".to_owned(),
            "put it on one line; in .env, a value with $ or # stands in single quotes",
        );
    }
    Ok(())
}

fn certificates(file: Option<String>) -> Result<Option<Vec<u8>>, InvalidVariable> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(dotenv: &[(&str, &str)], env: &[(&str, &str)]) -> Result<MailSettings, MailSettingsError> {
        let dotenv = dotenv.iter().map(|(k, v)| ((*k).to_owned(), SecretString::from(*v))).collect();
        let env: BTreeMap<String, String> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        MailSettings::resolve(&dotenv, &|name| env.get(name).cloned())
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
        let settings =
            resolve(&SIGN_IN, &[("LOGIN_MAIL", "smtp-user"), ("MAIL_FROM", "Runs <r@example.com>")]).unwrap();
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
}

//! From variables to settings.

use std::collections::BTreeMap;

use lettre::message::Mailbox;
use secrecy::{ExposeSecret, SecretString};

use super::{MailSettings, MailSettingsError, SignIn, values};

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

/// To sign in as a person.
fn delegated(client_id: &str, tenant: Option<String>) -> SignIn {
    // What Microsoft's libraries take where nobody names a directory: it serves work, school and personal accounts. An
    // application that is registered for one directory only is refused there, with words that lead to MAIL_TENANT_ID.
    SignIn::Delegated { tenant: tenant.unwrap_or_else(|| "common".to_owned()), client_id: client_id.to_owned() }
}

impl MailSettings {
    /// Reads and checks them. `dotenv` are the values of the `.env` files; `env` looks up the process environment, which
    /// wins; `stored` says whether a token is kept for settings that sign in as a person. Without `MAIL_PORT`,
    /// `MAIL_TLS=tls` means port 465 (RFC 8314), anything else 587.
    ///
    /// Of the ways to sign in an application's secret comes first, then a person's stored token, then a password. Where
    /// there is none of them and `MAIL_CLIENT_ID` is set, a person has yet to sign in.
    ///
    /// # Errors
    /// When a variable that is needed is not set (all of them are named), or values can't be used (all of them).
    pub fn resolve(
        dotenv: &BTreeMap<String, SecretString>,
        env: &dyn Fn(&str) -> Option<String>,
        stored: &dyn Fn(&Self) -> bool,
    ) -> Result<Self, MailSettingsError> {
        let lookup = Lookup { dotenv, env };
        let login = lookup.trimmed("LOGIN_MAIL");
        let password = lookup.get("PASSWORD_MAIL");
        let client_id = lookup.trimmed("MAIL_CLIENT_ID");
        let secret = lookup.trimmed("MAIL_CLIENT_SECRET");
        let tenant = lookup.trimmed("MAIL_TENANT_ID");
        let needed = [
            ("LOGIN_MAIL", login.is_none()),
            ("PASSWORD_MAIL", password.is_none() && client_id.is_none() && secret.is_none()),
            ("MAIL_CLIENT_ID", secret.is_some() && client_id.is_none()),
            ("MAIL_TENANT_ID", secret.is_some() && tenant.is_none()),
        ];
        let names: Vec<_> = needed.into_iter().filter_map(|(name, missing)| missing.then_some(name)).collect();
        let (Some(login), true) = (login, names.is_empty()) else {
            return Err(MailSettingsError::MissingEnvironmentVariable { names });
        };

        let mut problems = Vec::new();
        let host = values::check(values::host(lookup.trimmed("MAIL_HOST")), &mut problems);
        let tls = values::check(values::tls(lookup.trimmed("MAIL_TLS"), host.as_deref()), &mut problems);
        let port = values::check(values::port(lookup.trimmed("MAIL_PORT"), tls), &mut problems);
        let from = values::check(values::sender(lookup.trimmed("MAIL_FROM"), &login), &mut problems);
        let ca = values::check(values::certificates(lookup.get("MAIL_CA_FILE")), &mut problems);
        let authority = values::check(values::authority(lookup.trimmed("MAIL_AUTHORITY")), &mut problems);
        let rate = values::check(values::rate(lookup.trimmed("MAIL_RATE"), host.as_deref()), &mut problems);
        values::check(values::speakable("LOGIN_MAIL", &login), &mut problems);
        values::check(values::directory(tenant.as_deref()), &mut problems);
        for (name, value) in
            [("PASSWORD_MAIL", &password), ("MAIL_CLIENT_ID", &client_id), ("MAIL_CLIENT_SECRET", &secret)]
        {
            values::check(values::speakable(name, value.as_deref().unwrap_or_default()), &mut problems);
        }
        let (Some(host), Some(tls), Some(port), Some(from), Some(ca), Some(authority), Some(rate)) =
            (host, tls, port, from, ca, authority, rate)
        else {
            return Err(MailSettingsError::Invalid { problems });
        };
        if !problems.is_empty() {
            return Err(MailSettingsError::Invalid { problems });
        }
        let (sign_in, otherwise) = match (client_id, secret, tenant, password) {
            (Some(client_id), Some(secret), Some(tenant), _) => {
                (SignIn::App { tenant, client_id, client_secret: secret.into() }, None)
            }
            (Some(client_id), _, tenant, password) => (delegated(&client_id, tenant), password),
            (None, _, _, password) => (SignIn::Password(password.unwrap_or_default().into()), None),
        };
        let mut settings = Self { host, port, tls, login, sign_in, from, ca, authority, rate };
        if let Some(password) = otherwise
            && !stored(&settings)
        {
            settings.sign_in = SignIn::Password(password.into());
        }
        Ok(settings)
    }
}
/// Who would sign in, as far as that is configured.
#[must_use]
pub fn configured_login(
    dotenv: &BTreeMap<String, SecretString>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    Lookup { dotenv, env }.trimmed("LOGIN_MAIL")
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

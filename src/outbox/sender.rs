//! Whose settings an entry goes out with: read from its project each time, and known by a fingerprint.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::post::Couriers;
use crate::config::{self, Environment, LoadRequest};
use crate::mail::{MailSettings, SignIn};
use crate::model::Project;

/// By what a project is loaded.
pub(super) type ProjectKey = (PathBuf, Option<String>);

/// A sender as it is set up now.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) settings: MailSettings,
    /// Other settings, another password or another sign-in have another one.
    pub(super) fingerprint: String,
    /// Whose limits its messages count for.
    pub(super) account: String,
}

/// Knows the settings of projects that it was asked for before.
pub(super) struct Senders<'a> {
    known: BTreeMap<ProjectKey, Result<Sender, String>>,
    couriers: &'a dyn Couriers,
    environment: Environment,
}

impl<'a> Senders<'a> {
    /// `own` is loaded already.
    pub(super) fn new(own: Option<&Project>, couriers: &'a dyn Couriers) -> Self {
        let mut senders = Self { known: BTreeMap::new(), couriers, environment: Environment::from_process() };
        if let Some(project) = own {
            let sender = senders.of_project(project);
            senders.known.insert((project.root.clone(), project.profile.clone()), sender);
        }
        senders
    }

    /// The sender of a project, or why there is none.
    pub(super) fn of(&mut self, key: &ProjectKey) -> Result<Sender, String> {
        if !self.known.contains_key(key) {
            let sender = self.load(key);
            self.known.insert(key.clone(), sender);
        }
        self.known.get(key).cloned().unwrap_or_else(|| Err(String::new()))
    }

    fn load(&self, (root, profile): &ProjectKey) -> Result<Sender, String> {
        let request = LoadRequest { project: root, profile: profile.as_deref(), env: &self.environment };
        let loaded = config::load(&request).map_err(|error| {
            let first = error.problems.first().map(ToString::to_string).unwrap_or_default();
            format!("its project {} can't be read: {first}; `runner check` shows what is wrong", root.display())
        })?;
        self.of_project(&loaded.project)
    }

    fn of_project(&self, project: &Project) -> Result<Sender, String> {
        let settings = self.couriers.settings(project).map_err(|error| error.to_string())?;
        let signed_in = self.couriers.signed_in(&settings);
        let account = format!("{} at {}:{}", settings.login, settings.host, settings.port);
        Ok(Sender { fingerprint: fingerprint(&settings, signed_in), account, settings })
    }
}

/// What tells settings apart, and betrays no secret: of that there are 16 bits, so that one in 65,536 wrong guesses would
/// look right.
fn fingerprint(settings: &MailSettings, signed_in: Option<u64>) -> String {
    let MailSettings { host, port, tls, login, sign_in, from, ca, authority, rate: _ } = settings;
    let (way, secret) = match sign_in {
        SignIn::Password(password) => ("password".to_owned(), Some(password)),
        SignIn::App { tenant, client_id, client_secret } => (format!("app {tenant} {client_id}"), Some(client_secret)),
        SignIn::Delegated { tenant, client_id } => (format!("delegated {tenant} {client_id}"), None),
    };
    let open = format!("{host}\n{port}\n{tls:?}\n{login}\n{way}\n{from}\n{ca:?}\n{authority}\n{signed_in:?}");
    let digest = sha256(open.as_bytes());
    let secret = secret.map(|secret| sha256(format!("{open}\n{}", secret.expose_secret()).as_bytes()));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let secret = secret.map(|digest| hex(&digest[..digest.len().min(2)])).unwrap_or_default();
    format!("{}-{secret}", hex(&digest[..digest.len().min(12)]))
}

/// By the library that TLS has already.
fn sha256(bytes: &[u8]) -> Vec<u8> {
    use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    TLS13_AES_128_GCM_SHA256.tls13().map_or_else(Vec::new, |suite| suite.common.hash_provider.hash(bytes).as_ref().to_vec())
}

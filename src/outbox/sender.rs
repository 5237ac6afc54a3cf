//! Whose settings an entry goes out with: read from its project each time, and known by a fingerprint.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::ExposeSecret;

use super::carry::Carrier;
use super::post::Couriers;
use crate::config::{self, Environment, LoadRequest};
use crate::mail::{MailSettings, SignIn, WebSlot};
use crate::model::Project;
use crate::store::{OutboxKind, OutboxRow};

/// A sender as it is set up now.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    way: Way,
    /// Other settings, another password or another sign-in have another one.
    pub(super) fingerprint: String,
    /// Whose limits its messages count for.
    pub(super) account: String,
}

#[derive(Debug, Clone)]
enum Way {
    Mail(Box<MailSettings>),
    Web(Arc<Project>, WebSlot),
}

impl Sender {
    pub(super) fn carrier(&self, couriers: &dyn Couriers) -> Carrier {
        match &self.way {
            Way::Mail(settings) => Carrier::Mail(couriers.courier(settings)),
            Way::Web(project, slot) => Carrier::Web(Arc::clone(project), *slot),
        }
    }

    /// How many messages may go out in a minute; `None`: any number.
    pub(super) fn rate(&self) -> Option<u32> {
        match &self.way {
            Way::Mail(settings) => settings.rate,
            Way::Web(..) => None,
        }
    }
}

/// By what a project is loaded.
type ProjectKey = (PathBuf, Option<String>);

/// Knows the settings of projects that it was asked for before.
pub(super) struct Senders<'a> {
    projects: BTreeMap<ProjectKey, Result<Arc<Project>, String>>,
    mail: BTreeMap<ProjectKey, Result<Sender, String>>,
    couriers: &'a dyn Couriers,
    environment: Environment,
}

impl<'a> Senders<'a> {
    /// `own` is loaded already.
    pub(super) fn new(own: Option<&Project>, couriers: &'a dyn Couriers) -> Self {
        let own = own.map(|own| ((own.root.clone(), own.profile.clone()), Ok(Arc::new(own.clone()))));
        let environment = Environment::from_process();
        Self { projects: own.into_iter().collect(), mail: BTreeMap::new(), couriers, environment }
    }

    /// The sender of an entry, or why there is none.
    pub(super) fn of(&mut self, row: &OutboxRow) -> Result<Sender, String> {
        let key = (row.project_dir.clone(), row.profile.clone());
        if row.kind == OutboxKind::Mail
            && let Some(known) = self.mail.get(&key)
        {
            return known.clone();
        }
        let project = self.project(&key)?;
        if row.kind != OutboxKind::Mail {
            return web(row, project);
        }
        let sender = self.of_mail(&project);
        self.mail.insert(key, sender.clone());
        sender
    }

    fn project(&mut self, key: &ProjectKey) -> Result<Arc<Project>, String> {
        if let Some(known) = self.projects.get(key) {
            return known.clone();
        }
        let (root, profile) = key;
        let request = LoadRequest { project: root, profile: profile.as_deref(), env: &self.environment };
        let loaded = config::load(&request).map(|loaded| Arc::new(loaded.project)).map_err(|error| {
            let first = error.problems.first().map(ToString::to_string).unwrap_or_default();
            format!("its project {} can't be read: {first}; `runner check` shows what is wrong", root.display())
        });
        self.projects.insert(key.clone(), loaded.clone());
        loaded
    }

    fn of_mail(&self, project: &Project) -> Result<Sender, String> {
        let settings = self.couriers.settings(project).map_err(|error| error.to_string())?;
        let fingerprint = fingerprint(&settings, self.couriers.signed_in(&settings));
        let account = format!("{} at {}:{}", settings.login, settings.host, settings.port);
        Ok(Sender { way: Way::Mail(Box::new(settings)), fingerprint, account })
    }
}

/// Each address of a project is a sender of its own, since each has its own troubles.
fn web(row: &OutboxRow, project: Arc<Project>) -> Result<Sender, String> {
    let slot = row.slot.as_deref().and_then(WebSlot::from_name).ok_or("a newer runner has put it into the outbox")?;
    let written = slot.address(&project.mail).unwrap_or_default();
    let name = format!("{}\n{:?}\n{}\n{written}", project.root.display(), project.profile, slot.name());
    let fingerprint = format!("web-{}", hex(&sha256(name.as_bytes()), 12));
    Ok(Sender { way: Way::Web(project, slot), account: fingerprint.clone(), fingerprint })
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
    format!("{}-{}", hex(&digest, 12), secret.map(|digest| hex(&digest, 2)).unwrap_or_default())
}

/// The first bytes in hexadecimal digits.
fn hex(digest: &[u8], bytes: usize) -> String {
    digest.iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
}

/// By the library that TLS has already.
fn sha256(bytes: &[u8]) -> Vec<u8> {
    use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    TLS13_AES_128_GCM_SHA256
        .tls13()
        .map_or_else(Vec::new, |suite| suite.common.hash_provider.hash(bytes).as_ref().to_vec())
}

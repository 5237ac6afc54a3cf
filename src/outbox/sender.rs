//! Whose settings an entry goes out with: read from its project each time, and known by a fingerprint.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::ExposeSecret;

use super::carry::{Carrier, Setup};
use super::post::Couriers;
use crate::config::{self, ConfigError, Environment, LoadRequest};
use crate::mail::{self, MailSettings, SignIn, WebSlot};
use crate::model::{Contact, MailOptions, Project};
use crate::store::{self, OutboxKind, OutboxRow, OutboxState};

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
    Web(Arc<Setup>, WebSlot),
}

impl Sender {
    pub(super) fn carrier(&self, couriers: &dyn Couriers) -> Carrier {
        match &self.way {
            Way::Mail(settings) => Carrier::Mail(couriers.courier(settings), settings.from.clone()),
            Way::Web(setup, slot) => Carrier::Web(Arc::clone(setup), *slot),
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

/// Why an entry has no sender.
#[derive(Debug, Clone)]
pub(super) struct NoSender {
    /// How it waits for one.
    pub(super) state: OutboxState,
    pub(super) why: String,
}

/// Somebody has to mend something.
impl From<String> for NoSender {
    fn from(why: String) -> Self {
        Self { state: OutboxState::Held, why }
    }
}

/// By what a project is loaded.
type ProjectKey = (PathBuf, Option<String>);

/// Knows the settings of projects that it was asked for before.
pub(super) struct Senders<'a> {
    projects: BTreeMap<ProjectKey, Result<Arc<Setup>, String>>,
    /// By project, and by who its mail was made to sign in.
    mail: BTreeMap<(ProjectKey, Option<String>), Result<Sender, NoSender>>,
    couriers: &'a dyn Couriers,
    environment: Environment,
    /// The project for which the environment of this process is meant; `None` if it is meant for any.
    own: Option<PathBuf>,
}

impl<'a> Senders<'a> {
    /// `own` is loaded already, and the environment of this process is meant for it alone, or for the project in `root`.
    pub(super) fn new(own: Option<&Project>, root: Option<&Path>, couriers: &'a dyn Couriers) -> Self {
        let root = own.map(|own| own.root.as_path()).or(root).map(Path::to_owned);
        let own = own.map(|own| ((own.root.clone(), own.profile.clone()), Ok(Arc::new(Setup::of(own)))));
        let environment = Environment::from_process();
        Self { projects: own.into_iter().collect(), mail: BTreeMap::new(), couriers, environment, own: root }
    }

    /// The sender of an entry, or why there is none.
    pub(super) fn of(&mut self, row: &OutboxRow) -> Result<Sender, NoSender> {
        let key = (row.project_dir.clone(), row.profile.clone());
        if !row.kind.is_mail() {
            return Ok(web(row, self.project(&key)?)?);
        }
        let project = self.project(&key)?;
        // An alarm tells that the project file is broken; a mail about a run waits for that to be mended.
        if let (Some(why), false) = (&project.broken, row.kind == OutboxKind::Alarm) {
            return Err(why.clone().into());
        }
        let of_login = (key, row.login.clone());
        if let Some(known) = self.mail.get(&of_login) {
            return known.clone();
        }
        let sender = self.of_mail(&project, row.login.as_deref());
        self.mail.insert(of_login, sender.clone());
        sender
    }

    /// The sender of a call of a project whose file can't be read, by what was kept of that; the reason, if that isn't enough.
    pub(super) fn of_kept(&mut self, row: &OutboxRow, contact: Option<&Contact>) -> Result<Sender, NoSender> {
        let setup = self.project(&(row.project_dir.clone(), row.profile.clone()))?;
        let (Setup { root, profile, dotenv, broken: Some(_), .. }, Some(contact)) = (&*setup, contact) else {
            return Ok(web(row, setup)?);
        };
        let (root, profile, dotenv) = (root.clone(), profile.clone(), dotenv.clone());
        let kept = Setup { root, profile, mail: contact.mail(), dotenv, broken: None };
        let has_address = |slot: WebSlot| slot.address(&kept.mail).is_some();
        match row.slot.as_deref().and_then(WebSlot::from_name).is_some_and(has_address) {
            true => Ok(web(row, Arc::new(kept))?),
            false => Ok(web(row, setup)?),
        }
    }

    /// What a project has for sending. Alarms can be sent without its project file.
    fn project(&mut self, key: &ProjectKey) -> Result<Arc<Setup>, String> {
        if let Some(known) = self.projects.get(key) {
            return known.clone();
        }
        let (root, profile) = key;
        let request = LoadRequest { project: root, profile: profile.as_deref(), env: &self.environment };
        let why = |error: &ConfigError| {
            let first = error.first();
            format!("its project {} can't be read: {first}; `runner check` shows what is wrong", root.display())
        };
        let setup = match config::load(&request) {
            Ok(loaded) => Ok(Setup::of(&loaded.project)),
            Err(error) => config::dotenv_values(root).map_err(|error| why(&error)).map(|dotenv| Setup {
                root: root.clone(),
                profile: profile.clone(),
                mail: MailOptions::default(),
                dotenv,
                broken: Some(why(&error)),
            }),
        };
        let setup = setup.map(Arc::new);
        self.projects.insert(key.clone(), setup.clone());
        setup
    }

    fn of_mail(&self, project: &Setup, login: Option<&str>) -> Result<Sender, NoSender> {
        let settings = if self.own.as_ref().is_none_or(|own| store::is_same_folder(own, &project.root)) {
            self.couriers.settings(&project.dotenv).map_err(|error| error.to_string())?
        } else {
            self.of_another(project, login)?
        };
        let fingerprint = fingerprint(&settings, self.couriers.signed_in(&settings));
        let account = format!("{} at {}:{}", settings.login, settings.host, settings.port);
        Ok(Sender { way: Way::Mail(Box::new(settings)), fingerprint, account })
    }
}

impl Senders<'_> {
    /// The environment of a run is meant for its own project: another one's mail may not go out by an account that only
    /// happens to stand there.
    fn of_another(&self, project: &Setup, login: Option<&str>) -> Result<MailSettings, NoSender> {
        let later = |why: &str| {
            let why =
                format!("{why}; the next run of {} itself sends it, or `runner mail flush`", project.root.display());
            NoSender { state: OutboxState::Queued, why }
        };
        let variable = |name: &str| std::env::var(name).ok();
        if mail::configured_login(&project.dotenv, &|_| None).is_some() {
            return self.couriers.settings_alone(&project.dotenv).map_err(|error| later(&error.to_string()));
        }
        if login.is_some() && mail::configured_login(&BTreeMap::new(), &variable).as_deref() == login {
            return self.couriers.settings(&project.dotenv).map_err(|error| later(&error.to_string()));
        }
        Err(later("its project names no LOGIN_MAIL in its .env, and that of another project's run is another account"))
    }
}

/// Each address of a project is a sender of its own, since each has its own troubles.
fn web(row: &OutboxRow, project: Arc<Setup>) -> Result<Sender, String> {
    if let Some(why) = &project.broken {
        return Err(why.clone());
    }
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

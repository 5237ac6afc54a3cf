//! Tokens at hand: from memory or the disk while they serve, else asked for, one process at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret, SecretString};

use super::endpoint::{DeviceCode, Endpoint, Granted, Trouble};
use super::file::{self, Kept, Lock, Owner, mark};
use super::{explain, os};
use crate::mail::{DeliveryError, DeliveryFailure, MailSettings, SignIn, TokenSource};

/// How long a token may take, all in all. Less than a mail's usual deadline, so that what kept it is still told.
const LIMIT: Duration = Duration::from_secs(15);
/// By how much longer to wait between questions whenever the issuer asks for it (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// How often an issuer may be in trouble while a person waits, and the longest pause that it is given to recover.
const TROUBLES: u32 = 4;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The tokens of all senders, kept in the state folder for the account of the operating system that got them.
///
/// Those of a person outlive the process: the refresh token, which is replaced at each renewal, is on the disk before the
/// access token that came with it is used. Two processes never renew the same one at once.
pub struct Tokens {
    dir: PathBuf,
    limit: Duration,
    /// What was handed out last, by file. It also stands in for a file that couldn't be written.
    given: Mutex<BTreeMap<PathBuf, Kept>>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Somebody has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Where the token is kept.
    pub place: PathBuf,
    /// The account that signed in, where the token tells.
    pub account: Option<String>,
}

impl Tokens {
    /// What to do about tokens that other accounts may read.
    pub const CLOSE_HINT: &str = if cfg!(windows) {
        "name a state folder in this account's profile with `--state-dir`, or take others' rights away with icacls"
    } else {
        "take others' rights away with chmod 600"
    };

    /// In the folder `tokens` of this state folder, which need not exist yet.
    #[must_use]
    pub fn new(state_dir: PathBuf) -> Self {
        Self { dir: state_dir.join("tokens"), limit: LIMIT, given: Mutex::default() }
    }

    /// With another limit for the time that a token may take, all in all.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// The file that the settings' tokens are kept in, or would be.
    #[must_use]
    pub fn place(&self, settings: &MailSettings) -> PathBuf {
        Owner::of(settings).map_or_else(|| self.dir.clone(), |owner| self.dir.join(owner.file_name()))
    }

    /// Whether a person has signed in with these settings, and this account can use that.
    #[must_use]
    pub fn is_stored(&self, settings: &MailSettings) -> bool {
        self.stored_at(settings).is_some()
    }

    /// When a person signed in with these settings, in milliseconds since 1970: another number after each sign-in.
    #[must_use]
    pub fn stored_at(&self, settings: &MailSettings) -> Option<u64> {
        let SignIn::Delegated { .. } = settings.sign_in else { return None };
        let owner = Owner::of(settings)?;
        let kept = file::read(&self.place(settings), &owner).ok()??;
        kept.refresh_token.and(kept.signed_in)
    }

    /// The account of the operating system that this process runs as: tokens are kept for it alone.
    #[must_use]
    pub fn system_account() -> String {
        os::account()
    }

    /// Whether accounts other than this one may read the settings' tokens, as far as the system tells.
    #[must_use]
    pub fn may_be_read_by_others(&self, settings: &MailSettings) -> bool {
        os::may_be_read_by_others(&self.place(settings))
    }

    /// Begins to sign a person in: what they need for it.
    ///
    /// # Errors
    /// When the issuer refuses or can't be reached.
    pub fn begin_sign_in(&self, settings: &MailSettings) -> Result<DeviceCode, DeliveryError> {
        let endpoint = self.endpoint(settings).ok_or_else(|| explain::none_needed(settings))?;
        endpoint.device_code().map_err(|trouble| trouble.explained(settings))
    }

    /// Waits until the person has signed in, and keeps the tokens. `pause` waits as long as it is told.
    ///
    /// # Errors
    /// When nobody signs in in time, the issuer refuses, or the tokens can't be kept.
    pub fn finish_sign_in(
        &self,
        settings: &MailSettings,
        code: &DeviceCode,
        pause: &mut dyn FnMut(Duration),
    ) -> Result<SignedIn, DeliveryError> {
        let none_needed = || explain::none_needed(settings);
        let (endpoint, owner) =
            (self.endpoint(settings).ok_or_else(none_needed)?, Owner::of(settings).ok_or_else(none_needed)?);
        let until = Instant::now() + code.lifetime;
        let (mut interval, mut troubles) = (code.interval, 0);
        let granted = loop {
            pause(interval);
            match endpoint.after_device_code(code) {
                Ok(granted) => break granted,
                Err(Trouble::Refused(refusal)) if refusal.error == "authorization_pending" => {}
                Err(Trouble::Refused(refusal)) if refusal.error == "slow_down" => interval += SLOWER,
                // The person may be signing in meanwhile.
                Err(Trouble::Failed(error))
                    if error.failure == DeliveryFailure::TokenUnavailable && troubles < TROUBLES =>
                {
                    troubles += 1;
                    interval = (interval * 2).min(LONGEST_PAUSE);
                }
                Err(trouble) => return Err(trouble.explained(settings)),
            }
            if Instant::now() > until {
                return Err(explain::too_late(code.lifetime));
            }
        };
        let place = self.place(settings);
        let account = account_in(&granted.access_token);
        let mut kept = kept_of(owner, granted, None);
        kept.signed_in = Some(milliseconds());
        let _lock = Lock::take(&place, Instant::now() + self.limit);
        file::write(&place, &kept).map_err(|error| explain::not_kept(&place, &error))?;
        self.given().insert(place.clone(), kept);
        Ok(SignedIn { place, account })
    }

    fn endpoint<'a>(&self, settings: &'a MailSettings) -> Option<Endpoint<'a>> {
        match &settings.sign_in {
            SignIn::App { tenant, client_id, .. } | SignIn::Delegated { tenant, client_id } => {
                Some(Endpoint::new(settings, tenant, client_id, self.limit))
            }
            SignIn::Password(_) => None,
        }
    }

    fn given(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Kept>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest of what the disk and the memory have.
    fn kept(&self, place: &Path, owner: &Owner) -> Result<Option<Kept>, String> {
        let on_disk = file::read(place, owner);
        let in_memory = self.given().get(place).cloned();
        match (on_disk, in_memory) {
            (Ok(Some(disk)), Some(memory)) => Ok(Some(if memory.issued > disk.issued { memory } else { disk })),
            (Ok(Some(kept)), None) | (_, Some(kept)) => Ok(Some(kept)),
            (on_disk, None) => on_disk,
        }
    }

    /// A token that serves, unless it is the one that was handed out last and `renew` says that it was refused.
    fn serving(&self, kept: &Kept, place: &Path, settings: &MailSettings, renew: bool) -> Option<SecretString> {
        let of_this_secret = match &settings.sign_in {
            SignIn::App { client_secret, .. } => kept.mark == Some(mark(client_secret, kept.issued)),
            _ => true,
        };
        // Another process may have renewed what this one saw refused.
        let refused = renew && self.given().get(place).is_none_or(|given| given.access_token == kept.access_token);
        let serves = of_this_secret && !refused && kept.serves(seconds());
        serves.then(|| {
            self.given().insert(place.to_owned(), kept.clone());
            kept.access_token.clone().into()
        })
    }

    fn ask(
        &self,
        settings: &MailSettings,
        owner: Owner,
        kept: Result<Option<Kept>, String>,
    ) -> Result<Kept, DeliveryError> {
        let endpoint = self.endpoint(settings).ok_or_else(|| explain::none_needed(settings))?;
        if let SignIn::App { client_secret, .. } = &settings.sign_in {
            let granted = endpoint.for_app(client_secret.expose_secret());
            let mut kept = kept_of(owner, granted.map_err(|trouble| trouble.explained(settings))?, None);
            kept.mark = Some(mark(client_secret, kept.issued));
            return Ok(kept);
        }
        match &kept {
            Ok(Some(old)) if let Some(token) = &old.refresh_token => {
                let granted = endpoint.renew(token).map_err(|trouble| trouble.explained(settings))?;
                Ok(kept_of(owner, granted, Some(old)))
            }
            kept => {
                let why = kept.as_ref().err().map(String::as_str);
                Err(explain::nobody_signed_in(settings, &os::account(), &self.place(settings), why))
            }
        }
    }
}

impl TokenSource for Tokens {
    fn token(&self, settings: &MailSettings, renew: bool) -> Result<SecretString, DeliveryError> {
        let owner = Owner::of(settings).ok_or_else(|| explain::none_needed(settings))?;
        let place = self.place(settings);
        let at_hand =
            |kept: &Result<Option<Kept>, String>| self.serving(kept.as_ref().ok()?.as_ref()?, &place, settings, renew);
        if let Some(token) = at_hand(&self.kept(&place, &owner)) {
            return Ok(token);
        }
        let Some(_lock) = Lock::take(&place, Instant::now() + self.limit) else {
            return Err(explain::busy(settings, self.limit));
        };
        // Another process may have renewed it while this one waited.
        let kept = self.kept(&place, &owner);
        if let Some(token) = at_hand(&kept) {
            return Ok(token);
        }
        let new = self.ask(settings, owner, kept)?;
        // The mail goes out all the same: Microsoft's refresh tokens may be used again until they expire.
        if let Err(error) = file::write(&place, &new) {
            tracing::warn!(place = %place.display(), %error, "cannot keep the token");
        }
        let token = new.access_token.clone().into();
        self.given().insert(place, new);
        Ok(token)
    }
}

/// What is kept of an answer. Without a new refresh token the old one stays (RFC 6749, section 6).
fn kept_of(owner: Owner, granted: Granted, old: Option<&Kept>) -> Kept {
    let Granted { access_token, refresh_token, lifetime } = granted;
    let mut kept = Kept::new(owner, access_token, seconds(), lifetime);
    kept.refresh_token = refresh_token.or_else(|| old?.refresh_token.clone());
    kept.signed_in = old.and_then(|old| old.signed_in);
    kept
}

/// Whose an access token is, where it is one that can be looked into (a JWT, RFC 7519). For people to read; nothing is
/// decided by it.
fn account_in(access_token: &str) -> Option<String> {
    use base64::Engine as _;
    let claims = access_token.split('.').nth(1)?;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let named = ["upn", "preferred_username", "unique_name", "email"];
    named.iter().find_map(|name| claims.get(name)?.as_str()).map(str::to_owned)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn seconds() -> u64 {
    since_1970().as_secs()
}

fn milliseconds() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}

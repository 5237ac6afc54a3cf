//! The file that a sign-in's tokens are kept in: JSON, written whole or not at all, for its owner alone.

use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::os;
use crate::mail::{MailSettings, SignIn};

/// The format's version.
const VERSION: u32 = 1;
/// How often a lock that others hold is tried.
const PATIENCE: Duration = Duration::from_millis(20);

/// Whose tokens they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    authority: String,
    tenant: String,
    client_id: String,
    login: String,
}

impl Owner {
    /// `None` for those who sign in with a password.
    pub(super) fn of(settings: &MailSettings) -> Option<Self> {
        let (SignIn::App { tenant, client_id, .. } | SignIn::Delegated { tenant, client_id }) = &settings.sign_in
        else {
            return None;
        };
        let MailSettings { authority, login, .. } = settings;
        // Neither addresses nor identifiers tell their letters' case.
        let [authority, tenant, client_id, login] =
            [authority, tenant, client_id, login].map(|text| text.to_lowercase());
        Some(Self { authority, tenant, client_id, login })
    }

    /// The name of their file: the login, for people, and what tells all four apart (FNV-1a, which is the same for ever).
    pub(super) fn file_name(&self) -> String {
        let Self { authority, tenant, client_id, login } = self;
        let all = [authority, tenant, client_id, login].map(String::as_bytes).join(&0);
        let hash = all
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        let plain = |c: char| if c.is_ascii_alphanumeric() || "@.-_".contains(c) { c } else { '_' };
        let login: String = login.chars().map(plain).take(80).collect();
        format!("{}-{hash:016x}.json", login.trim_start_matches('.'))
    }
}

/// Tokens, and until when they serve. Not shown by `Debug`, since it doesn't have one.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    version: u32,
    pub(super) owner: Owner,
    /// When a person signed in, in milliseconds since 1970.
    pub(super) signed_in: Option<u64>,
    pub(super) refresh_token: Option<String>,
    pub(super) access_token: String,
    /// Seconds since 1970.
    pub(super) issued: u64,
    /// Seconds since 1970.
    pub(super) expires: u64,
    /// Tells a changed secret of an application; see [`mark`].
    #[serde(default)]
    pub(super) mark: Option<u16>,
}

impl Kept {
    pub(super) fn new(owner: Owner, access_token: String, issued: u64, lifetime: u64) -> Self {
        let expires = issued.saturating_add(lifetime);
        let (signed_in, refresh_token, mark) = (None, None, None);
        Self { version: VERSION, owner, signed_in, refresh_token, access_token, issued, expires, mark }
    }

    /// Whether the access token serves for a while yet: a token isn't begun with in its last tenth, or its last two
    /// minutes. One from the future was issued by a clock that has been set back since, and nothing is known of it.
    pub(super) fn serves(&self, now: u64) -> bool {
        let margin = (self.expires.saturating_sub(self.issued) / 10).min(120);
        self.issued <= now.saturating_add(margin) && now < self.expires.saturating_sub(margin)
    }
}

/// Sixteen bits of a secret and a salt: enough to notice that another one was set, and too few to check a guess by.
pub(super) fn mark(secret: &SecretString, salt: u64) -> u16 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(salt);
    hasher.write(secret.expose_secret().as_bytes());
    u16::try_from(hasher.finish() & 0xFFFF).unwrap_or_default()
}

/// Reads a file; `Ok(None)` if there is none, or somebody else's tokens are in it.
///
/// # Errors
/// With a sentence about what keeps it from being read.
pub(super) fn read(path: &Path, owner: &Owner) -> Result<Option<Kept>, String> {
    let unusable = |why: String| format!("cannot read the token in {}: {why}", path.display());
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error.to_string())),
    };
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    match serde_json::from_slice::<Versioned>(&bytes) {
        Ok(Versioned { version }) if version > VERSION => {
            Err(unusable(format!("a newer runner wrote it (version {version}); update this one")))
        }
        Ok(_) => match serde_json::from_slice::<Kept>(&bytes) {
            Ok(kept) => Ok((kept.owner == *owner).then_some(kept)),
            Err(_) => Err(unusable("it is damaged".to_owned())),
        },
        Err(_) => Err(unusable("it is damaged".to_owned())),
    }
}

/// Replaces a file by one that only this account can read; when it returns, the disk has it.
pub(super) fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let dir = private_dir(path)?;
    let draft = path.with_extension(format!("{}.part", std::process::id()));
    // What a process with this id left that was killed.
    let _ = fs::remove_file(&draft);
    let write = || {
        let mut file = os::new_private_file(&draft)?;
        file.write_all(&serde_json::to_vec(kept)?)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&draft, path)?;
        // The rename survives a power failure only with its folder; where folders can't be opened, the system sees to it.
        if cfg!(unix) { File::open(&dir)?.sync_all() } else { Ok(()) }
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&draft);
    })
}

fn private_dir(path: &Path) -> io::Result<PathBuf> {
    let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
    if let Some(state) = dir.parent().filter(|_| !dir.is_dir()) {
        fs::create_dir_all(state)?;
        if let Err(error) = os::make_private_dir(&dir)
            && !dir.is_dir()
        {
            return Err(error);
        }
    }
    Ok(dir)
}

/// Keeps other processes and threads from renewing the same token, until dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "it is held, not used")] Option<File>);

impl Lock {
    /// Waits for the lock until then; `None` if others hold it still. Where there can be no lock, because the folder can't be
    /// written, nothing can be kept either: then it is taken without one.
    pub(super) fn take(path: &Path, until: Instant) -> Option<Self> {
        let open = || {
            private_dir(path)?;
            let path = path.with_extension("lock");
            match os::new_private_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::options().write(true).open(&path),
                opened => opened,
            }
        };
        let Ok(file) = open() else { return Some(Self(None)) };
        loop {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(PATIENCE),
                Err(TryLockError::WouldBlock) => return None,
                Ok(()) | Err(TryLockError::Error(_)) => return Some(Self(Some(file))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(login: &str) -> Owner {
        let [authority, tenant, client_id, login] = ["https://a", "t", "c", login].map(str::to_owned);
        Owner { authority, tenant, client_id, login }
    }

    #[test]
    fn a_token_serves_until_shortly_before_it_expires() {
        let kept = Kept::new(owner("a@b.c"), "at".into(), 1000, 3600);
        assert!(kept.serves(1000) && kept.serves(1000 + 3479) && !kept.serves(1000 + 3480));
        let short = Kept::new(owner("a@b.c"), "at".into(), 1000, 20);
        assert!(short.serves(1017) && !short.serves(1018));
        assert!(!Kept::new(owner("a@b.c"), "at".into(), 10_000, 3600).serves(1000));
    }

    #[test]
    fn each_owner_has_a_file_of_its_own_whatever_the_login() {
        let name = owner("a@b.c").file_name();
        assert!(name.starts_with("a@b.c-") && name.ends_with(".json"), "{name}");
        assert_ne!(owner("../ü").file_name(), owner("../ö").file_name());
        assert!(owner("../../x").file_name().starts_with("_.._x-"), "{}", owner("../../x").file_name());
        assert!(owner(&"x".repeat(500)).file_name().len() < 120);
    }

    #[test]
    fn what_is_written_is_read_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state").join("tokens").join("a.json");
        assert!(read(&path, &owner("a")).unwrap().is_none());
        write(&path, &Kept::new(owner("a"), "at".into(), 1, 2)).unwrap();
        assert_eq!(read(&path, &owner("a")).unwrap().unwrap().access_token, "at");
        assert!(read(&path, &owner("b")).unwrap().is_none());
        fs::write(&path, "{\"version\": 2}").unwrap();
        assert!(read(&path, &owner("a")).err().unwrap().contains("newer runner"));
        for damaged in ["", "{}", "{\"version\": 1, \"access_token\": \"s3cret\"}"] {
            fs::write(&path, damaged).unwrap();
            let sentence = read(&path, &owner("a")).err().unwrap();
            assert!(sentence.contains("is damaged") && !sentence.contains("s3cret"), "{sentence}");
        }
    }

    proptest::proptest! {
        #[test]
        fn fuzz_token_files(bytes: Vec<u8>, version: u32, login: String) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.json");
            fs::write(&path, &bytes).unwrap();
            let _ = read(&path, &owner("a"));
            fs::write(&path, serde_json::json!({ "version": version, "owner": { "login": login } }).to_string()).unwrap();
            proptest::prop_assert!(read(&path, &owner("a")).is_err());
            let name = owner(&login).file_name();
            proptest::prop_assert!(name.is_ascii() && !name.contains(['/', '\\']) && !name.starts_with('.'));
        }
    }

    #[test]
    fn a_lock_keeps_others_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens").join("a.json");
        let held = Lock::take(&path, Instant::now()).unwrap();
        assert!(Lock::take(&path, Instant::now()).is_none());
        drop(held);
        assert!(Lock::take(&path, Instant::now()).is_some());
    }
}

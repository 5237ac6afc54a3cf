//! A snapshot of environment variables, so that nothing in here depends on the process it runs in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

/// Environment variables as they stood at one moment. Its `Debug` shows names only: values may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Those of this process.
    #[must_use]
    pub fn from_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Those given.
    pub fn from_pairs<K: Into<OsString>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The value of a variable. On Windows the case of its name doesn't matter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        if cfg!(windows) {
            self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_os_str())
        } else {
            self.0.get(OsStr::new(name)).map(OsString::as_os_str)
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Environment").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_never_shown() {
        let env = Environment::from_pairs([("PASSWORD_MAIL", "hunter2"), ("Path", "x")]);
        assert_eq!(env.get("PASSWORD_MAIL"), Some(OsStr::new("hunter2")));
        assert_eq!(env.get("PATH").is_some(), cfg!(windows));
        assert_eq!(env.get("HOME"), None);
        let shown = format!("{env:?}");
        assert!(shown.contains("PASSWORD_MAIL") && !shown.contains("hunter2"), "{shown}");
    }
}

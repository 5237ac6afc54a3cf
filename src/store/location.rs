//! Where the state database lies.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::os::is_writable_dir;

/// The variable that names the state folder.
pub const STATE_DIR_VARIABLE: &str = "RUNNER_STATE_DIR";

/// The name of the state folder below the places where systems keep such things.
const FOLDER: &str = "project-runner";

/// Neither a flag nor the environment says where state may be kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no folder for the state database: this user has no home folder")]
pub struct UnknownStateDir;

impl UnknownStateDir {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "name one with `--state-dir` or RUNNER_STATE_DIR"
    }
}

/// What the choice of the state folder depends on.
pub struct Surroundings<'a> {
    /// Looks up an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The user's home folder, for when no variable names it.
    pub home: Option<PathBuf>,
    /// Whether a path is a folder in which this user may make files.
    pub is_writable_dir: &'a dyn Fn(&Path) -> bool,
}

impl Surroundings<'static> {
    /// The process's environment and the machine's disk.
    #[must_use]
    pub fn of_process() -> Self {
        Self { variable: &|name| std::env::var_os(name), home: std::env::home_dir(), is_writable_dir: &is_writable_dir }
    }
}

/// The state folder: the flag's, else that of `RUNNER_STATE_DIR`, else the machine-wide one if it was set up and may be
/// written, else the user's. It need not exist yet.
///
/// # Errors
/// When none of them is known.
pub fn state_dir(flag: Option<&Path>, surroundings: &Surroundings<'_>) -> Result<PathBuf, UnknownStateDir> {
    if let Some(dir) = flag {
        return Ok(dir.to_owned());
    }
    let variable = |name: &str| (surroundings.variable)(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = variable(STATE_DIR_VARIABLE) {
        return Ok(dir);
    }
    let machine_wide = if cfg!(windows) {
        variable("ProgramData").map(|dir| dir.join(FOLDER))
    } else {
        Some(Path::new("/var/lib").join(FOLDER))
    };
    if let Some(dir) = machine_wide
        && (surroundings.is_writable_dir)(&dir)
    {
        return Ok(dir);
    }
    let user = if cfg!(windows) {
        let home = || variable("USERPROFILE").or_else(|| surroundings.home.clone());
        variable("LOCALAPPDATA").or_else(|| Some(home()?.join("AppData").join("Local")))
    } else {
        // A relative path is to be ignored (XDG Base Directory Specification 0.8).
        let home = || variable("HOME").or_else(|| surroundings.home.clone());
        variable("XDG_DATA_HOME").filter(|dir| dir.is_absolute()).or_else(|| Some(home()?.join(".local").join("share")))
    };
    user.map(|dir| dir.join(FOLDER)).ok_or(UnknownStateDir)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn chosen(flag: Option<&str>, variables: &[(&str, &str)], machine_wide: bool) -> Option<PathBuf> {
        let variables: HashMap<String, OsString> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        let surroundings = Surroundings {
            variable: &|name| variables.get(name).cloned(),
            home: None,
            is_writable_dir: &|_| machine_wide,
        };
        state_dir(flag.map(Path::new), &surroundings).ok()
    }

    #[test]
    fn the_flag_wins_then_the_variable() {
        let variables = [("RUNNER_STATE_DIR", "/v"), ("HOME", "/home/u"), ("ProgramData", "/p")];
        assert_eq!(chosen(Some("/f"), &variables, true), Some("/f".into()));
        assert_eq!(chosen(None, &variables, true), Some("/v".into()));
    }

    #[cfg(unix)]
    #[test]
    fn the_machine_wide_folder_comes_before_the_users() {
        let home = [("HOME", "/home/u"), ("RUNNER_STATE_DIR", "")];
        assert_eq!(chosen(None, &home, true), Some("/var/lib/project-runner".into()));
        assert_eq!(chosen(None, &home, false), Some("/home/u/.local/share/project-runner".into()));
        let xdg = [("HOME", "/home/u"), ("XDG_DATA_HOME", "/data")];
        assert_eq!(chosen(None, &xdg, false), Some("/data/project-runner".into()));
        let relative = [("HOME", "/home/u"), ("XDG_DATA_HOME", "data")];
        assert_eq!(chosen(None, &relative, false), Some("/home/u/.local/share/project-runner".into()));
        assert_eq!(chosen(None, &[], false), None);
    }

    #[cfg(windows)]
    #[test]
    fn the_machine_wide_folder_comes_before_the_users() {
        let all = [("ProgramData", r"C:\ProgramData"), ("LOCALAPPDATA", r"C:\Users\u\AppData\Local")];
        assert_eq!(chosen(None, &all, true), Some(r"C:\ProgramData\project-runner".into()));
        assert_eq!(chosen(None, &all, false), Some(r"C:\Users\u\AppData\Local\project-runner".into()));
        let profile = [("USERPROFILE", r"C:\Users\u")];
        assert_eq!(chosen(None, &profile, false), Some(r"C:\Users\u\AppData\Local\project-runner".into()));
        assert_eq!(chosen(None, &[], false), None);
    }

    #[test]
    fn a_folder_is_writable_or_not() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_writable_dir(dir.path()));
        assert!(!is_writable_dir(&dir.path().join("absent")));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

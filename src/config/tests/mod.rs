//! Whole configurations, from files to a project or to what is wrong with them.

mod files;
mod fuzz;
mod inputs;
mod mail;
mod policies;
mod schedule;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use crate::model::{EmailStrategy, LogRotation, OnFailure, OutputPolicy};

use super::*;

/// A project's folder in a folder that nobody else may write to, and a PATH with a python.
struct House {
    root: TempDir,
    env: Vec<(String, String)>,
}

const SIX: &str = r#"{"scripts": ["main.py"], "python_command": "python", "recipients": ["a@example.com"],
"email_strategy": "all", "include_traceback": true, "logs_backup_count": 4"#;

impl House {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let house = Self { root, env: Vec::new() };
        house.program("bin/python");
        house.file("p/main.py", "");
        let path = house.path("bin").display().to_string();
        house.env("PATH", &path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let file = self.path(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
        self
    }

    fn program(&self, name: &str) -> &Self {
        let name = if cfg!(windows) { format!("{name}.exe") } else { name.to_owned() };
        self.file(&name, "x");
        #[cfg(unix)]
        std::fs::set_permissions(self.path(&name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn config(&self, content: impl AsRef<[u8]>) -> &Self {
        self.file("p/exec_config.json", content)
    }

    /// The six keys and these.
    fn with(&self, more: &str) -> &Self {
        let comma = if more.is_empty() { "" } else { "," };
        self.config(format!("{SIX}{comma}\n{more}}}"))
    }

    fn load_profile(&self, profile: Option<&str>) -> Result<Loaded, ConfigError> {
        let env = Environment::from_pairs(self.env.clone());
        load(&LoadRequest { project: &self.path("p"), profile, env: &env })
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        self.load_profile(None)
    }

    fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The problems, as lines, without the folder's name.
    fn problems(&self) -> Vec<String> {
        let error = self.load().expect_err("a problem");
        self.lines(&error.problems)
    }

    fn lines(&self, problems: &[Problem]) -> Vec<String> {
        let folder = self.root.path().display().to_string();
        let separator = std::path::MAIN_SEPARATOR;
        problems
            .iter()
            .map(|problem| {
                let line = problem.plain();
                assert!(!line.contains('\n'), "{line}");
                line.replace(&format!("{folder}{separator}"), "").replace('\\', "/")
            })
            .collect()
    }

    /// The one problem that the six keys and this have.
    fn problem_with(&self, more: &str) -> String {
        let problems = self.with(more).problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        problems[0].strip_prefix("p/exec_config.json:").map_or_else(|| problems[0].clone(), str::to_owned)
    }
}

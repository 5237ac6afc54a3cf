//! Finding the program that runs the scripts. It looks at files and never starts one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::node::quoted;
use super::os::is_executable;
use super::paths;

/// Whose rules of finding programs hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Programs are files with the executable bit.
    Unix,
    /// Programs are files that end in `.com`, `.exe`, `.bat` or `.cmd`.
    Windows,
}

impl Platform {
    /// That of this build.
    #[must_use]
    pub fn current() -> Self {
        if cfg!(windows) { Self::Windows } else { Self::Unix }
    }
}

/// Why there is no interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoInterpreter {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Endings that make a file a program on Windows, in the order in which they are tried.
const ENDINGS: [&str; 4] = ["com", "exe", "bat", "cmd"];

/// Where to look.
#[derive(Clone, Copy)]
pub(super) struct Lookup<'a> {
    /// The project's folder, absolute.
    pub(super) root: &'a Path,
    /// For its PATH.
    pub(super) environment: &'a Environment,
    /// Whose rules hold.
    pub(super) platform: Platform,
}

impl Lookup<'_> {
    /// Finds a program: a bare name on PATH only (relative entries of it are passed over), one with a separator
    /// relative to the project.
    pub(super) fn find(&self, program: &str, args: &[String]) -> Result<PathBuf, NoInterpreter> {
        if program.trim().is_empty() {
            return Err(no("the interpreter's name is empty", Some("name a program, as in \"python\"".into())));
        }
        if program.contains(char::is_control) {
            let hint = "write each backslash twice (`\\\\`), or use `/`";
            return Err(no(format!("{} holds a control character", quoted(program)), Some(hint.into())));
        }
        self.refuse_bare_cmd(program, args)?;
        if self.has_separator(program) { self.in_project(program) } else { self.on_path(program) }
    }

    fn has_separator(&self, program: &str) -> bool {
        program.contains(['/', '\\']) || (self.platform == Platform::Windows && program.contains(':'))
    }

    /// `cmd script.bat` would open a prompt instead of running the script.
    fn refuse_bare_cmd(&self, program: &str, args: &[String]) -> Result<(), NoInterpreter> {
        let name = program.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase();
        let is_cmd = name == "cmd.exe" || (name == "cmd" && (self.platform == Platform::Windows || name == program));
        let told_to_run = args.iter().any(|arg| arg.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("/c")));
        if is_cmd && !told_to_run {
            let hint = r#"write ["cmd", "/d", "/c"]"#;
            return Err(no("cmd without /c doesn't run a script, it opens a prompt", Some(hint.into())));
        }
        Ok(())
    }

    fn on_path(&self, program: &str) -> Result<PathBuf, NoInterpreter> {
        let mut stub = None;
        for folder in self.path_folders() {
            for candidate in self.spellings(&folder.join(program)) {
                if !self.is_program(&candidate) {
                    continue;
                }
                if self.is_store_stub(&candidate) {
                    stub.get_or_insert(candidate);
                } else {
                    return Ok(candidate);
                }
            }
        }
        if let Some(stub) = stub {
            return Err(store_stub(&stub));
        }
        let looked = match self.path_folders().len() {
            0 => "PATH has no folders".to_owned(),
            1 => "looked in the one folder of PATH".to_owned(),
            count => format!("looked in the {count} folders of PATH"),
        };
        Err(no(format!("{} isn't found; {looked}", quoted(program)), self.hint_for_bare(program)))
    }

    fn hint_for_bare(&self, program: &str) -> Option<String> {
        if program.starts_with('~') {
            return Some("`~` means nothing here; write the whole path".into());
        }
        if program.contains(' ') {
            let words: Vec<&str> = program.split_whitespace().collect();
            return Some(format!("a string is one program; write {}", serde_json::json!(words)));
        }
        let in_project = paths::join(self.root, program);
        if self.spellings(&in_project).iter().any(|file| self.is_program(file)) {
            return Some(format!("a program of the project is named with a separator: \"./{program}\""));
        }
        let others: &[&str] = match program.to_ascii_lowercase().as_str() {
            "python" | "python.exe" => &["python3", "py"],
            "python3" | "python3.exe" | "py" => &["python", "python3"],
            _ if program.to_ascii_lowercase().starts_with("python") => &["python3", "python"],
            "pwsh" => &["powershell"],
            "powershell" => &["pwsh"],
            _ => &[],
        };
        let found = others.iter().find(|other| **other != program && self.is_on_path(other));
        let hint = match found {
            Some(other) => format!("{other} is on PATH"),
            None => "install it, add its folder to PATH, or write its whole path".to_owned(),
        };
        Some(hint)
    }

    fn is_on_path(&self, program: &str) -> bool {
        self.path_folders().iter().any(|folder| {
            self.spellings(&folder.join(program)).iter().any(|file| self.is_program(file) && !self.is_store_stub(file))
        })
    }

    fn in_project(&self, program: &str) -> Result<PathBuf, NoInterpreter> {
        let mut written = vec![program.to_owned()];
        if self.platform == Platform::Unix && program.contains('\\') {
            written.push(program.replace('\\', "/"));
        }
        let mut candidates = Vec::new();
        for spelling in &written {
            candidates.extend(self.spellings(&paths::join(self.root, spelling)));
        }
        for spelling in &written {
            for counterpart in self.counterparts(spelling) {
                candidates.extend(self.spellings(&paths::join(self.root, &counterpart)));
            }
        }
        match candidates.iter().find(|candidate| self.is_program(candidate)) {
            Some(stub) if self.is_store_stub(stub) => Err(store_stub(stub)),
            Some(found) => Ok(found.clone()),
            None => Err(self.not_in_project(program, &candidates)),
        }
    }

    fn not_in_project(&self, program: &str, candidates: &[PathBuf]) -> NoInterpreter {
        if let Some(folder) = candidates.iter().find(|candidate| candidate.is_dir()) {
            return no(format!("{} is a folder", folder.display()), Some("name the program in it".into()));
        }
        if let Some(file) = candidates.iter().find(|candidate| candidate.is_file()) {
            let hint = match self.platform {
                Platform::Unix => format!("chmod +x {}", file.display()),
                Platform::Windows => "a program ends in .exe, .com, .bat or .cmd".to_owned(),
            };
            return no(format!("{} isn't executable", file.display()), Some(hint));
        }
        let looked: Vec<String> = candidates.iter().map(|candidate| candidate.display().to_string()).collect();
        let message = format!("{} isn't found; looked for {}", quoted(program), looked.join(", "));
        let parts: Vec<&str> = program.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect();
        let hint = match parts.as_slice() {
            [venv, folder, name]
                if (folder.eq_ignore_ascii_case("scripts") || *folder == "bin")
                    && name.starts_with("python")
                    && !venv.contains(':')
                    && !program.starts_with(['/', '\\']) =>
            {
                Some(format!("make the virtual environment in the project's folder: python -m venv {venv}"))
            }
            _ if program.starts_with('~') => Some("`~` means nothing here; write the whole path".into()),
            _ if program.contains(" -") => {
                let words: Vec<&str> = program.split_whitespace().collect();
                Some(format!("a string is one program; write {}", serde_json::json!(words)))
            }
            _ if self.platform == Platform::Unix && parts.first().is_some_and(|part| part.ends_with(':')) => {
                Some("this is a path of Windows; name the program as this system has it".into())
            }
            _ => Some("a name with a separator is relative to the project's folder".into()),
        };
        NoInterpreter { message, hint }
    }

    /// The same program of a virtual environment as the other system spells it.
    fn counterparts(&self, program: &str) -> Vec<String> {
        let mut parts: Vec<&str> = program.split(['/', '\\']).collect();
        let (Some(name), Some(folder)) = (parts.pop(), parts.pop()) else { return Vec::new() };
        let stem = name.to_ascii_lowercase();
        let stem = stem.strip_suffix(".exe").map_or(name, |stem| name.get(..stem.len()).unwrap_or(name));
        if !stem.to_ascii_lowercase().starts_with("py") {
            return Vec::new();
        }
        let in_folder =
            |folder: &str, name: &str| parts.iter().copied().chain([folder, name]).collect::<Vec<_>>().join("/");
        match self.platform {
            Platform::Unix if folder.eq_ignore_ascii_case("scripts") => vec![in_folder("bin", stem)],
            // Windows' virtual environments have no python3 beside python.
            Platform::Windows if folder == "bin" => {
                let mut names = vec![in_folder("Scripts", stem)];
                if stem != "python" && stem.starts_with("python") {
                    names.push(in_folder("Scripts", "python"));
                }
                names
            }
            _ => Vec::new(),
        }
    }

    /// The files that a name may mean.
    fn spellings(&self, file: &Path) -> Vec<PathBuf> {
        if self.platform == Platform::Unix || has_program_ending(file) {
            return vec![file.to_path_buf()];
        }
        ENDINGS
            .iter()
            .map(|ending| {
                let mut name = file.as_os_str().to_owned();
                name.push(".");
                name.push(ending);
                PathBuf::from(name)
            })
            .collect()
    }

    fn is_program(&self, file: &Path) -> bool {
        match self.platform {
            Platform::Unix => is_executable(file),
            // An alias of the Store can't be followed, and so has no metadata but its own.
            Platform::Windows => std::fs::symlink_metadata(file).is_ok_and(|metadata| !metadata.is_dir()),
        }
    }

    /// The Store's stand-in for a Python that isn't installed: it opens the Store, or exits with 9009.
    fn is_store_stub(&self, file: &Path) -> bool {
        let name = file.to_string_lossy().replace('/', "\\").to_ascii_lowercase();
        self.platform == Platform::Windows
            && name.contains(r"\microsoft\windowsapps\python")
            && std::fs::symlink_metadata(file).is_ok_and(|metadata| metadata.len() == 0 || !metadata.is_file())
    }

    /// The folders of PATH; relative ones are passed over, as they would mean a file of wherever one stands.
    fn path_folders(&self) -> Vec<PathBuf> {
        let Some(value) = self.environment.get(super::env_vars::PATH) else { return Vec::new() };
        split_path(value, self.platform).into_iter().filter(|folder| folder.is_absolute()).collect()
    }
}

fn no(message: impl Into<String>, hint: Option<String>) -> NoInterpreter {
    NoInterpreter { message: message.into(), hint }
}

fn store_stub(stub: &Path) -> NoInterpreter {
    no(
        format!("{} is the Microsoft Store's stand-in for a Python that isn't installed", stub.display()),
        Some(
            "install Python from python.org, or write its whole path; the stand-in is switched off under Settings, \
             Apps, Advanced app settings, App execution aliases"
                .into(),
        ),
    )
}

fn has_program_ending(file: &Path) -> bool {
    let ending = file.extension().and_then(OsStr::to_str).unwrap_or_default();
    ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

fn split_path(value: &OsStr, platform: Platform) -> Vec<PathBuf> {
    if platform == Platform::current() {
        return std::env::split_paths(value).collect();
    }
    let separator = if platform == Platform::Windows { ';' } else { ':' };
    value.to_string_lossy().split(separator).map(PathBuf::from).collect()
}

#[cfg(test)]
#[path = "interpreter_tests.rs"]
mod tests;

//! The competitors: the runner, a bare loop, and other ways to run the same scripts; and the projects they run.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::measure::Lane;

pub(super) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A project folder of scripts that all do the same, with a state folder beside it.
pub(super) struct Project {
    pub(super) folder: PathBuf,
    pub(super) scripts: Vec<PathBuf>,
    pub(super) interpreter: PathBuf,
    state: PathBuf,
}

impl Project {
    /// Makes `count` scripts of this text in `parent/name`, to be run by `interpreter`, a program on PATH.
    pub(super) fn make(parent: &Path, name: &str, interpreter: &str, text: &str, count: usize) -> Result<Self> {
        let folder = parent.join(name);
        fs::create_dir_all(&folder)?;
        let mut listed = String::new();
        let mut scripts = Vec::with_capacity(count);
        for number in 1..=count {
            let file = format!("script_{number:05}.sh");
            fs::write(folder.join(&file), text)?;
            write!(listed, "{}\"{file}\"", if number == 1 { "" } else { ", " })?;
            scripts.push(folder.join(file));
        }
        let config = format!(
            "{{\"scripts\": [{listed}], \"python_command\": \"{interpreter}\", \"recipients\": [], \
             \"email_strategy\": \"none\", \"include_traceback\": false, \"logs_backup_count\": 0}}\n"
        );
        fs::write(folder.join("exec_config.json"), config)?;
        let interpreter = on_path(interpreter).ok_or_else(|| format!("`{interpreter}` is not on PATH"))?;
        Ok(Self { state: parent.join(format!("{name}.state")), folder, scripts, interpreter })
    }

    /// The whole command, from the start of its process to its end.
    pub(super) fn runner(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command.args(["run", "-q", "--no-mail", "--state-dir"]).arg(&self.state).arg(&self.folder);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RUNNER_") {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// The floor: spawn and wait, nothing captured, nothing written down.
    fn bare_loop(&self) -> Result<()> {
        for script in &self.scripts {
            let mut command = Command::new(&self.interpreter);
            command.arg(script).current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null());
            succeed(command.stderr(Stdio::null()))?;
        }
        Ok(())
    }

    pub(super) fn lane_bare(&self) -> Lane<'_> {
        Lane::new("bare spawn-and-wait loop", || self.bare_loop())
    }

    pub(super) fn lane_runner(&self) -> Lane<'_> {
        Lane::new("runner run", || succeed(&mut self.runner()))
    }

    /// Python's usual way to run scripts and keep what they print; `None` where there is no Python.
    pub(super) fn lane_python(&self) -> Option<Lane<'_>> {
        const LOOP: &str = "import subprocess, sys\n\
            for script in sys.argv[3:]:\n    \
                subprocess.run([sys.argv[1], script], cwd=sys.argv[2], stdin=subprocess.DEVNULL, capture_output=True)";
        let python = python()?;
        Some(Lane::new("python3, subprocess.run in a loop", move || {
            let mut command = Command::new(&python);
            command.args([OsStr::new("-c"), OsStr::new(LOOP), self.interpreter.as_os_str(), self.folder.as_os_str()]);
            succeed(command.args(&self.scripts).stdin(Stdio::null()).stdout(Stdio::null()))
        }))
    }

    /// `xargs -n1`; `None` where there is none.
    pub(super) fn lane_xargs(&self) -> Result<Option<Lane<'_>>> {
        use std::os::unix::ffi::OsStrExt as _;
        let Some(xargs) = on_path("xargs") else { return Ok(None) };
        let list = self.folder.join("scripts.list");
        let mut file = File::create(&list)?;
        for script in &self.scripts {
            file.write_all(script.as_os_str().as_bytes())?;
            file.write_all(b"\0")?;
        }
        Ok(Some(Lane::new("xargs -n1", move || {
            let mut command = Command::new(&xargs);
            command.args(["-0", "-n1"]).arg(&self.interpreter).current_dir(&self.folder);
            succeed(command.stdin(File::open(&list)?).stdout(Stdio::null()))
        })))
    }
}

/// Runs a command to its end; an error if it fails, because a failing one measures nothing.
pub(super) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| format!("cannot start {}: {error}", describe(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", describe(command)).into()) }
}

/// The command's beginning; all of it may be ten thousand arguments.
pub(super) fn describe(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let args: Vec<_> = command.get_args().take(6).map(OsStr::to_string_lossy).collect();
    format!("`{program} {}`", args.join(" "))
}

/// Python itself: what is on PATH may be a version manager's script, which would cost Python a tenth of a second.
fn python() -> Option<PathBuf> {
    let mut command = Command::new(on_path("python3")?);
    let output = command.args(["-c", "import sys; print(sys.executable)"]).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim_end());
    path.is_file().then_some(path)
}

/// Where a program is, looked up once so that no lane pays for the search.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

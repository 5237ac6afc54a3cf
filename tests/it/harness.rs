//! Projects in temporary folders, and the `runner` command on them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a condition is waited for before a test fails. Long: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test. Absolute, because a build for Windows made elsewhere names it without a drive.
pub fn runner() -> PathBuf {
    std::path::absolute(env!("CARGO_BIN_EXE_runner")).unwrap()
}

/// The misbehaving interpreter, an example program. All of `cargo test` builds it; for `cargo test --test NAME` it is made
/// here.
pub fn subject() -> PathBuf {
    static READY: OnceLock<PathBuf> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        let name = if cfg!(windows) { "subject.exe" } else { "subject" };
        let built = runner().parent().unwrap().to_owned();
        let path = built.join("examples").join(name);
        if let (Some(cargo), false) = (std::env::var_os("CARGO"), is_newer(&path, "tests/subjects/main.rs")) {
            let profile = built.file_name().filter(|name| *name != "debug").unwrap_or(OsStr::new("dev"));
            let mut build = Command::new(cargo);
            build.args(["build", "--quiet", "--example", "subject", "--profile"]).arg(profile);
            build.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
            let _ = build.status();
        }
        assert!(path.exists(), "{} is not built; run all of `cargo test` once", path.display());
        path
    });
    ready.clone()
}

/// Whether a program was built after the last change of its source.
fn is_newer(program: &Path, source: &str) -> bool {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    changed(program).is_some_and(|program| changed(&source).is_none_or(|source| source <= program))
}

/// The command of a usable Python, or a word of why the test is skipped.
pub fn python() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&'static str>> = OnceLock::new();
    let names: &[&str] = if cfg!(windows) { &["python", "py", "python3"] } else { &["python3", "python"] };
    let is_usable = |name: &&&str| {
        let mut command = Command::new(name);
        command.args(["-c", "import sys; sys.exit(sys.version_info < (3, 8))"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let found = *FOUND.get_or_init(|| names.iter().find(is_usable).copied());
    if found.is_none() {
        println!("skipped: no Python 3.8 or newer is on PATH (looked for {})", names.join(", "));
    }
    found
}

/// Copies what of a folder belongs to it, without what runs leave there.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if !entry.file_type().unwrap().is_dir() {
            std::fs::copy(entry.path(), target).unwrap();
        } else if entry.file_name() != "logs" && entry.file_name() != "work" {
            copy_dir(&entry.path(), &target);
        }
    }
}

/// Waits until `condition` gives something.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the machine has been up for so long; else says that the test is skipped: nobody is told at once of what was due
/// before the machine was started.
pub fn is_up_for(hours: u64) -> bool {
    let is_up = project_runner::exec::up_for().is_none_or(|up| up.as_secs() > hours * 3600);
    if !is_up {
        println!("skipped: the machine was started less than {hours} hours ago");
    }
    is_up
}

/// Waits until a file is there and gives what is in it.
pub fn wait_for_file(path: &Path) -> String {
    wait_for(&path.display().to_string(), || std::fs::read_to_string(path).ok())
}

/// What a finished command left.
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Of a command that has ended.
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"),
            stderr: String::from_utf8_lossy(&output.stderr).replace("\r\n", "\n"),
        }
    }

    /// Fails the test unless the command ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON lines.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// A temporary folder with projects and a state folder.
pub struct Test {
    dir: tempfile::TempDir,
}

impl Test {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Changes the state database, as if that had come about.
    pub fn database(&self, sql: &'static str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path("state").join("state.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            use sqlx::{ConnectOptions, Connection};
            let mut connection = options.connect().await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    /// The only number that a statement finds in the state database.
    pub fn count(&self, sql: &'static str) -> i64 {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path("state").join("state.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            use sqlx::{ConnectOptions, Connection};
            let mut connection = options.connect().await.unwrap();
            let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            count
        })
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Begins a project whose scripts the subject runs.
    pub fn project(&self, name: &str) -> Project {
        let root = self.path(name);
        std::fs::create_dir_all(&root).unwrap();
        let config = json!({
            "scripts": [],
            "python_command": subject(),
            "recipients": ["team@example.com"],
            "email_strategy": "none",
            "include_traceback": true,
            "logs_backup_count": 0,
        });
        Project { root, config }
    }

    /// A project that is there already.
    pub fn existing(&self, name: &str) -> Project {
        let root = self.path(name);
        let text = std::fs::read(root.join("exec_config.json")).unwrap();
        Project { root, config: serde_json::from_slice(&text).unwrap() }
    }

    /// The runner with these arguments, not yet started, in this folder, with a state folder of its own and without any
    /// mail settings of the machine's.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(runner());
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("RUNNER_STATE_DIR", self.path("state"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let of_the_runner = name.starts_with("RUNNER_") && name != "RUNNER_STATE_DIR";
            if of_the_runner || name.starts_with("MAIL_") || ["LOGIN_MAIL", "PASSWORD_MAIL"].contains(&name.as_str()) {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs the runner to its end.
    pub fn runner<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Finished {
        Finished::of(self.command(args).output().unwrap())
    }

    /// Starts the runner.
    pub fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Child {
        self.command(args).spawn().unwrap()
    }
}

/// Waits for a started runner.
pub fn finish(child: Child) -> Finished {
    Finished::of(child.wait_with_output().unwrap())
}

/// A project in a test.
pub struct Project {
    pub root: PathBuf,
    config: Value,
}

impl Project {
    /// Adds a script that the subject runs; `program` has a verb a line.
    pub fn script(self, name: &str, program: &str) -> Self {
        self.script_with(name, program, json!({}))
    }

    /// Adds a script with further keys.
    pub fn script_with(mut self, name: &str, program: &str, keys: Value) -> Self {
        let file = self.root.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, program).unwrap();
        let script = match keys.as_object() {
            Some(keys) if !keys.is_empty() => {
                let mut script = keys.clone();
                script.insert("path".into(), json!(name));
                Value::Object(script)
            }
            _ => json!(name),
        };
        self.config["scripts"].as_array_mut().unwrap().push(script);
        self.write()
    }

    /// Sets a key of the project file.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config[key] = value.into();
        self.write()
    }

    fn write(self) -> Self {
        std::fs::write(self.root.join("exec_config.json"), serde_json::to_string_pretty(&self.config).unwrap())
            .unwrap();
        self
    }

    /// Writes a file in the project's folder.
    pub fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.root.join(name), text).unwrap();
        self
    }

    pub fn name(&self) -> String {
        self.root.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The lines of the project's log; none if there is none.
    pub fn log(&self) -> Vec<String> {
        let log = self.root.join("logs").join(format!("{}.log", self.name()));
        std::fs::read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The last fields of the log's lines: the script and how it ended.
    pub fn log_ends(&self) -> Vec<String> {
        let end = |line: &String| line.splitn(6, " - ").nth(5).unwrap().to_owned();
        self.log().iter().map(end).collect()
    }

    /// The folders of its runs, by name.
    pub fn run_dirs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.root.join("logs").join("runs")).into_iter().flatten().flatten();
        let mut dirs: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        dirs.sort();
        dirs
    }

    /// The folder of its only run.
    #[track_caller]
    pub fn run_dir(&self) -> PathBuf {
        let dirs = self.run_dirs();
        assert_eq!(dirs.len(), 1, "{dirs:?}");
        dirs[0].clone()
    }

    /// The events of its only run.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.run_dir().join("events.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The `script_finished` events of its only run.
    #[track_caller]
    pub fn ends(&self) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["event"] == "script_finished").collect()
    }

    /// What is kept of the output of the script at this place, from 0.
    #[track_caller]
    pub fn output(&self, index: usize) -> Vec<u8> {
        let file = self.ends()[index]["output"]["file"].as_str().map(str::to_owned);
        file.map(|file| std::fs::read(self.run_dir().join(file)).unwrap()).unwrap_or_default()
    }

    /// The same as text, with `\n` at the ends of lines.
    #[track_caller]
    pub fn output_text(&self, index: usize) -> String {
        String::from_utf8(self.output(index)).unwrap().replace("\r\n", "\n")
    }
}

/// Whether a process lives (and is not a zombie).
#[cfg(target_os = "linux")]
pub fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with(['Z', 'X']))
}

/// Whether a process lives.
#[cfg(windows)]
#[allow(unsafe_code)]
pub fn lives(pid: &str) -> bool {
    use windows_sys::Win32::Foundation::{CloseHandle, WAIT_TIMEOUT};
    use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_SYNCHRONIZE, WaitForSingleObject};
    // SAFETY: no pointers; the handle is used only if there is one, and closed once.
    unsafe {
        let process = OpenProcess(PROCESS_SYNCHRONIZE, 0, pid.trim().parse().unwrap());
        if process.is_null() {
            return false;
        }
        let lives = WaitForSingleObject(process, 0) == WAIT_TIMEOUT;
        CloseHandle(process);
        lives
    }
}

/// Whether Windows is in truth Wine, some of whose programs do less than those of Windows.
pub fn under_wine() -> bool {
    cfg!(windows) && Path::new(r"C:\windows\system32\winecfg.exe").exists()
}

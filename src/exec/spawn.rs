//! The seam between the runner and whoever owns the scripts' processes.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use thiserror::Error;
use tokio::io::AsyncRead;

use crate::model::{Leaked, Usage};
use crate::plan::SpawnCommand;

/// A boxed future, so that the seam can stand behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A script could not be started.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct SpawnError {
    /// What the system said, in a sentence that names the path and the remedy.
    pub message: String,
}

/// How a process exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// With a code: 0 to 255 on Unix, any 32-bit number on Windows.
    Code(u32),
    /// By a signal (Unix).
    Signal {
        /// Its number.
        signal: i32,
        /// Whether a core file was written.
        core_dumped: bool,
    },
}

/// What is known once a process has exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The process id it had.
    pub pid: u32,
    /// How.
    pub status: ExitStatus,
    /// How long it ran, where whoever owns it has measured that: the runner may hear of the end late.
    pub elapsed: Option<Duration>,
    /// What it used.
    pub usage: Usage,
    /// Whether descendants of it may still be alive.
    pub left_behind: bool,
}

/// Why an exit was waited for in vain.
#[derive(Debug, Error)]
pub enum NoExit {
    /// The process could not be started after all.
    #[error(transparent)]
    NotStarted(#[from] SpawnError),
    /// Whoever owns the process can't tell any more.
    #[error(transparent)]
    Lost(#[from] io::Error),
}

/// Whether a process could be asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It was.
    Yes,
    /// The system has no way to ask this process.
    NotPossible,
}

/// A script that was started, or is about to be.
pub struct Spawned {
    /// Reads what it writes to standard output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Reads what it writes to standard error.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Waits for it and ends it.
    pub handle: Box<dyn ChildHandle>,
}

/// Owns the processes of scripts.
pub trait Spawn: Send + Sync {
    /// Starts a command in a process group, or job, of its own, with an empty standard input and both output streams
    /// piped. That it can't be started may come out here or when its exit is waited for.
    fn spawn<'a>(&'a self, command: &'a SpawnCommand) -> BoxFuture<'a, Result<Spawned, SpawnError>>;
}

/// One started script and its descendants. Dropping it kills what is left of them, unless they were
/// [left](ChildHandle::leave).
pub trait ChildHandle: Send {
    /// Waits for the script itself (not for its descendants). May be dropped and called again.
    fn exited(&mut self) -> BoxFuture<'_, Result<Exit, NoExit>>;

    /// Whether, once [`ChildHandle::exited`] has told of an exit that left nothing behind, all that was printed can be
    /// read without waiting for the streams' ends.
    fn exit_completes_output(&self) -> bool {
        false
    }

    /// Asks the script and its descendants to end.
    ///
    /// # Errors
    /// When the system refuses.
    fn ask(&mut self) -> io::Result<Asked>;

    /// Kills the script and its descendants, and returns when they are gone or have been given two seconds. Fails when
    /// some are still there.
    fn kill(&mut self) -> BoxFuture<'_, io::Result<()>>;

    /// The descendants that are alive although the script has exited.
    fn survivors(&mut self) -> BoxFuture<'_, Vec<Leaked>>;

    /// Lets the descendants of the exited script go on, and tells who they are. From then on nothing ends them or what they
    /// start: not this handle, not the end of the runner.
    ///
    /// # Errors
    /// When that can't be had: they will end with the runner.
    fn leave(&mut self) -> BoxFuture<'_, io::Result<Vec<Leaked>>>;
}

impl SpawnError {
    /// Puts the system's error into a sentence that says what to do.
    pub(crate) fn explain(program: &Path, working_dir: &Path, error: &io::Error) -> Self {
        let exists = program.exists();
        let program = program.display();
        let message = if !working_dir.is_dir() {
            format!("the working directory {} does not exist", working_dir.display())
        } else {
            match error.kind() {
                io::ErrorKind::NotFound if exists => {
                    format!("{program}: the program that its first line (#!) or its format names does not exist")
                }
                io::ErrorKind::NotFound => format!("{program} does not exist any more"),
                io::ErrorKind::PermissionDenied => format!("{program} may not be executed by this account: {error}"),
                io::ErrorKind::ArgumentListTooLong => {
                    format!("{program}: arguments and environment together are longer than the system allows")
                }
                _ => format!("{program}: {error}"),
            }
        };
        Self { message }
    }
}

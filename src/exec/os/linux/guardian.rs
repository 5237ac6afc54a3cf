//! The runner's side of the guardian.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::pipe::PipeFlags;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::unix::pipe::Receiver;

use super::remains;
use super::wire::{self, Reply};
use crate::exec::{Asked, BoxFuture, ChildHandle, Exit, ExitStatus, NoExit, Spawn, SpawnError, Spawned};
use crate::model::{Leaked, Usage};
use crate::plan::SpawnCommand;

/// The argument by which an executable is told to become a guardian: its `main` then calls [`serve`] and nothing else.
pub const ARGUMENT: &str = "__guardian";

/// Serves a runner as its guardian until it is gone. The main function of the process that [`Guardian::start`] starts.
///
/// # Errors
/// When this process wasn't started by [`Guardian::start`].
pub fn serve() -> io::Result<()> {
    super::serve::serve()
}

/// A guardian process: starts scripts, tells how they end, and ends what is left of them when this is dropped or the
/// process that holds it dies. One that was itself killed is replaced when the next script is to start.
#[derive(Debug)]
pub struct Guardian {
    executable: PathBuf,
    process: Mutex<Process>,
}

/// The process, and the socket that it takes orders from. Dropping it closes the socket and waits for its end.
#[derive(Debug)]
struct Process {
    orders: Option<UnixStream>,
    child: Child,
}

impl Process {
    fn start(executable: &Path) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = Command::new(executable)
            .arg0("guardian")
            .arg(ARGUMENT)
            .arg(format!("of process {}", std::process::id()))
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            // Out of the reach of the terminal's Ctrl-C: it has to outlive the scripts.
            .process_group(0)
            .spawn()?;
        Ok(Self { orders: Some(ours), child })
    }

    fn send(&self, bytes: &[u8], fds: &[OwnedFd; 3]) -> io::Result<()> {
        let Some(socket) = &self.orders else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let fds = [fds[0].as_fd(), fds[1].as_fd(), fds[2].as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        let sent = rustix::net::sendmsg(socket, &[io::IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
        io::Write::write_all(&mut &*socket, &bytes[sent..])
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
    }
}

impl Guardian {
    /// Starts `executable` with [`ARGUMENT`].
    ///
    /// # Errors
    /// When it can't be started, or the system (Linux before 5.3) lacks what it needs.
    pub fn start(executable: &Path) -> io::Result<Self> {
        rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())?;
        Ok(Self { executable: executable.to_owned(), process: Mutex::new(Process::start(executable)?) })
    }

    fn order(&self, command: &SpawnCommand, fds: &[OwnedFd; 3]) -> io::Result<()> {
        let bytes = wire::encode(command)?;
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        match process.send(&bytes, fds) {
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                *process = Process::start(&self.executable)?;
                process.send(&bytes, fds)
            }
            sent => sent,
        }
    }

    fn start_script(&self, command: &SpawnCommand) -> io::Result<Spawned> {
        let (stdout, stdout_end) = output_pipe()?;
        let (stderr, stderr_end) = output_pipe()?;
        let (ours, theirs) = UnixStream::pair()?;
        self.order(command, &[stdout_end, stderr_end, theirs.into()])?;
        ours.set_nonblocking(true)?;
        // Whether the script could be started is told with its exit: waiting for that here would cost each script a wake-up.
        let handle = Guarded {
            socket: tokio::net::UnixStream::from_std(ours)?,
            inbox: Vec::new(),
            end: None,
            program: command.program.clone(),
            working_dir: command.working_dir.clone(),
            marker: command.marker.clone(),
            done: false,
        };
        let [stdout, stderr] = [stdout, stderr].map(|pipe| Box::new(OutputPipe { pipe, read: 0 }));
        Ok(Spawned { stdout, stderr, handle: Box::new(handle) })
    }
}

/// A pipe whose reading end is ready for the runtime and whose writing end is an ordinary one.
fn output_pipe() -> io::Result<(Receiver, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&read, rustix::fs::OFlags::NONBLOCK)?;
    Ok((Receiver::from_owned_fd_unchecked(read)?, write))
}

impl Spawn for Guardian {
    fn spawn<'a>(&'a self, command: &'a SpawnCommand) -> BoxFuture<'a, Result<Spawned, SpawnError>> {
        Box::pin(async move {
            self.start_script(command)
                .map_err(|error| SpawnError::explain(&command.program, &command.working_dir, &error))
        })
    }
}

/// The reading end of a script's output. A script that prints very much gets a larger pipe, so that the two of them have
/// to wait for each other less often.
struct OutputPipe {
    pipe: Receiver,
    read: usize,
}

/// Bytes after which a pipe is made larger, and the largest that any account may have by default
/// (`/proc/sys/fs/pipe-max-size`).
const LARGE: usize = 1024 * 1024;

impl AsyncRead for OutputPipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let ready = Pin::new(&mut self.pipe).poll_read(context, buffer);
        let total = self.read + (buffer.filled().len() - before);
        if self.read < LARGE && total >= LARGE {
            // Where that is refused, the small one does as well.
            let _ = rustix::pipe::fcntl_setpipe_size(&self.pipe, LARGE);
        }
        self.read = total;
        ready
    }
}

/// A script that the guardian owns.
struct Guarded {
    socket: tokio::net::UnixStream,
    inbox: Vec<u8>,
    /// The end, if it was told while something else was waited for.
    end: Option<Result<Exit, i32>>,
    program: PathBuf,
    working_dir: PathBuf,
    marker: String,
    /// Nothing of it is left that could be ended: the guardian has forgotten it, or is about to.
    done: bool,
}

impl Guarded {
    /// The next thing the guardian tells but the script's end, which is kept; returns early when that has come and
    /// `until_end` is set. May be dropped and called again.
    async fn listen(&mut self, until_end: bool) -> io::Result<Option<Reply>> {
        loop {
            if until_end && self.end.is_some() {
                return Ok(None);
            }
            if let Some(at) = self.inbox.iter().position(|&byte| byte == b'\n') {
                let reply = serde_json::from_slice(&self.inbox[..at])?;
                self.inbox.drain(..=at);
                match end_of(&reply) {
                    Some(end) => self.end = Some(end),
                    None => return Ok(Some(reply)),
                }
            } else if !matches!(self.socket.read_buf(&mut self.inbox).await, Ok(1..)) {
                // It may just have told of an end that left nothing, and forgotten the script.
                let nothing_is_left = match &self.end {
                    Some(Ok(exit)) => !exit.left_behind,
                    Some(Err(_)) => true,
                    None => false,
                };
                if nothing_is_left {
                    self.done = true;
                    return Ok(None);
                }
                // Nobody else will end what it owned.
                remains::end_now(&self.marker);
                self.done = true;
                return Err(io::Error::new(
                    io::ErrorKind::BrokenPipe,
                    "its guardian process was ended, and so was the script",
                ));
            }
        }
    }

    /// One byte always fits: the guardian reads every byte it is sent.
    fn tell(&self, byte: u8) -> io::Result<()> {
        rustix::io::write(&self.socket, &[byte])?;
        Ok(())
    }
}

/// The end of the script, if that is what is told: its exit, or the error code for which it never began.
fn end_of(reply: &Reply) -> Option<Result<Exit, i32>> {
    let (pid, code, signal, core_dumped, elapsed_us, usage, left_behind) = match *reply {
        Reply::Failed { errno } => return Some(Err(errno)),
        Reply::Exited { pid, code, signal, core, elapsed_us, user_us, system_us, peak_bytes, left_behind } => {
            let usage =
                Usage { cpu_user_us: Some(user_us), cpu_system_us: Some(system_us), peak_memory_bytes: peak_bytes };
            (pid, code, signal, core, elapsed_us, usage, left_behind)
        }
        _ => return None,
    };
    let status = match (code, signal) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, signal) => ExitStatus::Signal { signal: signal.unwrap_or_default(), core_dumped },
    };
    let elapsed = Some(Duration::from_micros(elapsed_us));
    Some(Ok(Exit { pid, status, elapsed, usage, left_behind }))
}

impl ChildHandle for Guarded {
    fn exited(&mut self) -> BoxFuture<'_, Result<Exit, NoExit>> {
        Box::pin(async move {
            loop {
                match self.listen(true).await {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            match self.end.take() {
                Some(Ok(exit)) => {
                    self.done |= !exit.left_behind;
                    Ok(exit)
                }
                Some(Err(errno)) => {
                    let error = io::Error::from_raw_os_error(errno);
                    Err(SpawnError::explain(&self.program, &self.working_dir, &error).into())
                }
                None => Err(io::Error::other("the guardian told of no end").into()),
            }
        })
    }

    /// The exit is told after the last byte was written, and both are heard of in that order.
    fn exit_completes_output(&self) -> bool {
        true
    }

    fn ask(&mut self) -> io::Result<Asked> {
        self.tell(wire::ASK).map(|()| Asked::Yes)
    }

    fn kill(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            if self.done {
                return Ok(());
            }
            // If it doesn't hear any more, listening tells why.
            let _ = self.tell(wire::KILL);
            match self.listen(false).await? {
                None => Ok(()),
                Some(Reply::Killed { left: 0 }) => {
                    self.done = true;
                    Ok(())
                }
                Some(Reply::Killed { left }) => Err(io::Error::other(format!("{left} of them could not be ended"))),
                other => Err(io::Error::other(format!("the guardian answered with {other:?}"))),
            }
        })
    }

    fn survivors(&mut self) -> BoxFuture<'_, Vec<Leaked>> {
        Box::pin(async move {
            if self.done {
                return Vec::new();
            }
            let _ = self.tell(wire::LIST);
            match self.listen(false).await {
                Ok(Some(Reply::Survivors { processes })) => processes,
                _ => Vec::new(),
            }
        })
    }

    fn leave(&mut self) -> BoxFuture<'_, io::Result<Vec<Leaked>>> {
        Box::pin(async move {
            if self.done {
                return Ok(Vec::new());
            }
            self.tell(wire::LEAVE)?;
            match self.listen(false).await? {
                Some(Reply::Survivors { processes }) => {
                    self.done = true;
                    Ok(processes)
                }
                other => Err(io::Error::other(format!("the guardian answered with {other:?}"))),
            }
        })
    }
}

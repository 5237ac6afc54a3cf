//! Unix, without a guardian: each script in a process group of its own, owned by this process.
//!
//! Nothing process-wide changes, so what leaves the process group can't be followed, and memory and processor time
//! can't be told apart from this process's own.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use crate::exec::{Asked, BoxFuture, ChildHandle, Exit, ExitStatus, NoExit, Spawn, SpawnError, Spawned};
use crate::model::{Leaked, Usage};
use crate::plan::SpawnCommand;

/// How long a killed process group is waited for.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// Starts scripts as children of this process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DirectSpawner;

impl Spawn for DirectSpawner {
    fn spawn<'a>(&'a self, command: &'a SpawnCommand) -> BoxFuture<'a, Result<Spawned, SpawnError>> {
        Box::pin(async move {
            start(command).map_err(|error| SpawnError::explain(&command.program, &command.working_dir, &error))
        })
    }
}

fn start(command: &SpawnCommand) -> io::Result<Spawned> {
    let mut child = Command::new(&command.program)
        .args(&command.args)
        .env_clear()
        .envs(command.environment())
        .current_dir(&command.working_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let missing = || io::Error::other("the process has no pipe");
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let pid = child.id().ok_or_else(missing)?;
    let group = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(missing)?;
    let handle = Box::new(Group { child, group, exited: false, gone: false, left: false });
    Ok(Spawned { stdout: Box::new(stdout), stderr: Box::new(stderr), handle })
}

struct Group {
    child: Child,
    group: Pid,
    exited: bool,
    /// Nothing is left of the group: its number may be somebody else's by now.
    gone: bool,
    /// What is left of the group goes on.
    left: bool,
}

impl Group {
    fn lives(&mut self) -> bool {
        let lives = !self.gone && rustix::process::test_kill_process_group(self.group).is_ok();
        // The leader keeps the number from being used again until it is reaped.
        self.gone = self.exited && !lives;
        lives
    }
}

impl ChildHandle for Group {
    fn exited(&mut self) -> BoxFuture<'_, Result<Exit, NoExit>> {
        Box::pin(async move {
            let status = self.child.wait().await?;
            self.exited = true;
            let core_dumped = status.core_dumped();
            let status = match (status.code(), status.signal()) {
                (Some(code), _) => ExitStatus::Code(code.unsigned_abs()),
                (None, Some(signal)) => ExitStatus::Signal { signal, core_dumped },
                (None, None) => {
                    return Err(io::Error::other("the process neither exited nor was ended by a signal").into());
                }
            };
            Ok(Exit {
                pid: self.group.as_raw_nonzero().get().unsigned_abs(),
                status,
                elapsed: None,
                usage: Usage::default(),
                left_behind: self.lives(),
            })
        })
    }

    fn ask(&mut self) -> io::Result<Asked> {
        if self.lives() {
            rustix::process::kill_process_group(self.group, Signal::TERM)?;
        }
        Ok(Asked::Yes)
    }

    fn kill(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let begin = std::time::Instant::now();
            let mut pause = std::time::Duration::from_micros(200);
            while self.lives() && rustix::process::kill_process_group(self.group, Signal::KILL).is_ok() {
                if !self.exited && self.child.try_wait()?.is_some() {
                    self.exited = true;
                }
                if begin.elapsed() > PATIENCE {
                    return Err(io::Error::other("some of them could not be ended"));
                }
                // The kernel tells of the end of children only; most are gone at the next look.
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(std::time::Duration::from_millis(20));
            }
            Ok(())
        })
    }

    fn survivors(&mut self) -> BoxFuture<'_, Vec<Leaked>> {
        Box::pin(async move {
            if !self.lives() {
                return Vec::new();
            }
            #[cfg(target_os = "linux")]
            let members = super::linux::group_members(self.group.as_raw_nonzero().get());
            #[cfg(not(target_os = "linux"))]
            let members = vec![Leaked {
                pid: self.group.as_raw_nonzero().get().unsigned_abs(),
                command: "a process of the script's group".into(),
                left: false,
            }];
            members
        })
    }

    fn leave(&mut self) -> BoxFuture<'_, io::Result<Vec<Leaked>>> {
        Box::pin(async move {
            self.left = true;
            Ok(self.survivors().await)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.left && self.lives() {
            let _ = rustix::process::kill_process_group(self.group, Signal::KILL);
        }
    }
}

//! The loop against children that no system would give.

use std::io;

use super::*;
use crate::exec::{BoxFuture, SpawnError};
use crate::model::OutputPolicy;

/// A script that only a kill ends, and of which something still seems to live then.
struct Stubborn;

struct StubbornChild {
    killed: tokio::sync::watch::Sender<bool>,
}

impl Spawn for Stubborn {
    fn spawn<'a>(&'a self, _: &'a SpawnCommand) -> BoxFuture<'a, Result<Spawned, SpawnError>> {
        let handle = Box::new(StubbornChild { killed: tokio::sync::watch::Sender::new(false) });
        let closed = || Box::new(tokio::io::empty());
        let spawned = Spawned { stdout: closed(), stderr: closed(), handle };
        Box::pin(async move { Ok(spawned) })
    }
}

impl ChildHandle for StubbornChild {
    fn exited(&mut self) -> BoxFuture<'_, Result<Exit, NoExit>> {
        Box::pin(async move {
            let _ = self.killed.subscribe().wait_for(|killed| *killed).await;
            let status = ExitStatus::Signal { signal: 9, core_dumped: false };
            Ok(Exit { pid: 1, status, usage: Usage::default(), left_behind: true })
        })
    }

    fn ask(&mut self) -> io::Result<Asked> {
        Ok(Asked::Yes)
    }

    fn kill(&mut self) -> BoxFuture<'_, io::Result<()>> {
        self.killed.send_replace(true);
        Box::pin(async { Ok(()) })
    }

    fn survivors(&mut self) -> BoxFuture<'_, Vec<Leaked>> {
        Box::pin(async { Vec::new() })
    }
}

struct Nobody;

impl AttemptObserver for Nobody {
    fn started(&mut self) {}
    fn output(&mut self, _: Stream, _: &[u8]) {}
}

fn attempt_at_stubborn(cancel: &Cancel) -> AttemptEnd {
    let command = SpawnCommand {
        program: "/x".into(),
        args: Vec::new(),
        base_env: [].into(),
        env: Vec::new(),
        working_dir: "/".into(),
        marker: String::new(),
    };
    let limits = Limits {
        timeout: Some(Duration::from_millis(20)),
        kill_grace: Duration::from_millis(20),
        leak_timeout: Duration::from_millis(20),
    };
    let request = AttemptRequest {
        spawner: &Stubborn,
        command: &command,
        limits,
        success_codes: &[0],
        expect: &[],
        masker: None,
        cancel,
    };
    let dir = tempfile::tempdir().unwrap();
    let capture = Capture::new(dir.path(), "a.out".into(), &OutputPolicy::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run_attempt(request, capture, &mut Buffers::default(), &mut Nobody))
}

#[test]
fn what_seems_to_outlive_the_kill_does_not_hold_the_run() {
    let end = attempt_at_stubborn(&Cancel::default());
    assert_eq!(end.outcome, Outcome::Timeout { seconds: 0.02, killed: true });
}

#[test]
fn an_interruption_counts_before_the_timeout() {
    let cancel = Cancel::default();
    cancel.cancel("Ctrl-C");
    let end = attempt_at_stubborn(&cancel);
    assert_eq!(end.outcome, Outcome::Interrupted { by: "Ctrl-C".into() });
}

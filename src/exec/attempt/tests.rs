//! The loop against children that no system would give.

use std::io;
use std::sync::{Arc, Mutex};

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
            Ok(Exit { pid: 1, status, elapsed: None, usage: Usage::default(), left_behind: true })
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

    fn leave(&mut self) -> BoxFuture<'_, io::Result<Vec<Leaked>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// A script that succeeds at once, after 7 s by its owner's clock, and leaves a process behind that goes when it is asked, if at
/// all.
struct Leaky {
    can_be_asked: bool,
    /// Cancelled as soon as somebody looks for what is left behind.
    then_cancelled: Option<Cancel>,
    seen: Arc<Mutex<Vec<&'static str>>>,
}

struct LeakyChild {
    can_be_asked: bool,
    then_cancelled: Option<Cancel>,
    lives: bool,
    seen: Arc<Mutex<Vec<&'static str>>>,
}

impl LeakyChild {
    fn note(&self, what: &'static str) {
        self.seen.lock().unwrap().push(what);
    }

    fn living(&self) -> Vec<Leaked> {
        let leaked = Leaked { pid: 7, command: "daemon".into(), left: false };
        self.lives.then_some(leaked).into_iter().collect()
    }
}

impl Spawn for Leaky {
    fn spawn<'a>(&'a self, _: &'a SpawnCommand) -> BoxFuture<'a, Result<Spawned, SpawnError>> {
        let child = LeakyChild {
            can_be_asked: self.can_be_asked,
            then_cancelled: self.then_cancelled.clone(),
            lives: true,
            seen: Arc::clone(&self.seen),
        };
        let closed = || Box::new(tokio::io::empty());
        let spawned = Spawned { stdout: closed(), stderr: closed(), handle: Box::new(child) };
        Box::pin(async move { Ok(spawned) })
    }
}

impl ChildHandle for LeakyChild {
    fn exited(&mut self) -> BoxFuture<'_, Result<Exit, NoExit>> {
        let elapsed = Some(Duration::from_secs(7));
        let status = ExitStatus::Code(0);
        Box::pin(async move { Ok(Exit { pid: 1, status, elapsed, usage: Usage::default(), left_behind: true }) })
    }

    fn ask(&mut self) -> io::Result<Asked> {
        self.note("asked");
        self.lives &= !self.can_be_asked;
        Ok(if self.can_be_asked { Asked::Yes } else { Asked::NotPossible })
    }

    fn kill(&mut self) -> BoxFuture<'_, io::Result<()>> {
        self.note("killed");
        self.lives = false;
        Box::pin(async { Ok(()) })
    }

    fn survivors(&mut self) -> BoxFuture<'_, Vec<Leaked>> {
        self.then_cancelled.iter().for_each(|cancel| cancel.cancel("Ctrl-C"));
        let living = self.living();
        Box::pin(async { living })
    }

    fn leave(&mut self) -> BoxFuture<'_, io::Result<Vec<Leaked>>> {
        self.note("left");
        let living = self.living();
        Box::pin(async { Ok(living) })
    }
}

struct Nobody;

impl AttemptObserver for Nobody {
    fn started(&mut self) {}
    fn output(&mut self, _: Stream, _: &[u8]) {}
}

fn attempt_at_stubborn(cancel: &Cancel) -> AttemptEnd {
    let moment = Duration::from_millis(20);
    let limits = Limits { timeout: Some(moment), kill_grace: moment, leak_timeout: moment, on_leak: OnLeak::default() };
    attempt(&Stubborn, limits, cancel)
}

/// An attempt at the leaky script, and what was done to what it left behind.
fn attempt_at_leaky(
    on_leak: OnLeak,
    leak_timeout: Duration,
    can_be_asked: bool,
    then_cancelled: Option<Cancel>,
) -> (AttemptEnd, Vec<&'static str>) {
    let cancel = then_cancelled.clone().unwrap_or_default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let limits = Limits { timeout: None, kill_grace: Duration::from_secs(60), leak_timeout, on_leak };
    let end = attempt(&Leaky { can_be_asked, then_cancelled, seen: Arc::clone(&seen) }, limits, &cancel);
    let seen = seen.lock().unwrap().clone();
    (end, seen)
}

fn attempt(spawner: &dyn Spawn, limits: Limits, cancel: &Cancel) -> AttemptEnd {
    let command = SpawnCommand {
        program: "/x".into(),
        args: Vec::new(),
        base_env: [].into(),
        env: Vec::new(),
        working_dir: "/".into(),
        marker: String::new(),
    };
    let request =
        AttemptRequest { spawner, command: &command, limits, success_codes: &[0], expect: &[], masker: None, cancel };
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

const SOON: Duration = Duration::from_millis(20);
const NEVER: Duration = Duration::MAX;

#[test]
fn what_is_left_behind_is_ended_left_or_a_failure() {
    let leaked = |left| vec![Leaked { pid: 7, command: "daemon".into(), left }];
    let cases = [
        (OnLeak::End, Outcome::Success { code: 0 }, "killed"),
        (OnLeak::Leave, Outcome::Success { code: 0 }, "left"),
        (OnLeak::Fail, Outcome::LeftBehind { processes: 1, code: 0 }, "killed"),
    ];
    for (on_leak, outcome, what) in cases {
        let (end, seen) = attempt_at_leaky(on_leak, SOON, true, None);
        assert_eq!((end.outcome, seen), (outcome, vec![what]), "{on_leak:?}");
        assert_eq!(end.leaked, leaked(on_leak == OnLeak::Leave), "{on_leak:?}");
        assert_eq!(end.duration, Duration::from_secs(7), "by its owner's clock");
        assert!(end.warnings.is_empty(), "{:?}", end.warnings);
    }
}

/// Interrupts once the leaky script has exited.
fn interrupted_later(on_leak: OnLeak, can_be_asked: bool) -> (AttemptEnd, Vec<&'static str>) {
    attempt_at_leaky(on_leak, NEVER, can_be_asked, Some(Cancel::default()))
}

#[test]
fn an_interruption_ends_what_is_waited_for_whatever_the_policy() {
    for on_leak in [OnLeak::End, OnLeak::Leave, OnLeak::Fail] {
        let (end, seen) = interrupted_later(on_leak, true);
        assert_eq!((end.outcome, seen), (Outcome::Success { code: 0 }, vec!["asked"]), "{on_leak:?}");
        assert!(end.leaked.is_empty(), "it went when it was asked");
        let (end, seen) = interrupted_later(on_leak, false);
        assert_eq!((end.outcome, seen), (Outcome::Success { code: 0 }, vec!["asked", "killed"]), "{on_leak:?}");
        assert_eq!(end.leaked.len(), 1);
        assert!(!end.leaked[0].left);
        assert_eq!(end.warnings, ["ended at once: there is no console to ask through"]);
    }
}

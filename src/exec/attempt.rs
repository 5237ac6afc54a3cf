//! One attempt at a script, from start to end: the only place where a script is waited for.
//!
//! One loop owns the child: it takes output as it comes, and waits for whatever happens first of the exit, the timeout,
//! an interruption, the end of the grace. Nothing is polled. The exit of the script doesn't end the loop: descendants
//! may still hold the pipes. They are given the leak deadline, then they are named, and ended or left as `on_leak` has it.

use std::time::{Duration, Instant};

use self::alarms::{Alarms, ring, sleep_until};
use self::pipe::Pipe;
use super::expect::Watch;
use super::mask::MaskStreams;
use super::{Asked, Cancel, Capture, ChildHandle, Exit, ExitStatus, Masker, NoExit, Spawn, Spawned};
use crate::event::Stream;
use crate::model::{Expectation, Leaked, OnLeak, Outcome, OutputSummary, Usage};
use crate::plan::{Limits, SpawnCommand};

/// Bytes read at once; only what is written to is really taken from the system.
const CHUNK: usize = 256 * 1024;
/// How long after the exit descendants are looked for the first time.
const FIRST_LEAK_CHECK: Duration = Duration::from_millis(5);
/// How long the pause between two such looks may become, however long they are given.
const LONGEST_LEAK_PAUSE: Duration = Duration::from_millis(500);
/// How often the end of a very long output is saved while it is still being written.
const CHECKPOINT: Duration = Duration::from_secs(1);
/// How long killed processes are waited for before they are given up: the system may be unable to end a process that is
/// stuck in a driver, and a process that was handed the pipe without being a descendant isn't ours to kill.
const KILL_PATIENCE: Duration = Duration::from_secs(2);
const HELD_OPEN: &str = "a process that isn't a descendant of the script holds its output open";

/// What to attempt.
pub struct AttemptRequest<'a> {
    /// Who starts and owns the process.
    pub spawner: &'a dyn Spawn,
    /// The command.
    pub command: &'a SpawnCommand,
    /// How long things may take.
    pub limits: Limits,
    /// Exit codes that count as success.
    pub success_codes: &'a [u32],
    /// What must be true after it although its exit code says success.
    pub expect: &'a [Expectation],
    /// Takes the secrets out of what it prints.
    pub masker: Option<&'a Masker>,
    /// Interrupts it.
    pub cancel: &'a Cancel,
}

/// How an attempt ended.
#[derive(Debug)]
pub struct AttemptEnd {
    /// How.
    pub outcome: Outcome,
    /// The process id it had.
    pub pid: Option<u32>,
    /// How long the script ran, from its start to its own exit, by the monotonic clock of whoever owned it.
    pub duration: Duration,
    /// What it used.
    pub usage: Usage,
    /// What is kept of its output.
    pub output: OutputSummary,
    /// The traceback, of a failure only.
    pub traceback: Option<String>,
    /// The last lines it printed, of a failure only.
    pub last_lines: Option<String>,
    /// Descendants that outlived it.
    pub leaked: Vec<Leaked>,
    /// What went wrong beside the script itself.
    pub warnings: Vec<String>,
}

/// Why the script's end was asked for.
enum Cause {
    Timeout,
    Interrupted(String),
}

/// Listens to what happens during an attempt.
pub trait AttemptObserver {
    /// The attempt begins.
    fn started(&mut self);
    /// It printed something.
    fn output(&mut self, stream: Stream, bytes: &[u8]);
}

/// Memory that attempts read into, one after the other.
pub struct Buffers {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        // Zeroed memory costs nothing until it is written to.
        Self { stdout: vec![0; CHUNK], stderr: vec![0; CHUNK] }
    }
}

/// Runs one attempt to its end. Takes as long as the script and, at most, its grace and the leak deadline.
pub async fn run_attempt(
    request: AttemptRequest<'_>,
    capture: Capture,
    buffers: &mut Buffers,
    observer: &mut (dyn AttemptObserver + Send),
) -> AttemptEnd {
    observer.started();
    let begin = Instant::now();
    let spawned = match request.spawner.spawn(request.command).await {
        Ok(spawned) => spawned,
        Err(error) => return could_not_start(error.message, begin.elapsed()),
    };
    let mut running = Running::new(&request, begin, spawned, capture);
    running.live(buffers, observer).await;
    running.end()
}

fn could_not_start(error: String, duration: Duration) -> AttemptEnd {
    AttemptEnd {
        outcome: Outcome::CouldNotStart { error },
        pid: None,
        duration,
        usage: Usage::default(),
        output: OutputSummary::default(),
        traceback: None,
        last_lines: None,
        leaked: Vec::new(),
        warnings: Vec::new(),
    }
}

/// What the loop waits for.
enum Happening {
    Output(Stream, usize),
    Exited(Result<Exit, NoExit>),
    Cancelled(String),
    KillNow,
    Due,
}

struct Running<'a> {
    request: &'a AttemptRequest<'a>,
    begin: Instant,
    handle: Box<dyn ChildHandle>,
    stdout: Pipe,
    stderr: Pipe,
    capture: Capture,
    watch: Option<Watch<'a>>,
    mask: Option<MaskStreams>,
    alarms: Alarms,
    /// How the script itself exited, and when that was heard.
    exit: Option<(Exit, Instant)>,
    /// It, or what it left behind, was asked to end.
    asked: bool,
    /// Why it was asked itself.
    cause: Option<Cause>,
    /// Whether descendants of the exited script may be alive.
    left_behind: bool,
    killed: bool,
    lost: bool,
    not_started: Option<String>,
    /// Descendants, or its output, were held beyond the leak deadline.
    overdue: bool,
    leaked: Vec<Leaked>,
    warnings: Vec<String>,
}

impl<'a> Running<'a> {
    fn new(request: &'a AttemptRequest<'a>, begin: Instant, spawned: Spawned, capture: Capture) -> Self {
        let timeout = request.limits.timeout.and_then(|timeout| begin.checked_add(timeout));
        Self {
            request,
            begin,
            handle: spawned.handle,
            stdout: Pipe(Some(spawned.stdout)),
            stderr: Pipe(Some(spawned.stderr)),
            capture,
            watch: Watch::new(request.expect, &request.command.working_dir),
            mask: request.masker.map(MaskStreams::new),
            alarms: Alarms { timeout, ..Alarms::default() },
            exit: None,
            asked: false,
            cause: None,
            left_behind: false,
            killed: false,
            lost: false,
            not_started: None,
            overdue: false,
            leaked: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Whether all of it is over: the script has exited, nothing is left of it, nothing more can be printed.
    fn is_over(&self) -> bool {
        self.lost || self.exit.is_some() && !self.left_behind && !self.stdout.is_open() && !self.stderr.is_open()
    }

    async fn live(&mut self, buffers: &mut Buffers, observer: &mut (dyn AttemptObserver + Send)) {
        let cancelled = self.request.cancel.cancelled();
        let kill_now = self.request.cancel.killed();
        tokio::pin!(cancelled, kill_now);
        while !self.is_over() {
            let may_be_asked = !self.asked && !self.killed;
            let happening = tokio::select! {
                biased;
                by = &mut cancelled, if may_be_asked => Happening::Cancelled(by),
                () = &mut kill_now, if !self.killed => Happening::KillNow,
                read = self.stdout.read(&mut buffers.stdout) => Happening::Output(Stream::Stdout, read),
                read = self.stderr.read(&mut buffers.stderr) => Happening::Output(Stream::Stderr, read),
                exit = self.handle.exited(), if self.exit.is_none() => Happening::Exited(exit),
                () = sleep_until(self.alarms.next()) => Happening::Due,
            };
            match happening {
                Happening::Output(stream, read) => {
                    let buffer = if stream == Stream::Stdout { &buffers.stdout } else { &buffers.stderr };
                    self.take(stream, &buffer[..read], observer);
                }
                Happening::Exited(exit) => {
                    self.exited(exit);
                    if self.exit.is_some() && !self.left_behind && self.handle.exit_completes_output() {
                        self.read_the_rest(buffers, observer).await;
                    }
                }
                // Of a script that has exited only descendants are left: how it ended itself stands.
                Happening::Cancelled(by) => {
                    let cause = self.exit.is_none().then_some(Cause::Interrupted(by));
                    self.ask(cause).await;
                }
                Happening::KillNow => self.kill().await,
                Happening::Due => {}
            }
            // Looked at after whatever happened: a flood of output mustn't keep an alarm from being heard.
            self.hear_alarms().await;
        }
        [Stream::Stdout, Stream::Stderr].into_iter().for_each(|stream| self.take(stream, &[], observer));
    }

    /// Takes what is written already, and waits for no more.
    async fn read_the_rest(&mut self, buffers: &mut Buffers, observer: &mut (dyn AttemptObserver + Send)) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            loop {
                let (pipe, buffer) = match stream {
                    Stream::Stdout => (&mut self.stdout, &mut buffers.stdout),
                    Stream::Stderr => (&mut self.stderr, &mut buffers.stderr),
                };
                // Unconstrained: the runtime must not say "nothing there" to let other tasks have their turn.
                let ready = tokio::task::unconstrained(async {
                    tokio::select! {
                        biased;
                        read = pipe.read(buffer) => read,
                        () = std::future::ready(()) => 0,
                    }
                });
                let read = ready.await;
                if read == 0 {
                    break;
                }
                let buffer = if stream == Stream::Stdout { &buffers.stdout } else { &buffers.stderr };
                self.take(stream, &buffer[..read], observer);
            }
        }
        self.stdout = Pipe(None);
        self.stderr = Pipe(None);
    }

    /// Takes a piece of output; an empty one is the stream's end, which may be told more than once.
    fn take(&mut self, stream: Stream, bytes: &[u8], observer: &mut (dyn AttemptObserver + Send)) {
        if let Some(watch) = &mut self.watch {
            watch.output(stream, bytes);
        }
        let bytes = match &mut self.mask {
            Some(mask) => mask.pass(stream, bytes),
            None => bytes,
        };
        if bytes.is_empty() {
            return;
        }
        self.capture.push(stream, bytes);
        observer.output(stream, bytes);
        self.plan_checkpoint();
    }

    fn plan_checkpoint(&mut self) {
        if self.alarms.checkpoint.is_none() && self.capture.needs_checkpoint() {
            self.alarms.checkpoint = Instant::now().checked_add(CHECKPOINT);
        }
    }

    fn exited(&mut self, exit: Result<Exit, NoExit>) {
        match exit {
            Ok(exit) => {
                let now = Instant::now();
                self.exit = Some((exit, now));
                self.alarms.timeout = None;
                // What was killed may still look alive at that moment; `kill` has seen to it.
                self.left_behind = exit.left_behind && !self.killed;
                if !self.killed {
                    self.alarms.leak_check = Some(now + FIRST_LEAK_CHECK.min(self.request.limits.leak_timeout));
                }
            }
            Err(NoExit::NotStarted(error)) => {
                self.lost = true;
                self.not_started = Some(error.message);
            }
            Err(NoExit::Lost(error)) => {
                self.lost = true;
                self.warnings.push(format!("lost sight of the script's process: {error}"));
            }
        }
    }

    async fn ask(&mut self, cause: Option<Cause>) {
        self.alarms.timeout = None;
        self.asked = true;
        self.cause = cause;
        match self.handle.ask() {
            Ok(Asked::Yes) => self.alarms.kill = Instant::now().checked_add(self.request.limits.kill_grace),
            Ok(Asked::NotPossible) => {
                self.warnings.push("ended at once: there is no console to ask through".into());
                self.kill().await;
            }
            Err(_) => self.kill().await,
        }
    }

    async fn kill(&mut self) {
        // After a timeout or an interruption the whole tree goes: its members are no leak.
        if self.exit.is_some() && self.cause.is_none() && self.leaked.is_empty() {
            self.leaked = self.handle.survivors().await;
        }
        self.killed = true;
        if let Err(error) = self.handle.kill().await {
            self.warnings.push(format!("cannot end all of the script's processes: {error}"));
        }
        self.left_behind = false;
        self.alarms = Alarms { give_up: Instant::now().checked_add(KILL_PATIENCE), ..Alarms::default() };
    }

    async fn hear_alarms(&mut self) {
        let now = Instant::now();
        if self.alarms.next().is_none_or(|at| at > now) {
            return;
        }
        if ring(&mut self.alarms.checkpoint, now) {
            self.capture.checkpoint();
            self.plan_checkpoint();
        }
        if ring(&mut self.alarms.timeout, now) {
            self.ask(Some(Cause::Timeout)).await;
        }
        if ring(&mut self.alarms.kill, now) {
            self.kill().await;
        }
        if ring(&mut self.alarms.leak_check, now) {
            self.check_leak(now).await;
        }
        if ring(&mut self.alarms.give_up, now) {
            self.give_up();
        }
    }

    /// Looks whether descendants of the exited script are still there, sooner at first, since most are just about to
    /// end; past the deadline they are named, and killed or left.
    async fn check_leak(&mut self, now: Instant) {
        let Some((_, exited)) = self.exit else { return };
        let survivors = self.handle.survivors().await;
        self.left_behind = !survivors.is_empty();
        // Once it was asked to end, its descendants have the same grace as the script itself.
        let deadline = self.alarms.kill.or_else(|| exited.checked_add(self.request.limits.leak_timeout));
        if deadline.is_none_or(|deadline| now < deadline) {
            let next = now + (now - exited).clamp(FIRST_LEAK_CHECK, LONGEST_LEAK_PAUSE);
            self.alarms.leak_check = Some(deadline.map_or(next, |deadline| next.min(deadline)));
            return;
        }
        if !self.left_behind {
            if !self.stdout.is_open() && !self.stderr.is_open() {
                return;
            }
            // Nobody is left: that the output has ended may only not have been heard of yet.
            let patience = exited + KILL_PATIENCE;
            if now < patience && !self.asked {
                self.alarms.leak_check = Some(patience.min(now + LONGEST_LEAK_PAUSE));
                return;
            }
        }
        self.overdue = !self.asked;
        if self.request.limits.on_leak == OnLeak::Leave && !self.asked {
            self.leave().await;
        } else {
            self.leaked = survivors;
            self.kill().await;
        }
    }

    /// Lets the descendants go on, and listens to them no more.
    async fn leave(&mut self) {
        match self.handle.leave().await {
            Ok(processes) => {
                self.leaked = processes.into_iter().map(|process| Leaked { left: true, ..process }).collect();
            }
            Err(error) => {
                self.warnings.push(format!("cannot leave the script's processes to themselves: {error}"));
                return self.kill().await;
            }
        }
        if self.leaked.is_empty() {
            self.warnings.push(HELD_OPEN.into());
        }
        self.let_go();
    }

    /// Nothing more of the script is waited for.
    fn let_go(&mut self) {
        self.left_behind = false;
        self.stdout = Pipe(None);
        self.stderr = Pipe(None);
    }

    /// Killed processes have had time enough.
    fn give_up(&mut self) {
        if self.exit.is_none() {
            self.lost = true;
            self.warnings.push("a killed process has not ended: the system is holding it".into());
        } else {
            self.warnings.push(HELD_OPEN.into());
        }
        self.let_go();
    }

    fn end(mut self) -> AttemptEnd {
        if let Some(error) = self.not_started.take() {
            return could_not_start(error, self.begin.elapsed());
        }
        let (exit, duration) = match self.exit {
            Some((exit, heard)) => (Some(exit), exit.elapsed.unwrap_or(heard - self.begin)),
            None => (None, self.begin.elapsed()),
        };
        let outcome = match (self.cause.take(), exit.map(|exit| exit.status)) {
            (Some(Cause::Timeout), _) => Outcome::Timeout {
                seconds: self.request.limits.timeout.unwrap_or_default().as_secs_f64(),
                killed: self.killed,
            },
            (Some(Cause::Interrupted(by)), _) => Outcome::Interrupted { by },
            (None, Some(ExitStatus::Code(code))) if self.request.success_codes.contains(&code) => {
                if self.overdue && self.request.limits.on_leak == OnLeak::Fail {
                    Outcome::LeftBehind { processes: self.leaked.len(), code }
                } else {
                    Outcome::Success { code }
                }
            }
            (None, Some(ExitStatus::Code(code))) => Outcome::ExitCode { code },
            (None, Some(ExitStatus::Signal { signal, core_dumped })) => Outcome::Signal { signal, core_dumped },
            (None, None) => Outcome::Interrupted { by: "the runner lost sight of it".into() },
        };
        let outcome = match (outcome, self.watch.as_ref()) {
            (Outcome::Success { code }, Some(watch)) => match watch.unmet() {
                Some(what) => Outcome::ExpectationNotMet { what, code },
                None => Outcome::Success { code },
            },
            (outcome, _) => outcome,
        };
        let failed = outcome.is_failure();
        // A script that says success has dealt with what it tells of in a traceback: that isn't why it failed.
        let said_success = matches!(outcome, Outcome::ExpectationNotMet { .. } | Outcome::LeftBehind { .. });
        let traceback = if failed && !said_success { self.capture.traceback() } else { None };
        let last_lines = if failed { self.capture.last_lines() } else { None };
        let (output, error) = self.capture.finish();
        self.warnings.extend(error);
        AttemptEnd {
            outcome,
            pid: exit.map(|exit| exit.pid),
            duration,
            usage: exit.map(|exit| exit.usage).unwrap_or_default(),
            output,
            traceback,
            last_lines,
            leaked: self.leaked,
            warnings: self.warnings,
        }
    }
}

mod alarms;
mod pipe;
#[cfg(test)]
mod tests;

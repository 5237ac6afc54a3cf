//! Daemons for tests, which don't outlive them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use crate::harness::{Test, wait_for};

/// A daemon, and what it says.
pub struct Daemon {
    pub child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    pub fn start(test: &Test, args: &[&str]) -> Self {
        Self::of(test.command([&["daemon"], args].concat()))
    }

    pub fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    said.lock().unwrap().push(line);
                }
            });
        }
        Self { child, said }
    }

    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    pub fn count(&self, text: &str) -> usize {
        self.said().iter().filter(|line| line.contains(text)).count()
    }

    /// Waits until it has said this so many times.
    #[track_caller]
    pub fn wait_for(&self, text: &str, times: usize) {
        wait_for(&format!("{times} × {text}, of {:#?}", self.said()), || (self.count(text) >= times).then_some(()));
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    #[cfg(unix)]
    pub fn end(mut self) -> i32 {
        let status = wait_for("the daemon's end", || self.child.try_wait().unwrap());
        status.code().unwrap_or(-1)
    }

    /// Asks it to end, and waits.
    #[cfg(unix)]
    #[track_caller]
    pub fn stop(self) {
        self.signal(rustix::process::Signal::TERM);
        assert_eq!(self.end(), 0);
    }

    /// Kills it: nothing here asks a process without a console of its own to end.
    #[cfg(windows)]
    pub fn stop(self) {}
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

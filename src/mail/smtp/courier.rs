//! Keeps the deadline: what talks to the server does so on a thread of its own, and is left behind when it is late.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use super::job::Job;
use super::session::Session;
use crate::mail::explain::explain_lost;
use crate::mail::{Accepted, Courier, Deadline, DeliveryError, MailSettings, Outgoing, Stage, TokenSource};

/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// Is told each step of a conversation, on a thread of the courier's: `> ` before what is said to the server, `< ` before
/// its answers, `* ` before what happens otherwise. Passwords and tokens are left out.
pub type Transcript = Arc<dyn Fn(&str) + Send + Sync>;

/// Takes messages to the server that the settings name: many of them over one connection, which is made when the first
/// comes, and made anew when it was lost between two.
pub struct SmtpCourier {
    settings: Arc<MailSettings>,
    tokens: Arc<dyn TokenSource>,
    transcript: Option<Transcript>,
    worker: Option<Worker>,
}

/// The thread that has the connection.
struct Worker {
    jobs: Sender<Job>,
    /// Nothing is ever sent here: it closes when the thread has ended.
    ended: Receiver<()>,
}

impl SmtpCourier {
    /// Over these settings; `tokens` is asked when they sign in with one. Nothing is connected yet.
    #[must_use]
    pub fn new(settings: MailSettings, tokens: Arc<dyn TokenSource>) -> Self {
        Self { settings: Arc::new(settings), tokens, transcript: None, worker: None }
    }

    /// Tells each step to `transcript`.
    #[must_use]
    pub fn observed_by(mut self, transcript: Transcript) -> Self {
        self.transcript = Some(transcript);
        self
    }

    fn hire(&self) -> Result<Worker, DeliveryError> {
        let (jobs, orders) = mpsc::channel::<Job>();
        let (end, ended) = mpsc::channel();
        let mut session = Session::new(Arc::clone(&self.tokens), self.transcript.clone());
        let work = move || {
            let _end: Sender<()> = end;
            while let Ok(job) = orders.recv() {
                let result = session.deliver(&job);
                job.done(result);
            }
            session.quit(FAREWELL);
        };
        match std::thread::Builder::new().name("mail delivery".to_owned()).spawn(work) {
            Ok(_) => Ok(Worker { jobs, ended }),
            Err(error) => {
                let what = format!("cannot start a thread to send the mail on: {error}");
                Err(explain_lost(&what, Stage::Lookup, &self.settings))
            }
        }
    }
}

impl Courier for SmtpCourier {
    /// `deadline` holds however the server stalls, and when it is brought forward meanwhile. What doesn't answer in time is
    /// left behind: that thread sends nothing more and ends by its own timeouts; the next message gets another connection.
    fn send(
        &mut self,
        message: &Outgoing,
        deadline: &Deadline,
        handing_over: &mut dyn FnMut(),
    ) -> Result<Accepted, DeliveryError> {
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.hire()?,
        };
        let (job, progress) = Job::new(message, &self.settings, deadline);
        // If nobody takes the job, it is dropped, which `wait` notices.
        let _ = worker.jobs.send(job);
        let result = progress.wait(handing_over)?;
        self.worker = Some(worker);
        result
    }
}

impl fmt::Debug for SmtpCourier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpCourier").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for SmtpCourier {
    /// Says good-bye to the server, which shortly may be too late for the thread: the process may be about to end.
    fn drop(&mut self) {
        if let Some(Worker { jobs, ended }) = self.worker.take() {
            drop(jobs);
            let _ = ended.recv_timeout(FAREWELL);
        }
    }
}

//! One delivery, as the courier and its worker share it.

use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::explain::{explain_deadline, explain_lost};
use super::super::{Accepted, Deadline, DeliveryError, MailSettings, Outgoing, Stage};

/// What the worker tells the courier.
pub(super) enum Report {
    /// The server waits for the message; the worker waits for the word.
    HandingOver(SyncSender<()>),
    /// How it ended.
    Done(Result<Accepted, DeliveryError>),
}

/// One delivery.
pub(super) struct Job {
    pub(super) message: Outgoing,
    pub(super) settings: Arc<MailSettings>,
    deadline: Deadline,
    begun: Instant,
    stage: Arc<Mutex<Stage>>,
    reports: Sender<Report>,
}

/// The courier's end of a job.
pub(super) struct Progress {
    settings: Arc<MailSettings>,
    deadline: Deadline,
    begun: Instant,
    stage: Arc<Mutex<Stage>>,
    reports: Receiver<Report>,
}

impl Job {
    pub(super) fn new(message: &Outgoing, settings: &Arc<MailSettings>, deadline: &Deadline) -> (Self, Progress) {
        let (reports, inbox) = mpsc::channel();
        let (stage, begun) = (Arc::new(Mutex::new(Stage::Lookup)), Instant::now());
        let job = Self {
            message: message.clone(),
            settings: Arc::clone(settings),
            deadline: deadline.clone(),
            begun,
            stage: Arc::clone(&stage),
            reports,
        };
        let settings = Arc::clone(settings);
        (job, Progress { settings, deadline: deadline.clone(), begun, stage, reports: inbox })
    }

    /// Notes how far the delivery is; returns how much time is left.
    ///
    /// # Errors
    /// When its time is up: then nothing more may be said to the server.
    pub(super) fn enter(&self, stage: Stage) -> Result<Duration, DeliveryError> {
        set(&self.stage, stage);
        let left = self.deadline.left();
        if left.is_zero() { Err(explain_deadline(stage, &self.settings, self.begun.elapsed())) } else { Ok(left) }
    }

    /// How long it has been under way.
    pub(super) fn took(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Has the courier note that the message is being handed over.
    ///
    /// # Errors
    /// When it has given up waiting, or the time is up.
    pub(super) fn ask_to_hand_over(&self) -> Result<(), DeliveryError> {
        let (go, word) = mpsc::sync_channel(1);
        let asked = self.reports.send(Report::HandingOver(go));
        if asked.is_err() || word.recv().is_err() {
            return Err(explain_deadline(Stage::Data, &self.settings, self.begun.elapsed()));
        }
        self.enter(Stage::Data).map(|_| ())
    }

    pub(super) fn done(self, result: Result<Accepted, DeliveryError>) {
        // Nobody listens any more after the deadline.
        let _ = self.reports.send(Report::Done(result));
    }
}

impl Progress {
    /// How long the deadline is trusted: somebody may bring it forward meanwhile.
    const TRUST: Duration = Duration::from_millis(50);

    /// Waits for the worker's answer.
    ///
    /// # Errors
    /// When it did not come in time, or the worker is no more: nobody should wait for that worker again.
    pub(super) fn wait(
        &self,
        handing_over: &mut dyn FnMut(),
    ) -> Result<Result<Accepted, DeliveryError>, DeliveryError> {
        loop {
            let left = self.deadline.left();
            // An answer that is there counts, even if it came at the last moment.
            let report = match self.reports.recv_timeout(left.min(Self::TRUST)) {
                Ok(report) => report,
                Err(mpsc::RecvTimeoutError::Timeout) if !left.is_zero() => continue,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(explain_deadline(self.stage(), &self.settings, self.begun.elapsed()));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(explain_lost("the delivery broke off", self.stage(), &self.settings));
                }
            };
            match report {
                Report::Done(result) => return Ok(result),
                Report::HandingOver(go) => {
                    handing_over();
                    // From here on the worker may be sending, whatever it says later.
                    set(&self.stage, Stage::Message);
                    let _ = go.send(());
                }
            }
        }
    }

    fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn set(place: &Mutex<Stage>, stage: Stage) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = stage;
}

//! The run's mail: how it will go out, and its delivery.

use std::time::Duration;

use lettre::message::Mailbox;

use super::locking::state_dir;
use super::options::{History, MailDelivery};
use crate::exec::Cancel;
use crate::mail::{self, Delivery, MailMode, MailSettings, MailSettingsError, RenderContext, Tokens};
use crate::model::{EmailStrategy, MailState, Project, RunReport};

/// How long the mail may take once the run was interrupted.
const LAST_MAIL: Duration = Duration::from_secs(5);

/// How a project's mails go out.
pub(super) struct Mailing {
    pub(super) mode: MailMode,
    sender: Option<Mailbox>,
}

impl Mailing {
    /// Checked before anything is run.
    pub(super) fn of(project: &Project, delivery: &MailDelivery, history: &History) -> Result<Self, MailSettingsError> {
        let tokens = state_dir(history).ok().map(Tokens::new);
        let stored = |settings: &MailSettings| tokens.as_ref().is_some_and(|tokens| tokens.is_stored(settings));
        let mode = match delivery {
            MailDelivery::Off => MailMode::Off,
            MailDelivery::Folder(folder) => MailMode::Folder(folder.clone()),
            MailDelivery::Send if project.email_strategy == EmailStrategy::None => MailMode::Off,
            MailDelivery::Send => {
                MailMode::Smtp(Box::new(MailSettings::resolve(&project.dotenv, &environment, &stored)?))
            }
        };
        Ok(Self { mode, sender: mail::configured_sender(&project.dotenv, &environment) })
    }

    /// Whether there is something to deliver about the run.
    pub(super) fn is_due(&self, project: &Project, report: &RunReport) -> bool {
        mail::is_due(project.email_strategy, report, &RenderContext::default()) && !matches!(self.mode, MailMode::Off)
    }

    /// Delivers the mail. To a server on a thread of its own, so that whoever interrupts doesn't have to wait for a slow one.
    pub(super) async fn deliver(&self, project: &Project, report: &RunReport, cancel: &Cancel) -> MailState {
        let Project { email_strategy: strategy, recipients, .. } = project;
        if !mail::is_due(*strategy, report, &RenderContext::default()) || !matches!(self.mode, MailMode::Smtp(_)) {
            return deliver_now(report, *strategy, self.sender.clone(), recipients, &self.mode);
        }
        let kept = report.run_dir.join(mail::KEPT_MAIL);
        let (report, strategy, recipients) = (report.clone(), *strategy, recipients.clone());
        let (from, mode) = (self.sender.clone(), self.mode.clone());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let work = move || {
            let _ = sender.send(deliver_now(&report, strategy, from, &recipients, &mode));
        };
        if let Err(error) = std::thread::Builder::new().name("mail".into()).spawn(work) {
            return MailState::Failed { error: format!("no thread to send it on: {error}") };
        }
        let given_up = async {
            cancel.cancelled().await;
            tokio::select! {
                () = cancel.killed() => {}
                () = tokio::time::sleep(LAST_MAIL) => {}
            }
        };
        tokio::select! {
            biased;
            mail = receiver => mail.unwrap_or_else(|_| MailState::Failed { error: "the thread that sent it broke off".into() }),
            () = given_up => {
                let error = format!("interrupted while it was being sent; the message is kept in {}", kept.display());
                MailState::Failed { error }
            }
        }
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn deliver_now(
    report: &RunReport,
    strategy: EmailStrategy,
    from: Option<Mailbox>,
    recipients: &[String],
    mode: &MailMode,
) -> MailState {
    let context = RenderContext::default();
    mail::deliver(
        report,
        &Delivery { strategy, from, recipients, mode, context: &context, deadline: Delivery::DEADLINE },
    )
}

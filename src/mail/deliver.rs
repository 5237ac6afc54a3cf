//! From a run's report to a delivered mail. Keeps the finished message before trying, and never fails a run.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lettre::message::Mailbox;

use super::eml_folder::write_whole;
use super::message::host_label;
use super::render::one_line;
use super::{
    Addressing, Attachment, EmlFolder, FinishedMessage, MailSettings, RenderContext, Rendered, SmtpTransport,
    Transport, finish, is_due, render,
};
use crate::model::{EmailStrategy, MailOptions, MailState, RunReport};

/// The file in the run's folder that keeps the finished message.
pub const KEPT_MAIL: &str = "mail.eml";

/// Where mails go.
#[derive(Debug, Clone)]
pub enum MailMode {
    /// Nowhere.
    Off,
    /// To a folder, as `.eml` files.
    Folder(PathBuf),
    /// To a server.
    Smtp(Box<MailSettings>),
}

/// What a mail needs to know beside the report.
#[derive(Debug, Clone)]
pub struct Delivery<'a> {
    /// When a mail is wanted, and what about.
    pub strategy: EmailStrategy,
    /// Who it is from; without one, the settings' sender or, for a folder, a placeholder.
    pub from: Option<Mailbox>,
    /// Who gets it.
    pub recipients: &'a [String],
    /// Where it goes.
    pub mode: &'a MailMode,
    /// What the report doesn't know by itself.
    pub context: &'a RenderContext,
    /// How long sending may take, all in all.
    pub deadline: Duration,
}

impl Delivery<'_> {
    /// How long sending may take unless told otherwise.
    pub const DEADLINE: Duration = Duration::from_secs(30);

    fn sender(&self, host: &str) -> Option<Mailbox> {
        let of_mode = || match self.mode {
            MailMode::Smtp(settings) => Some(settings.from.clone()),
            // A domain that is guaranteed not to exist (RFC 2606, section 2), so that no answer goes astray.
            MailMode::Off | MailMode::Folder(_) => format!("runner@{}.invalid", host_label(host)).parse().ok(),
        };
        self.from.clone().or_else(of_mode)
    }
}

/// Mails the summary of a run, if its strategy wants one, and says what became of it. The finished message is kept in
/// the run's folder first, so that a server that fails loses nothing.
#[must_use]
pub fn deliver(report: &RunReport, delivery: &Delivery<'_>) -> MailState {
    match delivery.mode {
        _ if !is_due(delivery.strategy, report, delivery.context) => MailState::NotDue,
        MailMode::Off => MailState::Off,
        MailMode::Folder(folder) => {
            let folder = EmlFolder::new(folder.clone());
            deliver_by(report, delivery, &folder, |message, _| MailState::Written { file: folder.file_for(message) })
        }
        MailMode::Smtp(settings) => deliver_with(report, delivery, &SmtpTransport::new(settings.as_ref().clone())),
    }
}

/// As [`deliver`], by a transport of the caller's.
#[must_use]
pub fn deliver_with(report: &RunReport, delivery: &Delivery<'_>, transport: &dyn Transport) -> MailState {
    deliver_by(report, delivery, transport, |_, reply| MailState::Sent { reply })
}

/// What else a message about a run is made of.
#[derive(Debug, Clone, Default)]
pub struct Details<'a> {
    /// How the project has its mails made up.
    pub options: MailOptions,
    /// The Message-ID that the server gave to the first message of the conversation.
    pub conversation: Option<&'a str>,
    /// Files that go with it.
    pub attachments: &'a [Attachment],
}

/// Makes the finished message about a run, and what it says.
///
/// # Errors
/// With a sentence, when there is no sender or a recipient is no address.
pub fn make(
    report: &RunReport,
    delivery: &Delivery<'_>,
    details: &Details<'_>,
) -> Result<(FinishedMessage, Rendered), String> {
    let from = delivery.sender(&report.host).ok_or("the mail has no sender; set MAIL_FROM")?;
    let rendered = render(report, delivery.strategy, delivery.context);
    let Details { options, conversation, attachments } = details;
    let addressing = Addressing { from: &from, recipients: delivery.recipients, options, conversation: *conversation };
    match finish(report, &rendered, &addressing, attachments, SystemTime::now()) {
        Ok(message) => Ok((message, rendered)),
        Err(error) => Err(one_line(&format!("the mail could not be made: {}", chain(&error)), 2000)),
    }
}

fn deliver_by(
    report: &RunReport,
    delivery: &Delivery<'_>,
    transport: &dyn Transport,
    delivered: impl FnOnce(&FinishedMessage, String) -> MailState,
) -> MailState {
    if !is_due(delivery.strategy, report, delivery.context) {
        return MailState::NotDue;
    }
    let failed = |error: String| MailState::Failed { error: one_line(&error, 2000) };
    let (message, _) = match make(report, delivery, &Details::default()) {
        Ok(made) => made,
        Err(error) => return failed(error),
    };
    let kept = report.run_dir.join(KEPT_MAIL);
    let keeping = write_whole(&kept, &message.bytes);
    if let Err(error) = &keeping {
        tracing::warn!(file = %kept.display(), %error, "cannot keep the mail");
    }
    match transport.send(&message, delivery.deadline) {
        Ok(accepted) if accepted.refused.is_empty() => delivered(&message, accepted.reply),
        Ok(accepted) => {
            let refused = accepted.refused.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            delivered(&message, one_line(&format!("{}; refused for {refused}", accepted.reply), 2000))
        }
        Err(error) => failed(match keeping {
            Ok(()) => format!("{error}; the mail is kept in {}", kept.display()),
            Err(keeping) => format!("{error}; nor could the mail be kept in {}: {keeping}", kept.display()),
        }),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

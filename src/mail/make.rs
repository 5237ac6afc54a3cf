//! From a run's report to the finished message about it.

use std::path::PathBuf;
use std::time::SystemTime;

use lettre::message::Mailbox;

use super::message::host_label;
use super::render::one_line;
use super::{Addressing, Attachment, FinishedMessage, MailSettings, RenderContext, Rendered, finish, render};
use crate::model::{EmailStrategy, MailOptions, RunReport};

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
}

impl Delivery<'_> {
    fn sender(&self, host: &str) -> Option<Mailbox> {
        let of_mode = || match self.mode {
            MailMode::Smtp(settings) => Some(settings.from.clone()),
            // A domain that is guaranteed not to exist (RFC 2606, section 2), so that no answer goes astray.
            MailMode::Off | MailMode::Folder(_) => format!("runner@{}.invalid", host_label(host)).parse().ok(),
        };
        self.from.clone().or_else(of_mode)
    }
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

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

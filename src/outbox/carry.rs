//! How an entry leaves: by a courier to a mail server, or as a call of a web address.

use std::path::PathBuf;
use std::sync::Arc;

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::Mailbox;

use super::post::{Couriers, Dotenv};
use super::readdress::readdressed;
use crate::mail::{
    self, Accepted, Courier, Deadline, DeliveryError, DeliveryFailure, MailSettings, Outgoing, Stage, WebRequest,
    WebSlot,
};
use crate::model::{MailOptions, Project};
use crate::store::{NewEntry, OutboxKind};

/// Takes entries of one sender to where they should go.
pub(super) enum Carrier {
    /// With who mails are from now.
    Mail(Box<dyn Courier>, Mailbox),
    Web(Arc<Setup>, WebSlot),
}

/// What a project has for sending.
#[derive(Debug)]
pub(super) struct Setup {
    /// The project's folder, and the profile.
    pub(super) root: PathBuf,
    pub(super) profile: Option<String>,
    pub(super) mail: MailOptions,
    pub(super) dotenv: Dotenv,
    /// Why its project file can't be read; then there is nothing but the values of the `.env` files.
    pub(super) broken: Option<String>,
}

impl Setup {
    pub(super) fn of(project: &Project) -> Self {
        let Project { root, profile, mail, dotenv, .. } = project;
        let (root, profile) = (root.clone(), profile.clone());
        Self { root, profile, mail: mail.clone(), dotenv: dotenv.clone(), broken: None }
    }
}

impl Carrier {
    /// Delivers one entry, which was made to be sent by `from`; see [`Courier::send`].
    pub(super) fn send(
        &mut self,
        from: Option<&str>,
        recipients: &[String],
        bytes: Vec<u8>,
        deadline: &Deadline,
        handing_over: &mut dyn FnMut(),
    ) -> Result<Accepted, DeliveryError> {
        match self {
            Self::Mail(courier, sender) => {
                let is_another = from.is_none_or(|from| from != sender.email.as_ref() as &str);
                let bytes = if is_another { readdressed(&bytes, sender) } else { bytes };
                let envelope = envelope(sender, recipients)
                    .ok_or_else(|| never("the mail's addresses in the outbox can't be read".to_owned()))?;
                courier.send(&Outgoing { bytes, envelope }, deadline, handing_over)
            }
            Self::Web(setup, slot) => {
                let body = String::from_utf8_lossy(&bytes).into_owned();
                let variable = |name: &str| std::env::var(name).ok();
                let request = WebRequest::of(&setup.mail, *slot, body, &setup.dotenv, &variable)?
                    .ok_or_else(|| never(format!("the project no longer names an address for `{}`", slot.name())))?;
                handing_over();
                mail::call(&request, deadline)
            }
        }
    }
}

/// Delivers an entry that is in no outbox; returns what the other side said.
///
/// # Errors
/// When that doesn't succeed before the deadline.
pub fn send_now(
    entry: &NewEntry,
    project: &Project,
    settings: Option<&MailSettings>,
    couriers: &dyn Couriers,
    deadline: &Deadline,
) -> Result<String, DeliveryError> {
    let slot = entry.slot.as_deref().and_then(WebSlot::from_name);
    let mut carrier = match (entry.kind, settings, slot) {
        (OutboxKind::Mail, Some(settings), _) => Carrier::Mail(couriers.courier(settings), settings.from.clone()),
        (_, _, Some(slot)) => Carrier::Web(Arc::new(Setup::of(project)), slot),
        _ => return Err(never("there are no settings to send it with".to_owned())),
    };
    let message = entry.message.clone();
    let accepted = carrier.send(entry.from.as_deref(), &entry.recipients, message, deadline, &mut || ())?;
    let refused = accepted.refused.iter().map(|one| format!("; refused for {one}")).collect::<String>();
    Ok(accepted.reply + &refused)
}

fn never(sentence: String) -> DeliveryError {
    DeliveryError { failure: DeliveryFailure::Permanent, stage: Stage::Sender, sentence, reply: None }
}

fn envelope(from: &Mailbox, recipients: &[String]) -> Option<Envelope> {
    let to = recipients.iter().map(|one| one.parse::<Address>().ok()).collect::<Option<Vec<_>>>()?;
    Envelope::new(Some(from.email.clone()), to).ok()
}

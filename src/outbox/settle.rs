//! What has become of a mail, as its run tells it.

use std::path::Path;

use crate::event::{EventKind, EventSink, RunEvent};
use crate::model::MailState;
use crate::sink::EventsFile;
use crate::store::{OutboxRow, OutboxState};

/// What a run says of its mail when the outbox has it like this.
#[must_use]
pub fn mail_state(row: &OutboxRow) -> MailState {
    told(row.state, row.last_error.as_deref(), row.last_reply.as_deref())
}

pub(super) fn told(state: OutboxState, error: Option<&str>, reply: Option<&str>) -> MailState {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    match state {
        OutboxState::Sent => MailState::Sent { reply: text(reply) },
        OutboxState::Held => MailState::Held { error: text(error) },
        OutboxState::Failed => MailState::Failed { error: text(error) },
        OutboxState::Queued | OutboxState::Sending => MailState::Queued { error: error.map(str::to_owned) },
    }
}

/// Adds to the events of a run that is over what has become of its mail, if its folder is still there.
pub(crate) fn tell_events(run_dir: &Path, mail: MailState) {
    if !run_dir.join(EventsFile::NAME).exists() {
        return;
    }
    let event = RunEvent::now(EventKind::Mail { mail });
    let written = EventsFile::open(run_dir).and_then(|mut events| events.on_event(&event));
    if let Err(error) = written {
        tracing::warn!("{}", error.sentence());
    }
}

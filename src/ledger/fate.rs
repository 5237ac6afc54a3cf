//! What has become of a claim that somebody else made, or of his run.

use std::io::ErrorKind;

use jiff::{SignedDuration, Timestamp};

use crate::event::{EVENTS_FILE, EventKind, ReplayError, read_events};
use crate::exec;
use crate::model::{runs_dir, to_timestamp};
use crate::store::{Fate, Held};

/// How long a claim of another machine, whose processes can't be seen, is left alone.
const UNSEEN: SignedDuration = SignedDuration::from_hours(24);

/// Tells what has become of a claim, or a run under way, that isn't one's own.
pub type Judge = Box<dyn Fn(&Held, Timestamp) -> Fate + Send + Sync>;

/// By its process, and by the events of its run.
pub(super) fn by_process(held: &Held, now: Timestamp) -> Fate {
    let Some(holder) = &held.holder else { return Fate::Gone };
    let unseen = || now.duration_since(held.claimed) < UNSEEN;
    let may_live = if holder.host == exec::host() {
        !exec::is_gone(&holder.process) && (exec::is_alive(&holder.process) || unseen())
    } else {
        unseen()
    };
    if may_live { Fate::Living } else { by_events(held) }
}

/// Of a claim that nobody has any more: whether its run began.
pub(super) fn by_events(held: &Held) -> Fate {
    let Some(run_id) = &held.run_id else { return Fate::Gone };
    let file = runs_dir(&held.project_dir).join(run_id.as_str()).join(EVENTS_FILE);
    let mut begun = None;
    let read = read_events(&file, |event| {
        if let EventKind::RunStarted { occasion, .. } = event.kind {
            let late = occasion.and_then(|occasion| occasion.late);
            begun.get_or_insert(Fate::Began { at: to_timestamp(event.time), late });
        }
    });
    match (begun, read) {
        (Some(begun), _) => begun,
        (None, Ok(())) => Fate::Gone,
        (None, Err(ReplayError::Read { source, .. })) if source.kind() == ErrorKind::NotFound => Fate::Gone,
        // Whether it began can't be told now. Better late than twice.
        (None, Err(_)) => Fate::Living,
    }
}

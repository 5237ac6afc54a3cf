//! How far the mail of a run is, as the outbox knows it: what the run recorded is as old as the run.

use chrono::{DateTime, Utc};

use super::view::View;
use crate::model::{MailState, RunId};
use crate::outbox::mail_state;
use crate::store::{Hold, OutboxRow, Store, StoreError};

/// When an entry is tried again: when both it and its sender may be; `None` if it never is.
pub(super) fn next_at(row: &OutboxRow, hold: Option<&Hold>) -> Option<DateTime<Utc>> {
    row.next_at.into_iter().chain(hold.map(|hold| hold.until)).max().filter(|_| !row.state.is_final())
}

/// The state of a mail now, and its entry if it is in the outbox. A mail that had come to its end when it was recorded
/// needs no look.
pub(super) async fn current(
    store: &mut Store,
    run_id: &RunId,
    recorded: Option<MailState>,
) -> Result<(Option<MailState>, Option<OutboxRow>), StoreError> {
    if !matches!(recorded, Some(MailState::Queued { .. } | MailState::Held { .. })) {
        return Ok((recorded, None));
    }
    let row = store.mail_about(run_id).await?;
    Ok((row.as_ref().map(mail_state).or(recorded), row))
}

/// `tried twice, next at 2026-11-23 02:10:00`, of a mail that waits.
pub(super) async fn attempts(store: &mut Store, row: &OutboxRow, view: &View) -> Result<String, StoreError> {
    let tried = match row.attempts {
        0 => "not tried yet".to_owned(),
        1 => "tried once".to_owned(),
        2 => "tried twice".to_owned(),
        n => format!("tried {n} times"),
    };
    let holds = store.holds().await?;
    let hold = row.sender.as_ref().and_then(|sender| holds.get(sender));
    Ok(match next_at(row, hold).filter(|at| *at > view.now) {
        Some(at) => format!("{tried}, next at {}", view.time(at)),
        None if row.state.is_final() => tried,
        None => format!("{tried}, again with the next run"),
    })
}

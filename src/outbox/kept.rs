//! Mails that could not be put into the outbox: the message lies in the run's folder, and beside it whom it is for, until
//! somebody can.

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::settle::tell_events;
use crate::event::{EventKind, RunEvent};
use crate::mail::{KEPT_MAIL, write_whole};
use crate::model::{MailState, RunId};
use crate::store::{Durability, KEPT_MARKS, NewEntry, OutboxKind, Store, StoreError};

/// The file in the run's folder that says whom the mail beside it is for.
pub const KEPT_ENVELOPE: &str = "mail.json";

/// The version of that file's form.
const VERSION: u32 = 1;

/// What the message itself doesn't say.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    version: u32,
    run_id: RunId,
    project_dir: PathBuf,
    profile: Option<String>,
    subject: String,
    from: Option<String>,
    #[serde(default)]
    login: Option<String>,
    recipients: Vec<String>,
    conversation: Option<String>,
    queued_at: DateTime<Utc>,
}

/// Keeps a mail in its run's folder, so that it survives a loss of power.
///
/// # Errors
/// When it can't be written, or is about no run.
pub fn keep(entry: &NewEntry) -> io::Result<()> {
    let (Some(run_id), Some(run_dir)) = (&entry.run_id, &entry.run_dir) else {
        return Err(io::Error::other("it is about no run"));
    };
    let envelope = Envelope {
        version: VERSION,
        run_id: run_id.clone(),
        project_dir: entry.project_dir.clone(),
        profile: entry.profile.clone(),
        subject: entry.subject.clone(),
        from: entry.from.clone(),
        login: entry.login.clone(),
        recipients: entry.recipients.clone(),
        conversation: entry.conversation.clone(),
        queued_at: entry.queued_at,
    };
    write_whole(&run_dir.join(KEPT_MAIL), &entry.message)?;
    // Where it is, the message is too.
    write_whole(&run_dir.join(KEPT_ENVELOPE), &serde_json::to_vec_pretty(&envelope)?)?;
    // By this it is found when the database, once it can be used, doesn't know the run. Else by whoever brings that up to date.
    if let Some(mark) = mark(run_dir) {
        let marked = mark.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&mark, ""));
        if let Err(error) = marked {
            tracing::warn!("cannot write {}: {error}", mark.display());
        }
    }
    Ok(())
}

/// The file that says at the project that this run keeps its mail.
fn mark(run_dir: &Path) -> Option<PathBuf> {
    Some(run_dir.parent()?.parent()?.join(KEPT_MARKS).join(run_dir.file_name()?))
}

/// Puts the mails that runs keep into the outbox. Each step may be done again: the outbox takes a run's mail once.
///
/// # Errors
/// When the database can't be read or written.
pub(super) async fn take_in(store: &mut Store) -> Result<(), StoreError> {
    for (run_id, run_dir) in store.kept_mails().await? {
        let mail = match read(&run_dir) {
            Ok(entry) => {
                store.enqueue(&[entry]).await?;
                MailState::Queued { error: None }
            }
            // It was taken in, and whoever did that had no time to take the mark away.
            Err(error) if error.kind() == io::ErrorKind::NotFound && store.mail_about(&run_id).await?.is_some() => {
                unmark(&run_dir);
                continue;
            }
            // Nobody can do more for it.
            Err(error) if is_lost(&error, &run_dir) => {
                let error = format!("the mail that was kept in {} can't be read: {error}", run_dir.display());
                MailState::Failed { error }
            }
            Err(error) => {
                tracing::warn!("the mail that is kept in {} has to wait: {error}", run_dir.display());
                continue;
            }
        };
        tell_events(&run_dir, mail.clone());
        store.record(&[(run_id, RunEvent::now(EventKind::Mail { mail }))], Durability::Process).await?;
        let _ = std::fs::remove_file(run_dir.join(KEPT_ENVELOPE));
        unmark(&run_dir);
    }
    Ok(())
}

fn unmark(run_dir: &Path) {
    if let Some(mark) = mark(run_dir) {
        let _ = std::fs::remove_file(mark);
    }
}

/// Whether nobody will ever read it: where the folder that runs are in is missing too, it may be on a drive that comes back.
fn is_lost(error: &io::Error, run_dir: &Path) -> bool {
    match error.kind() {
        io::ErrorKind::NotFound => run_dir.parent().is_some_and(Path::is_dir),
        kind => kind == io::ErrorKind::InvalidData,
    }
}

fn read(run_dir: &Path) -> io::Result<NewEntry> {
    let envelope: Envelope = serde_json::from_slice(&std::fs::read(run_dir.join(KEPT_ENVELOPE))?)?;
    if envelope.version > VERSION {
        return Err(io::Error::other(format!("{KEPT_ENVELOPE} was written by a newer runner; update this one")));
    }
    Ok(NewEntry {
        kind: OutboxKind::Mail,
        slot: None,
        run_id: Some(envelope.run_id),
        project_dir: envelope.project_dir,
        profile: envelope.profile,
        run_dir: Some(run_dir.to_owned()),
        subject: envelope.subject,
        from: envelope.from,
        login: envelope.login,
        recipients: envelope.recipients,
        message: std::fs::read(run_dir.join(KEPT_MAIL))?,
        conversation: envelope.conversation,
        queued_at: envelope.queued_at,
        settled: true,
        unless_since: None,
    })
}

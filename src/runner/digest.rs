//! The clock of digests: at their time they go out although no run ends then.

use chrono::{DateTime, TimeDelta, Utc};

use super::alarm::FindProject;
use super::mailing::{Mail, Mailing, Prepared};
use super::options::History;
use crate::event::{EventKind, RunEvent};
use crate::mail::{EmlFolder, KEPT_MAIL, RenderContext, digest_times};
use crate::model::{EmailStrategy, MailDelivery, MailState, RunReport};
use crate::outbox;
use crate::sink::When;
use crate::store::{Durability, FindRunError, Store, StoreError, Untold};

/// How long after its time a digest waits for runs: one that ends then sends it itself, with what it has to tell.
const LEAVES_TO_RUNS: TimeDelta = TimeDelta::minutes(1);
/// When one looks again at a project that is running: its end sends the digest, unless that sends no mail.
const WHILE_RUNNING: TimeDelta = TimeDelta::minutes(15);
/// For how long a run is worth a digest of its own. The next run tells of older ones.
const WORTH: TimeDelta = TimeDelta::days(8);

/// What a look for digests came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Digests {
    /// What is in the outbox now.
    pub(crate) queued: Vec<i64>,
    /// What could not be done, in sentences that begin with the project's name.
    pub(crate) troubles: Vec<String>,
    /// When to look again, if no run ends until then.
    pub(crate) next: Option<DateTime<Utc>>,
}

/// Makes the digests that are due now although no run ends, and puts them into the outbox; the runs that they tell of are told. None
/// goes out twice, also if a run sends one at the same moment. Delivering them is left to the caller. Blocks.
///
/// # Errors
/// With a sentence, when the database can't be used.
pub(crate) fn queue_due_digests(
    history: &History,
    mail: &MailDelivery,
    find: FindProject<'_>,
    now: DateTime<Utc>,
) -> Result<Digests, String> {
    let mut digests = Digests::default();
    let History::Shared(writer) = history else { return Ok(digests) };
    if *mail == MailDelivery::Off {
        return Ok(digests);
    }
    let gone = || "the thread that has the database ended".to_owned();
    let untold = writer.ask(When::Recorded, async move |store| store.untold_projects(now - WORTH).await);
    for untold in untold.recv().map_err(|_| gone())?? {
        let project = find(&untold.project_dir, untold.profile.as_deref()).ok();
        let Some(project) = project.filter(|project| project.email_strategy == EmailStrategy::Digest) else { continue };
        let (latest, next) = digest_times(now, &RenderContext::of(&project, Vec::new()));
        let mut look_again = |at: DateTime<Utc>| digests.next = Some(digests.next.map_or(at, |next| next.min(at)));
        look_again(next + LEAVES_TO_RUNS);
        if now < latest + LEAVES_TO_RUNS {
            look_again(latest + LEAVES_TO_RUNS);
            continue;
        }
        if untold.is_running {
            look_again(now + WHILE_RUNNING);
            continue;
        }
        let run_id = untold.run_id.clone();
        let report = writer.ask(When::Now, async move |store| report(store, &untold).await);
        let Some(report) = report.recv().map_err(|_| gone())?? else { continue };
        let prepared = match Mailing::of(&project, mail, history) {
            Ok(mailing) => mailing.digest(&project, &report, writer, now),
            Err(error) => {
                digests.troubles.push(format!("{}: the digest can't be sent: {error}", project.name));
                continue;
            }
        };
        let Some(Prepared { mail, mut entries, .. }) = prepared else { continue };
        match (mail, entries.pop()) {
            (Mail::Entry, Some(entry)) => {
                if let Err(error) = std::fs::write(report.run_dir.join(KEPT_MAIL), &entry.message) {
                    tracing::warn!("cannot keep the mail in {}: {error}", report.run_dir.display());
                }
                let queue = async move |store: &mut Store| store.queue_digest(&entry, &run_id).await;
                if let Some(id) = writer.ask(When::Now, queue).recv().map_err(|_| gone())?? {
                    outbox::tell_events(&report.run_dir, MailState::Queued { error: None });
                    digests.queued.push(id);
                }
            }
            (Mail::Folder(folder, message), _) => {
                let mail = EmlFolder::new(folder).deliver(&report, &message);
                outbox::tell_events(&report.run_dir, mail.clone());
                let event = RunEvent::now(EventKind::Mail { mail });
                let record = async move |store: &mut Store| store.record(&[(run_id, event)], Durability::Process).await;
                writer.ask(When::Now, record).recv().map_err(|_| gone())??;
            }
            (Mail::None(MailState::Failed { error }), _) => {
                digests.troubles.push(format!("{}: the digest can't be sent: {error}", project.name));
            }
            (Mail::None(_) | Mail::Entry, _) => {}
        }
    }
    Ok(digests)
}

/// All that is known of the run; `None` if it is gone.
async fn report(store: &mut Store, untold: &Untold) -> Result<Option<RunReport>, StoreError> {
    match store.run(untold.run_id.as_str()).await {
        Ok(row) => store.report(row).await.map(Some),
        Err(FindRunError::Store(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

//! `runner mail flush`: sends what waits, now.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::super::StateDir;
use super::super::reading::{bring_up_to_date, with_store};
use super::super::view::one_line;
use crate::cli::ExitCode;
use crate::cli::args::MailFlushArgs;
use crate::cli::output::{self, Output, styled};
use crate::mail::Deadline;
use crate::outbox::{Force, Outbox, SmtpCouriers};
use crate::runner::{self, AlarmRequest, MailDelivery};
use crate::sink::{AtEnd, HistoryWriter};
use crate::store::{OpenOptions, OutboxRow, OutboxState, Store, StoreError};

/// How long a run that is sending is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn flush(args: &MailFlushArgs, state: &StateDir, output: &Output) -> ExitCode {
    let (mut before, mut kept) = (HashSet::new(), Vec::new());
    let opened = with_store(state, output, async |store, _| {
        // Mails that wait in run folders are known by their runs.
        bring_up_to_date(store, None, output).await?;
        if args.failed {
            store.requeue_failed(Utc::now()).await?;
        }
        before.extend(store.undelivered().await?.into_iter().map(|row| row.id));
        kept = store.kept_mails().await?;
        Ok(())
    });
    let (ExitCode::Success, Some(dir)) = (opened, state.path()) else { return opened };
    before.extend(alarms(dir, output));
    let outbox = Outbox::new(dir.to_owned(), Arc::new(SmtpCouriers::new(Some(dir.to_owned()))));
    let (begin, deadline) = (Instant::now(), Deadline::after(Duration::MAX));
    let bad = styled(output::BAD, "error:");
    loop {
        match outbox.drain(None, &[], &deadline, Force::Yes) {
            Ok(true) => break,
            Ok(false) if begin.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(100)),
            Ok(false) => {
                output.error(format!("{bad} a run is sending for more than a minute now; try again later"));
                return ExitCode::ScriptFailed;
            }
            Err(error) => {
                output.error(format!("{bad} {error}"));
                return ExitCode::CannotWork;
            }
        }
    }
    let mut left = 0;
    let told = with_store(state, output, async |store, out| {
        // They have been put into the outbox meanwhile.
        for (run_id, _) in &kept {
            before.extend(store.mail_about(run_id).await?.map(|row| row.id));
        }
        let (waiting, failed) = remaining(store, &before).await?;
        left = waiting.len() + failed.len();
        let gone = before.iter().filter(|id| !waiting.iter().chain(&failed).any(|row| row.id == **id)).count();
        match (gone, left) {
            (0, 0) => writeln!(out, "Nothing waits to be sent.")?,
            (gone, 0) => writeln!(out, "{gone} sent; nothing is left.")?,
            (gone, _) => writeln!(out, "{gone} sent; {} left, {} failed:", waiting.len(), failed.len())?,
        }
        let mut said = HashSet::new();
        for row in waiting.iter().chain(&failed) {
            let error = row.last_error.as_deref().unwrap_or("it had no turn");
            // One reason often keeps many.
            if said.insert(error) {
                writeln!(out, "  {} {}: {}", row.state.name(), row.id, one_line(error))?;
            }
        }
        Ok(())
    });
    if told == ExitCode::Success && left > 0 { ExitCode::ScriptFailed } else { told }
}

/// Puts into the outbox what somebody has to be told of runs that were missed; returns the entries.
fn alarms(dir: &Path, output: &Output) -> Vec<i64> {
    let history = HistoryWriter::start(dir.to_owned(), OpenOptions::default(), AtEnd::LeaveOpen);
    let request = AlarmRequest { mail: &MailDelivery::Send, find: &runner::load_as_it_is, own: None, is_daemon: false };
    let warning = styled(output::WARNING, "warning:");
    match runner::raise_alarms(&history, &request, Utc::now()) {
        Ok(alarms) => {
            alarms.told.iter().chain(&alarms.troubles).for_each(|text| output.error(format!("{warning} {text}")));
            alarms.queued
        }
        Err(why) => {
            output.error(format!("{warning} cannot look for runs that were missed: {why}"));
            Vec::new()
        }
    }
}

/// What still waits, and what of that which waited before has failed.
async fn remaining(store: &mut Store, before: &HashSet<i64>) -> Result<(Vec<OutboxRow>, Vec<OutboxRow>), StoreError> {
    let rows = store.undelivered_or_failed().await?;
    let (failed, waiting): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.state == OutboxState::Failed);
    Ok((waiting, failed.into_iter().filter(|row| before.contains(&row.id)).collect()))
}

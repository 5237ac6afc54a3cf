//! The state folder and the database in it.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::Finding;
use super::{folder, os};
use crate::model::format_size;
use crate::store::{DATABASE_FILE, RunFilter, SCHEMA_VERSION, Store, StoreError};

/// Looks at the state folder; also gives the start of the newest run that is recorded.
pub(super) async fn examine(dir: &Path) -> (Vec<Finding>, Option<DateTime<Utc>>) {
    let mut findings = folder::writable("state folder", dir);
    if os::is_network_share(dir) {
        let found = format!("{} is on another machine's disk", dir.display());
        findings.push(Finding::broken("state folder", found, "name a folder on a local disk with `--state-dir`"));
    }
    findings.push(folder::room("disk space", dir));
    let newest = match database(dir).await {
        Ok((finding, newest)) => {
            findings.push(finding);
            newest
        }
        Err(error) => {
            findings.push(Finding::broken("database", with_causes(&error), error.hint()));
            None
        }
    };
    (findings, newest)
}

async fn database(dir: &Path) -> Result<(Finding, Option<DateTime<Utc>>), StoreError> {
    const CHECK: &str = "database";
    let mut store = Store::open(dir).await?;
    let damage = store.quick_check().await?;
    let newest = store.runs(&RunFilter { limit: Some(1), ..RunFilter::default() }).await?.into_iter().next();
    let size = |ending: &str| {
        std::fs::metadata(dir.join(format!("{DATABASE_FILE}{ending}"))).map_or(0, |metadata| metadata.len())
    };
    let size = format_size(size("") + size("-wal"));
    let path = store.path().display().to_string();
    store.close().await?;
    let finding = match damage.first() {
        None => Finding::ok(CHECK, format!("{path} is sound: version {SCHEMA_VERSION}, {size}")),
        Some(first) => {
            let first = first.lines().next().unwrap_or_default();
            let remedy = "move it away together with its `-wal` and `-shm` files: a new one is made, and filled from the \
                          run folders";
            Finding::broken(CHECK, format!("{path} is damaged: {first}"), remedy)
        }
    };
    Ok((finding, newest.map(|run| run.started)))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

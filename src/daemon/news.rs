//! What people are told although no run ends: alarms about runs that were missed, and digests at their time.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use jiff::Timestamp;

use super::word::{Tell, warning};
use super::work::DaemonOptions;
use crate::model::{MailDelivery, Project, to_timestamp};
use crate::runner::{self, AlarmRequest, History};
use crate::sink::When;
use crate::store;

/// The projects in force, by their folders.
pub(super) type InForce = HashMap<PathBuf, Arc<Project>>;

/// When one looks next, and what was known the last time.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<Looked>);

#[derive(Debug, Default)]
struct Looked {
    alarms: Option<DateTime<Utc>>,
    untold: Option<f64>,
    /// What was said where no mail tells it.
    said: HashSet<String>,
}

impl News {
    /// Puts into the outbox what people have to be told by now; says when to look again, if nothing happens until then.
    pub(super) fn look(&self, options: &DaemonOptions, in_force: &InForce, tell: &Tell) -> Option<Timestamp> {
        if options.mail == MailDelivery::Off {
            return self.without_mail(options, tell);
        }
        let now = Utc::now();
        // A file that is broken now keeps nobody from being told.
        let find = |dir: &Path, profile: Option<&str>| {
            // The ledger may know it by another path.
            let linked = || Some(in_force.iter().find(|(other, _)| store::is_same_folder(other, dir))?.1);
            let known = in_force.get(dir).or_else(linked).filter(|project| project.profile.as_deref() == profile);
            known.cloned().map_or_else(|| runner::load_as_it_is(dir, profile), Ok)
        };
        let history = History::Shared(options.history.current());
        let digests = runner::queue_due_digests(&history, &options.mail, &find, now).map(|digests| {
            digests.troubles.into_iter().for_each(|text| tell(warning(text)));
            digests.next
        });
        let digests = digests.unwrap_or_else(|why| {
            tell(warning(format!("cannot look for digests that are due: {why}")));
            None
        });
        let alarms = self.alarms(options, &find, tell, now);
        alarms.into_iter().chain(digests).min().map(to_timestamp)
    }

    /// Nobody is mailed: who reads the daemon's lines is told there, once, of what was missed. Others may still mail it.
    fn without_mail(&self, options: &DaemonOptions, tell: &Tell) -> Option<Timestamp> {
        let now = Utc::now();
        let known = options.history.current().ask(When::Now, async move |store| runner::Known::read(store, now).await);
        let known = known.recv().ok().and_then(Result::ok)?;
        let (news, next) = runner::news_in_words(&known, now);
        let mut looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for text in &news {
            if !looked.said.contains(text) {
                tell(warning(text.as_str()));
            }
        }
        looked.said = news.into_iter().collect();
        next.map(|at| to_timestamp(at.max(now + TimeDelta::minutes(1))))
    }

    /// Looks through the schedules only if something may have come up.
    fn alarms(
        &self,
        options: &DaemonOptions,
        find: runner::FindProject<'_>,
        tell: &Tell,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let mut looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = options.history.current().ask(When::Now, async move |store| store.untold_mark().await);
        let untold = untold.recv().ok().and_then(Result::ok);
        if untold.is_some() && untold == looked.untold && looked.alarms.is_none_or(|at| at > now) {
            return looked.alarms;
        }
        let request = AlarmRequest { mail: &options.mail, find, own: None, is_daemon: true };
        match runner::raise_alarms(&options.history.current(), &request, now) {
            Ok(alarms) => {
                alarms.told.into_iter().chain(alarms.troubles).for_each(|text| tell(warning(text)));
                // As it was before: what was missed meanwhile is looked at the next time.
                (looked.alarms, looked.untold) = (alarms.next, untold);
                alarms.next
            }
            Err(why) => {
                tell(warning(format!("cannot look for runs that were missed: {why}")));
                None
            }
        }
    }
}

//! What people are told although no run ends: alarms about runs that were missed, and digests at their time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use jiff::Timestamp;

use super::post::after_trouble;
use super::word::{Tell, warning};
use super::work::DaemonOptions;
use crate::model::{MailDelivery, Project, to_timestamp};
use crate::runner::{self, About, AlarmRequest, History};
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
    /// Where no mail tells it.
    said: Said,
}

/// What was said of which trouble: when, and up to which planned instant.
#[derive(Debug, Default)]
struct Said(HashMap<About, (DateTime<Utc>, DateTime<Utc>)>);

impl Said {
    /// The sentences that are to be said now. As by mail, one hears of a trouble that goes on about once a day, not each time that
    /// its count has grown.
    fn take_in(&mut self, news: Vec<runner::News>, now: DateTime<Utc>) -> Vec<String> {
        let before = std::mem::take(&mut self.0);
        let mut sentences = Vec::new();
        for runner::News { about, until, sentence } in news {
            let known = self.0.get(&about).or_else(|| before.get(&about)).copied();
            let known = known.filter(|(at, told)| until <= *told || now - *at < runner::AGAIN);
            if known.is_none() {
                sentences.push(sentence);
            }
            self.0.insert(about, known.unwrap_or((now, until)));
        }
        sentences
    }
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
            digests.next.map(to_timestamp)
        });
        let digests = digests.unwrap_or_else(|why| {
            tell(warning(format!("cannot look for digests that are due: {why}")));
            after_trouble()
        });
        let alarms = self.alarms(options, &find, tell, now);
        alarms.into_iter().chain(digests).min()
    }

    /// Nobody is mailed: who reads the daemon's lines is told there, once, of what was missed. Others may still mail it.
    fn without_mail(&self, options: &DaemonOptions, tell: &Tell) -> Option<Timestamp> {
        let now = Utc::now();
        let known = options.history.current().ask(When::Now, async move |store| runner::Known::read(store, now).await);
        let Some(known) = known.recv().ok().and_then(Result::ok) else { return after_trouble() };
        let (news, next) = runner::news_in_words(&known, now);
        let mut looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looked.said.take_in(news, now).into_iter().for_each(|text| tell(warning(text)));
        next.map(|at| to_timestamp(at.max(now + TimeDelta::minutes(1))))
    }

    /// Looks through the schedules only if something may have come up.
    fn alarms(
        &self,
        options: &DaemonOptions,
        find: runner::FindProject<'_>,
        tell: &Tell,
        now: DateTime<Utc>,
    ) -> Option<Timestamp> {
        let mut looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = options.history.current().ask(When::Now, async move |store| store.untold_mark().await);
        let untold = untold.recv().ok().and_then(Result::ok);
        if untold.is_some() && untold == looked.untold && looked.alarms.is_none_or(|at| at > now) {
            return looked.alarms.map(to_timestamp);
        }
        let request = AlarmRequest { mail: &options.mail, find, own: None, is_daemon: true };
        match runner::raise_alarms(&options.history.current(), &request, now) {
            Ok(alarms) => {
                alarms.told.into_iter().chain(alarms.troubles).for_each(|text| tell(warning(text)));
                // As it was before: what was missed meanwhile is looked at the next time.
                (looked.alarms, looked.untold) = (alarms.next, untold);
                alarms.next.map(to_timestamp)
            }
            Err(why) => {
                tell(warning(format!("cannot look for runs that were missed: {why}")));
                after_trouble()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::{Histories, Source};
    use crate::exec;
    use crate::schedule::Hindrance;

    #[test]
    fn a_trouble_that_goes_on_is_said_once_a_day_and_each_other_at_once() {
        let hour = |hours: i64| DateTime::from_timestamp(1_732_690_800 + hours * 3600, 0).unwrap();
        let missed = |schedule: &str, why, until| {
            let about =
                About { project_dir: "/p".into(), profile: None, schedule: schedule.into(), why, is_overdue: false };
            runner::News { about, until: hour(until), sentence: format!("{schedule} until {until}") }
        };
        let off = |until| missed("a", Hindrance::DaemonOff, until);
        let mut said = Said::default();
        assert_eq!(said.take_in(vec![off(1)], hour(2)), ["a until 1"]);
        assert!(said.take_in(vec![off(2)], hour(3)).is_empty(), "one more");
        let others = vec![off(3), missed("a", Hindrance::CouldNotRun, 3), missed("b", Hindrance::DaemonOff, 3)];
        assert_eq!(said.take_in(others, hour(4)), ["a until 3", "b until 3"], "another reason, and another schedule");
        assert_eq!(said.take_in(vec![off(25)], hour(26)), ["a until 25"], "still");
        assert!(said.take_in(vec![off(25)], hour(90)).is_empty(), "nothing more since");
        assert!(said.take_in(Vec::new(), hour(91)).is_empty());
        assert_eq!(said.take_in(vec![off(92)], hour(93)), ["a until 92"], "it was told meanwhile, and begins anew");
    }

    #[test]
    fn a_look_that_failed_is_tried_again_though_nothing_happens() {
        let dir = tempfile::tempdir().unwrap();
        let no_folder = dir.path().join("state");
        std::fs::write(&no_folder, "a file").unwrap();
        for mail in [MailDelivery::Off, MailDelivery::Send] {
            let options = DaemonOptions {
                source: Source::Folders(Vec::new()),
                profile: None,
                max_runs: 1,
                max_runs_here: None,
                mail,
                drain_timeout: None,
                history: Histories::new(no_folder.clone()),
                spawner: exec::default_spawner(),
            };
            let next = News::default().look(&options, &InForce::new(), &|_| {});
            assert!(next.is_some_and(|at| at > Timestamp::now()), "{next:?}");
        }
    }
}

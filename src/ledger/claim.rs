//! A planned instant that somebody has taken upon himself.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use jiff::Timestamp;

use crate::model::{Occasion, Project, RunId};
use crate::schedule::{Claimed, Schedule};
use crate::store::ScheduleRow;

/// A planned instant that is to run now, claimed for whoever asked. He has to carry it out, or to give it
/// back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The schedule's number.
    pub schedule_id: i64,
    /// The project's folder.
    pub project_dir: PathBuf,
    /// The profile that it runs with.
    pub profile: Option<String>,
    /// The project's name.
    pub project: String,
    /// The schedule, as it is known among the project's.
    pub schedule: String,
    /// The instant.
    pub planned: Timestamp,
    /// When the run was to begin at the latest.
    pub due: Timestamp,
    /// The run that is to be it.
    pub run_id: RunId,
    /// What the run is told of that.
    pub occasion: Occasion,
}

impl Claim {
    pub(super) fn new(row: &ScheduleRow, claimed: &Claimed, run_id: RunId) -> Self {
        Self {
            schedule_id: row.id,
            project_dir: row.project_dir.clone(),
            profile: row.profile.clone(),
            project: row.project.clone(),
            schedule: row.name.clone(),
            planned: claimed.planned,
            due: claimed.due,
            run_id,
            occasion: Occasion {
                schedule: row.name.clone(),
                due: utc(claimed.due),
                late: claimed.late,
                merged: claimed.merged.0,
                merged_from: claimed.merged.1.map(utc),
                missed: claimed.missed.0,
                missed_from: claimed.missed.1.map(utc),
            },
        }
    }
}

impl Claim {
    /// A claim that stands in no ledger, because there is none that can be used.
    pub(crate) fn unwritten(project: &Project, schedule: &Schedule, planned: Timestamp) -> Self {
        Self {
            schedule_id: 0,
            project_dir: project.root.clone(),
            profile: project.profile.clone(),
            project: project.name.clone(),
            schedule: schedule.name.clone(),
            planned,
            due: planned,
            run_id: RunId::random(),
            occasion: Occasion {
                schedule: schedule.name.clone(),
                due: utc(planned),
                late: None,
                merged: 0,
                merged_from: None,
                missed: 0,
                missed_from: None,
            },
        }
    }
}

/// The same instant as events have it.
pub(super) fn utc(instant: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(instant.as_microsecond()).unwrap_or_default()
}

/// The same instant as schedules have it.
pub(super) fn instant(time: DateTime<Utc>) -> Timestamp {
    Timestamp::from_microsecond(time.timestamp_micros()).unwrap_or(Timestamp::UNIX_EPOCH)
}

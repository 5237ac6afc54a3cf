//! A planned instant that somebody has taken upon himself.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::model::{Occasion, Project, RunId, to_utc};
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
    /// The instant.
    pub planned: Timestamp,
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
            planned: claimed.planned,
            run_id,
            occasion: Occasion {
                late: claimed.late,
                merged: claimed.merged.0,
                merged_from: claimed.merged.1.map(to_utc),
                missed: claimed.missed.0,
                missed_from: claimed.missed.1.map(to_utc),
                ..Occasion::in_time(&row.name, to_utc(claimed.due))
            },
        }
    }

    /// A claim that stands in no ledger, because there is none that can be used.
    pub(crate) fn unwritten(project: &Project, schedule: &Schedule, planned: Timestamp) -> Self {
        Self {
            schedule_id: 0,
            project_dir: project.root.clone(),
            planned,
            run_id: RunId::random(),
            occasion: Occasion::in_time(&schedule.name, to_utc(planned)),
        }
    }
}

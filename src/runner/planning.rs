//! What a run starts from: its inputs, at its time in the project's time zone, and its plan.

use chrono::{DateTime, Utc};
use jiff::Zoned;
use jiff::tz::TimeZone;

use super::options::RunError;
use crate::model::{Project, to_timestamp};
use crate::plan::{self, Given, Inputs, RunPlan, Selection};

/// The time of a run and, if a schedule planned it, which.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When<'a> {
    pub(crate) at: DateTime<Utc>,
    pub(crate) schedule: Option<&'a str>,
}

impl When<'_> {
    /// Now, and without a schedule.
    pub(crate) fn now() -> Self {
        Self { at: Utc::now(), schedule: None }
    }

    fn local(&self, project: &Project) -> Zoned {
        let zone = project.zone(self.schedule).cloned().unwrap_or_else(TimeZone::system);
        to_timestamp(self.at).to_zoned(zone)
    }
}

/// The inputs of a run, with this process's environment.
///
/// # Errors
/// With all that is wrong with them.
pub(crate) fn inputs(project: &Project, given: &Given, when: When<'_>) -> Result<Inputs, RunError> {
    let process: Vec<_> = std::env::vars_os().collect();
    Inputs::resolve(project, given, &process, &when.local(project))
        .map_err(|problems| RunError::Inputs { project: project.name.clone(), problems })
}

/// The plan of a run, with this process's environment.
///
/// # Errors
/// When an input or the selection is wrong.
pub(crate) fn plan<'a>(
    project: &'a Project,
    selection: &Selection,
    given: &Given,
    when: When<'_>,
) -> Result<RunPlan<'a>, RunError> {
    let inputs = inputs(project, given, when)?;
    Ok(plan::build(project, selection, inputs, std::env::vars_os())?)
}

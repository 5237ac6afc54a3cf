//! Which of a project's scripts a run takes: all, `--only` some, `--from` one on, or exactly those of another run.

use std::collections::HashMap;

use thiserror::Error;

use crate::model::Script;

/// Which scripts to take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these, in the project's order; empty means all.
    pub only: Vec<String>,
    /// From this one on.
    pub from: Option<String>,
    /// Exactly these, whatever the others say.
    pub exactly: Option<Vec<Place>>,
}

/// One script of a project, also of one in which it stands more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The script, as the project file writes it.
    pub script: String,
    /// Which time it stands there, from 1.
    pub occurrence: usize,
}

/// Where in its project each script stands.
fn places(scripts: &[Script]) -> Vec<Place> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let place = |script: &Script| {
        let script = script.path.display().to_string();
        let count = seen.entry(script.clone()).or_default();
        *count += 1;
        Place { script, occurrence: *count }
    };
    scripts.iter().map(place).collect()
}

/// A script was asked for that the project doesn't have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{project} {wanted}")]
pub struct SelectError {
    /// The project.
    pub project: String,
    /// What was asked for.
    pub wanted: Wanted,
    /// What there is.
    pub names: Vec<String>,
}

/// What was asked for in vain.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Wanted {
    /// A script that the project doesn't have.
    #[error("has no script `{0}`")]
    Missing(String),
    /// A script of another run that the project doesn't have any more.
    #[error("has no script `{0}` any more")]
    Gone(String),
    /// Only scripts before the one to start from.
    #[error("has nothing to run: what `--only` names comes before `{0}`")]
    OnlyBefore(String),
}

impl SelectError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        let wanted = match &self.wanted {
            Wanted::Missing(wanted) => wanted,
            Wanted::Gone(_) => return "`runner run` runs the project as it is now".to_owned(),
            Wanted::OnlyBefore(_) => return "leave `--only` or `--from` out".to_owned(),
        };
        let near = self
            .names
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a, wanted).total_cmp(&strsim::jaro_winkler(b, wanted)));
        match near {
            Some(near) if strsim::jaro_winkler(near, wanted) > 0.8 => format!("did you mean `{near}`?"),
            _ => format!("its scripts are {}", self.names.join(", ")),
        }
    }
}

impl Selection {
    /// For each script, whether it is taken. A script is named by its `name`, by its path as written, by its file's name,
    /// or by its place, from 1.
    ///
    /// # Errors
    /// When something is asked for that matches none.
    pub fn apply(&self, project: &str, scripts: &[Script]) -> Result<Vec<bool>, SelectError> {
        if let Some(exactly) = &self.exactly {
            return apply_exactly(exactly, project, scripts);
        }
        let places = |wanted: &str| {
            let found: Vec<usize> = (0..scripts.len()).filter(|&at| is_called(&scripts[at], at, wanted)).collect();
            if found.is_empty() {
                let names = scripts.iter().map(|script| script.name.clone()).collect();
                return Err(SelectError {
                    project: project.to_owned(),
                    wanted: Wanted::Missing(wanted.to_owned()),
                    names,
                });
            }
            Ok(found)
        };
        let mut taken = vec![self.only.is_empty(); scripts.len()];
        for wanted in &self.only {
            for at in places(wanted)? {
                taken[at] = true;
            }
        }
        if let Some(from) = &self.from {
            let first = places(from)?[0];
            taken[..first].fill(false);
        }
        if !taken.contains(&true) {
            let from = self.from.clone().unwrap_or_default();
            let names = scripts.iter().map(|script| script.name.clone()).collect();
            return Err(SelectError { project: project.to_owned(), wanted: Wanted::OnlyBefore(from), names });
        }
        Ok(taken)
    }
}

fn apply_exactly(wanted: &[Place], project: &str, scripts: &[Script]) -> Result<Vec<bool>, SelectError> {
    let places = places(scripts);
    match wanted.iter().find(|place| !places.contains(place)) {
        None => Ok(places.iter().map(|place| wanted.contains(place)).collect()),
        Some(gone) => Err(SelectError {
            project: project.to_owned(),
            wanted: Wanted::Gone(gone.script.clone()),
            names: scripts.iter().map(|script| script.name.clone()).collect(),
        }),
    }
}

fn is_called(script: &Script, at: usize, wanted: &str) -> bool {
    script.name == wanted
        || script.file_name == wanted
        || script.path.to_str() == Some(wanted)
        || wanted.parse() == Ok(at + 1)
}

//! What stands at the end of a mail: when, where, which.

use super::clean::one_line;
use super::page::{Fact, MESSAGE, project_name, script_counts};
use super::view::RenderContext;
use super::words::{Phrases, Word};
use crate::model::RunReport;

/// A planned time, and by which of a project's schedules, if that has a name that says something.
fn planned_for(time: String, report: &RunReport, words: &dyn Phrases) -> String {
    let name = report.occasion.as_ref().map(|occasion| occasion.schedule.as_str());
    match name.filter(|name| name.contains(|c: char| !c.is_ascii_digit())) {
        Some(name) => format!("{time}{}{name}", words.comma()),
        None => time,
    }
}

/// The inputs that aren't what they usually are. What secrets are is nobody's business.
fn inputs(report: &RunReport) -> String {
    let told = report.params.iter().filter(|one| one.differs && !one.secret);
    told.map(|one| format!("{}={}", one.name, one.shown())).collect::<Vec<_>>().join(" · ")
}

/// Those that are known.
pub(super) fn facts(report: &RunReport, context: &RenderContext, words: &dyn Phrases) -> Vec<Fact> {
    let when = |time| words.date_time((context.local_time)(time));
    let scripts = match report.scripts.is_empty() {
        true => words.word(Word::NoScripts).to_owned(),
        false => script_counts(report.scripts.iter(), words),
    };
    let folder = report.project_dir.display();
    let all = [
        (Word::Scripts, scripts),
        (Word::PlannedFor, report.planned.map(|planned| planned_for(when(planned), report, words)).unwrap_or_default()),
        (Word::Started, when(report.started)),
        (Word::Ended, report.finished.map_or_else(|| words.word(Word::NotYet).to_owned(), when)),
        (Word::Duration, words.duration(report.duration())),
        (Word::Inputs, inputs(report)),
        (Word::NextRun, context.next_planned.map(when).unwrap_or_default()),
        (Word::Host, report.host.clone()),
        (Word::Project, format!("{}{}", project_name(report), words.aside(&folder.to_string()))),
        (Word::Log, report.log_file.display().to_string()),
        (Word::RunFolder, report.run_dir.display().to_string()),
        (
            Word::Run,
            match &report.parent {
                Some(parent) => {
                    format!("{}{}{}", report.run_id, words.comma(), words.follows(parent.how, parent.run_id.as_str()))
                }
                None => report.run_id.to_string(),
            },
        ),
        (Word::Runner, report.version.clone()),
    ];
    let known = all.into_iter().filter(|(_, value)| !value.is_empty());
    known.map(|(word, value)| Fact { label: words.word(word), value: one_line(&value, MESSAGE) }).collect()
}

//! What the daemon says of itself: at the beginning what it looks after, and to the service manager how it stands.

use jiff::Timestamp;

use super::os::manager;
use super::word::{plain, warning};
use super::work::Daemon;

impl Daemon {
    pub(super) fn greet(&self) {
        let (projects, schedules) = self.projects.count();
        let next = self.engine.next_wake().map_or_else(String::new, |at| format!(", the next at {}", local(at)));
        let s = |n: usize| if n == 1 { "" } else { "s" };
        self.say(plain(format!(
            "looking after {projects} project{} with {schedules} schedule{}{next}",
            s(projects),
            s(schedules)
        )));
        for project in self.projects.all_in_force().values() {
            for over in project.schedules.iter().filter(|schedule| schedule.next_after(self.seen.at()).is_none()) {
                self.say(warning(format!(
                    "{}: its schedule `{}` is over: it is never due again",
                    project.name, over.name
                )));
            }
        }
    }

    pub(super) fn tell_status(&mut self) {
        let under_way = match self.runs.count() {
            0 => String::new(),
            1 => "one run under way; ".to_owned(),
            n => format!("{n} runs under way; "),
        };
        let then = match (&self.ends, self.engine.next_wake()) {
            (Some(by), _) => format!("ending: {by}"),
            (None, Some(at)) => format!("next at {}", local(at)),
            (None, None) => "nothing is planned".to_owned(),
        };
        let status = under_way + &then;
        if status != self.status {
            manager::status(&status);
            self.status = status;
        }
    }
}

/// `2026-11-23 06:00:00`, in the machine's zone.
pub(super) fn local(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

//! Looking which projects there are and how they are set up, when that may have changed.

use std::path::{Path, PathBuf};

use super::source::{Survey, is_gone};
use super::times::after;
use super::watch::Noticed;
use super::word::{plain, warning};
use super::work::{Daemon, LOOK};
use crate::config;

/// How often folders that are new are looked through at once; those that come even then are noticed where they come.
const MOST_SURVEYS: u32 = 8;

impl Daemon {
    /// Looks at all projects, and reads those anew of which something was noticed.
    pub(super) fn look_around(&mut self, is_first: bool) {
        self.times.look = None;
        let noticed = std::mem::take(&mut self.noticed);
        for noticed in &noticed {
            // What happened to a watched folder itself may have ended the watch.
            if let Noticed::At(path) = noticed {
                self.watch.unwatch(path);
            }
        }
        let (survey, refused) = self.survey();
        let changed = |root: &Path| noticed.iter().any(|noticed| concerns(noticed, root));
        let tell = std::sync::Arc::clone(&self.tell);
        let changes = self.projects.look(&survey, &changed, is_first, &|word| tell(word));
        self.changes.extend(changes);
        if is_first {
            let source = self.options.source.clone();
            self.forget_the_gone(|root| source.covers(root) && !survey.is_out_of_reach(root) && is_gone(root));
        }
        for (folder, why) in &survey.out_of_reach {
            if !self.out_of_reach.contains(&(folder.clone(), why.clone())) {
                let next = "it is looked at again every minute, and what was in it stays in force";
                self.say(warning(format!("{}: can't be looked at: {why}; {next}", folder.display())));
            }
        }
        for (folder, _) in &self.out_of_reach {
            if !survey.is_out_of_reach(folder) {
                self.say(plain(format!("{}: can be looked at again", folder.display())));
            }
        }
        if let Some((folder, why)) = refused.first() {
            let more = if refused.len() > 1 { format!(" and {} more", refused.len() - 1) } else { String::new() };
            let next = "changes there are noticed within a minute";
            self.say(warning(format!("{}{more}: can't be watched: {why}; {next}", folder.display())));
        }
        self.out_of_reach = survey.out_of_reach;
        let peeks = self.watch.has_to_look() || !self.out_of_reach.is_empty();
        self.times.peek = if peeks { self.times.peek.or_else(|| after(self.seen.at(), LOOK)) } else { None };
    }

    /// Looks what is there, and watches it; returns what can't be watched from now on, too. Everything is watched before it is
    /// read, and looked for once more after it is watched: so what comes or changes at any time is seen now, or noticed.
    fn survey(&mut self) -> (Survey, Vec<(PathBuf, String)>) {
        let mut survey = self.options.source.survey();
        let mut refused = Vec::new();
        for _ in 0..MOST_SURVEYS {
            let (more, any_new) = self.watch.set(&self.projects.to_watch(&survey));
            refused.extend(more);
            if !any_new {
                break;
            }
            survey = self.options.source.survey();
        }
        (survey, refused)
    }
}

/// Whether what was noticed may change how a project is set up: a file that says so, in its folder or above it, or the folder.
fn concerns(noticed: &Noticed, root: &Path) -> bool {
    match noticed {
        Noticed::Anything => true,
        Noticed::In(folder) => root.starts_with(folder),
        Noticed::At(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_above = path.parent().is_some_and(|folder| root.starts_with(folder));
            path == root || is_above && config::is_config_file(&name)
        }
    }
}

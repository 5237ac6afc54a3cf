//! Looking which projects there are and how they are set up, when that may have changed.

use std::path::{Path, PathBuf};

use super::source::is_gone;
use super::watch::Noticed;
use super::word::{plain, warning};
use super::work::{Daemon, LOOK, after};

impl Daemon {
    /// Looks at all projects, and reads those anew of which something was noticed.
    pub(super) fn look_around(&mut self, is_first: bool) {
        self.times.look = None;
        let noticed = std::mem::take(&mut self.noticed);
        let anything = noticed.contains(&Noticed::Anything);
        let at: Vec<PathBuf> = noticed.into_iter().filter_map(path).collect();
        // What happened to a watched folder itself may have ended the watch.
        at.iter().for_each(|path| self.watch.unwatch(path));
        let survey = self.options.source.survey();
        let changed = |root: &Path| anything || at.iter().any(|path| concerns(path, root));
        let tell = std::sync::Arc::clone(&self.tell);
        let changes = self.projects.look(&survey, &changed, &|word| tell(word));
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
        let refused = self.watch.set(&self.projects.to_watch(&survey));
        if let Some((folder, why)) = refused.first() {
            let more = if refused.len() > 1 { format!(" and {} more", refused.len() - 1) } else { String::new() };
            let next = "changes there are noticed within a minute";
            self.say(warning(format!("{}{more}: can't be watched: {why}; {next}", folder.display())));
        }
        self.out_of_reach = survey.out_of_reach;
        let peeks = self.watch.has_to_look() || !self.out_of_reach.is_empty();
        self.times.peek = if peeks { self.times.peek.or_else(|| after(self.seen.at(), LOOK)) } else { None };
    }
}

fn path(noticed: Noticed) -> Option<PathBuf> {
    match noticed {
        Noticed::At(path) => Some(path),
        Noticed::Anything => None,
    }
}

/// Whether what happened at a path may change how a project is set up: to a file in its folder or above it, or to the folder.
fn concerns(path: &Path, root: &Path) -> bool {
    path == root || path.parent().is_some_and(|folder| root.starts_with(folder))
}

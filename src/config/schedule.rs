//! The key `schedule`: one trigger or a list of them, each with how its instants are gone about.

mod definition;
mod time;
mod trigger;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use crate::schedule::{Schedule, next_after};

use super::check::{optional, unknown_keys};
use super::checker::Checker;
use super::keys;
use super::node::{Node, Table, Value, index_path, key_path, quoted};
use super::problem::{Problem, ProblemKind};
pub(crate) use definition::schedule_of_definition;
use time::Zones;
use trigger::{Context, Read};

/// Less than a second late is not late: nothing begins at the very instant.
const LEAST_GRACE: SignedDuration = SignedDuration::from_secs(1);

/// The schedules of a project; those of which something is wrong are left out, and told of.
pub(super) fn schedules(checker: &mut Checker, node: &Node) -> Vec<Schedule> {
    let mut reader = Reader { checker, zones: Zones::default(), names: BTreeMap::new() };
    match &node.value {
        Value::List(items) => {
            let read = |(index, item)| reader.schedule(item, &index_path("schedule", index), index + 1);
            items.iter().enumerate().filter_map(read).collect()
        }
        _ => reader.schedule(node, "schedule", 1).into_iter().collect(),
    }
}

struct Reader<'a> {
    checker: &'a mut Checker,
    zones: Zones,
    /// Names and where they were given.
    names: BTreeMap<String, String>,
}

impl Reader<'_> {
    fn schedule(&mut self, node: &Node, path: &str, place: usize) -> Option<Schedule> {
        let table = trigger::table(self.checker, node, path)?;
        unknown_keys(self.checker, table, path, || keys::SCHEDULE_KEYS.into_iter().chain(keys::TRIGGER_KEYS));
        let problems = self.checker.problems.len();
        let name = self.name(table, node, path, place);
        let usual = Context { zone: None, dst: Default::default() };
        let read = trigger::read(self.checker, &mut self.zones, table, node, path, &usual);
        let jitter = self.duration(table, path, "jitter");
        let misfire_grace = self.duration(table, path, "misfire_grace");
        if let (Some(grace), Some(entry)) = (misfire_grace, optional(table, "misfire_grace"))
            && grace < LEAST_GRACE
        {
            let hint = "write 1s or more, or leave it out: then a run begins however late it is";
            let message = "no run would ever begin: each is a moment late";
            self.checker.invalid(&entry.node, &key_path(path, "misfire_grace"), message, Some(hint.to_owned()));
        }
        let coalesce = optional(table, "coalesce")
            .map(|entry| self.checker.boolean(&entry.node, &key_path(path, "coalesce")).unwrap_or(true));
        if self.checker.problems.len() > problems {
            return None;
        }
        let Read { trigger, zone, canonical } = read?;
        if is_never_due(&trigger) {
            let problem = Problem::at(ProblemKind::Suspicious, &node.origin, path, "this trigger is never due");
            self.checker.warnings.push(problem.hint("`runner schedule preview` shows when triggers are due"));
            self.checker.ends.push(None);
        } else {
            self.checker.ends.push(Some(end(table, node, path)));
        }
        let (jitter, coalesce) = (jitter.unwrap_or_default(), coalesce.unwrap_or(true));
        let definition = sorted(json!({
            "trigger": canonical,
            "jitter": jitter.to_string(),
            "misfire_grace": misfire_grace.map(|grace| grace.to_string()),
            "coalesce": coalesce,
        }));
        Some(Schedule { name, definition: definition.to_string(), trigger, zone, jitter, misfire_grace, coalesce })
    }

    /// By what the schedule is known; no two of a project may have the same name.
    fn name(&mut self, table: &Table, node: &Node, path: &str, place: usize) -> String {
        const LONGEST: usize = 64;
        let mut name = place.to_string();
        let entry = optional(table, "name");
        let own_path = key_path(path, "name");
        if let Some(entry) = entry
            && let Some(text) = self.checker.text(&entry.node, &own_path)
        {
            let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
            if text.is_empty() || text.len() > LONGEST || !text.chars().all(legal) {
                let hint = "as in \"nightly\": up to 64 letters from a to z, digits, `_`, `.` and `-`";
                let message = format!("{} can't be a schedule's name", quoted(text));
                self.checker.invalid(&entry.node, &own_path, message, Some(hint.to_owned()));
            }
            text.clone_into(&mut name);
        }
        if let Some(other) = self.names.insert(name.clone(), path.to_owned()) {
            let (origin, path) = entry.map_or((&node.origin, path), |entry| (&entry.node.origin, own_path.as_str()));
            let message = format!("{} is already the name of {other}", quoted(&name));
            let problem = Problem::at(ProblemKind::InvalidValue, origin, path, message);
            self.checker.problem(problem.hint("schedules without a name are called by their place, from 1"));
        }
        name
    }

    /// A duration, in whole microseconds as instants are.
    fn duration(&mut self, table: &Table, path: &str, key: &str) -> Option<SignedDuration> {
        let entry = optional(table, key)?;
        let duration = self.checker.duration(&entry.node, &key_path(path, key))?;
        Some(time::whole_micros(duration))
    }
}

/// Whether a trigger is due neither since 1970 nor from now on. (Zones as they were long ago keep triggers from meeting
/// that meet today.)
/// What is to be said of a schedule once it is over, at the place that says when it ends.
fn end(table: &Table, node: &Node, path: &str) -> Problem {
    let entry = ["at", "end"].into_iter().find_map(|key| optional(table, key));
    let (origin, path) =
        entry.map_or((&node.origin, path.to_owned()), |entry| (&entry.node.origin, key_path(path, &entry.written)));
    let remedy = entry.map_or_else(String::new, |entry| format!("set a later `{}`, or ", entry.key));
    Problem::at(ProblemKind::Suspicious, origin, &path, "the schedule is over: it is never due again")
        .hint(format!("{remedy}take the schedule out"))
}

fn is_never_due(trigger: &crate::schedule::Trigger) -> bool {
    next_after(trigger, Timestamp::UNIX_EPOCH).is_none() && next_after(trigger, Timestamp::now()).is_none()
}

/// The same with the keys of objects in order, so that there is one text for it.
fn sorted(json: Json) -> Json {
    match json {
        Json::Object(object) => {
            let in_order: BTreeMap<String, Json> =
                object.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Json::Object(in_order.into_iter().collect())
        }
        Json::Array(items) => Json::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

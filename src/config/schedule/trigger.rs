//! The kinds of triggers: each object has exactly one of them.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

use super::time::{self, Day, Zones, zone_name};
use crate::config::check::{likely_key, optional, unknown_keys};
use crate::config::checker::Checker;
use crate::config::keys;
use crate::config::node::{Entry, Node, Table, Value, index_path, key_path};
use crate::config::problem::{Problem, ProblemKind};
use crate::config::source::Origin;
use crate::schedule::{ByField, CalendarStep, Cron, CronError, Dst, Fold, Gap, Trigger, usual_first_day};

const HINT: &str = "as in {\"cron\": \"0 6 * * mon-fri\"} or {\"interval\": \"15m\"}";
/// Triggers that may stand in one `all` or `any`: more are a slip, and each is asked again and again.
const MOST_PARTS: usize = 100;

/// What the parts of an `all` or `any` have from what they stand in.
pub(super) struct Context {
    /// `None`: nobody has said; the system's.
    pub(super) zone: Option<TimeZone>,
    pub(super) dst: Dst,
}

/// A trigger, and what it was made of.
pub(super) struct Read {
    pub(super) trigger: Trigger,
    pub(super) zone: TimeZone,
    /// One form for one meaning.
    pub(super) canonical: Json,
}

/// The object that a trigger is.
pub(super) fn table<'a>(checker: &mut Checker, node: &'a Node, path: &str) -> Option<&'a Table> {
    if let Value::Table(table) = &node.value {
        return Some(table);
    }
    let hint = match &node.value {
        Value::Text(text) if text.split_whitespace().count() >= 5 => format!("write {}", json!({"cron": text})),
        Value::Text(text) => format!("write {}, or {}", json!({"interval": text}), json!({"cron": "0 6 * * mon-fri"})),
        _ => HINT.to_owned(),
    };
    checker.mistyped(node, path, "an object with a trigger", Some(hint));
    None
}

/// Reads the trigger of an object with its bounds. All that is wrong is noted.
pub(super) fn read(
    checker: &mut Checker,
    zones: &mut Zones,
    table: &Table,
    node: &Node,
    path: &str,
    around: &Context,
) -> Option<Read> {
    let problems = checker.problems.len();
    let kind = kind(checker, table, node, path);
    let zone = match optional(table, "timezone") {
        Some(entry) => zones.named(checker, &entry.node, &key_path(path, "timezone")),
        None => Some(around.zone.clone().unwrap_or_else(|| zones.of_system(checker, node, path))),
    };
    let dst = match optional(table, "dst") {
        Some(entry) => dst(checker, &entry.node, &key_path(path, "dst"), around.dst),
        None => around.dst,
    };
    // With an unknown zone the rest is still looked through.
    let known_zone = zone.clone().unwrap_or(TimeZone::UTC);
    let mut bound = |key: &str, day: Day| {
        let entry = optional(table, key)?;
        time::instant(checker, &entry.node, &key_path(path, key), &known_zone, day)
    };
    let (start, end) = (bound("start", Day::Begins), bound("end", Day::Ends));
    if let (Some(start), Some(end), Some(entry)) = (start, end, optional(table, "end"))
        && end < start
    {
        checker.invalid(&entry.node, &key_path(path, "end"), "ends before it starts", None);
    }
    let place = Place { zone: known_zone, dst, start };
    let (trigger, canonical) = place.read(checker, zones, kind?, path)?;
    if checker.problems.len() > problems {
        return None;
    }
    let trigger = match (&trigger, start, end) {
        (_, None, None) => trigger,
        // It begins there by itself.
        (Trigger::Interval { .. }, Some(_), None) => trigger,
        _ => Trigger::Bounded { inner: Box::new(trigger), start, end },
    };
    let mut canonical = canonical;
    for (key, instant) in [("start", start), ("end", end)] {
        if let (Some(object), Some(instant)) = (canonical.as_object_mut(), instant) {
            object.insert(key.to_owned(), json!(instant.to_string()));
        }
    }
    Some(Read { trigger, zone: zone?, canonical })
}

/// The one kind of trigger that the object names.
fn kind<'a>(checker: &mut Checker, table: &'a Table, node: &Node, path: &str) -> Option<&'a Entry> {
    let mut kinds = keys::TRIGGER_KINDS.into_iter().filter_map(|kind| optional(table, kind));
    match (kinds.next(), kinds.next()) {
        (Some(kind), None) => Some(kind),
        (Some(first), Some(second)) => {
            let message = format!("`{}` and `{}` are two triggers", first.key, second.key);
            let problem = Problem::at(ProblemKind::InvalidValue, &second.key_origin, path, message);
            checker.problem(problem.hint("write a list of two objects, or one with `any` or `all`"));
            None
        }
        _ => {
            let hint = misspelt(table, &keys::TRIGGER_KINDS, &keys::SCHEDULE_KEYS).unwrap_or_else(|| HINT.to_owned());
            checker.invalid(node, path, "names no trigger", Some(hint));
            None
        }
    }
}

/// Which of the keys that are wanted may be meant by one that isn't known; those that are known are `others`.
fn misspelt(table: &Table, wanted: &[&'static str], others: &[&str]) -> Option<String> {
    let unknown = table.iter().filter(|entry| !others.contains(&entry.key.as_str()));
    let meant = |entry: &Entry| {
        Some(format!("`{}` by `{}`", likely_key(&entry.written, wanted.iter().copied())?, entry.written))
    };
    let meant: Vec<String> = unknown.filter_map(meant).collect();
    (!meant.is_empty()).then(|| format!("did you mean {}?", meant.join(", ")))
}

fn dst(checker: &mut Checker, node: &Node, path: &str, around: Dst) -> Dst {
    let Value::Table(table) = &node.value else {
        let hint = "as in {\"gap\": \"skip\", \"fold\": \"twice\"}".to_owned();
        checker.mistyped(node, path, "an object", Some(hint));
        return around;
    };
    unknown_keys(checker, table, path, || keys::DST_KEYS.into_iter());
    let gap = optional(table, "gap").and_then(|entry| {
        checker.word(&entry.node, &key_path(path, "gap"), &[("after", Gap::After), ("skip", Gap::Skip)])
    });
    let fold = optional(table, "fold").and_then(|entry| {
        checker.word(&entry.node, &key_path(path, "fold"), &[("first", Fold::First), ("twice", Fold::Twice)])
    });
    Dst { gap: gap.or(around.gap), fold: fold.or(around.fold) }
}

fn canonical_dst(dst: Dst) -> Json {
    let gap = dst.gap.map(|gap| if gap == Gap::After { "after" } else { "skip" });
    let fold = dst.fold.map(|fold| if fold == Fold::First { "first" } else { "twice" });
    json!({"gap": gap, "fold": fold})
}

/// What holds where a trigger stands.
struct Place {
    zone: TimeZone,
    dst: Dst,
    start: Option<Timestamp>,
}

impl Place {
    fn read(&self, checker: &mut Checker, zones: &mut Zones, entry: &Entry, path: &str) -> Option<(Trigger, Json)> {
        let (node, path) = (&entry.node, key_path(path, &entry.written));
        let zone = zone_name(&self.zone);
        match entry.key.as_str() {
            "cron" => {
                let (cron, written) = match &node.value {
                    Value::Table(table) => self.fields(checker, table, node, &path)?,
                    _ => self.expression(checker, node, &path)?,
                };
                let canonical = json!({"cron": written, "timezone": zone, "dst": canonical_dst(self.dst)});
                Some((Trigger::Cron(cron), canonical))
            }
            "interval" => self.interval(checker, node, &path),
            "calendar" => self.calendar(checker, node, &path),
            "at" => {
                let at = time::instant(checker, node, &path, &self.zone, Day::Begins)?;
                Some((Trigger::At(at), json!({"at": at.to_string(), "timezone": zone})))
            }
            combined => {
                let parts = self.parts(checker, zones, node, &path)?;
                let (triggers, written): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                let trigger = if combined == "all" { Trigger::All(triggers) } else { Trigger::Any(triggers) };
                Some((trigger, json!({combined: written, "timezone": zone})))
            }
        }
    }

    fn expression(&self, checker: &mut Checker, node: &Node, path: &str) -> Option<(Cron, Json)> {
        let Value::Text(text) = &node.value else {
            let hint = "as in \"0 6 * * mon-fri\" or {\"hour\": 6, \"day\": \"last fri\"}".to_owned();
            checker.mistyped(node, path, "a cron expression, or an object of its fields", Some(hint));
            return None;
        };
        match Cron::parse(text, self.zone.clone(), self.dst) {
            Ok(cron) => Some((cron, json!(one_form(text)))),
            Err(error) => {
                checker.problem(cron_problem(node, path, text, error));
                None
            }
        }
    }

    fn fields(&self, checker: &mut Checker, table: &Table, node: &Node, path: &str) -> Option<(Cron, Json)> {
        unknown_keys(checker, table, path, || keys::CRON_KEYS.into_iter());
        let mut by = ByField::default();
        let problems = checker.problems.len();
        for entry in table.iter() {
            let field = match entry.key.as_str() {
                "year" => &mut by.year,
                "month" => &mut by.month,
                "day" => &mut by.day,
                "week" => &mut by.week,
                "day_of_week" => &mut by.day_of_week,
                "hour" => &mut by.hour,
                "minute" => &mut by.minute,
                "second" => &mut by.second,
                _ => continue,
            };
            *field = match &entry.node.value {
                Value::Null => None,
                Value::Number(number) if number.is_u64() => Some(number.to_string()),
                _ => checker.text(&entry.node, &key_path(path, &entry.written)).map(str::to_owned),
            };
        }
        if checker.problems.len() > problems {
            return None;
        }
        match Cron::from_fields(&by, self.zone.clone(), self.dst) {
            Ok(cron) => {
                let given = table.iter().filter(|entry| keys::CRON_KEYS.contains(&entry.key.as_str()));
                let written = given.filter_map(|entry| match &entry.node.value {
                    Value::Null => None,
                    Value::Text(text) => Some((entry.key.clone(), json!(one_form(text)))),
                    value => Some((entry.key.clone(), json!(value_text(value)))),
                });
                Some((cron, Json::Object(written.collect())))
            }
            Err((field, mut error)) => {
                let entry = table.get(field);
                if by == ByField::default() {
                    error.hint = misspelt(table, &keys::CRON_KEYS, &keys::CRON_KEYS).or(error.hint);
                }
                let (node, path) = entry.map_or((node, path.to_owned()), |entry| (&entry.node, key_path(path, field)));
                let text = match &node.value {
                    Value::Text(text) => text,
                    _ => "",
                };
                // Fields are read without the blanks around them.
                let blanks = text.len() - text.trim_start().len();
                error.at = error.at.start + blanks..error.at.end + blanks;
                checker.problem(cron_problem(node, &path, text, error));
                None
            }
        }
    }

    fn interval(&self, checker: &mut Checker, node: &Node, path: &str) -> Option<(Trigger, Json)> {
        let every = time::whole_micros(checker.duration(node, path)?);
        if every < SignedDuration::from_secs(1) {
            let hint = Some("write 1s or more".to_owned());
            checker.invalid(node, path, "is shorter than a second", hint);
            return None;
        }
        let midnight = jiff::civil::date(1970, 1, 1).to_zoned(self.zone.clone()).ok().map(|zoned| zoned.timestamp());
        let anchor = self.start.or(midnight)?;
        let canonical = json!({
            "interval": every.to_string(),
            "anchor": anchor.to_string(),
            "timezone": zone_name(&self.zone),
        });
        Some((Trigger::Interval { every, anchor }, canonical))
    }

    fn calendar(&self, checker: &mut Checker, node: &Node, path: &str) -> Option<(Trigger, Json)> {
        const HINT: &str = "as in {\"months\": 1, \"time\": \"06:00\"}";
        const MOST: u32 = 100_000;
        let Value::Table(table) = &node.value else {
            checker.mistyped(node, path, "an object", Some(HINT.to_owned()));
            return None;
        };
        unknown_keys(checker, table, path, || keys::CALENDAR_KEYS.into_iter());
        let problems = checker.problems.len();
        let mut count = |key: &str| {
            let entry = optional(table, key)?;
            checker.whole_within(&entry.node, &key_path(path, key), 0..=MOST)
        };
        let [years, months, weeks, days] =
            ["years", "months", "weeks", "days"].map(|key| count(key).unwrap_or_default());
        let time = match optional(table, "time") {
            Some(entry) => time::time_of_day(checker, &entry.node, &key_path(path, "time")),
            None => Some(Time::midnight()),
        };
        let first = match optional(table, "start") {
            Some(entry) => time::day(checker, &entry.node, &key_path(path, "start")),
            None => {
                let bound = self.start.map(|start| start.to_zoned(self.zone.clone()).date());
                Some(bound.unwrap_or_else(|| usual_first_day(weeks)))
            }
        };
        if checker.problems.len() > problems {
            return None;
        }
        if years == 0 && months == 0 && weeks == 0 && days == 0 {
            checker.invalid(node, path, "a step of no length", Some(HINT.to_owned()));
            return None;
        }
        let (time, first) = (time?, first?);
        let step = CalendarStep { years, months, weeks, days, time, first };
        let canonical = json!({
            "calendar": {"months": years * 12 + months, "days": weeks * 7 + days, "time": time.to_string(), "first": first.to_string()},
            "timezone": zone_name(&self.zone),
            "dst": canonical_dst(self.dst),
        });
        Some((Trigger::Calendar { step, zone: self.zone.clone(), dst: self.dst }, canonical))
    }

    fn parts(&self, checker: &mut Checker, zones: &mut Zones, node: &Node, path: &str) -> Option<Vec<(Trigger, Json)>> {
        let Value::List(items) = &node.value else {
            checker.mistyped(node, path, "a list of triggers", Some(format!("{HINT}, in brackets")));
            return None;
        };
        if items.is_empty() || items.len() > MOST_PARTS {
            let message = format!("{} triggers, where 1 to {MOST_PARTS} may stand", items.len());
            checker.invalid(node, path, message, None);
            return None;
        }
        let around = Context { zone: Some(self.zone.clone()), dst: self.dst };
        let mut part = |(index, item): (usize, &Node)| {
            let own_path = index_path(path, index);
            let table = table(checker, item, &own_path)?;
            of_the_whole(checker, table, &own_path);
            let read = read(checker, zones, table, item, &own_path, &around)?;
            Some((read.trigger, read.canonical))
        };
        // All are read before one that is wrong spoils the list.
        items.iter().enumerate().map(&mut part).collect::<Vec<_>>().into_iter().collect()
    }
}

/// A part has no name and no lateness of its own: keys that say so would do nothing.
fn of_the_whole(checker: &mut Checker, table: &Table, path: &str) {
    let (whole, others): (Vec<_>, Vec<_>) =
        table.iter().partition(|entry| keys::SCHEDULE_KEYS.contains(&entry.key.as_str()));
    for entry in whole {
        let message = format!("`{}` is the whole schedule's; here it does nothing", entry.key);
        let own_path = key_path(path, &entry.written);
        let problem = Problem::at(ProblemKind::UnknownKey, &entry.key_origin, &own_path, message);
        checker.warnings.push(problem.hint("write it beside `all` or `any`"));
    }
    let mut rest = Table::default();
    for entry in others {
        rest.insert(entry.clone());
    }
    unknown_keys(checker, &rest, path, || keys::TRIGGER_KEYS.into_iter());
}

/// What is wrong with an expression, at its place in the text if that stands in the file as it is.
fn cron_problem(node: &Node, path: &str, text: &str, error: CronError) -> Problem {
    let Origin { source, span } = &node.origin;
    let literal = span.start + 1..span.start + 1 + text.len();
    let mut origin = node.origin.clone();
    if source.text.get(literal.clone()) == Some(text) && !text.is_empty() && error.at.end <= text.len() {
        origin.span = literal.start + error.at.start..literal.start + error.at.end;
    }
    Problem::at(ProblemKind::InvalidValue, &origin, path, error.message).maybe_hint(error.hint)
}

/// An expression in one form: small letters, one space between fields.
fn one_form(text: &str) -> String {
    text.split_whitespace().map(str::to_ascii_lowercase).collect::<Vec<_>>().join(" ")
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

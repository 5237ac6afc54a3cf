//! A schedule made again of its definition: when the project's file says something else already, what it said before still has
//! to be answered for.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use crate::schedule::{ByField, CalendarStep, Cron, Dst, Fold, Gap, Schedule, Trigger};

/// The schedule of this definition, as it is written by this program; `None` if it can't be read.
pub(crate) fn schedule_of_definition(name: &str, definition: &str) -> Option<Schedule> {
    let json: Json = serde_json::from_str(definition).ok()?;
    let duration = |key: &str| json[key].as_str().and_then(|text| text.parse::<SignedDuration>().ok());
    Some(Schedule {
        name: name.to_owned(),
        definition: definition.to_owned(),
        trigger: trigger(&json["trigger"])?,
        zone: zone(&json["trigger"])?,
        jitter: duration("jitter")?,
        misfire_grace: match &json["misfire_grace"] {
            Json::Null => None,
            _ => Some(duration("misfire_grace")?),
        },
        coalesce: json["coalesce"].as_bool()?,
    })
}

fn zone(json: &Json) -> Option<TimeZone> {
    TimeZone::get(json["timezone"].as_str()?).ok()
}

fn trigger(json: &Json) -> Option<Trigger> {
    let instant = |key: &str| match &json[key] {
        Json::Null => Some(None),
        value => value.as_str()?.parse::<Timestamp>().ok().map(Some),
    };
    let (start, end) = (instant("start")?, instant("end")?);
    let inner = kind(json)?;
    Some(match (&inner, start, end) {
        (_, None, None) | (Trigger::Interval { .. }, Some(_), None) => inner,
        _ => Trigger::Bounded { inner: Box::new(inner), start, end },
    })
}

fn kind(json: &Json) -> Option<Trigger> {
    let object = json.as_object()?;
    if let Some(cron) = object.get("cron") {
        return Some(Trigger::Cron(match cron {
            Json::String(text) => Cron::parse(text, zone(json)?, dst(json)).ok()?,
            fields => Cron::from_fields(&by_field(fields), zone(json)?, dst(json)).ok()?,
        }));
    }
    if let Some(every) = object.get("interval") {
        let anchor = json["anchor"].as_str()?.parse().ok()?;
        return Some(Trigger::Interval { every: every.as_str()?.parse().ok()?, anchor });
    }
    if let Some(step) = object.get("calendar") {
        let count = |key: &str| u32::try_from(step[key].as_u64()?).ok();
        let step = CalendarStep {
            years: 0,
            months: count("months")?,
            weeks: 0,
            days: count("days")?,
            time: step["time"].as_str()?.parse().ok()?,
            first: step["first"].as_str()?.parse().ok()?,
        };
        return Some(Trigger::Calendar { step, zone: zone(json)?, dst: dst(json) });
    }
    if let Some(at) = object.get("at") {
        return at.as_str()?.parse().ok().map(Trigger::At);
    }
    let parts = |key: &str| object.get(key)?.as_array()?.iter().map(trigger).collect::<Option<Vec<_>>>();
    if object.contains_key("all") { parts("all").map(Trigger::All) } else { parts("any").map(Trigger::Any) }
}

fn dst(json: &Json) -> Dst {
    let gap = match json["dst"]["gap"].as_str() {
        Some("after") => Some(Gap::After),
        Some("skip") => Some(Gap::Skip),
        _ => None,
    };
    let fold = match json["dst"]["fold"].as_str() {
        Some("first") => Some(Fold::First),
        Some("twice") => Some(Fold::Twice),
        _ => None,
    };
    Dst { gap, fold }
}

fn by_field(json: &Json) -> ByField {
    let field = |key: &str| json[key].as_str().map(str::to_owned);
    ByField {
        year: field("year"),
        month: field("month"),
        day: field("day"),
        week: field("week"),
        day_of_week: field("day_of_week"),
        hour: field("hour"),
        minute: field("minute"),
        second: field("second"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_config;

    #[test]
    fn a_schedule_comes_back_from_its_definition() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.py"), "").unwrap();
        let schedules = serde_json::json!([
            {"cron": "0 6 * * mon-fri", "timezone": "Europe/Paris", "jitter": "5m", "misfire_grace": "1h"},
            {"cron": "*/20 0 2 * * *", "timezone": "UTC", "dst": {"gap": "skip", "fold": "twice"}, "coalesce": false},
            {"cron": {"day": "last fri", "hour": "*/2", "minute": 7}, "timezone": "Australia/Lord_Howe"},
            {"interval": "15m", "timezone": "Asia/Kathmandu"},
            {"interval": "1h 30m", "start": "2026-01-01T01:00", "end": "2027-01-01", "timezone": "Africa/Casablanca"},
            {"calendar": {"years": 1, "months": 1, "weeks": 1, "days": 3, "time": "06:00:01"}, "timezone": "America/Chicago"},
            {"calendar": {"months": 1, "start": "2024-01-31"}, "start": "2024-05-05T05:05", "timezone": "UTC"},
            {"at": "2026-12-01T06:00", "timezone": "Pacific/Kiritimati"},
            {"any": [{"cron": "0 6 * * *"}, {"all": [{"interval": "1h"}, {"cron": "30 * * * *", "timezone": "UTC"}]}],
             "timezone": "Asia/Tehran", "end": "2030-01-01T00:00:00Z"},
        ]);
        let config = serde_json::json!({
            "scripts": ["a.py"], "python_command": if cfg!(windows) { serde_json::json!(["cmd", "/d", "/c"]) } else { serde_json::json!("sh") }, "recipients": [],
            "email_strategy": "none", "include_traceback": true, "logs_backup_count": 4, "schedule": schedules,
        });
        std::fs::write(folder.path().join("exec_config.json"), config.to_string()).unwrap();
        let project = load_config(folder.path()).unwrap();
        assert_eq!(project.schedules.len(), schedules.as_array().unwrap().len());
        for schedule in project.schedules {
            let again = schedule_of_definition(&schedule.name, &schedule.definition).unwrap();
            let since = "2026-03-01T00:00:00Z".parse().unwrap();
            let instants = |schedule: &Schedule| {
                crate::schedule::instants(&schedule.trigger, since).take(500).collect::<Vec<Timestamp>>()
            };
            assert_eq!(instants(&again), instants(&schedule), "{}", schedule.definition);
            let others = |schedule: Schedule| {
                (schedule.name, schedule.zone, schedule.jitter, schedule.misfire_grace, schedule.coalesce)
            };
            assert_eq!(others(again), others(schedule));
        }
    }
}

//! The schema of `schedule`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::super::keys::TRIGGER_KINDS;
use super::Duration;

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
pub(super) enum Schedules {
    One(Box<Schedule>),
    All(Vec<Schedule>),
}

/// A trigger, and how its instants are gone about.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = one_kind)]
#[allow(dead_code)]
pub(super) struct Schedule {
    /// By what the schedule is known among the project's; its place, from 1, unless set.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
    name: Option<String>,
    /// By how much at most a run begins after its planned instant, so that many don't begin at once; not at all unless set.
    jitter: Option<Duration>,
    /// How late a run may begin, at least 1 second; however late unless set.
    misfire_grace: Option<Duration>,
    /// Whether of several instants that passed by only the latest runs, for all of them; it does unless set.
    coalesce: Option<bool>,
    #[schemars(flatten)]
    trigger: TriggerKeys,
}

/// A part of `all` or `any`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = one_kind)]
#[allow(dead_code)]
struct Trigger {
    #[schemars(flatten)]
    trigger: TriggerKeys,
}

#[derive(JsonSchema)]
#[allow(dead_code)]
struct TriggerKeys {
    /// At the times of a cron expression: minute, hour, day of month, month, day of week, as in `0 6 * * mon-fri`; a second
    /// may stand first. Or field by field.
    cron: Option<CronForm>,
    /// Again and again after the same time, at least a second, counted from `start`, else from midnight of 1 January 1970.
    interval: Option<Interval>,
    /// Again and again after a step of the calendar.
    calendar: Option<CalendarStep>,
    /// Once.
    at: Option<String>,
    /// When all of these are due.
    #[schemars(length(min = 1, max = 100))]
    all: Option<Vec<Trigger>>,
    /// When any of these is due.
    #[schemars(length(min = 1, max = 100))]
    any: Option<Vec<Trigger>>,
    /// The time zone, by its name in the IANA database, as `Europe/Paris`; the machine's unless set.
    timezone: Option<String>,
    /// What the clocks' changes do to it.
    dst: Option<Dst>,
    /// Not before this: a local time, as `2026-12-01T06:00`, a day, or a time with its offset.
    start: Option<String>,
    /// Not after this; a day counts to its end.
    end: Option<String>,
}

/// Exactly one of the kinds is required.
fn one_kind(schema: &mut Schema) {
    let given = |key: &str| serde_json::json!({"required": [key], "properties": {key: {"not": {"type": "null"}}}});
    schema.insert("oneOf".to_owned(), TRIGGER_KINDS.into_iter().map(given).collect());
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum CronForm {
    Expression(#[schemars(length(min = 1))] String),
    Fields(Box<CronFields>),
}

/// All must match. What is left out is any, if it is larger than the smallest field that is given, else its least value.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct CronFields {
    /// Years, as in `2026-2030`.
    year: Option<Field>,
    /// Months, by number or name.
    month: Option<Field>,
    /// Days of the month; also `last`, `last fri`, `3rd mon`.
    day: Option<Field>,
    /// Weeks of the year (ISO 8601).
    week: Option<Field>,
    /// Days of the week, by number (0 and 7 are Sunday) or name.
    day_of_week: Option<Field>,
    /// Hours.
    hour: Option<Field>,
    /// Minutes.
    minute: Option<Field>,
    /// Seconds.
    second: Option<Field>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Field {
    Number(u32),
    Text(String),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Interval {
    /// Seconds.
    Seconds(#[schemars(range(min = 1))] f64),
    /// Numbers with units, as in `15m` or `1h 30m`.
    Text(String),
}

/// So many years, months, weeks and days, added up.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct CalendarStep {
    /// Years.
    #[schemars(range(max = 100_000))]
    years: Option<u32>,
    /// Months.
    #[schemars(range(max = 100_000))]
    months: Option<u32>,
    /// Weeks.
    #[schemars(range(max = 100_000))]
    weeks: Option<u32>,
    /// Days.
    #[schemars(range(max = 100_000))]
    days: Option<u32>,
    /// At which time of the day; midnight unless set.
    #[schemars(regex(pattern = r"^\s*[0-9]{1,2}:[0-9]{1,2}(:[0-9]{1,2})?\s*$"))]
    time: Option<String>,
    /// The first day, from which the others follow; that of the trigger's `start` unless set, else 1 January 1970 or, with
    /// weeks, the Monday of that week.
    start: Option<String>,
}

/// What the clocks' changes do to local times.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Dst {
    /// To times that don't exist: they run at the first instant after the gap, or are left out. Unless set, fixed times do
    /// the first, and rhythms the second.
    gap: Option<Gap>,
    /// To times that come twice: they run the first time, or each time. Unless set, fixed times do the first, and rhythms
    /// the second.
    fold: Option<Fold>,
}

words!(Gap, "^([aA][fF][tT][eE][rR]|[sS][kK][iI][pP])$", ["after", "skip"]);
words!(Fold, "^([fF][iI][rR][sS][tT]|[tT][wW][iI][cC][eE])$", ["first", "twice"]);

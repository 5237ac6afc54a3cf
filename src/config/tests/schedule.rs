//! The key `schedule`.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::schedule::{Schedule, instants};

impl House {
    /// What the schedules are, without a word of warning.
    fn schedules(&self, schedule: &str) -> Vec<Schedule> {
        let loaded = self.with(&format!("\"schedule\": {schedule}")).loaded();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        loaded.project.schedules
    }

    /// The one problem of a schedule, without its place.
    fn slip(&self, schedule: &str) -> String {
        let problem = self.problem_with(&format!("\"schedule\": {schedule}"));
        problem.split_once(": ").map_or(problem.clone(), |(_, rest)| rest.to_owned())
    }
}

fn next(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    instants(&schedule.trigger, after.parse().unwrap()).take(count).map(|at: Timestamp| at.to_string()).collect()
}

#[test]
fn every_kind_of_trigger_is_due_when_it_says() {
    let house = House::new();
    let after = "2026-11-23T03:00:00Z";
    for (trigger, due) in [
        (r#"{"cron": "0 6 * * mon-fri", "timezone": "Europe/Paris"}"#, "2026-11-23T05:00:00Z"),
        (r#"{"cron": {"day": "last fri", "hour": 18}, "timezone": "europe/paris"}"#, "2026-11-27T17:00:00Z"),
        (r#"{"interval": "7h", "timezone": "UTC"}"#, "2026-11-23T09:00:00Z"),
        (r#"{"interval": 90, "timezone": "UTC", "start": "2026-11-23T03:00:10"}"#, "2026-11-23T03:00:10Z"),
        (r#"{"calendar": {"months": 1, "time": "06:00"}, "timezone": "Europe/Paris"}"#, "2026-12-01T05:00:00Z"),
        (r#"{"calendar": {"weeks": 2, "start": "2026-11-24"}, "timezone": "UTC"}"#, "2026-11-24T00:00:00Z"),
        (r#"{"calendar": {"days": 10}, "timezone": "UTC", "start": "2026-11-25"}"#, "2026-11-25T00:00:00Z"),
        (r#"{"at": "2026-12-01T06:00", "timezone": "Europe/Paris"}"#, "2026-12-01T05:00:00Z"),
        (r#"{"at": "2026-12-01T06:00:00-05:00", "timezone": "UTC"}"#, "2026-12-01T11:00:00Z"),
        (r#"{"all": [{"cron": "0 6 1-7 * *"}, {"cron": "0 6 * * mon"}], "timezone": "UTC"}"#, "2026-12-07T06:00:00Z"),
        (
            r#"{"any": [{"cron": "0 6 * * *", "timezone": "Asia/Tokyo"}, {"cron": "0 6 * * *"}], "timezone": "UTC"}"#,
            "2026-11-23T06:00:00Z",
        ),
    ] {
        assert_eq!(next(&house.schedules(trigger)[0], after, 1), [due], "{trigger}");
    }
}

#[test]
fn names_bounds_and_lateness_are_taken() {
    let house = House::new();
    let schedules = house.schedules(
        r#"[{"interval": "1h", "timezone": "UTC"},
        {"name": "nightly", "cron": "0 6 * * *", "timezone": "europe/paris", "start": "2026-12-01", "end": "2026-12-02",
         "jitter": "30s", "misfire_grace": "2h", "coalesce": false}]"#,
    );
    assert_eq!(schedules.iter().map(|schedule| schedule.name.as_str()).collect::<Vec<_>>(), ["1", "nightly"]);
    let [hourly, nightly] = schedules.as_slice() else { panic!("two schedules") };
    assert_eq!((hourly.jitter, hourly.misfire_grace, hourly.coalesce), (SignedDuration::ZERO, None, true));
    assert_eq!(nightly.jitter, SignedDuration::from_secs(30));
    assert_eq!((nightly.misfire_grace, nightly.coalesce), (Some(SignedDuration::from_hours(2)), false));
    assert_eq!(nightly.zone.iana_name(), Some("Europe/Paris"));
    // A day counts to its end.
    assert_eq!(next(nightly, "2026-11-01T00:00:00Z", 9), ["2026-12-01T05:00:00Z", "2026-12-02T05:00:00Z"]);
    assert_eq!(house.schedules("null"), []);
    assert_eq!(house.schedules("[]"), []);
}

#[test]
fn the_same_schedule_has_the_same_definition() {
    let house = House::new();
    let definition = |schedule: &str| house.schedules(schedule).remove(0).definition;
    let one = definition(r#"{"cron": "0 6 * * mon-fri", "timezone": "Europe/Paris", "jitter": 60}"#);
    assert_eq!(one, definition(r#"{"jitter": "1m", "timezone": "europe/PARIS", "cron": " 0  6 * * MON-FRI"}"#));
    assert!(one.contains("Europe/Paris"), "{one}");
    for other in [
        r#"{"cron": "0 7 * * mon-fri", "timezone": "Europe/Paris", "jitter": 60}"#,
        r#"{"cron": "0 6 * * mon-fri", "timezone": "Europe/Berlin", "jitter": 60}"#,
        r#"{"cron": "0 6 * * mon-fri", "timezone": "Europe/Paris"}"#,
        r#"{"cron": "0 6 * * mon-fri", "timezone": "Europe/Paris", "jitter": 60, "dst": {"gap": "skip"}}"#,
        r#"{"cron": "0 6 * * mon-fri", "timezone": "Europe/Paris", "jitter": 60, "end": "2027-01-01"}"#,
    ] {
        assert_ne!(one, definition(other), "{other}");
    }
}

#[test]
fn slips_are_told_with_their_place() {
    let house = House::new();
    for (schedule, problem) in [
        (r#""0 6 * * *""#, "schedule: expected an object with a trigger, found the text `0 6 * * *`; write {\"cron\":"),
        ("{}", "schedule: names no trigger; as in {\"cron\""),
        (r#"{"crn": "@daily", "name": "a"}"#, "schedule: names no trigger; did you mean `cron` by `crn`?"),
        (
            r#"{"cron": {"dayofweek": 5}}"#,
            "schedule.cron: no field is given; did you mean `day_of_week` by `dayofweek`?",
        ),
        (
            r#"{"cron": {"weekday": 5, "hours": 3}}"#,
            "schedule.cron: no field is given; did you mean `day_of_week` by `weekday`, `hour` by `hours`?",
        ),
        (r#"{"cron": {"when": 5}}"#, "schedule.cron: no field is given; as in {\"hour\""),
        (r#"{"cron": "@daily", "interval": "1h"}"#, "schedule: `cron` and `interval` are two triggers; write a list"),
        (
            r#"{"cron": "@daily", "timezone": "Paris"}"#,
            "schedule.timezone: `Paris` is not a time zone; did you mean `Europe/Paris`?",
        ),
        (r#"{"cron": "@daily", "timezone": "Etc/Unknown"}"#, "schedule.timezone: `Etc/Unknown` is not a time zone"),
        (r#"{"cron": {"hour": 24}}"#, "schedule.cron.hour: `24` is not an hour; write a number from 0 to 23"),
        (r#"{"interval": "900ms"}"#, "schedule.interval: is shorter than a second"),
        (r#"{"calendar": {"months": 0}}"#, "schedule.calendar: a step of no length"),
        (r#"{"at": "tomorrow"}"#, "schedule.at: `tomorrow` is not an instant; write a local time"),
        (
            r#"[{"at": "2026-12-01"}, {"at": "2026-12-02", "name": "1"}]"#,
            "schedule[1].name: `1` is already the name of schedule[0]",
        ),
        (r#"{"at": "2026-12-01", "name": "a b"}"#, "schedule.name: `a b` can't be a schedule's name"),
        (r#"{"interval": "1h", "start": "2026-12-01", "end": "2026-11-01"}"#, "schedule.end: ends before it starts"),
        (r#"{"interval": "1h", "misfire_grace": 0}"#, "schedule.misfire_grace: no run would ever begin"),
        (r#"{"cron": "@daily", "dst": {"gap": "later"}}"#, "schedule.dst.gap: `later` is not one of `after`, `skip`"),
        (r#"{"any": []}"#, "schedule.any: 0 triggers, where 1 to 100 may stand"),
        (
            r#"{"all": [{"cron": "0 6 * *", "timezone": "UTC"}]}"#,
            "schedule.all[0].cron: 4 fields, where five or six are wanted",
        ),
    ] {
        assert!(house.slip(schedule).starts_with(problem), "{schedule}: {}", house.slip(schedule));
    }
    let placed = house.problem_with(r#""schedule": {"cron": "0 6 * * mon-frx"}"#);
    assert!(placed.starts_with("3:35: schedule.cron: `frx`"), "{placed}");
}

#[test]
fn what_is_doubtful_is_told_and_taken() {
    let house = House::new();
    for (schedule, warning, due) in [
        (
            r#"{"at": "2026-03-29T02:30", "timezone": "Europe/Paris"}"#,
            "schedule.at: 2026-03-29T02:30:00 doesn't exist in Europe/Paris: the clocks go forward; 2026-03-29T03:00:00+02:00 is taken",
            Some("2026-03-29T01:00:00Z"),
        ),
        (
            r#"{"at": "2026-10-25T02:30", "timezone": "Europe/Paris"}"#,
            "schedule.at: 2026-10-25T02:30:00 comes twice in Europe/Paris: the clocks go back; 2026-10-25T02:30:00+02:00 is taken",
            Some("2026-10-25T00:30:00Z"),
        ),
        (r#"{"cron": "0 0 30 2 *", "timezone": "UTC"}"#, "schedule: this trigger is never due", None),
        (
            r#"{"any": [{"at": "2027-01-01", "jitter": 5}], "timezone": "UTC"}"#,
            "schedule.any[0].jitter: `jitter` is the whole schedule's; here it does nothing",
            Some("2027-01-01T00:00:00Z"),
        ),
        (
            r#"{"at": "2027-01-01", "timezone": "UTC", "jiter": 5}"#,
            "schedule.jiter: unknown key `jiter`; it does nothing; did you mean `jitter`?",
            Some("2027-01-01T00:00:00Z"),
        ),
    ] {
        let loaded = house.with(&format!("\"schedule\": {schedule}")).loaded();
        let told = house.lines(&loaded.warnings);
        assert!(told.len() == 1 && told[0].contains(warning), "{schedule}: {told:?}");
        assert_eq!(next(&loaded.project.schedules[0], "2026-01-01T00:00:00Z", 1).first().map(String::as_str), due);
    }
}

#[test]
fn what_is_over_is_told_at_the_place_that_ends_it() {
    let house = House::new();
    let schedules = r#""schedule": [
        {"at": "2001-09-09T01:46:40Z", "timezone": "UTC"},
        {"cron": "0 6 * * *", "timezone": "UTC", "end": "2001-10-01"},
        {"any": [{"at": "2001-09-10T00:00:00Z"}], "timezone": "UTC"},
        {"interval": "1h", "timezone": "UTC"},
        {"cron": "0 0 30 2 *", "timezone": "UTC"}
    ]"#;
    let loaded = house.with(schedules).loaded();
    assert_eq!(loaded.warnings.len(), 1, "what is never due: {:?}", loaded.warnings);
    let over = |now: &str| house.lines(&loaded.over(now.parse().unwrap()));
    assert_eq!(over("2001-09-09T01:46:39Z"), [""; 0]);
    let [at] = &over("2001-09-09T01:46:40Z")[..] else { panic!() };
    let place =
        "schedule[0].at: the schedule is over: it is never due again; set a later `at`, or take the schedule out";
    assert!(at.contains(place) && at.contains("exec_config.json:"), "{at}");
    let all = over("2002-01-01T00:00:00Z");
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all[1].contains("schedule[1].end: ") && all[1].contains("set a later `end`"), "{}", all[1]);
    assert!(all[2].contains("schedule[2]: ") && all[2].ends_with("; take the schedule out"), "{}", all[2]);
}

#[test]
fn a_later_layer_replaces_the_whole_schedule() {
    let house = House::new();
    house
        .with(r#""schedule": {"cron": "0 6 * * *", "timezone": "Europe/Paris"}"#)
        .file("p/exec_config.dev.json", r#"{"schedule": {"interval": "1h", "timezone": "UTC"}}"#);
    let dev = house.load_profile(Some("dev")).unwrap();
    assert_eq!(next(&dev.project.schedules[0], "2026-11-23T03:00:00Z", 1), ["2026-11-23T04:00:00Z"]);
    house.file("p/exec_config.dev.json", r#"{"schedule": null}"#);
    assert_eq!(house.load_profile(Some("dev")).unwrap().project.schedules, []);
}

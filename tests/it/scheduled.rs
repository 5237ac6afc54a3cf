//! Projects run for their planned instants by commands: `run --scheduled`, as the system's own scheduler calls it, `schedule
//! run-now`, `pause` and `resume`.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use project_runner::ledger::{Engine, Ledger, ScheduledProject};
use project_runner::schedule::{Answer, Presence, Schedule, Trigger};
use project_runner::store::{OccurrenceState, RunEnded};
use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test, finish, wait_for};

/// A project that is due each hour of the day, in UTC.
fn hourly(test: &Test, more: Value) -> Project {
    let mut schedule = json!({"name": "hourly", "cron": "0 * * * *", "timezone": "UTC"});
    schedule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    test.project("p").script("a.txt", "print a").set("schedule", schedule)
}

/// The first events of the runs that a command printed as JSON lines.
fn begun(finished: &Finished) -> Vec<Value> {
    finished.json().into_iter().filter(|event| event["event"] == "run_started").collect()
}

fn scheduled(test: &Test) -> Finished {
    test.runner(["run", "p", "--scheduled", "hourly", "--keeper", "cron", "--json"])
}

#[test]
fn an_entry_of_the_host_runs_each_planned_instant_once() {
    let test = Test::new();
    let _project = hourly(&test, json!({}));
    let first = scheduled(&test).expect(0);
    let begun_runs = begun(&first);
    assert_eq!(begun_runs.len(), 1, "the instant that it was called for: {}", first.stdout);
    let planned = begun_runs[0]["planned"].as_str().unwrap();
    assert!(planned.ends_with(":00:00Z"), "{planned}");
    assert_eq!(begun_runs[0]["occasion"]["schedule"], "hourly");
    // Until the next hour, which may begin while this test runs.
    let second = scheduled(&test).expect(0);
    match begun(&second).first() {
        None => {
            assert!(second.stderr.contains("nothing of the schedule `hourly` is to run now: "), "{}", second.stderr);
            assert!(second.stderr.contains(begun_runs[0]["run_id"].as_str().unwrap()), "{}", second.stderr);
            assert!(second.stderr.contains("`runner run "), "{}", second.stderr);
        }
        Some(next) => assert_ne!(next["planned"], begun_runs[0]["planned"]),
    }
}

#[test]
fn what_passed_by_is_merged_into_the_latest() {
    let test = Test::new();
    let _project = hourly(&test, json!({}));
    scheduled(&test).expect(0);
    test.database("DELETE FROM occurrences");
    test.database("UPDATE schedules SET covered = covered - 5 * 3600000000, since = covered - 5 * 3600000000");
    let run = scheduled(&test).expect(0);
    let begun = begun(&run);
    assert_eq!(begun.len(), 1);
    assert!([4, 5, 6].contains(&begun[0]["occasion"]["merged"].as_u64().unwrap()), "{}", begun[0]);
    assert!(begun[0]["occasion"]["merged_from"].as_str().unwrap() < begun[0]["planned"].as_str().unwrap());
}

#[test]
fn what_passed_by_runs_in_order_if_it_does_not_coalesce() {
    let test = Test::new();
    let _project = hourly(&test, json!({"coalesce": false}));
    scheduled(&test).expect(0);
    test.database("DELETE FROM occurrences");
    test.database("UPDATE schedules SET covered = covered - 3 * 3600000000, since = covered - 3 * 3600000000");
    let run = scheduled(&test).expect(0);
    let planned: Vec<String> = begun(&run).iter().map(|event| event["planned"].as_str().unwrap().to_owned()).collect();
    assert!((3..=4).contains(&planned.len()), "{planned:?}");
    assert!(planned.is_sorted(), "{planned:?}");
}

/// A call made for it might find that those before it have their turn first, and leave; it isn't left to the next one.
#[test]
fn what_falls_due_while_a_call_works_off_what_was_before_runs_after_it() {
    let test = Test::new();
    let schedule = json!({"name": "often", "interval": "5s", "timezone": "UTC", "coalesce": false});
    let project = test.project("p").script("a.txt", "wait-for go").set("schedule", schedule);
    let call = test.start(["run", "p", "--scheduled", "often", "--keeper", "cron", "--json"]);
    let begun_run = wait_for("the run to begin", || {
        let runs = project.run_dirs();
        let text = std::fs::read_to_string(runs.first()?.join("events.jsonl")).ok()?;
        serde_json::from_str::<Value>(text.lines().next()?).ok()
    });
    let planned = begun_run["planned"].as_str().unwrap().parse::<Timestamp>().unwrap();
    wait_for("the next instant to come", || (Timestamp::now().duration_since(planned).as_secs() >= 5).then_some(()));
    std::fs::write(test.path("p/go"), "").unwrap();
    let call = finish(call).expect(0);
    let runs: Vec<Timestamp> =
        begun(&call).iter().map(|event| event["planned"].as_str().unwrap().parse().unwrap()).collect();
    let expected = (0..runs.len()).map(|nth| planned + SignedDuration::from_secs(5 * nth as i64));
    assert!(runs.len() >= 2 && runs.iter().copied().eq(expected), "{runs:?}");
}

#[test]
fn the_claim_of_a_runner_that_died_is_taken_up() {
    let test = Test::new();
    let _project = hourly(&test, json!({}));
    let first = scheduled(&test).expect(0);
    // As if that one had been killed between its claim and the beginning of the run.
    test.database(
        r#"UPDATE occurrences SET state = 'claimed', run_id = '0123456789abc', began = NULL, reason = NULL,
            holder = json_set(json_object('token', 'x', 'process', json('{"pid":4000000,"started":1,"boot":""}')),
                '$.host', (SELECT host FROM runs LIMIT 1))"#,
    );
    let second = scheduled(&test).expect(0);
    assert_eq!(begun(&second).len(), 1, "{}", second.stderr);
    let late = &begun(&second)[0]["occasion"]["late"];
    // Unless the next hour has begun meanwhile, or not a minute has passed of this one.
    assert!(late == "runner_ended" || late.is_null(), "{late}");
    let (first, second) = (begun(&first).remove(0), begun(&second).remove(0));
    assert!(first["planned"].as_str() <= second["planned"].as_str());
    assert_ne!(first["run_id"], second["run_id"]);
    assert!(begun(&scheduled(&test).expect(0)).len() <= 1);
}

#[test]
fn a_schedule_that_is_not_there_is_a_slip() {
    let test = Test::new();
    let _project = hourly(&test, json!({}));
    let unknown = test.runner(["run", "p", "--scheduled", "daily"]).expect(2);
    assert!(unknown.stderr.contains("there is no schedule `daily`, only `hourly`"), "{}", unknown.stderr);
    let nobody = test.runner(["schedule", "pause", "p"]).expect(2);
    assert!(nobody.stderr.contains("nobody keeps the schedule `hourly`"), "{}", nobody.stderr);
}

/// Five hours have passed by since the last run; the schedule is paused since the middle of them. Returns since when.
fn paused_half_way(test: &Test) -> Timestamp {
    scheduled(test).expect(0);
    test.database("DELETE FROM occurrences");
    test.database("UPDATE schedules SET covered = covered - 5 * 3600000000, since = covered - 5 * 3600000000");
    let paused = test.runner(["schedule", "pause", "p"]).expect(0);
    assert!(paused.stdout.contains("p: the schedule `hourly` is paused: "), "{}", paused.stdout);
    test.database("UPDATE schedules SET paused = paused - 9000000000");
    Timestamp::from_microsecond(test.count("SELECT paused FROM schedules WHERE ended IS NULL")).unwrap()
}

/// Checks what became of those hours: what was due before the pause ran, in so many runs, and what fell due in it is skipped.
#[track_caller]
fn check_pause(test: &Test, runs: &[Value], since: Timestamp, in_one: bool) {
    let instant = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    let (before, after): (Vec<Value>, Vec<Value>) =
        runs.iter().cloned().partition(|run| instant(&run["planned"]) <= since);
    assert!(if in_one { before.len() == 1 } else { (2..=4).contains(&before.len()) }, "{runs:?}");
    // Once it goes on, the next hour may begin while this test runs.
    assert!(after.len() <= 1, "{runs:?}");
    let rows = test.runner(["schedule", "history", "p", "--json"]).expect(0).json();
    let of = |answer: &str| rows.iter().filter(|row| row["answer"] == answer).cloned().collect::<Vec<_>>();
    let [skipped] = &of("skipped")[..] else { panic!("{rows:?}") };
    assert_eq!(skipped["reason"], "paused");
    assert!(
        instant(&skipped["first_utc"]) > since && (2..=4).contains(&skipped["count"].as_u64().unwrap()),
        "{rows:?}"
    );
    assert_eq!(of("late").len(), before.len(), "{rows:?}");
}

#[test]
fn a_pause_skips_what_falls_due_in_it_and_nothing_before() {
    for coalesce in [true, false] {
        let test = Test::new();
        let _project = hourly(&test, json!({ "coalesce": coalesce }));
        let since = paused_half_way(&test);
        let runs = begun(&scheduled(&test).expect(0));
        let again = scheduled(&test).expect(0);
        assert_eq!(begun(&again).len(), 0, "{}", again.stdout);
        assert!(again.stderr.contains("was left out: it is paused"), "{}", again.stderr);
        check_pause(&test, &runs, since, coalesce);
    }
}

#[test]
fn what_fell_due_in_a_pause_is_skipped_also_after_it_and_what_was_open_before_runs() {
    for coalesce in [true, false] {
        let test = Test::new();
        let _project = hourly(&test, json!({ "coalesce": coalesce }));
        let since = paused_half_way(&test);
        let resumed = test.runner(["schedule", "resume", "p", "hourly"]).expect(0);
        assert!(resumed.stdout.contains("goes on; it was paused since "), "{}", resumed.stdout);
        let runs = begun(&scheduled(&test).expect(0));
        check_pause(&test, &runs, since, coalesce);
    }
}

#[test]
fn run_now_stands_for_what_is_open_and_runs_in_any_case() {
    let test = Test::new();
    let _project = hourly(&test, json!({}));
    scheduled(&test).expect(0);
    test.database("DELETE FROM occurrences");
    test.database("UPDATE schedules SET covered = covered - 2 * 3600000000, since = covered - 2 * 3600000000");
    let first = test.runner(["schedule", "run-now", "p", "--json"]).expect(0);
    assert_eq!(begun(&first).len(), 1);
    assert!(begun(&first)[0]["occasion"]["merged"].as_u64() >= Some(1), "what is open: {}", first.stdout);
    let again = test.runner(["schedule", "run-now", "p", "hourly", "--json"]).expect(0);
    assert_eq!(begun(&again).len(), 1);
    assert!(again.json().iter().any(|event| event["event"] == "run_finished"));
}

#[test]
fn what_nobody_keeps_is_run_by_hand_and_stays_nobodys() {
    let test = Test::new();
    let _project = hourly(&test, json!({}));
    let by_hand = [
        test.runner(["schedule", "run-now", "p", "--json"]).expect(0),
        test.runner(["run", "p", "--scheduled", "hourly", "--json"]).expect(0),
    ];
    for run in by_hand {
        assert!(run.stderr.contains("nobody keeps the schedule `hourly`"), "{}", run.stderr);
        assert_eq!(begun(&run).len(), 1, "{}", run.stderr);
        assert!(begun(&run)[0]["occasion"].is_null(), "{}", run.stdout);
    }
    let nobody = test.runner(["schedule", "pause", "p"]).expect(2);
    assert!(nobody.stderr.contains("nobody keeps the schedule `hourly`"), "{}", nobody.stderr);
}

/// As when the runner fails in the middle: the claim's end is told as one that couldn't run, although it had begun.
#[test]
fn a_run_that_has_begun_is_in_nobodys_way_after_its_end_whatever_that_was() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let start = "2026-01-01T00:30:00Z".parse().unwrap();
        let at = |minutes| start + SignedDuration::from_mins(minutes);
        let mut engine = Engine::new(Ledger::open(dir.path()).await.unwrap());
        let schedule = Schedule {
            name: "hourly".to_owned(),
            definition: String::new(),
            trigger: Trigger::Interval { every: SignedDuration::from_hours(1), anchor: Timestamp::UNIX_EPOCH },
            zone: TimeZone::UTC,
            jitter: SignedDuration::ZERO,
            misfire_grace: None,
            coalesce: false,
        };
        let project =
            ScheduledProject { dir: "/srv/p".into(), schedules: vec![schedule], ..ScheduledProject::default() };
        engine.put(&project, start).await.unwrap();
        let ends = [
            RunEnded::CouldNotRun { detail: "the runner has failed".to_owned() },
            RunEnded::Overlap { detail: "another".to_owned() },
            RunEnded::GaveBack,
            RunEnded::Ran,
        ];
        for (hours, ended) in (0..).zip(ends) {
            let claims = engine.tick(at(hours * 60 + 30), &Presence::default()).await.unwrap();
            assert_eq!(claims.len(), 1, "hour {hours}");
            engine.began(&claims[0].run_id, at(hours * 60 + 31)).await.unwrap();
            engine.ended(&claims[0].run_id, ended, at(hours * 60 + 32)).await.unwrap();
            let store = engine.ledger().store();
            assert!(store.held_schedules().await.unwrap().is_empty(), "hour {hours}");
            let newest = store.occurrences(claims[0].schedule_id, 1).await.unwrap();
            assert!(matches!(newest[0].state, OccurrenceState::Answered(Answer::Ran | Answer::Late(_))), "{newest:?}");
        }
    });
}

#[test]
fn an_unusable_database_keeps_no_run_from_taking_place() {
    let test = Test::new();
    let _project = hourly(&test, json!({}));
    std::fs::create_dir_all(test.path("state").join("state.db")).unwrap();
    let run = scheduled(&test).expect(0);
    assert_eq!(begun(&run).len(), 1, "{}", run.stderr);
    assert!(begun(&run)[0]["planned"].as_str().unwrap().ends_with(":00:00Z"));
    assert!(run.stderr.contains("it isn't known whether this planned instant was run before"), "{}", run.stderr);
}

#[test]
fn a_call_that_is_early_waits_for_its_instant() {
    let test = Test::new();
    test.project("p").script("a.txt", "print a").set("schedule", json!({"name": "hourly", "interval": "2s"}));
    let run = scheduled(&test).expect(0);
    let begun = begun(&run);
    let at = |event: &Value, key: &str| event[key].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(at(&begun[0], "time") >= at(&begun[0], "planned"), "{}", begun[0]);
}

#[test]
fn a_changed_schedule_has_the_instant_for_which_the_host_calls() {
    let test = Test::new();
    let _project = hourly(&test, json!({}));
    scheduled(&test).expect(0);
    test.database("DELETE FROM occurrences");
    test.database("UPDATE schedules SET covered = covered - 5 * 3600000000, since = covered - 5 * 3600000000");
    // The change of the file is as old as the ledger's last answer, or older.
    let file = hourly(&test, json!({"cron": "0,1 * * * *"})).root.join("exec_config.json");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
    std::fs::File::options().write(true).open(file).unwrap().set_modified(old).unwrap();
    let run = scheduled(&test).expect(0);
    assert!(begun(&run)[0]["occasion"]["merged"].as_u64() >= Some(8), "{}", run.stdout);
}

#[test]
fn a_schedule_that_begins_again_is_still_paused() {
    let test = Test::new();
    let _project = hourly(&test, json!({}));
    scheduled(&test).expect(0);
    test.database("UPDATE schedules SET paused = covered, ended = covered + 1");
    let run = scheduled(&test).expect(0);
    assert_eq!(begun(&run).len(), 0, "{}", run.stdout);
}

#[test]
fn a_schedule_that_begins_again_runs_nothing_that_it_ran_before() {
    let test = Test::new();
    let _project = hourly(&test, json!({}));
    scheduled(&test).expect(0);
    test.database("UPDATE schedules SET covered = covered + 1, ended = covered + 1");
    let run = scheduled(&test).expect(0);
    // Unless the next hour has begun meanwhile.
    let hours = test.runner(["history", "--json"]).expect(0).json();
    let hours: std::collections::HashSet<String> = hours.iter().map(|run| run["planned"].to_string()).collect();
    assert_eq!(hours.len(), 1 + begun(&run).len(), "{}", run.stdout);
}

#[cfg(unix)]
#[test]
fn a_folder_under_two_paths_is_kept_once() {
    let test = Test::new();
    let project = hourly(&test, json!({}));
    scheduled(&test).expect(0);
    std::os::unix::fs::symlink(&project.root, test.path("link")).unwrap();
    // Whatever begins anew under the other path would run its latest instant again.
    test.database("UPDATE schedules SET covered = covered + 3600000000");
    let again = test.runner(["run", "link", "--scheduled", "hourly", "--keeper", "cron", "--json"]).expect(0);
    assert_eq!(begun(&again).len(), 0, "{}", again.stdout);
}

/// Each verb finds by the link what is registered by the folder, and makes nothing anew.
#[cfg(unix)]
#[test]
fn the_verbs_know_a_project_by_a_link_to_its_folder() {
    let test = Test::new();
    let project = hourly(&test, json!({}));
    scheduled(&test).expect(0);
    std::os::unix::fs::symlink(&project.root, test.path("link")).unwrap();
    let by_folder = test.runner(["schedule", "history", "p", "--json"]).expect(0).stdout;
    let by_link = test.runner(["schedule", "history", "link", "--json"]).expect(0).stdout;
    assert!(by_folder == by_link && !by_link.is_empty(), "{by_folder} {by_link}");
    test.runner(["schedule", "pause", "link"]).expect(0);
    let again = test.runner(["schedule", "pause", "p"]).expect(0).stdout;
    assert!(again.contains("was paused already"), "{again}");
    let resumed = test.runner(["schedule", "resume", "link", "hourly"]).expect(0).stdout;
    assert!(resumed.contains("goes on; it was paused since "), "{resumed}");
    test.database("DELETE FROM occurrences");
    test.database("UPDATE schedules SET covered = covered - 7200000000, since = covered - 7200000000");
    let run = test.runner(["schedule", "run-now", "link", "--json"]).expect(0);
    assert!(begun(&run)[0]["occasion"]["merged"].as_u64() >= Some(1), "what is open: {}", run.stdout);
    let rows = test.runner(["schedule", "history", "link", "--json"]).expect(0).json();
    let path = project.root.to_str().unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row["path"] == path), "{rows:?}");
}

#[test]
fn the_history_of_a_schedule_has_each_answer_also_if_the_project_file_is_broken() {
    let test = Test::new();
    // What has just come wouldn't be late.
    let minute = (Timestamp::now() - SignedDuration::from_mins(10)).to_zoned(TimeZone::UTC).minute();
    let project = hourly(&test, json!({"cron": format!("{minute} * * * *")}));
    scheduled(&test).expect(0);
    test.database("DELETE FROM occurrences");
    test.database("UPDATE schedules SET covered = covered - 5 * 3600000000, since = covered - 5 * 3600000000");
    scheduled(&test).expect(0);
    std::fs::write(project.root.join("exec_config.json"), "{").unwrap();
    let rows = test.runner(["schedule", "history", "p", "--json"]).expect(0).json();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!((&rows[0]["answer"], &rows[0]["count"]), (&json!("late"), &json!(1)), "the newest first: {rows:?}");
    assert!(rows[0]["run_id"].is_string() && rows[0]["reason"].is_string(), "{}", rows[0]);
    assert_eq!((&rows[1]["answer"], &rows[1]["into_utc"]), (&json!("merged"), &rows[0]["first_utc"]));
    assert!(rows[1]["count"].as_u64().unwrap() >= 4, "{}", rows[1]);
    let shown = test.runner(["schedule", "history", "p", "-n", "1"]).expect(0).stdout;
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(shown.contains("late") && shown.contains(rows[0]["run_id"].as_str().unwrap()), "{shown}");
}

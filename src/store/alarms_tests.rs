use std::path::Path;

use super::*;
use crate::store::samples::{at, eventful, id, of};
use crate::store::{Durability, OutboxState};
use crate::store::{Keeper, OutboxKind};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn entry(kind: OutboxKind) -> NewEntry {
    NewEntry {
        kind,
        slot: None,
        run_id: None,
        project_dir: "daily".into(),
        profile: None,
        run_dir: None,
        subject: "daily".into(),
        from: None,
        login: None,
        recipients: vec!["ann@example.com".into()],
        message: b"whatever".to_vec(),
        conversation: None,
        queued_at: at(100),
        settled: true,
        unless_since: None,
    }
}

/// A database with a schedule that somebody has, and two rows of missed instants.
async fn known(dir: &Path) -> Store {
    let mut store = Store::open(dir).await.unwrap();
    let time = |offset| micros(at(offset));
    let holder = r#"{"host":"here","process":{"pid":1,"started":2,"boot":"3"},"token":"4"}"#;
    let rows = format!(
        "INSERT INTO schedules (id, project_dir, project, name, definition, keeper, since, covered)
            VALUES (7, 'daily', 'daily', 'nightly', '{{}}', 'systemd', 0, {covered});
        INSERT INTO occurrences (schedule_id, first, last, count, state, reason, detail, holder, began, told) VALUES
            (7, {}, {}, 3, 'missed', 'host_idle', NULL, NULL, NULL, 0),
            (7, {}, {}, 1, 'missed', 'could_not_run', 'why', NULL, NULL, 0),
            (7, {}, {}, 1, 'ran', NULL, NULL, NULL, {began}, 1),
            (7, {}, {}, 1, 'claimed', NULL, NULL, '{holder}', NULL, 1),
            (7, {}, {}, 1, 'claimed', NULL, NULL, 'null', NULL, 1)",
        time(0),
        time(20),
        time(30),
        time(30),
        time(40),
        time(40),
        time(50),
        time(50),
        time(60),
        time(60),
        covered = time(50),
        began = time(41),
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut store.connection).await.unwrap();
    store
}

#[test]
fn what_is_missed_and_held_is_found() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = known(dir.path()).await;
        let watched = store.watched_schedules(at(100)).await.unwrap().remove(0);
        assert_eq!(
            (watched.row.keeper, to_utc(watched.row.covered), watched.told(), watched.has_run),
            (Keeper::Systemd, at(50), None, false)
        );
        let held: Vec<_> =
            watched.held.iter().map(|held| (held.planned, held.has_begun, held.holder.is_some())).collect();
        assert_eq!(held, [(at(50), false, true), (at(60), false, false)]);
        let missed = store.untold_misses().await.unwrap();
        let told: Vec<_> = missed.iter().map(|one| (one.first, one.last, one.count, one.why)).collect();
        assert_eq!(told, [(at(0), at(20), 3, Hindrance::HostIdle), (at(30), at(30), 1, Hindrance::CouldNotRun)]);
        assert_eq!(missed[1].detail.as_deref(), Some("why"));
        assert_eq!(store.kept_schedules(Path::new("daily"), None).await.unwrap(), ["nightly"]);
        assert!(store.kept_schedules(Path::new("daily"), Some("dev")).await.unwrap().is_empty());
        sqlx::query("UPDATE schedules SET paused = 1").execute(&mut store.connection).await.unwrap();
        assert!(store.watched_schedules(at(100)).await.unwrap().is_empty());
        assert!(store.kept_schedules(Path::new("daily"), None).await.unwrap().is_empty());
        assert_eq!(store.untold_misses().await.unwrap().len(), 2, "what was missed before is told all the same");
    });
}

#[test]
fn of_two_who_raise_an_alarm_one_does() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = known(dir.path()).await;
        let mark = store.untold_mark().await.unwrap();
        let told = |before| ToldSchedule { id: 7, before, why: vec![Hindrance::HostIdle] };
        let marks = ToldMarks { missed: vec![(7, at(0), at(20)), (7, at(30), at(30))], schedules: vec![told(None)] };
        let alarm = [entry(OutboxKind::Alarm)];
        let grown = ToldMarks { missed: vec![(7, at(0), at(10))], ..marks.clone() };
        assert_eq!(store.raise_alarm(&alarm, &grown, at(100)).await.unwrap(), None, "there is more to tell by now");
        let ids = store.raise_alarm(&alarm, &marks, at(100)).await.unwrap().unwrap();
        assert_eq!(store.raise_alarm(&alarm, &marks, at(101)).await.unwrap(), None);
        let rows = store.undelivered().await.unwrap();
        assert_eq!(
            (rows.len(), rows[0].id, rows[0].kind, rows[0].state),
            (1, ids[0], OutboxKind::Alarm, OutboxState::Queued)
        );
        assert_eq!((&rows[0].run_id, &rows[0].run_dir), (&None, &None));
        assert!(store.untold_misses().await.unwrap().is_empty());
        assert_ne!(store.untold_mark().await.unwrap(), mark);
        let watched = store.watched_schedules(at(100)).await.unwrap().remove(0);
        assert_eq!((watched.told(), watched.has_run), (Some(at(100)), false), "it ran before that");
        sqlx::query("UPDATE occurrences SET began = began + 99000000 WHERE state = 'ran'")
            .execute(&mut store.connection)
            .await
            .unwrap();
        assert!(store.watched_schedules(at(100)).await.unwrap()[0].has_run);
    });
}

#[test]
fn a_reason_is_known_for_a_day_once_somebody_was_told_of_it() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = known(dir.path()).await;
        let tell = async |store: &mut Store, before: Option<i64>, now: i64, why: &[Hindrance]| {
            let told = ToldSchedule { id: 7, before: before.map(at), why: why.to_vec() };
            let marks = ToldMarks { missed: Vec::new(), schedules: vec![told] };
            assert!(store.raise_alarm(&[], &marks, at(now)).await.unwrap().is_some());
            store.untold_misses().await.unwrap().iter().map(|missed| missed.is_why_told).collect::<Vec<_>>()
        };
        let untold = store.untold_misses().await.unwrap();
        assert!(untold.iter().all(|missed| !missed.is_why_told), "{untold:?}");
        let (idle, other) = (Hindrance::HostIdle, Hindrance::CouldNotRun);
        assert_eq!(tell(&mut store, None, 100, &[idle, idle]).await, [true, false]);
        assert_eq!(tell(&mut store, Some(100), 50_000, &[other]).await, [true, true], "both");
        assert_eq!(tell(&mut store, Some(50_000), 200_000, &[other]).await, [false, true], "longer ago than a day");
    });
}

#[test]
fn a_digest_goes_out_once_whether_a_run_or_the_clock_sends_it() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = Store::open(dir.path()).await.unwrap();
        let project = dir.path().join("daily");
        for (digit, offset) in [('a', 0), ('b', 50)] {
            let mut events = eventful(&id(digit), &project, offset);
            let time = events.last().unwrap().time;
            let mail = crate::event::EventKind::Mail { mail: crate::model::MailState::NotDue };
            events.push(crate::event::RunEvent { time, kind: mail });
            store.record(&of(&id(digit), events), Durability::Process).await.unwrap();
        }
        let untold = store.untold_projects(at(-1)).await.unwrap();
        assert_eq!(untold.len(), 1, "{untold:?}");
        assert_eq!((&untold[0].run_id, untold[0].is_running), (&id('b'), false), "the latest");
        assert!(store.untold_projects(at(51)).await.unwrap().is_empty(), "it is too old");
        let digest = |digit| NewEntry {
            run_id: Some(id(digit)),
            project_dir: project.clone(),
            unless_since: Some(at(90)),
            ..entry(OutboxKind::Mail)
        };
        assert!(store.queue_digest(&digest('b'), &id('b')).await.unwrap().is_some());
        assert!(store.untold_projects(at(-1)).await.unwrap().is_empty());
        assert_eq!(store.queue_digest(&digest('b'), &id('b')).await.unwrap(), None);
        // A run that ends at this moment, and had looked before.
        assert_eq!(store.enqueue(&[digest('c')]).await.unwrap(), Vec::<i64>::new());
        let of_another = NewEntry { profile: Some("dev".into()), ..digest('c') };
        assert_eq!(store.enqueue(&[of_another]).await.unwrap().len(), 1);
        sqlx::query("UPDATE outbox SET state = 'failed'").execute(&mut store.connection).await.unwrap();
        assert_eq!(store.enqueue(&[digest('d')]).await.unwrap().len(), 1, "nobody got that one");
    });
}

#[test]
fn what_is_quiet_is_left_out_until_then() {
    let dir = tempfile::tempdir().unwrap();
    run(async {
        let mut store = known(dir.path()).await;
        let covered = store.watched_schedules(at(100)).await.unwrap()[0].row.covered;
        assert_eq!(store.quiet_until(at(100)).await.unwrap(), None);
        let quiet = Quiet { id: 7, covered, until: Some(at(200)) };
        store.stay_quiet(&[quiet]).await.unwrap();
        assert!(store.watched_schedules(at(199)).await.unwrap().is_empty());
        assert_eq!(store.quiet_until(at(199)).await.unwrap(), Some(at(200)));
        assert_eq!(store.watched_schedules(at(200)).await.unwrap().len(), 1);
        assert_eq!(store.watched_of(Path::new("daily"), None).await.unwrap().len(), 1);
        store.stay_quiet(&[Quiet { until: None, ..quiet }]).await.unwrap();
        assert!(store.watched_schedules(at(1_000_000)).await.unwrap().is_empty());
        assert_eq!(store.quiet_until(at(100)).await.unwrap(), None, "never is no time");
        // Of what has gone back meanwhile one knows nothing.
        sqlx::query("UPDATE schedules SET covered = covered - 1, quiet_until = 0")
            .execute(&mut store.connection)
            .await
            .unwrap();
        store.stay_quiet(&[quiet]).await.unwrap();
        assert_eq!(store.watched_schedules(at(100)).await.unwrap().len(), 1);
    });
}

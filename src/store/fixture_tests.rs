//! Databases as released versions made them stay readable.

use std::path::Path;

use super::samples::*;
use super::*;
use crate::model::{Outcome, RunId};
use crate::schedule::{Schedule, Trigger};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

const FIXTURE_PROJECT: &str = "/srv/projects/daily";

/// A copy of a database as the given version made it; [`make_fixture`] says how.
fn fixture(version: i64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/state/v{version}.db"));
    std::fs::copy(fixture, dir.path().join(DATABASE_FILE)).unwrap();
    dir
}

/// Made by the first version, which had one eventful and one plain run in it.
#[test]
fn a_database_of_the_first_version_opens() {
    let dir = fixture(1);
    run(async {
        let mut store = Store::open(dir.path()).await.unwrap();
        let runs = store.runs(&RunFilter::default()).await.unwrap();
        assert_eq!(runs.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>(), ["bbbbbbbbbbbbb", "aaaaaaaaaaaaa"]);
        assert_eq!(runs[1].counts, Counts { scripts: 3, succeeded: 1, failed: 1, skipped: 1 });
        assert_eq!((&runs[1].parent, runs[1].oddities), (&None, Oddities::default()));
        let project = runs[1].project_dir.clone();
        let scripts = store.scripts_of(&id('a')).await.unwrap();
        assert_eq!(scripts[1].outcome, Some(Outcome::ExitCode { code: 3 }));
        assert_eq!(
            scripts[1].earlier_ends().unwrap(),
            "timeout after 2 s, had to be killed",
            "that was kept then, too"
        );
        assert_eq!(store.usual_durations(&project, None).await.unwrap().len(), 1);
        let id = RunId::random();
        store.record(&of(&id, following(&id, &project, 900, &runs[1].run_id)), Durability::PowerLoss).await.unwrap();
        let row = store.run(id.as_str()).await.unwrap();
        assert_eq!((row.parent.unwrap().run_id, row.files.len()), (runs[1].run_id.clone(), 1));
        assert_eq!(store.projects().await.unwrap().len(), 1);
        store.close().await.unwrap();
        Store::open(dir.path()).await.unwrap();
    });
}

#[test]
fn a_database_of_the_second_version_opens() {
    let dir = fixture(2);
    run(async {
        let mut store = Store::open(dir.path()).await.unwrap();
        let row = store.run("c").await.unwrap();
        let mut fold = crate::event::ReportFold::default();
        following(&id('c'), Path::new(FIXTURE_PROJECT), 200, &id('a')).iter().for_each(|event| fold.apply(event));
        assert_eq!(row.oddities, Oddities { retried: 1, slow: 1, quick: 0 });
        assert_eq!(store.report(row).await.unwrap(), fold.into_report().unwrap());
        assert_eq!(store.runs(&RunFilter::default()).await.unwrap().len(), 3);
    });
}

#[test]
fn a_database_of_the_third_version_opens() {
    let dir = fixture(3);
    run(async {
        let mut store = Store::open(dir.path()).await.unwrap();
        let row = store.run("c").await.unwrap();
        let mut fold = crate::event::ReportFold::default();
        following(&id('c'), Path::new(FIXTURE_PROJECT), 200, &id('a')).iter().for_each(|event| fold.apply(event));
        assert_eq!(store.report(row).await.unwrap(), fold.into_report().unwrap());
        assert_eq!(store.runs(&RunFilter::default()).await.unwrap().len(), 3);
        assert_eq!(
            store.schedules(&ScheduleFilter { with_ended: true, ..ScheduleFilter::default() }).await.unwrap(),
            []
        );
        let id = register(&mut store).await;
        assert_eq!(store.occurrences(id, 10).await.unwrap(), []);
    });
}

/// With a schedule that is kept, and word of a daemon.
#[test]
fn a_database_of_the_fourth_version_opens() {
    let dir = fixture(4);
    run(async {
        let mut store = Store::open(dir.path()).await.unwrap();
        let [row] = &store.schedules(&ScheduleFilter::default()).await.unwrap()[..] else { panic!("one schedule") };
        assert_eq!((row.name.as_str(), row.keeper, row.covered), ("1", Keeper::Cron, due()));
        assert_eq!(store.contact(Path::new(FIXTURE_PROJECT), None).await.unwrap(), None, "nobody had kept it");
        assert_eq!(store.watched_schedules(crate::model::to_utc(due())).await.unwrap().len(), 1);
        let stays = store.daemon_stays().await.unwrap();
        assert_eq!((stays.len(), &stays[0].version), (1, &None));
        assert_eq!(store.runs(&RunFilter::default()).await.unwrap().len(), 3);
    });
}

/// When the fixtures' schedule is due.
fn due() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_800_000_000).unwrap()
}

async fn register(store: &mut Store) -> i64 {
    let schedule = Schedule {
        name: "1".to_owned(),
        definition: String::new(),
        trigger: Trigger::At(due()),
        zone: jiff::tz::TimeZone::UTC,
        jitter: jiff::SignedDuration::ZERO,
        misfire_grace: None,
        coalesce: true,
    };
    let registration = Registration {
        project_dir: Path::new(FIXTURE_PROJECT),
        project: "daily",
        profile: None,
        keeper: Keeper::Cron,
        schedules: &[schedule],
    };
    let registered = store.register(&[registration], due()).await.unwrap();
    registered[0].rows[0].as_ref().unwrap().id
}

/// Makes the fixture; run by hand when a version of the schema is released: `cargo test make_fixture -- --ignored`.
#[test]
#[ignore = "writes the fixture"]
fn make_fixture() {
    let dir = tempfile::tempdir().unwrap();
    let project = Path::new(FIXTURE_PROJECT);
    run(async {
        let mut store = Store::open(dir.path()).await.unwrap();
        store.record(&of(&id('a'), eventful(&id('a'), project, 0)), Durability::Process).await.unwrap();
        store.record(&of(&id('b'), plain(&id('b'), project, 100)), Durability::Process).await.unwrap();
        let events = following(&id('c'), project, 200, &id('a'));
        store.record(&of(&id('c'), events), Durability::Process).await.unwrap();
        register(&mut store).await;
        let process = crate::model::ProcessIdentity { pid: 7, started: 8, boot: "9".to_owned() };
        store.begin_presence("here", &process, due()).await.unwrap();
        store.close().await.unwrap();
    });
    let name = format!("tests/fixtures/state/v{SCHEMA_VERSION}.db");
    std::fs::copy(dir.path().join(DATABASE_FILE), Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
}

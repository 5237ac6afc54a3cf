//! A state database that can't be used: runs happen all the same, say so, and are in the history once it can be used again.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::Faults;
use crate::audit;
use crate::harness::{Test, wait_for};

/// What is done to the database, and how it is put right; `None` if the runner does so itself.
struct Damage {
    name: &'static str,
    /// Whether the run has to warn; `None` where that depends on which of its pages SQLite needs.
    warns: Option<bool>,
    harm: fn(&Path),
    repair: Option<fn(&Path)>,
}

const DAMAGES: &[Damage] = &[
    Damage {
        name: "corrupt",
        warns: Some(true),
        harm: |db| write(db, "none at all ".repeat(999)),
        repair: Some(remove),
    },
    Damage { name: "cut in the middle", warns: None, harm: halve, repair: Some(remove) },
    Damage { name: "empty", warns: Some(false), harm: |db| write(db, String::new()), repair: None },
    Damage { name: "gone", warns: Some(false), harm: remove, repair: None },
    Damage {
        name: "a folder",
        warns: Some(true),
        harm: into_folder,
        repair: Some(|db| std::fs::remove_dir(db).unwrap()),
    },
    Damage { name: "of a newer version", warns: Some(true), harm: make_newer, repair: Some(make_older) },
    Damage { name: "of another program", warns: Some(true), harm: replace, repair: Some(remove) },
];

pub fn database(faults: &Faults) {
    std::thread::scope(|scope| {
        for damage in DAMAGES {
            scope.spawn(move || damaged(faults, damage));
        }
        scope.spawn(|| locked(faults, true));
        if faults.long {
            scope.spawn(|| locked(faults, false));
        } else {
            faults.tally.skip("a lock for longer than runners wait, which takes that long: in the long form only");
        }
    });
}

fn damaged(faults: &Faults, damage: &Damage) {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "append ../ran").script("b.txt", "print b\nexit 3");
    let db = test.path("state/state.db");
    let what = format!("a database that is {}", damage.name);
    expect_run(faults, &test, &what, Some(false));
    (damage.harm)(&db);
    expect_run(faults, &test, &what, damage.warns);
    expect_run(faults, &test, &what, damage.warns);
    if let Some(repair) = damage.repair {
        repair(&db);
    }
    expect_run(faults, &test, &what, Some(false));
    audit::audit(faults, &test, &[project], &Default::default(), &what).count(faults);
    let ran = std::fs::read_to_string(test.path("ran")).unwrap_or_default().lines().count();
    faults.tally.check(ran == 4, || format!("{what}: the script ran {ran} times"));
    faults.tally.count("databases harmed", 1);
}

/// Another program has the database for itself: for a while, or until after the run.
fn locked(faults: &Faults, for_a_while: bool) {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch ran").script("b.txt", "exit 3");
    let what = if for_a_while { "a database locked for a while" } else { "a locked database" };
    expect_run(faults, &test, what, Some(false));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut holder = runtime.block_on(connect(&test.path("state/state.db")));
    runtime.block_on(sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut holder)).unwrap();
    std::fs::remove_file(project.root.join("ran")).unwrap();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| expect_run(faults, &test, what, Some(!for_a_while)));
        if for_a_while {
            wait_for("the script", || project.root.join("ran").exists().then_some(()));
            // Long enough for the end of the run to be there.
            std::thread::sleep(Duration::from_millis(1200));
        } else {
            run.join().unwrap();
        }
        runtime.block_on(sqlx::raw_sql("COMMIT").execute(&mut holder)).unwrap();
    });
    runtime.block_on(holder.close()).unwrap();
    expect_run(faults, &test, what, Some(false));
    audit::audit(faults, &test, &[project], &Default::default(), what).count(faults);
    faults.tally.count("databases locked", 1);
}

fn expect_run(faults: &Faults, test: &Test, what: &str, warns: Option<bool>) {
    let run = test.runner(["run", "-q", "p"]);
    faults.tally.count("runs", 1);
    faults.tally.check(run.code == 1, || format!("{what}: exit code {}\n{}", run.code, run.stderr));
    let warned = run.stderr.contains("warning:");
    faults.tally.check(warns.is_none_or(|warns| warned == warns), || {
        format!("{what}: warned: {warned}, not {warns:?}\n{}", run.stderr)
    });
}

fn write(db: &Path, text: String) {
    std::fs::write(db, text).unwrap();
}

fn remove(db: &Path) {
    std::fs::remove_file(db).unwrap();
}

fn halve(db: &Path) {
    let file = std::fs::File::options().write(true).open(db).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

fn into_folder(db: &Path) {
    remove(db);
    std::fs::create_dir(db).unwrap();
}

fn replace(db: &Path) {
    remove(db);
    in_database(db, async |connection| {
        sqlx::raw_sql("CREATE TABLE theirs (text TEXT)").execute(connection).await.unwrap();
    });
}

/// As a runner of the year after next would leave it.
fn make_newer(db: &Path) {
    let version: i64 = in_database(db, async |connection| {
        let version = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await.unwrap();
        sqlx::raw_sql("PRAGMA user_version = 1000000").execute(connection).await.unwrap();
        version
    });
    std::fs::write(db.with_extension("version"), version.to_string()).unwrap();
}

fn make_older(db: &Path) {
    let version = std::fs::read_to_string(db.with_extension("version")).unwrap();
    let mark = format!("PRAGMA user_version = {version}");
    in_database(db, async |connection| {
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(connection).await.unwrap();
    });
}

async fn connect(db: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(db).create_if_missing(true).connect().await.unwrap()
}

fn in_database<T>(db: &Path, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut connection = connect(db).await;
        let done = work(&mut connection).await;
        connection.close().await.unwrap();
        done
    })
}

//! Opening the database: making it, bringing it up to date, refusing what isn't ours.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::StoreError;
use super::os::{FileId, create_dir, file_id, sync_dir};
use super::schema::{APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION};

/// The database's file in the state folder.
pub const DATABASE_FILE: &str = "state.db";

/// Above this many bytes the write-ahead log is written back when a run begins, beside its first script, so that
/// reading it back stays quick for the next one that opens the database.
const LARGE_WAL: u64 = 1024 * 1024;

/// Pages of the write-ahead log at which a commit writes it back, as a bound for very long runs.
const AUTOCHECKPOINT_PAGES: &str = "4000";

/// How the database is opened.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// How long one waits for another program that writes.
    pub busy_timeout: Duration,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(10) }
    }
}

/// The open state database. SQLite works on a thread of the connection's own; any runtime may wait for it.
///
/// A dropped or [closed](Store::close) one writes the log back and syncs it if nobody else has the database open; a
/// process that is about to end had better [leave it open](Store::leave_open).
#[derive(Debug)]
pub struct Store {
    pub(super) connection: SqliteConnection,
    pub(super) path: PathBuf,
    options: OpenOptions,
    /// Which file it was when it was opened.
    file: Option<FileId>,
}

impl Store {
    /// Opens the database in the folder `dir`; makes both if need be.
    ///
    /// # Errors
    /// When that is impossible, or the database is damaged, locked, of something else, or of a newer runner.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(dir, OpenOptions::default()).await
    }

    /// Like [`Store::open`], with options.
    ///
    /// # Errors
    /// Like [`Store::open`].
    pub async fn open_with(dir: &Path, options: OpenOptions) -> Result<Self, StoreError> {
        // Absolute: SQLite would take a relative `file:…` for a URI.
        let dir = std::path::absolute(dir).map_err(|source| io_error("use", dir, source))?;
        let path = dir.join(DATABASE_FILE);
        if !has_content(&path) {
            create(&dir, &path).await?;
        }
        let connection = connect(&path, options).await.map_err(|source| StoreError::from_sqlx(&path, source))?;
        let file = file_id(&path).ok();
        let mut store = Self { connection, path, options, file };
        store.bring_up_to_date().await?;
        Ok(store)
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file of that name is still the one that was opened. One that was moved or deleted can be written on, and
    /// nobody else sees it. Always true where the system moves no file that is open.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        match file_id(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            // A disk that doesn't answer moves nothing.
            Err(_) => true,
            Ok(there) => self.file.is_none_or(|file| file == there),
        }
    }

    /// Closes the database. The last one to do so writes the log back and syncs it.
    ///
    /// # Errors
    /// When SQLite says so; everything that was recorded is safe all the same.
    pub async fn close(self) -> Result<(), StoreError> {
        let Self { connection, path, .. } = self;
        connection.close().await.map_err(|source| StoreError::from_sqlx(&path, source))
    }

    /// Leaves the database open until the process ends, which must be soon: closing would write the log back, with
    /// three syncs of the disk that nobody needs to wait for. The next one to open the database goes on with that log.
    pub fn leave_open(self) {
        std::mem::forget(self.connection);
    }

    fn log_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push("-wal");
        name.into()
    }

    /// Syncs the write-ahead log, so that all that was committed survives a loss of power. SQLite would do it with
    /// `synchronous = FULL`, but would sync the folder too, once a connection. (A file that SQLite locks must never be
    /// opened beside it, since closing that would give up the locks; the log isn't one of them.)
    pub(super) fn sync_log(&self) -> Result<(), StoreError> {
        let path = self.log_path();
        // For writing, without which Windows doesn't flush.
        match std::fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.sync_data()) {
            // A database that somebody took out of WAL mode syncs by itself.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|source| io_error("sync", &path, source)),
        }
    }

    /// Writes the log back if it has become large. Other programs that read or write are not waited for.
    pub(crate) async fn shrink_log(&mut self) {
        if std::fs::metadata(self.log_path()).is_ok_and(|file| file.len() > LARGE_WAL) {
            let script = format!(
                "PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout = {}",
                self.options.busy_timeout.as_millis()
            );
            // A failure is no loss: the log stays, and whoever comes next tries again.
            let _ = sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut self.connection).await;
        }
    }

    pub(super) fn error(&self, source: sqlx::Error) -> StoreError {
        StoreError::from_sqlx(&self.path, source)
    }

    async fn bring_up_to_date(&mut self) -> Result<(), StoreError> {
        let version = self.version().await?;
        if version == SCHEMA_VERSION {
            return Ok(());
        }
        migrate(&mut self.connection).await.map_err(|source| StoreError::from_sqlx(&self.path, source))?;
        // Another runner may have been quicker, and newer.
        self.version().await.map(drop)
    }

    /// The schema's version, of a database that is ours and not too new.
    async fn version(&mut self) -> Result<i64, StoreError> {
        let path = self.path.clone();
        let (version, application): (i64, i64) =
            sqlx::query_as("SELECT user_version, application_id FROM pragma_user_version, pragma_application_id")
                .fetch_one(&mut self.connection)
                .await
                .map_err(|source| StoreError::from_sqlx(&path, source))?;
        if application != APPLICATION_ID {
            return Err(StoreError::Foreign { path });
        }
        if version > SCHEMA_VERSION {
            return Err(StoreError::Newer { path, found: version, known: SCHEMA_VERSION });
        }
        Ok(version)
    }
}

fn io_error(verb: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { verb, path: path.to_owned(), source }
}

fn has_content(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len() > 0)
}

async fn connect(path: &Path, options: OpenOptions) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(options.busy_timeout)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("wal_autocheckpoint", AUTOCHECKPOINT_PAGES)
        .disable_statement_logging()
        .connect()
        .await
}

/// Makes the database under another name and then gives it its own, so that nobody ever opens half of one. Who comes
/// meanwhile waits for the lock and then finds it made.
async fn create(dir: &Path, path: &Path) -> Result<(), StoreError> {
    create_dir(dir).map_err(|source| io_error("make the state folder", dir, source))?;
    let lock_path = dir.join("state.lock");
    let lock = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|source| io_error("lock", &lock_path, source))?;
    if has_content(path) {
        return Ok(());
    }
    let unfinished = dir.join("state.db.new");
    // What an earlier attempt left, and the log of a database that somebody deleted: it must not be taken for ours.
    for name in ["state.db.new", "state.db.new-wal", "state.db.new-shm", "state.db-wal", "state.db-shm"] {
        remove_if_there(&dir.join(name))?;
    }
    let made: Result<(), sqlx::Error> = async {
        let mut connection = SqliteConnectOptions::new()
            .filename(&unfinished)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .disable_statement_logging()
            .connect()
            .await?;
        let mark = format!("PRAGMA application_id = {APPLICATION_ID}");
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut connection).await?;
        migrate(&mut connection).await?;
        connection.close().await
    }
    .await;
    made.map_err(|source| StoreError::from_sqlx(&unfinished, source))?;
    std::fs::rename(&unfinished, path).map_err(|source| io_error("rename", &unfinished, source))?;
    sync_dir(dir);
    drop(lock);
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", path, source)),
        _ => Ok(()),
    }
}

/// Applies the migrations that the database lacks, all or none.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    let applied = usize::try_from(version).unwrap_or(usize::MAX);
    if applied < MIGRATIONS.len() {
        for migration in MIGRATIONS.iter().skip(applied) {
            sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
        }
        let mark = format!("PRAGMA user_version = {SCHEMA_VERSION}");
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

//! The database's schema, as a list of migrations. The n-th brings a database of version n-1 to version n; a migration
//! that was released is never changed. Times are microseconds since 1970 in UTC, durations microseconds, `run_id` the 13
//! digits; `outcome`, `output`, `leaked`, `usual`, `parent`, `occasion`, `params`, `process`, `files`, `holder` and `mail_detail` are the JSON of the events.

/// The version of the schema that this runner writes.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Marks the file as ours ("prun"), so that no other program's database is taken for it.
pub(super) const APPLICATION_ID: i64 = 0x7072_756e;

pub(super) const MIGRATIONS: [&str; 5] = [V1, V2, V3, V4, V5];

/// `scripts.outcome_kind` is NULL while a script has no end. The runs' counts are those of an ended run.
const V1: &str = "
CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    last_seen INTEGER NOT NULL
) STRICT;

CREATE TABLE runs (
    run_id TEXT NOT NULL PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    project TEXT NOT NULL,
    profile TEXT,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    started INTEGER NOT NULL,
    finished INTEGER,
    duration_us INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT 'running',
    run_dir TEXT NOT NULL,
    log_file TEXT NOT NULL,
    mail_state TEXT,
    mail_detail TEXT,
    scripts INTEGER NOT NULL,
    succeeded INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX runs_of_project ON runs (project_id, started DESC);
CREATE INDEX runs_by_start ON runs (started DESC);

CREATE TABLE scripts (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    idx INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    script TEXT NOT NULL,
    started INTEGER,
    duration_us INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    outcome_kind TEXT,
    outcome TEXT,
    cpu_user_us INTEGER,
    cpu_system_us INTEGER,
    peak_memory_bytes INTEGER,
    output TEXT,
    traceback TEXT,
    leaked TEXT,
    PRIMARY KEY (run_id, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX successes_of_script ON scripts (project_id, script, started DESC, duration_us)
    WHERE outcome_kind = 'success';

CREATE TABLE attempts (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    idx INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    outcome_kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    duration_us INTEGER NOT NULL,
    cpu_user_us INTEGER,
    cpu_system_us INTEGER,
    peak_memory_bytes INTEGER,
    PRIMARY KEY (run_id, idx, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE warnings (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    time INTEGER NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (run_id, time, message)
) STRICT, WITHOUT ROWID;
";

/// Attempts, what is usual, runs that follow others, attached files. `retried`, `slow` and `quick` count scripts of an
/// ended run. The partial index finds the few runs without an end among all of a project.
const V2: &str = "
ALTER TABLE runs ADD COLUMN parent TEXT;
ALTER TABLE runs ADD COLUMN planned INTEGER;
ALTER TABLE runs ADD COLUMN process TEXT;
ALTER TABLE runs ADD COLUMN files TEXT;
ALTER TABLE runs ADD COLUMN retried INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN slow INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN quick INTEGER NOT NULL DEFAULT 0;
CREATE INDEX running_runs ON runs (project_id) WHERE status = 'running';
ALTER TABLE scripts ADD COLUMN last_lines TEXT;
ALTER TABLE scripts ADD COLUMN usual TEXT;
ALTER TABLE scripts ADD COLUMN retry_pending INTEGER NOT NULL DEFAULT 0;
";

/// The outbox. `recipients` and `refused` are JSON lists; `recipients` are those who are still to get it. `slot` is what of
/// a project is called, of what goes to the web: its address, which may be a secret, is looked up in the project. `sender` is a
/// fingerprint of the settings a mail was last tried with, no credential. `in_doubt` is set while the message itself is
/// handed over, so that a process that dies then leaves word of it. `settled` is set once the run has recorded what became
/// of it; what happens after that is recorded by whoever brings it about, and `told` is 0 until that stands in the run's events.
/// `failures` are those attempts of which the message itself was the trouble, `login` is who its maker would have signed in as.
const V3: &str = "
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    slot TEXT,
    run_id TEXT,
    project_dir TEXT NOT NULL,
    profile TEXT,
    run_dir TEXT,
    subject TEXT NOT NULL,
    from_address TEXT,
    recipients TEXT NOT NULL,
    refused TEXT NOT NULL DEFAULT '[]',
    message BLOB NOT NULL,
    conversation TEXT,
    state TEXT NOT NULL DEFAULT 'queued',
    in_doubt INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    told INTEGER NOT NULL DEFAULT 1,
    attempts INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    queued_at INTEGER NOT NULL,
    next_at INTEGER,
    ended_at INTEGER,
    last_error TEXT,
    last_reply TEXT,
    account TEXT,
    login TEXT,
    sender TEXT
) STRICT;
CREATE INDEX outbox_open ON outbox (next_at) WHERE state IN ('queued', 'sending', 'held');
CREATE INDEX outbox_untold ON outbox (id) WHERE NOT told;
CREATE INDEX outbox_by_run ON outbox (run_id);
CREATE INDEX outbox_ended ON outbox (account, ended_at) WHERE state = 'sent';
CREATE INDEX kept_mails ON runs (started) WHERE mail_state = 'kept';
CREATE TABLE holds (
    sender TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    error TEXT NOT NULL,
    reply TEXT
) STRICT;
CREATE TABLE conversations (
    conversation TEXT NOT NULL PRIMARY KEY,
    message_id TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT;
";

/// Schedules and the answers to their planned instants. A schedule answers for the instants after `since`; up to and with
/// `covered` each has its answer. What changes its definition ends it and begins another. `keeper` is who starts its runs.
/// A row of `occurrences` covers `count` neighbouring instants with the same answer, from `first` to `last`; what ran has a
/// row of its own. `state` is `claimed` from the moment that somebody (`holder`) has taken it upon himself until the run
/// begins or can't; `run_id` is chosen then already, so that it can be told later whether the run began, and `detail` has
/// what it stands for. `holder` stays until the run has ended; `null` in it, as JSON, is a claim that was given back. An ended schedule
/// answers for the instants up to `ended`. `into_planned` is the instant whose run stands for merged ones. `told` is 0 while somebody has to be told that it was missed. `presences` has
/// when daemons were there: `seen` is the last that is known.
const V4: &str = "
ALTER TABLE runs ADD COLUMN occasion TEXT;
ALTER TABLE runs ADD COLUMN params TEXT;
CREATE TABLE schedules (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_dir TEXT NOT NULL,
    profile TEXT,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    keeper TEXT NOT NULL,
    since INTEGER NOT NULL,
    covered INTEGER NOT NULL,
    paused INTEGER,
    ended INTEGER,
    overdue_told INTEGER
) STRICT;
CREATE UNIQUE INDEX schedules_in_force ON schedules (project_dir, coalesce(profile, ''), name) WHERE ended IS NULL;
CREATE INDEX schedules_closing ON schedules (project_dir) WHERE ended > covered;
CREATE TABLE occurrences (
    schedule_id INTEGER NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    detail TEXT,
    into_planned INTEGER,
    due INTEGER,
    run_id TEXT,
    claimed INTEGER,
    began INTEGER,
    holder TEXT,
    told INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (schedule_id, first)
) STRICT, WITHOUT ROWID;
CREATE INDEX occurrences_held ON occurrences (schedule_id, first) WHERE holder IS NOT NULL;
CREATE INDEX occurrences_untold ON occurrences (schedule_id, first) WHERE NOT told;
CREATE INDEX occurrences_of_runs ON occurrences (run_id) WHERE run_id IS NOT NULL;
CREATE TABLE presences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    host TEXT NOT NULL,
    process TEXT NOT NULL,
    began INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    ended INTEGER
) STRICT;
";

/// What alarms need. `contacts` has, as JSON, whom to tell of a project and profile whose files can't be read; `profile` is empty
/// for none. Before `quiet_until` no instant of a schedule can be overdue; it is a bound that whoever looked last found, and
/// goes back to 0 with `covered`. `version` is that of the daemon. `pauses` are those of a schedule that are over, as a JSON list
/// of lists of their beginning and end, as long as instants that were due in them may be without an answer; `paused` is since
/// when the one goes on that isn't over. `told_why` has, as a JSON list, the reasons of which somebody was told up to `overdue_told` and less than
/// a day apart.
const V5: &str = "
CREATE TABLE contacts (
    project_dir TEXT NOT NULL,
    profile TEXT NOT NULL,
    contact TEXT NOT NULL,
    PRIMARY KEY (project_dir, profile)
) STRICT, WITHOUT ROWID;
ALTER TABLE schedules ADD COLUMN quiet_until INTEGER NOT NULL DEFAULT 0;
CREATE INDEX schedules_to_look_at ON schedules (quiet_until) WHERE ended IS NULL AND paused IS NULL;
ALTER TABLE presences ADD COLUMN version TEXT;
ALTER TABLE schedules ADD COLUMN pauses TEXT;
ALTER TABLE schedules ADD COLUMN told_why TEXT;
";

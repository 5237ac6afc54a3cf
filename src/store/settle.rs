//! Looking at schedules: what is known of them is read, what becomes of their instants decided (purely, in `schedule`), and
//! written, all in one transaction. So of two who look at once only one claims an instant.

use std::collections::HashMap;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};

use super::occurrences::{Claimant, miss_merged};
use super::pauses::write_pauses;
use super::schedules::{instant, schedule_row};
use super::{Keeper, ScheduleRow, Store, StoreError};
use crate::model::RunId;
use crate::schedule::{
    AT_ONCE, Answer, Claimed, Hindrance, Look, Presence, SET_BACK, Schedule, Settlement, Span, Standing,
};

/// Who looks, and when.
pub struct Looker<'a> {
    /// The present.
    pub now: Timestamp,
    /// Who was there meanwhile.
    pub presence: &'a Presence,
    /// Who claims what is to run.
    pub claimant: &'a Claimant,
    /// Looks only at schedules of this keeper.
    pub keeper: Option<Keeper>,
    /// Tells what has become of a claim, or a run under way.
    pub fate: &'a (dyn Fn(&Held) -> Fate + Sync),
}

/// A claim, or a run of a schedule that was under way when last heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Whose it is.
    pub schedule_id: i64,
    /// The project's folder.
    pub project_dir: PathBuf,
    /// The planned instant.
    pub planned: Timestamp,
    /// The run; none if the claim was given back.
    pub run_id: Option<RunId>,
    /// When it was claimed.
    pub claimed: Timestamp,
    /// When the run began, if that is known.
    pub began: Option<Timestamp>,
    /// Who has it.
    pub holder: Option<Claimant>,
}

/// What has become of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Whoever has it is there, as far as can be told.
    Living,
    /// Nobody has it any more. Nothing was begun that isn't known.
    Gone,
    /// Nobody has it any more; its run had begun.
    Began {
        /// When.
        at: Timestamp,
        /// What kept it from beginning in time.
        late: Option<Hindrance>,
    },
}

/// What came of a look at a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The schedule as it is now. `None` if there is none any more, or another keeps it: then nothing was done.
    pub row: Option<ScheduleRow>,
    /// The instant that is to run, and the run that is to be it.
    pub claim: Option<(Claimed, RunId)>,
    /// When to look again by the clock; `None`: nothing is planned.
    pub next: Option<Timestamp>,
    /// Whether something waits for a run to begin or end.
    pub blocked: bool,
    /// Since when somebody else has the claim or run without whose end it doesn't go on: he may die.
    pub others_since: Option<Timestamp>,
}

/// What a claim stands for, while it is one.
#[derive(Debug, Default, Serialize, Deserialize)]
struct StandsFor {
    merged: (u64, Option<i64>),
    missed: (u64, Option<i64>),
}

impl Store {
    /// Looks at schedules, given by their numbers: answers what is due, and claims what is to run. Claims survive a loss of power.
    ///
    /// # Errors
    /// When the database can't be written; then nothing was claimed.
    pub async fn settle_schedules(
        &mut self,
        looks: &[(i64, &Schedule)],
        looker: &Looker<'_>,
    ) -> Result<Vec<Settled>, StoreError> {
        let settled = settle(&mut self.connection, looks, looker).await.map_err(|error| self.error(error))?;
        if settled.iter().any(|one| one.claim.is_some())
            && let Err(error) = self.sync_log()
        {
            // They are claimed all the same, and have to run.
            tracing::warn!("{}", error.sentence());
        }
        Ok(settled)
    }
}

async fn settle(
    connection: &mut SqliteConnection,
    looks: &[(i64, &Schedule)],
    looker: &Looker<'_>,
) -> Result<Vec<Settled>, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let ids = json(&looks.iter().map(|(id, _)| id).collect::<Vec<_>>());
    let mut rows = rows(&mut transaction, &ids).await?;
    rows.retain(|_, row| looker.keeper.is_none_or(|keeper| keeper == row.keeper));
    for (id, schedule) in looks {
        if let Some(row) = rows.get_mut(id).filter(|row| row.covered.duration_since(looker.now) > SET_BACK) {
            withdraw(&mut transaction, row, schedule, looker.now).await?;
        }
    }
    let (mut held, mut ahead) = open(&mut transaction, &ids, &rows, looker.now).await?;
    let mut all = Vec::with_capacity(looks.len());
    let mut cursors = Vec::new();
    for (id, schedule) in looks {
        let nothing = Settled { row: None, claim: None, next: None, blocked: false, others_since: None };
        let Some(mut row) = rows.remove(id) else {
            all.push(nothing);
            continue;
        };
        if row.tidy_pauses(looker.now) {
            write_pauses(&mut transaction, &row).await?;
        }
        let mut standing = Standing {
            covered: row.covered,
            until: row.ended,
            pauses: row.all_pauses(),
            ahead: ahead.remove(id).unwrap_or_default(),
            reopened: Vec::new(),
            waiting: None,
            running_since: None,
        };
        let others = take_stock(&mut transaction, held.remove(id).unwrap_or_default(), &mut standing, looker).await?;
        let look =
            Look { schedule, timing: row.timing(), now: looker.now, presence: looker.presence, at_once: AT_ONCE };
        let settlement = look.settle(&standing);
        let claim = settlement.claim.map(|claim| (claim, RunId::random()));
        write_answers(&mut transaction, row.id, &settlement).await?;
        if settlement.covered != row.covered {
            cursors.push((row.id, settlement.covered.as_microsecond()));
            row.covered = settlement.covered;
        }
        let Settlement { next, blocked, .. } = settlement;
        let others_since = others.claims_since.max(others.runs_since.filter(|_| blocked));
        all.push(Settled { row: Some(row), claim, next, blocked, others_since });
    }
    let claims = all.iter().filter_map(|one| Some((one.row.as_ref()?.id, one.claim.as_ref()?)));
    let claims: Vec<NewClaim<'_>> = claims.map(|(id, (claim, run_id))| new_claim(id, claim, run_id)).collect();
    write_claims(&mut transaction, &claims, looker).await?;
    move_cursors(&mut transaction, &cursors).await?;
    transaction.commit().await?;
    Ok(all)
}

async fn rows(connection: &mut SqliteConnection, ids: &str) -> Result<HashMap<i64, ScheduleRow>, sqlx::Error> {
    let query = sqlx::query("SELECT * FROM schedules WHERE id IN (SELECT value FROM json_each(?1))");
    let rows = query.bind(ids).fetch_all(connection).await?;
    rows.iter().map(|row| schedule_row(row).map(|row| (row.id, row))).collect()
}

/// The clock was set back: what didn't run of what was answered for the time after now is open again.
async fn withdraw(
    connection: &mut SqliteConnection,
    row: &mut ScheduleRow,
    schedule: &Schedule,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    const NOT_RUN: &str = "state NOT IN ('ran', 'late', 'claimed')";
    let delete = format!("DELETE FROM occurrences WHERE schedule_id = ?1 AND first > ?2 AND {NOT_RUN}");
    let delete = sqlx::query(sqlx::AssertSqlSafe(delete)).bind(row.id).bind(now.as_microsecond());
    delete.execute(&mut *connection).await?;
    let across = format!(
        "SELECT first FROM occurrences WHERE schedule_id = ?1 AND first <= ?2 AND last > ?2 AND {NOT_RUN}
        ORDER BY first DESC LIMIT 1"
    );
    let across = sqlx::query_scalar(sqlx::AssertSqlSafe(across)).bind(row.id).bind(now.as_microsecond());
    if let Some(first) = across.fetch_optional(&mut *connection).await? {
        let mut last: Timestamp = instant(first);
        let mut count = 1;
        while let Some(next) = schedule.next_after(last).filter(|next| *next <= now && count < AT_ONCE) {
            (last, count) = (next, count + 1);
        }
        let cut = sqlx::query("UPDATE occurrences SET last = ?3, count = ?4 WHERE schedule_id = ?1 AND first = ?2");
        let cut = cut.bind(row.id).bind(first).bind(last.as_microsecond()).bind(count.cast_signed());
        cut.execute(&mut *connection).await?;
    }
    row.since = row.since.min(now);
    row.covered = now;
    // One that ended by the clock before: it doesn't answer beside what came after it. It stays closing until its claims are seen to.
    let end = now.checked_add(SignedDuration::from_micros(1)).unwrap_or(now);
    row.ended = row.ended.map(|ended| ended.min(end));
    let set = sqlx::query(
        "UPDATE schedules SET since = ?2, covered = ?3, ended = min(ended, ?4), quiet_until = 0 WHERE id = ?1",
    );
    let set = set.bind(row.id).bind(row.since.as_microsecond()).bind(now.as_microsecond());
    set.bind(end.as_microsecond()).execute(connection).await?;
    Ok(())
}

struct HeldRow {
    held: Held,
    is_claimed: bool,
    claim: Claimed,
}

/// By schedule, and in order: the claims and the runs under way; and the instants after the cursor, up to the present, that have
/// a row.
type Open = (HashMap<i64, Vec<HeldRow>>, HashMap<i64, Vec<Timestamp>>);

async fn open(
    connection: &mut SqliteConnection,
    ids: &str,
    rows: &HashMap<i64, ScheduleRow>,
    now: Timestamp,
) -> Result<Open, sqlx::Error> {
    // Left to itself, SQLite goes through all answers of a schedule for the few that are held.
    let query = sqlx::query(
        "SELECT schedule_id, first, state, reason, due, run_id, claimed, began, holder, detail, 0 AS ahead
        FROM occurrences INDEXED BY occurrences_held
        WHERE holder IS NOT NULL AND schedule_id IN (SELECT value FROM json_each(?1))
        UNION ALL
        SELECT schedule_id, first, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1
        FROM schedules CROSS JOIN occurrences ON schedule_id = schedules.id AND first > covered AND first <= ?2
        WHERE schedules.id IN (SELECT value FROM json_each(?1))
        ORDER BY schedule_id, first",
    );
    let (mut held, mut ahead): Open = Default::default();
    for row in query.bind(ids).bind(now.as_microsecond()).fetch_all(connection).await? {
        let (schedule_id, planned) = (row.try_get("schedule_id")?, instant(row.try_get("first")?));
        if row.try_get("ahead")? {
            ahead.entry(schedule_id).or_default().push(planned);
        } else if let Some(schedule) = rows.get(&schedule_id) {
            held.entry(schedule_id).or_default().push(held_row(&row, schedule, planned)?);
        }
    }
    Ok((held, ahead))
}

fn held_row(row: &SqliteRow, schedule: &ScheduleRow, planned: Timestamp) -> Result<HeldRow, sqlx::Error> {
    let time = |column| row.try_get::<Option<i64>, _>(column).map(|micros| micros.map(instant));
    let text = |column| row.try_get::<Option<String>, _>(column).map(Option::unwrap_or_default);
    let (state, holder, run_id, detail) = (text("state")?, text("holder")?, text("run_id")?, text("detail")?);
    let stands_for: StandsFor = serde_json::from_str(&detail).unwrap_or_default();
    let counted = |(count, first): (u64, Option<i64>)| (count, first.map(instant));
    Ok(HeldRow {
        is_claimed: state == "claimed",
        claim: Claimed {
            planned,
            due: time("due")?.unwrap_or(planned),
            late: Hindrance::from_name(&text("reason")?),
            merged: counted(stands_for.merged),
            missed: counted(stands_for.missed),
        },
        held: Held {
            schedule_id: schedule.id,
            project_dir: schedule.project_dir.clone(),
            planned,
            run_id: RunId::parse(&run_id),
            claimed: time("claimed")?.unwrap_or(planned),
            began: time("began")?,
            // What can't be read is nobody's.
            holder: serde_json::from_str(&holder).unwrap_or_default(),
        },
    })
}

/// Since when others have something of a schedule.
#[derive(Default)]
struct Others {
    claims_since: Option<Timestamp>,
    runs_since: Option<Timestamp>,
}

/// Finds out what has become of claims and runs.
async fn take_stock(
    connection: &mut SqliteConnection,
    held: Vec<HeldRow>,
    standing: &mut Standing,
    looker: &Looker<'_>,
) -> Result<Others, sqlx::Error> {
    let mut others = Others::default();
    for HeldRow { held, is_claimed, claim } in held {
        let fate = if held.holder.is_none() { Fate::Gone } else { (looker.fate)(&held) };
        let is_others = held.holder.as_ref().is_some_and(|holder| holder.token != looker.claimant.token);
        match (fate, is_claimed) {
            (Fate::Living, _) => {
                if is_others {
                    let since = if is_claimed { &mut others.claims_since } else { &mut others.runs_since };
                    *since = (*since).max(Some(held.began.unwrap_or(held.claimed)));
                }
                if is_claimed {
                    standing.waiting = standing.waiting.max(Some(held.planned));
                } else {
                    standing.running_since = standing.running_since.max(held.began);
                }
            }
            (Fate::Gone, true) => standing.reopened.push(claim),
            (Fate::Gone | Fate::Began { .. }, false) => {
                let over = sqlx::query("UPDATE occurrences SET holder = NULL WHERE schedule_id = ?1 AND first = ?2");
                over.bind(held.schedule_id).bind(held.planned.as_microsecond()).execute(&mut *connection).await?;
            }
            (Fate::Began { at, late }, true) => {
                let (state, reason) = late.map_or(Answer::Ran, Answer::Late).words();
                let ran = sqlx::query(
                    "UPDATE occurrences SET state = ?3, reason = ?4, began = ?5, holder = NULL, detail = NULL
                    WHERE schedule_id = ?1 AND first = ?2",
                );
                let ran = ran.bind(held.schedule_id).bind(held.planned.as_microsecond()).bind(state).bind(reason);
                ran.bind(at.as_microsecond()).execute(&mut *connection).await?;
            }
        }
    }
    Ok(others)
}

async fn write_answers(connection: &mut SqliteConnection, id: i64, settlement: &Settlement) -> Result<(), sqlx::Error> {
    for (index, span) in settlement.spans.iter().enumerate() {
        let continues = settlement.continues && index == 0;
        if !continues || !continue_row(connection, id, span).await? {
            insert(connection, id, span).await?;
        }
    }
    for span in &settlement.again {
        if let (Answer::Missed(_), (_, Some(reason))) = (span.answer, span.answer.words()) {
            miss_merged(connection, id, span.first.as_microsecond(), reason, None).await?;
        }
        insert(connection, id, span).await?;
    }
    Ok(())
}

/// A claim as it is written: schedule, planned instant, what kept it, what it stands for, due, run.
type NewClaim<'a> = (i64, i64, Option<&'static str>, String, i64, &'a str);

fn new_claim<'a>(id: i64, claim: &Claimed, run_id: &'a RunId) -> NewClaim<'a> {
    let micros = |(count, first): (u64, Option<Timestamp>)| (count, first.map(Timestamp::as_microsecond));
    let stands_for = StandsFor { merged: micros(claim.merged), missed: micros(claim.missed) };
    let (planned, due) = (claim.planned.as_microsecond(), claim.due.as_microsecond());
    (id, planned, claim.late.map(Hindrance::name), json(&stands_for), due, run_id.as_str())
}

/// All at once, since many schedules may be due at the same time.
async fn write_claims(
    connection: &mut SqliteConnection,
    claims: &[NewClaim<'_>],
    looker: &Looker<'_>,
) -> Result<(), sqlx::Error> {
    if claims.is_empty() {
        return Ok(());
    }
    let insert = sqlx::query(
        "INSERT OR REPLACE INTO occurrences (schedule_id, first, last, count, state, reason, detail, due, run_id,
            claimed, holder)
        SELECT value ->> 0, value ->> 1, value ->> 1, 1, 'claimed', value ->> 2, value ->> 3, value ->> 4, value ->> 5, ?2, ?3
        FROM json_each(?1)",
    );
    let insert = insert.bind(json(&claims)).bind(looker.now.as_microsecond()).bind(json(looker.claimant));
    insert.execute(connection).await.map(drop)
}

async fn move_cursors(connection: &mut SqliteConnection, cursors: &[(i64, i64)]) -> Result<(), sqlx::Error> {
    if cursors.is_empty() {
        return Ok(());
    }
    let update = sqlx::query(
        "UPDATE schedules SET covered = moved.value ->> 1 FROM json_each(?1) AS moved WHERE schedules.id = moved.value ->> 0",
    );
    update.bind(json(&cursors)).execute(connection).await.map(drop)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Lets the row before these instants cover them too, if it has the same answer; false if it hasn't.
async fn continue_row(connection: &mut SqliteConnection, id: i64, span: &Span) -> Result<bool, sqlx::Error> {
    let (state, reason) = span.answer.words();
    let query = sqlx::query(
        "UPDATE occurrences SET last = ?3, count = count + ?4
        WHERE schedule_id = ?1
            AND first = (SELECT max(first) FROM occurrences WHERE schedule_id = ?1 AND first < ?2)
            AND state = ?5 AND reason IS ?6 AND into_planned IS ?7 AND detail IS NULL AND told = ?8
            AND count + ?4 <= ?9",
    );
    let query = query.bind(id).bind(span.first.as_microsecond()).bind(span.last.as_microsecond());
    let query = query.bind(span.count.cast_signed()).bind(state).bind(reason);
    let query = query.bind(span.into.map(Timestamp::as_microsecond)).bind(is_told(span)).bind(AT_ONCE.cast_signed());
    Ok(query.execute(connection).await?.rows_affected() > 0)
}

async fn insert(connection: &mut SqliteConnection, id: i64, span: &Span) -> Result<(), sqlx::Error> {
    let (state, reason) = span.answer.words();
    let query = sqlx::query(
        "INSERT OR REPLACE INTO occurrences (schedule_id, first, last, count, state, reason, into_planned, told)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    );
    let query = query.bind(id).bind(span.first.as_microsecond()).bind(span.last.as_microsecond());
    let query = query.bind(span.count.cast_signed()).bind(state).bind(reason);
    query.bind(span.into.map(Timestamp::as_microsecond)).bind(is_told(span)).execute(connection).await.map(drop)
}

/// Somebody has to be told of what was missed.
fn is_told(span: &Span) -> bool {
    !matches!(span.answer, Answer::Missed(_))
}

//! Looking at schedules: what is known of them is read, what becomes of their instants decided (purely, in `schedule`), and
//! written, all in one transaction. So of two who look at once only one claims an instant.

use std::collections::HashMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, Row, SqliteConnection};

use super::occurrences::Claimant;
use super::schedules::{instant, schedule_row};
use super::{Keeper, ScheduleRow, Store, StoreError};
use crate::model::RunId;
use crate::schedule::{
    AT_ONCE, Answer, Claimed, Hindrance, Look, Presence, SET_BACK, Schedule, Settlement, Span, Standing, Timing,
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
    /// Whether it goes on once somebody else's claim or run has come to something: he may die.
    pub waits_for_others: bool,
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
    let ids = serde_json::to_string(&looks.iter().map(|(id, _)| id).collect::<Vec<_>>()).unwrap_or_default();
    let mut rows = rows(&mut transaction, &ids).await?;
    rows.retain(|_, row| looker.keeper.is_none_or(|keeper| keeper == row.keeper));
    for (id, schedule) in looks {
        if let Some(row) = rows.get_mut(id).filter(|row| row.covered.duration_since(looker.now) > SET_BACK) {
            withdraw(&mut transaction, row, schedule, looker.now).await?;
        }
    }
    let mut held = held(&mut transaction, &ids, &rows).await?;
    let mut ahead = ahead(&mut transaction, &ids, looker.now).await?;
    let mut all = Vec::with_capacity(looks.len());
    for (id, schedule) in looks {
        let nothing = Settled { row: None, claim: None, next: None, blocked: false, waits_for_others: false };
        let Some(mut row) = rows.remove(id) else {
            all.push(nothing);
            continue;
        };
        let mut standing = Standing {
            covered: row.covered,
            until: row.ended,
            paused: row.paused.is_some(),
            ahead: ahead.remove(id).unwrap_or_default(),
            reopened: Vec::new(),
            waiting: None,
            running_since: None,
        };
        let others = take_stock(&mut transaction, held.remove(id).unwrap_or_default(), &mut standing, looker).await?;
        let profile = row.profile.as_deref();
        let timing = match row.keeper {
            Keeper::Daemon => Timing::shares(&row.project_dir.to_string_lossy(), profile, &row.name),
            Keeper::TaskScheduler | Keeper::Systemd | Keeper::Cron => Timing::Host,
        };
        let look = Look { schedule, timing, now: looker.now, presence: looker.presence, at_once: AT_ONCE };
        let settlement = look.settle(&standing);
        let claim = settlement.claim.map(|claim| (claim, RunId::random()));
        write(&mut transaction, &row, &settlement, claim.as_ref(), looker).await?;
        row.covered = settlement.covered;
        let Settlement { next, blocked, .. } = settlement;
        let waits_for_others = others.have_claims || (others.have_runs && blocked);
        all.push(Settled { row: Some(row), claim, next, blocked, waits_for_others });
    }
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
    let set = sqlx::query("UPDATE schedules SET since = ?2, covered = ?3, quiet_until = 0 WHERE id = ?1").bind(row.id);
    set.bind(row.since.as_microsecond()).bind(now.as_microsecond()).execute(connection).await?;
    Ok(())
}

struct HeldRow {
    held: Held,
    is_claimed: bool,
    claim: Claimed,
}

/// The claims, and the runs under way, in order.
async fn held(
    connection: &mut SqliteConnection,
    ids: &str,
    rows: &HashMap<i64, ScheduleRow>,
) -> Result<HashMap<i64, Vec<HeldRow>>, sqlx::Error> {
    let query = sqlx::query(
        "SELECT schedule_id, first, state, due, run_id, claimed, began, holder, detail FROM occurrences
        WHERE holder IS NOT NULL AND schedule_id IN (SELECT value FROM json_each(?1)) ORDER BY schedule_id, first",
    );
    let mut held: HashMap<i64, Vec<HeldRow>> = HashMap::new();
    for row in query.bind(ids).fetch_all(connection).await? {
        let time = |column| row.try_get::<Option<i64>, _>(column).map(|micros| micros.map(instant));
        let schedule_id = row.try_get("schedule_id")?;
        let Some(schedule) = rows.get(&schedule_id) else { continue };
        let planned = instant(row.try_get("first")?);
        let text = |column| row.try_get::<Option<String>, _>(column).map(Option::unwrap_or_default);
        let (state, holder, run_id, detail) = (text("state")?, text("holder")?, text("run_id")?, text("detail")?);
        let stands_for: StandsFor = serde_json::from_str(&detail).unwrap_or_default();
        let counted = |(count, first): (u64, Option<i64>)| (count, first.map(instant));
        held.entry(schedule_id).or_default().push(HeldRow {
            is_claimed: state == "claimed",
            claim: Claimed {
                planned,
                due: time("due")?.unwrap_or(planned),
                late: None,
                merged: counted(stands_for.merged),
                missed: counted(stands_for.missed),
            },
            held: Held {
                schedule_id,
                project_dir: schedule.project_dir.clone(),
                planned,
                run_id: RunId::parse(&run_id),
                claimed: time("claimed")?.unwrap_or(planned),
                began: time("began")?,
                // What can't be read is nobody's.
                holder: serde_json::from_str(&holder).unwrap_or_default(),
            },
        });
    }
    Ok(held)
}

/// The instants after the cursors, up to the present, that have a row.
async fn ahead(
    connection: &mut SqliteConnection,
    ids: &str,
    now: Timestamp,
) -> Result<HashMap<i64, Vec<Timestamp>>, sqlx::Error> {
    let query = sqlx::query_as(
        "SELECT schedule_id, first FROM schedules CROSS JOIN occurrences
            ON schedule_id = schedules.id AND first > covered AND first <= ?2
        WHERE schedules.id IN (SELECT value FROM json_each(?1)) ORDER BY schedule_id, first",
    );
    let rows: Vec<(i64, i64)> = query.bind(ids).bind(now.as_microsecond()).fetch_all(connection).await?;
    let mut ahead: HashMap<i64, Vec<Timestamp>> = HashMap::new();
    for (id, first) in rows {
        ahead.entry(id).or_default().push(instant(first));
    }
    Ok(ahead)
}

/// What others have of a schedule.
#[derive(Default)]
struct Others {
    have_claims: bool,
    have_runs: bool,
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
                others.have_claims |= is_others && is_claimed;
                others.have_runs |= is_others;
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

async fn write(
    connection: &mut SqliteConnection,
    row: &ScheduleRow,
    settlement: &Settlement,
    claim: Option<&(Claimed, RunId)>,
    looker: &Looker<'_>,
) -> Result<(), sqlx::Error> {
    for span in &settlement.spans {
        if !continue_row(connection, row.id, span).await? {
            insert(connection, row.id, span).await?;
        }
    }
    for span in &settlement.again {
        insert(connection, row.id, span).await?;
    }
    if let Some((claim, run_id)) = claim {
        let micros = |(count, first): (u64, Option<Timestamp>)| (count, first.map(Timestamp::as_microsecond));
        let stands_for = StandsFor { merged: micros(claim.merged), missed: micros(claim.missed) };
        let insert = sqlx::query(
            "INSERT OR REPLACE INTO occurrences (schedule_id, first, last, count, state, reason, detail, due, run_id,
                claimed, holder)
            VALUES (?1, ?2, ?2, 1, 'claimed', ?3, ?4, ?5, ?6, ?7, ?8)",
        );
        let insert = insert.bind(row.id).bind(claim.planned.as_microsecond()).bind(claim.late.map(Hindrance::name));
        let insert = insert.bind(serde_json::to_string(&stands_for).unwrap_or_default());
        let insert = insert.bind(claim.due.as_microsecond()).bind(run_id.as_str()).bind(looker.now.as_microsecond());
        let insert = insert.bind(serde_json::to_string(looker.claimant).unwrap_or_default());
        insert.execute(&mut *connection).await?;
    }
    if settlement.covered != row.covered {
        let set = sqlx::query("UPDATE schedules SET covered = ?2 WHERE id = ?1").bind(row.id);
        set.bind(settlement.covered.as_microsecond()).execute(connection).await?;
    }
    Ok(())
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

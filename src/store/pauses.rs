//! When schedules were paused, as long as instants that fell due meanwhile may be without an answer.

use jiff::{SignedDuration, Timestamp};
use sqlx::SqliteConnection;

use super::{Keeper, ScheduleRow, Store, StoreError};
use crate::schedule::{Pause, Timing};

impl ScheduleRow {
    /// When its instants are due, by who keeps it.
    #[must_use]
    pub fn timing(&self) -> Timing {
        match self.keeper {
            Keeper::Daemon => Timing::shares(&self.project_dir.to_string_lossy(), self.profile.as_deref(), &self.name),
            Keeper::TaskScheduler | Keeper::Systemd | Keeper::Cron => Timing::Host,
        }
    }

    /// All its pauses, in order.
    #[must_use]
    pub fn all_pauses(&self) -> Vec<Pause> {
        let on = self.paused.map(|from| Pause { from, until: None });
        self.pauses.iter().copied().chain(on).collect()
    }

    /// Forgets what nobody needs of its pauses any more. Where the clock was set back, one that goes on has begun all the same,
    /// and those that are over end with now at the latest. Says whether anything has changed.
    pub(super) fn tidy_pauses(&mut self, now: Timestamp) -> bool {
        let just_before = now.checked_sub(SignedDuration::from_micros(1)).unwrap_or(now);
        let paused = self.paused.map(|from| if from > now { just_before } else { from });
        let is_needed = |pause: &&Pause| pause.from < now && pause.until.is_none_or(|until| until > self.covered);
        let cut = |pause: &Pause| Pause { until: pause.until.map(|until| until.min(now)), ..*pause };
        let pauses: Vec<Pause> = self.pauses.iter().filter(is_needed).map(cut).collect();
        let has_changed = (paused, &pauses) != (self.paused, &self.pauses);
        (self.paused, self.pauses) = (paused, pauses);
        has_changed
    }
}

impl Store {
    /// What falls due from now on is skipped. One that is paused stays so since then.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn pause(&mut self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        let pause = sqlx::query("UPDATE schedules SET paused = coalesce(paused, ?2) WHERE id = ?1");
        self.execute(pause.bind(id).bind(now.as_microsecond())).await
    }

    /// It is paused no more. What was due meanwhile is skipped, whenever it gets its answer.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn resume(&mut self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        let resume = sqlx::query(
            "UPDATE schedules SET pauses = json_insert(coalesce(pauses, '[]'), '$[#]', json_array(paused, ?2)), paused = NULL
            WHERE id = ?1 AND paused IS NOT NULL",
        );
        self.execute(resume.bind(id).bind(now.as_microsecond())).await
    }
}

/// Notes a schedule's pauses as its row has them.
pub(super) async fn write_pauses(connection: &mut SqliteConnection, row: &ScheduleRow) -> Result<(), sqlx::Error> {
    let over = row.pauses.iter().filter_map(|pause| Some((pause.from.as_microsecond(), pause.until?.as_microsecond())));
    let over: Vec<(i64, i64)> = over.collect();
    let over = (!over.is_empty()).then(|| serde_json::to_string(&over).unwrap_or_default());
    let update = sqlx::query("UPDATE schedules SET paused = ?2, pauses = ?3 WHERE id = ?1").bind(row.id);
    let update = update.bind(row.paused.map(Timestamp::as_microsecond)).bind(over);
    update.execute(connection).await.map(drop)
}

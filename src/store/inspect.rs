//! Questions about the database itself.

use super::{Store, StoreError};

impl Store {
    /// What SQLite finds wrong with the file, reading all of it; nothing if it is sound.
    ///
    /// # Errors
    /// When the file is so damaged that SQLite gives up, or can't be read.
    pub async fn quick_check(&mut self) -> Result<Vec<String>, StoreError> {
        // <https://www.sqlite.org/pragma.html#pragma_quick_check>
        let rows: Vec<String> = sqlx::query_scalar("PRAGMA quick_check(5)")
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.error(error))?;
        Ok(rows.into_iter().filter(|row| row != "ok").collect())
    }
}

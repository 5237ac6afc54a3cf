//! The history of a process that lives long. A writer that can't use the database gives up for good, so that no run is
//! recorded in part; here another one follows it, for the runs after that.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::sink::{AtEnd, HistoryWriter};
use crate::store::OpenOptions;

/// How long one waits before trying the database again: each try may take as long as a run's end waits for it.
const AGAIN: Duration = Duration::from_secs(30);

/// Records the runs of a state folder.
#[derive(Debug)]
pub struct Histories {
    state_dir: PathBuf,
    writer: Mutex<(Arc<HistoryWriter>, Instant)>,
}

impl Histories {
    /// Those of this state folder. The database isn't touched before it is needed.
    #[must_use]
    pub fn new(state_dir: PathBuf) -> Self {
        let writer = Mutex::new((start(&state_dir), Instant::now()));
        Self { state_dir, writer }
    }

    /// The state folder.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Who records what begins now.
    #[must_use]
    pub fn current(&self) -> Arc<HistoryWriter> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.0.has_given_up() && writer.1.elapsed() > AGAIN {
            *writer = (start(&self.state_dir), Instant::now());
        }
        Arc::clone(&writer.0)
    }
}

fn start(state_dir: &Path) -> Arc<HistoryWriter> {
    Arc::new(HistoryWriter::start(state_dir.to_owned(), OpenOptions::default(), AtEnd::Close))
}

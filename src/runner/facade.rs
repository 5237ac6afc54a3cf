//! The library's way in.

use std::sync::Arc;

use super::options::{RunError, RunOptions, RunOutput, Tell, trace};
use super::run::run_here;
use crate::event::EventSink;
use crate::exec::Cancel;
use crate::mail::Deadline;
use crate::model::Project;

/// Runs a project.
#[derive(Debug, Clone)]
pub struct Runner {
    project: Arc<Project>,
}

impl Runner {
    /// A runner of `project`.
    #[must_use]
    pub fn new(project: impl Into<Arc<Project>>) -> Self {
        Self { project: project.into() }
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Runs the project to its end, and blocks until then. May be called from anywhere, also from inside an
    /// asynchronous runtime (whose thread it then blocks; see [`Runner::run_async`]).
    ///
    /// Nothing process-wide is changed: no signal handlers, no environment, no logger.
    ///
    /// # Errors
    /// When nothing was run. Scripts that fail are no error: they are in the report.
    pub fn run(&self, options: RunOptions) -> Result<RunOutput, RunError> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("project-runner".into());
            let running = thread
                .spawn_scoped(scope, || run_here(&self.project, options, None, &trace))
                .map_err(RunError::System)?;
            let ended = running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            ended.map(|(output, _)| output)
        })
    }

    /// Runs the project on this thread, which no runtime may have, and lets a sink listen that borrows; `tell` hears of what
    /// happens around the run. Returns also until when what follows may wait for mails.
    pub(crate) fn run_with<'a>(
        &'a self,
        options: RunOptions,
        listener: Box<dyn EventSink + 'a>,
        tell: Tell<'_>,
    ) -> Result<(RunOutput, Deadline), RunError> {
        run_here(&self.project, options, Some(listener), tell)
    }

    /// Runs the project to its end without blocking the calling task. Works in any runtime. Dropping the future
    /// interrupts the run.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub async fn run_async(self, options: RunOptions) -> Result<RunOutput, RunError> {
        struct InterruptOnDrop(Cancel);
        impl Drop for InterruptOnDrop {
            fn drop(&mut self) {
                self.0.cancel("the caller gave up");
            }
        }
        let _interrupt = InterruptOnDrop(options.cancel.clone());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let work = move || {
            let _ = sender.send(run_here(&self.project, options, None, &trace).map(|(output, _)| output));
        };
        std::thread::Builder::new().name("project-runner".into()).spawn(work).map_err(RunError::System)?;
        match receiver.await {
            Ok(result) => result,
            Err(_) => Err(RunError::System(std::io::Error::other("the run's thread has panicked"))),
        }
    }
}

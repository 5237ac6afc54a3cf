//! The runner's own diagnostics: what it noticed that no user asked for. They go to `log/` in the state folder, a file a
//! day, the last seven kept.

use std::path::Path;

use tracing_appender::rolling::{Builder, Rotation};
use tracing_subscriber::EnvFilter;

/// The variable that says how much is written: `error`, `warn`, `info` (the default), `debug`, `trace`, or directives of
/// tracing's `EnvFilter`.
const LEVEL_VARIABLE: &str = "RUNNER_LOG";

/// Begins writing diagnostics. Where that is impossible there are none: they are not worth an error of their own.
pub(super) fn start(state_dir: Option<&Path>) {
    let Some(folder) = state_dir.map(|dir| dir.join("log")) else { return };
    // The appender would say on standard error that the folder isn't there.
    if std::fs::create_dir_all(&folder).is_err() {
        return;
    }
    // Written on the calling thread: the appender's own thread would lose its queue when the runner is killed.
    let file = Builder::new()
        .rotation(Rotation::DAILY)
        .filename_prefix("runner")
        .filename_suffix("log")
        .max_log_files(7)
        .build(folder);
    let Ok(file) = file else { return };
    let filter = EnvFilter::try_from_env(LEVEL_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_timer(tracing_subscriber::fmt::time::ChronoLocal::rfc_3339())
        .with_writer(std::sync::Mutex::new(file))
        .finish();
    // Fails only if the program that calls this has set up its own.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

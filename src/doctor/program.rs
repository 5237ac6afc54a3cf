//! Whether a program starts: by starting it.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::exec::{ExitStatus, Spawn};
use crate::model::RunId;
use crate::plan::{SpawnCommand, attempt_marker};

/// How long a program may take to say its version.
const LIMIT: Duration = Duration::from_secs(10);
/// Bytes that are kept of what it says.
const KEPT: usize = 4096;

/// Runs `program --version` in a folder, and gives the first line that it prints, empty if it prints nothing or
/// understands something else by it.
///
/// # Errors
/// With a sentence, when it can't be started or isn't done after ten seconds.
pub(super) async fn version(spawner: &dyn Spawn, program: &Path, folder: &Path) -> Result<String, String> {
    let marker = attempt_marker(&RunId::random(), 0, 1);
    let own = marker.split_once('=').map(|(name, value)| (name.into(), value.into()));
    let command = SpawnCommand {
        program: program.to_owned(),
        args: vec!["--version".into()],
        base_env: std::env::vars_os().collect(),
        env: own.into_iter().collect(),
        working_dir: folder.to_owned(),
        marker,
    };
    let mut spawned = spawner.spawn(&command).await.map_err(|error| error.to_string())?;
    let (mut exit, mut out, mut err) = (None, Vec::new(), Vec::new());
    let handle = &mut spawned.handle;
    let done = async {
        tokio::join!(
            async { exit = Some(handle.exited().await) },
            read(&mut spawned.stdout, &mut out),
            read(&mut spawned.stderr, &mut err)
        )
    };
    // Whatever still holds its output open then is ended with it.
    let _ = tokio::time::timeout(LIMIT, done).await;
    let _ = spawned.handle.kill().await;
    match exit {
        Some(Ok(exit)) if exit.status == ExitStatus::Code(0) => {
            Ok(first_line(&out).or(first_line(&err)).unwrap_or_default())
        }
        Some(Ok(_)) => Ok(String::new()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err(format!("{} --version was not done after {} s", program.display(), LIMIT.as_secs())),
    }
}

/// Keeps the beginning, and reads on, so that the program is not held up.
async fn read(stream: &mut (dyn AsyncRead + Send + Unpin), kept: &mut Vec<u8>) {
    let mut buffer = vec![0; KEPT];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = KEPT.saturating_sub(kept.len());
        kept.extend(buffer.iter().take(count.min(room)));
    }
}

fn first_line(bytes: &[u8]) -> Option<String> {
    const LONGEST: usize = 100;
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(LONGEST).collect())
}

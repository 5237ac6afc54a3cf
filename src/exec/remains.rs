//! What is left of an attempt whose runner died.

use std::time::{Duration, Instant};

use super::os;

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits for the end of all processes of an attempt whose runner is dead, and returns how many are left after `patience`.
///
/// They are recognised by the attempt's [marker](crate::plan::SpawnCommand::marker); on Linux whatever a dead guardian
/// left in its cgroups is ended along with them. Whoever owned them usually ends them: a guardian within two seconds of the
/// runner's death, Windows at once. When half of the patience is over they are ended here. Blocks.
#[must_use]
pub fn end_remains(marker: &str, patience: Duration) -> usize {
    let begin = Instant::now();
    let mut found_nothing = false;
    loop {
        let waited = begin.elapsed();
        let left = os::remains(marker, waited >= patience / 2);
        // A look isn't made at one moment: what forks and ends meanwhile is missed, but hardly twice.
        if left == 0 && found_nothing || waited >= patience {
            return left;
        }
        found_nothing = left == 0;
        std::thread::sleep(PAUSE.min(patience - waited));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn child(marker: &str, seconds: &str) -> std::process::Child {
        let (name, value) = marker.split_once('=').unwrap();
        std::process::Command::new("sleep").arg(seconds).env(name, value).spawn().unwrap()
    }

    #[test]
    fn remains_are_given_half_of_the_patience_and_then_ended() {
        let marker = format!("RUNNER_ATTEMPT_ID=remains.{}.1", std::process::id());
        let mut child = child(&marker, "300");
        assert_eq!(end_remains("RUNNER_ATTEMPT_ID=remains.none.1", Duration::from_secs(60)), 0);
        assert!(child.try_wait().unwrap().is_none(), "another attempt's are left alone");
        let begin = Instant::now();
        assert_eq!(end_remains(&marker, Duration::from_secs(4)), 0);
        assert!(begin.elapsed() >= Duration::from_secs(2));
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn remains_that_end_by_themselves_are_waited_for() {
        let marker = format!("RUNNER_ATTEMPT_ID=remains.{}.2", std::process::id());
        let mut child = child(&marker, "0.2");
        assert_eq!(end_remains(&marker, Duration::from_secs(600)), 0);
        assert!(child.wait().unwrap().success());
    }
}

#[cfg(all(test, windows))]
mod tests {
    use super::*;
    use crate::exec::ExitStatus;
    use crate::plan::SpawnCommand;

    const SLEEPER: &str = "RUNNER_TEST_SLEEPER";

    #[test]
    fn remains_are_found_by_the_attempts_job_and_ended() {
        // This test is also the program that it starts.
        if std::env::var_os(SLEEPER).is_some() {
            std::thread::sleep(Duration::from_secs(300));
            return;
        }
        let test = "exec::remains::tests::remains_are_found_by_the_attempts_job_and_ended";
        let marker = format!("RUNNER_ATTEMPT_ID=remains.{}.1", std::process::id());
        let command = SpawnCommand {
            program: std::env::current_exe().unwrap(),
            args: ["--exact", test].map(Into::into).into(),
            base_env: std::env::vars_os().collect(),
            env: vec![(SLEEPER.into(), "1".into())],
            working_dir: std::env::temp_dir(),
            marker: marker.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut spawned = os::default_spawner().spawn(&command).await.unwrap();
            assert_eq!(end_remains("RUNNER_ATTEMPT_ID=remains.none.1", Duration::from_secs(60)), 0);
            assert_eq!(os::remains(&marker, false), 1, "another attempt's are left alone");
            assert_eq!(end_remains(&marker, Duration::from_secs(4)), 0);
            assert_eq!(spawned.handle.exited().await.unwrap().status, ExitStatus::Code(1));
        });
    }
}

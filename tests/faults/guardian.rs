//! The guardian killed, runner and guardian killed together, and the runner asked to end, at random instants.

#[cfg(target_os = "linux")]
pub use on_linux::{both, guardian, term};

#[cfg(target_os = "linux")]
mod on_linux {
    use std::path::PathBuf;
    use std::process::Child;
    use std::time::{Duration, Instant};

    use crate::Faults;
    use crate::remains;
    use crate::scene::Scene;

    /// The longest that a runner may take to end once it was asked to, or its guardian is gone: the grace that its scripts
    /// have, and what it does around that.
    const TO_FINISH: Duration = Duration::from_secs(20);

    /// Starts a runner in a new scene and lets a random time pass, in which it may end. Who runs, and what it is called.
    fn begun(faults: &Faults, scene: &mut Scene, dice: &mut crate::dice::Dice) -> (Child, String) {
        scene.choose(dice, 4);
        let instant = dice.pause(Duration::from_millis(1500));
        let mut runner = scene.start();
        std::thread::sleep(instant);
        let ended = runner.try_wait().unwrap().is_some();
        if ended {
            faults.tally.count("ended before", 1);
        }
        (runner, format!("after {} ms", instant.as_millis()))
    }

    fn wait(runner: &mut Child) -> Option<i32> {
        let begin = Instant::now();
        while begin.elapsed() < TO_FINISH {
            if let Some(status) = runner.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        runner.kill().unwrap();
        runner.wait().unwrap();
        Some(i32::MIN)
    }

    /// Whether a process whose environment says nothing is looked for: only a control group still has it once the guardian,
    /// its new parent, is gone.
    fn unmarked_are_found(faults: &Faults) -> bool {
        let usable = control_group().is_some();
        if !usable {
            let what = "processes that cleared their environment aren't looked for after the guardian's death";
            faults.tally.skip(format!("{what}: no cgroup v2 that can be written"));
        }
        usable
    }

    /// The folder of this process's control group of version 2, if groups can be made there.
    fn control_group() -> Option<PathBuf> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?.to_owned();
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
        let probe = PathBuf::from(mount).join(own).join(format!("faults-{}", std::process::id()));
        std::fs::create_dir(&probe).ok()?;
        std::fs::remove_dir(&probe).ok()?;
        Some(probe)
    }

    pub fn guardian(faults: &Faults) {
        let mut dice = faults.dice(0);
        let all = unmarked_are_found(faults);
        let mut scene = Scene::new(2);
        for kill in 0..faults.of(4, 40) {
            let (mut runner, when) = begun(faults, &mut scene, &mut dice);
            let what = format!("guardian {kill} killed {when}");
            let guardians = remains::guardians(runner.id());
            guardians.iter().for_each(|pid| remains::kill(pid));
            faults.tally.count("guardians killed", guardians.len());
            let code = wait(&mut runner);
            faults.tally.check(matches!(code, Some(0 | 1)), || {
                format!("{what}: the runner ended with {code:?}\n{}", scene.stderr())
            });
            scene.expect_ends(faults, &what, |run| all || run.is_some());
            scene.end_the_rest();
            scene.expect_to_work(faults, &what);
            scene.audit(faults, &what);
        }
        scene.audit(faults, "at the end").count(faults);
    }

    pub fn both(faults: &Faults) {
        let mut dice = faults.dice(0);
        let all = unmarked_are_found(faults);
        let mut scene = Scene::new(2);
        for kill in 0..faults.of(4, 40) {
            let (mut runner, when) = begun(faults, &mut scene, &mut dice);
            let what = format!("both {kill} killed {when}");
            let guardians = remains::guardians(runner.id());
            // Either may be the first to go.
            if dice.one_in(2) {
                guardians.iter().for_each(|pid| remains::kill(pid));
                runner.kill().unwrap();
            } else {
                runner.kill().unwrap();
                guardians.iter().for_each(|pid| remains::kill(pid));
            }
            runner.wait().unwrap();
            faults.tally.count("pairs killed", guardians.len().min(1));
            scene.remember();
            let runs = scene.run_ids();
            // Nobody was there to end them, so the next run has to.
            scene.expect_to_work(faults, &what);
            scene.expect_ends(faults, &what, |run| run.map_or(all, |run| runs.contains(run)));
            scene.end_the_rest();
            scene.audit(faults, &what);
        }
        scene.audit(faults, "at the end").count(faults);
    }

    pub fn term(faults: &Faults) {
        use rustix::process::{Pid, Signal, kill_process};
        let mut dice = faults.dice(0);
        let mut scene = Scene::new(2);
        for request in 0..faults.of(4, 40) {
            let runs = scene.run_ids().len();
            let (mut runner, when) = begun(faults, &mut scene, &mut dice);
            let what = format!("request {request} {when}");
            let _ = kill_process(Pid::from_child(&runner), Signal::TERM);
            faults.tally.count("requests to end", 1);
            let begin = Instant::now();
            let code = wait(&mut runner);
            faults.tally.time("to the runner's end", begin.elapsed());
            // Before it listens to signals it has not begun anything.
            let nothing_begun = code.is_none() && scene.run_ids().len() == runs;
            faults.tally.check(matches!(code, Some(0 | 1 | 130)) || nothing_begun, || {
                format!("{what}: the runner ended with {code:?}\n{}", scene.stderr())
            });
            scene.expect_ends(faults, &what, |_| true);
            scene.expect_to_work(faults, &what);
            scene.audit(faults, &what);
        }
        scene.audit(faults, "at the end").count(faults);
    }
}

#[cfg(not(target_os = "linux"))]
pub fn guardian(faults: &crate::Faults) {
    faults.tally.skip("there is no guardian on this system");
}

#[cfg(not(target_os = "linux"))]
pub fn both(faults: &crate::Faults) {
    faults.tally.skip("there is no guardian on this system");
}

#[cfg(not(target_os = "linux"))]
pub fn term(faults: &crate::Faults) {
    faults.tally.skip("there are no signals on this system");
}

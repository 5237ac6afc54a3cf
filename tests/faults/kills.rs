//! Runners killed at random instants: only the runner, so that whoever it leaves behind has to see to the rest.

use std::time::{Duration, Instant};

use crate::Faults;
use crate::dice::Dice;
use crate::scene::Scene;

/// Scenes side by side. Each has three projects side by side.
const LANES: u64 = 2;

/// Kills in one folder, before a new one is made.
const IN_A_SCENE: usize = 8;

pub fn kills(faults: &Faults) {
    let each = faults.of(7, 160);
    faults.in_lanes(LANES, each, IN_A_SCENE, one_scene);
    #[cfg(windows)]
    faults.tally.skip("descendants are known by the process ids that they write only: there is no /proc");
}

fn one_scene(faults: &Faults, dice: &mut Dice, kills: usize) {
    let mut scene = Scene::new(3);
    for kill in 0..kills {
        scene.choose(dice, 4);
        let instant = match dice.below(4) {
            // While it starts, and recovers what the one before it left.
            0 => dice.pause(Duration::from_millis(60)),
            _ => dice.pause(Duration::from_millis(1800)),
        };
        let what = format!("kill {kill} after {} ms", instant.as_millis());
        killed(faults, &mut scene, instant, &what);
        match dice.below(3) {
            // The next one at once, while the processes of the dead one may still be ending.
            0 => {
                let runs = scene.run_ids();
                scene.expect_to_work(faults, &what);
                scene.expect_ends(faults, &what, |run| run.is_none_or(|run| runs.contains(run)));
            }
            1 => {
                scene.expect_ends(faults, &what, |_| true);
                scene.expect_to_work(faults, &what);
            }
            // None at all: the next one to be killed finds the remains of two.
            _ => {
                scene.expect_ends(faults, &what, |_| true);
                continue;
            }
        }
        scene.audit(faults, &what);
    }
    scene.expect_to_work(faults, "the last run");
    scene.audit(faults, "the last run").count(faults);
}

/// Starts a runner and kills it at this instant, or sees that it ended before.
fn killed(faults: &Faults, scene: &mut Scene, instant: Duration, what: &str) {
    let begin = Instant::now();
    let mut runner = scene.start();
    std::thread::sleep(instant.saturating_sub(begin.elapsed()));
    let ended = runner.try_wait().unwrap();
    if let Some(status) = ended {
        faults.tally.count("ended before", 1);
        faults.tally.check(matches!(status.code(), Some(0 | 1)), || {
            format!("{what}: it had ended with {:?}\n{}", status.code(), scene.stderr())
        });
    } else {
        runner.kill().unwrap();
        runner.wait().unwrap();
        faults.tally.count("kills", 1);
    }
    scene.remember();
}

//! What becomes of a script's descendants: found, named, and ended or left as `on_leak` has it.

use serde_json::json;

use crate::harness::{Project, Test, lives, wait_for};

#[track_caller]
fn read(project: &Project, file: &str) -> String {
    std::fs::read_to_string(project.root.join(file)).unwrap()
}

#[track_caller]
fn expect_end_of(project: &Project, file: &str) {
    let pid = read(project, file);
    wait_for(&format!("the end of {file}"), || (!lives(&pid)).then_some(()));
}

/// Ends a process that a test had left to go on.
fn end(pid: &str) {
    let mut command = if cfg!(windows) {
        let mut command = std::process::Command::new("taskkill");
        command.args(["/f", "/pid", pid.trim()]);
        command
    } else {
        let mut command = std::process::Command::new("kill");
        command.args(["-9", pid.trim()]);
        command
    };
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_may_go_on_outlives_script_and_runner() {
    let test = Test::new();
    let left = json!({"on_leak": "leave", "leak_timeout": "100ms"});
    let project = test
        .project("p")
        .script_with("holds.txt", "leave-holding pid1 300\nprint done", left.clone())
        .script_with("leaves.txt", "leave pid2 300", left)
        .script_with("ends.txt", "leave pid3 300", json!({"leak_timeout": "100ms"}))
        .script("after.txt", "print after");
    let run = test.runner(["run", "p"]).expect(0);
    for (index, file, left) in [(0, "pid1", true), (1, "pid2", true), (2, "pid3", false)] {
        let pid = read(&project, file);
        assert_eq!(lives(&pid), left, "{file}");
        let leaked = project.ends()[index]["leaked"].clone();
        assert_eq!(leaked.as_array().unwrap().len(), 1, "{leaked}");
        assert_eq!(leaked[0]["pid"].to_string(), pid, "{leaked}");
        assert_eq!(leaked[0]["left"].as_bool().unwrap_or_default(), left, "{leaked}");
        if left {
            end(&pid);
        }
    }
    assert_eq!(project.ends()[3]["leaked"], json!(null));
    assert_eq!(project.output_text(0), "done\n");
    assert!(run.stdout.contains("which goes on") && run.stdout.contains("which was ended"), "{}", run.stdout);
}

#[test]
fn leaving_something_behind_can_be_a_failure() {
    let test = Test::new();
    let project = test
        .project("p")
        .set("on_leak", "FAIL")
        .set("leak_timeout", "100ms")
        .script("leaves.txt", "leave pid1 300")
        .script("fails.txt", "leave pid2 300\nexit 3")
        .script("fine.txt", "print fine");
    test.runner(["run", "p"]).expect(1);
    assert_eq!(
        project.log_ends(),
        ["leaves.txt - failure - left a process behind", "fails.txt - failure - exit code 3", "fine.txt - success"]
    );
    assert_eq!(project.ends()[0]["outcome"], json!({"kind": "left_behind", "processes": 1, "code": 0}));
    expect_end_of(&project, "pid1");
    expect_end_of(&project, "pid2");
}

#[test]
fn after_a_timeout_everything_is_ended_whatever_the_policy() {
    let test = Test::new();
    let limit = if cfg!(windows) { "10s" } else { "3s" };
    let keys = json!({"timeout": limit, "kill_grace": "100ms", "on_leak": "leave"});
    let project = test.project("p").script_with(
        "a.txt",
        "ignore-requests-to-end\nleave-holding pid1 300\nleave-detached pid2 300\npid pid3\nsleep 300",
        keys,
    );
    test.runner(["run", "p"]).expect(1);
    assert_eq!(project.ends()[0]["outcome"]["kind"], "timeout");
    for file in ["pid1", "pid2", "pid3"] {
        expect_end_of(&project, file);
    }
}

// What only a guardian can do, and signals, which there are none of elsewhere.
#[cfg(target_os = "linux")]
mod on_linux {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::harness::{finish, wait_for_file};

    /// The processes whose program is the subject and whose working directory is the project's.
    fn processes_of(project: &Project) -> Vec<String> {
        let root = std::fs::canonicalize(&project.root).unwrap();
        let pids = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
        let pids = pids.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.parse::<u32>().is_ok());
        pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == root)).collect()
    }

    #[track_caller]
    fn signal(pid: &str, number: &str) {
        assert!(Command::new("kill").args([number, pid.trim()]).status().unwrap().success(), "{number} {pid}");
    }

    #[test]
    fn what_may_go_on_outlives_a_runner_that_is_killed() {
        let test = Test::new();
        let project = test
            .project("p")
            .script_with("leaves.txt", "daemon pid1 300", json!({"on_leak": "leave", "leak_timeout": "50ms"}))
            .script("next.txt", "ignore-requests-to-end\nleave-detached pid2 300\npid pid3\nsleep 300");
        let mut runner = test.start(["run", "p"]);
        wait_for_file(&project.root.join("pid3"));
        let guardian = guardian_of(&runner);
        runner.kill().unwrap();
        runner.wait().unwrap();
        expect_end_of(&project, "pid2");
        expect_end_of(&project, "pid3");
        wait_for("the guardian's end", || (!lives(&guardian)).then_some(()));
        let left = read(&project, "pid1");
        assert!(lives(&left), "it was to go on");
        // Nor does the next runner take it for a dead one's.
        std::fs::remove_file(project.root.join("pid1")).unwrap();
        test.project("q").script("a.txt", "print a").script("b.txt", "print b");
        test.runner(["run", "q"]).expect(0);
        assert!(lives(&left), "it was to go on");
        end(&left);
    }

    #[test]
    fn however_a_process_hides_it_is_named_in_the_report_of_its_own_project() {
        let test = Test::new();
        let mut projects = Vec::new();
        for name in ["a", "b"] {
            // Both live until both have a daemon, and a short script of the other's ends meanwhile.
            let other = if name == "a" { "b" } else { "a" };
            let project = test
                .project(name)
                .script("short.txt", "print short")
                .script("hides.txt", &format!("daemon pid 300\nwait-for ../{other}/pid\nsleep 0.1"))
                .script("after.txt", "print after");
            projects.push(project);
        }
        test.runner(["run", "--jobs", "2", "a", "b"]).expect(0);
        for project in &projects {
            let pid = read(project, "pid");
            let named: Vec<String> = project.ends().iter().map(|end| end["leaked"][0]["pid"].to_string()).collect();
            if scripts_have_cgroups() {
                assert_eq!(named, ["null", &pid, "null"], "{}", project.name());
            } else {
                // It can't be told whose it is, unless it began when the other project was between two scripts.
                assert!(named == ["null"; 3] || named == ["null", &pid, "null"], "{named:?}, not {pid}");
            }
            expect_end_of(project, "pid");
        }
    }

    /// Whether this account may make cgroups where the tests run.
    fn scripts_have_cgroups() -> bool {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).map(str::to_owned);
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
        let (Some(own), Some(mount)) = (own, mount) else { return false };
        let tried = std::path::Path::new(mount).join(own).join(format!("tried-by-a-test-{}", std::process::id()));
        std::fs::create_dir(&tried).is_ok() && std::fs::remove_dir(&tried).is_ok()
    }

    /// The runner's only child.
    fn guardian_of(runner: &std::process::Child) -> String {
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", runner.id())).unwrap()
    }

    #[test]
    fn a_killed_guardian_takes_along_what_hides() {
        if !scripts_have_cgroups() {
            println!("skipped: nothing tells of what hides, where no cgroups can be made");
            return;
        }
        let test = Test::new();
        let project = test.project("p").script("a.txt", "daemon pid1 300\npid pid2\nsleep 300").script("b.txt", "");
        let runner = test.start(["run", "p"]);
        wait_for_file(&project.root.join("pid2"));
        signal(&guardian_of(&runner), "-9");
        finish(runner).expect(1);
        assert!(!lives(&read(&project, "pid1")));
        assert_eq!(project.log_ends()[1], "b.txt - success");
    }

    #[test]
    fn what_a_dead_runner_and_a_dead_guardian_have_left_is_ended_by_the_next_run() {
        if !scripts_have_cgroups() {
            println!("skipped: nothing tells of what hides, where no cgroups can be made");
            return;
        }
        let test = Test::new();
        let project = test.project("p").script("a.txt", "daemon pid1 300\npid pid2\nsleep 300");
        let mut runner = test.start(["run", "p"]);
        wait_for_file(&project.root.join("pid2"));
        // It mustn't see to it itself.
        signal(&runner.id().to_string(), "-STOP");
        signal(&guardian_of(&runner), "-9");
        runner.kill().unwrap();
        runner.wait().unwrap();
        test.project("q").script("a.txt", "sleep 0.1");
        test.runner(["run", "q"]).expect(0);
        expect_end_of(&project, "pid1");
        expect_end_of(&project, "pid2");
    }

    #[test]
    fn a_script_that_will_not_end_is_ended_with_all_it_starts_while_dying() {
        let cases = [
            "ignore-requests-to-end\ntouch started\nsleep 60",
            "block-requests-to-end\nleave-holding pid 60\ntouch started\nsleep 60",
            "touch started\nhand-over-when-asked 20",
            "touch started\nkeep-handing-over 20",
        ];
        for case in cases {
            let test = Test::new();
            let keys = json!({"timeout": "3s", "kill_grace": "200ms"});
            let project = test.project("p").script_with("a.txt", case, keys).script("b.txt", "print on");
            test.runner(["run", "p"]).expect(1);
            assert!(project.root.join("started").exists());
            assert!(
                project.log_ends()[0].starts_with("a.txt - failure - timeout after 3 s"),
                "{:?}",
                project.log_ends()
            );
            assert_eq!(project.log_ends()[1], "b.txt - success", "{case}");
            assert_eq!(processes_of(&project), [""; 0], "{case}");
        }
    }

    #[test]
    fn output_is_still_read_while_a_script_is_given_its_grace() {
        let test = Test::new();
        let keys = json!({"timeout": "3s", "kill_grace": "1m"});
        // More than a pipe holds, after it was asked: it ends only if somebody reads.
        let project = test.project("p").script_with("a.txt", "when-asked-flood 3000000\nsleep 60", keys);
        test.runner(["run", "p"]).expect(1);
        assert_eq!(project.log_ends(), ["a.txt - failure - timeout after 3 s"]);
        assert_eq!(project.ends()[0]["output"]["bytes"], 3_000_000);
    }

    #[test]
    fn a_duration_is_the_scripts_own_however_late_the_runner_hears_of_its_end() {
        let test = Test::new();
        let project = test.project("p").script("a.txt", "pid pid\nwait-for go");
        let begin = Instant::now();
        let runner = test.start(["run", "p"]);
        let pid = wait_for_file(&project.root.join("pid"));
        let runner_id = runner.id().to_string();
        signal(&runner_id, "-STOP");
        std::fs::write(project.root.join("go"), "").unwrap();
        wait_for("the script's end", || (!lives(&pid)).then_some(()));
        let longest = begin.elapsed();
        // The runner sleeps on while the clock goes.
        std::thread::sleep(Duration::from_secs(1));
        signal(&runner_id, "-CONT");
        finish(runner).expect(0);
        let recorded = Duration::from_micros(project.ends()[0]["duration_us"].as_u64().unwrap());
        assert!(recorded <= longest, "{recorded:?}, but it had ended after {longest:?}");
    }

    #[test]
    fn one_that_cannot_be_ended_soon_does_not_hold_up_another() {
        let test = Test::new();
        let slow = json!({"timeout": "300ms", "kill_grace": "0s"});
        let a = test.project("a").script_with("a.txt", "keep-handing-over 5", slow.clone());
        let mut b = test.project("b");
        for n in 0..20 {
            b = b.script(&format!("{n}.txt"), "print on");
        }
        test.runner(["run", "--jobs", "2", "a", "b"]).expect(1);
        assert_eq!(a.ends()[0]["outcome"]["kind"], "timeout");
        assert_eq!(b.ends().iter().filter(|end| end["outcome"]["kind"] == "success").count(), 20);
        assert_eq!(processes_of(&a), [""; 0]);
    }
}

//! What becomes of a run when things around it go wrong.

use crate::harness::Test;

#[test]
fn a_selection_of_nothing_is_refused() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch ran").script("b.txt", "");
    let run = test.runner(["run", "p", "--only", "a.txt", "--from", "b.txt"]).expect(2);
    assert!(run.stderr.contains("p has nothing to run: what `--only` names comes before `b.txt`"), "{}", run.stderr);
    assert!(!project.root.join("ran").exists() && project.run_dirs().is_empty());
}

#[test]
fn a_secret_that_no_program_can_be_given_is_not_shown() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "").file(".env", "TOKEN=geh\0eim\n");
    let run = test.runner(["run", "p"]).expect(2);
    assert!(run.stderr.contains("the value of TOKEN contains a NUL byte"), "{}", run.stderr);
    assert!(!run.stderr.contains("eim"), "{}", run.stderr);
    assert!(project.run_dirs().is_empty());
}

// Signals from outside, and the guardian: there are none elsewhere.
#[cfg(target_os = "linux")]
mod on_linux {
    use std::net::TcpListener;
    use std::process::Command;

    use super::*;
    use crate::harness::{finish, lives, wait_for, wait_for_file};

    #[test]
    fn a_mail_under_way_does_not_hold_whoever_interrupts() {
        let test = Test::new();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let project = test.project("p").script("a.txt", "print a").set("email_strategy", "all");
        let mut command = test.command(["run", "p"]);
        command.env("LOGIN_MAIL", "runs@example.test").env("PASSWORD_MAIL", "x");
        command.env("MAIL_HOST", "127.0.0.1").env("MAIL_PORT", port.to_string()).env("MAIL_TLS", "none");
        let runner = command.spawn().unwrap();
        // Whoever has called waits for a greeting that never comes.
        let (_caller, _) = silent.accept().unwrap();
        assert!(Command::new("kill").args(["-2", &runner.id().to_string()]).status().unwrap().success());
        let begin = std::time::Instant::now();
        let run = finish(runner).expect(130);
        assert!(begin.elapsed().as_secs() < 20, "it waited for the deadline");
        assert!(run.stderr.contains("the mail waits to be sent"), "{}", run.stderr);
        assert!(project.run_dir().join("mail.eml").exists());
        assert_eq!(project.log_ends(), ["a.txt - success"]);
    }

    #[test]
    fn a_killed_guardian_takes_its_script_along_and_is_replaced() {
        let test = Test::new();
        let project = test
            .project("p")
            .script("a.txt", "ignore-requests-to-end\nleave-holding pid1 300\npid pid2\nsleep 300")
            .script("b.txt", "print on");
        let runner = test.start(["run", "p"]);
        wait_for_file(&project.root.join("pid2"));
        let children = format!("/proc/{0}/task/{0}/children", runner.id());
        let guardian = std::fs::read_to_string(children).unwrap();
        assert!(Command::new("kill").args(["-9", guardian.trim()]).status().unwrap().success());
        let run = finish(runner).expect(1);
        for file in ["pid1", "pid2"] {
            let pid = std::fs::read_to_string(project.root.join(file)).unwrap();
            wait_for(file, || (!lives(&pid)).then_some(()));
        }
        let ends = project.log_ends();
        assert!(ends[0].starts_with("a.txt - failure - interrupted"), "{ends:?}");
        assert_eq!(ends[1], "b.txt - success");
        assert!(run.stderr.contains("guardian process was ended"), "{}", run.stderr);
    }

    #[test]
    fn what_nohup_shields_from_is_survived() {
        let test = Test::new();
        let project = test.project("p").script("a.txt", "touch started\nwait-for go");
        let command = test.command(["run", "p"]);
        let mut nohup = Command::new("nohup");
        nohup.arg(command.get_program()).args(command.get_args()).current_dir(command.get_current_dir().unwrap());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => nohup.env(name, value),
                None => nohup.env_remove(name),
            };
        }
        nohup.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        let runner = nohup.stderr(std::process::Stdio::piped()).spawn().unwrap();
        wait_for_file(&project.root.join("started"));
        assert!(Command::new("kill").args(["-1", &runner.id().to_string()]).status().unwrap().success());
        std::fs::write(project.root.join("go"), "").unwrap();
        finish(runner).expect(0);
        assert_eq!(project.log_ends(), ["a.txt - success"]);
    }
}

#[test]
fn what_one_script_prints_never_reaches_anothers_output() {
    // Around the sizes of pipes and of pieces read at once, and between them nothing, and a failure to start.
    const SIZES: [usize; 8] = [0, 1, 4095, 65_536, 65_537, 262_144, 1_048_576, 1_400_000];
    let test = Test::new();
    let mut projects = Vec::new();
    for name in ["a", "b"] {
        let mut project = test.project(name);
        for n in 0..32 {
            let size = SIZES[n % SIZES.len()];
            let verbs =
                if size == 0 { String::new() } else { format!("write <{name}{n}>\nflood {size}\nwrite </{name}{n}>") };
            project = project.script(&format!("s{n}.txt"), &verbs);
        }
        projects.push(project);
    }
    test.runner(["run", "-q", "--jobs", "2", "a", "b"]).expect(0);
    for project in projects {
        let name = project.name();
        for n in 0..32 {
            let output = project.output(n);
            let size = SIZES[n % SIZES.len()];
            if size == 0 {
                assert!(output.is_empty(), "{name}{n}: {} bytes", output.len());
                continue;
            }
            let (begin, end) = (format!("<{name}{n}>"), format!("</{name}{n}>"));
            assert_eq!(output.len(), size + begin.len() + end.len(), "{name}{n}");
            assert!(output.starts_with(begin.as_bytes()) && output.ends_with(end.as_bytes()), "{name}{n}");
        }
    }
}

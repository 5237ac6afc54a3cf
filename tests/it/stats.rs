//! What is learned from past runs: what is unusual now, and the statistics of each script.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Project, Test};

const SECOND: u64 = 1_000_000;

/// Gives a project that ran once so many more runs, in which each script succeeded and took this long (microseconds,
/// in the order of the scripts).
fn with_past(test: &Test, project: &Project, runs: u32, durations_us: &[u64]) {
    let run_dir = project.run_dir();
    let id = run_dir.file_name().unwrap().to_str().unwrap();
    let text = std::fs::read_to_string(run_dir.join("events.jsonl")).unwrap();
    for n in 0..runs {
        let other = format!("{n:013x}");
        let mut events = String::new();
        for line in text.lines() {
            let mut event: Value = serde_json::from_str(&line.replace(id, &other)).unwrap();
            if event["event"] == "script_finished" {
                let index = usize::try_from(event["index"].as_u64().unwrap()).unwrap();
                event["duration_us"] = json!(durations_us[index]);
            }
            events.push_str(&format!("{event}\n"));
        }
        let folder = run_dir.with_file_name(&other);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("events.jsonl"), events).unwrap();
    }
    let known = test.runner(["history", &project.name(), "--json", "-n", "1000"]).expect(0).json();
    assert_eq!(known.len(), runs as usize + 1);
}

fn only_file(folder: &Path) -> String {
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    std::fs::read_to_string(&files[0]).unwrap()
}

#[test]
fn a_script_that_is_slower_or_quicker_than_usual_is_told_of() {
    let test = Test::new();
    let project = test
        .project("p")
        .set("email_strategy", "all")
        .script("quick.txt", "print a")
        .script("slow.txt", "print b")
        .script("steady.txt", "print c")
        .script("failing.txt", "print d");
    test.runner(["run", "p", "--no-mail"]).expect(0);
    with_past(&test, &project, 8, &[300 * SECOND, 1000, 1_900_000, 300 * SECOND]);

    std::fs::write(project.root.join("slow.txt"), "sleep 1.5").unwrap();
    std::fs::write(project.root.join("failing.txt"), "exit 1").unwrap();
    let run = test.runner(["run", "p", "--mail-dir", "mails"]).expect(1);
    let told: Vec<&str> = run.stdout.lines().filter(|line| line.contains("unusual:")).collect();
    assert_eq!(told.len(), 2, "{}", run.stdout);
    assert!(told[0].contains("quick.txt took ") && told[0].ends_with(", usually 5 min"), "{told:?}");
    assert!(told[1].contains("slow.txt took ") && told[1].ends_with(", usually 1 ms"), "{told:?}");
    let log = project.log_ends();
    assert_eq!(log[4..].iter().filter(|end| end.ends_with("success")).count(), 3, "the log has no word of it: {log:?}");
    assert_eq!(log.len(), 8);

    let newest = test.runner(["history", "p", "--json", "-n", "1"]).expect(0).json();
    let newest = newest[0]["run_id"].as_str().unwrap();
    assert!(test.runner(["history", "p", "-n", "1"]).expect(0).stdout.contains("1 slow, 1 quick"));
    let shown = test.runner(["show", newest]).expect(0).stdout;
    assert!(shown.contains("\nslow.txt: success\n  unusual: took ") && shown.contains(", usually 5 min"), "{shown}");
    let report = &test.runner(["show", newest, "--json"]).expect(0).json()[0];
    let pace = |at: usize| report["scripts"][at]["usual"]["pace"].clone();
    assert_eq!([pace(0), pace(1), pace(2), pace(3)], [json!("quick"), json!("slow"), json!("usual"), Value::Null]);
    assert_eq!(report["scripts"][0]["usual"]["usual_us"], json!(300 * SECOND));
    let mail = only_file(&test.path("mails"));
    assert!(mail.contains("usually 5 min") && mail.contains("usually 1 ms"), "{mail}");

    let quiet = test.runner(["run", "p", "--no-mail", "-q"]).expect(1).stdout;
    assert!(!quiet.contains("unusual"), "{quiet}");
}

#[test]
fn nothing_is_unusual_before_there_is_a_past() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a");
    test.runner(["run", "p"]).expect(0);
    with_past(&test, &project, 2, &[300 * SECOND]);
    let events = test.runner(["run", "p", "--json"]).expect(0).json();
    let end = events.iter().find(|event| event["event"] == "script_finished").unwrap();
    assert_eq!(end.get("usual"), None, "three runs tell nothing");
}

#[test]
fn the_statistics_of_each_script_suggest_a_timeout() {
    let test = Test::new();
    let project = test
        .project("p")
        .script_with("a.txt", "print a", json!({"timeout": 90, "name": "the first"}))
        .script("b.txt", "print b");
    test.runner(["run", "p"]).expect(0);
    with_past(&test, &project, 9, &[100 * SECOND, SECOND]);
    std::fs::write(project.root.join("b.txt"), "exit 3").unwrap();
    test.runner(["run", "p"]).expect(1);

    for args in
        [&["stats", "--json"][..], &["stats", "p", "--json"], &["stats", project.root.to_str().unwrap(), "--json"]]
    {
        let stats = test.runner(args).expect(0).json();
        assert_eq!(stats.len(), 2, "{args:?}");
        let (first, second) = (&stats[0], &stats[1]);
        assert_eq!([&first["name"], &first["script"], &first["project"]], ["the first", "a.txt", "p"]);
        assert_eq!(
            [&first["runs"], &first["succeeded"], &first["success_rate"]],
            [&json!(11), &json!(11), &json!(1.0)]
        );
        assert_eq!([&first["median_seconds"], &first["longest_seconds"]], [100.0, 100.0]);
        assert_eq!([&first["timeout_seconds"], &first["suggested_timeout_seconds"]], [&json!(90.0), &json!(300)]);
        assert_eq!([&second["runs"], &second["succeeded"]], [11, 10]);
        assert_eq!([&second["last_outcome"], &second["timeout_seconds"]], [&json!("exit_code"), &Value::Null]);
    }
    let table = test.runner(["stats"]).expect(0).stdout;
    assert!(table.contains("90 s") && table.contains("5 min") && table.contains("90%"), "{table}");
    assert_eq!(test.runner(["stats", "-n", "1", "--json"]).expect(0).json()[1]["runs"], 1);

    // A project file that can't be read takes away only what is in it.
    let _project = project.file("exec_config.json", "{");
    assert_eq!(test.runner(["stats", "p", "--json"]).expect(0).json()[0]["timeout_seconds"], Value::Null);
    let unknown = test.runner(["stats", "q"]).expect(2);
    assert!(unknown.stderr.contains("no project `q` is known"), "{}", unknown.stderr);
}

#[test]
fn a_limit_that_is_set_needs_no_past() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "sleep 0.3").script("b.txt", "print b");
    let mut project = project_runner::load_config(&project.root).unwrap();
    project.scripts[0].settings.slow_after = Some(std::time::Duration::from_millis(200));
    project.scripts[1].settings.slow_after = Some(std::time::Duration::from_secs(3600));
    let options = project_runner::RunOptions {
        mail: project_runner::MailDelivery::Off,
        history: project_runner::History::Off,
        ..Default::default()
    };
    let run = project_runner::Runner::new(project).run(options).unwrap();
    let remark = run.report.scripts[0].pace_remark().unwrap();
    assert!(remark.ends_with(", more than the 200 ms of slow_after"), "{remark}");
    assert_eq!(run.report.scripts[1].usual, None);
}

//! Whole entries: as an administrator would see them, and as the systems' own tools take them.

use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::tz::TimeZone;

use super::crontab::{block, blocks, with_block, without_block};
use super::tests::{cron_in, now, zone};
use super::{Host, Setting, Subject, task, units};
use crate::model::Project;
use crate::schedule::{Schedule, Trigger};

fn project(keys: serde_json::Value, root: &str) -> Project {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("load.sh"), "").unwrap();
    let mut config = serde_json::json!({
        "scripts": ["load.sh"], "python_command": std::env::current_exe().unwrap(), "recipients": [], "email_strategy": "none",
        "include_traceback": true, "logs_backup_count": 4,
    });
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    std::fs::write(folder.path().join("exec_config.json"), config.to_string()).unwrap();
    let mut project = crate::load_config(folder.path()).unwrap();
    project.root = PathBuf::from(root);
    project.name = root.rsplit(['/', '\\']).next().unwrap().to_owned();
    project
}

fn schedule(name: &str, trigger: Trigger) -> Schedule {
    Schedule {
        name: name.into(),
        definition: format!("the trigger of {name}"),
        trigger,
        zone: zone("Europe/Paris"),
        jitter: jiff::SignedDuration::ZERO,
        misfire_grace: None,
        coalesce: true,
    }
}

fn on_linux() -> Setting {
    Setting {
        runner: "/usr/local/bin/runner".into(),
        state_dir: "/var/lib/project-runner".into(),
        system_wide: true,
        account: None,
        own_account: "root".into(),
        wake: false,
        path: Some("/usr/local/bin:/usr/bin:/bin".into()),
        zone: zone("Europe/Paris"),
        now: now(),
    }
}

fn on_windows() -> Setting {
    Setting {
        runner: r"C:\Program Files\runner\runner.exe".into(),
        state_dir: r"C:\ProgramData\project-runner".into(),
        system_wide: false,
        account: None,
        own_account: r"OFFICE\reports".into(),
        wake: true,
        path: None,
        ..on_linux()
    }
}

/// With what a run needs an hour and more for: a timeout, retries.
fn limited(root: &str) -> Project {
    project(serde_json::json!({"timeout": "20m", "retries": {"count": 2, "delay": "1m"}}), root)
}

#[test]
fn units_as_they_are_written() {
    let mut odd = schedule(
        "each.morning",
        Trigger::Any(vec![cron_in("0 6 * * mon-fri", "Europe/Paris"), cron_in("0 9 LW * *", "Europe/Paris")]),
    );
    odd.jitter = jiff::SignedDuration::from_mins(5);
    let setting = Setting { account: Some("reports".into()), wake: true, ..on_linux() };
    let of = Subject { project: &limited("/srv/100 % of \"my\" $jobs/reports"), schedule: &odd };
    let found = units::units(of, &setting).unwrap();
    insta::assert_snapshot!(
        "units",
        format!("# {0}.timer\n{1}\n# {0}.service\n{2}", found.name, found.timer, found.service)
    );
    for unit in [&found.timer, &found.service] {
        let label = units::label(unit).unwrap();
        assert_eq!(label.project, "/srv/100 % of \"my\" $jobs/reports");
        assert_eq!((label.schedule.as_str(), label.edited), ("each.morning", false));
        assert_eq!(label.definition, of.fingerprint(Host::Systemd, &TimeZone::UTC));
        assert!(units::label(&unit.replace("[Unit]", "[Unit]\n# by hand")).unwrap().edited);
    }
    assert_eq!(units::label("[Unit]\nDescription=another's\n"), None);
}

#[test]
fn units_pass_systemds_own_check() {
    let version = Command::new("systemd-analyze").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no systemd-analyze here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("100 % of \"my\" $jobs");
    std::fs::create_dir(&root).unwrap();
    let mut of = schedule("1", cron_in("*/20 8-17 * * mon-fri", "Europe/Paris"));
    of.jitter = jiff::SignedDuration::from_millis(1500);
    // A program that exists, as the check looks for it.
    let setting = Setting { runner: "/bin/true".into(), account: Some("root".into()), wake: true, ..on_linux() };
    let project = project(serde_json::json!({}), root.to_str().unwrap());
    let found = units::units(Subject { project: &project, schedule: &of }, &setting).unwrap();
    let (timer, service) =
        (folder.path().join(format!("{}.timer", found.name)), folder.path().join(format!("{}.service", found.name)));
    std::fs::write(&timer, &found.timer).unwrap();
    std::fs::write(&service, &found.service).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").args([&timer, &service]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // What it says of other units of the machine is not ours.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("runner-")).collect();
    assert!(ours.is_empty(), "{said}");
}

#[test]
fn a_crontab_keeps_what_others_wrote() {
    let setting = Setting { system_wide: false, ..on_linux() };
    let own = schedule("1", cron_in("*/15 8-17 * * mon-fri", "Europe/Paris"));
    let project = limited("/srv/100 % it's/reports");
    let of = Subject { project: &project, schedule: &own };
    let text = block(of, &setting).unwrap();
    insta::assert_snapshot!("crontab", text);
    let name = of.name();
    for before in ["", "MAILTO=me\n0 1 * * * true\n", "# no end of line"] {
        let with = with_block(before, &name, &text);
        assert!(with.starts_with(before) && with.ends_with(&text), "{with}");
        assert_eq!(with_block(&with, &name, &text), with, "again");
        let more = with.clone() + "5 5 * * * mine\n";
        let label = &blocks(&more)[0];
        assert_eq!((label.0.as_str(), label.1.edited), (name.as_str(), false));
        assert_eq!((label.1.project.as_str(), label.1.schedule.as_str()), ("/srv/100 % it's/reports", "1"));
        let edited = more.replace("*/15", "*/20");
        assert!(blocks(&edited)[0].1.edited);
        let without = without_block(&more, &name);
        let newline = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
        assert_eq!(without, format!("{before}{newline}5 5 * * * mine\n"));
    }
    let cut = with_block("0 1 * * * true\n", &name, &text).lines().take(4).collect::<Vec<_>>().join("\n") + "\n";
    assert_eq!(without_block(&cut, &name), "0 1 * * * true\n", "without its end");
}

#[test]
fn the_command_of_a_crontab_is_what_sh_makes_of_it() {
    // Wine shows the system's own, and can't start it.
    if cfg!(windows) || !Path::new("/bin/sh").exists() {
        eprintln!("skipped: there is no /bin/sh here");
        return;
    }
    let setting = Setting {
        system_wide: false,
        runner: "/bin/echo".into(),
        state_dir: "/a 'b' $HOME `id`".into(),
        path: None,
        ..on_linux()
    };
    let own = schedule("1", cron_in("0 6 * * *", "Europe/Paris"));
    let of = Subject { project: &project(serde_json::json!({}), "/srv/50%/x"), schedule: &own };
    let text = block(of, &setting).unwrap();
    let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
    let command = line.strip_prefix("0 6 * * * ").unwrap().replace("\\%", "%");
    let output = Command::new("/bin/sh").arg("-c").arg(command).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let entry = of.fingerprint(Host::Cron, &setting.zone);
    let expected = "--state-dir /a 'b' $HOME `id` run /srv/50%/x --scheduled 1 --keeper cron --entry";
    assert_eq!(said, format!("{expected} {entry} --quiet\n"));
}

fn tasks() -> Vec<(&'static str, String)> {
    let made = |root: &str, trigger: Trigger, jitter: i64, setting: &Setting| {
        let mut own = schedule("each.morning", trigger);
        own.jitter = jiff::SignedDuration::from_secs(jitter);
        let project = limited(root);
        task::task(Subject { project: &project, schedule: &own }, setting, "UTF-8").unwrap()
    };
    let with_password = Setting { account: Some(r"OFFICE\batch".into()), ..on_windows() };
    let system = Setting { account: Some("SYSTEM".into()), wake: false, ..on_windows() };
    let many = Trigger::Any(vec![
        cron_in("*/20 8-17 * * mon-fri", "Europe/Paris"),
        cron_in("0 6 1,15,L * *", "Europe/Paris"),
        cron_in("30 7 * mar,sep fri#2,monL", "Europe/Paris"),
        cron_in("*/15 * * * *", "Europe/Paris"),
        Trigger::At("2026-12-01T06:00:00Z".parse().unwrap()),
    ]);
    vec![
        ("task", made(r"C:\Jobs & more\reports", cron_in("0 6 * * mon-fri", "Europe/Paris"), 600, &on_windows())),
        ("task_of_another_account", made(r"\\nas\jobs", cron_in("0 6 * * *", "Europe/Paris"), 0, &with_password)),
        ("task_with_many_triggers", made(r"C:\Jobs\reports", many, 0, &system)),
    ]
}

#[test]
fn tasks_as_they_are_written() {
    for (name, xml) in tasks() {
        insta::assert_snapshot!(name, xml);
        assert_eq!(task::definition(&xml).map(str::len), Some(16));
        assert_eq!(super::traps::traps(&xml), []);
    }
    assert_eq!(task::definition("<Task/>"), None);
    assert_eq!(task::utf16("é"), [0xff, 0xfe, 0xe9, 0]);
}

/// Those above, and of many triggers those that Task Scheduler can have.
fn many_tasks() -> Vec<String> {
    use proptest::strategy::{Strategy, ValueTree};
    let mut runner = proptest::test_runner::TestRunner::default();
    let project = limited(r"C:\Jobs & more\reports");
    let random = (0..1000).filter_map(|at| {
        let (text, trigger) = super::tests::trigger().new_tree(&mut runner).unwrap().current();
        // Task Scheduler goes by the machine's zone.
        let own_zone = super::tests::ZONES.iter().find(|name| text.contains(**name));
        let setting = Setting { zone: zone(own_zone.unwrap_or(&"UTC")), ..on_windows() };
        let mut own = schedule("each.morning", trigger);
        own.jitter = jiff::SignedDuration::from_secs(at % 3 * 90);
        task::task(Subject { project: &project, schedule: &own }, &setting, "UTF-8").ok()
    });
    tasks().into_iter().map(|(_, xml)| xml).chain(random).collect()
}

#[test]
fn tasks_keep_to_the_documented_schema() {
    let has = Command::new("xmllint").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("skipped: there is no xmllint here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (at, xml) in many_tasks().into_iter().enumerate() {
        for (ending, bytes) in
            [("8", xml.clone().into_bytes()), ("16", task::utf16(&xml.replace("\"UTF-8\"", "\"UTF-16\"")))]
        {
            files.push(folder.path().join(format!("{at}.{ending}.xml")));
            std::fs::write(&files[files.len() - 1], bytes).unwrap();
        }
    }
    assert!(files.len() > 50, "{}", files.len());
    let check = |kind: &str, schema: &Path| {
        let output = Command::new("xmllint").arg("--noout").arg(kind).arg(schema).args(&files).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let invalid = said.lines().find(|line| !line.ends_with(" validates"));
        assert!(
            output.status.success(),
            "{invalid:?}: {:?}",
            invalid.and_then(|line| std::fs::read_to_string(line.split(':').next()?).ok())
        );
    };
    check("--relaxng", &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/host/task.rng"));
    // Microsoft's own is on the page "Task Scheduler Schema" of the Windows documentation and in [MS-TSCH], 2.5.
    match std::env::var_os("RUNNER_TASK_SCHEMA") {
        Some(schema) => {
            // It is for one version of tasks; ours are for an older one, which it describes as well.
            let text = std::fs::read_to_string(schema).unwrap().replace(" fixed=\"1.3\"", "");
            let any_version = folder.path().join("task.xsd");
            std::fs::write(&any_version, text).unwrap();
            check("--schema", &any_version);
        }
        None => eprintln!("not checked against Microsoft's schema: RUNNER_TASK_SCHEMA names no file of it"),
    }
}

/// The entry of a machine that has moved calls at other times than planned.
#[test]
fn the_machines_time_zone_counts_where_the_entry_goes_by_it() {
    let project = project(serde_json::json!({}), "/srv/reports");
    let (morning, once) = (cron_in("0 6 * * *", "Europe/Paris"), Trigger::At("2026-12-01T06:00:00Z".parse().unwrap()));
    let (morning, once) = (schedule("1", Trigger::Any(vec![once.clone(), morning])), schedule("1", once));
    let differs = |schedule: &Schedule, host: Host| {
        let of = Subject { project: &project, schedule };
        of.fingerprint(host, &zone("Europe/Paris")) != of.fingerprint(host, &TimeZone::UTC)
    };
    assert_eq!(Host::ALL.map(|host| differs(&morning, host)), [true, false, true]);
    assert_eq!(Host::ALL.map(|host| differs(&once, host)), [false, false, true], "a crontab has no other clock");
    let of = Subject { project: &project, schedule: &morning };
    assert_eq!(of.fingerprint(Host::Cron, &zone("Etc/UTC")), of.fingerprint(Host::Cron, &TimeZone::UTC));
}

#[test]
fn what_an_entry_cannot_hold_is_refused() {
    let own = schedule("1", cron_in("0 6 * * *", "Europe/Paris"));
    let refused = |project: &Project, schedule: &Schedule, setting: &Setting, host: &str| {
        let of = Subject { project, schedule };
        let made = match host {
            "systemd" => units::units(of, setting).map(drop),
            "cron" => block(of, setting).map(drop),
            _ => task::task(of, setting, "UTF-8").map(drop),
        };
        made.unwrap_err().to_string()
    };
    let plain = limited("/srv/reports");
    let own_crontab = Setting { system_wide: false, ..on_linux() };
    let parallel = project(serde_json::json!({"overlap": {"allow": 2}}), "/srv/reports");
    assert!(refused(&parallel, &own, &on_linux(), "systemd").starts_with("systemd never starts a unit that is still"));
    let user_wake = Setting { wake: true, ..own_crontab.clone() };
    assert!(refused(&plain, &own, &user_wake, "systemd").contains("install it with `--system`"));
    assert!(refused(&plain, &own, &user_wake, "cron").contains("leave out `--wake`"));
    assert!(refused(&plain, &own, &on_linux(), "cron").contains("--account"));
    let mut late = own.clone();
    late.jitter = jiff::SignedDuration::from_secs(1);
    assert!(refused(&plain, &late, &own_crontab, "cron").contains("`jitter`"));
    let long = Setting { path: Some("/a/very/long/folder:".repeat(60)), ..own_crontab.clone() };
    assert!(refused(&plain, &own, &long, "cron").contains("cron takes 999 at the most"));
    assert!(refused(&limited("/srv/new\nline"), &own, &on_linux(), "systemd").contains("rename it"));
    assert!(refused(&limited(r"C:\%TEMP%\x"), &own, &on_windows(), "task").contains("would read a variable"));
    late.trigger = cron_in("*/20 8-17 * * *", "Europe/Paris");
    assert!(refused(&plain, &late, &on_windows(), "task").contains("no random delay"));
}

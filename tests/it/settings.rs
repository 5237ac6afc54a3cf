//! Settings, which scripts get as a file, and profiles.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test, wait_for_file};

/// What the script has been told of its settings: the file's path, and what was in it.
fn told(project: &Project, index: usize) -> (PathBuf, Value) {
    let text = project.output_text(index);
    let (path, settings) = text.split_once('\n').unwrap();
    (path.strip_prefix("RUNNER_SETTINGS=").unwrap().into(), serde_json::from_str(settings).unwrap())
}

const SHOW: &str = "env RUNNER_SETTINGS\ncat-named RUNNER_SETTINGS";

#[test]
fn scripts_read_the_settings_in_a_file_that_is_gone_afterwards() {
    let test = Test::new();
    let settings = json!({"db": {"host": "é \"x\"", "port": 5432}, "list": [1, null, true], "empty": {}});
    let project = test.project("p").script("a.txt", SHOW).script("b.txt", SHOW).set("settings", settings.clone());
    test.runner(["run", "p"]).expect(0);
    let (path, first) = told(&project, 0);
    assert_eq!(first, settings);
    assert_eq!(told(&project, 1), (path.clone(), settings));
    assert!(path.is_absolute() && path.starts_with(project.run_dir()), "{}", path.display());
    assert!(!path.parent().unwrap().exists(), "its folder is gone too");
}

#[test]
fn without_settings_there_is_no_file_and_with_empty_ones_there_is() {
    let test = Test::new();
    let without = test.project("p").script("a.txt", "env RUNNER_SETTINGS");
    test.runner(["run", "p"]).expect(0);
    assert_eq!(without.output_text(0), "RUNNER_SETTINGS=(unset)\n");
    let empty = test.project("q").script("a.txt", SHOW).set("settings", json!({}));
    test.runner(["run", "q"]).expect(0);
    assert_eq!(told(&empty, 0).1, json!({}));
}

/// The settings file of the only run, once the script has begun, with the runner under way.
fn while_it_runs(test: &Test, project: &Project) -> (std::process::Child, PathBuf) {
    let runner = test.start(["run", &project.name()]);
    let path = wait_for_file(&project.root.join("path"));
    (runner, path.trim().strip_prefix("RUNNER_SETTINGS=").unwrap().into())
}

fn waiting(test: &Test) -> Project {
    test.project("p")
        .script("a.txt", "put-env path RUNNER_SETTINGS\nwait-for go")
        .set("settings", json!({"api_token": "hunter2"}))
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_settings() {
    use std::os::unix::fs::MetadataExt;
    let test = Test::new();
    let project = waiting(&test);
    let (runner, path) = while_it_runs(&test, &project);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    std::fs::write(project.root.join("go"), "").unwrap();
    crate::harness::finish(runner).expect(0);
    assert!(!path.exists());
}

/// Owner, rights and list of a file or folder, as text.
/// <https://learn.microsoft.com/windows/win32/secauthz/security-descriptor-string-format>
#[cfg(windows)]
#[allow(unsafe_code)]
fn security(path: &std::path::Path) -> String {
    use std::os::windows::ffi::OsStrExt;
    use std::ptr::null_mut;
    use windows_sys::Win32::Foundation::LocalFree;
    use windows_sys::Win32::Security::Authorization::{
        ConvertSecurityDescriptorToStringSecurityDescriptorW, GetNamedSecurityInfoW, SDDL_REVISION_1, SE_FILE_OBJECT,
    };
    use windows_sys::Win32::Security::{DACL_SECURITY_INFORMATION, OWNER_SECURITY_INFORMATION};
    let name: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let wanted = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    let (mut descriptor, mut text, mut length) = (null_mut(), null_mut(), 0);
    // SAFETY: the name ends with a NUL; what is written goes to variables of its types, is used only where the call
    // succeeded, and is freed once.
    unsafe {
        let (none, empty) = (null_mut(), null_mut());
        let code =
            GetNamedSecurityInfoW(name.as_ptr(), SE_FILE_OBJECT, wanted, none, none, empty, empty, &raw mut descriptor);
        assert_eq!(code, 0, "{}", path.display());
        let told = ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor,
            SDDL_REVISION_1,
            wanted,
            &raw mut text,
            &raw mut length,
        );
        LocalFree(descriptor);
        assert_ne!(told, 0, "{}", std::io::Error::last_os_error());
        let told = String::from_utf16_lossy(std::slice::from_raw_parts(text, length as usize));
        LocalFree(text.cast());
        told.trim_end_matches('\0').to_owned()
    }
}

/// The account, whatever it is called, the system and the administrators; nobody else.
#[cfg(windows)]
#[test]
fn nobody_else_may_read_the_settings() {
    let test = Test::new();
    let project = waiting(&test);
    let (runner, path) = while_it_runs(&test, &project);
    for path in [path.as_path(), path.parent().unwrap()] {
        let told = security(path);
        println!("{}: {told}", path.display());
        if crate::harness::under_wine() {
            eprintln!("not compared: Wine makes a file's list from its mode, and hands none on from its folder");
            continue;
        }
        let (owner, list) = told.split_once("D:").unwrap();
        let owner = owner.strip_prefix("O:").unwrap();
        let trustees: Vec<&str> = list
            .split('(')
            .skip(1)
            .map(|entry| entry.split(')').next().unwrap())
            .filter(|entry| entry.starts_with("A;"))
            .map(|entry| entry.rsplit(';').next().unwrap())
            .collect();
        assert!(!trustees.is_empty(), "an empty list lets nobody in, and none everybody: {told}");
        let known = [owner, "OW", "S-1-3-4", "SY", "S-1-5-18", "BA", "S-1-5-32-544"];
        assert!(trustees.iter().all(|one| known.contains(one)), "{told}");
    }
    std::fs::write(project.root.join("go"), "").unwrap();
    crate::harness::finish(runner).expect(0);
    assert!(!path.exists());
}

#[test]
fn settings_of_a_killed_run_are_removed_by_whoever_sees_to_it() {
    let test = Test::new();
    let project = waiting(&test);
    let (mut runner, path) = while_it_runs(&test, &project);
    runner.kill().unwrap();
    runner.wait().unwrap();
    assert!(path.exists(), "a killed runner removes nothing");
    test.runner(["history"]).expect(0);
    assert!(!path.parent().unwrap().exists());
    let events = std::fs::read_to_string(path.parent().unwrap().parent().unwrap().join("events.jsonl")).unwrap();
    assert!(!events.contains("hunter2"));
}

#[test]
fn secrets_in_settings_are_masked() {
    let test = Test::new();
    let settings = json!({"db": {"password": "hunter2", "url": "postgres://app:s3cr3t@db/x"}, "tokens": ["abcdef"]});
    let project = test.project("p").script("a.txt", SHOW).set("settings", settings);
    test.runner(["run", "p"]).expect(0);
    let (_, shown) = told(&project, 0);
    assert_eq!(shown, json!({"db": {"password": "***", "url": "postgres://app:***@db/x"}, "tokens": ["***"]}));
}

#[test]
fn a_profile_has_its_own_log_and_is_named_in_history_and_mail() {
    let test = Test::new();
    let project = test
        .project("p")
        .script("a.txt", SHOW)
        .set("email_strategy", "all")
        .set("settings", json!({"db": "prod", "rows": 10}))
        .file("exec_config.dev.json", r#"{"settings": {"db": "dev"}}"#)
        .file("exec_config.test.json", "{}");
    test.runner(["run", "p", "--profile", "dev", "--mail-dir", "mails"]).expect(0);
    assert_eq!(told(&project, 0).1, json!({"db": "dev", "rows": 10}));
    let log = project.root.join("logs/dev/p.log");
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 1);
    assert!(project.log().is_empty(), "the log without a profile is another");
    let history = test.runner(["history"]).expect(0).stdout;
    assert!(history.contains(" p [dev] "), "{history}");
    assert_eq!(test.runner(["history", "--json"]).json()[0]["profile"], "dev");
    let mail = std::fs::read_dir(test.path("mails")).unwrap().next().unwrap().unwrap().path();
    let mail = std::fs::read_to_string(mail).unwrap();
    assert!(mail.lines().any(|line| line == "Subject: p [dev]: run report"), "{mail}");
}

#[test]
fn a_missing_profile_is_an_error_that_lists_those_there_are() {
    let test = Test::new();
    let project =
        test.project("p").script("a.txt", SHOW).file("exec_config.dev.json", "{}").file("exec_config.test.json", "{}");
    let told = test.runner(["run", "p", "--profile", "prod"]).expect(2).stderr;
    assert!(told.contains("the profile `prod` doesn't exist; there are: dev, test"), "{told}");
    let told = test.runner(["run", "p", "--profile", "tset"]).expect(2).stderr;
    assert!(told.contains("did you mean `test`?"), "{told}");
    assert!(project.run_dirs().is_empty());
}

#[test]
fn the_log_of_a_killed_run_with_a_profile_gets_its_last_line() {
    let test = Test::new();
    let project = waiting(&test).file("exec_config.dev.json", "{}");
    let mut runner = test.start(["run", "p", "--profile", "dev"]);
    wait_for_file(&project.root.join("path"));
    runner.kill().unwrap();
    runner.wait().unwrap();
    test.runner(["history"]).expect(0);
    let log = std::fs::read_to_string(project.root.join("logs/dev/p.log")).unwrap();
    assert!(log.lines().count() == 1 && log.contains("a.txt - failure"), "{log}");
    assert!(!project.root.join("logs/p.log").exists());
}

#[test]
fn settings_that_cannot_be_written_keep_the_project_from_running() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "touch ran").set("settings", json!({}));
    std::fs::create_dir_all(project.root.join("logs")).unwrap();
    std::fs::write(project.root.join("logs/runs"), "in the way").unwrap();
    let told = Finished::of(test.command(["run", "p"]).output().unwrap()).expect(4).stderr;
    assert!(told.contains("cannot make the folder"), "{told}");
    assert!(!project.root.join("ran").exists());
}

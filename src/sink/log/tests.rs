//! What the log looks like to those who read it: after a year, after crashes, with others writing too.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeDelta, Utc};

use super::file::{LogError, LogFile};
use super::rotation::Archive;
use super::{LogSink, parse_line};
use crate::event::{EVENTS_VERSION, EventKind, EventSink, PlannedScript, RunEvent};
use crate::model::{Clock, LogRotation, Outcome, OutputSummary, RunId, SkipReason, SystemClock, Usage};

const THREE_DAYS: LogRotation = LogRotation::Interval(Duration::from_secs(3 * 24 * 3600));
const NEVER: LogRotation = LogRotation::Size(u64::MAX);

/// A wall clock that a test turns; it shows summer time as central Europe had it in 2024.
struct TestClock(Mutex<NaiveDateTime>);

impl TestClock {
    fn at(local: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(time(local))))
    }

    fn set(&self, local: NaiveDateTime) {
        *self.0.lock().unwrap() = local;
    }

    fn offset(local: NaiveDateTime) -> FixedOffset {
        let summer = time("2024-03-31 03:00:00")..time("2024-10-27 02:00:00");
        FixedOffset::east_opt(if summer.contains(&local) { 7200 } else { 3600 }).unwrap()
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        let local = *self.0.lock().unwrap();
        local.and_local_timezone(Self::offset(local)).unwrap().to_utc()
    }

    fn local_at(&self, instant: DateTime<Utc>) -> DateTime<FixedOffset> {
        let winter = instant.with_timezone(&FixedOffset::east_opt(3600).unwrap());
        winter.with_timezone(&Self::offset(winter.naive_local()))
    }
}

fn time(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap()
}

fn run_id() -> RunId {
    RunId::parse("39be3d37aed64").unwrap()
}

fn started(names: &[&str]) -> EventKind {
    let script = |name: &&str| PlannedScript {
        name: (*name).into(),
        script: (*name).into(),
        file_name: (*name).into(),
        occurrence: 1,
    };
    EventKind::RunStarted {
        version: EVENTS_VERSION,
        run_id: run_id(),
        project: "p".into(),
        project_dir: PathBuf::from("p"),
        profile: None,
        host: "HOST".into(),
        pid: 1,
        process: None,
        runner: "0".into(),
        parent: None,
        planned: None,
        occasion: None,
        params: Vec::new(),
        log_file: PathBuf::from("p.log"),
        run_dir: PathBuf::from("run"),
        scripts: names.iter().map(script).collect(),
    }
}

fn finished(index: usize, outcome: Outcome, traceback: Option<&str>) -> EventKind {
    EventKind::ScriptFinished {
        index,
        attempt: 1,
        outcome,
        pid: None,
        duration_us: 4_800_000,
        usage: Usage::default(),
        output: OutputSummary::default(),
        traceback: traceback.map(str::to_owned),
        last_lines: None,
        leaked: Vec::new(),
        usual: None,
        retry_after_us: None,
    }
}

fn sink(log: &Path, backup_count: u32, include_traceback: bool, clock: Arc<dyn Clock>) -> LogSink {
    LogSink::new(log.to_owned(), THREE_DAYS, backup_count, include_traceback, "HOST".into(), run_id(), clock)
}

/// The archives from the oldest to the newest, and the current file as the last.
fn files(log: &Path) -> Vec<PathBuf> {
    let name = log.file_name().unwrap().to_str().unwrap();
    let archives: BTreeMap<_, _> = fs::read_dir(log.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| Some((Archive::parse(name, path.file_name()?.to_str()?)?, path)))
        .collect();
    archives.into_values().chain([log.to_owned()]).collect()
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn names(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
}

/// A runner that lives for a second each morning at six, for a year.
fn a_year_of_mornings(log: &Path, backup_count: u32) -> Vec<String> {
    let clock = TestClock::at("2024-01-01 06:00:00");
    (0..366)
        .map(|day| {
            let morning = time("2024-01-01 06:00:00") + TimeDelta::days(day);
            clock.set(morning);
            let mut sink = sink(log, backup_count, true, clock.clone());
            for kind in [started(&["main.py"]), finished(0, Outcome::Success { code: 0 }, None)] {
                sink.on_event(&RunEvent { time: clock.now(), kind }).unwrap();
            }
            format!("{},000 - INFO - HOST - 39be3d37aed64 - 0.08 - main.py - success", morning.format("%F %T"))
        })
        .collect()
}

#[test]
fn a_runner_that_lives_a_second_a_day_archives_every_third_day_for_a_year() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("logs").join("project_3.log");
    let expected = a_year_of_mornings(&log, 0);
    let files = files(&log);
    assert_eq!(files.iter().flat_map(|file| lines(file)).collect::<Vec<_>>(), expected, "every line, once, in order");
    assert!(files.iter().all(|file| lines(file).len() == 3));
    let archived = (1..122).map(|third| {
        let morning = time("2024-01-01 06:00:00") + TimeDelta::days(3 * third);
        format!("project_3.log.{}_06-00", morning.format("%F"))
    });
    assert_eq!(names(&files), archived.chain(["project_3.log".to_owned()]).collect::<Vec<_>>());
}

#[test]
fn so_many_archives_stay_as_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("x.log");
    for other in ["x.log.2020-01-01_00-00.bak", "xx.log.2020-01-01_00-00", "x.log.old"] {
        fs::write(folder.path().join(other), "").unwrap();
    }
    let all = a_year_of_mornings(&log, 4);
    assert_eq!(
        names(&files(&log)),
        [
            "x.log.2024-12-20_06-00",
            "x.log.2024-12-23_06-00",
            "x.log.2024-12-26_06-00",
            "x.log.2024-12-29_06-00",
            "x.log"
        ]
    );
    let kept: Vec<_> = files(&log).iter().flat_map(|file| lines(file)).collect();
    assert_eq!(kept, all[all.len() - 15..]);
    // The five files, the lock, and what isn't the log's.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 9);
}

#[test]
fn each_script_that_was_tried_has_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at("2024-11-27 09:51:58");
    let skipped = SkipReason::EarlierFailure { script: "a".into() };
    let kinds = [
        started(&["a.py", "b.py", "c\n.py", "d.py", "e.py", "f.py"]),
        finished(0, Outcome::Success { code: 0 }, None),
        finished(1, Outcome::ExitCode { code: 3 }, Some("Traceback\n  boom\n")),
        finished(2, Outcome::Timeout { seconds: 60.0, killed: false }, Some(" \n")),
        EventKind::ScriptSkipped { index: 3, reason: skipped.clone() },
        finished(4, Outcome::Skipped { reason: skipped }, None),
        finished(5, Outcome::Interrupted { by: "Ctrl-C".into() }, None),
    ];
    let write = |include_traceback| {
        let log = folder.path().join(format!("{include_traceback}.log"));
        let mut sink = sink(&log, 0, include_traceback, clock.clone());
        for kind in &kinds {
            sink.on_event(&RunEvent { time: clock.now(), kind: kind.clone() }).unwrap();
        }
        lines(&log).iter().map(|line| line.split_once(" - 0.08 - ").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    let with = [
        "a.py - success",
        "b.py - failure - Traceback\\n  boom",
        "c\\n.py - failure - timeout after 60 s",
        "f.py - failure - interrupted: Ctrl-C",
    ];
    assert_eq!(write(true), with);
    assert_eq!(write(false), ["a.py - success", "b.py - failure", "c\\n.py - failure", "f.py - failure"]);
}

#[test]
fn a_line_bears_the_time_of_its_event_by_the_wall_clock() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("x.log");
    let clock = TestClock::at("2024-07-01 12:00:00");
    let mut sink = sink(&log, 0, true, clock);
    let time = DateTime::parse_from_rfc3339("2024-06-30T21:59:59.0499Z").unwrap().to_utc();
    for kind in [started(&["a.py"]), finished(0, Outcome::Success { code: 0 }, None)] {
        sink.on_event(&RunEvent { time, kind }).unwrap();
    }
    assert!(lines(&log)[0].starts_with("2024-06-30 23:59:59,049 - INFO"), "{:?}", lines(&log));
}

#[test]
fn an_event_of_an_unknown_script_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink(&folder.path().join("x.log"), 0, true, Arc::new(SystemClock));
    assert!(sink.on_event(&RunEvent::now(finished(7, Outcome::Success { code: 0 }, None))).is_err());
}

#[test]
fn the_age_of_a_log_is_that_of_its_first_believable_record() {
    let folder = tempfile::tempdir().unwrap();
    let clock = TestClock::at("2024-11-28 09:25:30");
    let archived = |content: &[u8]| {
        let log = folder.path().join("x.log");
        fs::write(&log, content).unwrap();
        LogFile::new(log.clone(), THREE_DAYS, 0).append("new", clock.as_ref()).unwrap();
        let archives = files(&log);
        for archive in &archives[..archives.len() - 1] {
            assert_eq!(fs::read(archive).unwrap(), content);
            fs::remove_file(archive).unwrap();
        }
        archives.len() > 1
    };
    assert!(archived(b"2024-11-25 09:25:30,000 - INFO - a\n2024-11-28 09:00:00,000 - b\n"));
    assert!(!archived(b"2024-11-25 09:25:30,001 - INFO - a\n"));
    assert!(archived(b"25-11-2024 09:25:30 - INFO - a\n"), "the form other runners wrote");
    assert!(!archived(b"26-11-2024 09:25:30 - INFO - a\n"));
    assert!(archived("\u{feff}25-11-2024 09:25:30 - INFO - a\n".as_bytes()));
    assert!(archived(b"\nhello\n\xff\xfe\n2024-11-20 09:25:30,000 - a\n2024-11-28 09:25:30,000 - b\n"));
    assert!(!archived(b"hello\n2024-11-28 09:00:00,000 - INFO - a\n2024-11-20 09:25:30,000 - a\n"));
    assert!(archived(b"2099-01-01 00:00:00,000 - INFO - a\n2024-11-20 09:25:30,000 - b\n"), "begun by a wrong clock");
    assert!(!archived(b"2099-01-01 00:00:00,000 - INFO - a\n"));
    assert!(!archived(b"hello\n"), "the file itself is of today, which that clock holds to be the future");
    assert!(!archived(b""));
    clock.set(time("2199-01-01 00:00:00"));
    assert!(archived(b"hello\n"), "the file's own time counts where no line has one");
}

#[test]
fn a_clock_put_back_loses_no_line_and_archives_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("x.log");
    let clock = TestClock::at("2024-11-28 09:25:30");
    for (number, now) in
        ["2024-11-28 09:25:30", "2024-11-20 00:00:00", "2001-01-01 00:00:00", "2024-11-29 00:00:00"].iter().enumerate()
    {
        clock.set(time(now));
        let line = format!("{now},000 - line {number}");
        LogFile::new(log.clone(), THREE_DAYS, 1).append(&line, clock.as_ref()).unwrap();
    }
    assert_eq!(names(&files(&log)), ["x.log"]);
    assert_eq!(lines(&log).len(), 4);
}

#[test]
fn a_torn_line_is_ended_first() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("x.log");
    fs::write(&log, "whole\ntorn").unwrap();
    let mut file = LogFile::new(log.clone(), NEVER, 0);
    file.append("next", &SystemClock).unwrap();
    file.append("last", &SystemClock).unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap(), "whole\ntorn\nnext\nlast\n");
}

#[test]
fn a_file_that_cannot_be_renamed_is_appended_to_and_the_next_run_archives_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("x.log");
    let clock = TestClock::at("2024-11-28 09:25:30");
    fs::write(&log, "2024-11-01 00:00:00,000 - old\n").unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = tries.clone();
    let held_by_an_editor = Box::new(move |_: &Path, _: &Path| {
        counter.fetch_add(1, Ordering::Relaxed);
        Err(io::ErrorKind::PermissionDenied.into())
    });
    let mut file = LogFile::with_rename(log.clone(), THREE_DAYS, 1, held_by_an_editor);
    let error = file.append("one", clock.as_ref()).unwrap_err();
    assert!(matches!(error, LogError::Archive { .. }), "{error}");
    assert!(error.to_string().contains("x.log"), "{error}");
    file.append("two", clock.as_ref()).unwrap();
    assert_eq!(tries.load(Ordering::Relaxed), 1);
    LogFile::new(log.clone(), THREE_DAYS, 1).append("three", clock.as_ref()).unwrap();
    let files = files(&log);
    assert_eq!(names(&files), ["x.log.2024-11-28_09-25", "x.log"]);
    assert_eq!(lines(&files[0]), ["2024-11-01 00:00:00,000 - old", "one", "two"]);
    assert_eq!(lines(&files[1]), ["three"]);
}

#[test]
fn a_name_too_long_for_an_archive_is_appended_to() {
    // The system itself refuses this one: file names end at 255 bytes.
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join(format!("{}.log", "x".repeat(240)));
    let mut file = LogFile::new(log.clone(), LogRotation::Size(3), 0);
    file.append("one", &SystemClock).unwrap();
    assert!(matches!(file.append("two", &SystemClock), Err(LogError::Archive { .. })));
    file.append("three", &SystemClock).unwrap();
    assert_eq!(lines(&log), ["one", "two", "three"]);
}

#[test]
fn without_a_lock_lines_are_appended_and_it_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("x.log");
    fs::create_dir(folder.path().join(".x.log.lock")).unwrap();
    let mut file = LogFile::new(log.clone(), LogRotation::Size(3), 0);
    let error = file.append("one", &SystemClock).unwrap_err();
    assert!(matches!(error, LogError::Lock { .. }), "{error}");
    file.append("two", &SystemClock).unwrap();
    assert_eq!(lines(&log), ["one", "two"]);
}

#[test]
fn a_log_that_cannot_be_written_is_told_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("x.log");
    fs::create_dir(&log).unwrap();
    let mut sink = sink(&log, 0, true, Arc::new(SystemClock));
    sink.on_event(&RunEvent::now(started(&["a.py"]))).unwrap();
    for _ in 0..2 {
        let error = sink.on_event(&RunEvent::now(finished(0, Outcome::Success { code: 0 }, None))).unwrap_err();
        assert!(error.sentence().contains("x.log"), "{}", error.sentence());
    }
}

// Windows doesn't let a folder go in which a file is open, as the lock's is.
#[cfg(unix)]
#[test]
fn a_folder_that_is_deleted_under_the_run_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("logs").join("x.log");
    let mut file = LogFile::new(log.clone(), NEVER, 0);
    file.append("one", &SystemClock).unwrap();
    fs::remove_dir_all(folder.path().join("logs")).unwrap();
    file.append("two", &SystemClock).unwrap();
    assert_eq!(lines(&log), ["two"]);
}

#[test]
fn a_folder_called_like_an_archive_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("x.log");
    let clock = TestClock::at("2024-11-28 09:25:30");
    fs::create_dir(folder.path().join("x.log.2024-11-28_09-25")).unwrap();
    fs::create_dir(folder.path().join("x.log.2020-01-01_00-00")).unwrap();
    let mut file = LogFile::new(log.clone(), LogRotation::Size(3), 1);
    file.append("one", clock.as_ref()).unwrap();
    file.append("two", clock.as_ref()).unwrap();
    let names = names(&files(&log)).join(" ");
    assert_eq!(names, "x.log.2020-01-01_00-00 x.log.2024-11-28_09-25 x.log.2024-11-28_09-25.1 x.log");
}

const LINES_EACH: usize = 2000;
const SMALL: u64 = 32 * 1024;
const HALFWAY: &str = "\nhalfway\n";
const LOG_VARIABLE: &str = "TEST_LOG_OF_MANY_WRITERS";

/// Not a test by itself: the process that [`many_processes`] starts several of.
#[test]
fn writer_process() {
    let Some(log) = std::env::var_os(LOG_VARIABLE) else { return };
    // All begin at once: when the test closes their input.
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let mut file = LogFile::new(log.into(), LogRotation::Size(SMALL), 0);
    for number in 0..LINES_EACH {
        if number == LINES_EACH / 2 {
            // One write, and before it a newline, since the harness prints on the same stream.
            io::stdout().write_all(HALFWAY.as_bytes()).unwrap();
            io::stdout().flush().unwrap();
        }
        file.append(&sample_line(std::process::id(), number), &SystemClock).unwrap();
    }
}

fn writer(log: &Path, stdout: Stdio) -> Child {
    let this_test = concat!(module_path!(), "::writer_process").split_once("::").unwrap().1;
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this_test, "--nocapture", "--test-threads=1"])
        .env(LOG_VARIABLE, log)
        .stdin(Stdio::piped())
        .stdout(stdout)
        .spawn()
        .unwrap()
}

fn sample_line(pid: u32, number: usize) -> String {
    format!("2024-11-27 09:51:58,954 - ERROR - {pid} - 39be3d37aed64 - 0.08 - {number} - failure - {}", "é".repeat(20))
}

fn many_processes(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("x.log");
    let mut children: Vec<_> = (0..count).map(|_| writer(&log, Stdio::null())).collect();
    let starting_gun: Vec<_> = children.iter_mut().map(|child| child.stdin.take()).collect();
    drop(starting_gun);
    let pids: Vec<_> = children.iter().map(Child::id).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }

    let files = files(&log);
    assert!(files.len() > 2 * count, "it was archived while they wrote: {} files", files.len());
    let mut next: BTreeMap<String, usize> = pids.iter().map(|pid| (pid.to_string(), 0)).collect();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.ends_with('\n') && text.len() as u64 <= SMALL, "{}", file.display());
        for line in text.lines() {
            let parsed = parse_line(line).unwrap_or_else(|| panic!("a torn or merged line: {line}"));
            let expected = next.get_mut(parsed.host.as_ref()).unwrap();
            // Each line once, whole, and those of a process in their order, across the archives too.
            assert_eq!(line, sample_line(parsed.host.parse().unwrap(), *expected));
            *expected += 1;
        }
    }
    assert!(next.values().all(|&lines| lines == LINES_EACH), "{next:?}");
}

#[test]
fn two_processes_lose_no_line() {
    many_processes(2);
}

#[test]
fn eight_processes_lose_no_line() {
    many_processes(8);
}

#[test]
fn a_writer_that_is_killed_leaves_whole_lines_and_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("x.log");
    let mut child = writer(&log, Stdio::piped());
    drop(child.stdin.take());
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(output.any(|line| line.unwrap() == HALFWAY.trim()));
    child.kill().unwrap();
    child.wait().unwrap();
    // It would say so if it had had to do without the lock.
    LogFile::new(log.clone(), NEVER, 0).append(&sample_line(child.id(), 0), &SystemClock).unwrap();
    let all: Vec<_> = files(&log).iter().flat_map(|file| lines(file)).collect();
    let (last, before) = all.split_last().unwrap();
    assert_eq!(*last, sample_line(child.id(), 0));
    assert!(before.len() >= LINES_EACH / 2);
    // The kernel may be stopped in the middle of one write, never of two.
    let whole = before.iter().enumerate().filter(|(number, line)| **line == sample_line(child.id(), *number)).count();
    assert!(whole + 1 >= before.len(), "{whole} of {}", before.len());
}

/// Run it by hand: what a line costs, lock, open, look at the first record, write and close.
#[test]
#[ignore = "a measurement"]
fn what_a_line_costs() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = sink(&folder.path().join("x.log"), 4, true, Arc::new(SystemClock));
    sink.on_event(&RunEvent::now(started(&["main.py"]))).unwrap();
    let event = RunEvent::now(finished(0, Outcome::Success { code: 0 }, None));
    let count = 20_000;
    let start = std::time::Instant::now();
    for _ in 0..count {
        sink.on_event(&event).unwrap();
    }
    let log = start.elapsed() / count;
    let mut events = crate::sink::EventsFile::open(folder.path()).unwrap();
    let start = std::time::Instant::now();
    for _ in 0..count {
        events.on_event(&event).unwrap();
    }
    let _ = writeln!(io::stdout(), "{log:?} a line of the log, {:?} an event", start.elapsed() / count);
}

//! Runs for the tests: events as a runner would write them.

use std::path::Path;

use chrono::{DateTime, Duration, Utc};

use crate::event::{EVENTS_FILE, EVENTS_VERSION, EventKind, PlannedScript, RunEvent};
use crate::model::{
    AttachedFile, Following, Leaked, MailState, Outcome, OutputSummary, Pace, Parent, ProcessIdentity, RunId,
    RunStatus, SkipReason, Usage, Usual, runs_dir,
};

/// 2024-11-27 08:51:58.954321 UTC, and so many seconds.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_732_697_518_954_321).unwrap() + Duration::seconds(seconds)
}

/// The start of a run of `scripts`.
pub(crate) fn started(run_id: &RunId, project_dir: &Path, time: DateTime<Utc>, scripts: &[&str]) -> RunEvent {
    let planned = |name: &&str| PlannedScript {
        name: (*name).into(),
        script: format!("src/{name}"),
        file_name: (*name).into(),
        occurrence: 1,
    };
    let kind = EventKind::RunStarted {
        version: EVENTS_VERSION,
        run_id: run_id.clone(),
        project: project_dir.file_name().unwrap().to_string_lossy().into_owned(),
        project_dir: project_dir.into(),
        profile: None,
        host: "LAPTOP-BS85JNP7".into(),
        pid: 4711,
        process: None,
        runner: "0.1.0".into(),
        parent: None,
        planned: None,
        occasion: None,
        params: Vec::new(),
        log_file: project_dir.join("logs").join("daily.log"),
        run_dir: runs_dir(project_dir).join(run_id.as_str()),
        scripts: scripts.iter().map(planned).collect(),
    };
    RunEvent { time, kind }
}

/// The beginning of an attempt.
pub(crate) fn began(index: usize, attempt: u32, time: DateTime<Utc>) -> RunEvent {
    RunEvent { time, kind: EventKind::ScriptStarted { index, attempt } }
}

/// The end of an attempt that took two seconds.
pub(crate) fn ended(index: usize, attempt: u32, time: DateTime<Utc>, outcome: Outcome) -> RunEvent {
    let failed = !outcome.is_success();
    let kind = EventKind::ScriptFinished {
        index,
        attempt,
        outcome,
        pid: None,
        duration_us: 2_000_000 + index as u64,
        usage: Usage { cpu_user_us: Some(1_500_000), cpu_system_us: Some(20_000), peak_memory_bytes: Some(9_437_184) },
        output: OutputSummary { file: Some(format!("{index}.out")), bytes: 1536, cut: 0 },
        traceback: failed.then(|| "Traceback (most recent call last):\n  …\nValueError: 42".to_owned()),
        last_lines: None,
        leaked: if failed { vec![Leaked { pid: 7, command: "sleep 60".into(), left: false }] } else { Vec::new() },
        usual: None,
        retry_after_us: None,
    };
    RunEvent { time, kind }
}

/// The end of a run that took eight seconds.
pub(crate) fn finished(time: DateTime<Utc>, status: RunStatus) -> RunEvent {
    RunEvent { time, kind: EventKind::RunFinished { status, duration_us: 8_000_000, files: Vec::new() } }
}

/// A run in which a script succeeds, one fails twice, one is skipped; with a warning and a mail.
pub(crate) fn eventful(run_id: &RunId, project_dir: &Path, start: i64) -> Vec<RunEvent> {
    vec![
        started(run_id, project_dir, at(start), &["load.py", "transform.py", "report.py"]),
        began(0, 1, at(start)),
        ended(0, 1, at(start + 2), Outcome::Success { code: 0 }),
        began(1, 1, at(start + 2)),
        ended(1, 1, at(start + 4), Outcome::Timeout { seconds: 2.0, killed: true }),
        began(1, 2, at(start + 4)),
        ended(1, 2, at(start + 6), Outcome::ExitCode { code: 3 }),
        RunEvent {
            time: at(start + 6),
            kind: EventKind::ScriptSkipped {
                index: 2,
                reason: SkipReason::EarlierFailure { script: "transform.py".into() },
            },
        },
        RunEvent { time: at(start + 7), kind: EventKind::Warning { message: "the log could not be written".into() } },
        finished(at(start + 8), RunStatus::Failure),
        RunEvent { time: at(start + 9), kind: EventKind::Mail { mail: MailState::Sent { reply: "250 OK".into() } } },
    ]
}

/// A planned run that follows `parent`: a script succeeds slowly at its third attempt, another leaves processes and too
/// little behind, and there are files.
pub(crate) fn following(run_id: &RunId, project_dir: &Path, start: i64, parent: &RunId) -> Vec<RunEvent> {
    let mut first = started(run_id, project_dir, at(start), &["load.py", "transform.py"]);
    if let EventKind::RunStarted { process, parent: of, planned, .. } = &mut first.kind {
        *process = Some(ProcessIdentity { pid: 4711, started: 17, boot: "b007".into() });
        *of = Some(Parent { run_id: parent.clone(), how: Following::Retry, first: parent.clone() });
        *planned = Some(at(start - 5));
    }
    let retried = |mut event: RunEvent| {
        if let EventKind::ScriptFinished { retry_after_us, .. } = &mut event.kind {
            *retry_after_us = Some(1_000_000);
        }
        event
    };
    let mut slow = ended(0, 3, at(start + 8), Outcome::Success { code: 0 });
    if let EventKind::ScriptFinished { usual, .. } = &mut slow.kind {
        *usual = Some(Usual { usual_us: 500_000, pace: Pace::Slow, slow_after_us: None });
    }
    let what = "out/report.csv was not written by this run (last changed 2026-11-21 06:00)".to_owned();
    let mut short = ended(1, 1, at(start + 9), Outcome::ExpectationNotMet { what, code: 0 });
    if let EventKind::ScriptFinished { traceback, last_lines, leaked, .. } = &mut short.kind {
        *traceback = None;
        *last_lines = Some("0 rows\n".into());
        leaked.push(Leaked { pid: 8, command: "tail -f x".into(), left: true });
    }
    let files = vec![AttachedFile { name: "charts/week.png".into(), bytes: 20_480 }];
    vec![
        first,
        began(0, 1, at(start)),
        retried(ended(0, 1, at(start + 2), Outcome::ExitCode { code: 1 })),
        began(0, 2, at(start + 3)),
        retried(ended(0, 2, at(start + 5), Outcome::Timeout { seconds: 2.0, killed: false })),
        began(0, 3, at(start + 6)),
        slow,
        began(1, 1, at(start + 8)),
        short,
        RunEvent {
            time: at(start + 9),
            kind: EventKind::RunFinished { status: RunStatus::Failure, duration_us: 9_000_000, files },
        },
    ]
}

/// A run of one script that succeeds.
pub(crate) fn plain(run_id: &RunId, project_dir: &Path, start: i64) -> Vec<RunEvent> {
    vec![
        started(run_id, project_dir, at(start), &["load.py"]),
        began(0, 1, at(start)),
        ended(0, 1, at(start + 2), Outcome::Success { code: 0 }),
        finished(at(start + 8), RunStatus::Success),
    ]
}

/// The same events, each with its run.
pub(crate) fn of(run_id: &RunId, events: Vec<RunEvent>) -> Vec<(RunId, RunEvent)> {
    events.into_iter().map(|event| (run_id.clone(), event)).collect()
}

/// A run id that is the same each time: `digit`, thirteen times.
pub(crate) fn id(digit: char) -> RunId {
    RunId::parse(&digit.to_string().repeat(RunId::LENGTH)).unwrap()
}

/// Writes a run's folder: its events, followed by `rest`.
pub(crate) fn write_folder(project_dir: &Path, run_id: &RunId, events: &[RunEvent], rest: &str) {
    let folder = runs_dir(project_dir).join(run_id.as_str());
    std::fs::create_dir_all(&folder).unwrap();
    let mut text = String::new();
    for event in events {
        text.push_str(&serde_json::to_string(event).unwrap());
        text.push('\n');
    }
    std::fs::write(folder.join(EVENTS_FILE), text + rest).unwrap();
}

impl super::Store {
    /// Runs a statement as another program might.
    pub(crate) async fn execute_for_test(&mut self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.connection).await.unwrap();
    }
}

//! Reports to try things on.

use std::path::PathBuf;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};

use super::{Alarm, Missing, RenderContext, Rendered, Trouble, render};
use crate::model::EmailStrategy::{All, Changes, Digest};
use crate::model::{
    AttachedFile, EarlierAttempt, EmailStrategy, Following, Language, Leaked, MailState, Occasion, Outcome,
    OutputSummary, Pace, Parent, PastRun, PastScript, RunId, RunReport, RunStatus, ScriptReport, SkipReason, Usage,
    Usual,
};
use crate::schedule::Hindrance;

pub(crate) fn success() -> Outcome {
    Outcome::Success { code: 0 }
}

pub(crate) fn exit(code: u32) -> Outcome {
    Outcome::ExitCode { code }
}

pub(crate) fn skipped() -> Outcome {
    Outcome::Skipped { reason: SkipReason::EarlierFailure { script: "a.py".into() } }
}

pub(crate) fn report(project: &str, outcomes: Vec<Outcome>) -> RunReport {
    let started = DateTime::from_timestamp(1_732_697_518, 954_000_000).unwrap();
    let scripts: Vec<ScriptReport> =
        outcomes.into_iter().enumerate().map(|(index, outcome)| script(index, outcome)).collect();
    let interrupted = |s: &ScriptReport| matches!(s.outcome, Some(Outcome::Interrupted { .. }));
    let status = if scripts.iter().any(interrupted) {
        RunStatus::Interrupted
    } else if scripts.iter().all(ScriptReport::success) {
        RunStatus::Success
    } else {
        RunStatus::Failure
    };
    let duration_us = scripts.iter().map(|script| script.duration_us).sum();
    RunReport {
        run_id: RunId::parse("39be3d37aed64").unwrap(),
        project: project.to_owned(),
        project_dir: PathBuf::from("/srv/jobs/p"),
        profile: None,
        host: "LAPTOP-BS85JNP7".to_owned(),
        pid: 4242,
        process: None,
        version: "0.1.0".to_owned(),
        parent: None,
        planned: None,
        occasion: None,
        params: Vec::new(),
        started,
        finished: Some(started + TimeDelta::microseconds(duration_us as i64)),
        duration_us,
        status,
        scripts,
        files: Vec::new(),
        mail: None,
        warnings: Vec::new(),
        log_file: PathBuf::from("/srv/jobs/p/logs/p.log"),
        run_dir: PathBuf::from("/srv/jobs/p/logs/runs/39be3d37aed64"),
    }
}

fn script(index: usize, outcome: Outcome) -> ScriptReport {
    let tried = !matches!(outcome, Outcome::Skipped { .. });
    ScriptReport {
        index,
        name: format!("script_{index}.py"),
        script: format!("script_{index}.py"),
        started: None,
        duration_us: if tried { 1_200_000 * (index as u64 + 1) } else { 0 },
        attempts: u32::from(tried),
        traceback: outcome.is_failure().then(|| format!("Traceback (most recent call last):\n  File \"script_{index}.py\", line 3, in <module>\n    main()\n    ~~~~^^\nValueError: bad")),
        last_lines: None,
        outcome: Some(outcome),
        usage: Usage::default(),
        output: OutputSummary { file: tried.then(|| format!("{index:04}.out")), bytes: 2048, cut: 0 },
        leaked: Vec::new(),
        earlier: Vec::new(),
        retry_pending: false,
        usual: None,
    }
}

/// A planned run of three scripts that all succeeded, each in its own way.
fn unusual() -> RunReport {
    let mut report = report("Nightly import", vec![success(), success(), success()]);
    report.planned = Some(report.started - TimeDelta::seconds(3));
    for (script, name) in report.scripts.iter_mut().zip(["extract_orders.py", "load_customers.py", "send_invoices.py"])
    {
        script.name = name.to_owned();
    }
    let ends = [exit(1), exit(1), Outcome::Timeout { seconds: 60.0, killed: false }];
    report.scripts[0].attempts = 4;
    report.scripts[0].earlier = (1..)
        .zip(ends)
        .map(|(attempt, outcome)| EarlierAttempt { attempt, outcome, duration_us: 60_000_000 })
        .collect();
    report.scripts[1].duration_us = 720_000_000;
    report.scripts[1].usual = Some(Usual { usual_us: 180_000_000, pace: Pace::Slow, slow_after_us: None });
    report.scripts[2].usual = Some(Usual { usual_us: 95_000_000, pace: Pace::Quick, slow_after_us: None });
    report.files = ["invoices/2024-11.pdf", "charts/orders_by_week_and_region.png"]
        .map(|name| AttachedFile { name: name.into(), bytes: 81_920 })
        .into();
    report
}

/// A run that began two hours late, for three planned times, after two that were missed.
fn late() -> RunReport {
    let mut report = report("Nightly import", vec![success(), success()]);
    let due = report.started - TimeDelta::seconds(8_000);
    report.planned = Some(due);
    report.occasion = Some(Occasion {
        schedule: "nightly".into(),
        due,
        late: Some(Hindrance::MachineAsleep),
        merged: 2,
        merged_from: Some(due - TimeDelta::days(2)),
        missed: 1,
        missed_from: Some(due - TimeDelta::days(3)),
    });
    report
}

/// Of a run that began so many seconds late, for so many planned times, after so many that were missed.
fn late_by(started: DateTime<Utc>, (seconds, merged, missed): (i64, u64, u64)) -> Occasion {
    let due = started - TimeDelta::seconds(seconds);
    Occasion {
        late: (seconds > 0).then_some(Hindrance::Busy),
        merged,
        merged_from: (merged > 0).then(|| due - TimeDelta::hours(4)),
        missed,
        missed_from: (missed > 0).then(|| due - TimeDelta::hours(6)),
        ..Occasion::in_time("1", due)
    }
}

/// A retry whose scripts exited with 0 and are failures all the same.
fn unmet() -> RunReport {
    let what = "out/report.csv was not written by this run (last changed 2024-11-26 06:00)".to_owned();
    let mut report = report(
        "Nightly import",
        vec![Outcome::ExpectationNotMet { what, code: 0 }, Outcome::LeftBehind { processes: 2, code: 0 }],
    );
    let first = RunId::parse("0f31c2a9be774").unwrap();
    report.parent = Some(Parent { run_id: first.clone(), how: Following::Retry, first });
    report.scripts[0].traceback = None;
    report.scripts[0].last_lines = Some("0 rows in orders.csv\nnothing to report\n".into());
    report.scripts[1].traceback = None;
    report.scripts[1].leaked = vec![
        Leaked { pid: 4711, command: "/usr/bin/python3 watch.py --every 5".into(), left: false },
        Leaked { pid: 4713, command: "tail -F /var/log/import.log".into(), left: true },
    ];
    report
}

/// The past of a project, newest first, a run each so many hours; a letter a script: `s`uccess, `f`ailure, skipped (`-`).
/// The runs were told if their number, from 0, is in `told`.
pub(crate) fn past(report: &RunReport, hours: i64, runs: &[&str], told: &[usize]) -> Vec<PastRun> {
    let script = |(report, letter): (&ScriptReport, char), n: usize| {
        PastScript {
        script: report.script.clone(),
        name: report.name.clone(),
        outcome: Some(match letter {
            's' => success(),
            'f' => exit(1),
            _ => skipped(),
        }),
        duration_us: report.duration_us * (10 + n as u64 % 3) / 11,
        last_words: (letter == 'f').then(|| {
            "Traceback (most recent call last):\n  File \"load.py\", line 12, in <module>\nTimeoutError: no answer from db1 after 30 s".into()
        }),
    }
    };
    let run = |(n, letters): (usize, &&str)| {
        let scripts: Vec<PastScript> = report.scripts.iter().zip(letters.chars()).map(|pair| script(pair, n)).collect();
        let started = report.started - TimeDelta::hours(hours * (n as i64 + 1));
        let duration_us = scripts.iter().map(|script| script.duration_us).sum();
        PastRun {
            run_id: RunId::random(),
            started,
            finished: Some(started + TimeDelta::microseconds(duration_us as i64)),
            duration_us,
            status: if letters.contains('f') { RunStatus::Failure } else { RunStatus::Success },
            mail: Some(if told.contains(&n) { MailState::Sent { reply: "250 OK".into() } } else { MailState::NotDue }),
            told_at: None,
            planned: None,
            occasion: None,
            scripts,
        }
    };
    runs.iter().enumerate().map(run).collect()
}

/// A run as a reader meets it.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) report: RunReport,
    pub(crate) strategy: EmailStrategy,
    pub(crate) context: RenderContext,
}

impl Sample {
    pub(crate) fn render(&self, language: Language) -> Rendered {
        render(&self.report, self.strategy, &RenderContext { language, ..self.context.clone() })
    }
}

/// Alarms of the kinds that a reader meets, and their context.
pub(crate) fn alarms() -> Vec<(&'static str, Alarm, RenderContext)> {
    let paris = |time: DateTime<Utc>| time.with_timezone(&FixedOffset::east_opt(3600).unwrap());
    let time = report("P", vec![]).started;
    let at = |hours: i64| time - TimeDelta::hours(hours);
    let trouble = |schedule: &str, what, why, detail: Option<&str>| Trouble {
        schedule: schedule.into(),
        what,
        why,
        detail: detail.map(str::to_owned),
    };
    let missed = |count, first, last| Missing::Missed { count, first: at(first), last: at(last) };
    let overdue = |planned| Missing::Overdue { planned: at(planned) };
    let broken = "exec_config.json:7:3: `timeout` must be a duration like \"90s\" or \"2h\", and is `soon`";
    let kinds = [
        ("alarm_overdue", vec![trouble("1", overdue(2), Hindrance::DaemonOff, None)]),
        (
            "alarm_missed",
            vec![
                trouble("nightly", missed(3, 74, 26), Hindrance::MachineOff, None),
                trouble("nightly", missed(1, 2, 2), Hindrance::CouldNotRun, Some(broken)),
                trouble("2", overdue(4), Hindrance::HostIdle, None),
            ],
        ),
        ("alarm_machine_off", vec![trouble("1", missed(1, 9, 9), Hindrance::MachineAsleep, None)]),
    ];
    let alarm = |(name, troubles)| {
        let alarm = Alarm {
            project: "Nightly import".into(),
            project_dir: "/srv/jobs/p".into(),
            profile: None,
            host: "LAPTOP-BS85JNP7".into(),
            time,
            troubles,
        };
        let next_planned = Some(time + TimeDelta::days(1));
        (name, alarm, RenderContext { local_time: paris, next_planned, ..RenderContext::default() })
    };
    kinds.into_iter().map(alarm).collect()
}

/// Runs of the kinds that a reader meets, with their past.
pub(crate) fn to_look_at() -> Vec<Sample> {
    let paris = |time: DateTime<Utc>| time.with_timezone(&FixedOffset::east_opt(3600).unwrap());
    let sample = |name, report: RunReport, strategy, past| {
        let next_planned = Some(report.started + TimeDelta::days(1));
        let context = RenderContext { past, local_time: paris, next_planned, ..RenderContext::default() };
        Sample { name, report, strategy, context }
    };
    let of = |name: &str| without_past().into_iter().find(|(other, _)| *other == name).unwrap().1;
    let (green, red) = (of("success"), of("failure"));
    let well = ["sss"; 20];
    let first = sample("first_failure", red.clone(), Changes, past(&red, 24, &well[..12], &[]));
    let still = sample(
        "still_failing",
        red.clone(),
        Changes,
        past(&red, 24, &["sfs", "sfs", "sfs", "sss", "sss", "sss", "sss"], &[2]),
    );
    let recovered = sample(
        "recovered",
        green.clone(),
        Changes,
        past(&green, 24, &["sfs", "sfs", "sfs", "sss", "fss", "sss", "s-s"], &[2, 4]),
    );
    let mut day = past(&red, 6, &["sfs", "sss", "fss", "sss", "sss", "sss", "sss", "sss"], &[4]);
    for (run, occasion) in day.iter_mut().skip(1).zip([(1_500, 0, 0), (0, 2, 1)]) {
        (run.planned, run.occasion) = (Some(run.started), Some(late_by(run.started, occasion)));
    }
    let digest = sample("digest", red.clone(), Digest, day);
    let quiet = sample("quiet_digest", green.clone(), Digest, past(&green, 1, &well, &[14]));
    let reports = without_past().into_iter().map(|(name, report)| {
        let past = if name == "success" { past(&report, 24, &well, &[0]) } else { Vec::new() };
        sample(name, report, All, past)
    });
    let late = sample("late", late(), All, past(&green, 24, &well[..3], &[]));
    [first, still, recovered, digest, quiet, late].into_iter().chain(reports).collect()
}

fn without_past() -> Vec<(&'static str, RunReport)> {
    let timeout = || Outcome::Timeout { seconds: 60.0, killed: true };
    let mut green = report("Nightly import", vec![success(), success(), success()]);
    for (script, name) in green.scripts.iter_mut().zip(["extract_orders.py", "load_customers.py", "send_invoices.py"]) {
        script.name = name.to_owned();
    }

    let mut red = report("Nightly import", vec![success(), exit(1), success()]);
    red.scripts[1].name = "load_customers.py".into();
    red.scripts[1].attempts = 3;
    red.scripts[1].earlier =
        (1..3).map(|attempt| EarlierAttempt { attempt, outcome: exit(1), duration_us: 9_000_000 }).collect();
    let frame = |n: usize| {
        format!(
            "  File \"/srv/jobs/nightly_import/.venv/lib/python3.13/site-packages/warehouse/session_{n}.py\", line {}, in commit_all\n    self.connection.execute(statement, parameters, timeout=self.timeout)\n    ~~~~~~~~~~~~~~~~~~~~~~~^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n",
            n * 7
        )
    };
    red.scripts[1].traceback = Some(format!(
        "Traceback (most recent call last):\n{}warehouse.errors.IntegrityError: UNIQUE constraint failed: customers.email ('jürgen@example.com')\n",
        (1..25).map(frame).collect::<String>()
    ));

    let mut mixed = report(
        "Nightly import",
        vec![
            success(),
            exit(3),
            timeout(),
            Outcome::CouldNotStart {
                error: "/srv/jobs/nightly_import/.venv/bin/python: No such file or directory (os error 2)".into(),
            },
            Outcome::Signal { signal: 11, core_dumped: true },
            success(),
            Outcome::ExitCode { code: 0xC000_0005 },
        ],
    );
    mixed.profile = Some("dev".into());
    mixed.scripts[2].duration_us = 60_000_000;
    mixed.scripts[2].traceback = None;
    mixed.scripts[2].leaked.push(Leaked {
        pid: 31337,
        command: "/usr/bin/python3 -m http.server --bind 127.0.0.1 8080".into(),
        left: false,
    });
    mixed.scripts[3].name = "a_script_with_quite_a_long_name_that_goes_on_and_on_for_the_whole_line.py".into();
    mixed.scripts[4].name = "<b>&\"'.py".into();
    mixed.warnings.push("the state database /var/lib/project-runner/state.db could not be opened: disk I/O error; the run is kept in its folder and imported later".into());

    let many = report("Sixty", (0..60).map(|n| if n % 13 == 5 { exit(n) } else { success() }).collect());
    let mut cut = report(
        "Nightly import",
        vec![success(), success(), Outcome::Interrupted { by: "Ctrl-C".into() }, skipped(), skipped()],
    );
    for script in &mut cut.scripts[3..] {
        script.outcome = Some(Outcome::Skipped { reason: SkipReason::RunInterrupted });
    }
    let mut died = cut.clone();
    died.scripts[2].outcome = Some(Outcome::Interrupted { by: "the machine was restarted".into() });

    vec![
        ("unusual", unusual()),
        ("unmet", unmet()),
        ("died", died),
        ("success", green),
        ("failure", red),
        ("mixed", mixed),
        ("sixty", many),
        ("interrupted", cut),
    ]
}

use proptest::prelude::*;

use super::samples::{exit, report, skipped, success};
use super::*;
use crate::model::{
    AttachedFile, EarlierAttempt, EmailStrategy, Following, Language, Leaked, Outcome, Pace, Parent, RunId, RunReport,
    RunStatus, Usual,
};

fn context() -> RenderContext {
    RenderContext { local_time: |time| time.fixed_offset(), constant_subject: false, ..RenderContext::default() }
}

fn all(report: &RunReport) -> Rendered {
    render(report, EmailStrategy::All, &context())
}

fn interrupted() -> Outcome {
    Outcome::Interrupted { by: "Ctrl-C".into() }
}

#[test]
fn the_subject_is_the_verdict() {
    let cases: [(Vec<Outcome>, &str); 11] = [
        (vec![success(), success(), success()], "✓ all 3 scripts succeeded"),
        (vec![success(), exit(1), success()], "✗ 1 of 3 scripts failed"),
        (vec![exit(1), skipped(), skipped()], "✗ 1 of 3 scripts failed, 2 not run"),
        (vec![exit(1), exit(2)], "✗ all 2 scripts failed"),
        (vec![success()], "✓ script_0.py succeeded"),
        (vec![exit(1)], "✗ script_0.py failed"),
        (vec![success(), success(), interrupted(), skipped(), skipped()], "! interrupted after 2 of 5 scripts"),
        (vec![exit(1), interrupted(), skipped()], "! interrupted after 1 of 3 scripts, 1 failed"),
        (vec![interrupted()], "! interrupted after 0 of 1 script"),
        (vec![], "✓ there was no script to run"),
        (vec![success(), skipped()], "✓ 1 of 2 scripts succeeded, the other was not run"),
    ];
    for (outcomes, verdict) in cases {
        let rendered = all(&report("P", outcomes));
        let (symbol, headline) = verdict.split_once(' ').unwrap();
        assert_eq!(rendered.subject, format!("{symbol} P: {headline}"));
        assert!(rendered.text.starts_with(&format!("{symbol} P: {headline}. ")), "{}", rendered.text);
        assert!(rendered.html.to_lowercase().contains(&format!("{verdict}. ")), "{}", rendered.html);
    }
}

const PLAIN_TEXT: &str = "\
✗ P2: 1 of 3 scripts failed, 1 not run. Please look at script_1.py (exit code 3). One script was not run because of it.

✗ failed     script_1.py  2.4 s  exit code 3 · 3 attempts; before: exit code 1 (twice)
✓ succeeded  script_0.py  1.2 s  usually 1.1 s
– not run    script_2.py         a.py failed before it

script_1.py: exit code 3
------------------------
Traceback (most recent call last):
  File \"script_1.py\", line 3, in <module>
    main()
    ~~~~^^
ValueError: bad

Whole output: RUNDIR/0001.out (2.0 KiB)

Warnings
- the disk is nearly full

Processes that outlived their script
- script_1.py left process 77 behind, which was ended: sleep 100

Scripts     1 succeeded, 1 failed, 1 not run
Started     Wed 27 Nov 2024, 08:51:58 (UTC+00:00)
Ended       Wed 27 Nov 2024, 08:52:02 (UTC+00:00)
Duration    3.6 s
Host        LAPTOP-BS85JNP7
Project     P2 (DIR)
Log         DIR/logs/p.log
Run folder  RUNDIR
Run         39be3d37aed64
Runner      0.1.0
";

#[test]
fn the_plain_text_reads_well_by_itself() {
    let mut report = report("P2", vec![success(), exit(3), skipped()]);
    report.scripts[1].attempts = 3;
    report.warnings.push("the disk is nearly full".into());
    report.scripts[1].leaked.push(Leaked { pid: 77, command: "sleep 100".into(), left: false });
    report.scripts[1].earlier = vec![earlier(1, exit(1)), earlier(2, exit(1))];
    report.scripts[0].usual = Some(Usual { usual_us: 1_100_000, pace: Pace::Usual, slow_after_us: None });
    let mut text = all(&report).text;
    for (path, plain) in [(&report.run_dir, "RUNDIR"), (&report.project_dir, "DIR")] {
        text = text.replace(&path.display().to_string(), plain);
    }
    assert_eq!(text.replace("RUNDIR\\", "RUNDIR/"), PLAIN_TEXT);
}

fn earlier(attempt: u32, outcome: Outcome) -> EarlierAttempt {
    EarlierAttempt { attempt, outcome, duration_us: 2_000_000 }
}

#[test]
fn what_was_unusual_about_a_success_is_said_at_once() {
    let mut report = report("P", vec![success(), success(), success(), success()]);
    report.scripts[0].attempts = 3;
    report.scripts[0].earlier =
        vec![earlier(1, exit(1)), earlier(2, Outcome::Timeout { seconds: 60.0, killed: false })];
    for (index, (took, pace, slow_after_us)) in
        [(720, Pace::Slow, None), (700, Pace::Slow, Some(600_000_000)), (1, Pace::Quick, None)].into_iter().enumerate()
    {
        report.scripts[index + 1].duration_us = took * 1_000_000;
        report.scripts[index + 1].usual = Some(Usual { usual_us: 180_000_000, pace, slow_after_us });
    }
    let first_line = "✓ P: all 4 scripts succeeded. Worth a look: script_1.py took 12 min, usually 3 min; \
                      script_2.py took 11 min 40 s, more than the 10 min of slow_after and 1 more.";
    let rendered = all(&report);
    assert!(rendered.text.starts_with(first_line), "{}", rendered.text);
    let row = "script_0.py        1.2 s  at attempt 3; before: exit code 1, timeout after 60 s\n";
    assert!(rendered.text.contains(row), "{}", rendered.text);
    for body in [&rendered.text, &rendered.html] {
        assert!(body.contains("took 1 s, usually 3 min"), "{body}");
    }
}

#[test]
fn a_run_tells_what_it_follows_and_what_it_left() {
    let what = "out/report.csv was not written by this run (last changed 2026-11-21 06:00)".to_owned();
    let mut report =
        report("P", vec![Outcome::ExpectationNotMet { what, code: 0 }, Outcome::LeftBehind { processes: 1, code: 0 }]);
    let first = RunId::parse("0123456789abc").unwrap();
    report.parent = Some(Parent { run_id: first.clone(), how: Following::Retry, first });
    report.planned = Some(report.started);
    report.scripts[1].leaked.push(Leaked { pid: 9, command: "tail -f log".into(), left: true });
    report.files.push(AttachedFile { name: "charts/week.png".into(), bytes: 20_480 });
    let Rendered { text, html, .. } = all(&report);
    let expected = [
        "expectation not met: out/report.csv was not written by this run (last changed 2026-11-21 06:00)",
        "left a process behind",
        "script_1.py left process 9 behind, which goes on: tail -f log",
        "charts/week.png (20.0 KiB)",
        "39be3d37aed64, retry of 0123456789abc",
        "Wed 27 Nov 2024, 08:51:58 (UTC+00:00)",
    ];
    for sentence in expected {
        assert!(text.contains(sentence) && html.contains(sentence), "{sentence}: {text}");
    }
    assert!(text.contains("\nFiles of this run\n- charts") && text.contains("\nPlanned for  Wed 27 Nov"), "{text}");
}

#[test]
fn a_run_whose_runner_died_says_so() {
    let died = Outcome::Interrupted { by: "the runner died".into() };
    let text = all(&report("P", vec![success(), died, skipped()])).text;
    let first_line = "! P: interrupted after 1 of 3 scripts. Please check how far script_1.py got (interrupted: the runner \
                      died), then go on with `runner resume 39be3d37aed64`.";
    assert!(text.starts_with(first_line), "{text}");
}

#[test]
fn a_reader_of_failures_sees_nothing_else() {
    let report = report("P", vec![success(), exit(1), success()]);
    let rendered = render(&report, EmailStrategy::FailureOnly, &context());
    for body in [&rendered.text, &rendered.html] {
        assert!(
            body.contains("script_1.py") && !body.contains("script_0.py") && !body.contains("script_2.py"),
            "{body}"
        );
    }
}

#[test]
fn nothing_of_a_script_is_taken_for_html() {
    let mut report = report("<i>P</i>\n& co", vec![exit(1), success()]);
    report.scripts[0].name = "<b>&\"'.py".into();
    report.scripts[0].traceback = Some("  <script>alert(1)</script>\n\ta && b".into());
    report.warnings.push("<img src=x>".into());
    let rendered = all(&report);
    assert_eq!(rendered.subject, "✗ <i>P</i> & co: 1 of 2 scripts failed");
    for tag in ["<i>", "<b>&\"", "<script", "<img"] {
        assert!(!rendered.html.contains(tag), "{tag}");
    }
    assert!(rendered.html.contains("<b>&#60;b&#62;&#38;&#34;&#39;.py</b>"), "{}", rendered.html);
    assert!(rendered.html.contains("\u{a0}\u{a0}&#60;script&#62;"), "{}", rendered.html);
    assert!(rendered.text.contains("<b>&\"'.py") && rendered.text.contains("        a && b"), "{}", rendered.text);
}

#[test]
fn many_scripts_are_counted_after_the_first_hundred_with_failures_first() {
    let outcomes = (0..250).map(|n| if n >= 240 { exit(1) } else { success() }).collect();
    let rendered = all(&report("P", outcomes));
    assert!(rendered.text.contains("… and 150 more: 150 succeeded"), "{}", rendered.text);
    let (failed, succeeded) = (rendered.text.find("script_249.py"), rendered.text.find("script_0.py"));
    assert!(failed < succeeded && failed.is_some());
}

#[test]
fn the_html_stays_below_what_mail_programs_cut() {
    let mut report = report("P", (0..300).map(|_| exit(1)).collect());
    for script in &mut report.scripts {
        script.name = "<".repeat(90);
        script.outcome = Some(Outcome::CouldNotStart { error: "&".repeat(500) });
        script.traceback = Some("<&>\n".repeat(4000));
        script.leaked = vec![Leaked { pid: 1, command: "<".repeat(300), left: false }; 3];
    }
    report.warnings = vec!["&".repeat(1000); 100];
    let failed = "f".repeat(300);
    let past = samples::past(&report, 1, &[failed.as_str(); 40], &[]);
    for strategy in [EmailStrategy::All, EmailStrategy::Digest] {
        for (_, language) in Language::NAMES {
            let context = RenderContext { past: past.clone(), language, ..context() };
            let rendered = render(&report, strategy, &context);
            assert!(rendered.html.len() < 100_000, "{}", rendered.html.len());
            assert!(rendered.html.ends_with("</html>\n") || rendered.html.ends_with("</html>"));
        }
    }
}

#[test]
fn each_failure_says_what_it_printed_and_where_the_rest_is() {
    let mut report = report("P", vec![exit(1), exit(1)]);
    report.scripts[0].traceback = Some((0..500).map(|n| format!("line {n}\n")).collect());
    report.scripts[1].traceback = None;
    report.scripts[1].output.bytes = 0;
    let text = all(&report).text;
    assert!(text.contains("(440 lines before this are left out)\nline 440\n"), "{text}");
    assert!(text.contains("line 499\n") && text.contains("Whole output: "), "{text}");
    assert!(text.contains("It printed nothing."), "{text}");
}

#[test]
fn marks_under_a_line_are_kept_while_they_fit() {
    let mut report = report("P", vec![exit(1), exit(1)]);
    report.scripts[0].traceback = Some(format!("code\n    ~~~^^\nlong code\n    {}\nError", "^".repeat(80)));
    report.scripts[1] = crate::model::ScriptReport {
        outcome: Some(Outcome::CouldNotStart { error: "x".into() }),
        traceback: None,
        ..report.scripts[1].clone()
    };
    let text = all(&report).text;
    assert!(text.contains("code\n    ~~~^^\nlong code\nError\n"), "{text}");
    assert!(text.contains("It never ran."), "{text}");
}

/// What Outlook's Word engine ignores or breaks on (Microsoft, "Word 2007 HTML and CSS rendering capabilities in
/// Outlook", and the tables of caniemail.com), with what would become of it.
const NOT_FOR_OUTLOOK: [(&str, &str); 31] = [
    ("flex", "cells are laid out by tables alone"),
    ("grid", "the same"),
    ("position:", "everything stays where it is in the flow"),
    ("float:", "ignored"),
    ("margin-", "ignored on most elements, kept on some"),
    ("max-width", "ignored: the mail would be as wide as the window"),
    ("min-width", "ignored"),
    ("border-radius", "ignored"),
    ("box-shadow", "ignored"),
    ("text-shadow", "ignored"),
    ("opacity", "ignored"),
    ("transform", "ignored"),
    ("white-space", "ignored: columns are kept by no-break spaces"),
    ("calc(", "the whole declaration is ignored"),
    ("var(", "the same"),
    ("rem;", "an unknown unit"),
    ("em;", "reckoned from another size than elsewhere"),
    ("background-image", "ignored"),
    ("background:", "ignored; `bgcolor` and `background-color` aren't"),
    ("data:", "not shown"),
    ("<img", "not loaded before the reader agrees"),
    ("<svg", "not shown"),
    ("<script", "removed, by all others too"),
    ("<style", "removed by some"),
    ("<link", "removed"),
    ("@media", "ignored"),
    ("class=", "says nothing without a style sheet"),
    ("<p>", "has margins of its own"),
    ("<ul", "is indented differently everywhere"),
    ("<li", "the same"),
    ("<div style=\"padding", "padding is for cells"),
];

#[test]
fn outlook_can_show_all_of_it() {
    let mut odd = report("P", vec![success(), exit(1), interrupted(), skipped()]);
    odd.warnings.push("w".into());
    odd.scripts[1].leaked.push(Leaked { pid: 1, command: "x".into(), left: true });
    odd.files.push(AttachedFile { name: "f".into(), bytes: 1 });
    odd.scripts[0].usual = Some(Usual { usual_us: 9_000_000, pace: Pace::Quick, slow_after_us: None });
    let samples = samples::to_look_at().into_iter().map(|sample| sample.render(Language::En).html);
    let alarms = samples::alarms().into_iter().map(|(_, alarm, context)| render_alarm(&alarm, &context).html);
    for html in samples.chain(alarms).chain([all(&odd).html]).map(|html| html.to_ascii_lowercase()) {
        for (construct, why) in NOT_FOR_OUTLOOK {
            assert!(!html.contains(construct), "{construct}: {why}");
        }
        assert_eq!(html.matches("<table").count(), html.matches("<table role=\"presentation\"").count());
        for [begin, end] in [["<table", "</table>"], ["<td", "</td>"], ["<tr>", "</tr>"], ["<span", "</span>"]] {
            assert_eq!(html.matches(begin).count(), html.matches(end).count(), "{begin}");
        }
        // Padding belongs on cells, text gets its font there: Word inherits neither into tables.
        for tag in html.split('<').filter(|tag| tag.contains("padding") && !tag.starts_with("body")) {
            assert!(tag.starts_with("td ") || tag.starts_with("table "), "{tag}");
        }
        for cell in html.split("<td").skip(1) {
            let (attributes, content) = cell.split_once('>').unwrap();
            let sized = attributes.contains("font:") || attributes.contains("font-size:1px;line-height:");
            assert!(sized || content.trim_start().starts_with("<table"), "<td{cell}");
        }
    }
}

/// What was unusual in each language, word for word. A reader of that language has to look at what changes here.
#[test]
fn each_language_says_all_of_it() {
    for (code, language) in Language::NAMES {
        let mut told = String::new();
        for sample in samples::to_look_at() {
            let Rendered { subject, text, html } = sample.render(language);
            assert!(html.contains(&format!("<html lang=\"{code}\">")));
            // Long tracebacks say the same in every language.
            let lines = text.lines().filter(|line| !line.starts_with("    self.") && !line.contains("/session_"));
            let text = lines.collect::<Vec<_>>().join("\n").replace('\\', "/").replace('\u{a0}', "~");
            told.push_str(&format!("== {}\n{}\n\n{text}\n\n", sample.name, subject.replace('\u{a0}', "~")));
        }
        for (name, alarm, context) in samples::alarms() {
            let Rendered { subject, text, html } = render_alarm(&alarm, &RenderContext { language, ..context });
            assert!(html.contains(&format!("<html lang=\"{code}\">")));
            told.push_str(&format!("== {name}\n{subject}\n\n{text}\n\n").replace('\u{a0}', "~"));
        }
        insta::assert_snapshot!(code, told);
    }
}

#[test]
fn a_constant_subject_says_what_kind_of_mail_it_is() {
    let mut report = report("P", vec![success(), exit(1)]);
    report.profile = Some("dev".into());
    let subject = |report: &RunReport, strategy, prefix: Option<&str>| {
        let subject_prefix = prefix.map(str::to_owned);
        let context = RenderContext { constant_subject: true, subject_prefix, ..context() };
        render(report, strategy, &context).subject
    };
    let failed = subject(&report, EmailStrategy::All, Some("[jobs]"));
    assert_eq!(failed, "[jobs] P [dev]: run report");
    assert_eq!(subject(&report, EmailStrategy::Digest, None), "P [dev]: daily summary");
    report.scripts[1].outcome = Some(success());
    report.status = RunStatus::Success;
    assert_eq!(subject(&report, EmailStrategy::All, Some("[jobs]\r\n")), failed);
}

#[test]
fn what_changed_is_said_first() {
    let mut report = report("P", vec![success(), exit(1), exit(2)]);
    let told = |report: &RunReport, runs: &[&str]| {
        let context = RenderContext { past: samples::past(report, 24, runs, &[0]), ..context() };
        let text = render(report, EmailStrategy::Changes, &context).text;
        text.lines().next().unwrap().split_once(". ").unwrap().1.to_owned()
    };
    let cases: [(&[&str], &str); 5] = [
        (&["fff", "ssf"], "script_1.py and script_2.py are still failing. script_0.py works again after 1 failure. "),
        (
            &["ssf", "sss", "sss"],
            "First failure of script_1.py after 3 successes. script_2.py is still failing, since Tuesday 26 November, for the 2nd time. ",
        ),
        (&["sss"], "First failure of script_1.py and script_2.py. "),
        (&["-s-", "fs-"], "First failure of script_1.py and script_2.py. script_0.py works again after 1 failure. "),
        (&[], ""),
    ];
    for (runs, news) in cases {
        let wanted = format!("{news}Please look at script_1.py (exit code 1) and script_2.py (exit code 2).");
        assert_eq!(told(&report, runs), wanted, "{runs:?}");
    }
    // A script that was cut off is no failure that could be new.
    report.scripts[1].outcome = Some(interrupted());
    report.status = RunStatus::Interrupted;
    assert!(!told(&report, &["sss"]).contains("script_1.py after"));
}

#[test]
fn colours_are_never_alone_and_cells_have_words() {
    let html = samples::to_look_at()[1].render(Language::En).html;
    for cell in html.split("<td").filter(|cell| cell.contains(" title=")) {
        assert!(cell.contains("✓") || cell.contains("✗"), "{cell}");
    }
    assert!(html.contains("title=\"Tue 26 Nov, 09:51: failed, 6.5 s\""), "{html}");
}

#[test]
fn an_unfinished_report_can_be_shown() {
    let mut report = report("P", vec![success(), success()]);
    report.scripts[1].outcome = None;
    report.finished = None;
    report.status = RunStatus::Interrupted;
    let text = all(&report).text;
    assert!(text.contains("unfinished") && text.contains("not yet"), "{text}");
    assert!(text.contains("1 succeeded, 1 interrupted"), "{text}");
}

proptest! {
    #[test]
    fn whatever_is_in_a_report_the_subject_is_one_clean_line(
        project in "\\PC{0,80}|[\\x00-\\x1fa]{0,20}", name in ".{0,200}", output in "(?s).{0,400}", error in ".{0,400}",
    ) {
        let mut report = report(&project, vec![success(), Outcome::CouldNotStart { error }]);
        report.scripts[1].name = name;
        report.scripts[1].traceback = Some(output);
        let rendered = all(&report);
        prop_assert!(!rendered.subject.chars().any(char::is_control));
        prop_assert!(rendered.subject.chars().count() < 200);
        prop_assert!(!rendered.html.is_empty() && rendered.html.len() < 100_000);
        prop_assert!(!rendered.text.chars().any(|c| c.is_control() && c != '\n'));
    }
}

/// Writes pages to look at, in every language, into the folder named by `MAIL_SAMPLES`; without it, does nothing.
#[test]
fn samples_to_look_at() {
    let Some(folder) = std::env::var_os("MAIL_SAMPLES").map(std::path::PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    for sample in samples::to_look_at() {
        for (code, language) in Language::NAMES {
            let rendered = sample.render(language);
            std::fs::write(folder.join(format!("{}.{code}.html", sample.name)), &rendered.html).unwrap();
            std::fs::write(folder.join(format!("{}.{code}.txt", sample.name)), &rendered.text).unwrap();
        }
    }
    for (name, alarm, context) in samples::alarms() {
        for (code, language) in Language::NAMES {
            let rendered = render_alarm(&alarm, &RenderContext { language, ..context.clone() });
            std::fs::write(folder.join(format!("{name}.{code}.html")), &rendered.html).unwrap();
            std::fs::write(folder.join(format!("{name}.{code}.txt")), &rendered.text).unwrap();
        }
    }
}

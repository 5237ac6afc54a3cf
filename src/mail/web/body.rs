//! What pings and webhooks say. Pure.

use serde_json::{Value, json};

use crate::mail::render::{lines, one_line, tail};
use crate::mail::{Alarm, Rendered};
use crate::model::{RunId, RunReport, RunStatus, ScriptReport, WEBHOOK_PLACEHOLDERS, Webhook, format_duration};

/// Bytes of a ping's body: what healthchecks keep of one (before version 2.1, 100 kB since), less a little for the mark.
const PING: usize = 9_900;
/// Characters of a summary: chats take from 2,000 characters (Discord) to 40,000 (Slack).
const SUMMARY: usize = 1_700;

/// The body of the ping that tells of a start.
#[must_use]
pub fn start_body(project: &str, run_id: &RunId, host: &str) -> String {
    format!("{}: run {run_id} has started on {}\n", one_line(project, 200), one_line(host, 200))
}

/// The body of the ping that tells of an end: the exit code, and the summary as far as there is room.
#[must_use]
pub fn ping_body(report: &RunReport, rendered: &Rendered) -> String {
    let code = exit_code(report);
    let head = format!("run {} on {}: exit code {code}\n\n", report.run_id, one_line(&report.host, 200));
    let room = PING - head.len();
    head + &cut(&rendered.text, rendered.text.floor_char_boundary(room))
}

/// The body of the webhook: what the project file says, its placeholders replaced, or the summary as `text`, which Slack,
/// Mattermost, Google Chat and others show.
#[must_use]
pub fn webhook_body(webhook: &Webhook, report: &RunReport, rendered: &Rendered) -> Value {
    let usual = json!({"text": "{summary}"});
    fill(webhook.body.as_ref().unwrap_or(&usual), &|name| word(name, report, rendered))
}

/// The same of an alarm: there is no run, of which most placeholders are.
#[must_use]
pub fn alarm_body(webhook: &Webhook, alarm: &Alarm, rendered: &Rendered) -> Value {
    let usual = json!({"text": "{summary}"});
    let word = |name: &str| {
        Some(match name {
            "project" => one_line(&alarm.project, 200),
            "profile" => one_line(alarm.profile.as_deref().unwrap_or_default(), 200),
            "status" => "missed".to_owned(),
            "verdict" => one_line(first_line(rendered), 500),
            "summary" => summary(rendered),
            "host" => one_line(&alarm.host, 200),
            name if WEBHOOK_PLACEHOLDERS.contains(&name) => String::new(),
            _ => return None,
        })
    };
    fill(webhook.body.as_ref().unwrap_or(&usual), &word)
}

/// What a placeholder stands for; `None` if it is none.
fn word(name: &str, report: &RunReport, rendered: &Rendered) -> Option<String> {
    Some(match name {
        "project" => one_line(&report.project, 200),
        "profile" => one_line(report.profile.as_deref().unwrap_or_default(), 200),
        "status" => report.status.name().to_owned(),
        "verdict" => one_line(first_line(rendered), 500),
        "summary" => summary(rendered),
        "run_id" => report.run_id.to_string(),
        "host" => one_line(&report.host, 200),
        "duration" => format_duration(report.duration()),
        "failed" => one_line(&names(report), 500),
        "exit_code" => exit_code(report).to_string(),
        "last_lines" => last_lines(report),
        _ => return None,
    })
}

fn summary(rendered: &Rendered) -> String {
    let end = rendered.text.char_indices().nth(SUMMARY).map_or(rendered.text.len(), |(index, _)| index);
    cut(&rendered.text, end)
}

/// The first line of a summary is its verdict, also where the subject stays the same from run to run.
fn first_line(rendered: &Rendered) -> &str {
    rendered.text.lines().find(|line| !line.trim().is_empty()).unwrap_or(&rendered.subject)
}

fn names(report: &RunReport) -> String {
    report.failures().map(|script| script.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// What the first script that failed said last.
fn last_lines(report: &RunReport) -> String {
    let words = report.failures().find_map(ScriptReport::last_words).unwrap_or_default();
    tail(&lines(words), 10, 1000).1.join("\n")
}

/// The exit code of a run of this project alone.
fn exit_code(report: &RunReport) -> u8 {
    match report.status {
        RunStatus::Success => 0,
        RunStatus::Failure | RunStatus::Running => 1,
        RunStatus::Interrupted => 130,
    }
}

/// Up to there, without the blanks at its end, and with a mark if something is missing.
fn cut(text: &str, end: usize) -> String {
    let kept = text.get(..end).unwrap_or(text);
    let mark = if kept.len() < text.len() { "\n…" } else { "" };
    format!("{}{mark}", kept.trim_end())
}

/// Replaces `{name}` in every text of a JSON value. What isn't known stays, and what was put in isn't read again.
fn fill(value: &Value, word: &dyn Fn(&str) -> Option<String>) -> Value {
    match value {
        Value::String(text) => Value::String(fill_text(text, word)),
        Value::Array(items) => items.iter().map(|item| fill(item, word)).collect(),
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), fill(value, word))).collect()),
        other => other.clone(),
    }
}

fn fill_text(text: &str, word: &dyn Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}').and_then(|(name, after)| Some((word(name)?, after))) {
            Some((word, after)) => {
                filled.push_str(&word);
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::render::samples::{exit, report, success};
    use crate::mail::{RenderContext, render};
    use crate::model::{EmailStrategy, WEBHOOK_PLACEHOLDERS};

    fn rendered(report: &RunReport) -> Rendered {
        render(report, EmailStrategy::All, &RenderContext::default())
    }

    fn filled(body: Option<Value>, report: &RunReport) -> Value {
        let webhook = Webhook { url: String::new(), when: EmailStrategy::All, body };
        webhook_body(&webhook, report, &rendered(report))
    }

    #[test]
    fn the_usual_body_is_a_text() {
        let report = report("P", vec![success(), exit(1)]);
        let body = filled(None, &report);
        let text = body["text"].as_str().unwrap();
        assert!(
            text.starts_with("✗ P: ") && text.contains("script_1.py") && text.chars().count() <= SUMMARY + 2,
            "{text}"
        );
    }

    #[test]
    fn placeholders_are_replaced_in_texts_alone() {
        let mut report = report("a \"{host}\"\n{status}", vec![success(), exit(3), exit(1)]);
        report.profile = Some("dev".to_owned());
        let body = json!({
            "{project}": "{project}",
            "list": ["{status}/{exit_code}", 3, null, true, {"in": "{failed} {{run_id}} {nothing} {"}],
            "more": "{profile} on {host} took {duration}",
            "last": "{last_lines}",
        });
        assert_eq!(
            filled(Some(body), &report),
            json!({
                "{project}": "a \"{host}\" {status}",
                "list": ["failure/1", 3, null, true, {"in": "script_1.py, script_2.py {39be3d37aed64} {nothing} {"}],
                "more": "dev on LAPTOP-BS85JNP7 took 7.2 s",
                "last": "Traceback (most recent call last):\n  File \"script_1.py\", line 3, in <module>\n    main()\n    ~~~~^^\nValueError: bad",
            })
        );
        let rendered = rendered(&report);
        for name in WEBHOOK_PLACEHOLDERS {
            assert!(word(name, &report, &rendered).is_some(), "{name}");
        }
    }

    #[test]
    fn a_ping_has_the_exit_code_and_fits() {
        let mut report = report("P", vec![success()]);
        assert!(
            ping_body(&report, &rendered(&report))
                .starts_with("run 39be3d37aed64 on LAPTOP-BS85JNP7: exit code 0\n\n✓ P: ")
        );
        report.scripts[0].outcome = Some(exit(1));
        report.scripts[0].traceback = Some("ë".repeat(50_000));
        report.status = RunStatus::Interrupted;
        let mut large = rendered(&report);
        large.text = "ë".repeat(50_000);
        let body = ping_body(&report, &large);
        assert!(body.contains("exit code 130") && body.ends_with("ë\n…") && body.len() <= 10_000, "{}", body.len());
        assert_eq!(start_body("P\n", &report.run_id, "h"), "P: run 39be3d37aed64 has started on h\n");
    }

    proptest! {
        #[test]
        fn fuzz_placeholders(text in "(\\{|\\}|project|[a-z_ é]){0,12}") {
            let known = fill_text(&text, &|name| (name == "project").then(|| "{project}".to_owned()));
            prop_assert_eq!(known, text.clone(), "what was put in isn't read again");
        }
    }
}

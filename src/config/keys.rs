//! The keys of a project file, in the order in which the documentation and `check --explain` list them.

use serde_json::{Value, json};

/// The project's file.
pub const PROJECT_FILE: &str = "exec_config.json";
/// What a project's parents may hold for all projects below them.
pub(super) const COMMON_FILE: &str = "exec_config.common.json";

/// One key of a project.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// For a required key, a line that could be added; `None` for optional ones.
    pub(super) example: Option<&'static str>,
    /// Whether it may also stand on a script.
    pub(super) on_script: bool,
}

const fn required(name: &'static str, example: &'static str) -> Key {
    Key { name, example: Some(example), on_script: false }
}

const fn shared(name: &'static str) -> Key {
    Key { name, example: None, on_script: true }
}

const fn optional(name: &'static str) -> Key {
    Key { name, example: None, on_script: false }
}

/// All keys of a project.
pub(super) const KEYS: [Key; 29] = [
    required("scripts", r#""scripts": ["main.py"]"#),
    required("python_command", r#""python_command": "python""#),
    required("recipients", r#""recipients": ["you@example.com"]"#),
    required("email_strategy", r#""email_strategy": "failure_only""#),
    required("include_traceback", r#""include_traceback": true"#),
    required("logs_backup_count", r#""logs_backup_count": 4"#),
    shared("args"),
    shared("env"),
    shared("env_file"),
    shared("working_dir"),
    shared("timeout"),
    shared("kill_grace"),
    shared("on_failure"),
    shared("success_codes"),
    shared("on_leak"),
    shared("leak_timeout"),
    shared("slow_after"),
    shared("retries"),
    shared("expect"),
    optional("params"),
    optional("settings"),
    optional("log_filename"),
    optional("log_rotation"),
    optional("output"),
    optional("overlap"),
    optional("locks"),
    optional("language"),
    optional("mail"),
    optional("schedule"),
];

/// Keys whose objects may be of any depth, and are explained value by value.
pub(super) const DEEP_KEYS: [&str; 2] = ["params", "settings"];

/// Keys whose single value is a text, never a number or a truth value.
pub(super) const TEXT_KEYS: [&str; 9] = [
    "python_command",
    "email_strategy",
    "env_file",
    "working_dir",
    "on_failure",
    "on_leak",
    "log_filename",
    "log_rotation",
    "language",
];

/// Keys of a script beside those that it shares with the project.
pub(super) const SCRIPT_ONLY_KEYS: [&str; 3] = ["path", "name", "interpreter"];

/// Keys of `output`.
pub(super) const OUTPUT_KEYS: [&str; 4] = ["first", "last", "keep_days", "keep_runs"];
/// Keys of `retries`.
pub(super) const RETRIES_KEYS: [&str; 6] = ["count", "backoff", "delay", "max_delay", "jitter", "on"];
/// Keys of `retries.on`.
pub(super) const RETRY_ON_KEYS: [&str; 2] = ["exit_codes", "timeout"];
/// Keys of an expectation.
pub(super) const EXPECT_KEYS: [&str; 5] = ["file", "fresh", "not_empty", "min_rows", "output"];
/// Keys of `overlap`.
pub(super) const OVERLAP_KEYS: [&str; 2] = ["allow", "wait"];
/// Keys of an input in `params`.
pub(super) const PARAM_KEYS: [&str; 8] = ["type", "of", "choices", "default", "required", "help", "secret", "file"];
/// Keys of `mail`.
pub(super) const MAIL_KEYS: [&str; 10] = [
    "cc",
    "bcc",
    "reply_to",
    "subject_prefix",
    "attach_output",
    "conversation",
    "deadline",
    "digest_at",
    "pings",
    "webhook",
];
/// Keys of `mail.pings`.
pub(super) const PING_KEYS: [&str; 3] = ["start", "success", "failure"];
/// Keys of `mail.webhook`.
pub(super) const WEBHOOK_KEYS: [&str; 3] = ["url", "when", "body"];
/// Keys whose values are web addresses, of which only the host is shown.
pub(super) const ADDRESS_KEYS: [&str; 4] = ["start", "success", "failure", "url"];

/// Keys of a schedule, beside those of its trigger.
pub(super) const SCHEDULE_KEYS: [&str; 4] = ["name", "jitter", "misfire_grace", "coalesce"];
/// The kinds of triggers.
pub(super) const TRIGGER_KINDS: [&str; 6] = ["cron", "interval", "calendar", "at", "all", "any"];
/// Keys of a trigger, its kind among them.
pub(super) const TRIGGER_KEYS: [&str; 10] =
    ["cron", "interval", "calendar", "at", "all", "any", "timezone", "dst", "start", "end"];
/// What else keys are called elsewhere.
pub(super) const OTHER_NAMES: [(&str, &str); 5] = [
    ("weekday", "day_of_week"),
    ("weekdays", "day_of_week"),
    ("dow", "day_of_week"),
    ("dom", "day"),
    ("day_of_month", "day"),
];
/// Keys of `cron`, written field by field.
pub(super) const CRON_KEYS: [&str; 8] = ["year", "month", "day", "week", "day_of_week", "hour", "minute", "second"];
/// Keys of `calendar`.
pub(super) const CALENDAR_KEYS: [&str; 6] = ["years", "months", "weeks", "days", "time", "start"];
/// Keys of `dst`.
pub(super) const DST_KEYS: [&str; 2] = ["gap", "fold"];

/// The keys of an object of which each has a default of its own.
pub(super) fn inner_keys(key: &str) -> Option<&'static [&'static str]> {
    match key {
        "output" => Some(&OUTPUT_KEYS),
        "mail" => Some(&MAIL_KEYS),
        _ => None,
    }
}

/// Names that a project may have, synonyms and the ignored `$schema` included.
pub(super) fn project_names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name).chain(["interpreter", "$schema"])
}

/// Names that a script may have.
pub(super) fn script_names() -> impl Iterator<Item = &'static str> {
    SCRIPT_ONLY_KEYS.into_iter().chain(KEYS.iter().filter(|key| key.on_script).map(|key| key.name))
}

/// What an optional key is worth when nobody sets it; `null` for required ones.
pub(super) fn default_of(key: &str, folder_name: &str) -> Value {
    match key {
        "args" | "expect" | "locks" => json!([]),
        "env" | "params" | "settings" => json!({}),
        "working_dir" => json!("."),
        "kill_grace" => json!("10s"),
        "on_failure" => json!("continue"),
        "success_codes" => json!([0]),
        "on_leak" => json!("end"),
        "leak_timeout" => json!("1s"),
        "retries" => json!(0),
        "overlap" => json!("skip"),
        "log_filename" => json!(folder_name),
        "log_rotation" => json!("3d"),
        "output" => json!({"first": "1MiB", "last": "4MiB", "keep_days": 30, "keep_runs": 20}),
        "language" => json!("en"),
        "mail" => json!({
            "cc": [], "bcc": [], "reply_to": [], "subject_prefix": null, "attach_output": "never", "conversation": true,
            "deadline": "30s", "digest_at": "07:00", "pings": null, "webhook": null
        }),
        _ => Value::Null,
    }
}

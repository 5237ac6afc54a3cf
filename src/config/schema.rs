//! The JSON Schema of a project file, for editors. The types in here describe the file and are used for nothing else:
//! reading is done value by value, so that every problem can be told with its place. Tests hold both together.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Words that are taken in any case, which a list of values couldn't say. Editors suggest the examples.
macro_rules! words {
    ($vis:vis $name:ident, $pattern:literal, [$($word:literal),*]) => {
        $vis struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "anyOf": [{"enum": [$($word),*]}, {"type": "string", "pattern": $pattern}]
                })
            }
        }
    };
}

mod layer;
mod mail;
mod params;
mod schedule;

pub use layer::layer_schema;

/// The schema of `exec_config.json`, as JSON Schema draft 2020-12.
#[must_use]
pub fn schema() -> serde_json::Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<ProjectFile>().to_value()
}

/// A project: a folder of scripts that are run in order.
#[derive(JsonSchema)]
#[schemars(title = "exec_config.json", deny_unknown_fields, transform = one_interpreter)]
#[allow(dead_code)]
struct ProjectFile {
    /// This schema, for editors.
    #[schemars(rename = "$schema")]
    schema: Option<String>,
    /// The scripts, in the order in which they run.
    #[schemars(length(min = 1))]
    scripts: Vec<ScriptEntry>,
    /// What runs the scripts: a program, as `python` or `.venv/Scripts/python`, or a list of a program and its
    /// arguments. A bare name is looked up on PATH, one with a separator is relative to the project.
    python_command: Option<Program>,
    /// The same as `python_command`.
    interpreter: Option<Program>,
    /// Addresses that get the mails; empty only with the strategy `none`.
    recipients: Vec<String>,
    /// When a mail is sent: after every run, only after a failure, never, when something has changed, or once a day.
    email_strategy: Strategy,
    /// Whether a failure's line in the log ends with the traceback.
    include_traceback: bool,
    /// How many archives of the log are kept; 0 keeps all.
    logs_backup_count: u32,
    /// The log's name without `.log`; the folder's name unless set.
    #[schemars(length(min = 1, max = 200), regex(pattern = r#"^[^<>:"/\\|?*]+$"#))]
    log_filename: Option<String>,
    /// When the log is archived: an interval (`3d`, unless set) or a size (`5MiB`).
    log_rotation: Option<String>,
    /// How much of the scripts' output is kept, and for how long.
    output: Option<Output>,
    /// What happens when the project is already running: the new run is skipped (`skip`, unless set), or waits.
    overlap: Option<Overlap>,
    /// Names of locks that the project holds while it runs; projects that share one never run together.
    #[schemars(inner(length(min = 1, max = 100), regex(pattern = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")))]
    locks: Option<Vec<String>>,
    /// Inputs that the project declares: given with `-p NAME=VALUE`, or as the variable `RUNNER_PARAM_NAME`; `{NAME}` in `args`
    /// and `env` stands for one.
    params: Option<params::Params>,
    /// Whatever the scripts need to know: they get it as a JSON file, whose path is in `RUNNER_SETTINGS`.
    #[schemars(rename = "settings")]
    handed: Option<BTreeMap<String, serde_json::Value>>,
    /// The language of mails: English (`en`, unless set), French, Japanese, Korean.
    language: Option<mail::Language>,
    /// How the mails are made up, and which web addresses are told how runs go.
    mail: Option<mail::Mail>,
    /// When the project runs by itself: a trigger, or a list of them.
    schedule: Option<schedule::Schedules>,
    #[schemars(flatten)]
    settings: Settings,
}

/// Either name is required. schemars would require neither.
fn one_interpreter(schema: &mut Schema) {
    let either = serde_json::json!([{"required": ["python_command"]}, {"required": ["interpreter"]}]);
    schema.insert("anyOf".to_owned(), either);
}

/// Settings that may stand on the project and on a script.
#[derive(JsonSchema)]
#[allow(dead_code)]
struct Settings {
    /// Arguments after the script's path.
    args: Option<Vec<String>>,
    /// Variables for the scripts. A script's are added to the project's, and win.
    env: Option<BTreeMap<String, String>>,
    /// A file of variables for the scripts, in the form of `.env` files.
    env_file: Option<String>,
    /// Where the scripts run; the project's folder unless set.
    working_dir: Option<String>,
    /// How long a script may run; for ever unless set.
    timeout: Option<Duration>,
    /// How long a script is given to end by itself before it is killed; 10 seconds unless set.
    kill_grace: Option<Duration>,
    /// What becomes of the later scripts when one fails; they run (`continue`) unless set.
    on_failure: Option<OnFailure>,
    /// Exit codes that count as success; `[0]` unless set.
    #[schemars(length(min = 1))]
    success_codes: Option<Vec<u32>>,
    /// What becomes of processes that outlive their script: they are ended (`end`, unless set), left (`leave`), or ended
    /// and the script counts as failed (`fail`).
    on_leak: Option<OnLeak>,
    /// How long such processes may go on, or hold the script's output open; 1 second unless set.
    leak_timeout: Option<Duration>,
    /// From when on a script counts as slow; learned from its history unless set.
    slow_after: Option<Duration>,
    /// How often a failed script is tried again; not at all unless set.
    retries: Option<Retries>,
    /// What must be true after a script although its exit code says success. A script's replaces the project's.
    expect: Option<Expect>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Retries {
    /// So many further attempts, a second apart.
    Count(#[schemars(range(max = 100))] u32),
    Policy(RetryPolicy),
}

/// How often, when and after what a failed script is tried again.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct RetryPolicy {
    /// Further attempts after the first.
    #[schemars(range(max = 100))]
    count: u32,
    /// How the pauses grow: not at all (`fixed`, unless set), or each is twice the one before (`exponential`).
    backoff: Option<Backoff>,
    /// The first pause; 1 second unless set.
    delay: Option<Duration>,
    /// No pause is longer; unless set, 5 minutes for `exponential`.
    max_delay: Option<Duration>,
    /// By how much a pause may be lengthened at random; not at all unless set.
    jitter: Option<Jitter>,
    /// After these failures only; after any unless set.
    on: Option<RetryOn>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Jitter {
    /// A share of the pause.
    Share(#[schemars(range(min = 0, max = 1))] f64),
    /// A duration with its unit, as in `500ms`.
    UpTo(#[schemars(regex(pattern = "[a-zA-Z]"))] String),
}

/// The failures after which a script is tried again.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct RetryOn {
    /// These exit codes.
    exit_codes: Option<Vec<u32>>,
    /// Its timeout.
    timeout: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Expect {
    One(Expectation),
    All(Vec<Expectation>),
}

/// What must be true after a script; it has a `file`, an `output`, or both.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, transform = file_or_output)]
#[allow(dead_code)]
struct Expectation {
    /// This file is there; relative to the folder where the script runs, or absolute.
    #[schemars(length(min = 1))]
    file: Option<String>,
    /// The file was written by this run (`true`), or is at most so old (a duration).
    fresh: Option<Fresh>,
    /// The file isn't empty.
    not_empty: Option<bool>,
    /// The file has at least so many lines that aren't blank, a header among them.
    min_rows: Option<u32>,
    /// A line of what the script prints matches this regular expression.
    output: Option<String>,
}

/// One of both is required, and what is said of a file needs one.
fn file_or_output(schema: &mut Schema) {
    let given = |key: &str| serde_json::json!({"required": [key], "properties": {key: {"not": {"type": "null"}}}});
    schema.insert("anyOf".to_owned(), serde_json::json!([given("file"), given("output")]));
    let needs: serde_json::Map<_, _> = ["fresh", "not_empty", "min_rows"]
        .map(|key| (key.to_owned(), serde_json::json!(["file"])))
        .into_iter()
        .collect();
    schema.insert("dependentRequired".to_owned(), needs.into());
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Fresh {
    ByThisRun(bool),
    Within(Duration),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Overlap {
    /// `wait` waits for an hour at most.
    Word(OverlapWord),
    Object(OverlapObject),
}

/// How many runs may be under way, and how long others wait.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct OverlapObject {
    /// So many runs may be under way at once; 1 unless set.
    #[schemars(range(min = 1, max = 100))]
    allow: Option<u32>,
    /// How long a run waits for its turn; not at all unless set.
    wait: Option<Duration>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum ScriptEntry {
    /// The script's path, relative to the project or absolute.
    Path(#[schemars(length(min = 1))] String),
    Object(Box<ScriptObject>),
}

/// A script with settings of its own.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct ScriptObject {
    /// The script's path, relative to the project or absolute.
    #[schemars(length(min = 1))]
    path: String,
    /// How reports call it; the file's name unless set.
    #[schemars(length(min = 1))]
    name: Option<String>,
    /// What runs it, instead of the project's.
    #[schemars(with = "Program")]
    #[schemars(default)]
    interpreter: (),
    #[schemars(flatten)]
    settings: Settings,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Program {
    /// One program, never split.
    Name(#[schemars(length(min = 1))] String),
    /// A program and its arguments.
    WithArguments(#[schemars(length(min = 1))] Vec<String>),
}

/// How much of the scripts' output is kept, and for how long.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
struct Output {
    /// Kept from the beginning of each script's output; 1 MiB unless set.
    first: Option<Size>,
    /// Kept from its end; 4 MiB unless set.
    last: Option<Size>,
    /// Run folders younger than this many days are kept; 30 unless set.
    keep_days: Option<u32>,
    /// So many of the newest run folders are kept whatever their age; 20 unless set.
    keep_runs: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Duration {
    /// Seconds.
    Seconds(#[schemars(range(min = 0))] f64),
    /// Numbers with units, as in `90s` or `1h 30m`.
    Text(String),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
enum Size {
    /// Bytes.
    Bytes(u64),
    /// A number with a unit, as in `5MiB`.
    Text(String),
}

words!(
    Strategy,
    "^([aA][lL][lL]|[fF][aA][iI][lL][uU][rR][eE]_[oO][nN][lL][yY]|[nN][oO][nN][eE]|[cC][hH][aA][nN][gG][eE][sS]|[dD][iI][gG][eE][sS][tT])$",
    ["all", "failure_only", "none", "changes", "digest"]
);
words!(OnLeak, "^([eE][nN][dD]|[lL][eE][aA][vV][eE]|[fF][aA][iI][lL])$", ["end", "leave", "fail"]);
words!(Backoff, "^([fF][iI][xX][eE][dD]|[eE][xX][pP][oO][nN][eE][nN][tT][iI][aA][lL])$", ["fixed", "exponential"]);
words!(OverlapWord, "^([sS][kK][iI][pP]|[wW][aA][iI][tT])$", ["skip", "wait"]);
words!(OnFailure, "^([cC][oO][nN][tT][iI][nN][uU][eE]|[sS][tT][oO][pP])$", ["continue", "stop"]);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::keys;
    use super::*;

    fn names(schema: &Value) -> BTreeSet<String> {
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn it_knows_the_keys_that_are_read() {
        let schema = schema();
        let known = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(names(&schema), known(keys::project_names().collect()));
        assert_eq!(names(&schema["$defs"]["ScriptObject"]), known(keys::script_names().collect()));
        for (name, keys) in [
            ("Output", keys::OUTPUT_KEYS.to_vec()),
            ("RetryPolicy", keys::RETRIES_KEYS.to_vec()),
            ("RetryOn", keys::RETRY_ON_KEYS.to_vec()),
            ("Expectation", keys::EXPECT_KEYS.to_vec()),
            ("OverlapObject", keys::OVERLAP_KEYS.to_vec()),
            ("Mail", keys::MAIL_KEYS.to_vec()),
            ("Pings", keys::PING_KEYS.to_vec()),
            ("Webhook", keys::WEBHOOK_KEYS.to_vec()),
            ("Schedule", keys::SCHEDULE_KEYS.into_iter().chain(keys::TRIGGER_KEYS).collect()),
            ("Trigger", keys::TRIGGER_KEYS.to_vec()),
            ("CronFields", keys::CRON_KEYS.to_vec()),
            ("CalendarStep", keys::CALENDAR_KEYS.to_vec()),
            ("Dst", keys::DST_KEYS.to_vec()),
            ("Declaration", keys::PARAM_KEYS.to_vec()),
        ] {
            assert_eq!(names(&schema["$defs"][name]), known(keys), "{name}");
        }
    }

    #[test]
    fn it_takes_what_is_read_and_refuses_what_is_not() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let whole = json!({
            "scripts": ["main.py"], "python_command": "python", "recipients": ["a@example.com"],
            "email_strategy": "all", "include_traceback": true, "logs_backup_count": 4
        });
        let with = |pair: &Value| {
            let mut file = whole.clone();
            for (key, value) in pair.as_object().unwrap() {
                file[key] = value.clone();
            }
            file
        };
        for pair in [
            json!({}),
            json!({"email_strategy": "Failure_Only", "on_failure": "STOP", "$schema": "x"}),
            json!({"python_command": ["python", "-u"], "timeout": null, "kill_grace": 0.5, "env": {"A": "b"}}),
            json!({"scripts": ["a.py", {"path": "b.py", "interpreter": ["node"], "timeout": "1h", "args": []}]}),
            json!({"output": {"first": "1MiB", "last": 5, "keep_days": 0}, "log_rotation": "5MiB", "success_codes": [0]}),
            json!({"retries": 3, "on_leak": "Leave", "leak_timeout": 0, "slow_after": "5m", "overlap": "WAIT", "locks": ["a.b-C_1"]}),
            json!({"retries": {"count": 100, "backoff": "Exponential", "delay": 2, "max_delay": "1h", "jitter": 0.5, "on": {"exit_codes": [75]}}}),
            json!({"retries": {"count": 1, "jitter": "500ms", "on": null}, "overlap": {"allow": 2, "wait": "10m"}, "locks": []}),
            json!({"expect": {"file": "x", "fresh": true, "not_empty": true, "min_rows": 2}}),
            json!({"expect": [{"output": "^done$"}, {"file": "y", "fresh": "2h", "output": null}]}),
            json!({"expect": [], "overlap": null, "locks": null, "retries": null, "slow_after": null}),
            json!({"email_strategy": "Changes", "language": "JA", "mail": {}}),
            json!({"email_strategy": "digest", "language": null, "mail": null}),
            json!({"mail": {"cc": ["a@example.com"], "bcc": [], "reply_to": null, "subject_prefix": "[x]", "attach_output": true}}),
            json!({"mail": {"attach_output": "Failure", "conversation": false, "deadline": "1m", "digest_at": "6:30"}}),
            json!({"params": {"since": "date", "Max_2": {"type": "Int", "default": 5, "required": false}, "gone": null}}),
            json!({"params": {"r": {"type": "choice", "choices": ["a"], "default": "a", "help": "x"}, "t": {"type": "str", "secret": true, "file": "x"}}}),
            json!({"params": {"l": {"type": "list", "of": "date", "default": ["today"], "required": null}}, "settings": {"a": [null]}}),
            json!({"mail": {"pings": {"start": "${HC}/start", "success": "https://hc-ping.com/x", "failure": null}}}),
            json!({"mail": {"webhook": {"url": "http://localhost:1/x", "when": "Changes", "body": {"text": ["{summary}", 1]}}}}),
            json!({"schedule": {"cron": "0 6 * * mon-fri", "timezone": "Europe/Paris", "dst": {"gap": "Skip", "fold": null}}}),
            json!({"schedule": [{"interval": 90, "name": "often", "jitter": "5s"}, {"at": "2026-12-01T06:00", "coalesce": false}]}),
            json!({"schedule": {"cron": {"day": "last fri", "hour": 6}, "start": "2026-12-01", "end": null, "misfire_grace": "1h"}}),
            json!({"schedule": {"any": [{"all": [{"cron": "@daily"}, {"interval": "1h"}]}, {"calendar": {"months": 1, "time": "6:00"}}]}}),
            json!({"schedule": []}),
        ] {
            let file = with(&pair);
            let errors: Vec<String> = validator.iter_errors(&file).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{pair}: {errors:?}");
        }
        for pair in [
            json!({"scripts": "main.py"}),
            json!({"scripts": []}),
            json!({"scripts": [{"name": "x"}]}),
            json!({"scripts": [{"path": "x", "interpreter": null}]}),
            json!({"email_strategy": "weekly"}),
            json!({"include_traceback": "yes"}),
            json!({"logs_backup_count": -1}),
            json!({"logs_backup_count": 1.5}),
            json!({"recipients": null}),
            json!({"timeout": -1}),
            json!({"timout": 1}),
            json!({"success_codes": [-1]}),
            json!({"log_filename": "../x"}),
            json!({"output": {"keep": 1}}),
            json!({"env": {"A": 1}}),
            json!({"retries": 101}),
            json!({"retries": {"delay": 1}}),
            json!({"retries": {"count": 1, "jitter": 1.5}}),
            json!({"retries": {"count": 1, "jitter": "0.5"}}),
            json!({"expect": {}}),
            json!({"expect": {"file": null}}),
            json!({"expect": {"output": "x", "fresh": true}}),
            json!({"expect": "out.csv"}),
            json!({"overlap": "never"}),
            json!({"overlap": {"allow": 0}}),
            json!({"locks": [".hidden"]}),
            json!({"locks": ["a b"]}),
            json!({"language": "de"}),
            json!({"params": ["since"]}),
            json!({"params": {"since": "day"}}),
            json!({"params": {"a b": "str"}}),
            json!({"params": {"a": {"default": 1}}}),
            json!({"params": {"a": {"type": "list", "of": "list"}}}),
            json!({"params": {"a": {"type": "choice", "choices": []}}}),
            json!({"params": {"a": {"type": "str", "helps": "x"}}}),
            json!({"settings": []}),
            json!({"mail": {"to": []}}),
            json!({"mail": {"cc": "a@example.com"}}),
            json!({"mail": {"digest_at": "25:00"}}),
            json!({"mail": {"attach_output": "yes"}}),
            json!({"mail": {"pings": {"start": "hc-ping.com/x"}}}),
            json!({"mail": {"webhook": {"when": "all"}}}),
            json!({"mail": {"webhook": {"url": "https://a.example", "when": "digest"}}}),
            json!({"mail": {"webhook": {"url": "https://a.example", "body": "x"}}}),
            json!({"scripts": [{"path": "x", "overlap": "wait"}]}),
            json!({"schedule": "0 6 * * *"}),
            json!({"schedule": {"timezone": "UTC"}}),
            json!({"schedule": {"cron": "@daily", "interval": "1h"}}),
            json!({"schedule": {"interval": 0}}),
            json!({"schedule": {"cron": "@daily", "name": "a b"}}),
            json!({"schedule": {"any": []}}),
            json!({"schedule": {"any": [{"at": "2026-12-01", "jitter": 1}]}}),
            json!({"schedule": {"calendar": {"months": -1}}}),
        ] {
            assert!(!validator.is_valid(&with(&pair)), "{pair}");
        }
        for key in
            ["scripts", "python_command", "recipients", "email_strategy", "include_traceback", "logs_backup_count"]
        {
            let mut file = whole.clone();
            file.as_object_mut().unwrap().remove(key);
            assert!(!validator.is_valid(&file), "{key} is required");
        }
    }
}

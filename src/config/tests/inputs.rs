//! Declared inputs, the texts that name them, and settings.

use serde_json::json;

use crate::model::{Day, ParamType, ParamValue};

use super::*;

#[test]
fn declarations_are_read() {
    let house = House::new();
    house.file("p/token.txt", "s3cr3t \r\n").with(
        r#""params": {
            "since": {"type": "Date", "default": "Yesterday", "help": "First\n day."},
            "region": {"type": "choice", "choices": ["eu", "us"], "required": true},
            "days": {"type": "list", "of": "choice", "choices": ["mon", "tue"], "default": ["tue"]},
            "limit": {"type": "int", "default": 5, "choices": null, "required": false},
            "wait": {"type": "duration", "default": 90},
            "token": {"type": "str", "secret": true, "file": "token.txt"},
            "note": "str",
            "gone": null
        }"#,
    );
    let Loaded { project, warnings, .. } = house.loaded();
    let exposed = cfg!(unix) && everyone_may_read(&house.path("p/token.txt"));
    assert_eq!(warnings.len(), usize::from(exposed), "{warnings:?}");
    let params = &project.params;
    let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
    assert_eq!(names, ["since", "region", "days", "limit", "wait", "token", "note"], "in the file's order");
    assert_eq!(params[0].default, Some(ParamValue::Date(Day::Yesterday)));
    assert_eq!(params[0].help.as_deref(), Some("First day."));
    assert!(params[1].required && params[1].kind == ParamType::Choice(vec!["eu".into(), "us".into()]));
    assert_eq!(params[2].default, Some(ParamValue::List(vec![ParamValue::Text("tue".into())])));
    assert_eq!(params[3].default, Some(ParamValue::Int(5)));
    assert_eq!(params[4].default, Some(ParamValue::Duration(Duration::from_secs(90))));
    assert!(params[5].secret);
    assert_eq!(
        params[5].from_file.as_ref().and_then(|read| read.as_ref().ok()).map(|text| text.expose_secret()),
        Some("s3cr3t ")
    );
    assert_eq!((params[6].kind.clone(), params[6].required), (ParamType::Str, false));
}

#[test]
fn what_is_wrong_with_a_declaration_is_told_with_its_place() {
    let house = House::new();
    for (written, problem) in [
        (r#""params": ["since"]"#, "params: expected an object of names and inputs, found a list; as in"),
        (
            r#""params": {"a b": "str"}"#,
            r#"params["a b"]: `a b` can't be the name of an input; write letters, digits and `_`"#,
        ),
        (r#""params": {"a": "str", "A": "int"}"#, "params.A: `A` and `a` would be the same variable"),
        (r#""params": {"a": "dat"}"#, "params.a: `dat` is not one of `str`, `int`,"),
        (r#""params": {"a": 5}"#, "params.a: expected a type, or an object with a `type`, found the number 5"),
        (r#""params": {"a": {"default": 5}}"#, "params.a: `type` is missing; add \"type\": \"str\""),
        (
            r#""params": {"a": {"type": "date", "default": "2026-13-01"}}"#,
            "params.a.default: `a` is not a date: `2026-13-01` at position 6; write YYYY-MM-DD",
        ),
        (r#""params": {"a": {"type": "str", "default": 5}}"#, "params.a.default: `a` is not a text: `5`; write \"5\""),
        (
            r#""params": {"a": {"type": "list", "of": "int", "default": [1, "x"]}}"#,
            "`a` has an item 2 that is not a whole number: `x`",
        ),
        (
            r#""params": {"a": {"type": "list", "of": "list"}}"#,
            "params.a.of: a list of lists can't be written on a command line",
        ),
        (r#""params": {"a": {"type": "int", "of": "str"}}"#, "params.a.of: only lists are of something"),
        (r#""params": {"a": {"type": "choice"}}"#, "params.a: a choice without `choices`; add \"choices\""),
        (r#""params": {"a": {"type": "choice", "choices": []}}"#, "params.a.choices: the list is empty"),
        (r#""params": {"a": {"type": "str", "choices": ["x"]}}"#, "params.a.choices: only a choice has choices"),
        (r#""params": {"a": {"type": "choice", "choices": ["x"], "default": "y"}}"#, "`a` is not one of `x`: `y`"),
        (
            r#""params": {"a": {"type": "str", "required": true, "default": "y"}}"#,
            "params.a.default: an input that is required has no default",
        ),
        (
            r#""params": {"a": {"type": "str", "secret": true, "default": "hunter2"}}"#,
            "params.a.default: a secret has no place in a project file; take it out; set RUNNER_PARAM_A",
        ),
        (r#""params": {"a": {"type": "str", "file": "main.py"}}"#, "params.a.file: only a secret is read from a file"),
        (r#""params": {"a": {"type": "bool", "secret": true}}"#, "a bool is no secret"),
        (r#""params": {"a": {"type": "choice", "choices": ["x", "x"]}}"#, "params.a.choices: `x` stands twice"),
        (r#""params": {"a": {"type": "choice", "choices": [""]}}"#, "an empty text can't be chosen"),
        (r#""params": {"a": null}, "args": ["{a}"]"#, "args[0]: a layer takes the input `a` away"),
        (r#""env": {"runner_param_a": "hunter2"}"#, "the runner sets this variable for scripts"),
        (r#""env": "hunter2""#, "env: expected an object of names and values, found a text"),
        (
            r#""params": {"since": "date"}, "args": ["{sinse}"]"#,
            "args[0]: there is no input `sinse`; did you mean `{since}`?",
        ),
        (r#""params": {"a": "str"}, "env": {"X": "{b}"}"#, "env.X: there is no input `b`; there are: a"),
        (
            r#""params": {"a": "str"}, "args": ["x", "{\"a\": 1}"]"#,
            "args[1]: the `{` at position 1 belongs to no name in braces; write `{{` for a brace, and {name} for an input",
        ),
        (
            r#""params": {"a": {"type": "str", "secret": true}}, "args": ["--to={a}"]"#,
            "args[0]: the secret `a` would be in an argument, which every account may see; the script has it in the variable RUNNER_PARAM_A",
        ),
        (r#""settings": [1]"#, "settings: expected an object, found a list"),
    ] {
        let told = house.problem_with(written);
        assert!(told.contains(problem), "{told}\n{problem}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let unknown = house.with(r#""params": {"a": {"type": "str", "defalt": "x"}}"#).loaded().warnings;
    assert!(house.lines(&unknown)[0].ends_with("unknown key `defalt`; it does nothing; did you mean `default`?"));
}

#[test]
fn a_secret_that_is_not_there_yet_is_a_warning() {
    let house = House::new();
    house.with(r#""params": {"a": {"type": "str", "secret": true, "file": "gone"}, "db_password": "str"}"#);
    let Loaded { project, warnings, .. } = house.loaded();
    let told = house.lines(&warnings).join("\n");
    assert!(told.contains("gone isn't there; mend that, or set RUNNER_PARAM_A"), "{told}");
    assert!(told.contains("`db_password` sounds like a secret"), "{told}");
    assert!(matches!(project.params[0].from_file, Some(Err(_))));
    let house = house.env("RUNNER_PARAM_A", "hunter2");
    assert_eq!(house.loaded().warnings.len(), 1, "the variable has it");
}

#[test]
fn passwords_are_not_explained_and_bad_json_is_not_echoed() {
    let house = House::new().env("RUNNER_SET_SETTINGS", r#"{"x": "hunter2""#);
    house.with(
        r#""env": {"URL": "http://u:hunter2@h"}, "settings": {"u": "pg://u:hunter2@h"}, "args": ["pwd=hunter2"]"#,
    );
    let told = house.problems().join("\n");
    assert!(told.contains("the value is not valid JSON, at column 15") && !told.contains("hunter2"), "{told}");
    let house = House { env: house.env.iter().filter(|(name, _)| name == "PATH").cloned().collect(), ..house };
    let explained = render_explain(&house.loaded().explain);
    assert!(explained.contains("http://u:***@h") && !explained.contains("hunter2"), "{explained}");
    for profile in ["runs", "Common"] {
        assert!(house.load_profile(Some(profile)).unwrap_err().to_string().contains("no profile can be named"));
    }
}

#[test]
fn a_schedule_without_a_required_input_is_warned_of() {
    let house = House::new();
    house.with(r#""params": {"a": {"type": "str", "required": true}}, "schedule": {"cron": "@daily"}"#);
    let told = house.lines(&house.loaded().warnings).join("\n");
    assert!(told.contains("a schedule can't give the input `a`") && told.contains("RUNNER_PARAM_A"), "{told}");
}

#[test]
fn a_secret_may_be_in_a_variable_of_the_project() {
    let house = House::new();
    house.with(r#""params": {"a": {"type": "str", "secret": true}}, "env": {"API": "Bearer {a}"}"#).loaded();
}

#[test]
fn settings_and_declarations_are_merged_key_by_key_and_explained() {
    let house = House::new().env("RUNNER_SET_SETTINGS", r#"{"db": {"port": 6543}}"#);
    house
        .file("exec_config.common.json", r#"{"settings": {"db": {"host": "db1", "port": 5432, "password": "hunter2"}, "days": [1, 2]},
            "params": {"since": {"type": "date", "default": "today", "help": "First day."}, "old": "str"}}"#)
        .file("p/exec_config.dev.json", r#"{"settings": {"db": {"host": "localhost"}, "days": [3], "x": null}, "params": {"since": {"default": "yesterday"}, "old": null}}"#)
        .with(r#""settings": {"db": {"user": "app"}, "empty": {}}"#);
    let Loaded { project, explain, .. } = house.load_profile(Some("dev")).unwrap();
    let db = json!({"host": "localhost", "port": 6543, "password": "hunter2", "user": "app"});
    let settings = serde_json::Value::Object(project.settings.unwrap());
    assert_eq!(settings, json!({"db": db, "days": [3], "empty": {}, "x": null}));
    assert_eq!(project.params.len(), 1, "one is taken away");
    assert_eq!(project.params[0].default, Some(ParamValue::Date(Day::Yesterday)));
    assert_eq!(project.params[0].help.as_deref(), Some("First day."));
    let row = |path: &str| {
        let row = explain.iter().find(|row| row.path == path).unwrap_or_else(|| panic!("{path}: {explain:?}"));
        let origin = row.origin.rsplit(['/', '\\']).next().unwrap().split(':').next().unwrap().to_owned();
        (row.value.clone(), origin)
    };
    assert_eq!(row("settings.db.host"), (json!("localhost"), "exec_config.dev.json".into()));
    assert_eq!(row("settings.db.port"), (json!(6543), "RUNNER_SET_SETTINGS".into()));
    assert_eq!(row("settings.db.user"), (json!("app"), "exec_config.json".into()));
    assert_eq!(row("settings.db.password"), (json!("***"), "exec_config.common.json".into()));
    assert_eq!(row("settings.empty"), (json!({}), "exec_config.json".into()));
    assert_eq!(row("params.since.default"), (json!("yesterday"), "exec_config.dev.json".into()));
    assert_eq!(row("params.since.help"), (json!("First day."), "exec_config.common.json".into()));
}

#[test]
fn numbers_that_would_be_others_are_told_with_their_place() {
    let house = House::new();
    house.with(
        r#""settings": {"a": {"id": 12345678901234567890123, "same": [1e20, 100000000000000000000, 0.10, -5, 18446744073709551615, 0e5]},
            "b": [1, 0.12345678901234567890], "c": 1e-400}"#,
    );
    let said = house.lines(&house.loaded().warnings);
    for (line, told) in said.iter().zip(["settings.a.id: a number with too many digits: scripts get 1.2345678901234568e+22; write it as a text, in double quotes", "settings.b[1]: a number with too many digits: scripts get 0.12345678901234568;", "settings.c: a number with too many digits: scripts get 0.0;"]) {
        assert!(line.contains(told), "{line}");
    }
    assert_eq!(said.len(), 3, "{said:?}");
    house.with(r#""settings": {"a": 1e400}"#);
    let said = house.problems().join("\n");
    assert!(said.contains("a number that is too large; write it as a text, in double quotes"), "{said}");
}

#[test]
fn what_is_odd_in_a_variable_is_told_by_its_name() {
    let value = r#"{"a": {"id": 12345678901234567890123, "b": 1, "b": 2}}"#;
    let house = House::new().env("RUNNER_SET_SETTINGS", value);
    house.with(r#""settings": {"c": 3}"#);
    let loaded = house.loaded();
    assert_eq!(
        house.lines(&loaded.warnings),
        [
            "RUNNER_SET_SETTINGS: settings.a.id: a number with too many digits: scripts get a rounded one; write it as a text, in double \
            quotes",
            "RUNNER_SET_SETTINGS: settings.a.b: `b` stands twice in this object; the last one counts",
        ]
    );
}

#[test]
fn a_layer_says_more_of_an_input_of_which_the_type_was_written_alone() {
    let house = House::new();
    house.with(r#""params": {"note": "str", "tags": {"type": "list", "of": "int"}, "day": "date"}"#);
    house.file(
        "p/exec_config.dev.json",
        r#"{"params": {"note": {"default": "hi"}, "day": "str", "tags": {"default": "1, 2"}}}"#,
    );
    let said = house.lines(&house.load_profile(Some("dev")).unwrap_err().problems).join("\n");
    assert!(said.contains("params.tags.default: `tags` is not a list: `\"1, 2\"`; write [1,2]"), "{said}");
    house.file(
        "p/exec_config.dev.json",
        r#"{"params": {"note": {"default": "hi"}, "day": "str", "tags": {"default": [1]}}}"#,
    );
    let params = house.load_profile(Some("dev")).unwrap().project.params;
    assert_eq!(params[0].default, Some(ParamValue::Text("hi".into())));
    assert_eq!((&params[0].kind, &params[2].kind), (&ParamType::Str, &ParamType::Str));
    let said = house.problem_with(r#""params": {"a": {"type": "list", "default": "a, b"}}"#);
    assert!(said.contains(r#"write ["a","b"]"#), "{said}");
}

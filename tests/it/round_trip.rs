//! Whatever an input's value is, scripts get it as it is: from the command line, from a variable, from the project file and from
//! a run that is tried again; as an argument of its own, inside of one, and as a variable.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test};

/// What programs and shells like to take for something else.
const NASTY: [&str; 16] = [
    "",
    " ",
    "two words",
    "\"",
    "a\"b'c",
    "back\\slash\\",
    "\\\"",
    "100%",
    "%PATH% %% !x!",
    "$HOME `id` $(id) & | < > ^ ; *",
    "{since} {{x}} }",
    "-p x=y",
    "é € 日本 🚀 \u{301}",
    "two\nlines\r\nand\ttabs",
    "=[a, b]",
    "'; DROP TABLE x; --",
];

fn texts() -> BoxedStrategy<String> {
    prop_oneof![proptest::sample::select(NASTY.to_vec()).prop_map(str::to_owned), "[^\0]{0,80}"].boxed()
}

/// Values of each type, as resolved ones are.
fn values() -> impl Strategy<Value = BTreeMap<&'static str, Value>> {
    let date = (1u32..=9999, 1u32..=12, 1u32..=28).prop_map(|(y, m, d)| format!("{y:04}-{m:02}-{d:02}"));
    let time =
        (date.clone(), 0u32..24, 0u32..60, 0i32..14).prop_filter_map("inside of the calendar", |(date, h, m, off)| {
            let inside = !date.starts_with("0001-01-01") && !date.starts_with("9999-12-3");
            inside.then(|| format!("{date}T{h:02}:{m:02}:07+{off:02}:30"))
        });
    let float =
        prop_oneof![any::<f64>().prop_filter("a number", |x| x.is_finite()), (-1000i32..1000).prop_map(f64::from)];
    let numbers = float.clone();
    (
        texts(),
        any::<i64>(),
        float,
        any::<bool>(),
        date,
        time,
        0u32..10_000_000,
        proptest::collection::vec(texts(), 0..4),
        texts().prop_filter("words to choose from", |text| !text.trim().is_empty() && text != "other"),
        proptest::collection::vec(numbers, 0..3),
    )
        .prop_map(|(text, int, float, flag, date, time, seconds, list, choice, numbers)| {
            BTreeMap::from([
                ("text", json!(text)),
                ("int", json!(int)),
                ("float", json!(float)),
                ("flag", json!(flag)),
                ("date", json!(date)),
                ("time", json!(time)),
                ("seconds", json!(seconds)),
                ("list", json!(list)),
                ("choice", json!(choice)),
                ("numbers", json!(numbers)),
            ])
        })
}

/// A value as scripts get it: numbers have no exponent, which shells don't know.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let item = |item: &Value| if item.is_number() { text(item) } else { item.to_string() };
            format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(","))
        }
        Value::Number(number) if number.is_f64() => {
            let plain = number.as_f64().unwrap().to_string();
            if plain.contains('.') { plain } else { plain + ".0" }
        }
        other => other.to_string(),
    }
}

fn types(choice: &Value) -> Value {
    json!({
        "text": {"type": "str"}, "int": {"type": "int"}, "float": {"type": "float"}, "flag": {"type": "bool"},
        "date": {"type": "date"}, "time": {"type": "datetime"}, "seconds": {"type": "duration"},
        "list": {"type": "list"}, "numbers": {"type": "list", "of": "float"}, "choice": {"type": "choice", "choices": ["other", choice]}
    })
}

/// A script that writes down what it got; `values` say which inputs there are.
fn project(test: &Test, values: &BTreeMap<&'static str, Value>, types: Value) -> Project {
    let args: Vec<String> =
        values.keys().flat_map(|name| [format!("{{{name}}}"), format!("[{{{{{{{name}}}]")]).collect();
    test.project("p").script_with("a.txt", "dump got\nexit 1", json!({"args": args})).set("params", types)
}

/// Fails unless the script of the last run got these values.
fn expect_got(project: &Project, values: &BTreeMap<&'static str, Value>, how: &str) {
    let got: Value = serde_json::from_slice(&std::fs::read(project.root.join("got")).unwrap()).unwrap();
    std::fs::remove_file(project.root.join("got")).unwrap();
    let args: Vec<String> = values.values().map(text).flat_map(|text| [text.clone(), format!("[{{{text}]")]).collect();
    assert_eq!(got["args"], json!(args), "{how}");
    // An empty variable is no variable on Windows.
    let inputs = got["inputs"].as_object().unwrap();
    for (name, value) in values {
        let variable = format!("RUNNER_PARAM_{}", name.to_uppercase());
        assert_eq!(inputs.get(&variable).and_then(Value::as_str).unwrap_or_default(), text(value), "{how}: {name}");
    }
}

fn round_trip(values: &BTreeMap<&'static str, Value>) {
    let test = Test::new();
    let types = types(&values["choice"]);
    let project = project(&test, values, types.clone());
    let run = |args: &[String], variables: &[(String, String)]| {
        let mut command = test.command(["run", "p", "-q"].map(str::to_owned).iter().chain(args));
        command.envs(variables.iter().cloned());
        Finished::of(command.output().unwrap()).expect(1)
    };
    let given = values.iter().flat_map(|(name, value)| ["-p".to_owned(), format!("{name}={}", text(value))]);
    run(&given.collect::<Vec<_>>(), &[]);
    expect_got(&project, values, "command line");

    let first = project.run_dir().file_name().unwrap().to_string_lossy().into_owned();
    test.runner(["retry", &first, "-q"]).expect(1);
    expect_got(&project, values, "the run before");

    let variable = |(name, value): (&&str, &Value)| (format!("RUNNER_PARAM_{}", name.to_uppercase()), text(value));
    let variables: Vec<(String, String)> = values.iter().map(variable).collect();
    // Windows has no empty variables: what is set so is not set.
    let (empty, variables): (Vec<_>, Vec<_>) =
        variables.into_iter().partition(|(_, text)| cfg!(windows) && text.is_empty());
    let given = empty.iter().flat_map(|(name, _)| ["-p".to_owned(), format!("{}=", name[13..].to_lowercase())]);
    run(&given.collect::<Vec<_>>(), &variables);
    expect_got(&project, values, "environment");

    let mut with_defaults = types;
    for (name, value) in values {
        with_defaults[name]["default"] = value.clone();
    }
    let project = project.set("params", with_defaults);
    run(&[], &[]);
    expect_got(&project, values, "project file");
}

#[test]
fn any_value_reaches_scripts_as_it_is() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12);
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 40, ..Config::default() });
    let result = runner.run(&values(), |values| {
        round_trip(&values);
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn what_others_take_for_something_else_reaches_scripts_as_it_is() {
    for chunk in NASTY.chunks(2) {
        let [first, second] = chunk else { panic!("pairs") };
        round_trip(&BTreeMap::from([
            ("text", json!(first)),
            ("list", json!([first, second])),
            ("choice", json!(if second.trim().is_empty() { &"none" } else { second })),
        ]));
    }
}

/// Windows takes no more than 32,767 in one command line, all arguments together.
#[test]
fn a_long_value_reaches_scripts_whole() {
    let test = Test::new();
    let long: String = "0123456789é ".chars().cycle().take(30_000).collect();
    let project = test
        .project("p")
        .script_with("a.txt", "dump got", json!({"args": ["{text}"]}))
        .set("params", json!({"text": "str"}));
    let expect = || {
        let got: Value = serde_json::from_slice(&std::fs::read(project.root.join("got")).unwrap()).unwrap();
        assert!(got["args"] == json!([long]) && got["inputs"]["RUNNER_PARAM_TEXT"] == json!(long));
    };
    test.runner(["run", "p", "-p", &format!("text={long}")]).expect(0);
    expect();
    let mut command = test.command(["run", "p"]);
    Finished::of(command.env("RUNNER_PARAM_TEXT", &long).output().unwrap()).expect(0);
    expect();
}

/// Where cmd would take only a part, or none, the script isn't started.
#[cfg(windows)]
#[test]
fn a_value_that_is_too_long_for_a_batch_file_is_refused() {
    let test = Test::new();
    let project = test
        .project("p")
        .set("python_command", json!(["cmd", "/d", "/c"]))
        .script_with("a.cmd", "@echo ran> ran\r\n", json!({"args": ["{text}"]}))
        .set("params", json!({"text": "str"}));
    test.runner(["run", "p", "-p", &format!("text={}", "x".repeat(9000))]).expect(1);
    let outcome = project.ends()[0]["outcome"].clone();
    assert!(outcome["error"].as_str().unwrap().contains("cmd takes no more than 8191 characters"), "{outcome}");
    assert!(!project.root.join("ran").exists());
}

/// What reaches a batch file, or is refused before anything of it runs.
#[cfg(windows)]
#[test]
fn values_reach_batch_files_as_they_are_or_are_refused() {
    let test = Test::new();
    for (index, value) in NASTY.iter().enumerate() {
        let name = format!("p{index}");
        let batch = format!("@echo off\r\n\"{}\" \"%~dp0args.txt\" %*\r\n", crate::harness::subject().display());
        let project = test
            .project(&name)
            .set("python_command", json!(["cmd", "/d", "/c"]))
            .script_with("a.cmd", &batch, json!({"args": ["{text}", "<{text}>"]}))
            .set("params", json!({"text": "str"}))
            .file("args.txt", "args\nenv RUNNER_PARAM_TEXT");
        let run = test.runner(["run", &name, "-p", &format!("text={value}")]);
        let outcome = &project.ends()[0]["outcome"];
        if outcome["kind"] == "could_not_start" {
            let error = outcome["error"].as_str().unwrap();
            assert!(error.contains("line break") && value.contains('\n'), "{value}: {error}");
            continue;
        }
        let run = run.expect(0);
        if crate::harness::under_wine() && value.contains('%') {
            eprintln!("not compared: Wine's cmd replaces variables in what %* stands for, Windows' doesn't");
            continue;
        }
        // Batch files can't tell an empty variable from none.
        let got = project.output_text(0).replace("(unset)", "");
        assert_eq!(got, format!("<{value}>\n<<{value}>>\nRUNNER_PARAM_TEXT={value}\n"), "{}", run.stderr);
    }
}

//! Declared inputs: where they come from, how scripts get them, and what is said of them.

use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test};

/// A project with an input of each kind, whose script prints its arguments and some variables.
fn project(test: &Test) -> Project {
    let show = "args\nenv RUNNER_PARAM_SINCE\nenv RUNNER_PARAM_ROWS\nenv RUNNER_PARAM_TAGS\nenv RUNNER_PARAM_NOTE\nenv WHERE\n";
    test.project("p")
        .script_with(
            "a.txt",
            show,
            json!({
                "args": ["--since={since}", "{note}", "{{note}}", "{rows}/{region}"],
                "env": {"WHERE": "in {region}: {tags}"}
            }),
        )
        .set(
            "params",
            json!({
                "since": {"type": "date", "default": "2026-01-31", "help": "First day that is looked at."},
                "region": {"type": "choice", "choices": ["eu", "us"], "required": true, "help": "Whose sales."},
                "rows": {"type": "int", "default": 100},
                "tags": {"type": "list", "default": ["x y", "z"]},
                "note": "str",
                "wait": {"type": "duration", "default": "1h 30m"}
            }),
        )
}

fn started(project: &Project) -> Value {
    project.events()[0].clone()
}

#[test]
fn scripts_get_inputs_as_arguments_and_variables() {
    let test = Test::new();
    let project = project(&test);
    let note = "a \"b\" %PATH% $HOME `id` {since} ; é\\";
    test.runner(["run", "p", "-p", "region=us", "-p", &format!("note={note}"), "-p", "rows=+007"]).expect(0);
    assert_eq!(
        project.output_text(0),
        format!(
            "<--since=2026-01-31>\n<{note}>\n<{{note}}>\n<7/us>\nRUNNER_PARAM_SINCE=2026-01-31\nRUNNER_PARAM_ROWS=7\n\
             RUNNER_PARAM_TAGS=[\"x y\",\"z\"]\nRUNNER_PARAM_NOTE={note}\nWHERE=in us: [\"x y\",\"z\"]\n"
        )
    );
    let params = started(&project)["params"].clone();
    let of = |name: &str| params.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    assert_eq!(of("since"), json!({"name": "since", "value": "2026-01-31", "source": "default"}));
    assert_eq!(of("rows"), json!({"name": "rows", "value": 7, "source": "given", "differs": true}));
    assert_eq!(of("wait")["value"], 5400);
    let show = test.runner(["show", project.run_dir().file_name().unwrap().to_str().unwrap()]).expect(0).stdout;
    assert!(show.contains("inputs") && show.contains("region=us") && show.contains("rows=7"), "{show}");
    assert!(!show.contains("since="), "it is the default: {show}");
}

#[test]
fn an_input_without_a_value_leaves_an_argument_empty_and_no_variable() {
    let test = Test::new();
    let project = project(&test);
    test.runner(["run", "p", "-p", "region=eu"]).expect(0);
    let text = project.output_text(0);
    assert!(text.contains("<--since=2026-01-31>\n<>\n<{note}>\n<100/eu>\n"), "{text}");
    assert!(text.contains("RUNNER_PARAM_NOTE=(unset)\n"), "{text}");
}

#[test]
fn all_that_is_wrong_is_told_before_anything_runs() {
    let test = Test::new();
    let project = project(&test);
    let other = test.project("q").script("b.txt", "print b");
    let args = ["run", "q", "p", "-p", "since=2026-13-01", "-p", "rows=many", "-p", "sinse=x", "-p", "rgion=eu"];
    let told = test.runner(args).expect(2).stderr;
    for line in [
        "error: p: there is no input `sinse`; did you mean `since`? there are: note, region, rows, since, tags, wait",
        "error: p: `since` is not a date: `2026-13-01` at position 6; write YYYY-MM-DD, today or yesterday",
        "error: p: `rows` is not a whole number: `many` at position 1; write a whole number of at most 64 bits, as in 42",
        "error: p: the input `region` is required; add -p region=VALUE",
        "error: q: there is no input `since`; the project declares none; its file's key `params` does that",
    ] {
        assert!(told.lines().any(|said| said == line), "{line}\n{told}");
    }
    assert!(project.run_dirs().is_empty() && other.run_dirs().is_empty(), "{told}");
    let usage = test.runner(["run", "p", "-p", "since"]).expect(2).stderr;
    assert!(usage.contains("write NAME=VALUE, as in since=2026-11-30"), "{usage}");
}

#[test]
fn variables_give_inputs_too_and_the_command_line_wins() {
    let test = Test::new();
    let project = project(&test).file(".env", "RUNNER_PARAM_ROWS=5\nRUNNER_PARAM_REGION=us\n");
    let run = |name: &str, value: &str, more: &[&str]| {
        let mut command = test.command(["run", "p", "-q"].iter().chain(more));
        command.env(name, value).env("RUNNER_PARAM_SINCE", "2026-02-01");
        Finished::of(command.output().unwrap())
    };
    run("RUNNER_PARAM_ROWS", "6", &[]).expect(0);
    let text = project.output_text(0);
    assert!(text.contains("<6/us>") && text.contains("<--since=2026-02-01>"), "{text}");
    let told = run("RUNNER_PARAM_ROWS", "six", &[]).expect(2).stderr;
    assert!(told.contains("error: p: RUNNER_PARAM_ROWS: `rows` is not a whole number: `six` at position 1"), "{told}");
    run("RUNNER_PARAM_ROWS", "six", &["-p", "rows=1"]).expect(0);
}

#[test]
fn the_inputs_of_a_run_around_this_one_are_not_taken_for_its_own() {
    let test = Test::new();
    let project = project(&test);
    let mut command = test.command(["run", "p", "-p", "region=eu"]);
    command.env("RUNNER_RUN_ID", "39be3d37aed64").env("RUNNER_PARAM_ROWS", "6");
    Finished::of(command.output().unwrap()).expect(0);
    assert!(project.output_text(0).contains("<100/eu>"));
}

#[test]
fn a_project_without_inputs_may_have_any_braces_in_its_arguments() {
    let test = Test::new();
    let project = test.project("p").script_with("a.txt", "args", json!({"args": ["{\"a\": {}}", "{{x}}", "}"]}));
    test.runner(["run", "p"]).expect(0);
    assert_eq!(project.output_text(0), "<{\"a\": {}}>\n<{{x}}>\n<}>\n");
}

#[test]
fn the_inputs_of_a_project_are_shown_as_a_command_shows_its_options() {
    let test = Test::new();
    project(&test);
    let page = test.runner(["run", "p", "--help-params"]).expect(0).stdout;
    assert_eq!(
        page,
        "Inputs of p, as in `runner run p -p region=eu`:\n\
         \x20 -p note=TEXT\n\
         \x20 -p region=eu|us       Whose sales. [required]\n\
         \x20 -p rows=WHOLE_NUMBER  [default: 100]\n\
         \x20 -p since=YYYY-MM-DD   First day that is looked at. [default: 2026-01-31]\n\
         \x20 -p tags=TEXT,…        [default: x y,z]\n\
         \x20 -p wait=DURATION      [default: 1 h 30 min]\n"
    );
    test.project("q").script("b.txt", "");
    let page = test.runner(["run", "q", "--help-params"]).expect(0).stdout;
    assert_eq!(page, "q declares no inputs; the key `params` of its file does that.\n");
}

#[test]
fn a_dry_run_shows_what_would_be_handed_on() {
    let test = Test::new();
    let project = project(&test);
    let plan = test.runner(["run", "p", "--dry-run", "-p", "region=us", "-p", "note=two words"]).expect(0).stdout;
    assert!(plan.contains("--since=2026-01-31 \"two words\" "), "{plan}");
    assert!(plan.contains("  inputs note=\"two words\" region=us rows=100 since=2026-01-31 "), "{plan}");
    assert!(project.run_dirs().is_empty());
}

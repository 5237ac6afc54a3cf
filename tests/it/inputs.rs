//! Declared inputs: where they come from, how scripts get them, and what is said of them.

use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test};

/// What the documentation has the program say, it says, of the project that stands there.
#[test]
fn the_documentation_has_the_program_s_words() {
    let page = include_str!("../../docs/inputs.md");
    let block = |kind: &str| {
        let (_, rest) = page.split_once(&format!("```{kind}\n")).unwrap();
        rest.split_once("\n```").unwrap().0
    };
    let test = Test::new();
    // As it stands there, since the order counts.
    let file = format!(
        r#"{{"scripts": ["a.txt"], "python_command": {}, "recipients": [], "email_strategy": "none",
        "include_traceback": true, "logs_backup_count": 0, {}}}"#,
        json!(crate::harness::subject()),
        block("json")
    );
    let project = test.project("reports").script("a.txt", "args").file("exec_config.json", file);
    let (command, said) = block("text").split_once('\n').unwrap();
    let args = command.strip_prefix("$ runner ").unwrap().split(' ');
    assert_eq!(test.runner(args).expect(2).stderr.trim_end(), said);
    let shown = block("sh").lines().last().unwrap().strip_prefix("runner ").unwrap();
    test.runner(shown.split(' ')).expect(0);
    assert_eq!(project.output_text(0), "<--since>\n<2026-11-30>\n<--region=eu>\n");
}

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
        "error: p: the input `region` is required; add -p region=VALUE, or set RUNNER_PARAM_REGION in the environment or in .env",
        "error: q: there is no input `since`; the project declares none; its file's key `params` does that",
    ] {
        assert!(told.lines().any(|said| said == line), "{line}\n{told}");
    }
    assert!(project.run_dirs().is_empty() && other.run_dirs().is_empty(), "{told}");
    for nameless in ["since", "=x"] {
        let usage = test.runner(["run", "p", "-p", nameless]).expect(2).stderr;
        assert!(usage.contains("write NAME=VALUE, as in since=2026-11-30"), "{usage}");
    }
}

#[test]
fn of_several_projects_none_runs_if_one_of_them_cannot_take_what_is_given() {
    let test = Test::new();
    let declares = |name: &str, params: Value| test.project(name).script("a.txt", "print a").set("params", params);
    let (day, other) = (json!({"day": "date"}), json!({"rows": {"type": "int", "required": true}}));
    let (p, q) = (declares("p", day.clone()), declares("q", other));
    let runs = || (p.run_dirs().len(), q.run_dirs().len());
    let told = test.runner(["run", "p", "q", "--jobs", "2", "-p", "day=2026-01-31"]).expect(2).stderr;
    assert!(told.contains("error: q: there is no input `day`; there are: rows\n"), "{told}");
    assert!(told.ends_with("nothing was run: what is given with -p goes for all of the projects\n"), "{told}");
    assert_eq!(runs(), (0, 0));
    declares("q", json!({"day": "int"}));
    test.runner(["run", "p", "q", "-p", "day=2026-01-31"]).expect(2);
    assert_eq!(runs(), (0, 0));

    // What one project lacks is its own affair.
    declares("q", json!({"rows": {"type": "int", "required": true}}));
    let told = test.runner(["run", "q", "p"]).expect(2).stderr;
    assert!(told.contains("error: q: the input `rows` is required"), "{told}");
    assert_eq!(runs(), (1, 0));
    test.project("q").script("a.txt", "").set("params", json!([]));
    test.runner(["run", "q", "p", "-p", "day=2026-01-31"]).expect(2);
    assert_eq!(runs(), (2, 0), "a broken file stops no other project");
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
         \x20 -p wait=DURATION      [default: 1h 30m]\n"
    );
    // Nobody's terminal: 80 columns.
    let help = "What stands at the head of each page, before the table of contents; usually the name of the customer.";
    let long = json!({
        "head": {"type": "str", "default": "postgres://u:s3cr3tpw@h/db", "help": help},
        "mode": {"type": "choice", "choices": ["as quick as can be", "with care", "with all care there is"], "help": "How."}
    });
    test.project("long").script("b.txt", "").set("params", long);
    let page = test.runner(["run", "long", "--help-params"]).expect(0).stdout;
    let quote = if cfg!(windows) { '"' } else { '\'' };
    assert_eq!(
        page.replace(quote, "'"),
        "Inputs of long, as in `runner run long -p 'head=postgres://u:***@h/db'`:\n\
         \x20 -p head=TEXT  What stands at the head of each page, before the table of\n\
         \x20               contents; usually the name of the customer. [default:\n\
         \x20               postgres://u:***@h/db]\n\
         \x20 -p mode=as quick as can be|with care|with all care there is\n\
         \x20               How.\n"
    );
    // The path as it was given, so that the line can be typed.
    let name = "my jobs";
    test.project(name).script("b.txt", "").set("params", json!({"n": "int"}));
    for (given, shown) in [("my jobs", "'my jobs'"), ("./my jobs/", "'./my jobs/'")] {
        let page = test.runner(["run", given, "--help-params"]).expect(0).stdout;
        let shown = if cfg!(windows) { shown.replace('\'', "\"") } else { shown.to_owned() };
        let first = format!("Inputs of my jobs, as in `runner run {shown} -p n=WHOLE_NUMBER`:");
        assert_eq!(page.lines().next(), Some(first.as_str()));
    }
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

fn with_secret(test: &Test) -> Project {
    test.project("p")
        .script_with("a.txt", "env RUNNER_PARAM_TOKEN\nenv API\nargs", json!({"env": {"API": "Bearer {token}"}}))
        .set(
            "params",
            json!({"token": {"type": "str", "secret": true, "required": true}, "n": {"type": "int", "default": 1}}),
        )
}

#[test]
fn a_secret_comes_from_the_environment_or_a_file_and_is_masked() {
    let test = Test::new();
    // It looks like nothing secret.
    let project = with_secret(&test).file(".env", "RUNNER_PARAM_TOKEN='Monday morning'\n");
    test.runner(["run", "p", "-v"]).expect(0);
    assert_eq!(project.output_text(0), "RUNNER_PARAM_TOKEN=***\nAPI=Bearer ***\n");
    let params = started(&project)["params"].clone();
    assert_eq!(
        params,
        json!([{"name": "n", "value": 1, "source": "default"}, {"name": "token", "source": "environment", "secret": true}])
    );
    let plan = test.runner(["run", "p", "--dry-run"]).expect(0).stdout;
    assert!(plan.contains("token=\"***\"") && !plan.contains("Monday"), "{plan}");

    let given = test.runner(["run", "p", "-p", "token=Monday morning"]).expect(2).stderr;
    let told = "error: p: the secret `token` can't be given so, where every account may see it; set RUNNER_PARAM_TOKEN in the \
                environment or in .env, or name a `file` for it in the project file";
    assert_eq!(given.lines().last(), Some(told));
    let project = project.file(".env", "").file("token.txt", "Tuesday evening\n");
    let missing = test.runner(["run", "p"]).expect(2).stderr;
    assert!(missing.contains("error: p: the secret `token` is required; set RUNNER_PARAM_TOKEN"), "{missing}");
    let project = project.file(".env", "RUNNER_PARAM_TOKEN=abc\n");
    let short = test.runner(["run", "p"]).expect(2).stderr;
    assert!(short.contains("the secret `token` is too short to be masked") && !short.contains("abc"), "{short}");

    std::fs::remove_dir_all(project.root.join("logs")).unwrap();
    let project =
        project.file(".env", "").set("params", json!({"token": {"type": "str", "secret": true, "file": "token.txt"}}));
    test.runner(["run", "p"]).expect(0);
    assert_eq!(project.output_text(0), "RUNNER_PARAM_TOKEN=***\nAPI=Bearer ***\n");
    assert_eq!(started(&project)["params"][0]["source"], "file");
}

#[test]
fn an_input_that_holds_a_password_is_masked_wherever_it_is_told() {
    let test = Test::new();
    let params = json!({"url": {"type": "str", "required": true}, "n": {"type": "int", "default": 1}, "gone": "str"});
    let project = test
        .project("p")
        .script_with("a.txt", "args\nexit 1", json!({"args": ["{url}"], "env": {"TOKEN": "xyz-{gone}"}}))
        .set("params", params.clone());
    let url = "url=postgres://u:s3cr3tpw@h/db";
    let plan = test.runner(["run", "p", "--dry-run", "-p", url, "-p", "gone=a b\n"]).expect(0).stdout;
    assert!(plan.contains("postgres://u:***@h") && plan.contains("gone=\"a b\\n\""), "{plan}");
    assert!(!plan.contains("s3cr3tpw"), "{plan}");
    test.runner(["run", "p", "-p", url, "-p", "gone=xyz"]).expect(1);
    let events = project.events();
    assert!(!json!(events).to_string().contains("s3cr3tpw"), "{events:?}");
    let first = project.run_dir().file_name().unwrap().to_str().unwrap().to_owned();
    let shown = test.runner(["show", &first]).expect(0).stdout;
    assert!(shown.contains("***@h") && !shown.contains("s3cr3tpw"), "{shown}");
    let told = test.runner(["retry", &first]).expect(2).stderr;
    assert!(told.contains("`url` of that run held a secret, which isn't kept; add -p url=VALUE"), "{told}");
    project.set("params", json!({"url": params["url"], "n": params["n"]})).set("args", json!([]));
}

/// An address from a variable is told without its password, and a run that follows takes it from there again.
#[test]
fn what_is_masked_of_a_variable_is_taken_from_it_again() {
    let test = Test::new();
    let project = test
        .project("p")
        .script_with("a.txt", "args\nexit 1", json!({"args": ["{url}", "{n}"]}))
        .set("params", json!({"url": {"type": "str", "required": true}, "n": {"type": "int", "default": 1}}));
    let run = |args: &[&str], url: &str| {
        let mut command = test.command(args);
        Finished::of(command.env("RUNNER_PARAM_URL", url).output().unwrap())
    };
    let shown = run(&["run", "p", "-p", "n=2", "-v"], "postgres://u:s3cr3tpw@h/db").expect(1);
    let masked = json!({"name": "url", "value": "postgres://u:***@h/db", "source": "environment", "masked": true, "differs": true});
    assert_eq!(started(&project)["params"][1], masked);
    let first = project.run_dir().file_name().unwrap().to_str().unwrap().to_owned();
    let followed = run(&["retry", &first, "-v"], "postgres://u:other99@h/db").expect(1);
    assert!(followed.stdout.contains(", with its inputs n=2\n"), "{}", followed.stdout);
    let second = test.runner(["history", "--json", "-n", "1"]).json()[0].clone();
    let params = test.runner(["show", second["run_id"].as_str().unwrap(), "--json"]).json()[0]["params"].clone();
    assert_eq!((&params[1], &params[0]["source"]), (&masked, &json!("run")));
    for text in [shown.stdout, followed.stdout, second.to_string()] {
        assert!(!text.contains("s3cr3tpw") && !text.contains("other99"), "{text}");
    }
    let third = run(&["retry", second["run_id"].as_str().unwrap()], "").expect(1).stdout;
    assert!(third.contains(", with its inputs n=2\n"), "{third}");

    // Given by hand it has to be given again, also when the run that is followed had it from another.
    let given = run(&["run", "p", "-q", "-p", "url=postgres://u:s3cr3tpw@h/db"], "").expect(1);
    assert_eq!(given.stderr.matches("s3cr3tpw").count(), 0);
    let fourth = test.runner(["history", "--json", "-n", "1"]).json()[0]["run_id"].as_str().unwrap().to_owned();
    let told = run(&["retry", &fourth], "postgres://u:other99@h/db").expect(2).stderr;
    assert!(told.contains("`url` of that run held a secret, which isn't kept; add -p url=VALUE\n"), "{told}");
}

#[test]
fn what_a_run_had_and_does_not_keep_has_to_be_there_when_it_is_tried_again() {
    let test = Test::new();
    let params = json!({"token": {"type": "str", "secret": true}, "url": {"type": "str", "default": "none"}});
    let project = test.project("p").script("a.txt", "exit 1").set("params", params.clone());
    let run = |args: &[&str], is_set: bool| {
        let mut command = test.command(args);
        if is_set {
            command.env("RUNNER_PARAM_TOKEN", "Sunday noon").env("RUNNER_PARAM_URL", "postgres://u:s3cr3tpw@h/db");
        }
        Finished::of(command.output().unwrap())
    };
    run(&["run", "p"], true).expect(1);
    let first = project.run_dir().file_name().unwrap().to_str().unwrap().to_owned();
    let told = run(&["retry", &first], false).expect(2).stderr;
    for line in [
        "error: p: `token` was set in that run, which keeps no secrets, and isn't now; set RUNNER_PARAM_TOKEN in the environment \
         or in .env, or name a `file` for it in the project file",
        "error: p: `url` was set in that run, which keeps no secrets, and isn't now; add -p url=VALUE, or set RUNNER_PARAM_URL \
         in the environment or in .env",
    ] {
        assert!(told.lines().any(|said| said == line), "{told}");
    }
    assert_eq!(project.run_dirs().len(), 1);
    run(&["resume", &first], true).expect(1);
    assert_eq!(project.run_dirs().len(), 2);
    // What the project no longer declares isn't missed.
    let project = project.set("params", json!({"url": params["url"]}));
    run(&["retry", &first, "-p", "url=x"], false).expect(1);
    assert_eq!(project.run_dirs().len(), 3);
}

#[test]
fn each_item_of_a_secret_list_is_masked() {
    let test = Test::new();
    let program = "env RUNNER_PARAM_KEYS\nprint -Monday morning-\nprint Tuesday\nprint \"Tues";
    let project = test
        .project("p")
        .script("a.txt", program)
        .set("params", json!({"keys": {"type": "list", "secret": true}}))
        .file(".env", "RUNNER_PARAM_KEYS='Monday morning , Tuesday'\n");
    test.runner(["run", "p", "-v"]).expect(0);
    assert_eq!(project.output_text(0), "RUNNER_PARAM_KEYS=***\n-***-\n***\n\"Tues\n");
    assert_eq!(started(&project)["params"], json!([{"name": "keys", "source": "environment", "secret": true}]));
    let project = project.file(".env", "RUNNER_PARAM_KEYS='Monday, Tue'\n");
    let told = test.runner(["run", "p"]).expect(2).stderr;
    assert!(told.contains("error: p: item 2 of the secret `keys` is too short to be masked"), "{told}");
    assert_eq!(project.run_dirs().len(), 1);
}

/// What is secret by its name in a script's `env` is so with what an input brings there.
#[test]
fn variables_that_are_filled_with_inputs_are_masked() {
    let test = Test::new();
    let keys = json!({"env": {"DB_PASSWORD": "pre-{part}", "OPEN": "{part}", "URL": "http://u:{key}@h/"}});
    let project = test
        .project("p")
        .script_with("a.txt", "env DB_PASSWORD\nenv OPEN\nenv URL\nprint Friday evening", keys)
        .set("params", json!({"part": "str", "key": {"type": "str", "secret": true}}))
        .file(".env", "RUNNER_PARAM_KEY='Friday evening'\n");
    test.runner(["run", "p", "-p", "part=middle", "-v"]).expect(0);
    let text = project.output_text(0);
    assert_eq!(text, "DB_PASSWORD=***\nOPEN=middle\nURL=http://u:***@h/\n***\n");
    let plan = test.runner(["run", "p", "--dry-run", "-p", "part=middle"]).expect(0).stdout;
    assert!(!plan.contains("Friday"), "{plan}");
}

#[test]
fn what_follows_a_run_has_its_inputs_unless_they_are_given_anew() {
    let test = Test::new();
    let project = project(&test).script("b.txt", "exit 3");
    test.runner(["run", "p", "-p", "region=us", "-p", "rows=7"]).expect(1);
    let first = project.run_dir().file_name().unwrap().to_str().unwrap().to_owned();
    // What it would be now differs.
    let mut params = json!({
        "since": {"type": "date", "default": "2031-01-01"},
        "region": {"type": "choice", "choices": ["eu", "us"], "required": true},
        "rows": {"type": "int", "default": 100},
        "tags": {"type": "list", "default": []},
        "note": "str",
        "new": {"type": "bool", "default": true}
    });
    let project = project.set("params", params.clone());
    let run = test.runner(["retry", &first, "-p", "note=x"]).expect(1);
    let told = format!("p: retry run {first}, 1 of its 2 scripts, with its inputs region=us rows=7 since=2026-01-31");
    assert!(run.stdout.starts_with(&told), "{}", run.stdout);
    let second = test.runner(["history", "--json", "-n", "1"]).json()[0]["run_id"].as_str().unwrap().to_owned();
    let known = test.runner(["show", &second, "--json"]).json()[0]["params"].clone();
    let of = |name: &str| known.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    assert_eq!(of("region"), json!({"name": "region", "value": "us", "source": "run", "differs": true}));
    assert_eq!((of("since")["value"].clone(), of("rows")["value"].clone()), (json!("2026-01-31"), json!(7)));
    assert_eq!((of("note")["source"].clone(), of("new")["source"].clone()), (json!("given"), json!("default")));

    // The folders are swept one day, and the database knows it still.
    std::fs::remove_dir_all(project.root.join("logs/runs").join(&second)).unwrap();
    let run = test.runner(["resume", &second, "-p", "rows=8"]).expect(1).stdout;
    assert!(run.contains("with its inputs new=true note=x region=us since=2026-01-31"), "{run}");

    params["region"] = json!("int");
    project.set("params", params);
    let told = test.runner(["retry", &first]).expect(2).stderr;
    assert!(told.contains("error: p: `region` is not a whole number: `us` at position 1; the project declares it otherwise since that run; add -p region=VALUE"), "{told}");
}

#[test]
fn mails_name_the_inputs_that_are_not_the_default() {
    let test = Test::new();
    project(&test).set("email_strategy", "all");
    test.runner(["run", "p", "--mail-dir", "mails", "-p", "region=us", "-p", "since=2026-01-31"]).expect(0);
    let mail = std::fs::read_dir(test.path("mails")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(mail).unwrap();
    let text = mail_parser::MessageParser::default().parse(&bytes).unwrap().body_text(0).unwrap().into_owned();
    let line = text.lines().find(|line| line.starts_with("Inputs")).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(line.split_once(' ').unwrap().1.trim(), "region=us");
}

#[test]
fn today_is_the_day_for_which_the_run_is_planned() {
    let test = Test::new();
    let project = test.project("p").script("a.txt", "env RUNNER_PARAM_DAY\nenv RUNNER_PARAM_AT\nexit 1").set(
        "params",
        json!({"day": {"type": "date", "default": "today"}, "at": {"type": "datetime", "default": "now"}}),
    );
    let begin = chrono::Local::now().date_naive();
    test.runner(["run", "p"]).expect(1);
    let text = project.output_text(0);
    let days = [begin, chrono::Local::now().date_naive()].map(|day| format!("RUNNER_PARAM_DAY={day}\n"));
    assert!(days.iter().any(|day| text.starts_with(day.as_str())), "{text}");
    let at = text.lines().nth(1).unwrap().strip_prefix("RUNNER_PARAM_AT=").unwrap().to_owned();
    assert!(chrono::DateTime::parse_from_rfc3339(&at).is_ok(), "{at}");
}

//! The inputs of a run that follows another: what that one had, and nothing that it hadn't.

use serde_json::{Value, json};

use crate::harness::{Finished, Project, Test};

fn run_id(project: &Project) -> String {
    project.run_dir().file_name().unwrap().to_str().unwrap().to_owned()
}

fn run(test: &Test, args: &[&str], variables: &[(&str, &str)]) -> Finished {
    Finished::of(test.command(args).envs(variables.iter().copied()).output().unwrap())
}

/// What the newest run had, by its name.
fn newest(test: &Test, name: &str) -> Value {
    let id = test.runner(["history", "--json", "-n", "1"]).json()[0]["run_id"].as_str().unwrap().to_owned();
    let params = test.runner(["show", &id, "--json"]).json()[0]["params"].clone();
    params.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
}

#[test]
fn an_input_that_a_run_did_not_have_is_not_found_by_those_that_follow_it() {
    let test = Test::new();
    let params = json!({"note": "str", "mode": "str"});
    let project = test.project("p").script("a.txt", "exit 1").set("params", params);
    test.runner(["run", "p"]).expect(1);
    let first = run_id(&project);
    let unset = |name: &str| json!({"name": name, "source": "run"});
    // By a variable that is set only now.
    for verb in ["retry", "resume"] {
        run(&test, &[verb, &first], &[("RUNNER_PARAM_NOTE", "new")]).expect(1);
        assert_eq!(newest(&test, "note"), unset("note"));
    }
    // By a default that is declared only now; from a run that had it from another, too.
    let second = test.runner(["history", "--json", "-n", "1"]).json()[0]["run_id"].as_str().unwrap().to_owned();
    let defaults =
        json!({"note": {"type": "str", "default": "x"}, "mode": "str", "new": {"type": "int", "default": 1}});
    let project = project.set("params", defaults);
    for run in [&first, &second] {
        test.runner(["retry", run]).expect(1);
        assert_eq!(newest(&test, "note"), json!({"name": "note", "source": "run", "differs": true}));
        assert_eq!(newest(&test, "new"), json!({"name": "new", "value": 1, "source": "default"}));
    }
    test.runner(["retry", &first, "-p", "note=y"]).expect(1);
    assert_eq!(newest(&test, "note")["value"], "y");
    project.set("params", json!({"note": {"type": "str", "required": true}, "mode": "str"}));
    let told = run(&test, &["retry", &first], &[("RUNNER_PARAM_NOTE", "new")]).expect(2).stderr;
    assert!(told.contains("the input `note` is required; that run had none; add -p note=VALUE\n"), "{told}");
}

/// Secrets can't be given for one run: what is found now counts, and it is said that it wasn't there.
#[test]
fn a_secret_that_a_run_did_not_have_is_told_when_it_is_set_now() {
    let test = Test::new();
    let project = test
        .project("p")
        .script("a.txt", "env RUNNER_PARAM_TOKEN\nexit 1")
        .set("params", json!({"token": {"type": "str", "secret": true}}));
    test.runner(["run", "p"]).expect(1);
    let first = run_id(&project);
    let now = run(&test, &["retry", &first], &[("RUNNER_PARAM_TOKEN", "Sunday noon")]).expect(1).stdout;
    assert!(now.contains("of its 1 scripts; the secret token is set now, and wasn't in it\n"), "{now}");
    assert_eq!(newest(&test, "token"), json!({"name": "token", "source": "environment", "secret": true}));
    let still = test.runner(["retry", &first]).expect(1).stdout;
    assert!(!still.contains("the secret"), "{still}");
}

#[test]
fn inside_another_run_what_belongs_to_that_is_said_to() {
    let test = Test::new();
    let params = json!({"region": {"type": "str", "required": true}, "token": {"type": "str", "secret": true, "required": true}});
    let project = test.project("p").script("a.txt", "").set("params", params);
    let outer = [("RUNNER_RUN_ID", "39be3d37aed64"), ("RUNNER_PARAM_REGION", "us")];
    let told = run(&test, &["run", "p"], &outer).expect(2).stderr;
    for line in [
        "error: p: the input `region` is required; the RUNNER_PARAM_REGION that is set belongs to the run around this one; \
         add -p region=VALUE, or set RUNNER_PARAM_REGION in .env",
        "error: p: the secret `token` is required; set RUNNER_PARAM_TOKEN in .env, or name a `file` for it in the project file",
    ] {
        assert!(told.lines().any(|said| said == line), "{line}\n{told}");
    }
    assert!(project.run_dirs().is_empty());
}

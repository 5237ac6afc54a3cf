//! What the documents say is so: commands can be given, files are there, keys and variables are all named.

use std::path::Path;

use crate::harness::Test;

const DOCUMENTS: [&str; 13] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/cli.md",
    "docs/json.md",
    "docs/mail.md",
    "docs/policies.md",
    "docs/schedule.md",
    "docs/run-folder.md",
    "docs/scripts.md",
    "docs/sign-in.md",
    "docs/unattended.md",
];

fn read(name: &str) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
    text.unwrap_or_else(|error| panic!("{name}: {error}")).replace("\r\n", "\n")
}

/// The lines of a document's blocks of code.
fn code(text: &str) -> Vec<&str> {
    let mut within = false;
    text.lines()
        .filter(|line| {
            let fence = line.starts_with("```");
            within ^= fence;
            within && !fence
        })
        .collect()
}

/// The arguments of a command of ours that stands in a line.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let given = ["runner ", "cargo run -- "].iter().find_map(|start| line.strip_prefix(start))?;
    // A comment, or the help's explanation, stands apart.
    let given = given.split(" #").next()?.split("   ").next()?;
    let words = given.split_whitespace().map(|word| word.trim_matches('"').to_owned());
    Some(std::iter::once("runner".to_owned()).chain(words).collect())
}

#[test]
fn every_command_that_is_shown_can_be_given() {
    let mut count = 0;
    for name in DOCUMENTS {
        let text = read(name);
        for line in code(&text) {
            // The list of verbs in the help begins with the name of the verb.
            let Some(arguments) = arguments(line).filter(|words| words.len() > 1) else { continue };
            let parsed = project_runner::cli::command().try_get_matches_from(&arguments);
            if let Err(error) = parsed {
                let kind = error.kind();
                let is_help =
                    matches!(kind, clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion);
                assert!(is_help, "{name}: {line}: {error}");
            }
            count += 1;
        }
    }
    assert!(count > 15, "only {count} commands were found");
}

#[test]
fn every_file_that_is_linked_is_there() {
    for name in DOCUMENTS {
        let text = read(name);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            assert!(link.starts_with("http") || folder.join(file).exists(), "{name} links to {link}");
        }
    }
}

#[test]
fn the_readme_names_every_key_verb_and_code() {
    let readme = read("README.md");
    let schema: serde_json::Value = serde_json::from_str(&Test::new().runner(["schema"]).expect(0).stdout).unwrap();
    let of_output = schema["$defs"]["Output"]["properties"].as_object().unwrap();
    let policies = read("docs/policies.md");
    for name in ["RetryPolicy", "RetryOn", "Expectation", "OverlapObject"] {
        for key in schema["$defs"][name]["properties"].as_object().unwrap().keys() {
            assert!(policies.contains(&format!("`{key}`")), "docs/policies.md doesn't name the key {key} of {name}");
        }
    }
    let mail = read("docs/mail.md");
    for name in ["Mail", "Pings", "Webhook"] {
        for key in schema["$defs"][name]["properties"].as_object().unwrap().keys() {
            assert!(mail.contains(&format!("`{key}`")), "docs/mail.md doesn't name the key {key} of {name}");
        }
    }
    let schedule = read("docs/schedule.md");
    for name in ["Schedule", "CalendarStep", "CronFields", "Dst"] {
        for key in schema["$defs"][name]["properties"].as_object().unwrap().keys() {
            let named = schedule.contains(&format!("`{key}`")) || schedule.contains(&format!("\"{key}\""));
            assert!(named, "docs/schedule.md doesn't name the key {key} of {name}");
        }
    }
    for placeholder in project_runner::model::WEBHOOK_PLACEHOLDERS {
        assert!(mail.contains(&format!("`{{{placeholder}}}`")), "docs/mail.md doesn't name {placeholder}");
    }
    for key in schema["properties"].as_object().unwrap().keys().chain(of_output.keys()) {
        assert!(readme.contains(&format!("`{key}`")), "the README doesn't name the key {key}");
    }
    for verb in project_runner::cli::command().get_subcommands() {
        assert!(readme.contains(&format!("`{}`", verb.get_name())), "the README doesn't name {}", verb.get_name());
    }
    for code in [0, 1, 2, 3, 4, 130] {
        assert!(readme.contains(&format!("\n| {code} | ")), "the README doesn't name the exit code {code}");
    }
}

#[test]
fn every_variable_is_documented() {
    let documents: String = DOCUMENTS.iter().copied().chain([".env.example"]).map(read).collect();
    for variable in project_runner::config::env_vars::ALL {
        assert!(documents.contains(variable.name), "no document names {}", variable.name);
    }
}

/// The keys that stand in a row of the page, in backticks.
fn keys_of(page: &str, command: &str) -> Vec<String> {
    let row = page.lines().find(|line| line.starts_with(&format!("| `{command}` |"))).unwrap();
    let cell = row.split(" | ").nth(2).unwrap();
    let mut keys: Vec<String> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    keys.sort();
    keys
}

#[test]
fn answers_for_programs_have_the_keys_of_their_page() {
    let page = read("docs/json.md");
    let test = Test::new();
    let project = test.project("p").script("a.txt", "print a").set("timout", 5);
    test.runner(["run", "p"]).expect(0);
    let run_dir = project.run_dir();
    let run = run_dir.file_name().unwrap().to_str().unwrap();
    for (command, args) in [
        ("list", vec!["list"]),
        ("history", vec!["history"]),
        ("stats", vec!["stats"]),
        ("show", vec!["show", run]),
        ("logs", vec!["logs", run]),
        ("check --explain", vec!["check", "p", "--explain"]),
        ("doctor", vec!["doctor", "p"]),
    ] {
        let answer = test.runner(args.into_iter().chain(["--json"])).expect(0).json();
        let keys: Vec<String> = answer[0].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, keys_of(&page, command), "{command}");
    }
    let problem = &test.runner(["check", "p", "--json"]).expect(0).json()[0];
    let keys: Vec<String> = problem.as_object().unwrap().keys().cloned().collect();
    let expected = keys_of(&page, "check");
    let expected: Vec<String> = expected.into_iter().filter(|key| key != "error" && key != "warning").collect();
    assert_eq!(keys, expected);
}

#[test]
fn every_event_and_end_is_described() {
    let page = read("docs/run-folder.md");
    let events =
        ["run_started", "script_started", "script_finished", "script_skipped", "warning", "run_finished", "mail"];
    let ends = ["success", "exit_code", "signal", "timeout", "expectation_not_met", "could_not_start", "interrupted"];
    for word in events.iter().chain(&ends) {
        assert!(page.contains(&format!("| `{word}` |")), "docs/run-folder.md doesn't describe {word}");
    }
    // What a run writes has no field that isn't described.
    let test = Test::new();
    let project = test.project("p").script("a.txt", "eprint no\nleave pid 300\nexit 3").script("b.txt", "print b");
    test.runner(["run", "p"]).expect(1);
    for event in project.events() {
        for field in event.as_object().unwrap().keys() {
            assert!(page.contains(&format!("`{field}`")), "docs/run-folder.md doesn't describe {field}");
        }
    }
}

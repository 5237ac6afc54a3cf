//! Project files, `.env` files and variables with anything in them.

use proptest::test_runner::TestCaseResult;
use serde_json::Value;

use crate::model::fuzz_tests::{bytes, edited, edits, for_all, json, replace};

use super::*;

/// Every key of a project file, on whatever level.
fn all_keys() -> Vec<&'static str> {
    let inner = [
        keys::OUTPUT_KEYS.as_slice(),
        &keys::RETRIES_KEYS,
        &keys::RETRY_ON_KEYS,
        &keys::EXPECT_KEYS,
        &keys::OVERLAP_KEYS,
        &keys::MAIL_KEYS,
        &keys::PING_KEYS,
        &keys::WEBHOOK_KEYS,
        &keys::SCHEDULE_KEYS,
        &keys::TRIGGER_KEYS,
        &keys::CRON_KEYS,
        &keys::CALENDAR_KEYS,
        &keys::DST_KEYS,
        &keys::PARAM_KEYS,
        &["PASSWORD"],
    ];
    keys::project_names().chain(keys::script_names()).chain(inner.concat()).collect()
}

/// A house in which all that the example names is there.
fn furnished() -> (House, String) {
    let house = House::new();
    house.program("bin/node").file("p/secrets.env", "TOKEN=1").file("p/cycle_court/main_script.py", "");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config/good/every_key.json");
    (house, std::fs::read_to_string(file).unwrap())
}

/// Anything.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(bytes(), 0..12).prop_map(|pieces| pieces.concat())
}

/// What holds for every project file: the same twice, and either a project or problems that say where they are.
fn holds(house: &House) -> TestCaseResult {
    let (first, second) = (house.load(), house.load());
    prop_assert_eq!(format!("{first:?}"), format!("{second:?}"));
    match first {
        Ok(Loaded { project, explain, warnings, .. }) => {
            prop_assert!(!project.scripts.is_empty());
            for script in &project.scripts {
                prop_assert!(script.file.is_absolute() && script.settings.working_dir.is_absolute());
                let expectations = script.settings.expect.iter();
                let whole = expectations.into_iter().all(|expectation| match &expectation.file {
                    Some(file) => file.is_absolute(),
                    None => expectation.output.is_some(),
                });
                prop_assert!(whole);
            }
            prop_assert!(project.locks.is_sorted() && project.overlap.allow > 0);
            let table = render_explain(&explain);
            prop_assert!(table.lines().count() == explain.len(), "{}", table);
            told(&warnings)
        }
        Err(error) => {
            prop_assert!(!error.problems.is_empty());
            told(&error.problems)?;
            told(&error.warnings)
        }
    }
}

/// Each problem can be shown, and says where it is.
fn told(problems: &[Problem]) -> TestCaseResult {
    for problem in problems {
        let plain = problem.plain();
        let has_place = problem.line > 0 || problem.kind == ProblemKind::Unreadable || plain.starts_with("RUNNER_SET_");
        prop_assert!(has_place, "{}", plain);
        prop_assert!(!problem.message.is_empty() && !plain.contains(char::is_control), "{:?}", plain);
        for width in [20, 100] {
            let fancy = problem.fancy(false, width);
            let harmless = !fancy.contains('\u{1b}') && !fancy.trim().is_empty();
            prop_assert!(harmless);
        }
    }
    Ok(())
}

#[test]
fn fuzz_project_files_of_any_bytes() {
    let house = House::new();
    for_all((pieces(), pieces()), |(project, common)| {
        house.config(&project).file("exec_config.common.json", &common);
        holds(&house)
    });
}

#[test]
fn fuzz_project_files_of_any_json() {
    let house = House::new();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let key = prop::sample::select(all_keys());
    let pairs = prop::collection::btree_map(key, json(all_keys()), 0..4);
    for_all(pairs, |pairs| {
        let mut file: Value = serde_json::from_str(&format!("{SIX}}}")).unwrap();
        for (key, value) in pairs {
            // The runner passes over this one, whatever it is.
            if key != "$schema" {
                file[key] = value;
            }
        }
        house.config(file.to_string());
        // What is taken without a word, an editor has nothing to say of either.
        if house.load().is_ok_and(|loaded| loaded.warnings.is_empty()) {
            let errors: Vec<String> = validator.iter_errors(&file).map(|error| error.to_string()).collect();
            prop_assert!(errors.is_empty(), "{}: {:?}", file, errors);
        }
        holds(&house)
    });
}

#[test]
fn fuzz_project_files_that_were_changed() {
    let (house, whole) = furnished();
    for_all(edits(), |edits| {
        house.config(edited(whole.as_bytes(), &edits));
        holds(&house)
    });
}

#[test]
fn fuzz_project_files_of_which_values_were_replaced() {
    let (house, whole) = furnished();
    let whole: Value = serde_json::from_str(&whole).unwrap();
    let changes = prop::collection::vec((any::<u16>(), prop::option::of(json(all_keys()))), 1..4);
    for_all(changes, |changes| {
        let mut file = whole.clone();
        for (at, new) in changes {
            replace(&mut file, at, new);
        }
        house.config(file.to_string());
        holds(&house)
    });
}

#[test]
fn fuzz_layers() {
    let (house, whole) = furnished();
    house.config(&whole);
    let layer = || prop::collection::btree_map(prop::sample::select(all_keys()), json(all_keys()), 0..3);
    let variable = (
        prop::sample::select(keys::project_names().collect::<Vec<_>>()),
        prop_oneof![json(all_keys()).prop_map(|json| json.to_string()), "[^\0]{0,8}",],
    );
    for_all((layer(), layer(), prop::collection::vec(variable, 0..3)), |(common, profile, variables)| {
        house
            .file("exec_config.common.json", serde_json::to_vec(&common).unwrap())
            .file("p/exec_config.dev.json", serde_json::to_vec(&profile).unwrap());
        let variables = variables.into_iter().map(|(key, value)| (format!("RUNNER_SET_{}", key.to_uppercase()), value));
        let env = Environment::from_pairs(house.env.iter().cloned().chain(variables));
        let (first, second) =
            [(); 2].map(|()| load(&LoadRequest { project: &house.path("p"), profile: Some("dev"), env: &env })).into();
        prop_assert_eq!(format!("{first:?}"), format!("{second:?}"));
        match first {
            Ok(loaded) => {
                prop_assert!(!render_explain(&loaded.explain).is_empty());
                told(&loaded.warnings)
            }
            Err(error) => told(&error.problems),
        }
    });
}

#[test]
fn fuzz_dotenv_files() {
    let house = House::new();
    house.with("");
    let whole = "# mail\nLOGIN_MAIL=a@b.c\nexport PASSWORD_MAIL='hunter2 $x'\nQ=\"a\\nb ${LOGIN_MAIL}\"\r\nEMPTY=\nTEXT=two # not this\n";
    let changed = edits().prop_map(|edits| edited(whole.as_bytes(), &edits));
    for_all(prop_oneof![pieces(), changed], |content| {
        house.file("p/.env", &content);
        holds(&house)
    });
}

#[test]
fn fuzz_dotenv_values_in_single_quotes() {
    let house = House::new();
    house.with("");
    // A backslash at the end takes the quote's meaning away, and is told of.
    // The names spell no word that tells of a secret: such a file would be told of, too.
    let pairs = prop::collection::btree_map("FUZZ_[X-Z_0-9]{0,6}", "([^'\0\r]{0,20}[^'\0\r\\\\])?", 0..6);
    for_all(pairs, |pairs| {
        let text: String = pairs.iter().map(|(name, value)| format!("{name}='{value}'\n")).collect();
        house.file("p/.env", text);
        let loaded = house.load();
        prop_assert!(loaded.is_ok(), "{:?}", loaded);
        let Ok(Loaded { project, warnings, .. }) = loaded else { return Ok(()) };
        prop_assert!(warnings.is_empty(), "{:?}", warnings);
        let read: std::collections::BTreeMap<String, String> =
            project.dotenv.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
        prop_assert_eq!(read, pairs);
        Ok(())
    });
}

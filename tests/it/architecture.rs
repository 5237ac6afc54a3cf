//! The house rules that a reader of ARCHITECTURE.md relies on: who may use whom, how large a file may be, where `unsafe`
//! may stand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rooms, and the rooms that each may use. All may use themselves.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &["schedule"]),
    ("schedule", &[]),
    ("event", &["model"]),
    ("plan", &["model", "event"]),
    ("config", &["model", "schedule"]),
    ("exec", &["model", "event", "plan"]),
    ("store", &["model", "schedule", "event"]),
    ("mail", &["model", "schedule", "event"]),
    ("sink", &["model", "event", "store", "mail"]),
    ("outbox", &["model", "event", "config", "store", "mail", "sink"]),
    ("runner", &["model", "schedule", "event", "plan", "config", "exec", "store", "mail", "sink", "outbox"]),
    ("ledger", &["model", "schedule", "event", "config", "exec", "store", "mail", "runner"]),
    ("host", &["model", "schedule"]),
    ("doctor", &["model", "schedule", "event", "plan", "config", "exec", "store", "mail", "runner", "host"]),
    (
        "daemon",
        &[
            "model", "schedule", "event", "config", "exec", "store", "mail", "sink", "outbox", "runner", "ledger",
            "doctor",
        ],
    ),
    (
        "cli",
        &[
            "model", "schedule", "event", "plan", "config", "exec", "store", "mail", "sink", "outbox", "runner",
            "ledger", "host", "doctor", "daemon",
        ],
    ),
    // Declare, re-export, call.
    ("lib", &["config", "runner"]),
    ("main", &["cli"]),
];

/// Lines that a file may have.
const LONGEST: usize = 520;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder that end so, with their texts.
fn files(folder: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder}");
    found.sort();
    found
}

/// A file's path with `/`, whatever the system.
fn name(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// The room that a file of `src` belongs to.
fn room(path: &Path) -> String {
    let inner = name(path);
    let inner = inner.strip_prefix("src/").unwrap();
    inner.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

fn is_test(path: &Path) -> bool {
    let name = name(path);
    name.contains("/tests") || name.ends_with("_tests.rs") || name.ends_with("/samples.rs")
}

/// What the program is made of: without comments, and without the tests at its end.
fn program(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The rooms that a text names in `crate::…` paths, one by one or in braces.
fn rooms_used(text: &str) -> Vec<String> {
    let mut used = Vec::new();
    for (at, path) in text.match_indices("crate::") {
        // As in `$crate::`, or another crate's name that ends so.
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &text[at + path.len()..];
        let names = match rest.strip_prefix('{') {
            Some(braced) => braced.split('}').next().unwrap_or_default().split(',').map(str::trim).collect(),
            None => vec![rest],
        };
        for path in names {
            used.push(path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    used
}

#[test]
fn each_room_uses_only_the_rooms_below_it() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in files("src", "rs") {
        let room = room(&path);
        let Some(may_use) = allowed.get(room.as_str()) else { panic!("{room} is a new room: say what it may use") };
        for used in rooms_used(&program(&text)) {
            let known = allowed.contains_key(used.as_str());
            if known && used != room && !may_use.contains(&used.as_str()) && !is_test(&path) {
                wrong.push(format!("{} uses crate::{used}", name(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "against ARCHITECTURE.md:\n{}", wrong.join("\n"));
}

#[test]
fn the_rule_is_read_as_it_is_written() {
    assert_eq!(
        rooms_used("use crate::{event::X, model};\nlet a = crate::exec::b(); $crate::cli"),
        ["event", "model", "exec", "cli"]
    );
    assert_eq!(rooms_used("use other_crate::exec; pub(crate) fn a() {}"), Vec::<String>::new());
    assert!(
        !program("//! crate::cli\nuse crate::model; // crate::exec\n#[cfg(test)]\nmod tests {\ncrate::sink")
            .contains("crate::cli")
    );
}

#[test]
fn files_stay_small_enough_to_be_read() {
    let all = ["src", "tests", "benches", "examples"].map(|folder| files(folder, "rs")).concat();
    let long: Vec<String> = all
        .iter()
        .map(|(path, text)| (name(path), text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "more than {LONGEST} lines:\n{}", long.join("\n"));
}

#[test]
fn a_mod_file_declares_and_exports_and_does_nothing() {
    for (path, text) in files("src", "rs").iter().filter(|(path, _)| path.ends_with("mod.rs") && !is_test(path)) {
        let program = program(text);
        let doing = program.lines().find(|line| line.contains("fn ") || line.starts_with("impl "));
        assert!(doing.is_none() || name(path).contains("/os/"), "{}: {doing:?}", name(path));
        assert!(text.starts_with("//!"), "{} doesn't say what it is for", name(path));
    }
}

#[test]
fn unsafe_stands_in_os_files_only() {
    for (path, text) in files("src", "rs") {
        let words = program(&text);
        let word = words.split(|c: char| !c.is_alphanumeric() && c != '_').find(|word| *word == "unsafe");
        assert!(word.is_none() || name(&path).contains("/os/"), "{} has unsafe code", name(&path));
    }
}

#[test]
fn only_the_binary_ends_the_process() {
    for (path, text) in files("src", "rs") {
        let ends = program(&text).contains("process::exit(");
        assert!(!ends || name(&path) == "src/main.rs", "{} ends the process", name(&path));
    }
}

/// The project speaks of itself alone. The words are put together here, so that this file is no find of its own.
#[test]
fn nothing_tells_of_where_it_was_made() {
    let forbidden = [
        ["/ro", "ot/"],
        ["/work/sh", "ared"],
        ["/tmp/", "wt"],
        ["crates", ".io/"],
        ["pypi", ".org"],
        ["TO", "DO"],
        ["FIX", "ME"],
    ];
    let mut all = Vec::new();
    for (folder, ending) in
        [("src", "rs"), ("tests/it", "rs"), ("examples", "rs"), ("docs", "md"), ("example_projects", "py")]
    {
        all.extend(files(folder, ending));
    }
    for file in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "justfile"] {
        all.push((file.into(), std::fs::read_to_string(root().join(file)).unwrap()));
    }
    for (path, text) in all {
        for word in forbidden.map(|parts| parts.concat()) {
            assert!(!text.contains(&word), "{} has {word}", name(&path));
        }
    }
}

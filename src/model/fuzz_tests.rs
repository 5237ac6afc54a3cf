//! What the tests share that feed readers with anything: they are all called `fuzz`, so that one command runs them for as
//! long as one likes (CONTRIBUTING.md has it). And those of the readers in here.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use serde_json::Value;

use super::{RunId, format_duration, format_size, parse_duration, parse_size};

/// Runs a test on many values, as often as `PROPTEST_CASES` says. Unlike in `proptest!`, what the test needs is made once.
#[track_caller]
pub(crate) fn for_all<S: Strategy>(values: S, test: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config { failure_persistence: None, ..Config::default() };
    if let Err(error) = TestRunner::new(config).run(&values, test) {
        panic!("{error}");
    }
}

/// A change to some bytes. Places are parts of 65536 of the whole, so that they mean something for any length.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    /// Bytes are taken away.
    Remove { at: u16, count: usize },
    /// Bytes are put in.
    Insert { at: u16, bytes: Vec<u8> },
    /// Some of the bytes are put in a second time, elsewhere.
    Repeat { at: u16, from: u16, count: usize },
    /// A bit is turned over.
    Flip { at: u16, bit: u8 },
    /// The rest is cut off.
    Cut { at: u16 },
}

/// What tends to be read wrongly, in JSON, in `.env` files and in general.
const TOKENS: [&str; 32] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "'",
    "null",
    "true",
    "{}",
    "[]",
    "-0",
    "1e308",
    "1e-400",
    "-1",
    "0.5",
    "18446744073709551616",
    "9007199254740993",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\r\n",
    "\n",
    "\0",
    "\u{2028}",
    "$A",
    "${",
    "#",
    "=",
    "export ",
];

/// A few bytes: any, or a token.
pub(crate) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        prop::sample::select(TOKENS.to_vec()).prop_map(|token| token.as_bytes().to_vec()),
        "\\PC{0,6}".prop_map(String::into_bytes),
    ]
}

/// A few changes.
pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        3 => (any::<u16>(), 1usize..40).prop_map(|(at, count)| Edit::Remove { at, count }),
        4 => (any::<u16>(), bytes()).prop_map(|(at, bytes)| Edit::Insert { at, bytes }),
        2 => (any::<u16>(), any::<u16>(), 1usize..200).prop_map(|(at, from, count)| Edit::Repeat { at, from, count }),
        2 => (any::<u16>(), 0u8..8).prop_map(|(at, bit)| Edit::Flip { at, bit }),
        1 => any::<u16>().prop_map(|at| Edit::Cut { at }),
    ];
    prop::collection::vec(edit, 1..5)
}

/// The bytes after some changes.
pub(crate) fn edited(original: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for edit in edits {
        let place = |at: u16| bytes.len() * usize::from(at) / usize::from(u16::MAX);
        let to = |from: usize, count: usize| (from + count).min(bytes.len());
        match *edit {
            Edit::Remove { at, count } => drop(bytes.drain(place(at)..to(place(at), count))),
            Edit::Insert { at, bytes: ref new } => drop(bytes.splice(place(at)..place(at), new.iter().copied())),
            Edit::Repeat { at, from, count } => {
                let again = bytes[place(from)..to(place(from), count)].to_vec();
                drop(bytes.splice(place(at)..place(at), again));
            }
            Edit::Flip { at, bit } => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Edit::Cut { at } => bytes.truncate(place(at)),
        }
    }
    bytes
}

/// Any JSON of a few levels; half of the keys of its objects are out of `keys`.
pub(crate) fn json(keys: Vec<&'static str>) -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        (0u8..102).prop_map(Into::into),
        Just(Value::from(0.5)),
    ];
    let words = [
        "main.py",
        "all",
        "none",
        "wait",
        "exponential",
        "leave",
        "stop",
        "90s",
        "1h 30m",
        "5MiB",
        "a@b.c",
        "(x",
        "^x$",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        number,
        ".{0,8}".prop_map(Into::into),
        prop::sample::select(words.to_vec()).prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        let key = prop_oneof![prop::sample::select(keys.clone()).prop_map(str::to_owned), ".{0,5}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Puts `new` in the place of the value that is the `at`-th, counted through all levels; or takes it away if `new` is none.
pub(crate) fn replace(json: &mut Value, at: u16, new: Option<Value>) {
    fn count(json: &Value) -> usize {
        1 + match json {
            Value::Array(items) => items.iter().map(count).sum(),
            Value::Object(map) => map.values().map(count).sum(),
            _ => 0,
        }
    }
    /// `at` is more than 0: what is replaced lies below.
    fn below(json: &mut Value, mut at: usize, new: Option<Value>) {
        at -= 1;
        match json {
            Value::Array(items) => {
                for index in 0..items.len() {
                    match (count(&items[index]), &new) {
                        (_, None) if at == 0 => drop(items.remove(index)),
                        (_, Some(new)) if at == 0 => items[index] = new.clone(),
                        (size, _) if at < size => below(&mut items[index], at, new),
                        (size, _) => {
                            at -= size;
                            continue;
                        }
                    }
                    return;
                }
            }
            Value::Object(map) => {
                let keys: Vec<String> = map.keys().cloned().collect();
                for key in keys {
                    let size = count(&map[&key]);
                    match &new {
                        None if at == 0 => drop(map.remove(&key)),
                        Some(new) if at == 0 => map[&key] = new.clone(),
                        _ if at < size => below(&mut map[&key], at, new),
                        _ => {
                            at -= size;
                            continue;
                        }
                    }
                    return;
                }
            }
            _ => {}
        }
    }
    let places = count(json);
    if places > 1 {
        below(json, 1 + usize::from(at) % (places - 1), new);
    }
}

#[test]
fn a_value_is_replaced_where_it_stands() {
    let original = serde_json::json!({"a": [1, {"b": 2}], "c": 3});
    let with = |at, new| {
        let mut json = original.clone();
        replace(&mut json, at, new);
        json.to_string()
    };
    assert_eq!(with(0, Some(Value::Null)), r#"{"a":null,"c":3}"#);
    assert_eq!(with(1, Some(Value::Null)), r#"{"a":[null,{"b":2}],"c":3}"#);
    assert_eq!(with(3, Some(Value::Null)), r#"{"a":[1,{"b":null}],"c":3}"#);
    assert_eq!(with(2, None), r#"{"a":[1],"c":3}"#);
    assert_eq!(with(4, None), r#"{"a":[1,{"b":2}]}"#);
    assert_eq!(with(5, Some(Value::Null)), r#"{"a":null,"c":3}"#);
}

#[test]
fn fuzz_durations() {
    let written = "[ ]?([0-9]{1,20}(\\.[0-9]{0,12})?[ ]?(ns|us|ms|s|m|min|h|d|days|w|M|y)?[ ]?){1,3}";
    for_all(prop_oneof![written, ".{0,40}"], |text: String| {
        let Ok(duration) = parse_duration(&text) else { return Ok(()) };
        // Dates can be counted with every duration that is taken.
        prop_assert!(chrono::TimeDelta::from_std(duration).is_ok(), "{duration:?}");
        let shown = format_duration(duration);
        let again = parse_duration(&shown);
        prop_assert!(again.is_ok(), "{text:?} is shown as {shown:?}, which is not read");
        // What is shown is rounded to what matters: within a twentieth, or a millisecond.
        let again = again.unwrap_or_default();
        let limit = (duration / 20).max(Duration::from_millis(1));
        prop_assert!(again.abs_diff(duration) <= limit, "{text:?}: {duration:?}, shown as {shown:?}");
        prop_assert_eq!(format_duration(again), shown);
        Ok(())
    });
}

#[test]
fn fuzz_sizes() {
    let written = "[ ]?[0-9]{1,21}(\\.[0-9]{0,5})?[ ]?([kKMGTPE]i?[bB]?|B)?[ ]?";
    for_all(prop_oneof![written, ".{0,40}"], |text: String| {
        let Ok(size) = parse_size(&text) else { return Ok(()) };
        let shown = format_size(size);
        let again = parse_size(&shown);
        prop_assert!(again.is_ok(), "{text:?} is shown as {shown:?}, which is not read");
        let again = again.unwrap_or_default();
        prop_assert!(again.abs_diff(size) <= size / 10, "{text:?}: {size}, shown as {shown:?}");
        prop_assert_eq!(format_size(again), shown);
        Ok(())
    });
}

#[test]
fn fuzz_run_ids() {
    for_all(prop_oneof!["[0-9a-f]{12,14}", ".{0,14}"], |text: String| {
        let read = RunId::parse(&text);
        prop_assert_eq!(
            read.is_some(),
            text.len() == RunId::LENGTH && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        );
        prop_assert!(read.is_none_or(|id| id.as_str() == text));
        Ok(())
    });
}

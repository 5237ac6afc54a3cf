use std::path::Path;

use jiff::Zoned;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn now() -> Zoned {
    "2026-03-29T23:30:15.5+02:00[Europe/Paris]".parse().unwrap()
}

fn root() -> &'static Path {
    Path::new(if cfg!(windows) { r"C:\p" } else { "/p" })
}

fn choice() -> ParamType {
    ParamType::Choice(vec!["eu".to_owned(), "us east".to_owned()])
}

fn list(kind: ParamType) -> ParamType {
    ParamType::List(Box::new(kind))
}

fn read(kind: &ParamType, text: &str) -> Result<Value, String> {
    let value = kind.read(text).map(|value| value.resolve(root(), &now()));
    value.map_err(|bad| format!("{}; {}", bad.what, bad.hint))
}

#[test]
fn each_type_reads_what_people_write() {
    let path = root().join("data/é.csv").to_string_lossy().into_owned();
    for (kind, text, value) in [
        (ParamType::Str, " two words ", json!(" two words ")),
        (ParamType::Str, "", json!("")),
        (ParamType::Int, "-007", json!(-7)),
        (ParamType::Int, " +9223372036854775807 ", json!(i64::MAX)),
        (ParamType::Float, "0.50", json!(0.5)),
        (ParamType::Float, "1e300", json!(1e300)),
        (ParamType::Bool, "Yes", json!(true)),
        (ParamType::Bool, "0", json!(false)),
        (ParamType::Date, "2024-02-29", json!("2024-02-29")),
        (ParamType::Date, "Today", json!("2026-03-29")),
        (ParamType::Date, "yesterday", json!("2026-03-28")),
        (ParamType::DateTime, "2026-12-01T06:00", json!("2026-12-01T06:00:00+01:00")),
        (ParamType::DateTime, "2026-12-01 06:00:30.25", json!("2026-12-01T06:00:30.25+01:00")),
        (ParamType::DateTime, "2026-12-01T06:00Z", json!("2026-12-01T06:00:00+00:00")),
        (ParamType::DateTime, "2026-12-01T06:00-03:30", json!("2026-12-01T06:00:00-03:30")),
        (ParamType::DateTime, "2026-12-01", json!("2026-12-01T00:00:00+01:00")),
        // The clocks go forward over it.
        (ParamType::DateTime, "2026-03-29T02:30", json!("2026-03-29T03:30:00+02:00")),
        (ParamType::DateTime, "now", json!("2026-03-29T23:30:15+02:00")),
        (ParamType::DateTime, "today", json!("2026-03-29T00:00:00+01:00")),
        (ParamType::DateTime, "yesterday", json!("2026-03-28T00:00:00+01:00")),
        (ParamType::Duration, "1h 30m", json!(5400)),
        (ParamType::Duration, "1.5", json!(1.5)),
        (ParamType::Path, "data/é.csv", json!(path)),
        (choice(), "us east", json!("us east")),
        (list(ParamType::Str), "a, b,,c d", json!(["a", "b", "", "c d"])),
        (list(ParamType::Str), r#"["a, b", "[", ""]"#, json!(["a, b", "[", ""])),
        (list(ParamType::Str), " ", json!([])),
        (list(ParamType::Int), "1,2", json!([1, 2])),
        (list(ParamType::Date), r#"["today"]"#, json!(["2026-03-29"])),
    ] {
        assert_eq!(read(&kind, text), Ok(value), "{text}");
    }
}

#[test]
fn numbers_have_no_exponents_in_lists_either() {
    let numbers = read(&list(ParamType::Float), "[1e21, -0.5, 1e-7, 3]").unwrap();
    assert_eq!(value_text(&numbers), "[1000000000000000000000.0,-0.5,0.0000001,3.0]");
    assert_eq!(serde_json::from_str::<Value>(&value_text(&numbers)).unwrap(), numbers, "it is JSON");
    assert_eq!(value_text(&json!(["a,\"b", "1e3"])), r#"["a,\"b","1e3"]"#);
    // A whole number is written in digits, wherever it stands.
    assert!(read(&ParamType::Int, "1e3").unwrap_err().starts_with("is not a whole number: `1e3` at position 2;"));
    let told = read(&list(ParamType::Int), "[1, 1e3]").unwrap_err();
    assert!(told.starts_with("has an item 2 that is not a whole number: `1000.0` at position 5;"), "{told}");
    let told = ParamType::Int.read_json(&json!(u64::MAX)).unwrap_err();
    assert_eq!(told.what, "is too large: `18446744073709551615`");
    assert!(ParamType::Int.read_json(&json!(2.0)).is_err());
}

/// Until 1911 clocks in Paris were 9 minutes and 21 seconds ahead of Greenwich, which RFC 3339 can't tell.
#[test]
fn times_at_offsets_with_seconds_are_told_in_utc() {
    for (text, told) in [
        ("1900-06-01T12:00", "1900-06-01T11:50:39+00:00"),
        ("1900-06-01", "1900-05-31T23:50:39+00:00"),
        ("1950-06-01T12:00", "1950-06-01T12:00:00+01:00"),
    ] {
        assert_eq!(read(&ParamType::DateTime, text), Ok(json!(told)), "{text}");
    }
    let then: Zoned = "1900-06-01T12:00:00+00:09:21[Europe/Paris]".parse().unwrap();
    let now = ParamType::DateTime.read("now").unwrap().resolve(root(), &then);
    assert_eq!(now, json!("1900-06-01T11:50:39+00:00"));
}

/// What is wrong, where in it if not all of it is, and what to do: for each type, as people read it after the input's name.
#[test]
fn each_type_has_its_own_words() {
    let said = [
        (
            ParamType::Str,
            "a\0b",
            "holds a NUL character at position 2; take it out: neither arguments nor variables can hold it",
        ),
        (
            ParamType::Int,
            "1O",
            "is not a whole number: `1O` at position 2; write a whole number of at most 64 bits, as in 42",
        ),
        (ParamType::Float, "0,5", "is not a number: `0,5` at position 2; write a number, as in 0.5"),
        (ParamType::Bool, "maybe", "is not true or false: `maybe`; write true or false"),
        (
            ParamType::Date,
            "2026-13-01",
            "is not a date: `2026-13-01` at position 6; write YYYY-MM-DD, today or yesterday",
        ),
        (
            ParamType::DateTime,
            "2026-11-30T24:00",
            "is not a date and time: `2026-11-30T24:00` at position 12; write YYYY-MM-DDTHH:MM, or now, today or yesterday",
        ),
        (
            ParamType::Duration,
            "1 fortnight",
            "is not a duration: `1 fortnight` at position 3; write seconds (90), or units with them (1h 30m)",
        ),
        (ParamType::Path, "", "is not a path: ``; write a file or folder"),
        (choice(), "asia", "is not one of `eu`, `us east`: `asia`; write one of them, as in eu"),
        (
            list(ParamType::Str),
            r#"["a" "b"]"#,
            r#"is not a list: `["a" "b"]` at position 6; write the items with commas between them, or a JSON list, as in ["a","b"]"#,
        ),
    ];
    let words: Vec<&str> = said.iter().map(|(kind, ..)| kind.word()).collect();
    assert_eq!(words, ParamType::WORDS);
    for (kind, text, message) in said {
        assert_eq!(read(&kind, text), Err(message.to_owned()));
        if !matches!(kind, ParamType::List(_)) {
            let item = list(kind.clone()).read_json(&json!(["eu", text])).unwrap_err();
            let place = if matches!(kind, ParamType::Str | ParamType::Path | ParamType::Choice(_)) { 2 } else { 1 };
            assert!(item.what.starts_with(&format!("has an item {place} that ")), "{}", item.what);
        }
    }
}

#[test]
fn defaults_are_shown_as_they_could_be_given() {
    for (kind, json) in [
        (ParamType::Duration, json!("25h 1m 1s 500ms")),
        (list(ParamType::Str), json!(["a", "b c"])),
        (list(ParamType::Str), json!(["a,b", " c"])),
        (list(ParamType::Str), json!(["[x]"])),
        (list(ParamType::Str), json!([""])),
        (list(ParamType::Str), json!([])),
        (ParamType::Float, json!(1e21)),
    ] {
        let value = kind.read_json(&json).unwrap();
        assert_eq!(kind.read(&value.written()), Ok(value.clone()), "{}", value.written());
    }
}

#[test]
fn each_type_says_what_is_wrong_and_where() {
    for (kind, text, message) in [
        (
            ParamType::Int,
            "",
            "is not a whole number: `` at position 1; write a whole number of at most 64 bits, as in 42",
        ),
        (ParamType::Int, "12x4", "is not a whole number: `12x4` at position 3"),
        (ParamType::Int, "1.5", "is not a whole number: `1.5` at position 2"),
        (
            ParamType::Int,
            "9223372036854775808",
            "is too large: `9223372036854775808`; write a whole number of at most 64 bits",
        ),
        (ParamType::Float, "NaN", "is not a number: `NaN` at position 1; write a number, as in 0.5"),
        (ParamType::Float, "1,5", "is not a number: `1,5` at position 2"),
        (ParamType::Float, " .", "is not a number: ` .` at position 3"),
        (ParamType::Float, "1.5e", "at position 5"),
        (ParamType::Float, "-", "at position 2"),
        (ParamType::Float, "1e400", "is too large: `1e400`; write a number"),
        (ParamType::Bool, "maybe", "is not true or false: `maybe`; write true or false"),
        (ParamType::Date, "2026-13-01", "is not a date: `2026-13-01` at position 6; write YYYY-MM-DD"),
        (ParamType::Date, "2026-02-29", "is not a date: `2026-02-29` at position 9"),
        (ParamType::Date, "26-1-1", "is not a date: `26-1-1` at position 3"),
        (ParamType::Date, "2026-01-01T06:00", "is not a date: `2026-01-01T06:00` at position 11"),
        (ParamType::Date, "é", "is not a date: `é` at position 1"),
        (ParamType::Date, "now", "is not a date: `now` at position 1"),
        (
            ParamType::DateTime,
            "2026-01-01T24:00",
            "is not a date and time: `2026-01-01T24:00` at position 12; write YYYY-MM-DDTHH:MM",
        ),
        (ParamType::DateTime, "2026-01-01T06:00+1", "at position 19"),
        (ParamType::DateTime, "2026-01-01T06:00:00.", "at position 21"),
        (ParamType::DateTime, "2026-01-01T06:00 Paris", "at position 17"),
        (
            ParamType::Duration,
            "soon",
            "is not a duration: `soon` at position 1; write seconds (90), or units with them (1h 30m)",
        ),
        (ParamType::Duration, "1h 30x", "is not a duration: `1h 30x` at position 6"),
        (ParamType::Duration, " 1.5.2", "at position 5"),
        (ParamType::Duration, "", "is not a duration: `` at position 1"),
        (ParamType::Duration, "-5m", "at position 1"),
        (ParamType::Duration, "5h é", "at position 4"),
        (ParamType::Duration, "99999999999999", "is too large: `99999999999999`"),
        (ParamType::Path, "", "is not a path: ``"),
        (ParamType::Str, "a\0b", "holds a NUL character at position 2"),
        (choice(), "EU", "is not one of `eu`, `us east`: `EU`; write one of them, as in eu"),
        (list(ParamType::Int), "1,x", "has an item 2 that is not a whole number: `x` at position 1"),
        (list(ParamType::Int), "[1, 2", "is not a list: `[1, 2` at position 5"),
    ] {
        let said = read(&kind, text).unwrap_err();
        assert!(said.contains(message), "{said}");
    }
    let said = ParamType::Str.read_json(&json!(5)).unwrap_err().what;
    assert_eq!(said, "is not a text: `5`");
    assert!(list(ParamType::Str).read_json(&json!("a,b")).is_err());
}

fn kinds() -> impl Strategy<Value = ParamType> {
    let single = prop_oneof![
        Just(ParamType::Str),
        Just(ParamType::Int),
        Just(ParamType::Float),
        Just(ParamType::Bool),
        Just(ParamType::Date),
        Just(ParamType::DateTime),
        Just(ParamType::Duration),
        Just(ParamType::Path),
        Just(choice()),
    ];
    prop_oneof![single.clone(), single.prop_map(list)]
}

/// Texts that are often values of one type or other.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\0]{0,12}",
        "[-+]?[0-9]{1,20}",
        "[-+]?[0-9]{1,4}(\\.[0-9]{0,4})?(e[0-9]{1,3})?",
        "(today|now|yesterday|true|off|eu|us east)",
        "[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,9})?)?(Z|[-+][01][0-9]:[0-5][0-9])?)?",
        "[0-9]{1,3}(h|m|s|ms| days)( [0-9]{1,2}s)?",
        "([a-z \"\\\\%,]{0,5},){0,4}",
        proptest::collection::vec("[^\0]{0,6}", 0..4).prop_map(|items| json!(items).to_string()),
    ]
}

proptest! {
    /// What a run keeps of its inputs gives another run the same, whichever day that is on; and what scripts get in
    /// variables can be given on a command line.
    #[test]
    fn what_was_resolved_is_read_as_the_same(kind in kinds(), text in texts()) {
        if let Ok(value) = kind.read(&text) {
            let resolved = value.resolve(root(), &now());
            let later: Zoned = "2031-10-26T02:30:00-04:00[America/New_York]".parse().unwrap();
            let again = kind.read_json(&resolved).map(|value| value.resolve(root(), &later));
            prop_assert_eq!(again.as_ref(), Ok(&resolved));
            let again = kind.read(&value_text(&resolved)).map(|value| value.resolve(root(), &later));
            prop_assert_eq!(again.as_ref(), Ok(&resolved));
            // A list of one empty text, or of what isn't written as a text, is shown as JSON.
            let shown = kind.read(&value.written()).map(|value| value.resolve(root(), &now()));
            prop_assert_eq!(shown, Ok(resolved), "{}", value.written());
        }
    }

    #[test]
    fn fuzz_any_text_is_read_or_refused_with_a_position_inside(kind in kinds(), text in any::<String>()) {
        if let Err(bad) = kind.read(&text) {
            let position = bad.what.rsplit_once("at position ").and_then(|(_, at)| at.parse::<usize>().ok());
            prop_assert!(position.is_none_or(|at| at <= text.len() + 1), "{}", bad.what);
        }
    }
}

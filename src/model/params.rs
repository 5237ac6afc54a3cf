//! Declared inputs of a project: their types, and how a text or a JSON value is read as one. Pure.
//!
//! A value that was read is *resolved* for an instant and a folder (`today` becomes a date, a path absolute) and is then plain
//! JSON. Read again by the same type, that gives the same: so it can be kept with a run and taken over by another.

use std::path::Path;
use std::time::Duration;

use jiff::Zoned;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::param_number::{self, NoNumber};
use super::param_time::{self, Day, Time};
use super::parse_duration;

/// What a declared input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamType {
    /// Any text.
    Str,
    /// A whole number of 64 bits.
    Int,
    /// A number.
    Float,
    /// True or false.
    Bool,
    /// A day.
    Date,
    /// An instant.
    DateTime,
    /// A length of time.
    Duration,
    /// A file or folder, which need not be there.
    Path,
    /// One of these words.
    Choice(Vec<String>),
    /// Any number of one type, which is no list.
    List(Box<ParamType>),
}

/// A declared input.
#[derive(Debug, Clone)]
pub struct Param {
    /// Letters, digits and `_`; two of a project differ in more than the case.
    pub name: String,
    /// What its values are.
    pub kind: ParamType,
    /// What it is when nobody says.
    pub default: Option<ParamValue>,
    /// Whether nothing runs without it.
    pub required: bool,
    /// What it is for.
    pub help: Option<String>,
    /// Whether its value is kept from arguments, reports and output.
    pub secret: bool,
    /// A secret's value from the file that the declaration names, or why that can't be read, which matters once it is needed.
    pub from_file: Option<Result<SecretString, String>>,
}

impl Param {
    /// The variable that scripts get it in, and that the runner takes it from.
    #[must_use]
    pub fn variable(&self) -> String {
        param_variable(&self.name)
    }
}

/// The variable of an input, declared or not.
#[must_use]
pub fn param_variable(name: &str) -> String {
    format!("RUNNER_PARAM_{}", name.to_ascii_uppercase())
}

/// A value that was read, and not resolved yet.
#[derive(Debug, Clone, PartialEq)]
pub enum ParamValue {
    /// A text or a chosen word.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A day.
    Date(Day),
    /// An instant.
    DateTime(Time),
    /// A length of time.
    Duration(Duration),
    /// As written.
    Path(String),
    /// Values of one type.
    List(Vec<ParamValue>),
}

/// Why a text or a JSON value is none of a type: what is wrong, after the input's name, and what to do. Both hold the value: of
/// a secret neither may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadValue {
    /// ``is not a date: `2026-13-01` at position 6``.
    pub what: String,
    /// `write YYYY-MM-DD, today or yesterday`.
    pub hint: String,
}

impl ParamType {
    /// The words of the types in project files.
    pub const WORDS: [&str; 10] =
        ["str", "int", "float", "bool", "date", "datetime", "duration", "path", "choice", "list"];

    /// Its word in project files.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let index = match self {
            Self::Str => 0,
            Self::Int => 1,
            Self::Float => 2,
            Self::Bool => 3,
            Self::Date => 4,
            Self::DateTime => 5,
            Self::Duration => 6,
            Self::Path => 7,
            Self::Choice(_) => 8,
            Self::List(_) => 9,
        };
        Self::WORDS[index]
    }

    /// What the items of a list are, else itself.
    #[must_use]
    pub fn item(&self) -> &Self {
        if let Self::List(kind) = self { kind } else { self }
    }

    /// With its article: `a date`, `one of a, b`.
    fn noun(&self) -> String {
        match self {
            Self::Str => "a text".to_owned(),
            Self::Int => "a whole number".to_owned(),
            Self::Float => "a number".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Date => "a date".to_owned(),
            Self::DateTime => "a date and time".to_owned(),
            Self::Duration => "a duration".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::List(_) => "a list".to_owned(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Str => "write a text".to_owned(),
            Self::Int => "write a whole number of at most 64 bits, as in 42".to_owned(),
            Self::Float => "write a number, as in 0.5".to_owned(),
            Self::Bool => "write true or false".to_owned(),
            Self::Date => "write YYYY-MM-DD, today or yesterday".to_owned(),
            Self::DateTime => "write YYYY-MM-DDTHH:MM, or now, today or yesterday".to_owned(),
            Self::Duration => "write seconds (90), or units with them (1h 30m)".to_owned(),
            Self::Path => "write a file or folder".to_owned(),
            Self::Choice(words) => match words.first() {
                Some(word) => format!("write one of them, as in {word}"),
                None => "there are none".to_owned(),
            },
            Self::List(_) => r#"write the items with commas between them, or a JSON list, as in ["a","b"]"#.to_owned(),
        }
    }

    fn bad(&self, text: &str, position: Option<usize>) -> BadValue {
        let at = position.map(|at| format!(" at position {at}")).unwrap_or_default();
        BadValue { what: format!("is not {}: {}{at}", self.noun(), shown(text)), hint: self.hint() }
    }

    /// What is said of a value that isn't shown as it is: without a position, which would be one of the value itself.
    #[must_use]
    pub fn bad_shown(&self, shown: &str) -> BadValue {
        self.bad(shown, None)
    }

    /// Reads a text, as a command line or a variable has it. A list is written with commas, or as JSON.
    ///
    /// # Errors
    /// When it is no such value.
    pub fn read(&self, text: &str) -> Result<ParamValue, BadValue> {
        let bad = |position: Option<usize>| self.bad(text, position);
        let no_number = |wrong| match wrong {
            NoNumber::At(position) => bad(Some(position)),
            NoNumber::TooLarge => BadValue { what: format!("is too large: {}", shown(text)), hint: self.hint() },
        };
        if let Some(at) = text.chars().position(|c| c == '\0') {
            let hint = "take it out: neither arguments nor variables can hold it".to_owned();
            return Err(BadValue { what: format!("holds a NUL character at position {}", at + 1), hint });
        }
        match self {
            Self::Str => Ok(ParamValue::Text(text.to_owned())),
            Self::Int => param_number::int(text).map(ParamValue::Int).map_err(no_number),
            Self::Float => param_number::float(text).map(ParamValue::Float).map_err(no_number),
            Self::Bool => match text.trim().to_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok(ParamValue::Bool(true)),
                "false" | "no" | "off" | "0" => Ok(ParamValue::Bool(false)),
                _ => Err(bad(None)),
            },
            Self::Date => param_time::day(text).map(ParamValue::Date).map_err(|at| bad(Some(at))),
            Self::DateTime => param_time::time(text).map(ParamValue::DateTime).map_err(|at| bad(Some(at))),
            Self::Duration => {
                parse_duration(text).map(ParamValue::Duration).map_err(|_| no_number(param_number::no_duration(text)))
            }
            Self::Path if text.is_empty() => Err(bad(None)),
            Self::Path => Ok(ParamValue::Path(text.to_owned())),
            Self::Choice(words) if words.iter().any(|word| word == text) => Ok(ParamValue::Text(text.to_owned())),
            Self::Choice(_) => Err(bad(None)),
            Self::List(_) if text.trim_start().starts_with('[') => match serde_json::from_str(text) {
                Ok(json) => self.read_json(&json),
                Err(error) => Err(bad(Some(position_of(&error, text)))),
            },
            Self::List(_) if text.trim().is_empty() => Ok(ParamValue::List(Vec::new())),
            Self::List(kind) => items(text.split(','), |item| kind.read(item.trim())),
        }
    }

    /// Reads JSON, as a project file has it, or a run that was resolved.
    ///
    /// # Errors
    /// When it is no such value.
    pub fn read_json(&self, json: &Json) -> Result<ParamValue, BadValue> {
        match (self, json) {
            (Self::List(kind), Json::Array(list)) => items(list, |item| kind.read_json(item)),
            // A comma in it would make two items.
            (Self::List(_), Json::String(_)) => Err(self.bad(&json.to_string(), None)),
            (_, Json::String(text)) => self.read(text),
            // In digits, as on a command line: `1e3` and `5.0` are none.
            (Self::Int, Json::Number(number)) => self.read(&number.to_string()),
            (Self::Float | Self::Duration, Json::Number(number)) => {
                let written = number.as_f64().map_or_else(|| number.to_string(), |number| format!("{number}"));
                self.read(&written)
            }
            (Self::Bool, Json::Bool(value)) => Ok(ParamValue::Bool(*value)),
            (_, other) => Err(self.bad(&other.to_string(), None)),
        }
    }
}

impl ParamValue {
    /// Plain JSON: dates as ISO 8601, durations in seconds, paths absolute from `root`. `now` is in the project's time zone.
    #[must_use]
    pub fn resolve(&self, root: &Path, now: &Zoned) -> Json {
        match self {
            Self::Text(text) => Json::from(text.as_str()),
            Self::Int(number) => Json::from(*number),
            Self::Float(number) => Json::from(*number),
            Self::Bool(value) => Json::from(*value),
            Self::Date(day) => Json::from(day.resolve(now).to_string()),
            Self::DateTime(time) => Json::from(time.resolve(now)),
            Self::Duration(time) if time.subsec_nanos() == 0 => Json::from(time.as_secs()),
            Self::Duration(time) => Json::from(time.as_secs_f64()),
            Self::Path(path) => Json::from(root.join(path).to_string_lossy()),
            Self::List(values) => values.iter().map(|value| value.resolve(root, now)).collect(),
        }
    }

    /// As one writes it: a default that is `today` stays that.
    #[must_use]
    pub fn written(&self) -> String {
        match self {
            Self::Text(text) | Self::Path(text) => text.clone(),
            Self::Date(day) => day.to_string(),
            Self::DateTime(time) => time.to_string(),
            // Not rounded, as reports do it.
            Self::Duration(time) => humantime::format_duration(*time).to_string(),
            Self::List(values) => {
                let items: Vec<String> = values.iter().map(Self::written).collect();
                let is_plain = |item: &String| !item.is_empty() && item.trim() == item && !item.contains([',', '[']);
                if items.iter().all(is_plain) { items.join(",") } else { Json::from(items).to_string() }
            }
            Self::Int(_) | Self::Float(_) | Self::Bool(_) => {
                value_text(&self.resolve(Path::new(""), &Zoned::default()))
            }
        }
    }
}

/// A resolved value as scripts get it: a text as it is, a number as a plain decimal, anything else as JSON.
#[must_use]
pub fn value_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Number(number) if number.is_f64() => {
            // Shells and many programs don't know exponents.
            let plain = number.as_f64().map(|number| format!("{number}")).unwrap_or_default();
            if plain.contains('.') { plain } else { format!("{plain}.0") }
        }
        Json::Array(items) => {
            let item = |item: &Json| if item.is_number() { value_text(item) } else { item.to_string() };
            format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(","))
        }
        _ => value.to_string(),
    }
}

/// A text on one line, as a person would type it; only to be read, never to be run by a shell.
#[must_use]
pub fn quoted_text(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./\\:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    // Paths keep their backslashes as they are, unless that could be taken for something else.
    let is_escaped = text.contains(|c: char| c == '"' || c.is_control());
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' if is_escaped => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.extend(c.escape_default()),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Each item, or what is wrong with the first that is wrong.
fn items<T>(
    items: impl IntoIterator<Item = T>,
    read: impl Fn(T) -> Result<ParamValue, BadValue>,
) -> Result<ParamValue, BadValue> {
    let read = items.into_iter().enumerate().map(|(index, item)| {
        read(item).map_err(|bad| BadValue { what: format!("has an item {} that {}", index + 1, bad.what), ..bad })
    });
    read.collect::<Result<_, _>>().map(ParamValue::List)
}

/// Where JSON stops being that, in characters from 1; its parser counts bytes of a line.
fn position_of(error: &serde_json::Error, text: &str) -> usize {
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = before + error.column().saturating_sub(1);
    text.char_indices().take_while(|(index, _)| *index < at).count() + 1
}

/// A value in a message: in backquotes, and not all of a long one.
fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let visible = |text: &str| text.replace(char::is_control, "\u{fffd}");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", visible(&text[..end])),
        None => format!("`{}`", visible(text)),
    }
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamSource {
    /// Nowhere: it has none.
    Unset,
    /// Its default.
    Default,
    /// The file that the declaration of a secret names.
    File,
    /// A variable.
    Environment,
    /// The run that this one follows.
    Run,
    /// Whoever started the run.
    Given,
}

/// An input of a run, as the run's events and reports have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunParam {
    /// Which.
    pub name: String,
    /// Its value; none of a secret, or if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// Where that came from.
    pub source: ParamSource,
    /// Whether it is a secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// Whether secrets were taken out of the value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub masked: bool,
    /// Whether the value is another than the default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub differs: bool,
}

impl RunParam {
    /// `region=us`, on one line; nothing after the sign if it has no value.
    #[must_use]
    pub fn told(&self) -> String {
        let shown = self.shown();
        let is_unset = shown.is_empty() && self.value.is_none();
        format!("{}={}", self.name, if is_unset { shown } else { quoted_text(&shown) })
    }

    /// The value as one reads it; `***` of a secret that is set, empty if there is none.
    #[must_use]
    pub fn shown(&self) -> String {
        match &self.value {
            Some(value) => value_text(value),
            None if self.secret && self.source != ParamSource::Unset => "***".to_owned(),
            None => String::new(),
        }
    }
}

//! Reads single values strictly; what is wrong goes into a list, so that everything is told at once.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::{did_you_mean, parse_duration, parse_size};

use super::node::{Node, Value, index_path, quoted};
use super::problem::{Problem, ProblemKind};

/// What was found so far.
#[derive(Default)]
pub(super) struct Checker {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// For each schedule what is to be said once it is over.
    pub(super) ends: Vec<Option<Problem>>,
}

const DURATION_HINT: &str = "write seconds (90) or a duration (\"90s\", \"1h 30m\")";

impl Checker {
    pub(super) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// A value that can't be taken.
    pub(super) fn invalid(&mut self, node: &Node, path: &str, message: impl std::fmt::Display, hint: Option<String>) {
        let problem = Problem::at(ProblemKind::InvalidValue, &node.origin, path, message);
        self.problems.push(problem.maybe_hint(hint));
    }

    /// A value of the wrong type.
    pub(super) fn mistyped(&mut self, node: &Node, path: &str, expected: &str, hint: Option<String>) {
        self.invalid(node, path, format!("expected {expected}, found {}", node.describe(false)), hint);
    }

    pub(super) fn text<'a>(&mut self, node: &'a Node, path: &str) -> Option<&'a str> {
        match &node.value {
            Value::Text(text) if text.contains('\0') => {
                self.invalid(node, path, "a text with a NUL character", None);
                None
            }
            Value::Text(text) => Some(text),
            value => {
                let hint = match value {
                    Value::Number(number) => Some(format!("write \"{number}\"")),
                    Value::Bool(value) => Some(format!("write \"{value}\"")),
                    _ => None,
                };
                self.mistyped(node, path, "a text", hint);
                None
            }
        }
    }

    /// A list of texts. `None` if a single item is wrong.
    pub(super) fn texts(&mut self, node: &Node, path: &str) -> Option<Vec<String>> {
        match &node.value {
            Value::List(items) => {
                let texts: Vec<Option<String>> = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.text(item, &index_path(path, index)).map(str::to_owned))
                    .collect();
                texts.into_iter().collect()
            }
            value => {
                let hint = match value {
                    Value::Text(text) => Some(format!("write {}", serde_json::json!([text]))),
                    _ => None,
                };
                self.mistyped(node, path, "a list of texts", hint);
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        if let Value::Bool(value) = &node.value {
            return Some(*value);
        }
        let meant = match &node.value {
            Value::Text(text) => match text.trim().to_lowercase().as_str() {
                "true" | "yes" | "on" | "1" | "oui" => Some(true),
                "false" | "no" | "off" | "0" | "non" => Some(false),
                _ => None,
            },
            Value::Number(number) => number.as_u64().filter(|n| *n < 2).map(|n| n == 1),
            _ => None,
        };
        let hint = match meant {
            Some(value) => format!("write {value}, without quotes"),
            None => "write true or false, without quotes".to_owned(),
        };
        self.mistyped(node, path, "true or false", Some(hint));
        None
    }

    /// A whole number that fits 32 unsigned bits.
    pub(super) fn whole(&mut self, node: &Node, path: &str) -> Option<u32> {
        self.whole_within(node, path, 0..=u32::MAX)
    }

    /// A whole number of a range.
    pub(super) fn whole_within(&mut self, node: &Node, path: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let within = |value: u32| range.contains(&value).then_some(value);
        if let Value::Number(number) = &node.value
            && let Some(value) = number.as_u64().and_then(|value| u32::try_from(value).ok()).and_then(within)
        {
            return Some(value);
        }
        let hint = match &node.value {
            Value::Text(text) => {
                text.trim().parse().ok().and_then(within).map(|value| format!("write {value}, without quotes"))
            }
            Value::Number(number) => number
                .as_f64()
                .filter(|value| value.fract() == 0.0 && *value >= f64::from(*range.start()))
                .filter(|value| *value <= f64::from(*range.end()))
                .map(|value| format!("write {value:.0}")),
            _ => None,
        };
        self.mistyped(node, path, &format!("a whole number from {} to {}", range.start(), range.end()), hint);
        None
    }

    /// A duration: seconds as a number, or a text with units.
    pub(super) fn duration(&mut self, node: &Node, path: &str) -> Option<Duration> {
        let text = match &node.value {
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            _ => {
                self.mistyped(node, path, "a duration", Some(DURATION_HINT.to_owned()));
                return None;
            }
        };
        // `1e3` is a number of JSON, but no duration as people write them.
        let parsed = match &node.value {
            Value::Number(number) => number.as_f64().and_then(|seconds| parse_duration(&format!("{seconds}")).ok()),
            _ => parse_duration(&text).ok(),
        };
        if parsed.is_none() {
            self.invalid(node, path, format!("{} is not a duration", quoted(&text)), Some(DURATION_HINT.to_owned()));
        }
        parsed
    }

    /// A size in bytes, as a number or a text with a unit.
    pub(super) fn size(&mut self, node: &Node, path: &str) -> Option<u64> {
        const HINT: &str = "write a size, as in \"1MiB\", or a number of bytes";
        let size = match &node.value {
            Value::Number(number) => number.as_u64(),
            Value::Text(text) => parse_size(text).ok(),
            _ => None,
        };
        if size.is_none() {
            self.invalid(node, path, format!("expected a size, found {}", node.describe(false)), Some(HINT.to_owned()));
        }
        size
    }

    /// One of a few words, in any case.
    pub(super) fn word<T: Copy>(&mut self, node: &Node, path: &str, words: &[(&str, T)]) -> Option<T> {
        let names = || words.iter().map(|(name, _)| *name);
        let list = || names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let Value::Text(text) = &node.value else {
            self.mistyped(node, path, &format!("one of {}", list()), None);
            return None;
        };
        let lower = text.to_lowercase();
        let found = words.iter().find(|(name, _)| *name == lower).map(|(_, value)| *value);
        if found.is_none() {
            let hint = did_you_mean(&lower, names()).map(|name| format!("did you mean `{name}`?"));
            let message = format!("{} is not one of {}", quoted(text), list());
            self.invalid(node, path, message, hint);
        }
        found
    }
}

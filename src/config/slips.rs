//! Broken JSON, explained: the common slips of the pen are named, with what to write instead. Pure.

use std::sync::Arc;

use super::problem::{Problem, ProblemKind};
use super::source::{Origin, Source, floor_char_boundary};

/// What to make of a text that is no JSON.
pub(super) fn explain(source: &Arc<Source>, error: &serde_json::Error) -> Problem {
    let text: &str = &source.text;
    // A text of nothing but blanks is wrong from its beginning.
    let offset = if text.trim().is_empty() { 0 } else { byte_offset(text, error.line(), error.column()) };
    let end = text.get(offset..).and_then(|rest| rest.chars().next()).map_or(offset, |c| offset + c.len_utf8());
    let origin = Origin { source: Arc::clone(source), span: offset..end };
    let (message, hint) = message_and_hint(text, offset, error);
    Problem::at(ProblemKind::Syntax, &origin, "", message).maybe_hint(hint)
}

/// The byte that a place of serde_json's means; its columns count bytes.
fn byte_offset(text: &str, line: usize, column: usize) -> usize {
    let start = match line {
        0 | 1 => 0,
        line => text.match_indices('\n').nth(line - 2).map_or(text.len(), |(index, _)| index + 1),
    };
    // Column 0 is the end of the line before.
    floor_char_boundary(text, (start + column).saturating_sub(1))
}

const SINGLE_QUOTES: &str = "JSON wants double quotes, as in \"main.py\"";
const COMMENT: &str = "JSON has no comments; remove it";
const BACKSLASH: &str = "write each backslash twice (`\\\\`), or use `/`, which works on Windows too";

fn message_and_hint(text: &str, offset: usize, error: &serde_json::Error) -> (String, Option<String>) {
    let hint = |text: &str| Some(text.to_owned());
    let rest = text.get(offset..).unwrap_or_default();
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    if text.trim().is_empty() {
        return ("is empty".to_owned(), hint("an example: {\"scripts\": [\"main.py\"], …}"));
    }
    if said.contains("recursion limit") {
        return ("is nested too deeply".to_owned(), hint("a project file needs no more than a few levels"));
    }
    if said.contains("escape") || said.contains("surrogate") || said.contains("unicode code point") {
        return ("an invalid `\\` in a string".to_owned(), hint(BACKSLASH));
    }
    if said.contains("control character") {
        let newline = rest.starts_with(['\n', '\r']) || rest.is_empty();
        return if newline {
            ("a string that doesn't end on its line".to_owned(), hint("a closing `\"` is missing"))
        } else {
            ("a control character in a string".to_owned(), hint("write a tab as `\\t`"))
        };
    }
    if said.contains("number out of range") {
        let what = "write it as a text, in double quotes; no number is larger than about 1.8e308";
        return ("a number that is too large".to_owned(), hint(what));
    }
    if error.is_eof() {
        return if inside_string(text) {
            ("ends inside a string".to_owned(), hint("a closing `\"` is missing"))
        } else {
            ("ends too early".to_owned(), hint("a closing `}` or `]` is missing"))
        };
    }
    if said.contains("trailing comma") {
        return ("a comma before the closing bracket".to_owned(), hint("remove the comma after the last item"));
    }
    if rest.starts_with("//") || rest.starts_with("/*") || rest.starts_with('#') {
        return ("a comment".to_owned(), hint(COMMENT));
    }
    if rest.starts_with('\'') {
        return ("a single quote".to_owned(), hint(SINGLE_QUOTES));
    }
    if rest.starts_with(['“', '”', '„', '«']) {
        return ("a typographic quote".to_owned(), hint("use plain double quotes: \""));
    }
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')).collect();
    match word.as_str() {
        "True" | "TRUE" => return ("`True` isn't JSON".to_owned(), hint("write true")),
        "False" | "FALSE" => return ("`False` isn't JSON".to_owned(), hint("write false")),
        "None" | "NULL" | "Null" => return (format!("`{word}` isn't JSON"), hint("write null, or leave the key out")),
        _ => {}
    }
    if said.contains("number") {
        return ("not a number as JSON writes them".to_owned(), hint("as in 4, 0.5 or -1, without leading zeros"));
    }
    if said.contains("expected `,`") || said.contains("expected `:`") {
        let sign = if said.contains("expected `:`") { ':' } else { ',' };
        let after_backslash = text.get(..offset).is_some_and(|before| before.ends_with("\\\""));
        let advice = if after_backslash { BACKSLASH.to_owned() } else { format!("a `{sign}` is missing before it") };
        let found = rest.chars().next().map_or_else(String::new, |c| format!(", found `{c}`"));
        return (format!("{}{found}", said.replace(" or ", ", or ")), Some(advice));
    }
    if said.contains("trailing characters") {
        return ("text after the end of the JSON".to_owned(), hint("remove what follows the last `}`"));
    }
    if said.contains("key must be a string") {
        return ("a key without quotes".to_owned(), hint("JSON wants double quotes, as in \"scripts\": […]"));
    }
    if said.contains("expected value") && !word.is_empty() {
        return (format!("`{word}` without quotes"), hint("texts stand in double quotes"));
    }
    (said.to_owned(), None)
}

/// Whether the text ends within a string.
fn inside_string(text: &str) -> bool {
    let mut inside = false;
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ => {}
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slip(text: &str) -> String {
        let source = Source::file("x.json".into(), Arc::from(text));
        let error = serde_json::from_str::<serde_json::Value>(text).unwrap_err();
        explain(&source, &error).plain()
    }

    #[test]
    fn common_slips_are_named() {
        let cases = [
            ("", "x.json:1:1: is empty; an example: {\"scripts\": [\"main.py\"], …}"),
            ("{\"a\": 1,\n}", "x.json:2:1: a comma before the closing bracket; remove the comma after the last item"),
            ("[1,]", "x.json:1:4: a comma before the closing bracket; remove the comma after the last item"),
            ("{\n  'a': 1}", "x.json:2:3: a single quote; JSON wants double quotes, as in \"main.py\""),
            ("{\"a\": 'x'}", "x.json:1:7: a single quote; JSON wants double quotes, as in \"main.py\""),
            ("{\"a\": True}", "x.json:1:7: `True` isn't JSON; write true"),
            ("{\"a\": None}", "x.json:1:7: `None` isn't JSON; write null, or leave the key out"),
            ("{\"a\": 1 // x\n}", "x.json:1:9: a comment; JSON has no comments; remove it"),
            ("# x\n{}", "x.json:1:1: a comment; JSON has no comments; remove it"),
            (
                "{\"a\": \"C:\\Users\"}",
                "x.json:1:11: an invalid `\\` in a string; write each backslash twice (`\\\\`), or use `/`, which works \
                 on Windows too",
            ),
            ("{\"a\": 1\n \"b\": 2}", "x.json:2:2: expected `,`, or `}`, found `\"`; a `,` is missing before it"),
            ("{\"a\" 1}", "x.json:1:6: expected `:`, found `1`; a `:` is missing before it"),
            ("{a: 1}", "x.json:1:2: a key without quotes; JSON wants double quotes, as in \"scripts\": […]"),
            ("{\"a\": main.py}", "x.json:1:7: `main.py` without quotes; texts stand in double quotes"),
            ("{\"a\": \"x\n}", "x.json:1:9: a string that doesn't end on its line; a closing `\"` is missing"),
            ("{\"a\": [1", "x.json:1:8: ends too early; a closing `}` or `]` is missing"),
            ("{} x", "x.json:1:4: text after the end of the JSON; remove what follows the last `}`"),
            ("{\"a\": 007}", "x.json:1:8: not a number as JSON writes them; as in 4, 0.5 or -1, without leading zeros"),
        ];
        for (text, expected) in cases {
            assert_eq!(slip(text), expected, "{text}");
        }
        assert!(slip(&"[".repeat(10_000_000)).contains("is nested too deeply"));
    }
}

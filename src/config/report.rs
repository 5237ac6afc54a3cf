//! Problems as a terminal shows them: with the JSON, and the place underlined. Pure.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, Severity,
    SourceCode, SourceSpan, SpanContents, ThemeCharacters, ThemeStyles,
};

use super::env_vars::looks_secret;
use super::keys::ADDRESS_KEYS;
use super::problem::{Excerpt, Problem, ProblemKind, escape_controls};
use super::source::Span;

/// Larger texts are not shown: they are no project files that people write.
const LARGEST_SHOWN: usize = 1024 * 1024;
/// Longer lines (in bytes) are not shown: no terminal would be clearer for them.
const LONGEST_LINE: usize = 1000;

impl Problem {
    /// The problem with the lines around it, its place underlined, wrapped to `width` columns. Values of variables
    /// whose names suggest a secret are masked, control characters are replaced. Ends with a newline.
    #[must_use]
    pub fn fancy(&self, colour: bool, width: usize) -> String {
        let window = self.excerpt.as_deref().and_then(|excerpt| Window::new(self, excerpt));
        let theme = GraphicalTheme {
            characters: ThemeCharacters::unicode(),
            styles: if colour { ThemeStyles::ansi() } else { ThemeStyles::none() },
        };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width.max(20)).with_links(false);
        let mut out = String::new();
        match handler.render_report(&mut out, &Report { problem: self, window }) {
            Ok(()) => out,
            Err(fmt::Error) => format!("{self}\n"),
        }
    }
}

/// The lines around a problem.
#[derive(Debug)]
struct Window {
    /// The file's name.
    name: String,
    text: String,
    /// How many lines stand before it in the file.
    lines_before: usize,
    /// The place within `text`.
    span: SourceSpan,
}

impl Window {
    fn new(problem: &Problem, excerpt: &Excerpt) -> Option<Self> {
        const CONTEXT: usize = 2;
        if excerpt.text.len() > LARGEST_SHOWN || problem.line == 0 {
            return None;
        }
        let text = masked(&excerpt.text);
        let lines_before = (problem.line - 1).saturating_sub(CONTEXT);
        let starts: Vec<usize> =
            std::iter::once(0).chain(text.match_indices('\n').map(|(index, _)| index + 1)).collect();
        let begin = *starts.get(lines_before)?;
        let end = starts.get(problem.line + CONTEXT).map_or(text.len(), |next| next - 1);
        let shown = text.get(begin..end)?;
        if shown.lines().any(|line| line.len() > LONGEST_LINE) {
            return None;
        }
        // A value of many lines is underlined where it begins.
        let start = excerpt.span.start.clamp(begin, end);
        let line_end = text.get(start..end)?.find(['\n', '\r']).map_or(end, |length| start + length);
        let length = excerpt.span.end.clamp(start, line_end.max(start)) - start;
        Some(Self {
            name: escape_controls(&problem.file.display().to_string()),
            text: shown.to_owned(),
            lines_before,
            span: SourceSpan::from((start - begin, length)),
        })
    }
}

impl SourceCode for Window {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.text.read_span(span, before, after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            inner.data(),
            *inner.span(),
            inner.line() + self.lines_before,
            inner.column(),
            inner.line_count(),
        )))
    }
}

#[derive(Debug)]
struct Report<'a> {
    problem: &'a Problem,
    window: Option<Window>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = self.problem;
        if self.window.is_some() {
            let path = if problem.json_path.is_empty() { String::new() } else { format!("{}: ", problem.json_path) };
            return f.write_str(&escape_controls(&format!("{path}{}", problem.message)));
        }
        f.write_str(&Problem { hint: None, excerpt: None, ..problem.clone() }.plain())
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(match self.problem.kind {
            ProblemKind::UnknownKey | ProblemKind::DuplicateKey | ProblemKind::Suspicious | ProblemKind::Exposed => {
                Severity::Warning
            }
            _ => Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.hint.as_deref().map(|hint| Box::new(escape_controls(hint)) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.window.as_ref().map(|window| window as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let window = self.window.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, window.span))))
    }
}

/// The text with secrets and control characters replaced, byte for byte, so that places stay.
fn masked(text: &str) -> String {
    let mut secrets = secret_values(text).into_iter().peekable();
    let mut out = String::with_capacity(text.len());
    for (index, c) in text.char_indices() {
        while secrets.next_if(|secret| secret.end <= index).is_some() {}
        let secret = secrets.peek().is_some_and(|secret| secret.contains(&index));
        let line_end = c == '\n' || (c == '\r' && text.as_bytes().get(index + 1) == Some(&b'\n'));
        match c {
            c if line_end || c == '\t' => out.push(c),
            c if c.is_control() => out.extend(std::iter::repeat_n('?', c.len_utf8())),
            c if secret => out.extend(std::iter::repeat_n('*', c.len_utf8())),
            c => out.push(c),
        }
    }
    out
}

/// Where the values stand that follow a secret's name and a colon. The text need not be JSON: it may be what is wrong.
fn secret_values(text: &str) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut index = 0;
    while let Some(start) = text.get(index..).and_then(|rest| rest.find(['"', '\''])).map(|length| index + length) {
        let end = string_end(bytes, start);
        index = end + 1;
        let name = text.get(start + 1..end).unwrap_or_default();
        let rest = text.get(index..).unwrap_or_default();
        let Some(value) = rest.trim_start().strip_prefix(':').map(str::trim_start) else { continue };
        let is_address = ADDRESS_KEYS.contains(&name);
        if !is_address && !looks_secret(name) {
            continue;
        }
        let begin = text.len() - value.len();
        let (first, last) = match value.bytes().next() {
            Some(b'"' | b'\'') => {
                let end = string_end(bytes, begin);
                let shown = if is_address { shown_length(text.get(begin + 1..end).unwrap_or_default()) } else { 0 };
                (begin + 1 + shown, end)
            }
            _ if is_address => continue,
            Some(b'{' | b'[') => (begin, begin + value.find('\n').unwrap_or(value.len())),
            _ => (begin, begin + value.find([',', '}', ']', '\n']).unwrap_or(value.len())),
        };
        found.push(first..last);
        index = last;
        if matches!(bytes.get(last), Some(b'"' | b'\'')) {
            index += 1;
        }
    }
    found
}

/// How much of a web address is shown: up to its host. It need not be one.
fn shown_length(address: &str) -> usize {
    let host = address.find("://").map_or(0, |index| index + 3);
    let rest = address.get(host..).unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // What stands before an `@` is a name and a password.
    if rest.get(..end).is_some_and(|authority| authority.contains('@')) { host } else { host + end }
}

/// The byte after the last of the string that begins at `start`, without its closing quote; a string ends with its line.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let quote = bytes.get(start).copied();
    let mut index = start + 1;
    while let Some(byte) = bytes.get(index) {
        match byte {
            b'\\' => index += 1,
            b'\n' => return index,
            byte if Some(*byte) == quote => return index,
            _ => {}
        }
        index += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::source::{Origin, Source};
    use super::*;

    fn problem(text: &str, wrong: &str) -> Problem {
        let start = text.find(wrong).unwrap();
        let source = Source::file("p/exec_config.json".into(), Arc::from(text));
        let origin = Origin { source, span: start..start + wrong.len() };
        Problem::at(ProblemKind::InvalidValue, &origin, "timeout", "`soon` is not a duration").hint("write seconds")
    }

    #[test]
    fn the_place_is_underlined() {
        let text = "{\n  \"scripts\": [],\n  \"a\": 1,\n  \"timeout\": \"soon\",\n  \"PASSWORD\": \"hunter2\"\n}\n";
        let shown = problem(text, "\"soon\"").fancy(false, 80);
        let expected = [
            " × timeout: `soon` is not a duration",
            "  ╭─[p/exec_config.json:4:14]",
            "3 │   \"a\": 1,",
            "4 │   \"timeout\": \"soon\",",
            "  ·              ──────",
            "5 │   \"PASSWORD\": \"*******\"",
            "  ╰────",
            " help: write seconds",
        ];
        let lines: Vec<&str> = shown.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        assert_eq!(lines.iter().map(|line| line.trim()).collect::<Vec<_>>(), expected.map(str::trim));
        assert!(problem(text, "\"soon\"").fancy(true, 80).contains("\u{1b}["));
    }

    #[test]
    fn secrets_and_control_characters_are_never_shown() {
        for (text, expected) in [
            (r#"{"PASSWORD": "a\"b", "x": "y"}"#, r#"{"PASSWORD": "****", "x": "y"}"#),
            (r#"{"token" :{"a": "b"}}"#, r#"{"token" :***********"#),
            ("{'PASSWORD': 'é'\n", "{'PASSWORD': '**'\n"),
            ("{\"PASSWORD\": hunter2, \"x\": 1", "{\"PASSWORD\": *******, \"x\": 1"),
            ("{\"PASSWORD\": \"hunter2\n}", "{\"PASSWORD\": \"*******\n}"),
            (r#""url": "https://a.b/hooks/x?y", "x": 1"#, r#""url": "https://a.b**********", "x": 1"#),
            (r#""start": "https://u:p@a.b/x","#, r#""start": "https://*********","#),
            (r#""success": "a.b/x", "failure": 3}"#, r#""success": "a.b**", "failure": 3}"#),
            ("\u{1b}[2J\r\n\u{9b}\t", "?[2J\r\n??\t"),
        ] {
            let shown = masked(text);
            assert_eq!(shown.len(), text.len());
            assert!(shown.starts_with(expected), "{shown}");
        }
    }

    #[test]
    fn what_cannot_be_shown_is_told_in_words() {
        let long = format!("{{\"a\": \"{}\", \"b\": \"soon\"}}", "x".repeat(5000));
        let shown = problem(&long, "\"soon\"").fancy(false, 200);
        assert!(shown.contains("p/exec_config.json:1:5016: timeout: `soon` is not a duration"), "{shown}");
        assert!(shown.contains("write seconds") && !shown.contains("xxx"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_text_and_place_can_be_shown(text in "(\"[A-Z]{1,8}\"|PASSWORD|KEY|[\"'{}:, \\\\\n\r\té\u{1b}]){1,40}", at in 0usize..60, length in 0usize..60) {
            let mut start = at.min(text.len());
            while !text.is_char_boundary(start) { start -= 1; }
            let source = Source::file("x".into(), Arc::from(text.as_str()));
            let origin = Origin { source, span: start..start + length };
            let shown = Problem::at(ProblemKind::Syntax, &origin, "", "wrong").fancy(false, 80);
            let harmless = shown.contains("wrong") && !shown.contains('\u{1b}');
            prop_assert!(harmless);
            prop_assert_eq!(masked(&text).len(), text.len());
        }
    }
}

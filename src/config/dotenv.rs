//! `.env` files, read into a map and never into the process. No value of theirs appears in any message.
//!
//! The format is dotenvy's: `NAME=value`, in single quotes literally, else with `$NAME` and `${NAME}` replaced by
//! variables of the process or by earlier lines. A name that stands twice has its last value.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use secrecy::SecretString;

use super::env_vars::looks_secret;
use super::os::everyone_may_read;
use super::parse::{decode, read_bytes};
use super::problem::{Problem, ProblemKind};

/// A `.env` file's variables, and what is wrong with it.
#[derive(Default)]
pub(super) struct Dotenv {
    pub(super) values: BTreeMap<String, SecretString>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// The first variable whose name tells of a secret, and its line.
    secret: Option<(String, usize)>,
}

/// Reads a file. Lines that are wrong are problems; the others are read all the same.
pub(super) fn read(file: &Path) -> Dotenv {
    let text = read_bytes(file).and_then(|bytes| decode(file, &bytes).map(str::to_owned));
    match text {
        Ok(text) => parse(file, text),
        Err(problem) => Dotenv { problems: vec![*problem], ..Dotenv::default() },
    }
}

/// What is to be said of a file with secrets in it that everybody may read.
pub(super) fn exposed(file: &Path, dotenv: &Dotenv) -> Option<Problem> {
    let (name, line) = dotenv.secret.as_ref().filter(|_| everyone_may_read(file))?;
    let message = format!("every account of this machine may read the file, and {name} is in it");
    let hint = format!("chmod 600 {}", file.display());
    Some(Problem::of_file(ProblemKind::Exposed, file, message).at_line(*line).hint(hint))
}

fn parse(file: &Path, mut text: String) -> Dotenv {
    // dotenvy takes a blank at the very end for a value that isn't finished.
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut dotenv = Dotenv::default();
    let mut names = BTreeSet::new();
    let consumed = Rc::new(Cell::new(Consumed::default()));
    let reader = LineByLine { text: text.as_bytes(), consumed: Rc::clone(&consumed) };
    let mut items = dotenvy::from_read_iter(reader);
    loop {
        let before = consumed.get();
        let Some(item) = items.next() else { break };
        let after = consumed.get();
        match item {
            Ok((name, value)) if value.contains('\0') => {
                let message = format!("the value of {name} contains a NUL byte, which no program can be given");
                dotenv.problems.push(Problem::of_file(ProblemKind::InvalidValue, file, message).at_line(after.lines));
            }
            Ok((name, value)) => {
                let raw = text.get(before.bytes..after.bytes).unwrap_or_default();
                if has_unknown_substitution(raw, &name, &names) {
                    let message = format!("the value of {name} holds a `$` that names no variable, and so vanishes");
                    dotenv.warnings.push(
                        Problem::of_file(ProblemKind::Suspicious, file, message)
                            .at_line(after.lines)
                            .hint("to keep a `$` as it is, put the value in single quotes"),
                    );
                }
                if dotenv.secret.is_none() && looks_secret(&name) && !value.is_empty() {
                    dotenv.secret = Some((name.clone(), after.lines));
                }
                names.insert(name.clone());
                dotenv.values.insert(name, SecretString::from(value));
            }
            Err(dotenvy::Error::LineParse(line, _)) => {
                let spanned = line.trim_end_matches('\n').matches('\n').count();
                let first = after.lines.saturating_sub(spanned).max(1);
                let hint = if line.contains("\\'") {
                    "a backslash before a quote takes its meaning away, in single quotes too; put such a value in double \
                     quotes, with each backslash written twice"
                } else if spanned > 0 {
                    "a closing quote is missing; a value with a quote in it goes between quotes of the other kind"
                } else {
                    "write NAME=value; put a value with blanks, backslashes, quotes or `#` in single quotes"
                };
                let message = "not a line of a .env file";
                let problem = Problem::of_file(ProblemKind::Syntax, file, message);
                dotenv.problems.push(problem.at_line(first).hint(hint));
            }
            // Neither is met: the text is UTF-8 in memory, and variables of the process aren't asked for by name.
            Err(error) => {
                let message = if error.not_found() { "is not found" } else { "cannot be read" };
                dotenv.problems.push(Problem::of_file(ProblemKind::Unreadable, file, message));
                break;
            }
        }
    }
    dotenv
}

/// A `$name` outside single quotes that stands for nothing. dotenvy replaces it by nothing, which would silently
/// mutilate a password.
fn has_unknown_substitution(raw: &str, name: &str, earlier: &BTreeSet<String>) -> bool {
    let line = raw.rfind(&format!("{name}=")).or_else(|| raw.rfind(name)).and_then(|start| raw.get(start..));
    let Some((_, value)) = line.and_then(|line| line.split_once('=')) else { return false };
    let mut strong = false;
    let mut weak = false;
    let mut chars = value.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '\'' if !weak => strong = !strong,
            '"' if !strong => weak = !weak,
            '\\' if !strong => {
                chars.next();
            }
            '#' if !strong && !weak && value.get(..index).is_some_and(|before| before.ends_with([' ', '\t'])) => break,
            '$' if !strong => {
                let rest = value.get(index + 1..).unwrap_or_default();
                let wanted: String = match rest.strip_prefix('{') {
                    Some(braced) => braced.chars().take_while(|c| *c != '}').collect(),
                    None => rest.chars().take_while(|c| c.is_alphanumeric()).collect(),
                };
                if !earlier.contains(&wanted) && (wanted.is_empty() || std::env::var_os(&wanted).is_none()) {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

#[derive(Clone, Copy, Default)]
struct Consumed {
    lines: usize,
    bytes: usize,
}

/// Hands out a line at a time, and counts them: dotenvy's errors don't say where they are.
struct LineByLine<'a> {
    text: &'a [u8],
    consumed: Rc<Cell<Consumed>>,
}

impl Read for LineByLine<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut consumed = self.consumed.get();
        let rest = self.text.get(consumed.bytes..).unwrap_or_default();
        let line = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |index| index + 1);
        let count = line.min(buffer.len());
        if let (Some(from), Some(to)) = (rest.get(..count), buffer.get_mut(..count)) {
            to.copy_from_slice(from);
        }
        consumed.bytes += count;
        consumed.lines += usize::from(count == line && count > 0);
        self.consumed.set(consumed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn read_text(text: &str) -> Dotenv {
        parse(Path::new(".env"), text.to_owned())
    }

    fn value(dotenv: &Dotenv, name: &str) -> Option<String> {
        dotenv.values.get(name).map(|value| value.expose_secret().to_owned())
    }

    #[test]
    fn the_usual_forms_are_read() {
        let dotenv = read_text(
            "# comment\r\nLOGIN_MAIL=a@b.c\r\nexport X = 'a $b \\c # d'  # e\nEMPTY=\nQ=\"a\\nb\"\nX2=${LOGIN_MAIL}!\nA=1\nA=2\nLAST=x ",
        );
        assert!(dotenv.problems.is_empty() && dotenv.warnings.is_empty(), "{:?}", dotenv.problems);
        for (name, expected) in [
            ("LOGIN_MAIL", "a@b.c"),
            ("X", "a $b \\c # d"),
            ("EMPTY", ""),
            ("Q", "a\nb"),
            ("X2", "a@b.c!"),
            ("A", "2"),
            ("LAST", "x"),
        ] {
            assert_eq!(value(&dotenv, name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn wrong_lines_are_named_without_their_values() {
        let dotenv = read_text("\n# x\nA=1\nPASSWORD=hunter2 hunter2\nB=2\n1C=hunter2\nD=\"hunter2\nE=1\n");
        assert_eq!(value(&dotenv, "B").as_deref(), Some("2"));
        let lines: Vec<usize> = dotenv.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [4, 6, 7]);
        let shown: String = dotenv.problems.iter().map(Problem::plain).collect();
        assert!(shown.starts_with(".env:4:1: not a line of a .env file; "), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_backslash_before_the_closing_quote_is_named() {
        let dotenv = read_text("A='x\\'\n");
        assert!(dotenv.problems[0].plain().contains("each backslash written twice"), "{:?}", dotenv.problems);
        assert_eq!(value(&read_text("A=\"x\\\\\""), "A").as_deref(), Some("x\\"));
    }

    #[test]
    fn a_dollar_that_would_vanish_is_warned_of() {
        for (text, warned) in [
            ("P=pa$wordofmine", true),
            ("P=\"pa${wordofmine}\"", true),
            ("P=pa$", true),
            ("P='pa$word'", false),
            ("P=pa\\$word", false),
            ("A=1\nP=${A}", false),
            ("# $x\nP=1", false),
        ] {
            let dotenv = read_text(text);
            assert_eq!(!dotenv.warnings.is_empty(), warned, "{text}");
            assert!(dotenv.warnings.iter().all(|warning| !warning.plain().contains("wordofmine")), "{text}");
        }
    }

    proptest! {
        #[test]
        fn fuzz_dotenv_lines(text in "([A-Z]{1,3}|[=$'\"\\\\#{} \n\r\té]){0,40}") {
            let _ = read_text(&text);
        }
    }
}

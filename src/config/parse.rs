//! From a file's bytes to values with places. The text has to be strict JSON; what isn't is explained.

use std::path::Path;
use std::sync::Arc;

use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, ParseOptions, ast};

use super::env_vars::looks_secret;
use super::node::{Entry, Node, Table, Value, index_path, key_path};
use super::problem::{Problem, ProblemKind};
use super::slips;
use super::source::{Origin, Source};

/// The largest file that is read, in bytes: far more than any list of scripts needs.
pub(super) const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// A file's top-level object, and what was noticed while reading it.
pub(super) struct Parsed {
    pub(super) table: Table,
    pub(super) origin: Origin,
    pub(super) warnings: Vec<Problem>,
}

/// Reads a configuration file.
///
/// # Errors
/// When it can't be read, isn't UTF-8, isn't JSON, or isn't an object.
pub(super) fn read(file: &Path) -> Result<Parsed, Box<Problem>> {
    let bytes = read_bytes(file)?;
    let text = decode(file, &bytes)?;
    parse(file, text)
}

/// Reads a file that may not be larger than [`LARGEST_FILE`].
pub(super) fn read_bytes(file: &Path) -> Result<Vec<u8>, Box<Problem>> {
    let unreadable = |error: std::io::Error| {
        Box::new(Problem::of_file(ProblemKind::Unreadable, file, format!("cannot read the file: {error}")))
    };
    let metadata = std::fs::metadata(file).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Problem::of_file(ProblemKind::Unreadable, file, "is a folder, not a file")
            .hint("rename the folder, and write the configuration into a file of this name")
            .into());
    }
    if !metadata.is_file() {
        return Err(Problem::of_file(ProblemKind::Unreadable, file, "is not a regular file").into());
    }
    if metadata.len() > LARGEST_FILE {
        let size = crate::model::format_size(metadata.len());
        return Err(Problem::of_file(ProblemKind::Unreadable, file, format!("is too large: {size}"))
            .hint("a configuration file may have 16 MiB")
            .into());
    }
    std::fs::read(file).map_err(unreadable)
}

/// Takes UTF-8, with or without a byte order mark; anything else is named.
pub(super) fn decode<'a>(file: &Path, bytes: &'a [u8]) -> Result<&'a str, Box<Problem>> {
    let utf16 = bytes.starts_with(&[0xFF, 0xFE])
        || bytes.starts_with(&[0xFE, 0xFF])
        || matches!(bytes, [0, second, ..] if *second != 0)
        || matches!(bytes, [first, 0, ..] if *first != 0);
    if utf16 {
        return Err(Problem::of_file(ProblemKind::Unreadable, file, "is UTF-16")
            .hint("save it as UTF-8")
            .at_line(1)
            .into());
    }
    let bytes = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let byte = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        Problem::of_file(ProblemKind::Unreadable, file, format!("is not UTF-8: byte 0x{byte:02X}"))
            .hint("save it as UTF-8; it may be in an older encoding such as Windows-1252")
            .at_line(line)
            .into()
    })
}

/// Reads the text of a configuration file.
///
/// # Errors
/// When it is no JSON, or no object.
pub(super) fn parse(file: &Path, text: &str) -> Result<Parsed, Box<Problem>> {
    let source = Source::file(file.to_path_buf(), Arc::from(text));
    // serde_json decides what JSON is (its depth limit also stops brackets without end); the second parser only adds
    // the places.
    let check = serde_json::from_str::<serde_json::Value>(text);
    if let Err(error) = check {
        return Err(slips::explain(&source, &error).into());
    }
    let (node, warnings) = with_places(&source, text, "")?;
    match node.value {
        Value::Table(table) => Ok(Parsed { table, origin: node.origin, warnings }),
        _ => Err(Problem::at(
            ProblemKind::InvalidValue,
            &node.origin,
            "",
            format!("expected an object, found {}", node.describe(false)),
        )
        .hint("the file begins with `{` and ends with `}`")
        .into()),
    }
}

/// Reads the JSON of a variable for this key, which is known to be JSON and has one place as a whole; and what was noticed.
///
/// # Errors
/// Not where both parsers agree on what JSON is.
pub(super) fn of_variable(source: &Arc<Source>, key: &str, text: &str) -> Result<(Node, Vec<Problem>), Box<Problem>> {
    with_places(source, text, key)
}

fn with_places(source: &Arc<Source>, text: &str, path: &str) -> Result<(Node, Vec<Problem>), Box<Problem>> {
    let options = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let not_json = |message: String| {
        let start = Origin { source: Arc::clone(source), span: 0..0 };
        Box::new(Problem::at(ProblemKind::Syntax, &start, path, message))
    };
    let parsed = jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &options)
        .map_err(|error| not_json(error.to_string().to_lowercase()))?;
    let Some(value) = parsed.value else { return Err(not_json("is empty".to_owned())) };
    let mut builder = Builder { source, warnings: Vec::new() };
    let node = builder.node(&value, path);
    Ok((node, builder.warnings))
}

/// Whether two JSON numbers are the same, however they are written.
fn is_same_number(a: &str, b: &str) -> bool {
    fn parts(text: &str) -> Option<(bool, String, i64)> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
        let digits = digits.trim_start_matches('0');
        let significant = digits.trim_end_matches('0');
        let shift = i64::try_from(digits.len() - significant.len()).ok()? - i64::try_from(fraction.len()).ok()?;
        let exponent = exponent.parse::<i64>().ok()?.checked_add(shift)?;
        let is_zero = significant.is_empty();
        Some((text.starts_with('-') && !is_zero, significant.to_owned(), if is_zero { 0 } else { exponent }))
    }
    parts(a) == parts(b)
}

/// The one name, in here, of keys that have two.
pub(super) const SYNONYMS: [(&str, &str); 1] = [("interpreter", "python_command")];

struct Builder<'a> {
    source: &'a Arc<Source>,
    warnings: Vec<Problem>,
}

impl Builder<'_> {
    fn node(&mut self, value: &ast::Value<'_>, path: &str) -> Node {
        let range = value.range();
        let converted = match value {
            ast::Value::NullKeyword(_) => Value::Null,
            ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
            // Both parsers agree on what a number is, so that the second branch isn't met.
            ast::Value::NumberLit(literal) => match serde_json::from_str(literal.value) {
                Ok(number) => {
                    self.look_at_number(literal, &number, path);
                    Value::Number(number)
                }
                Err(_) => Value::Text(literal.value.to_owned()),
            },
            ast::Value::StringLit(literal) => Value::Text(literal.value.clone().into_owned()),
            ast::Value::Array(array) => Value::List(
                array
                    .elements
                    .iter()
                    .enumerate()
                    .map(|(index, element)| self.node(element, &index_path(path, index)))
                    .collect(),
            ),
            ast::Value::Object(object) => Value::Table(self.table(object, path)),
        };
        Node { value: converted, origin: self.origin(range) }
    }

    /// A variable has one place as a whole.
    fn origin(&self, range: Range) -> Origin {
        let span = if self.source.is_file { range.start..range.end } else { 0..0 };
        Origin { source: Arc::clone(self.source), span }
    }

    /// What is handed to scripts should be what was written. Other keys are held to their own limits.
    fn look_at_number(&mut self, literal: &ast::NumberLit<'_>, number: &serde_json::Number, path: &str) {
        let is_handed_on = path.strip_prefix("settings").is_some_and(|rest| rest.starts_with(['.', '[']));
        if is_handed_on && !is_same_number(literal.value, &number.to_string()) {
            let origin = self.origin(literal.range);
            // What is in a variable isn't shown.
            let is_secret = !self.source.is_file || path.split(['.', '[']).any(looks_secret);
            let got = if is_secret { "a rounded one".to_owned() } else { number.to_string() };
            let message = format!("a number with too many digits: scripts get {got}");
            let problem = Problem::at(ProblemKind::InvalidValue, &origin, path, message);
            self.warnings.push(problem.hint("write it as a text, in double quotes"));
        }
    }

    fn table(&mut self, object: &ast::Object<'_>, path: &str) -> Table {
        let mut table = Table::default();
        for property in &object.properties {
            let written = property.name.as_str();
            let own_path = key_path(path, written);
            let node = self.node(&property.value, &own_path);
            // Only the project's own keys have synonyms: a script's `interpreter` has none, a variable neither.
            let key = if path.is_empty() { canonical(written) } else { written };
            let range = match &property.name {
                ast::ObjectPropName::String(literal) => literal.range,
                ast::ObjectPropName::Word(literal) => literal.range,
            };
            let key_origin = self.origin(range);
            let entry =
                Entry { key: key.to_owned(), written: written.to_owned(), key_origin: key_origin.clone(), node };
            if let Some(first) = table.insert(entry) {
                let hint = if self.source.is_file {
                    let (line, column) = self.source.position(first.key_origin.span.start);
                    format!("this one counts; remove the one at line {line}, column {column}")
                } else {
                    "the last one counts".to_owned()
                };
                let message = if first.written == written {
                    format!("`{written}` stands twice in this object")
                } else {
                    format!("`{written}` and `{}` are the same key", first.written)
                };
                let problem = Problem::at(ProblemKind::DuplicateKey, &key_origin, &own_path, message);
                self.warnings.push(problem.hint(hint));
            }
        }
        table
    }
}

/// The one name of a key of the project.
pub(super) fn canonical(key: &str) -> &str {
    SYNONYMS.iter().find(|(synonym, _)| *synonym == key).map_or(key, |(_, name)| name)
}

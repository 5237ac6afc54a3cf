//! A text that configuration was read from, and places in it.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Bytes of the text, from the first to the one after the last.
pub(crate) type Span = Range<usize>;

/// A configuration file, or a variable that stands for one key of it.
pub(crate) struct Source {
    /// The file, or the variable's name.
    pub(crate) name: PathBuf,
    /// Its text, without a byte order mark.
    pub(crate) text: Arc<str>,
    /// Whether it is a file: only files have lines to point at.
    pub(crate) is_file: bool,
    line_starts: OnceLock<Vec<usize>>,
}

impl Source {
    /// A file's text.
    pub(crate) fn file(name: PathBuf, text: Arc<str>) -> Arc<Self> {
        Arc::new(Self { name, text, is_file: true, line_starts: OnceLock::new() })
    }

    /// The variable with this name. Its text isn't kept: it may hold secrets, and there is nothing to point at.
    pub(crate) fn variable(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: Arc::from(""), is_file: false, line_starts: OnceLock::new() })
    }

    /// Line and column (in characters) of a byte, both from 1.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let starts = self.line_starts.get_or_init(|| {
            std::iter::once(0).chain(self.text.match_indices('\n').map(|(index, _)| index + 1)).collect()
        });
        let line = starts.partition_point(|start| *start <= offset).max(1);
        let start = starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..floor_char_boundary(&self.text, offset)).unwrap_or("");
        (line, before.chars().count() + 1)
    }
}

/// The last boundary between characters at or before `offset`.
pub(crate) fn floor_char_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Where a value comes from.
#[derive(Clone)]
pub(crate) struct Origin {
    /// The text.
    pub(crate) source: Arc<Source>,
    /// The place in it.
    pub(crate) span: Span,
}

impl Origin {
    /// As `check --explain` shows it: `file:line:column`, or the variable's name.
    pub(crate) fn describe(&self) -> String {
        if self.source.is_file {
            let (line, column) = self.source.position(self.span.start);
            format!("{}:{line}:{column}", self.source.name.display())
        } else {
            self.source.name.display().to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = Source::file("x".into(), Arc::from("{\n \"é\": 1}\n"));
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(2), (2, 1));
        assert_eq!(source.position(source.text.find('1').unwrap()), (2, 7));
        assert_eq!(source.position(5), (2, 3), "the middle of a character");
        assert_eq!(source.position(999), (3, 1));
    }
}

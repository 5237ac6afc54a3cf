//! Aligned columns.

use std::io::{self, Write};

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::view::{DIM, one_line};

/// Between two columns.
const GAP: usize = 2;

/// On which side of its column a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// What stands in one place of a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(super) fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Self { text: one_line(text.as_ref()), style }
    }

    fn width(&self) -> usize {
        self.text.width()
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// Rows under a head. A column in which nothing stands is left out.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub(super) fn write(&self, out: &mut dyn Write, color: bool) -> io::Result<()> {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|n| self.rows.iter().filter_map(|row| row.get(n)).map(Cell::width).max().unwrap_or(0))
            .collect();
        let head = self.columns.iter().map(|(name, _)| Cell::styled(name, DIM)).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            let mut owed = 0;
            for ((cell, &widest), (name, align)) in row.iter().zip(&widths).zip(&self.columns) {
                if widest == 0 {
                    continue;
                }
                let free = widest.max(name.len()) - cell.width();
                let (before, after) = if *align == Align::Right { (free, 0) } else { (0, free) };
                // Spaces are written when something follows them: lines have no trailing ones.
                owed += before;
                if !cell.text.is_empty() {
                    line.extend(std::iter::repeat_n(' ', owed));
                    owed = 0;
                    if color && cell.style != Style::new() {
                        line.push_str(&format!("{}{}{:#}", cell.style, cell.text, cell.style));
                    } else {
                        line.push_str(&cell.text);
                    }
                }
                owed += after + GAP;
            }
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

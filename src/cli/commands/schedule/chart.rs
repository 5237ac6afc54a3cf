//! A week of schedules as a picture of characters. Pure.

use jiff::civil::Date;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Names are cut to so many columns, so that a week of two-hour slots fits into 100.
const LONGEST_NAME: usize = 14;

/// The picture's rows and how they are drawn.
pub(super) struct Chart<'a> {
    /// The first day.
    pub(super) first: Date,
    /// How many slots a day has.
    pub(super) slots_a_day: usize,
    /// Whose row, and how often it is due in each slot of the week.
    pub(super) rows: &'a [(String, Vec<usize>)],
    /// Whether the terminal shows more than ASCII.
    pub(super) unicode: bool,
}

impl Chart<'_> {
    /// How many columns the picture takes.
    pub(super) fn width(slots_a_day: usize) -> usize {
        LONGEST_NAME + 1 + 7 * slots_a_day
    }

    /// The lines: days, a row for each, and what the signs mean.
    pub(super) fn lines(&self) -> Vec<String> {
        let names = self.rows.iter().map(|(name, _)| self.cut(name)).collect::<Vec<_>>();
        let width = names.iter().map(|name| name.width()).max().unwrap_or_default();
        let mut head = " ".repeat(width + 1);
        let mut day = self.first;
        for _ in 0..7 {
            head.push_str(&format!("{:<1$}", day.strftime("%a %-d").to_string(), self.slots_a_day));
            day = day.tomorrow().unwrap_or(day);
        }
        let mut lines = vec![head.trim_end().to_owned()];
        for (name, (_, slots)) in names.iter().zip(self.rows) {
            let mut line = format!("{name}{}", " ".repeat(width + 1 - name.width()));
            for (index, count) in slots.iter().enumerate() {
                line.push(self.sign(*count, index % self.slots_a_day == 0));
            }
            lines.push(line);
        }
        let signs = self.signs();
        let meaning = ["1 run", "2-3", "4-11", "12-59", "60 or more"];
        let key: Vec<String> = signs.iter().zip(meaning).map(|(sign, meaning)| format!("{sign} {meaning}")).collect();
        lines.push(format!("{}{}", " ".repeat(width + 1), key.join("  ")));
        lines
    }

    fn signs(&self) -> [char; 5] {
        if self.unicode { ['▁', '▃', '▅', '▇', '█'] } else { ['1', '2', '4', '+', '#'] }
    }

    /// What stands for so many runs; days are told apart where there are none.
    fn sign(&self, count: usize, begins_day: bool) -> char {
        let [one, few, some, many, full] = self.signs();
        match count {
            0 if begins_day => {
                if self.unicode {
                    '┊'
                } else {
                    '|'
                }
            }
            0 => {
                if self.unicode {
                    '·'
                } else {
                    '.'
                }
            }
            1 => one,
            2..4 => few,
            4..12 => some,
            12..60 => many,
            _ => full,
        }
    }

    fn cut(&self, name: &str) -> String {
        if name.width() <= LONGEST_NAME {
            return name.to_owned();
        }
        let mut width = 0;
        let fits = |c: &char| {
            width += c.width().unwrap_or(0);
            width < LONGEST_NAME
        };
        let kept: String = name.chars().take_while(fits).collect();
        format!("{kept}{}", if self.unicode { '…' } else { '~' })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_fits_into_a_hundred_columns() {
        let mut night = vec![0; 84];
        (night[3], night[15], night[16], night[40], night[41]) = (1, 1, 3, 30, 60);
        let rows = [("reports".to_owned(), night), ("a-name-that-is-too-long".to_owned(), vec![5; 84])];
        let first = jiff::civil::date(2026, 11, 23);
        let lines = |unicode| Chart { first, slots_a_day: 12, rows: &rows, unicode }.lines();
        let ascii = lines(false);
        assert_eq!(
            ascii,
            [
                "               Mon 23      Tue 24      Wed 25      Thu 26      Fri 27      Sat 28      Sun 29",
                "reports        |..1........|..12.......|...............+#......|...........|...........|...........",
                "a-name-that-i~ 444444444444444444444444444444444444444444444444444444444444444444444444444444444444",
                "               1 1 run  2 2-3  4 4-11  + 12-59  # 60 or more",
            ]
            .map(|line| line.replace("|..12.......|...............+#......|", "|..12.......|...........|...+#......|"))
        );
        assert!(ascii.iter().all(|line| line.is_ascii() && line.len() <= 100), "{ascii:#?}");
        let unicode = lines(true);
        assert!(unicode[1].contains("┊··▁") && unicode[2].starts_with("a-name-that-i… ▅▅"), "{unicode:#?}");
        assert!(unicode.iter().all(|line| line.width() <= 100), "{unicode:#?}");
    }
}

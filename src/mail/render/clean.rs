//! Makes text from outside fit to be shown: names, messages and whatever scripts print. No control character, no
//! terminal colour and no trick with writing directions gets through.

/// What takes the place of a character that can't be shown.
const REPLACEMENT: char = '\u{fffd}';

/// Columns between tab stops.
const TAB: usize = 8;

/// `text` on one line, at most `max` characters (the last one `…` if it was cut), fit for a header too.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let mut line = String::new();
    let mut space = false;
    for character in anstream::adapter::strip_str(text).to_string().chars() {
        if character.is_whitespace() || character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            space = !line.is_empty();
        } else if !is_invisible_trick(character) {
            if space {
                line.push(' ');
                space = false;
            }
            line.push(character);
        }
    }
    cut(&line, max)
}

fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(max.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

/// Marks that turn the direction of what follows, and the byte order mark.
fn is_invisible_trick(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// What a script printed, as the lines a terminal would show in the end: tabs widened, a line that was overwritten after
/// a carriage return gone, no blank lines at either end.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let stripped = anstream::adapter::strip_str(text).to_string();
    let mut lines: Vec<String> = stripped.split('\n').map(shown).collect();
    let blank = |line: &String| line.trim().is_empty();
    while lines.last().is_some_and(blank) {
        lines.pop();
    }
    let first = lines.iter().position(|line| !blank(line)).unwrap_or(0);
    lines.drain(..first);
    lines
}

fn shown(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut shown = String::with_capacity(line.len());
    let mut column = 0;
    for character in line.chars() {
        if character == '\t' {
            let width = TAB - column % TAB;
            shown.extend(std::iter::repeat_n(' ', width));
            column += width;
        } else if !is_invisible_trick(character) {
            let visible = !character.is_control() && !matches!(character, '\u{2028}' | '\u{2029}');
            shown.push(if visible { character } else { REPLACEMENT });
            column += 1;
        }
    }
    shown.truncate(shown.trim_end().len());
    shown
}

/// The end of `lines`: at most `max_lines` and about `max_bytes`, a very long line cut. And how many lines went before.
pub(crate) fn tail(lines: &[String], max_lines: usize, max_bytes: usize) -> (usize, Vec<String>) {
    let longest = (max_bytes / 2).clamp(80, 2000);
    let mut kept = Vec::new();
    let mut bytes = 0;
    for line in lines.iter().rev() {
        let line = cut(line, longest);
        bytes += line.len() + 1;
        if kept.len() == max_lines || (bytes > max_bytes && !kept.is_empty()) {
            break;
        }
        kept.push(line);
    }
    kept.reverse();
    (lines.len() - kept.len(), kept)
}

/// `line` with its indentation and columns kept by no-break spaces: Outlook's Word engine ignores `white-space: pre`. A
/// single space between words stays one, so that a narrow screen can break there.
pub(crate) fn hard_spaces(line: &str) -> String {
    let mut hard = String::with_capacity(line.len());
    let mut after_space = true;
    for character in line.chars() {
        hard.push(if character == ' ' && after_space { '\u{a0}' } else { character });
        after_space = character == ' ';
    }
    hard
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_line_is_one_clean_line() {
        let cases = [
            ("load.py", "load.py"),
            ("a\r\nBcc: x@y", "a Bcc: x@y"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("  many   spaces\t", "many spaces"),
            ("nul\0bell\u{7}", "nulbell"),
            ("exe.\u{202e}txt", "exe.txt"),
            ("a\u{2028}b\u{85}c", "a b c"),
        ];
        for (text, clean) in cases {
            assert_eq!(one_line(text, 80), clean);
        }
        assert_eq!(one_line("éééééé", 4), "ééé…");
    }

    #[test]
    fn printed_lines_come_out_as_a_terminal_shows_them() {
        assert_eq!(lines("\n\na\tb\r\n 10%\r 20%\r100%\n\u{1b}[1mend\u{1b}[0m  \n\n"), ["a       b", "100%", "end"]);
        assert_eq!(lines("x\u{0}y\u{85}z"), ["xy\u{fffd}z"]);
        assert!(lines("").is_empty());
        assert!(lines("\r\n \n").is_empty());
    }

    #[test]
    fn the_tail_is_kept_and_what_went_before_is_counted() {
        let all: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        assert_eq!(tail(&all, 3, 1000), (7, vec!["7".into(), "8".into(), "9".into()]));
        assert_eq!(tail(&all, 100, 5).1, ["8", "9"]);
        assert_eq!(tail(&["x".repeat(9000)], 5, 400).1[0].chars().count(), 200);
    }

    #[test]
    fn columns_stay_columns() {
        assert_eq!(hard_spaces("    x = a  b"), "\u{a0}\u{a0}\u{a0}\u{a0}x = a \u{a0}b");
    }

    proptest! {
        #[test]
        fn nothing_that_controls_gets_through(text in "\\PC{0,20}|[\\x00-\\x1f\\u{80}-\\u{9f}a\\n]{0,40}|.{0,40}", max in 1usize..30) {
            let line = one_line(&text, max);
            prop_assert!(line.chars().count() <= max);
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            for line in lines(&text) {
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
}

//! Finding a Python traceback in what a script printed to standard error. Pure.

/// The line every Python traceback begins with.
const HEADER: &str = "Traceback (most recent call last):";
/// The line that the traceback of an exception group begins with (Python 3.11, PEP 654).
const GROUP_HEADER: &str = "  + Exception Group Traceback (most recent call last):";
/// How Python joins the tracebacks of chained exceptions.
const CHAINS: [&str; 2] = [
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
];

/// The last traceback in `text` with the ones it is chained to, up to the end of the text. `None` if there is none.
pub(super) fn find(text: &str) -> Option<&str> {
    let begins = |at: &usize| text[*at..].starts_with(HEADER) || text[*at..].starts_with(GROUP_HEADER);
    let mut starts = line_starts(text).filter(begins).collect::<Vec<_>>();
    let mut start = starts.pop()?;
    while let Some(earlier) = starts.pop() {
        let between = text[earlier..start].trim_end();
        if !CHAINS.iter().any(|chain| between.ends_with(chain)) {
            break;
        }
        start = earlier;
    }
    Some(text[start..].trim_end())
}

/// The last `lines` lines of `text`, without blank ones at the end; `None` if nothing is left.
pub(super) fn last_lines(text: &str, lines: usize) -> Option<&str> {
    let text = text.trim_end();
    if text.trim().is_empty() {
        return None;
    }
    let from = text.rmatch_indices('\n').nth(lines.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
    Some(&text[from..])
}

fn line_starts(text: &str) -> impl Iterator<Item = usize> + '_ {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIMPLE: &str = "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    1/0\nZeroDivisionError: division by zero";

    #[test]
    fn the_traceback_is_found_behind_other_output() {
        let text = format!("loading…\nwarning: slow\n{SIMPLE}\n");
        assert_eq!(find(&text), Some(SIMPLE));
    }

    #[test]
    fn only_the_last_of_several_unrelated_ones_counts() {
        let text = format!("{SIMPLE}\nretrying\n{SIMPLE}\n");
        assert_eq!(find(&text), Some(SIMPLE));
    }

    #[test]
    fn chained_ones_stay_together() {
        for chain in CHAINS {
            let text = format!("start\n{SIMPLE}\n\n{chain}\n\n{SIMPLE}\n");
            let found = find(&text).unwrap();
            assert!(found.starts_with(HEADER) && found.contains(chain), "{found}");
        }
    }

    #[test]
    fn an_exception_group_is_a_traceback_too() {
        let group = "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", line 1, in <module>\n  | ExceptionGroup: two (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n    | ValueError: one\n    +------------------------------------";
        assert_eq!(find(&format!("noise\n{group}\n")), Some(group));
    }

    #[test]
    fn no_traceback_is_none() {
        assert_eq!(find("error: no such file\n"), None);
        assert_eq!(find("said: Traceback (most recent call last):"), None);
    }

    #[test]
    fn the_last_lines_are_the_last_lines() {
        assert_eq!(last_lines("a\nb\nc\n\n", 2), Some("b\nc"));
        assert_eq!(last_lines("a", 20), Some("a"));
        assert_eq!(last_lines(" \n\n", 20), None);
    }

    proptest! {
        #[test]
        fn whatever_is_printed_is_survived(text in "(Traceback \\(most recent call last\\):|\n|é|During handling of the above exception, another exception occurred:|.){0,60}", n in 0usize..5) {
            let _ = find(&text);
            let _ = last_lines(&text, n);
        }
    }
}

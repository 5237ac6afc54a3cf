//! The line of the log, written and read. Pure.
//!
//! Its form is a contract with whoever searches these files:
//! `2024-11-27 09:51:58,954 - INFO - LAPTOP-BS85JNP7 - 39be3d37aed64 - 0.08 - main.py - success`.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};

use crate::model::RunId;

const SEPARATOR: &str = " - ";
/// Bytes of `2024-11-27 09:51:58,954`.
const TIME_LENGTH: usize = 23;

/// One line of the log: how one script ended. [`fmt::Display`] writes it, without the newline; [`parse_line`] reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine<'a> {
    /// When the script ended, by the wall clock of its machine. Milliseconds are written, finer parts cut.
    pub time: NaiveDateTime,
    /// The machine.
    pub host: Cow<'a, str>,
    /// The run.
    pub run_id: RunId,
    /// How long the script took, in minutes; written with two decimals.
    pub minutes: f64,
    /// The script's file name.
    pub file_name: Cow<'a, str>,
    /// Whether it did what it should: level `INFO` and `success`, else `ERROR` and `failure`.
    pub success: bool,
    /// What more there is to say of a failure: its traceback, or how it ended. Not written of a success.
    pub detail: Option<Cow<'a, str>>,
}

impl fmt::Display for LogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (level, status) = if self.success { ("INFO", "success") } else { ("ERROR", "failure") };
        // A leap second has more than 999 milliseconds; the form has three digits.
        let millis = (self.time.nanosecond() / 1_000_000).min(999);
        let (date, time) = (self.time.date(), self.time.time());
        write!(
            f,
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02},{millis:03} - {level} - ",
            date.year(),
            date.month(),
            date.day(),
            time.hour(),
            time.minute(),
            time.second()
        )?;
        escape(&self.host, f)?;
        write!(f, " - {} - {:.2} - ", self.run_id, self.minutes)?;
        escape(&self.file_name, f)?;
        write!(f, " - {status}")?;
        if let Some(detail) = &self.detail
            && !self.success
        {
            f.write_str(SEPARATOR)?;
            // The newline that ends a traceback says nothing.
            escape(detail.trim_end_matches(['\n', '\r']), f)?;
        }
        Ok(())
    }
}

/// Writes a text so that it stays on its line in every viewer: newline as `\n`, carriage returns dropped, other control
/// characters (DEL and the C1 set included) as `\xNN`, and Unicode's two line separators, which some readers break lines
/// at, as `\u2028` and `\u2029`. A backslash stays as it is, so that Windows paths stay readable; what was escaped can
/// therefore not be restored with certainty.
fn escape(text: &str, out: &mut impl Write) -> fmt::Result {
    let mut plain = 0;
    for (at, char) in text.char_indices() {
        if !char.is_control() && !matches!(char, '\u{2028}' | '\u{2029}') {
            continue;
        }
        out.write_str(&text[plain..at])?;
        plain = at + char.len_utf8();
        match char {
            '\n' => out.write_str("\\n")?,
            '\r' => {}
            '\u{2028}' | '\u{2029}' => write!(out, "\\u{:04x}", u32::from(char))?,
            _ => write!(out, "\\x{:02x}", u32::from(char))?,
        }
    }
    out.write_str(&text[plain..])
}

/// Reads a line of the log, without its newline; `None` if it is none. The texts in it stay as written, escapes included.
///
/// Host and file name may contain ` - `: the run id and the minutes between them, and the status after the file name,
/// tell where they end. Where several readings are possible the first run id and the first ` - failure` count.
#[must_use]
pub fn parse_line(line: &str) -> Option<LogLine<'_>> {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    if !(line.as_bytes().get(4) == Some(&b'-') && line.as_bytes().get(19) == Some(&b',')) {
        return None;
    }
    let time = parse_time(line.as_bytes())?;
    let rest = line.get(TIME_LENGTH..)?.strip_prefix(SEPARATOR)?;
    let (success, rest) = match rest.strip_prefix("INFO - ") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix("ERROR - ")?),
    };
    let (host, run_id, minutes, rest) =
        separators(rest).find_map(|at| split_at_run_id(&rest[..at], &rest[at + SEPARATOR.len()..]))?;
    let (file_name, detail) = if success {
        (rest.strip_suffix(" - success")?, None)
    } else {
        separators(rest).find_map(|at| {
            let after = rest[at + SEPARATOR.len()..].strip_prefix("failure")?;
            let detail = if after.is_empty() { None } else { Some(after.strip_prefix(SEPARATOR)?) };
            Some((&rest[..at], detail))
        })?
    };
    Some(LogLine {
        time,
        host: host.into(),
        run_id,
        minutes,
        file_name: file_name.into(),
        success,
        detail: detail.map(Cow::from),
    })
}

fn separators(text: &str) -> impl Iterator<Item = usize> {
    // Not `match_indices`, which would miss the second of two that share a space (`a - - b`).
    text.char_indices().map(|(at, _)| at).filter(|&at| text[at..].starts_with(SEPARATOR))
}

/// Whether a run id and minutes follow a host; the last of the parts is what comes after them.
fn split_at_run_id<'a>(host: &'a str, after: &'a str) -> Option<(&'a str, RunId, f64, &'a str)> {
    let run_id = RunId::parse(after.get(..RunId::LENGTH)?)?;
    let (minutes, rest) = after[RunId::LENGTH..].strip_prefix(SEPARATOR)?.split_once(SEPARATOR)?;
    let (whole, decimals) = minutes.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(decimals) && decimals.len() == 2)
        .then(|| minutes.parse().ok())
        .flatten()
        .map(|minutes| (host, run_id, minutes, rest))
}

/// Reads the time a line begins with: `2024-11-27 09:51:58,954` or, in files that other runners began,
/// `27-11-2024 09:51:58`; a byte order mark before it is passed over. `None` if the line doesn't begin with a time.
pub(super) fn parse_time(line: &[u8]) -> Option<NaiveDateTime> {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    let number = |from: usize, digits: usize| {
        let part = line.get(from..from + digits)?;
        part.iter().try_fold(0u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    };
    let is = |at: usize, char: u8| line.get(at) == Some(&char);
    let date = if is(4, b'-') && is(7, b'-') {
        NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(5, 2)?, number(8, 2)?)?
    } else if is(2, b'-') && is(5, b'-') {
        NaiveDate::from_ymd_opt(i32::try_from(number(6, 4)?).ok()?, number(3, 2)?, number(0, 2)?)?
    } else {
        return None;
    };
    if !(is(10, b' ') && is(13, b':') && is(16, b':')) {
        return None;
    }
    let millis = if is(19, b',') { number(20, 3)? } else { 0 };
    date.and_hms_milli_opt(number(11, 2)?, number(14, 2)?, number(17, 2)?, millis)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use crate::model::fuzz_tests::{edited, edits};

    use super::*;

    fn example() -> LogLine<'static> {
        LogLine {
            time: NaiveDate::from_ymd_opt(2024, 11, 27).unwrap().and_hms_milli_opt(9, 51, 58, 954).unwrap(),
            host: "LAPTOP-BS85JNP7".into(),
            run_id: RunId::parse("39be3d37aed64").unwrap(),
            minutes: 0.08,
            file_name: "main.py".into(),
            success: true,
            detail: None,
        }
    }

    #[test]
    fn the_documented_line_is_written_and_read() {
        let text = "2024-11-27 09:51:58,954 - INFO - LAPTOP-BS85JNP7 - 39be3d37aed64 - 0.08 - main.py - success";
        assert_eq!(example().to_string(), text);
        assert_eq!(parse_line(text), Some(example()));
    }

    #[test]
    fn a_failure_ends_with_its_traceback_on_the_same_line() {
        let traceback = "Traceback (most recent call last):\r\n  File \"C:\\new\\x.py\", line 1\r\n\tboom\u{7}\r\n";
        let line = LogLine { success: false, detail: Some(traceback.into()), ..example() };
        assert_eq!(
            line.to_string(),
            "2024-11-27 09:51:58,954 - ERROR - LAPTOP-BS85JNP7 - 39be3d37aed64 - 0.08 - main.py - failure - \
             Traceback (most recent call last):\\n  File \"C:\\new\\x.py\", line 1\\n\\x09boom\\x07"
        );
        let bare = LogLine { success: false, ..example() };
        assert!(bare.to_string().ends_with(" - main.py - failure"), "{bare}");
    }

    #[test]
    fn what_breaks_lines_in_viewers_is_escaped() {
        let mut out = String::new();
        escape("a\u{7f}b\u{85}c\u{2028}d\u{2029}e\u{0}f\u{1b}[1mé\\n", &mut out).unwrap();
        assert_eq!(out, "a\\x7fb\\x85c\\u2028d\\u2029e\\x00f\\x1b[1mé\\n");
    }

    #[test]
    fn names_with_the_separator_in_them_are_read_back() {
        for name in ["a - b.py", " - ", "x - success - .py", "- - -", "a - 39be3d37aed64 - 0.08 - b.py"] {
            for success in [true, false] {
                let line = LogLine { file_name: name.into(), host: "my - host -".into(), success, ..example() };
                assert_eq!(parse_line(&line.to_string()), Some(line), "{name}");
            }
        }
    }

    #[test]
    fn anything_else_is_no_line() {
        let good = example().to_string();
        for end in 0..good.len() {
            assert_eq!(parse_line(&good[..end]), None, "{}", &good[..end]);
        }
        for text in [
            "",
            "2024-11-27",
            &format!(" {good}"),
            &good.replace("INFO", "WARN"),
            &good.replace(",954", ""),
            &good.replace(",954", "    "),
        ] {
            assert_eq!(parse_line(text), None, "{text}");
        }
    }

    #[test]
    fn times_of_both_forms_are_read() {
        let second = NaiveDate::from_ymd_opt(2024, 11, 27).unwrap().and_hms_opt(9, 51, 58).unwrap();
        assert_eq!(parse_time(b"2024-11-27 09:51:58,954 - INFO"), Some(second + TimeDelta::milliseconds(954)));
        assert_eq!(parse_time(b"27-11-2024 09:51:58 - INFO"), Some(second));
        assert_eq!(parse_time("\u{feff}27-11-2024 09:51:58".as_bytes()), Some(second));
        for text in ["", "Traceback", "2024-13-27 09:51:58", "2024-11-27 24:00:00", "2024-11-27", "20241127 095158"] {
            assert_eq!(parse_time(text.as_bytes()), None, "{text}");
        }
    }

    prop_compose! {
        fn lines()(
            seconds in 0i64..250_000_000_000, millis in 0u32..1000, host in ".{0,12}", digits in "[0-9a-f]{13}",
            hundredths in 0u64..10_000_000, file_name in "(.{0,6}( - )?){0,3}", success: bool,
            detail in proptest::option::of("(?s).{0,60}"),
        ) -> LogLine<'static> {
            LogLine {
                time: chrono::DateTime::from_timestamp(seconds, millis * 1_000_000).unwrap().naive_utc(),
                host: host.into(),
                run_id: RunId::parse(&digits).unwrap(),
                minutes: hundredths as f64 / 100.0,
                file_name: file_name.into(),
                success,
                detail: if success { None } else { detail.map(Cow::from) },
            }
        }
    }

    proptest! {
        #[test]
        fn fuzz_lines_that_were_written(line in lines()) {
            let text = line.to_string();
            let breaks = text.chars().any(|char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}'));
            prop_assert!(!breaks);
            let escaped = |text: &str| { let mut out = String::new(); escape(text, &mut out).unwrap(); out };
            let expected = LogLine {
                host: escaped(&line.host).into(),
                file_name: escaped(&line.file_name).into(),
                detail: line.detail.as_deref().map(|text| escaped(text.trim_end_matches(['\n', '\r'])).into()),
                ..line.clone()
            };
            prop_assert_eq!(parse_line(&text), Some(expected));
        }

        #[test]
        fn fuzz_lines_of_any_text(text in "(?s).{0,80}") {
            let _ = parse_line(&text);
            let _ = parse_time(text.as_bytes());
            let _ = parse_line(&format!("2024-11-27 09:51:58,954 - ERROR - {text}"));
        }

        #[test]
        fn fuzz_lines_that_were_changed(line in lines(), edits in edits()) {
            let changed = edited(line.to_string().as_bytes(), &edits);
            let _ = parse_time(&changed);
            // What is read of a line is written as the same line, if it is one line without marks before it.
            let text = String::from_utf8_lossy(&changed);
            if let Some(read) = parse_line(&text) {
                let again = read.to_string();
                prop_assert_eq!(parse_line(&again).map(|line| line.to_string()), Some(again));
            }
        }
    }
}

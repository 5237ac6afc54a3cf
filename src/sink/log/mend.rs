//! Whether a log has a line already, and whether it ends within it: what a runner leaves that dies while it writes.
//! Pure.

use chrono::Timelike;

use super::line::parse_line;

/// Whether a line of `log` tells of the same end as `line`. The hour is not compared: the line may have been written in
/// another time zone; nor is what stands behind the status, which the project's author may have switched on or off since.
pub(super) fn has(log: &[u8], line: &str) -> bool {
    let Some(wanted) = parse_line(line) else { return false };
    let run_id = wanted.run_id.as_str().as_bytes();
    log.split_inclusive(|&byte| byte == b'\n').any(|text| {
        // A torn line is none.
        let Some(text) = text.strip_suffix(b"\n").filter(|text| contains(text, run_id)) else { return false };
        let text = String::from_utf8_lossy(text);
        parse_line(text.trim_end_matches('\r')).is_some_and(|found| {
            found.run_id == wanted.run_id
                && found.file_name == wanted.file_name
                && found.success == wanted.success
                && found.time.second() == wanted.time.second()
                && found.time.nanosecond() == wanted.time.nanosecond()
                && (found.minutes - wanted.minutes).abs() < 0.001
        })
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// How many bytes at the log's end are the beginning of `line`, if it ends within a line and it is that.
pub(super) fn torn(log: &[u8], line: &str) -> Option<usize> {
    let begun = log.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    (!begun.is_empty() && line.as_bytes().starts_with(begun)).then_some(begun.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "2024-11-27 09:51:58,954 - INFO - HOST - 39be3d37aed64 - 0.08 - main.py - success";

    #[test]
    fn a_line_is_found_whatever_the_time_zone_and_the_traceback() {
        let failure = "2024-11-27 09:51:58,954 - ERROR - HOST - 39be3d37aed64 - 0.08 - main.py - failure";
        for (log, line, found) in [
            (format!("{LINE}\n"), LINE, true),
            (format!("x\n{}\r\ny\n", LINE.replace("27 09", "28 01")), LINE, true),
            (format!("{failure} - exit code 3\n"), failure, true),
            (format!("{LINE}\n"), failure, false),
            (LINE.to_owned(), LINE, false),
            (format!("{}\n", LINE.replace("58,954", "58,955")), LINE, false),
            (format!("{}\n", LINE.replace("main.py", "main.p")), LINE, false),
            (format!("{}\n", LINE.replace("39be", "39bf")), LINE, false),
            (String::new(), LINE, false),
        ] {
            assert_eq!(has(log.as_bytes(), line), found, "{log}");
        }
    }

    #[test]
    fn only_its_own_beginning_is_cut_off() {
        for (log, torn_bytes) in [
            (format!("a\n{}", &LINE[..40]), Some(40)),
            (LINE[..7].to_owned(), Some(7)),
            (LINE.to_owned(), Some(LINE.len())),
            (format!("{LINE}\n"), None),
            ("a\nsomething else".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(torn(log.as_bytes(), LINE), torn_bytes, "{log}");
        }
    }
}

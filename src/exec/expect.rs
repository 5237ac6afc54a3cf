//! What must be true after a script although its exit code says success: files that it was to write, lines that it was
//! to print.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local};
use regex::bytes::Regex;

use crate::event::Stream;
use crate::model::{Expectation, Freshness, format_duration};

/// Bytes of a line that are looked at together; a longer line counts as several.
const LONGEST_LINE: usize = 64 * 1024;
/// By how much a file may look older than it is: file systems store times coarsely, FAT to two seconds.
const SLACK: Duration = Duration::from_secs(2);

/// Watches one attempt for what is expected of it.
pub(super) struct Watch<'a> {
    expected: &'a [Expectation],
    working_dir: &'a Path,
    begin: SystemTime,
    /// The patterns that no line has matched yet.
    awaited: Vec<Awaited<'a>>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

struct Awaited<'a> {
    pattern: &'a str,
    regex: Option<Regex>,
}

impl<'a> Watch<'a> {
    /// `None` if nothing is expected. Made when the attempt begins. Files are named relative to `working_dir`.
    pub(super) fn new(expected: &'a [Expectation], working_dir: &'a Path) -> Option<Self> {
        if expected.is_empty() {
            return None;
        }
        let patterns = expected.iter().filter_map(|one| one.output.as_deref());
        let awaited = patterns.map(|pattern| Awaited { pattern, regex: Regex::new(pattern).ok() }).collect();
        let (stdout, stderr) = (Vec::new(), Vec::new());
        Some(Self { expected, working_dir, begin: SystemTime::now(), awaited, stdout, stderr })
    }

    /// Takes what the script printed. An empty piece is the stream's end, which also ends its last line.
    pub(super) fn output(&mut self, stream: Stream, piece: &[u8]) {
        if self.awaited.is_empty() {
            return;
        }
        let unfinished = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        if piece.is_empty() && !unfinished.is_empty() {
            strike(&mut self.awaited, unfinished);
            unfinished.clear();
        }
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            for part in part.chunks(LONGEST_LINE) {
                let is_whole = part.ends_with(b"\n");
                if unfinished.is_empty() && is_whole {
                    strike(&mut self.awaited, part);
                    continue;
                }
                unfinished.extend_from_slice(part);
                if is_whole || unfinished.len() >= LONGEST_LINE {
                    strike(&mut self.awaited, unfinished);
                    unfinished.clear();
                }
            }
        }
    }

    /// The first expectation that isn't met, with what was found instead. Reads files; called once the attempt has ended
    /// with success, both streams having been read to their ends.
    pub(super) fn unmet(&self) -> Option<String> {
        let end = SystemTime::now();
        self.expected.iter().find_map(|one| {
            let file = one.file.as_deref().and_then(|file| {
                let what = unmet_by_file(one, file, self.begin, end)?;
                let name = file.strip_prefix(self.working_dir).unwrap_or(file);
                Some(format!("{} {what}", name.display()))
            });
            file.or_else(|| {
                let missed = self.awaited.iter().find(|awaited| Some(awaited.pattern) == one.output.as_deref())?;
                Some(match missed.regex {
                    Some(_) => format!("no line of the output matches `{}`", missed.pattern),
                    None => format!("`{}` is no regular expression", missed.pattern),
                })
            })
        })
    }
}

/// Strikes out what a line matches.
fn strike(awaited: &mut Vec<Awaited<'_>>, line: &[u8]) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    awaited.retain(|awaited| !awaited.regex.as_ref().is_some_and(|regex| regex.is_match(line)));
}

/// What a file lacks, in words that come behind its name.
fn unmet_by_file(expected: &Expectation, file: &Path, begin: SystemTime, end: SystemTime) -> Option<String> {
    let metadata = match std::fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Some("is not there".to_owned());
        }
        Err(error) => return Some(format!("cannot be looked at: {error}")),
    };
    if !metadata.is_file() {
        return Some(if metadata.is_dir() { "is a folder, not a file" } else { "is not a regular file" }.to_owned());
    }
    if let Some(what) = expected.fresh.and_then(|fresh| stale(fresh, &metadata, begin, end)) {
        return Some(what);
    }
    if expected.not_empty && metadata.len() == 0 {
        return Some("is empty".to_owned());
    }
    let wanted = expected.min_rows?;
    match rows(file, wanted) {
        Ok(found) if found >= wanted => None,
        Ok(found) => {
            let rows = if found == 1 { "row" } else { "rows" };
            Some(format!("has {found} {rows}, and at least {wanted} were expected"))
        }
        Err(error) => Some(format!("cannot be read: {error}")),
    }
}

fn stale(fresh: Freshness, metadata: &Metadata, begin: SystemTime, end: SystemTime) -> Option<String> {
    let changed = match metadata.modified() {
        Ok(changed) => changed,
        Err(error) => return Some(format!("doesn't say when it was changed: {error}")),
    };
    let limit = match fresh {
        Freshness::SinceStart => begin.checked_sub(SLACK),
        Freshness::Within(time) => end.checked_sub(time.saturating_add(SLACK)),
    };
    if limit.is_none_or(|limit| changed >= limit) {
        return None;
    }
    let when = DateTime::<Local>::from(changed).format("%Y-%m-%d %H:%M");
    Some(match fresh {
        Freshness::SinceStart => format!("was not written by this run (last changed {when})"),
        Freshness::Within(time) => {
            format!("was not written within the last {} (last changed {when})", format_duration(time))
        }
    })
}

/// The lines of a file that aren't blank, counted up to `enough`.
fn rows(file: &Path, enough: u64) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(64 * 1024, File::open(file)?);
    let (mut rows, mut is_blank) = (0, true);
    while rows < enough {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Ok(rows + u64::from(!is_blank));
        }
        for &byte in piece {
            if byte == b'\n' {
                rows += u64::from(!is_blank);
                is_blank = true;
            } else if !byte.is_ascii_whitespace() {
                is_blank = false;
            }
        }
        let length = piece.len();
        reader.consume(length);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Vec<Expectation> {
        vec![Expectation { output: Some(text.to_owned()), ..Expectation::default() }]
    }

    fn of_file(file: &Path) -> Expectation {
        Expectation { file: Some(file.to_owned()), ..Expectation::default() }
    }

    fn unmet(one: Expectation, dir: &Path) -> Option<String> {
        Watch::new(&[one], dir).unwrap().unmet()
    }

    #[test]
    fn each_lack_of_a_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("out.csv");
        let said = |one: Expectation| unmet(one, dir.path());
        assert_eq!(said(of_file(&file)).as_deref(), Some("out.csv is not there"));
        assert_eq!(said(of_file(&file.join("x"))).as_deref().map(|text| text.ends_with("is not there")), Some(true));
        std::fs::write(&file, "").unwrap();
        assert_eq!(said(of_file(&file)), None);
        assert_eq!(said(Expectation { not_empty: true, ..of_file(&file) }).as_deref(), Some("out.csv is empty"));
        std::fs::write(&file, "a;b\n\n \r\n1;2").unwrap();
        assert_eq!(said(Expectation { not_empty: true, min_rows: Some(2), ..of_file(&file) }), None);
        assert_eq!(
            said(Expectation { min_rows: Some(3), ..of_file(&file) }).as_deref(),
            Some("out.csv has 2 rows, and at least 3 were expected")
        );
        assert_eq!(said(of_file(dir.path())).unwrap().split(" is ").last(), Some("a folder, not a file"));
    }

    #[test]
    fn an_old_file_is_not_fresh() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("out.csv");
        std::fs::write(&file, "").unwrap();
        let changed_before = |time: Duration, fresh| {
            let file_now = File::options().write(true).open(&file).unwrap();
            file_now.set_modified(SystemTime::now() - time).unwrap();
            unmet(Expectation { fresh: Some(fresh), ..of_file(&file) }, dir.path())
        };
        let hour = Duration::from_secs(3600);
        assert_eq!(changed_before(Duration::ZERO, Freshness::SinceStart), None);
        let what = changed_before(hour, Freshness::SinceStart).unwrap();
        assert!(what.starts_with("out.csv was not written by this run (last changed 2"), "{what}");
        assert_eq!(changed_before(hour, Freshness::Within(2 * hour)), None);
        let what = changed_before(3 * hour, Freshness::Within(2 * hour)).unwrap();
        assert!(what.starts_with("out.csv was not written within the last 2 h (last changed 2"), "{what}");
    }

    #[test]
    fn a_pattern_is_looked_for_in_each_line_of_both_streams() {
        let expected = pattern(r"^\d+ rows$");
        for (pieces, met) in [
            (vec![(Stream::Stdout, "12 rows\n")], true),
            (vec![(Stream::Stdout, "x\n12 r"), (Stream::Stderr, "no\n"), (Stream::Stdout, "ows\r\n")], true),
            (vec![(Stream::Stderr, "12 rows"), (Stream::Stderr, "")], true),
            (vec![(Stream::Stdout, "12 rows, no\n")], false),
            (vec![(Stream::Stdout, "12 r"), (Stream::Stderr, "ows\n"), (Stream::Stdout, "")], false),
        ] {
            let mut watch = Watch::new(&expected, Path::new("/")).unwrap();
            pieces.iter().for_each(|(stream, piece)| watch.output(*stream, piece.as_bytes()));
            assert_eq!(watch.unmet().is_none(), met, "{pieces:?}");
        }
        let what = Watch::new(&expected, Path::new("/")).unwrap().unmet().unwrap();
        assert_eq!(what, r"no line of the output matches `^\d+ rows$`");
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let expected = pattern("z");
        let mut watch = Watch::new(&expected, Path::new("/")).unwrap();
        for _ in 0..100 {
            watch.output(Stream::Stdout, &[b'x'; 10_000]);
            assert!(watch.stdout.len() < LONGEST_LINE);
        }
        watch.output(Stream::Stdout, b"z");
        watch.output(Stream::Stdout, b"");
        assert!(watch.unmet().is_none());
    }

    proptest! {
        #[test]
        fn where_output_is_cut_changes_nothing(text in "(ab?\r?\n|b|a){0,12}", cut in 1usize..5) {
            let expected = pattern("^ab$");
            let mut watch = Watch::new(&expected, Path::new("/")).unwrap();
            text.as_bytes().chunks(cut).for_each(|piece| watch.output(Stream::Stdout, piece));
            watch.output(Stream::Stdout, &[]);
            prop_assert_eq!(watch.unmet().is_none(), text.lines().any(|line| line == "ab"));
        }
    }
}

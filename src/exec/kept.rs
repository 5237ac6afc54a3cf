//! Kept output after its runner died: the end that was saved beside the file is put behind its beginning, as the runner
//! would have done it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::capture::{LAST_LINES, REMEMBERED, plain};
use super::traceback;
use crate::model::{OutputSummary, format_size};

const PIECE: usize = 64 * 1024;
/// What every mark begins with.
const MARK_START: &str = "\n[… ";
const MARK_END: &str = ") of output left out here …]\n";
/// No mark has more bytes.
const LONGEST_MARK: usize = 128;

/// The mark that stands for what was left out.
pub(super) fn mark(cut: u64) -> String {
    format!("{MARK_START}{cut} bytes ({}{MARK_END}", format_size(cut))
}

/// Where the end of an output is saved while its script runs.
pub(super) fn tail_path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".tail");
    path.into()
}

/// Puts an output together whose runner died, and says what it is and what its last lines are. May be done again, also
/// after it broke off.
///
/// # Errors
/// When the files can't be read or written.
pub(crate) fn settle_output(run_dir: &Path, file_name: &str) -> io::Result<(OutputSummary, Option<String>)> {
    let path = run_dir.join(file_name);
    let tail_path = tail_path(&path);
    let mut file = match File::options().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((OutputSummary::default(), None)),
        Err(error) => return Err(error),
    };
    let tail = match fs::read(&tail_path) {
        Ok(tail) => Some(tail),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(tail) = tail {
        append_tail(&mut file, &tail)?;
        fs::remove_file(&tail_path)?;
    }
    let _ = fs::remove_file(tail_path.with_extension("tail.new"));
    let length = file.metadata()?.len();
    let (cut, mark) = last_mark(&mut file)?.map_or((0, 0), |(_, cut)| (cut, mark(cut).len() as u64));
    file.seek(SeekFrom::Start(length.saturating_sub(REMEMBERED as u64)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let last_lines = traceback::last_lines(&plain(&String::from_utf8_lossy(&end)), LAST_LINES).map(str::to_owned);
    let bytes = length.saturating_sub(mark) + cut;
    Ok((OutputSummary { file: Some(file_name.to_owned()), bytes, cut }, last_lines))
}

fn append_tail(file: &mut File, tail: &[u8]) -> io::Result<()> {
    // A saved end without its mark was torn by the machine's death and says nothing.
    let Some((saved_cut, mark)) = read_mark(tail) else { return Ok(()) };
    let ring = (tail.len() - mark) as u64;
    // A smaller number stands in what the script printed.
    if let Some((at, cut)) = last_mark(file)?.filter(|(_, cut)| *cut >= saved_cut) {
        let behind = file.metadata()?.len() - at - self::mark(cut).len() as u64;
        // An end is always as long as it may be: this one is whole, and newer than the saved one.
        if behind == ring {
            return Ok(());
        }
        if behind < ring {
            file.set_len(at)?;
        }
    }
    file.seek(SeekFrom::End(0))?;
    file.write_all(tail)
}

/// The number in a mark that `text` begins with, and the mark's length.
fn read_mark(text: &[u8]) -> Option<(u64, usize)> {
    let start = &text[..text.len().min(LONGEST_MARK)];
    let number = start.strip_prefix(MARK_START.as_bytes())?;
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let cut = std::str::from_utf8(&number[..digits]).ok()?.parse().ok()?;
    let mark = mark(cut);
    start.starts_with(mark.as_bytes()).then_some((cut, mark.len()))
}

/// The place and the number of the last mark in a file.
fn last_mark(file: &mut File) -> io::Result<Option<(u64, u64)>> {
    file.rewind()?;
    let (mut found, mut window, mut begin) = (None, Vec::new(), 0_u64);
    let mut piece = vec![0; PIECE];
    loop {
        let length = file.read(&mut piece)?;
        window.extend_from_slice(&piece[..length]);
        // A mark that may go on in the next piece is left for it.
        let whole = if length == 0 { window.len() } else { window.len().saturating_sub(LONGEST_MARK) };
        for at in (0..whole).filter(|&at| window[at] == b'\n') {
            if let Some((cut, _)) = read_mark(&window[at..]) {
                found = Some((begin + at as u64, cut));
            }
        }
        if length == 0 {
            return Ok(found);
        }
        window.drain(..whole);
        begin += whole as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Stream;
    use crate::exec::Capture;
    use crate::model::OutputPolicy;

    fn captured(dir: &Path, first: u64, last: u64, text: &[u8], save: bool) -> Capture {
        let mut capture = Capture::new(dir, "a.out".into(), &OutputPolicy { first, last, ..OutputPolicy::default() });
        capture.push(Stream::Stdout, text);
        if save && capture.needs_checkpoint() {
            capture.checkpoint();
        }
        capture
    }

    #[test]
    fn nothing_printed_is_nothing_kept() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(settle_output(dir.path(), "a.out").unwrap(), (OutputSummary::default(), None));
    }

    #[test]
    fn a_short_output_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        std::mem::forget(captured(dir.path(), 100, 100, b"one\r\ntwo\n", true));
        let (summary, last) = settle_output(dir.path(), "a.out").unwrap();
        assert_eq!(summary, OutputSummary { file: Some("a.out".into()), bytes: 9, cut: 0 });
        assert_eq!(last.as_deref(), Some("one\ntwo"));
    }

    #[test]
    fn an_end_that_was_saved_but_torn_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        std::mem::forget(captured(dir.path(), 4, 4, b"abcdefghijkl", true));
        fs::write(dir.path().join("a.out.tail"), "\n[… 4 by").unwrap();
        let (summary, _) = settle_output(dir.path(), "a.out").unwrap();
        assert_eq!(summary.bytes, 4);
        assert!(!dir.path().join("a.out.tail").exists());
    }

    proptest! {
        /// Whatever was done of it before, by the runner at its end or by a recovery, the result is the same.
        #[test]
        fn it_may_break_off_anywhere(
            first in 0u64..40, last in 1u64..40, text in proptest::collection::vec(any::<u8>(), 81..200), done in 0usize..200,
        ) {
            let dir = tempfile::tempdir().unwrap();
            std::mem::forget(captured(dir.path(), first, last, &text, true));
            let path = dir.path().join("a.out");
            let tail = fs::read(dir.path().join("a.out.tail")).unwrap();
            // The mark goes in one piece.
            let (_, mark) = read_mark(&tail).unwrap();
            let done = if done < mark { 0 } else { done.min(tail.len()) };
            let mut begun = fs::read(&path).unwrap();
            begun.extend_from_slice(&tail[..done]);
            fs::write(&path, &begun).unwrap();
            for _ in 0..2 {
                let (summary, _) = settle_output(dir.path(), "a.out").unwrap();
                let cut = text.len() as u64 - first - last;
                prop_assert_eq!(summary, OutputSummary { file: Some("a.out".into()), bytes: text.len() as u64, cut });
                let kept = fs::read(&path).unwrap();
                prop_assert!(kept.starts_with(&text[..usize::try_from(first).unwrap()]));
                prop_assert!(kept.ends_with(&text[text.len() - usize::try_from(last).unwrap()..]));
                prop_assert_eq!(kept.len(), begun.len() - done + tail.len());
            }
        }
    }
}

//! What is kept of a script's output, read on while the script runs.
//!
//! The form is [`Capture`](crate::exec::Capture)'s: all of it in one file, up to a limit. Past that the file is cut back
//! to its first part; the end stands behind a mark in a file beside it (`….tail`), which is renewed while the script runs
//! and stays if the runner dies, and in the file itself once the script has ended.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::model::{OutputSummary, format_size};

const PIECE: usize = 64 * 1024;

/// Takes pieces of output.
pub(super) type Take<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// How far one script's output has been read.
#[derive(Debug, Default)]
pub(super) struct KeptOutput {
    /// Bytes of what the script printed, those that were left out included.
    position: u64,
}

impl KeptOutput {
    /// Hands on what came since the last time. `ended` is what is known of the whole, if the runner saw its end. False if
    /// there is no such file.
    pub(super) fn read_on(&mut self, path: &Path, ended: Option<&OutputSummary>, take: Take) -> io::Result<bool> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match ended {
            // Whole, or read from its beginning: the mark stands where it belongs.
            Some(summary) if summary.cut == 0 || self.position == 0 => {
                self.position += copy(&file, self.position, take)?;
            }
            Some(summary) => self.rest_of_cut(&file, summary, take)?,
            None => {
                self.position += copy(&file, self.position, take)?;
                self.saved_end(path, take)?;
            }
        }
        Ok(true)
    }

    /// The end that the runner saved while the script ran.
    fn saved_end(&mut self, path: &Path, take: Take) -> io::Result<()> {
        let mut tail_path = path.as_os_str().to_owned();
        tail_path.push(".tail");
        let mut tail = match File::open(&tail_path) {
            Ok(tail) => tail,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some((cut, mark)) = mark_of(&mut tail)? else { return Ok(()) };
        // While there is a saved end, the file is its first part.
        let begin = std::fs::metadata(path)?.len() + cut;
        let known = self.position.saturating_sub(begin);
        let mut new = Vec::new();
        tail.seek(SeekFrom::Start(mark + known))?;
        tail.read_to_end(&mut new)?;
        // What was renewed meanwhile is looked at the next time.
        tail.seek(SeekFrom::Start(0))?;
        if new.is_empty() || mark_of(&mut tail)? != Some((cut, mark)) {
            return Ok(());
        }
        self.skip_to(begin, take)?;
        self.position += new.len() as u64;
        take(&new)
    }

    /// What is new of an output that was cut and is complete.
    fn rest_of_cut(&mut self, file: &File, summary: &OutputSummary, take: Take) -> io::Result<()> {
        let Some(first) = find(file, mark_start(summary.cut).as_bytes())? else { return Ok(()) };
        if self.position <= first {
            self.position += copy(file, self.position, take)?;
            return Ok(());
        }
        self.skip_to(first + summary.cut, take)?;
        let length = file.metadata()?.len();
        let missing = summary.bytes.saturating_sub(self.position);
        self.position += copy(file, length.saturating_sub(missing), take)?;
        Ok(())
    }

    /// Says what will never be seen.
    fn skip_to(&mut self, position: u64, take: Take) -> io::Result<()> {
        if position > self.position {
            let gap = position - self.position;
            self.position = position;
            take(format!("{}{}) of output left out here …]\n", mark_start(gap), format_size(gap)).as_bytes())?;
        }
        Ok(())
    }
}

fn mark_start(cut: u64) -> String {
    format!("\n[… {cut} bytes (")
}

/// The number in the mark that a saved end begins with, and how long the mark is.
fn mark_of(tail: &mut File) -> io::Result<Option<(u64, u64)>> {
    let mut start = [0; 128];
    let mut length = 0;
    loop {
        let read = tail.read(&mut start[length..])?;
        length += read;
        if read == 0 || length == start.len() {
            break;
        }
    }
    let text = String::from_utf8_lossy(&start[..length]);
    let Some(line) = text.strip_prefix('\n').and_then(|text| text.split_once('\n')).map(|(line, _)| line) else {
        return Ok(None);
    };
    let number = line.strip_prefix("[… ").and_then(|line| line.split(' ').next()).and_then(|text| text.parse().ok());
    let mark = line.len() as u64 + 2;
    Ok(number.map(|cut| (cut, mark)))
}

/// Where `text` begins in a file.
fn find(mut file: &File, text: &[u8]) -> io::Result<Option<u64>> {
    file.seek(SeekFrom::Start(0))?;
    let (mut window, mut begin, mut piece) = (Vec::new(), 0, vec![0; PIECE]);
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            return Ok(None);
        }
        window.extend_from_slice(&piece[..length]);
        if let Some(at) = window.windows(text.len()).position(|part| part == text) {
            return Ok(Some(begin + at as u64));
        }
        // The text may lie across two pieces.
        let known = window.len().saturating_sub(text.len());
        window.drain(..known);
        begin += known as u64;
    }
}

/// Hands on a file from a place to its end; how many bytes that were.
fn copy(mut file: &File, from: u64, take: Take) -> io::Result<u64> {
    file.seek(SeekFrom::Start(from))?;
    let (mut copied, mut piece) = (0, vec![0; PIECE]);
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            return Ok(copied);
        }
        take(&piece[..length])?;
        copied += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stream;
    use crate::exec::Capture;
    use crate::model::OutputPolicy;

    /// A script that prints numbers, and somebody who reads along.
    struct Lab {
        dir: tempfile::TempDir,
        capture: Option<Capture>,
        kept: KeptOutput,
        seen: Vec<u8>,
    }

    impl Lab {
        fn new(first: u64, last: u64) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let policy = OutputPolicy { first, last, ..OutputPolicy::default() };
            let capture = Some(Capture::new(dir.path(), "a.out".into(), &policy));
            Self { dir, capture, kept: KeptOutput::default(), seen: Vec::new() }
        }

        fn print(&mut self, text: &str) -> &mut Self {
            self.capture.as_mut().unwrap().push(Stream::Stdout, text.as_bytes());
            self
        }

        fn save(&mut self) -> &mut Self {
            self.capture.as_mut().unwrap().checkpoint();
            self
        }

        fn read(&mut self, ended: Option<&OutputSummary>) -> &mut Self {
            let seen = &mut self.seen;
            let path = self.dir.path().join("a.out");
            let mut take = |bytes: &[u8]| {
                seen.extend_from_slice(bytes);
                Ok(())
            };
            self.kept.read_on(&path, ended, &mut take).unwrap();
            self
        }

        fn end(&mut self) -> &mut Self {
            let (summary, error) = self.capture.take().unwrap().finish();
            assert_eq!(error, None);
            self.read(Some(&summary))
        }

        fn seen(&self) -> &str {
            std::str::from_utf8(&self.seen).unwrap()
        }
    }

    const LEFT_OUT: &str = "bytes (4 B) of output left out here …]\n";

    #[test]
    fn what_is_not_cut_is_read_as_it_comes() {
        let mut lab = Lab::new(100, 100);
        assert_eq!(lab.read(None).print("one\n").read(None).read(None).seen(), "one\n");
        assert_eq!(lab.print("two").read(None).print("\n").end().seen(), "one\ntwo\n");
    }

    #[test]
    fn a_reader_who_keeps_up_misses_nothing() {
        let mut lab = Lab::new(4, 4);
        lab.print("abcdefgh").read(None).print("ij").save().read(None);
        assert_eq!(lab.seen(), "abcdefghij");
        lab.print("klm").save().read(None).read(None).print("no").end();
        assert_eq!(lab.seen(), "abcdefghijklmno");
    }

    #[test]
    fn what_was_missed_is_marked() {
        let mut lab = Lab::new(4, 4);
        lab.print("abcdefghijkl").read(None);
        assert_eq!(lab.seen(), "abcd", "the end is not saved yet");
        lab.save().read(None).print("mnopqrst").end();
        assert_eq!(lab.seen(), format!("abcd\n[… 4 {LEFT_OUT}ijkl\n[… 4 {LEFT_OUT}qrst"));
    }

    #[test]
    fn who_comes_late_sees_the_mark_in_its_place() {
        let mut lab = Lab::new(4, 4);
        assert_eq!(lab.print("abcdefghijkl").end().seen(), format!("abcd\n[… 4 {LEFT_OUT}ijkl"));
        let mut lab = Lab::new(6, 2);
        lab.print("abc").read(None).print("defghijkl").end();
        assert_eq!(lab.seen(), format!("abcdef\n[… 4 {LEFT_OUT}kl"));
    }

    #[test]
    fn a_runner_that_died_leaves_the_last_words() {
        let mut lab = Lab::new(4, 4);
        lab.print("abcdefghijkl").save();
        std::mem::forget(lab.capture.take());
        assert_eq!(lab.read(None).seen(), format!("abcd\n[… 4 {LEFT_OUT}ijkl"));
    }

    #[test]
    fn a_half_written_end_waits_for_the_rest() {
        let mut lab = Lab::new(4, 4);
        lab.print("abcdefghijkl").save();
        std::fs::write(lab.dir.path().join("a.out.tail"), "\n[… 4 by").unwrap();
        assert_eq!(lab.read(None).seen(), "abcd");
        assert_eq!(lab.save().read(None).seen(), format!("abcd\n[… 4 {LEFT_OUT}ijkl"));
    }

    #[test]
    fn a_mark_across_two_pieces_is_found() {
        let dir = tempfile::tempdir().unwrap();
        for before in [PIECE - 5, PIECE - 1, PIECE, 2 * PIECE - 3] {
            let path = dir.path().join("x");
            std::fs::write(&path, [vec![b'x'; before], b"\n[mark]".to_vec()].concat()).unwrap();
            assert_eq!(find(&File::open(&path).unwrap(), b"\n[mark]").unwrap(), Some(before as u64));
        }
    }
}

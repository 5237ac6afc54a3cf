//! Keeping what a script prints, in bounded memory and on bounded disk: the beginning and the end of it.
//!
//! Up to `first + last` bytes everything is appended to the script's output file as it arrives. Past that the file is
//! cut back to its first part, the end goes round in a ring in memory, and the ring is saved now and then to a file
//! beside it (`….tail`), so that a runner that is killed leaves the last words of its script. When the script ends, the
//! ring is appended behind a mark that says how much was left out.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::kept::{self, mark};
use super::traceback;
use crate::event::Stream;
use crate::model::{OutputPolicy, OutputSummary};

/// Bytes of standard error that are remembered for the traceback.
pub(super) const REMEMBERED: usize = 16 * 1024;
/// Lines shown of a failure that has no traceback.
pub(super) const LAST_LINES: usize = 20;

/// Takes what one attempt at a script prints.
pub struct Capture {
    file_path: PathBuf,
    file_name: String,
    first: u64,
    last: usize,
    file: Option<File>,
    total: u64,
    /// Bytes that stand in the file.
    kept: u64,
    ring: Option<Ring>,
    stderr: Tail,
    all: Tail,
    error: Option<io::Error>,
}

/// The last bytes of a stream, in a circle.
struct Ring {
    bytes: Vec<u8>,
    at: usize,
    saved: bool,
}

/// The last [`REMEMBERED`] bytes of a stream.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        if bytes.len() >= REMEMBERED {
            self.0.clear();
            self.0.extend_from_slice(&bytes[bytes.len() - REMEMBERED..]);
            return;
        }
        // Trimmed only when twice too long, so that many small pieces don't move the rest each time.
        if self.0.len() + bytes.len() > 2 * REMEMBERED {
            let surplus = self.0.len() + bytes.len() - REMEMBERED;
            self.0.drain(..surplus.min(self.0.len()));
        }
        self.0.extend_from_slice(bytes);
    }

    fn text(&self) -> String {
        let from = self.0.len().saturating_sub(REMEMBERED);
        String::from_utf8_lossy(&self.0[from..]).into_owned()
    }
}

impl Capture {
    /// Captures into `run_dir/file_name`, which is made when the first byte arrives.
    #[must_use]
    pub fn new(run_dir: &std::path::Path, file_name: String, policy: &OutputPolicy) -> Self {
        Self {
            file_path: run_dir.join(&file_name),
            file_name,
            first: policy.first,
            last: usize::try_from(policy.last).unwrap_or(usize::MAX),
            file: None,
            total: 0,
            kept: 0,
            ring: None,
            stderr: Tail::default(),
            all: Tail::default(),
            error: None,
        }
    }

    /// Takes a piece. A disk that can't take it is remembered and reported by [`Capture::finish`]; the rest of the
    /// output is still read, so that the script doesn't stall.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        if stream == Stream::Stderr {
            self.stderr.push(bytes);
        } else {
            self.all.push(bytes);
        }
        if self.error.is_some() {
            return;
        }
        let kept = match &mut self.ring {
            Some(ring) => {
                ring.push(bytes);
                Ok(())
            }
            None => self.append(bytes),
        };
        if let Err(error) = kept {
            self.error = Some(error);
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let path = &self.file_path;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(OpenOptions::new().create_new(true).read(true).write(true).open(path)?),
        };
        file.write_all(bytes)?;
        self.kept += bytes.len() as u64;
        if self.total > self.first.saturating_add(self.last as u64) {
            let mut ring = Ring { bytes: vec![0; self.last], at: 0, saved: true };
            file.seek(SeekFrom::Start(self.total - self.last as u64))?;
            file.read_exact(&mut ring.bytes)?;
            ring.saved = false;
            file.set_len(self.first)?;
            file.seek(SeekFrom::Start(self.first))?;
            self.kept = self.first;
            self.ring = Some(ring);
        }
        Ok(())
    }

    /// Whether [`Capture::checkpoint`] has something to save.
    #[must_use]
    pub fn needs_checkpoint(&self) -> bool {
        self.error.is_none() && self.ring.as_ref().is_some_and(|ring| !ring.saved)
    }

    /// Saves the end that is so far only in memory.
    pub fn checkpoint(&mut self) {
        let cut = self.cut();
        let path = self.tail_path();
        if let Some(ring) = &mut self.ring {
            // Under its name only once it is whole, so that a runner that is killed leaves the one before.
            let unfinished = path.with_extension("tail.new");
            let saved = File::create(&unfinished)
                .and_then(|mut file| ring.write_to(cut, &mut file))
                .and_then(|()| std::fs::rename(&unfinished, &path));
            // One that fails is tried again with the next: on Windows whoever reads the file just then keeps it from being
            // replaced, and a full disk says so at the end, when it can't take the output itself.
            ring.saved = saved.is_ok();
        }
    }

    fn tail_path(&self) -> PathBuf {
        kept::tail_path(&self.file_path)
    }

    fn cut(&self) -> u64 {
        match &self.ring {
            Some(_) => self.total - self.first - self.last as u64,
            None => 0,
        }
    }

    /// The Python traceback on standard error, if there is one.
    #[must_use]
    pub fn traceback(&self) -> Option<String> {
        traceback::find(&plain(&self.stderr.text())).map(str::to_owned)
    }

    /// The last lines of standard error or, if nothing stands there, of standard output.
    #[must_use]
    pub fn last_lines(&self) -> Option<String> {
        [&self.stderr, &self.all]
            .into_iter()
            .find_map(|tail| traceback::last_lines(&plain(&tail.text()), LAST_LINES).map(str::to_owned))
    }

    /// Puts beginning and end together. The error is the first that the disk gave, with the file's path.
    pub fn finish(mut self) -> (OutputSummary, Option<String>) {
        let cut = self.cut();
        if self.error.is_none()
            && let (Some(ring), Some(file)) = (&self.ring, &mut self.file)
        {
            if let Err(error) = ring.write_to(cut, file) {
                self.error = Some(error);
            } else {
                self.kept += self.last as u64;
                // It exists only if a checkpoint was made; what it holds now stands in the file itself.
                let _ = std::fs::remove_file(self.tail_path());
            }
        }
        let file = self.file.is_some().then(|| self.file_name.clone());
        // What the disk didn't take is left out, too.
        let summary = OutputSummary { file, bytes: self.total, cut: self.total - self.kept };
        let error = self.error.take().map(|error| {
            format!("cannot keep the output in {}: {error}; the script ran on without it", self.file_path.display())
        });
        (summary, error)
    }
}

impl Ring {
    fn push(&mut self, bytes: &[u8]) {
        self.saved = false;
        let capacity = self.bytes.len();
        let bytes = &bytes[bytes.len().saturating_sub(capacity)..];
        let (now, rest) = bytes.split_at(bytes.len().min(capacity - self.at));
        self.bytes[self.at..self.at + now.len()].copy_from_slice(now);
        self.bytes[..rest.len()].copy_from_slice(rest);
        if capacity > 0 {
            self.at = (self.at + bytes.len()) % capacity;
        }
    }

    fn write_to(&self, cut: u64, file: &mut File) -> io::Result<()> {
        file.write_all(mark(cut).as_bytes())?;
        file.write_all(&self.bytes[self.at..])?;
        file.write_all(&self.bytes[..self.at])
    }
}

/// Text as a report shows it: line ends are `\n`, a line that was overwritten with a carriage return (a progress bar)
/// shows its last state, terminal colours are left out.
pub(super) fn plain(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string().replace("\r\n", "\n");
    let lines: Vec<&str> = text.split('\n').map(|line| line.rsplit('\r').next().unwrap_or(line)).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(first: u64, last: u64) -> OutputPolicy {
        OutputPolicy { first, last, ..OutputPolicy::default() }
    }

    #[test]
    fn nothing_printed_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let (summary, error) = Capture::new(dir.path(), "a.out".into(), &policy(4, 4)).finish();
        assert_eq!((summary, error), (OutputSummary::default(), None));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_killed_runner_leaves_the_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut capture = Capture::new(dir.path(), "a.out".into(), &policy(3, 3));
        capture.push(Stream::Stdout, b"abcdefghijkl");
        assert!(capture.needs_checkpoint());
        capture.checkpoint();
        assert!(!capture.needs_checkpoint());
        std::mem::forget(capture);
        assert_eq!(std::fs::read(dir.path().join("a.out")).unwrap(), b"abc");
        let tail = std::fs::read_to_string(dir.path().join("a.out.tail")).unwrap();
        assert!(tail.ends_with("6 bytes (6 B) of output left out here …]\njkl"), "{tail}");
    }

    #[test]
    fn a_save_that_fails_is_tried_again_and_costs_nothing_of_the_output() {
        let dir = tempfile::tempdir().unwrap();
        let tail = dir.path().join("a.out.tail");
        // A folder can't be replaced by a file on any system, as a file that somebody reads can't on Windows.
        std::fs::create_dir(&tail).unwrap();
        let mut capture = Capture::new(dir.path(), "a.out".into(), &policy(3, 3));
        capture.push(Stream::Stdout, b"abcdefghijkl");
        capture.checkpoint();
        assert!(capture.needs_checkpoint());
        std::fs::remove_dir(&tail).unwrap();
        capture.checkpoint();
        assert!(!capture.needs_checkpoint());
        assert!(std::fs::read_to_string(&tail).unwrap().ends_with("]\njkl"));
        let (summary, error) = capture.finish();
        assert_eq!((summary.bytes, summary.cut, error), (12, 6, None));
    }

    #[test]
    fn colours_and_progress_bars_do_not_reach_reports() {
        let dir = tempfile::tempdir().unwrap();
        let mut capture = Capture::new(dir.path(), "a.out".into(), &OutputPolicy::default());
        capture.push(Stream::Stderr, b" 1%\r 50%\r100%\r\n\x1b[31mno such host\x1b[0m\r\n");
        assert_eq!(capture.last_lines().as_deref(), Some("100%\nno such host"));
    }

    proptest! {
        #[test]
        fn beginning_and_end_are_kept_whatever_the_pieces(
            first in 0u64..40, last in 0u64..40,
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..30), 0..20),
            checkpoints in any::<bool>(),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut capture = Capture::new(dir.path(), "a.out".into(), &policy(first, last));
            for piece in &pieces {
                capture.push(Stream::Stdout, piece);
                if checkpoints && capture.needs_checkpoint() {
                    capture.checkpoint();
                }
            }
            let all = pieces.concat();
            let (summary, error) = capture.finish();
            prop_assert_eq!(error, None);
            prop_assert_eq!(summary.bytes, all.len() as u64);
            prop_assert!(!dir.path().join("a.out.tail").exists());
            if all.is_empty() {
                prop_assert_eq!(summary.file, None);
                return Ok(());
            }
            let kept = std::fs::read(dir.path().join("a.out")).unwrap();
            let room = usize::try_from(first + last).unwrap();
            if all.len() <= room {
                prop_assert_eq!(summary.cut, 0);
                prop_assert_eq!(kept, all);
            } else {
                prop_assert_eq!(summary.cut, (all.len() - room) as u64);
                let (first, last) = (usize::try_from(first).unwrap(), usize::try_from(last).unwrap());
                prop_assert!(kept.starts_with(&all[..first]));
                prop_assert!(kept.ends_with(&all[all.len() - last..]));
            }
        }
    }
}

//! The run's `events.jsonl`: the truth of the run. Each event is one write, nothing is buffered between events, so
//! that a runner that is killed loses nothing that happened before.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::event::{EVENTS_FILE, EventSink, RunEvent, SinkError};

/// Bytes read at a time when a torn line's beginning is looked for.
const STEP: u64 = 8 * 1024;

/// Appends a run's events to its `events.jsonl`.
pub struct EventsFile {
    path: PathBuf,
    file: File,
    line: Vec<u8>,
    /// Whether the last write failed, and may have left a part of its line.
    torn: bool,
}

impl EventsFile {
    /// The file's name in the run's folder.
    pub const NAME: &'static str = EVENTS_FILE;

    /// Opens, or makes, the file in the folder of a run. If the last line is torn, because a runner died while it wrote
    /// it, that line is cut off, so that what follows can be read. There may be one writer at a time.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(run_dir: &Path) -> Result<Self, SinkError> {
        let path = run_dir.join(Self::NAME);
        let open = || {
            let file = File::options().append(true).create(true).open(&path)?;
            cut_torn_line(&path)?;
            Ok(file)
        };
        match open() {
            Ok(file) => Ok(Self { path, file, line: Vec::new(), torn: false }),
            Err(error) => Err(failed("open", &path, error)),
        }
    }

    /// Waits until everything written is on the disk.
    ///
    /// # Errors
    /// When the system can't promise it.
    pub fn sync(&self) -> Result<(), SinkError> {
        self.file.sync_data().map_err(|error| failed("sync", &self.path, error))
    }

    fn append(&mut self) -> io::Result<()> {
        if self.torn {
            cut_torn_line(&self.path)?;
        }
        self.torn = true;
        let written = self.file.write_all(&self.line);
        // A full disk took a part of the line, and this may be the last event.
        self.torn = written.is_err() && cut_torn_line(&self.path).is_err();
        written
    }
}

impl EventSink for EventsFile {
    fn on_event(&mut self, event: &RunEvent) -> Result<(), SinkError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, event).map_err(|error| failed("write to", &self.path, error.into()))?;
        self.line.push(b'\n');
        self.append().map_err(|error| failed("write to", &self.path, error))
    }
}

fn failed(verb: &str, path: &Path, error: io::Error) -> SinkError {
    SinkError::new(format!("cannot {verb} the run's events in {}", path.display()), error)
}

/// Cuts off what comes after the last newline. The file is opened anew, since one that is open for appending can't be
/// cut on Windows.
fn cut_torn_line(path: &Path) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let mut chunk = Vec::new();
    let mut end = length;
    while end > 0 {
        // The last byte alone tells whether there is anything to do.
        let start = if end == length { end - 1 } else { end.saturating_sub(STEP) };
        file.seek(SeekFrom::Start(start))?;
        chunk.clear();
        (&file).take(end - start).read_to_end(&mut chunk)?;
        if let Some(newline) = chunk.iter().rposition(|&byte| byte == b'\n') {
            end = start + newline as u64 + 1;
            break;
        }
        end = start;
    }
    if end == length { Ok(()) } else { file.set_len(end) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::event::EventKind;

    fn warning(message: &str) -> RunEvent {
        RunEvent::now(EventKind::Warning { message: message.to_owned() })
    }

    fn read(folder: &Path) -> Vec<RunEvent> {
        let text = fs::read_to_string(folder.join(EventsFile::NAME)).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn every_event_is_in_the_file_as_soon_as_it_happened() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventsFile::open(folder.path()).unwrap();
        let mut expected = Vec::new();
        for message in ["one\nline", "", "été", &"long".repeat(10_000)] {
            expected.push(warning(message));
            events.on_event(expected.last().unwrap()).unwrap();
            assert_eq!(read(folder.path()), expected);
        }
        events.sync().unwrap();
        drop(events);
        EventsFile::open(folder.path()).unwrap().on_event(&expected[0].clone()).unwrap();
        expected.push(expected[0].clone());
        assert_eq!(read(folder.path()), expected, "opened again, it is appended to");
    }

    #[test]
    fn what_follows_a_torn_line_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(EventsFile::NAME);
        let whole = [warning("a"), warning(&"b".repeat(20_000)), warning("c")];
        let texts = whole.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect::<String>();
        for cut in [1, 10, 70, 71, 80, 19_000, texts.len() - 1, texts.len()] {
            fs::write(&path, &texts[..texts.len() - cut]).unwrap();
            let kept = texts[..texts.len() - cut].matches('\n').count();
            EventsFile::open(folder.path()).unwrap().on_event(&warning("next")).unwrap();
            let found = read(folder.path());
            assert_eq!(found[..kept], whole[..kept], "{cut}");
            assert_eq!(found.len(), kept + 1, "{cut}");
        }
    }

    #[test]
    fn a_missing_folder_is_told_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let error = EventsFile::open(&folder.path().join("nowhere")).err().unwrap();
        assert!(error.sentence().contains("nowhere"), "{}", error.sentence());
    }

    proptest! {
        #[test]
        fn whole_lines_are_never_cut(text in "[a\n]{0,40}") {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x");
            fs::write(&path, &text).unwrap();
            cut_torn_line(&path).unwrap();
            let expected = text.rfind('\n').map_or("", |at| &text[..=at]);
            prop_assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        }
    }
}

//! The whole output of scripts as files that go with the mail: named so that every system can save them, compressed when
//! they are large, and never so much that servers refuse the mail. Reads the run's folder, writes nothing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Attachment;
use super::render::one_line;
use crate::model::{AttachOutput, Outcome, RunReport, ScriptReport, format_size};

/// From this size on an output is compressed.
const COMPRESSED_FROM: u64 = 1024 * 1024;
/// Bytes of all attachments together, before they are encoded for the mail, which makes them 4/3 as long and adds line ends:
/// 8.9 MB then, so that the whole mail has less than 10 MB. Postfix takes 10,240,000 bytes unless somebody has set another
/// limit; Exchange Online takes 35 MB, Gmail 25 MB.
const TOTAL: usize = 6_500_000;
/// Nor more of them: a mail is no archive.
const MOST: usize = 50;

/// The output that goes with a mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttachedOutput {
    /// Failures first, otherwise in running order.
    pub attachments: Vec<Attachment>,
    /// What was left out, and why: a sentence each, for the report's warnings.
    pub left_out: Vec<String>,
}

/// Reads the output of the scripts that are wanted from the run's folder.
#[must_use]
pub fn attached_output(report: &RunReport, wanted: AttachOutput) -> AttachedOutput {
    collect(report, wanted, TOTAL)
}

fn collect(report: &RunReport, wanted: AttachOutput, total: usize) -> AttachedOutput {
    let failed = |script: &&ScriptReport| script.outcome.as_ref().is_some_and(Outcome::is_failure);
    let (failures, others): (Vec<_>, Vec<_>) = report.scripts.iter().partition(failed);
    let scripts = match wanted {
        AttachOutput::Never => Vec::new(),
        AttachOutput::Failure => failures,
        AttachOutput::Always => [failures, others].concat(),
    };
    let mut found = AttachedOutput::default();
    let mut room = total;
    for script in scripts {
        let Some(file) = &script.output.file else { continue };
        let read = if found.attachments.len() < MOST { read(&report.run_dir.join(file), room) } else { Ok(None) };
        match read {
            Ok(Some((bytes, ending, media_type))) => {
                room -= bytes.len();
                let name = free_name(&found.attachments, &script.name, ending);
                found.attachments.push(Attachment { name, media_type, bytes });
            }
            Ok(None) => found.left_out.push(format!(
                "the output of {} ({}) is too much to go with the mail; it is {} in the run's folder",
                one_line(&script.name, 80),
                format_size(script.output.bytes),
                one_line(file, 80),
            )),
            Err(error) => found.left_out.push(format!(
                "the output of {} could not be read, and doesn't go with the mail: {error}",
                one_line(&script.name, 80)
            )),
        }
    }
    found
}

type Found = (Vec<u8>, &'static str, &'static str);

/// The file's bytes, the ending of its name and its media type; `None` if that would be more than there is room for.
fn read(path: &Path, room: usize) -> io::Result<Option<Found>> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() > COMPRESSED_FROM {
        let mut encoder = GzEncoder::new(Bounded { bytes: Vec::new(), room }, Compression::default());
        return match io::copy(&mut file, &mut encoder).and_then(|_| encoder.finish()) {
            Ok(bounded) => Ok(Some((bounded.bytes, ".txt.gz", "application/gzip"))),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Ok(None),
            Err(error) => Err(error),
        };
    }
    let mut bytes = Vec::new();
    file.take(COMPRESSED_FROM).read_to_end(&mut bytes)?;
    let is_text = std::str::from_utf8(&bytes).is_ok();
    let (ending, media_type) =
        if is_text { (".txt", "text/plain; charset=utf-8") } else { (".out", "application/octet-stream") };
    Ok(Some((bytes, ending, media_type)).filter(|(bytes, ..)| bytes.len() <= room))
}

/// Takes so many bytes and no more, so that nothing is compressed to the end that can't go with the mail.
struct Bounded {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The script's name as that of a file that every system can save, and that no other attachment has.
fn free_name(taken: &[Attachment], script: &str, ending: &str) -> String {
    let fit = |c: char| if r#"<>:"/\|?*"#.contains(c) { '_' } else { c };
    let name: String = one_line(script, 80).chars().map(fit).collect();
    let name = name.trim_matches(['.', ' ']);
    let name = if name.is_empty() { "output" } else { name };
    let is_free = |name: &String| !taken.iter().any(|other| other.name.eq_ignore_ascii_case(name));
    let numbered = (2..).map(|number| format!("{name} ({number}){ending}"));
    std::iter::once(format!("{name}{ending}")).chain(numbered).find(is_free).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::render::samples::{exit, report, success};

    /// A run of three scripts, the second of which failed, with these outputs.
    fn run(folder: &Path, outputs: [&[u8]; 3]) -> RunReport {
        let mut report = report("P", vec![success(), exit(1), success()]);
        report.run_dir = folder.to_path_buf();
        for (script, output) in report.scripts.iter_mut().zip(outputs) {
            script.output.file = (!output.is_empty()).then(|| format!("{:04}.out", script.index));
            script.output.bytes = output.len() as u64;
            if let Some(file) = &script.output.file {
                std::fs::write(folder.join(file), output).unwrap();
            }
        }
        report
    }

    fn names(found: &AttachedOutput) -> Vec<&str> {
        found.attachments.iter().map(|attachment| attachment.name.as_str()).collect()
    }

    #[test]
    fn what_is_wanted_is_attached_failures_first() {
        let folder = tempfile::tempdir().unwrap();
        let report = run(folder.path(), [b"one\r\n", b"two\n", b""]);
        assert_eq!(attached_output(&report, AttachOutput::Never), AttachedOutput::default());
        let found = attached_output(&report, AttachOutput::Failure);
        let expected = Attachment {
            name: "script_1.py.txt".to_owned(),
            media_type: "text/plain; charset=utf-8",
            bytes: b"two\n".to_vec(),
        };
        assert_eq!(found, AttachedOutput { attachments: vec![expected], left_out: vec![] });
        assert_eq!(names(&attached_output(&report, AttachOutput::Always)), ["script_1.py.txt", "script_0.py.txt"]);
    }

    #[test]
    fn more_than_a_mebibyte_is_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let large = b"0123456789\n".repeat(100_000);
        let report = run(folder.path(), [&large, &large[..1024 * 1024], b"\xff\xfe"]);
        let found = attached_output(&report, AttachOutput::Always);
        assert_eq!(names(&found), ["script_1.py.txt", "script_0.py.txt.gz", "script_2.py.out"]);
        let compressed = &found.attachments[1];
        assert_eq!(compressed.media_type, "application/gzip");
        assert!(compressed.bytes.len() < large.len() / 10);
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(compressed.bytes.as_slice()).read_to_end(&mut text).unwrap();
        assert!(text == large);
        assert_eq!(found.attachments[2].media_type, "application/octet-stream");
    }

    #[test]
    fn a_mail_with_all_that_may_go_along_is_one_that_servers_take() {
        use crate::mail::{Addressing, RenderContext, finish, render};
        use crate::model::{EmailStrategy, MailOptions};
        let folder = tempfile::tempdir().unwrap();
        let full: Vec<_> = (0..60).map(|_| exit(1)).collect();
        let mut report = report("P", full);
        report.run_dir = folder.path().to_path_buf();
        for script in &mut report.scripts {
            let file = format!("{:04}.out", script.index);
            std::fs::write(folder.path().join(&file), "0123456789abcde\n".repeat(8000)).unwrap();
            script.output.bytes = 128_000;
            script.output.file = Some(file);
            script.last_lines = Some("a last line as long as a line of a log often is\n".repeat(40));
        }
        let found = attached_output(&report, AttachOutput::Always);
        assert_eq!((found.attachments.len(), found.left_out.len()), (50, 10));
        let rendered = render(&report, EmailStrategy::All, &RenderContext::default());
        let (from, recipients, options) =
            ("r@example.com".parse().unwrap(), ["a@example.com".to_owned()], MailOptions::default());
        let addressing = Addressing { from: &from, recipients: &recipients, options: &options, conversation: None };
        let message = finish(&report, &rendered, &addressing, &found.attachments, std::time::SystemTime::UNIX_EPOCH);
        let size = message.unwrap().bytes.len();
        assert!((8_000_000..10_000_000).contains(&size), "{size}");
    }

    #[test]
    fn what_is_too_much_or_gone_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let report = run(folder.path(), [b"small", b"too much to go with it", b"gone"]);
        std::fs::remove_file(folder.path().join("0002.out")).unwrap();
        let found = collect(&report, AttachOutput::Always, 10);
        assert_eq!(names(&found), ["script_0.py.txt"]);
        assert_eq!(
            found.left_out[0],
            "the output of script_1.py (22 B) is too much to go with the mail; it is 0001.out in the run's folder"
        );
        assert!(
            found.left_out[1].starts_with("the output of script_2.py could not be read, and "),
            "{:?}",
            found.left_out
        );

        // Noise that no compression makes small.
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(1_200_000)
        .collect();
        let report = run(folder.path(), [&noise, b"", b""]);
        assert_eq!(names(&collect(&report, AttachOutput::Always, 1_000_000)), [""; 0]);
        assert_eq!(names(&collect(&report, AttachOutput::Always, 1_300_000)), ["script_0.py.txt.gz"]);
    }

    #[test]
    fn names_can_be_saved_everywhere_and_stand_once() {
        let named = |name: &str| Attachment { name: name.to_owned(), media_type: "text/plain", bytes: Vec::new() };
        for (script, name) in [
            ("<b>&\"'.py", "_b_&_'.py.txt"),
            ("a/b\\c:d", "a_b_c_d.txt"),
            ("two\nlines\0", "two lines.txt"),
            ("été 日本.py", "été 日本.py.txt"),
            (" .. ", "output.txt"),
            ("load.py", "load.py (3).txt"),
        ] {
            assert_eq!(free_name(&[named("LOAD.py.txt"), named("load.py (2).txt")], script, ".txt"), name);
        }
    }
}

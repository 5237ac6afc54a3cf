//! Making the guardian's own memory small, since it shows in what is told of the scripts: a child begins its life in its
//! parent's memory, and the kernel counts that as the child's (`setmax_mm_hiwater_rss` in `exec_mmap`).
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// Gives back every page of the program's and the libraries' files that was only read so far, which come again when
/// they are needed, and has the kernel forget the peak up to now (`man 5 proc_pid_clear_refs`). What can't be done is left.
pub(super) fn shed() {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    for (start, length) in unchanged_file_mappings(&smaps) {
        // SAFETY: the mapping is of a file, private, not writable, and without a single changed page: the same bytes are
        // read from the file when it is touched again.
        let _ = unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
    }
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Below this a peak is told whatever the guardian's size: it says at least that the script was small.
const SMALL: u64 = 5 * 1024 * 1024;

/// A script's peak memory, unless it may be no more than the size, roughly known, that the guardian had when it started it (that of an
/// unoptimised build, say).
pub(super) fn told_apart(peak: u64, guardian: u64) -> Option<u64> {
    (peak < SMALL || peak > guardian + guardian / 4).then_some(peak)
}

/// Tells how much memory this process holds (`man 5 proc_pid_statm`).
pub(super) struct OwnSize(Option<File>);

impl OwnSize {
    pub(super) fn new() -> Self {
        Self(File::open("/proc/self/statm").ok())
    }

    /// In bytes; if it can't be told, more than anything.
    pub(super) fn bytes(&self) -> u64 {
        let mut statm = [0; 128];
        let read = self.0.as_ref().and_then(|file| file.read_at(&mut statm, 0).ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&statm[..read]);
        let pages = text.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        let page_size = u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX);
        pages.map_or(u64::MAX / 2, |pages| pages.saturating_mul(page_size))
    }
}

/// Start and length of the mappings of files that are private, can't be written, and have no page of their own.
fn unchanged_file_mappings(smaps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        if let Some(mapping) = header(line) {
            candidate = mapping;
        } else if line.strip_prefix("Anonymous:").is_some_and(|size| size.trim() == "0 kB") {
            found.extend(candidate.take());
        }
    }
    found
}

/// The first line of a mapping, and the mapping if it may be shed: `start-end perms offset dev inode path`.
fn header(line: &str) -> Option<Option<(usize, usize)>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let private_and_fixed = matches!(fields.next(), Some("r-xp" | "r--p"));
    let of_a_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
    Some((private_and_fixed && of_a_file).then_some((start, end - start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_may_be_no_larger_than_the_guardian_is_not_told() {
        const MIB: u64 = 1024 * 1024;
        assert_eq!(told_apart(2 * MIB, 3 * MIB), Some(2 * MIB));
        assert_eq!(told_apart(8 * MIB, 8 * MIB), None);
        assert_eq!(told_apart(64 * MIB, 8 * MIB), Some(64 * MIB));
        assert!((MIB..512 * MIB).contains(&OwnSize::new().bytes()));
    }

    #[test]
    fn only_unchanged_pages_of_files_are_given_back() {
        let smaps = "\
00001000-00003000 r-xp 00000000 fe:00 1 /usr/bin/x\nRss: 8 kB\nAnonymous:             0 kB\n\
00003000-00004000 r--p 00000000 fe:00 1 /usr/bin/x\nRss: 4 kB\nAnonymous:             4 kB\n\
00004000-00005000 rw-p 00000000 fe:00 1 /usr/bin/x\nAnonymous:             0 kB\n\
00005000-00006000 r-xp 00000000 00:00 0 [vdso]\nAnonymous:             0 kB\n\
00006000-00007000 r--p 00000000 fe:00 1 /usr/lib/a b.so\nAnonymous:             0 kB\n";
        assert_eq!(unchanged_file_mappings(smaps), [(0x1000, 0x2000), (0x6000, 0x1000)]);
    }
}

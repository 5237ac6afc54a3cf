//! Unix, by rustix: nothing here is unsafe.

use std::io;
use std::path::Path;

use super::Room;

/// Room on the disk of a folder.
///
/// # Errors
/// When the system doesn't tell.
pub(in crate::doctor) fn room(folder: &Path) -> io::Result<Room> {
    let found = rustix::fs::statvfs(folder)?;
    // Some file systems (btrfs) have no fixed number of files, and say 0 of 0.
    let files_left = (found.f_files > 0).then_some(found.f_favail);
    Ok(Room { free: found.f_bavail.saturating_mul(found.f_frsize), files_left })
}

/// Whether a folder is on another machine's disk. Only what is certain: FUSE may be either.
#[cfg(target_os = "linux")]
pub(crate) fn is_network_share(folder: &Path) -> bool {
    /// statfs(2): NFS, SMB, CIFS, SMB2, 9P, AFS, Ceph, Coda.
    const REMOTE: [u32; 8] =
        [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x0102_1997, 0x5346_414F, 0x00C3_6400, 0x7375_7245];
    // The field's type differs between architectures; magic numbers have 32 bits.
    rustix::fs::statfs(folder).is_ok_and(|found| REMOTE.iter().any(|magic| i128::from(*magic) == kind(found.f_type)))
}

#[cfg(target_os = "linux")]
fn kind(found: impl Into<i128>) -> i128 {
    found.into() & 0xFFFF_FFFF
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_network_share(_folder: &Path) -> bool {
    false
}

/// How many files this process may have open; none if there is no limit.
pub(in crate::doctor) fn open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// The name of the machine's time zone, as far as it left word.
pub(in crate::doctor) fn zone_name() -> Option<String> {
    let link = std::fs::canonicalize("/etc/localtime").ok()?;
    let name = link.to_str()?.split_once("zoneinfo/")?.1;
    Some(name.trim_start_matches("posix/").to_owned())
}

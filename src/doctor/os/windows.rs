//! Windows.
#![allow(unsafe_code)]

use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::{Component, Path, Prefix};

use windows_sys::Win32::Storage::FileSystem::{GetDiskFreeSpaceExW, GetDriveTypeW};

use super::Room;

/// What `GetDriveTypeW` says of a share that was given a letter (`DRIVE_REMOTE`).
const REMOTE: u32 = 4;

fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

/// Room on the disk of a folder, within the account's quota.
///
/// # Errors
/// When the system doesn't tell.
pub(in crate::doctor) fn room(folder: &Path) -> io::Result<Room> {
    let path = wide(folder);
    let mut free = 0;
    // SAFETY: the path ends with a zero, `free` outlives the call, and the other answers aren't asked for.
    let told = unsafe { GetDiskFreeSpaceExW(path.as_ptr(), &mut free, std::ptr::null_mut(), std::ptr::null_mut()) };
    if told == 0 { Err(io::Error::last_os_error()) } else { Ok(Room { free, files_left: None }) }
}

/// Whether a folder is on another machine's disk.
pub(crate) fn is_network_share(folder: &Path) -> bool {
    let Some(Component::Prefix(prefix)) = folder.components().next() else { return false };
    match prefix.kind() {
        Prefix::UNC(..) | Prefix::VerbatimUNC(..) => true,
        Prefix::Disk(letter) | Prefix::VerbatimDisk(letter) => {
            let root = [u16::from(letter), u16::from(b':'), u16::from(b'\\'), 0];
            // SAFETY: the path ends with a zero, and the call keeps nothing of it.
            unsafe { GetDriveTypeW(root.as_ptr()) == REMOTE }
        }
        _ => false,
    }
}

/// Windows has no such limit that would matter.
pub(in crate::doctor) fn open_files() -> Option<u64> {
    None
}

/// The system's name isn't one that other systems know.
pub(in crate::doctor) fn zone_name() -> Option<String> {
    None
}

//! By permission bits, devices and inodes.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use rustix::fs::Access;

/// Makes a folder that is the user's alone: it will hold mails too.
pub(in crate::store) fn create_dir(dir: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Whether this user may make files in a folder.
pub(in crate::store) fn is_writable_dir(dir: &Path) -> bool {
    dir.is_dir() && rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// So that a file's name survives a loss of power as its content does. Some file systems refuse it: no reason to go without
/// a database.
pub(in crate::store) fn sync_dir(dir: &Path) {
    let _ = std::fs::File::open(dir).and_then(|dir| dir.sync_all());
}

/// What tells a file from all others that there are: its device, and its number there.
pub(in crate::store) type FileId = (u64, u64);

pub(in crate::store) fn file_id(path: &Path) -> std::io::Result<FileId> {
    std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

//! Unix: permissions.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Makes a folder that only this account can enter.
pub(in crate::mail::sign_in) fn make_private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(dir)
}

/// Makes a file that only this account can read.
pub(in crate::mail::sign_in) fn new_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Whether accounts other than the owner's may read a file.
pub(in crate::mail::sign_in) fn may_be_read_by_others(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
}

/// The account that this process runs as. Its name is looked up where it certainly stands: variables such as USER name
/// whoever logged in, and accounts of a directory service may have no line of their own.
pub(in crate::mail::sign_in) fn account() -> String {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let name = lines
        .find(|fields| fields.get(2) == Some(&uid.as_str()))
        .and_then(|fields| Some((*fields.first()?).to_owned()));
    name.unwrap_or_else(|| format!("uid {uid}"))
}

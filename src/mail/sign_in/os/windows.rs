//! Windows: a file has the access list of its folder, and an account's profile is closed to others.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder.
pub(in crate::mail::sign_in) fn make_private_dir(dir: &Path) -> io::Result<()> {
    std::fs::create_dir(dir)
}

/// Makes a file.
pub(in crate::mail::sign_in) fn new_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Whether a file lies outside this account's profile, where other accounts usually may read. Access lists themselves
/// aren't looked at.
pub(in crate::mail::sign_in) fn may_be_read_by_others(file: &Path) -> bool {
    let lower = |path: &Path| path.to_string_lossy().to_lowercase().replace('/', "\\");
    let inside = |profile: std::ffi::OsString| Path::new(&lower(file)).starts_with(lower(Path::new(&profile)));
    file.exists() && !std::env::var_os("USERPROFILE").is_some_and(inside)
}

/// The account that this process runs as.
pub(in crate::mail::sign_in) fn account() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable("USERDOMAIN"), variable("USERNAME")) {
        (Some(domain), Some(name)) => format!("{domain}\\{name}"),
        (None, Some(name)) => name,
        _ => "this account".to_owned(),
    }
}

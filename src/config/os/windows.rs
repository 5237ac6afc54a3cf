//! By what Windows sets up. Access lists aren't looked at.

use std::path::{Component, Path, PathBuf};

use crate::config::paths::simplify_verbatim;

/// Whether every account of the machine may read a file: that can't be told.
#[must_use]
pub fn everyone_may_read(_file: &Path) -> bool {
    false
}

/// What is a program is told by its name's ending.
pub(in crate::config) fn is_executable(file: &Path) -> bool {
    file.is_file()
}

/// Takes over the letters' case and nothing else: not where a link or a substituted drive leads.
pub(in crate::config) fn as_on_disk(folder: PathBuf) -> PathBuf {
    let real = std::fs::canonicalize(&folder).ok();
    let real = real.as_deref().and_then(|real| real.to_str()).map(|real| match real.strip_prefix(r"\\?\UNC\") {
        Some(share) => format!(r"\\{share}"),
        None => simplify_verbatim(real).unwrap_or(real).to_owned(),
    });
    match (real, folder.to_str()) {
        (Some(real), Some(written)) if real.to_lowercase() == written.to_lowercase() => real.into(),
        _ => folder,
    }
}

pub(in crate::config) fn owner(_folder: &Path) -> Option<u32> {
    None
}

/// Whether others may write there: in roots of drives and shares, `C:\ProgramData`, `C:\Users\Public` and folders for
/// temporary files.
pub(in crate::config) fn others_may_write(folder: &Path, _project_owner: Option<u32>) -> bool {
    let names: Vec<String> = folder
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().to_lowercase()),
            _ => None,
        })
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] | ["programdata" | "users" | "temp" | "tmp", ..] if names.len() < 2 => true,
        ["programdata", ..] | ["users", "public", ..] => true,
        [.., "temp" | "tmp"] => true,
        _ => false,
    }
}

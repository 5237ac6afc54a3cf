//! Paths, made absolute without touching links.

use std::path::{Path, PathBuf};

use super::keys::PROJECT_FILE;
use super::os;

/// The absolute form of a path: never canonicalised, because links have their meaning (a virtual environment's python
/// is one), and because Windows' verbatim paths (`\\?\`) break `cmd`. A verbatim path is made plain where that is safe.
///
/// # Errors
/// When the path is empty, or the current folder can't be told.
pub(super) fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "a path can't hold a NUL"));
    }
    let path = std::path::absolute(path)?;
    if cfg!(windows)
        && let Some(plain) = path.to_str().and_then(simplify_verbatim)
    {
        return Ok(PathBuf::from(plain));
    }
    Ok(path)
}

/// Whether a folder has a project file.
#[must_use]
pub fn is_project(folder: &Path) -> bool {
    folder.join(PROJECT_FILE).exists()
}

/// The one spelling of a project's folder, by which the history knows it: absolute, without a separator at its end, and
/// in the letters that the disk has where `c:\jobs` and `C:\Jobs` are the same folder.
///
/// # Errors
/// When the path is empty, or the current folder can't be told.
pub fn project_root(folder: &Path) -> std::io::Result<PathBuf> {
    Ok(os::as_on_disk(absolute(folder)?.components().collect()))
}

/// A path as a project file writes it, on top of the project's folder. On Windows `/` and `\` both separate.
pub(super) fn join(root: &Path, written: &str) -> PathBuf {
    let joined = if cfg!(windows) { root.join(written.replace('/', "\\")) } else { root.join(written) };
    absolute(&joined).unwrap_or(joined)
}

/// `\\?\C:\dir` as `C:\dir`, where both mean the same: short enough, and without names that only the verbatim form can
/// express. Everything else, `\\?\UNC\` too, has to stay.
/// <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>
pub(super) fn simplify_verbatim(path: &str) -> Option<&str> {
    const LONGEST: usize = 247; // MAX_PATH less room for an 8.3 file name, which folders need
    let plain = path.strip_prefix(r"\\?\")?;
    let drive = plain.as_bytes();
    let has_drive = matches!(drive, [letter, b':', b'\\', ..] if letter.is_ascii_alphabetic());
    if !has_drive || plain.encode_utf16().count() > LONGEST {
        return None;
    }
    let names = plain.get(3..)?;
    let harmless = names.split('\\').enumerate().all(|(index, name)| {
        (name.is_empty() && index == names.split('\\').count() - 1)
            || (!name.is_empty() && super::names::illegal_in_windows(name).is_none())
    });
    harmless.then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_one_spelling() {
        let dir = tempfile::tempdir().unwrap();
        let root = project_root(dir.path()).unwrap().join("Jobs");
        std::fs::create_dir(&root).unwrap();
        let text = root.to_str().unwrap();
        let mut spellings = vec![text.to_owned(), format!("{text}/"), format!("{text}/."), format!("{text}//")];
        if cfg!(windows) {
            spellings.extend([
                text.to_lowercase(),
                text.to_uppercase(),
                text.replace('\\', "/"),
                format!(r"\\?\{text}"),
            ]);
        }
        for spelling in spellings {
            assert_eq!(project_root(Path::new(&spelling)).unwrap().to_str(), Some(text), "{spelling}");
        }
        assert!(project_root(Path::new("")).is_err());
    }

    #[test]
    fn verbatim_paths_are_made_plain_only_where_that_is_safe() {
        assert_eq!(simplify_verbatim(r"\\?\C:\a\b"), Some(r"C:\a\b"));
        assert_eq!(simplify_verbatim(r"\\?\C:\"), Some(r"C:\"));
        for kept in [
            r"C:\a",
            r"\\?\UNC\server\share",
            r"\\?\C:\a\nul",
            r"\\?\C:\a.",
            r"\\?\C:\a\..\b",
            r"\\?\C:\a/b",
            r"\\?\Volume{x}\a",
        ] {
            assert_eq!(simplify_verbatim(kept), None, "{kept}");
        }
        assert_eq!(simplify_verbatim(&format!(r"\\?\C:\{}", "a".repeat(300))), None);
    }
}

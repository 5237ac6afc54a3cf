//! Paths, made absolute without touching links.

use std::path::{Path, PathBuf};

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

/// A path as a project file writes it, on top of the project's folder. On Windows `/` and `\` both separate.
pub(super) fn join(root: &Path, written: &str) -> PathBuf {
    let joined = if cfg!(windows) { root.join(written.replace('/', "\\")) } else { root.join(written) };
    absolute(&joined).unwrap_or(joined)
}

/// `\\?\C:\dir` as `C:\dir`, where both mean the same: short enough, and without names that only the verbatim form can
/// express. Everything else, `\\?\UNC\` too, has to stay.
/// <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>
fn simplify_verbatim(path: &str) -> Option<&str> {
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

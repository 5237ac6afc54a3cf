//! Names that a file can have. Pure.

/// Why Windows can't have a file of this name, if it can't. The names hold on all systems, so that projects can move.
/// <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>
pub(super) fn illegal_in_windows(name: &str) -> Option<String> {
    if name == "." || name == ".." {
        return Some(format!("`{name}` names a folder"));
    }
    if let Some(c) = name.chars().find(|c| r#"<>:"/\|?*"#.contains(*c) || c.is_control()) {
        return Some(format!("Windows has no file names with `{}`", c.escape_debug()));
    }
    if name.ends_with(['.', ' ']) {
        return Some("Windows drops dots and spaces at the end of a file name".to_owned());
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let numbered = ["COM", "LPT"].iter().any(|device| {
        stem.strip_prefix(device).is_some_and(|rest| {
            let mut digits = rest.chars();
            matches!((digits.next(), digits.next()), (Some('1'..='9' | '¹' | '²' | '³'), None))
        })
    });
    (numbered || ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str()))
        .then(|| format!("`{stem}` is a device on Windows"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn illegal_names_are_known() {
        for name in
            [".", "..", "a/b", "a\\b", "a:b", "a*", "nul", "NUL.txt", "com1", "lpt9.log", "a.", "a ", "a\n", "COM²"]
        {
            assert!(illegal_in_windows(name).is_some(), "{name}");
        }
        for name in ["a", "a.b", "com", "com10", "console", "é", "a b", ".hidden"] {
            assert_eq!(illegal_in_windows(name), None, "{name}");
        }
    }
}

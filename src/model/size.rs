//! Sizes as people write them.

use thiserror::Error;

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a size")]
pub struct InvalidSize {
    /// The text.
    pub text: String,
}

/// Reads a size in bytes: `5MiB`, `5 MB`, `1024`. Units with an `i` are powers of 1024, those without powers of 1000.
///
/// # Errors
/// When the text is anything else.
pub fn parse_size(text: &str) -> Result<u64, InvalidSize> {
    text.trim()
        .parse::<bytesize::ByteSize>()
        .map(|size| size.as_u64())
        .map_err(|_| InvalidSize { text: text.to_owned() })
}

/// Writes a size in bytes for people: `1.0 MiB`.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        assert_eq!(parse_size("5MiB"), Ok(5 * 1024 * 1024));
        assert_eq!(parse_size("5 MB"), Ok(5_000_000));
        assert_eq!(parse_size("1024"), Ok(1024));
        assert_eq!(format_size(5 * 1024 * 1024), "5.0 MiB");
        for text in ["", "-1", "big", "5 parsecs", "3d"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}

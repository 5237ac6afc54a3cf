//! Identifiers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identifies one run: the first 13 hexadecimal digits of a random UUID (version 4), as the log line shows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// Number of hexadecimal digits in an identifier.
    pub const LENGTH: usize = 13;

    /// A new random identifier.
    #[must_use]
    pub fn random() -> Self {
        let mut digits = uuid::Uuid::new_v4().simple().to_string();
        digits.truncate(Self::LENGTH);
        Self(digits)
    }

    /// Reads an identifier; `None` unless it is exactly 13 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == Self::LENGTH && Self::is_prefix(text)).then(|| Self(text.to_owned()))
    }

    /// Whether `text` could be the beginning of an identifier.
    #[must_use]
    pub fn is_prefix(text: &str) -> bool {
        !text.is_empty()
            && text.len() <= Self::LENGTH
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl TryFrom<String> for RunId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is not a run id (13 hexadecimal digits)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_have_the_documented_form() {
        for _ in 0..1000 {
            let id = RunId::random();
            assert_eq!(RunId::parse(id.as_str()), Some(id));
        }
    }

    #[test]
    fn anything_else_is_no_id() {
        for text in ["", "39be3d37aed6", "39be3d37aed644", "39BE3D37AED64", "39be3d37aed6g", "../../../../x"] {
            assert_eq!(RunId::parse(text), None, "{text}");
        }
    }
}

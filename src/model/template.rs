//! Texts in which `{name}` stands for an input, and `{{` and `}}` for braces. Pure.

/// A piece of such a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'t> {
    /// As it is.
    Text(&'t str),
    /// The value of this input.
    Param(&'t str),
}

/// A brace that is none, and belongs to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoneBrace {
    /// Which.
    pub brace: char,
    /// Its place in characters, from 1.
    pub position: usize,
}

/// What may be the name of an input.
#[must_use]
pub fn is_param_name(name: &str) -> bool {
    const LONGEST: usize = 64;
    !name.is_empty()
        && name.len() <= LONGEST
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The pieces of a text, in order.
///
/// # Errors
/// With the first brace that means nothing.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, LoneBrace> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        let (brace, after) = from.split_at(1);
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let name = after.split('}').next().unwrap_or_default();
        if let Some(after) = after.strip_prefix(brace) {
            pieces.push(Piece::Text(brace));
            rest = after;
        } else if brace == "{" && name.len() < after.len() && is_param_name(name) {
            pieces.push(Piece::Param(name));
            rest = &after[name.len() + 1..];
        } else {
            let position = text[..text.len() - from.len()].chars().count() + 1;
            return Err(LoneBrace { brace: from.chars().next().unwrap_or_default(), position });
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// The text with values in their places; an input without one leaves nothing. A text that [`pieces`] refuses stays as it is.
#[must_use]
pub fn fill<'v>(text: &str, value: impl Fn(&str) -> Option<&'v str>) -> String {
    let Ok(pieces) = pieces(text) else { return text.to_owned() };
    let filled = pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Param(name) => value(name).unwrap_or_default().to_owned(),
    });
    filled.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_stand_for_values_and_doubled_braces_for_braces() {
        let value = |name: &str| (name == "who").then_some("{who} & \"co\"");
        for (text, filled) in [
            ("", ""),
            ("plain", "plain"),
            ("{who}", "{who} & \"co\""),
            ("--to={who}!", "--to={who} & \"co\"!"),
            ("{{who}}", "{who}"),
            ("{{{who}}}", "{{who} & \"co\"}"),
            ("[{gone}]", "[]"),
            ("{{\"a\": {{\"b\": 1}}}}", "{\"a\": {\"b\": 1}}"),
        ] {
            assert_eq!(fill(text, value), filled, "{text}");
        }
        for (text, brace, position) in
            [("é{", '{', 2), ("{a b}", '{', 1), ("{}", '{', 1), ("a}", '}', 2), ("{{}", '}', 3), ("{1}", '{', 1)]
        {
            assert_eq!(pieces(text), Err(LoneBrace { brace, position }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_written_with_doubled_braces(text in "([{}a-z]|.){0,30}") {
            let doubled = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(fill(&doubled, |_| None), text.clone());
            let _ = pieces(&text);
        }
    }
}

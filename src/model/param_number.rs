//! Numbers and durations as people write them for an input; what is wrong is told by its position, from 1. Pure.

/// Why a text is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoNumber {
    /// Here it stops being one.
    At(usize),
    /// It is one, and none that can be counted with.
    TooLarge,
}

/// A whole number of 64 bits.
pub(super) fn int(text: &str) -> Result<i64, NoNumber> {
    let (trimmed, begin) = trimmed(text);
    trimmed.parse().map_err(|_| {
        let sign = sign(trimmed);
        let end = sign + digits(&trimmed[sign..]);
        if end > sign && end == trimmed.len() { NoNumber::TooLarge } else { NoNumber::At(begin + end) }
    })
}

/// A finite number.
pub(super) fn float(text: &str) -> Result<f64, NoNumber> {
    let (trimmed, begin) = trimmed(text);
    if let Some(number) = trimmed.parse().ok().filter(|number: &f64| number.is_finite()) {
        return Ok(number);
    }
    let mut end = sign(trimmed);
    let whole = digits(&trimmed[end..]);
    end += whole;
    let mut fraction = 0;
    if trimmed[end..].starts_with('.') {
        fraction = digits(&trimmed[end + 1..]);
        end += 1 + fraction;
    }
    let mut is_complete = whole + fraction > 0;
    if is_complete && trimmed[end..].starts_with(['e', 'E']) {
        end += 1 + sign(&trimmed[end + 1..]);
        let exponent = digits(&trimmed[end..]);
        end += exponent;
        is_complete = exponent > 0;
    }
    Err(if is_complete && end == trimmed.len() { NoNumber::TooLarge } else { NoNumber::At(begin + end) })
}

/// Why a text is none of the durations that `parse_duration` reads.
pub(super) fn no_duration(text: &str) -> NoNumber {
    use humantime::DurationError as Error;
    let (trimmed, begin) = trimmed(text);
    let is_number = trimmed.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let at = if is_number && !trimmed.is_empty() {
        let point = trimmed.find('.').map_or(trimmed.len(), |at| at + 1);
        trimmed[point..].find('.').map(|at| point + at).or((trimmed == ".").then_some(1))
    } else {
        match humantime::parse_duration(trimmed) {
            Err(Error::InvalidCharacter(at) | Error::NumberExpected(at) | Error::UnknownUnit { start: at, .. }) => {
                Some(at)
            }
            Err(Error::Empty) => Some(0),
            Ok(_) | Err(_) => None,
        }
    };
    let characters = |at: usize| trimmed.char_indices().take_while(|(index, _)| *index < at).count();
    at.map_or(NoNumber::TooLarge, |at| NoNumber::At(begin + characters(at)))
}

/// Without the blanks around it, and the position of what is left.
fn trimmed(text: &str) -> (&str, usize) {
    (text.trim(), text.chars().count() - text.trim_start().chars().count() + 1)
}

/// Bytes of a sign at the beginning.
fn sign(text: &str) -> usize {
    usize::from(text.starts_with(['+', '-']))
}

/// Bytes of digits at the beginning.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

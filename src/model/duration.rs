//! Durations as people write them.

use std::time::Duration;

use thiserror::Error;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a duration")]
pub struct InvalidDuration {
    /// The text.
    pub text: String,
}

/// The longest duration that is taken: a thousand years, in seconds. Longer ones are slips of the pen, and would
/// overflow the arithmetic of dates.
const LONGEST_SECONDS: f64 = 1000.0 * 366.0 * 86400.0;

/// Reads a duration: a number alone is seconds (`90`, `1.5`), otherwise numbers with units, which may stand apart and
/// be combined (`90s`, `1h 30m`, `2 days`; `m` is minutes, `M` months of 30.44 days).
///
/// # Errors
/// When the text is anything else, negative, or longer than a thousand years.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let trimmed = text.trim();
    let invalid = || InvalidDuration { text: text.to_owned() };
    let duration = if trimmed.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let seconds: f64 = trimmed.parse().map_err(|_| invalid())?;
        Duration::try_from_secs_f64(seconds).map_err(|_| invalid())?
    } else {
        humantime::parse_duration(trimmed).map_err(|_| invalid())?
    };
    if duration.as_secs_f64() > LONGEST_SECONDS {
        return Err(invalid());
    }
    Ok(duration)
}

/// Writes a duration for people, rounded to what matters: `80 ms`, `2.4 s`, `60 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis} ms");
    }
    let tenths = (millis + 50) / 100;
    if tenths < 100 {
        return if tenths.is_multiple_of(10) {
            format!("{} s", tenths / 10)
        } else {
            format!("{}.{} s", tenths / 10, tenths % 10)
        };
    }
    let seconds = (millis + 500) / 1000;
    let pair = |big: u128, big_unit: &str, small: u128, small_unit: &str| {
        if small == 0 { format!("{big} {big_unit}") } else { format!("{big} {big_unit} {small} {small_unit}") }
    };
    if seconds < 120 {
        format!("{seconds} s")
    } else if seconds < 3600 {
        pair(seconds / 60, "min", seconds % 60, "s")
    } else if seconds < 86400 {
        pair(seconds / 3600, "h", seconds % 3600 / 60, "min")
    } else {
        pair(seconds / 86400, "d", seconds % 86400 / 3600, "h")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_documented_forms_are_read() {
        let cases = [
            ("90", 90.0),
            ("1.5", 1.5),
            ("0", 0.0),
            ("90s", 90.0),
            ("1h 30m", 5400.0),
            ("1h30m", 5400.0),
            ("2 days", 172_800.0),
            ("250ms", 0.25),
            (" 3d ", 259_200.0),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse_duration(text).map(|d| d.as_secs_f64()), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "-1", "soon", "1.2.3", "s", "3 fortnights", "99999999999999", "9999999999d", "1h-30m", "NaN", "inf"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_for_people() {
        let cases = [
            (0, "0 ms"),
            (80, "80 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (2449, "2.4 s"),
            (9999, "10 s"),
            (60_000, "60 s"),
            (200_000, "3 min 20 s"),
            (7_500_000, "2 h 5 min"),
            (273_600_000, "3 d 4 h"),
        ];
        for (millis, text) in cases {
            assert_eq!(format_duration(Duration::from_millis(millis)), text);
        }
    }

    proptest! {
        #[test]
        fn every_duration_can_be_written(millis in any::<u64>()) {
            let _ = format_duration(Duration::from_millis(millis));
        }
    }
}

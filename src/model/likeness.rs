//! Which name was probably meant. Pure.

/// The name that was probably meant, out of those there are.
#[must_use]
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= 0.84)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised() {
        let keys = ["scripts", "recipients", "email_strategy", "timeout"];
        assert_eq!(did_you_mean("script", keys), Some("scripts"));
        assert_eq!(did_you_mean("Timeout", keys), Some("timeout"));
        assert_eq!(did_you_mean("receipients", keys), Some("recipients"));
        assert_eq!(did_you_mean("zzz", keys), None);
        assert_eq!(did_you_mean("failures_only", ["all", "failure_only", "none"]), Some("failure_only"));
    }
}

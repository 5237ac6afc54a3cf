//! What is usual for a script, learned from how long it took before. Pure, and robust: durations have long tails, and one
//! night on which the network was slow must neither hide the next one nor be taken for the rule.

use std::time::Duration;

use super::{Pace, Usual};

/// So many of a script's last successes tell what is usual for it: a month of daily runs, so that a script that grows
/// slower with its data takes what is usual with it.
pub const LEARNED_FROM: u32 = 30;

/// Fewer successes tell nothing.
const FEWEST: usize = 5;

/// The median of the distances from the median, times this, estimates the standard deviation of a normal distribution
/// (1 / Φ⁻¹(3/4)).
const MAD_TO_SIGMA: f64 = 1.4826;

/// So many standard deviations from the median are not chance any more. Three would do for a normal distribution that is
/// known; durations lean to the long side, and five samples may show half the real spread.
const SIGMAS: u64 = 5;

/// A script that takes this much longer than usual, and no more, is not slow: a machine that has just started costs
/// every short script as much.
const SLOW_FLOOR_US: u64 = 1_000_000;

/// Below this median nothing is unusually quick: what is left of such a script is mostly the start of its interpreter.
const QUICK_FLOOR_US: u64 = 2_000_000;

/// What is usual for a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline {
    /// The median, in microseconds.
    pub median_us: u64,
    /// The spread around it, as a standard deviation, in microseconds: the median of the distances from the median,
    /// scaled.
    pub spread_us: u64,
}

impl Baseline {
    /// Learned from durations in microseconds, in any order; `None` while there are fewer than five.
    #[must_use]
    pub fn of(durations_us: Vec<u64>) -> Option<Self> {
        if durations_us.len() < FEWEST {
            return None;
        }
        let mut distances = durations_us.clone();
        let median_us = median(durations_us)?;
        for distance in &mut distances {
            *distance = distance.abs_diff(median_us);
        }
        let spread_us = (median(distances)? as f64 * MAD_TO_SIGMA) as u64;
        Some(Self { median_us, spread_us })
    }

    /// Whether a success was unusually slow: longer than one and a half medians (less is not worth a word), than five
    /// spreads over the median, and than one second over it.
    #[must_use]
    pub fn is_slow(&self, took_us: u64) -> bool {
        let Self { median_us, spread_us } = *self;
        took_us > median_us.saturating_add(median_us / 2)
            && took_us > median_us.saturating_add(spread_us.saturating_mul(SIGMAS))
            && took_us > median_us.saturating_add(SLOW_FLOOR_US)
    }

    /// Whether a success was unusually quick, as one is that found nothing to do: in less than half the median, and five
    /// spreads below it. Only for scripts that usually take two seconds at least.
    #[must_use]
    pub fn is_quick(&self, took_us: u64) -> bool {
        let Self { median_us, spread_us } = *self;
        median_us >= QUICK_FLOOR_US
            && took_us < median_us / 2
            && took_us < median_us.saturating_sub(spread_us.saturating_mul(SIGMAS))
    }
}

/// How a success that took `took_us` microseconds compares with what is usual. A configured `slow_after` takes the place
/// of what was learned about slowness. `None` where nothing is known to compare with.
#[must_use]
pub fn usual(took_us: u64, baseline: Option<&Baseline>, slow_after: Option<Duration>) -> Option<Usual> {
    let limit_us = slow_after.map(|limit| u64::try_from(limit.as_micros()).unwrap_or(u64::MAX));
    if let Some(limit_us) = limit_us.filter(|limit_us| took_us > *limit_us) {
        let usual_us = baseline.map_or(limit_us, |baseline| baseline.median_us);
        return Some(Usual { usual_us, pace: Pace::Slow, slow_after_us: Some(limit_us) });
    }
    let baseline = baseline?;
    let pace = match () {
        () if limit_us.is_none() && baseline.is_slow(took_us) => Pace::Slow,
        () if baseline.is_quick(took_us) => Pace::Quick,
        () => Pace::Usual,
    };
    Some(Usual { usual_us: baseline.median_us, pace, slow_after_us: None })
}

/// The `timeout` that past successes (microseconds, in any order) suggest; `None` while there are fewer than five. Three
/// medians, since a script that takes that long hangs more likely than not; but no success that there was would have
/// been ended, by half its own length; and half a minute over the median in any case. Rounded up to what a person would write.
#[must_use]
pub fn suggested_timeout(durations_us: &[u64]) -> Option<Duration> {
    const MARGIN_US: u64 = 30_000_000;
    if durations_us.len() < FEWEST {
        return None;
    }
    let longest = durations_us.iter().copied().max()?;
    let median = median(durations_us.to_vec())?;
    let least = median.saturating_mul(3).max(longest.saturating_add(longest / 2)).max(median.saturating_add(MARGIN_US));
    Some(round_up(least))
}

/// Up to ten seconds, half a minute, a minute, five minutes, half an hour, an hour, half a day: never by more than a
/// half.
fn round_up(us: u64) -> Duration {
    const STEPS: [(u64, u64); 6] = [(60, 10), (180, 30), (600, 60), (3600, 300), (6 * 3600, 1800), (24 * 3600, 3600)];
    let seconds = us.div_ceil(1_000_000);
    let step = STEPS.into_iter().find(|(below, _)| seconds <= *below).map_or(12 * 3600, |(_, step)| step);
    Duration::from_secs(seconds.div_ceil(step) * step)
}

/// The middle value, or the mean of the two in the middle; `None` of nothing.
#[must_use]
pub fn median(mut values: Vec<u64>) -> Option<u64> {
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    if values.is_empty() {
        return None;
    }
    let (below, &mut upper, _) = values.select_nth_unstable(middle);
    match below.iter().max() {
        Some(lower) if even => Some(lower.midpoint(upper)),
        _ => Some(upper),
    }
}

/// The smallest value that is not exceeded by 95 of 100 (nearest rank); `None` of nothing.
#[must_use]
pub fn percentile_95(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    let rank = (values.len() * 95).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    fn pace(took_us: u64, samples: &[u64], slow_after: Option<Duration>) -> Option<Pace> {
        usual(took_us, Baseline::of(samples.to_vec()).as_ref(), slow_after).map(|usual| usual.pace)
    }

    #[test]
    fn slow_and_quick_are_what_a_person_would_call_so() {
        let minute = 60 * SECOND;
        let report = [3 * minute, 3 * minute + 9 * SECOND, 3 * minute - 4 * SECOND, 3 * minute, 3 * minute + SECOND];
        assert_eq!(pace(12 * minute, &report, None), Some(Pace::Slow));
        assert_eq!(pace(4 * minute, &report, None), Some(Pace::Usual));
        assert_eq!(pace(minute, &report, None), Some(Pace::Quick));
        // A jumpy script may jump.
        let jumpy = [minute, 4 * minute, 2 * minute, 6 * minute, 9 * minute, 3 * minute];
        assert_eq!(pace(12 * minute, &jumpy, None), Some(Pace::Usual));
        assert_eq!(pace(SECOND, &jumpy, None), Some(Pace::Usual));
        // A short one may stumble, and can't be too quick.
        let short = [SECOND / 10; 8];
        assert_eq!(pace(SECOND, &short, None), Some(Pace::Usual));
        assert_eq!(pace(SECOND * 3 / 2, &short, None), Some(Pace::Slow));
        assert_eq!(pace(1, &[SECOND; 8], None), Some(Pace::Usual));
        assert_eq!(pace(SECOND, &report[..4], None), None, "four are too few");
    }

    #[test]
    fn slow_after_takes_the_place_of_what_was_learned_about_slowness() {
        let long = Some(Duration::from_secs(100));
        assert_eq!(pace(99 * SECOND, &[3 * SECOND; 9], long), Some(Pace::Usual));
        assert_eq!(pace(101 * SECOND, &[3 * SECOND; 9], long), Some(Pace::Slow));
        assert_eq!(pace(SECOND, &[3 * SECOND; 9], long), Some(Pace::Quick));
        assert_eq!(pace(99 * SECOND, &[], long), None);
        let alone = usual(101 * SECOND, None, long).unwrap();
        assert_eq!((alone.usual_us, alone.slow_after_us), (100 * SECOND, Some(100 * SECOND)));
    }

    #[test]
    fn suggested_timeouts_are_round() {
        let cases = [(0, 30), (SECOND / 2, 40), (40 * SECOND, 120), (100 * SECOND, 300), (600 * SECOND, 1800)];
        for (all_took, seconds) in cases {
            assert_eq!(suggested_timeout(&[all_took; 5]), Some(Duration::from_secs(seconds)), "{all_took}");
        }
        let with_a_long_one = [SECOND, SECOND, 20 * 60 * SECOND, SECOND, SECOND];
        assert_eq!(suggested_timeout(&with_a_long_one), Some(Duration::from_secs(1800)));
        assert_eq!(suggested_timeout(&[SECOND; 4]), None);
    }

    #[test]
    fn percentiles_are_values_that_were_there() {
        assert_eq!(percentile_95((1..=100).collect()), Some(95));
        assert_eq!(percentile_95(vec![7, 3]), Some(7));
        assert_eq!((percentile_95(vec![]), median(vec![])), (None, None));
        assert_eq!((median(vec![5, 1, 3]), median(vec![4, 1, 2, 9])), (Some(3), Some(3)));
    }

    fn samples() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(prop_oneof![0..20 * SECOND, any::<u64>()], 5..40)
    }

    proptest! {
        #[test]
        fn one_outlier_moves_the_median_to_a_neighbour_at_most(mut all in samples(), at in any::<prop::sample::Index>(), outlier: u64) {
            let before = Baseline::of(all.clone()).unwrap();
            let mut sorted = all.clone();
            sorted.sort_unstable();
            let at = at.index(all.len());
            all[at] = outlier;
            let after = Baseline::of(all).unwrap();
            let middle = sorted.len() / 2;
            prop_assert!(after.median_us >= sorted[middle - 2] && after.median_us <= sorted[middle + 1].max(before.median_us));
        }

        #[test]
        fn order_does_not_matter(all in samples(), seed: u64) {
            let mut other = all.clone();
            other.rotate_left(usize::try_from(seed % all.len() as u64).unwrap());
            other.reverse();
            prop_assert_eq!(Baseline::of(all.clone()), Baseline::of(other.clone()));
            prop_assert_eq!(suggested_timeout(&all), suggested_timeout(&other));
        }

        #[test]
        fn nothing_is_slow_and_quick_and_both_are_monotone(all in samples(), a: u64, b: u64) {
            let baseline = Baseline::of(all).unwrap();
            let (less, more) = (a.min(b), a.max(b));
            prop_assert!(!(baseline.is_slow(a) && baseline.is_quick(a)));
            prop_assert!(!baseline.is_slow(less) || baseline.is_slow(more));
            prop_assert!(!baseline.is_quick(more) || baseline.is_quick(less));
            prop_assert!(!baseline.is_slow(baseline.median_us) && !baseline.is_quick(baseline.median_us));
        }

        #[test]
        fn a_suggested_timeout_spares_every_success_and_grows_with_them(all in prop::collection::vec(0..1_000_000 * SECOND, 5..40), at in any::<prop::sample::Index>()) {
            let suggested = suggested_timeout(&all).unwrap();
            let longest = *all.iter().max().unwrap();
            prop_assert!(suggested >= Duration::from_micros(longest + longest / 2));
            let mut longer = all.clone();
            let at = at.index(all.len());
            longer[at] += 1000 * SECOND;
            prop_assert!(suggested_timeout(&longer).unwrap() >= suggested);
        }
    }
}
